"""What each tier holds of a room.

`ActiveRoom` and `BackgroundRoom` are live: the reducer changes them. A `CachedRoom` is read off the packed bytes that
the cache holds, and an `UnloadedRoom` is its id. Going down is `demoted` and `packed`; going up is `promoted`, and then
`from_image` with what was loaded.

Live rooms are invisible to the garbage collector: walking 100,000 of them would stop a program for tenths of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, Self

import msgspec
from msgspec import Struct, field, structs

from roomstate.effects import Head
from roomstate.errors import DamagedSnapshot
from roomstate.model import EMPTY, MessageLike, Notification, RoomConfig, RoomInfo, Tier, check_bound
from roomstate.position import Gap, Position
from roomstate.room.buffer import CircularBuffer
from roomstate.room.roster import Roster
from roomstate.room.timeline import Timeline
from roomstate.room.weight import json_bytes

__all__ = ["ActiveRoom", "BackgroundRoom", "CachedRoom", "Digest", "Limits", "LiveRoom", "UnloadedRoom"]

_ROOM_BYTES = 1200  # an empty live room with its timeline, measured by `python -m benchmarks memory`
_NOTIFICATION_BYTES = 300
_NO_INFO = RoomInfo()
_NO_CONFIG = RoomConfig()


class Digest(Protocol):
    """What sums up the messages that leave a room's memory: `roomstate.room.digest.MessageDigest`, or a host's own."""

    @property
    def bytes(self) -> int:
        """What it holds in memory, in bytes."""
        ...

    def add(self, messages: Iterable[MessageLike], /) -> None:
        """Take in messages that leave, each once."""
        ...

    def merge(self, other: Self, /) -> Self:
        """Return the digest of both, with this one's settings."""
        ...

    def to_plain(self) -> Mapping[str, Any]:
        """Return plain values, which an image keeps."""
        ...

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], /) -> Self:
        """Return what `to_plain` said."""
        ...


class Limits(Struct, frozen=True):
    """How much a room may hold: messages at ACTIVE and at BACKGROUND, notifications, bytes of messages, users typing.

    The counts are the specification's (DESIGN §9); 16 MiB are sixteen times a room of 1000 messages of 1 kB, and 100
    are more names than anybody reads in a line. Raises ``InvalidValue`` for less than 1.

    ``digest`` makes the digest that sums up the messages which leave a room's memory (`MessageDigest`, or a lambda that
    gives it stop words); None, the default, keeps none: it costs some µs for each message that leaves.
    """

    active_messages: int = 1000
    background_messages: int = 50
    notifications: int = 100
    room_bytes: int = 1 << 24
    typing: int = 100
    digest: Callable[[], Digest] | None = None

    def __post_init__(self) -> None:
        for name in ("active_messages", "background_messages", "notifications", "room_bytes", "typing"):
            check_bound(f"limits.{name}", getattr(self, name))

    def messages(self, tier: Tier) -> int:
        """Return how many messages a room holds at ``tier``."""
        return self.active_messages if tier is Tier.ACTIVE else self.background_messages


class LiveRoom(Struct, eq=False, gc=False):
    """What ACTIVE and BACKGROUND rooms share.

    ``head`` is the seq of the last update applied, ``floor`` the position at and below which nothing is known.
    ``changes`` counts changes that took no seq: ``(head, changes)`` names a state of the room. ``info`` is what was
    told of the room; `summary` is that with its last activity. ``roster`` has the members at ACTIVE, and at BACKGROUND
    only who is present, so that each counts once. ``gaps`` are ascending, and do not overlap.
    """

    room_id: str
    epoch: str
    timeline: Timeline
    floor: int = 0
    changes: int = 0
    info: RoomInfo = _NO_INFO
    config: RoomConfig = _NO_CONFIG
    moderation: Mapping[str, Any] = EMPTY
    gaps: tuple[Gap, ...] = ()
    notifications: CircularBuffer[Notification] | None = None
    roster: Roster = field(default_factory=Roster)
    digest: Digest | None = None

    tier = Tier.BACKGROUND

    @property
    def head(self) -> int:
        """The seq of the last update applied: the timeline counts it."""
        return self.timeline.head

    @head.setter
    def head(self, seq: int) -> None:
        self.timeline.head = seq

    @property
    def position(self) -> Position:
        """How far this copy has come."""
        return Position(self.epoch, self.head)

    @property
    def held_after(self) -> int:
        """How far back the window reaches: messages in ``(held_after, head]`` are held, or in a gap."""
        return max(self.floor, self.timeline.after)

    @property
    def present(self) -> int:
        """How many users are online, away or busy, as far as anybody has told. O(1)."""
        return self.roster.present

    @property
    def summary(self) -> RoomInfo:
        """``info`` with the time of the newest message held, if that is later than what was told. O(1)."""
        newest, told = self.timeline.newest, self.info.last_activity
        if newest is None or (told is not None and told >= newest.timestamp):
            return self.info
        return structs.replace(self.info, last_activity=newest.timestamp)

    @property
    def bytes(self) -> int:
        """What the room holds in memory, in bytes, within 10 %. O(moderation)."""
        noted = len(self.notifications) * _NOTIFICATION_BYTES if self.notifications is not None else 0
        summed_up = self.digest.bytes if self.digest is not None else 0
        told = json_bytes(self.moderation) if self.moderation else 0
        return _ROOM_BYTES + self.timeline.bytes + self.roster.bytes + noted + summed_up + told

    def note(self, notification: Notification, limits: Limits) -> None:
        """Keep a notification; the oldest beyond the bound goes. O(1)."""
        if self.notifications is None:
            self.notifications = CircularBuffer(limits.notifications)
        self.notifications.append(notification)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        self.timeline.check()
        self.roster.check()
        assert self.floor <= self.held_after <= self.head or self.timeline.by_time
        assert all(self.floor <= gap.after < gap.upto <= self.head for gap in self.gaps)
        assert all(a.upto <= b.after for a, b in zip(self.gaps, self.gaps[1:], strict=False))
        assert all(seq <= self.head for seq in self.timeline.seqs())
        if self.notifications is not None:
            self.notifications.check()


class BackgroundRoom(LiveRoom, eq=False, gc=False):
    """A followed room: the newest 50 messages, how many are present, both configurations, notifications."""


class ActiveRoom(LiveRoom, eq=False, gc=False):
    """A room that somebody looks at: up to 1000 messages, the members, typing, and per-viewer UI state.

    ``typing`` maps a user to the time at which they are taken to have stopped.
    """

    typing: dict[str, float] = field(default_factory=dict)
    ui_state: dict[str, Any] = field(default_factory=dict)

    tier = Tier.ACTIVE

    @property
    def bytes(self) -> int:
        """What the room holds in memory, in bytes, within 10 %. O(moderation)."""
        return super().bytes + 200 * (len(self.typing) + len(self.ui_state))


class CachedRoom(Struct, frozen=True, eq=False):
    """A room at rest, as its packed bytes tell without being decompressed.

    Packed are a 2-byte length, this record as JSON, and the snapshot (empty: it lies in the store). ``full`` says that
    the snapshot is the store's best for ACTIVE, not what a BACKGROUND room held.
    """

    room_id: str
    tier = Tier.CACHED
    head: Head
    info: RoomInfo
    snapshot_seq: int
    taken_at: float
    snapshot: bytes
    by_time: bool = False
    full: bool = False

    @property
    def in_store(self) -> bool:
        """Whether the snapshot lies in the store only."""
        return not self.snapshot

    def packed(self) -> bytes:
        """Return the bytes that `unpacked` reads. O(size)."""
        record = _Packed(
            self.head.position.epoch,
            self.head.position.seq,
            self.head.ordinal,
            self.snapshot_seq,
            self.taken_at,
            self.info,
            self.by_time,
            self.full,
        )
        plain = msgspec.json.encode(record)
        return b"".join((len(plain).to_bytes(2, "big"), plain, self.snapshot))

    @classmethod
    def unpacked(cls, room_id: str, packed: bytes) -> CachedRoom:
        """Read what `packed` wrote. O(1), but for copying the snapshot. Raises ``DamagedSnapshot``."""
        start = 2 + int.from_bytes(packed[:2], "big")
        try:
            record = _decode_packed(packed[2:start])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DamagedSnapshot(room_id, f"its cached record cannot be read: {error}") from None
        head = Head(Position(record.epoch, record.seq), record.ordinal)
        at, seq = record.taken_at, record.snapshot_seq
        return cls(room_id, head, record.info, seq, at, packed[start:], record.by_time, record.full)


class _Packed(Struct, frozen=True, array_like=True):
    epoch: str
    seq: int
    ordinal: int
    snapshot_seq: int
    taken_at: float
    info: RoomInfo
    by_time: bool = False
    full: bool = False


_decode_packed = msgspec.json.Decoder(_Packed).decode


class UnloadedRoom(Struct, frozen=True, eq=False):
    """A room of which only the id is here."""

    room_id: str
    tier = Tier.UNLOADED
