"""One room as the manager holds it."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from msgspec import Struct, field

from roomstate.effects import Audience, Head, LogEntry
from roomstate.holding.counting import Promotion
from roomstate.image import RoomImage
from roomstate.model import Status, Tier
from roomstate.room.states import CachedRoom, LiveRoom
from roomstate.room.unread import ReadState
from roomstate.sync.conflict import Pending
from roomstate.sync.echo import Echoes
from roomstate.sync.feed import RoomFeed
from roomstate.sync.parking import Parking
from roomstate.sync.replica import RoomReplica
from roomstate.updates import Update

__all__ = ["Holding"]


class Holding(Struct, eq=False, gc=False):
    """One room that is live, or whose log is being written to.

    ``room`` is None while only the head is known (or not even that): the room itself is at rest. ``plain`` says that a
    new message may take the short way: the room is live, numbered here, its audience is known, and nothing is waited
    for. ``waiting`` are updates that have no seq yet; ``undurable`` are entries that the log has not confirmed, of
    which ``appending`` are under way. ``kept`` are the entries that came since a load was asked for; as long as it is
    not None the room lacks what its tier holds; those of them that wait for no log hold ``kept_bytes``. ``packed`` is
    the record that such a room came from. ``saving`` is an image on its way to the store, and ``saving_bytes`` what it
    alone keeps in memory. ``newcomers`` are users whose marker is a guess until the load tells what the store knows.
    ``activity`` is the time of the newest message of a room at rest. ``owed_seq`` is the last entry that a snapshot is
    owed for, so that the room can be brought back whole: a configuration, or one in as many as an ACTIVE room holds
    messages; then a snapshot with members and history, ``owed_deep``. ``own`` is the host's own interest.
    ``informed``: what a live room says of itself is whole, and not only what came since a load was asked for.
    ``replica`` is what a copy knows of its authority, ``echoes`` what its users have sent, and ``sends`` the client ids
    of those under way, by request. ``conflicts`` are choices that somebody may make, by number.
    ``brief`` says that nobody wants older messages and members, ``apart`` that a copy does not listen to its authority,
    ``lost`` that a foreign source is known not to be heard, ``missed`` that it was not, or not all of it, while the
    room was at rest or being loaded.
    ``promotion`` is the way up that waits for a load; ``short`` counts messages that took the short way, less the head
    while ``plain``.
    """

    room_id: str
    reads: ReadState
    tier: Tier = Tier.UNLOADED
    status: Status = Status.READY
    room: LiveRoom | None = None
    head: Head | None = None
    own: Tier = Tier.UNLOADED
    informed: bool = False
    audience: Audience | None = None
    audience_known: bool = False
    plain: bool = False
    short: int = 0
    promotion: Promotion | None = None
    touched: float = 0.0
    bytes: int = 0
    timeline_bytes: int = 0
    leaving_bytes: int = 0
    durable: int = 0
    waiting: tuple[Update, ...] = ()
    undurable: deque[LogEntry] | tuple[LogEntry, ...] = ()  # a deque takes 700 bytes: few rooms need one
    undurable_bytes: int = 0
    appending: int = 0
    append_id: int = 0
    load_id: int = 0
    head_id: int = 0
    save_id: int = 0
    fetch_id: int = 0
    kept: list[LogEntry] | None = None
    kept_bytes: int = 0
    packed: CachedRoom | None = None
    saving: RoomImage | None = None
    saving_bytes: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    newcomers: dict[str, None] = field(default_factory=dict)
    activity: datetime | None = None
    owed_seq: int = 0
    owed_deep: int = 0
    snapshot_seq: int = 0
    feed: RoomFeed | None = None
    feed_floor: int = 0
    feed_mark: str = ""
    cursor: str | None = None
    replica: RoomReplica | None = None
    echoes: Echoes | None = None
    parking: Parking | None = None
    sends: dict[int, str] = {}
    conflicts: dict[int, Pending] = {}
    brief: bool = False
    apart: bool = False
    lost: bool = False
    missed: bool = False

    @property
    def seq(self) -> int:
        """The seq of the last update numbered."""
        if self.room is not None:
            return self.room.head
        return self.head.position.seq if self.head is not None else 0

    @property
    def epoch(self) -> str:
        """The epoch of the room's log; "" where it is not known yet."""
        if self.room is not None:
            return self.room.epoch
        return self.head.position.epoch if self.head is not None else ""

    def touched_by(self, now: float) -> float:
        """When the room was last touched, at most ``now``: a message that took the short way tells it itself. O(1)."""
        newest = self.room.timeline.newest if self.room is not None else None
        return self.touched if newest is None else max(self.touched, min(now, newest.timestamp.timestamp()))

    def feeding(self) -> RoomFeed:
        """Return the room's feed, making one where there is none. O(1)."""
        if self.feed is None:
            self.feed = RoomFeed(self.feed_floor, self.feed_mark)
        return self.feed

    def fingerprint(self) -> str:
        """Return that of the last entry of a live room, as far as it is known. O(log n)."""
        assert self.room is not None
        if self.replica is not None:
            return self.replica.fingerprint
        feed = self.feed if self.feed is not None else RoomFeed(self.feed_floor, self.feed_mark)
        return feed.token(self.room, self.room.head).fingerprint

    def keep(self, entry: LogEntry) -> None:
        """Add an entry to those that the log has not confirmed. O(1)."""
        undurable = self.undurable if isinstance(self.undurable, deque) else deque()
        undurable.append(entry)
        self.undurable = undurable

    @property
    def shortly(self) -> int:
        """How many messages took the short way of `publish`."""
        return self.short + self.seq if self.plain else self.short

    def set_plain(self, plain: bool) -> None:
        """Let the next message take the short way, or not. O(1)."""
        if plain is not self.plain:
            self.short += -self.seq if plain else self.seq
            self.plain = plain

    @property
    def idle(self) -> bool:
        """Whether nothing is waited for: the room may leave memory."""
        if self.kept is not None and self.owed_seq > self.snapshot_seq:
            return False  # what it was told last is in no snapshot, and it cannot be saved before it is loaded
        return not (self.waiting or self.undurable or self.load_id or self.head_id or self.sends)

    @property
    def asked(self) -> tuple[int, ...]:
        """The requests that are outstanding, and 0 for those that are not. O(sends)."""
        ids = (self.append_id, self.load_id, self.head_id, self.save_id, self.fetch_id, *self.sends)
        return ids if self.replica is None else (*ids, self.replica.request_id)

    def following(self) -> RoomReplica:
        """Return what the room knows of its authority, beginning with nothing. O(1)."""
        if self.replica is None:
            self.replica = RoomReplica()
        return self.replica

    def sending(self) -> Echoes:
        """Return what the room's users have sent, making a place for it where there is none. O(1)."""
        if self.echoes is None:
            self.echoes = Echoes()
        return self.echoes

    def parking_lot(self) -> Parking:
        """Return where updates wait for their messages, making it where there is none. O(1)."""
        if self.parking is None:
            self.parking = Parking()
        return self.parking

    def sync_reads(self) -> ReadState:
        """Bring the read state up to the room's head, and return it. O(1)."""
        if self.room is not None:
            self.reads.head = self.room.head
            self.reads.ordinal = self.room.timeline.ordinal
        return self.reads
