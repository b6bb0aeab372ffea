"""Every bound of an asynchronous host, in the unit that it names."""

from __future__ import annotations

from msgspec import Struct, structs

from roomstate.errors import InvalidValue
from roomstate.holding import checks
from roomstate.sync.subscribers import SLOT

__all__ = ["HostBounds"]


class HostBounds(Struct, frozen=True, kw_only=True):
    """What a `RoomHost` may use, with the source of each default. Raises ``InvalidValue`` for what is not above 0, and
    for a ``max_bytes`` below 4096, what one waiting item counts for.

    ``store_threads`` 4 work for the store at once: as many as `SQLiteStore` has readers. ``parallel`` 8 requests to the
    loader, and as many to the transport, are under way at once. ``timeout_s`` 30 for each piece of work: the longest
    that SQLite, behind a busy disk, took in our tests, with room to spare. ``retry_s`` 1: the longest pause, and the
    upper end of the jitter, before a port that did not answer is tried again; with the manager's own pause, which
    `RoomHost` makes 1 s too, what failed is tried within 2 s of the port's return.

    ``max_connections`` 100,000, as the manager's ``max_viewers``. ``max_items`` 256 and ``max_bytes`` 1 MiB wait for
    one stream of one viewer, before a room's are dropped and the viewer is brought up anew. ``frames_per_s`` 50 with a
    ``frame_burst`` of 200 come from one connection (the manager's own bound for moving between rooms: a client that
    comes back asks for all of its rooms at once), each of at most ``max_frame_bytes`` 2 MiB (the longest message that
    a room takes, in JSON). ``ack_s`` 10: so long an acknowledgement waits for the log.

    ``heartbeat_s`` 30 between a room's heartbeats, an ordinary proxy's patience halved. ``withheld_s`` 0.25: so long
    BACKGROUND viewers wait to hear that there is something new, so that a busy room tells them four times a second.
    """

    store_threads: int = 4
    parallel: int = 8
    timeout_s: float = 30.0
    retry_s: float = 1.0
    max_connections: int = 100_000
    max_items: int = 256
    max_bytes: int = 1 << 20
    frames_per_s: float = 50.0
    frame_burst: int = 200
    max_frame_bytes: int = 1 << 21
    ack_s: float = 10.0
    heartbeat_s: float = 30.0
    withheld_s: float = 0.25

    def __post_init__(self) -> None:
        for name, value in structs.asdict(self).items():
            checks.positive(name, value)
        if self.max_bytes < SLOT:
            raise InvalidValue("max_bytes", f"must be at least {SLOT}, what one waiting item counts for")
