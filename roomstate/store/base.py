"""What every store of rooms does: the protocol, and nothing of how.

A store keeps, for each room, a **log** (entries at consecutive seqs), at most two **snapshots** (a deep one, a brief
one) and the **head** where both end. It sees bytes and values: it never decodes a snapshot and never applies an update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from roomstate.effects import Appended, Head, LogEntry
from roomstate.model import Tier
from roomstate.updates import CountsChanged

__all__ = ["NOTHING", "PAGE", "RoomStore", "best_tier", "covered"]

NOTHING: Final = CountsChanged()
"""What `read` gives for a seq whose message the log had before: an update that changes nothing.

So the entries that a store reads are consecutive, and applying them needs no special case.
"""

PAGE: Final = 1000
"""Room ids in one page of `rooms`, unless told: about 100 kB of them."""


def best_tier(tier: Tier, seqs: Mapping[Tier, int]) -> Tier | None:
    """Of the snapshots at hand (tier to seq), the one to load for ``tier``; None where there is none.

    For ACTIVE the deep one if there is one, however old: the log that follows fills it up. For the others the newest,
    and of two at one position the brief one, which costs less to decode.

    >>> best_tier(Tier.ACTIVE, {Tier.ACTIVE: 5, Tier.BACKGROUND: 9}).name
    'ACTIVE'
    >>> best_tier(Tier.BACKGROUND, {Tier.ACTIVE: 5, Tier.BACKGROUND: 9}).name
    'BACKGROUND'
    """
    if tier is Tier.ACTIVE and Tier.ACTIVE in seqs:
        return Tier.ACTIVE
    return max(seqs, key=lambda held: (seqs[held], -held), default=None)


def covered(seqs: Mapping[Tier, int]) -> int:
    """How far a log may be dropped beside the snapshots at hand (tier to seq): a load for ACTIVE needs the rest.

    >>> covered({Tier.ACTIVE: 5, Tier.BACKGROUND: 9}), covered({Tier.BACKGROUND: 9}), covered({})
    (5, 9, 0)
    """
    best = best_tier(Tier.ACTIVE, seqs)
    return seqs[best] if best is not None else 0


@runtime_checkable
class RoomStore(Protocol):
    """Logs, snapshots and dictionaries of many rooms, at rest. Safe to call from several threads; calls block.

    Every method raises `InvalidValue` for an argument out of range, `StoreUnavailable` or one of its kinds when the
    store does not answer, and `DamagedStore` for a room that was set aside (`damaged` says why; ``delete`` frees its
    name). A call that raises has changed nothing, with one exception that the world imposes: when the disk fails while
    a commit is being confirmed, the commit may turn out to have happened. All writes can be repeated as they were.
    """

    def head(self, room_id: str) -> Head | None:
        """Where the room ends: the last entry of its log, or its newest snapshot if that is further. None: no room."""
        ...

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        """Append ``entries`` to the room's log, all or none; when it returns they are as safe as the store promises.

        Their seqs are consecutive and continue the log: the first is the log's end + 1 (1 for a new room), or the
        head + 1 where a snapshot lies beyond the log's end. Entries that the log holds already are skipped if they are
        the same, and refused (`InvalidValue`) if they differ. An ``epoch`` other than the room's takes its place, if
        all of ``entries`` are new: the numbering goes on.

        A `MessageAdded` whose message id the room's log holds at another seq keeps its seq, but what it holds is
        `NOTHING`; it is named in ``Appended.repeated``, and again when the same entries are appended again.
        """
        ...

    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = PAGE) -> tuple[LogEntry, ...]:
        """The newest ``limit`` entries in ``(after, upto]``, oldest first. ``upto`` None is the end of the log.

        An unknown room has none. Entries are consecutive, except where a snapshot bridged a hole in the log.
        """
        ...

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        """Keep ``data`` as the room's snapshot for ``tier`` (ACTIVE or BACKGROUND), taken at ``head``.

        Takes the place of the last one for that tier, unless that was taken at a higher seq: then nothing changes and
        the result is False. A room without a log is somebody's copy of another's room: there a snapshot of another
        epoch takes the place of everything, for positions of two epochs cannot be compared.
        """
        ...

    def load_snapshot(self, room_id: str, tier: Tier) -> bytes | None:
        """The snapshot to begin from for ``tier``: for ACTIVE the deep one, else the brief; for others the newest."""
        ...

    def truncate(self, room_id: str, upto: int, limit: int | None = None) -> int:
        """Drop the log's entries in ``(0, upto]``, at most ``limit`` of them, oldest first; returns how many.

        What lies beyond the deep snapshot stays, whatever ``upto`` is, or where there is none, beyond the brief one: so
        the room can always be brought back. The ids of the dropped messages are forgotten: a late copy of one would be
        a new message. 0 for an unknown room.
        """
        ...

    def rooms(self, after: str = "", limit: int = PAGE) -> tuple[str, ...]:
        """The first ``limit`` room ids after ``after``, in the order of their code points. An empty page is the end."""
        ...

    def delete(self, room_id: str) -> bool:
        """Drop all that is kept of a room, damaged or not. False where there was nothing."""
        ...

    def save_dictionary(self, name: str, data: bytes) -> None:
        """Keep a compression dictionary under its name, which its content gives: the same name is the same content."""
        ...

    def load_dictionary(self, name: str) -> bytes | None:
        """The compression dictionary of that name, or None."""
        ...

    def dictionaries(self) -> tuple[str, ...]:
        """The names of the compression dictionaries, in order."""
        ...

    def damaged(self) -> Mapping[str, str]:
        """The rooms that are set aside, and why: at most 10,000, in the order in which they were found."""
        ...

    def close(self) -> None:
        """Finish what is under way and let go. A second call does nothing; other calls raise `StoreUnavailable`."""
        ...
