"""What a manager tells of its rooms: readings, which change nothing."""

from __future__ import annotations

from roomstate.effects import Head
from roomstate.errors import Malformed, UnknownRoom
from roomstate.holding.house import House
from roomstate.holding.invariants import check
from roomstate.holding.record import Holding
from roomstate.holding.surveying import stats_of
from roomstate.holding.tiering import Tiering
from roomstate.holding.view import Progress, RoomView, view_of
from roomstate.image import RoomImage
from roomstate.metrics import Stats
from roomstate.model import Count, MessageLike, Status, Tier, Unread, check_id
from roomstate.position import Gap, Position, Token
from roomstate.room.unread import ReadState
from roomstate.sync.feed import MAX_MISSING, Missing, SnapshotNeeded
from roomstate.updates import MessageAdded, MessageEdited, MessageRemoved

__all__ = ["Readings"]

_CHANGING = (MessageEdited, MessageRemoved)  # what changes messages that were told


class Readings:
    """The readings of `RoomStateManager`, which is the one class that has them."""

    _house: House
    _holdings: dict[str, Holding]
    _tiering: Tiering
    _now: float

    def tier(self, room_id: str) -> Tier:
        """Return a room's tier; UNLOADED also for one never heard of. O(1)."""
        return self._house.tier(room_id)

    def status(self, room_id: str) -> Status:
        """Return what a room's view is worth. Raises ``UnknownRoom``. O(1)."""
        self._known(room_id)
        holding = self._holdings.get(room_id)
        return holding.status if holding is not None else Status.READY

    def gaps(self, room_id: str) -> tuple[Gap, ...]:
        """Return what a room is known to lack. Raises ``UnknownRoom``. O(1)."""
        self._known(room_id)
        holding = self._holdings.get(room_id)
        if holding is None or holding.room is None:
            return ()
        missing = holding.replica.missing(holding.room) if holding.replica is not None else ()
        return (*holding.room.gaps, *missing)

    def unread(self, user: str, room_id: str) -> Unread:
        """Count what ``user`` has not read of a room, at any tier: exact, or "at least". O(log n)."""
        holding = self._holdings.get(room_id)
        reads = self._house.reads_of(room_id) or ReadState()
        found = reads.unread(user, self.gaps(room_id) if holding is not None else ())
        if holding is None or user not in holding.newcomers:
            return found
        return Unread(Count(found.messages.value, exact=False), Count(found.mentions.value, exact=False))

    def known(self) -> tuple[str, ...]:
        """Return the rooms held at any tier above UNLOADED, live ones first, in the order in which they came. O(n)."""
        return (*(holding.room_id for holding in self._house.live()), *self._house.cache)

    def view(self, room_id: str) -> RoomView:
        """Return a frozen reading of a room. O(messages), 1-3 µs for 1000. Raises ``UnknownRoom``."""
        self._known(room_id)
        return view_of(self._house, room_id)

    @property
    def durability(self) -> str:
        """When an update is told to others: "none", "relaxed" or "logged"."""
        return self._house.durability

    def progress(self, room_id: str) -> Progress | None:
        """Return how far a room has come; None for one at rest, where all is safe, and for one unknown. O(1)."""
        holding = self._holdings.get(room_id)
        if holding is None:
            return None
        reads, room = holding.sync_reads(), holding.room
        changes = room.changes if room is not None else 0
        told, waiting = self._told(holding), len(holding.waiting)
        return Progress(holding.epoch, holding.seq, reads.ordinal, told, holding.durable, waiting, changes)

    def find(self, room_id: str, message_id: str) -> tuple[int, MessageLike] | None:
        """Return a message that a live room holds, with its seq; None where it is not in memory. O(1)."""
        holding = self._holdings.get(room_id)
        room = holding.room if holding is not None else None
        message = room.timeline.get(message_id) if room is not None else None
        seq = room.timeline.seq_of(message_id) if room is not None else None
        return (seq, message) if message is not None and seq is not None else None

    def remembers(self, room_id: str, message: MessageLike) -> bool:
        """Whether a live room has had a message and let go of it: removed, or of the last 4,096 that left its memory.

        Those are looked at only for a message that was written before the newest of them: ``message.timestamp`` must be
        when its author wrote it. O(1), where they are looked at O(them).
        """
        holding = self._holdings.get(room_id)
        timeline = holding.room.timeline if holding is not None and holding.room is not None else None
        if timeline is None or timeline.is_new(message) or message.id in timeline.held:
            return False
        return timeline.knows(message.id)

    def interest(self, viewer: str, room_id: str) -> Tier:
        """Return the tier of a viewer's interest in a room; UNLOADED where it has none, or it lapsed. O(1)."""
        held = self._house.interests.get(viewer, room_id)
        return held.tier if held is not None else Tier.UNLOADED

    def token(self, room_id: str) -> Token:
        """Return the resume position of a copy that has all that was told of a live room. Raises ``UnknownRoom``."""
        holding = self._live(room_id)
        assert holding.room is not None
        mine = holding.replica.token(holding.room) if holding.replica is not None else None
        return mine if mine is not None else holding.feeding().token(holding.room, self._told(holding))

    def since(self, room_id: str, token: Token | str, *, limit: int = MAX_MISSING) -> Missing | SnapshotNeeded:
        """Return what a copy at ``token`` lacks of a live room, or that it needs a new image (`image`), and why.

        A malformed token needs one too. So does every token while an edit or a removal waits for the log: messages are
        then held as they may not be told yet; ask again when it is durable. O(answer). Raises ``UnknownRoom``.
        """
        holding = self._live(room_id)
        assert holding.room is not None
        if self._house.durability == "logged" and any(isinstance(e.update, _CHANGING) for e in holding.undurable):
            return SnapshotNeeded("not durable yet")
        try:
            position = token if isinstance(token, Token) else Token.from_str(token)
        except Malformed:
            return SnapshotNeeded("malformed token")
        return holding.feeding().since(holding.room, position, self._told(holding), limit)

    def _told(self, holding: Holding) -> int:
        """Return how far copies may know: what is not durable yet is not told where the log comes first."""
        return holding.durable if self._house.durability == "logged" else holding.seq

    def weight(self, room_id: str) -> int:
        """Return what a room holds in memory, in bytes, at any tier, within 10 %; 0 for one not known. O(1)."""
        holding = self._holdings.get(room_id)
        if holding is not None:
            return holding.bytes
        return len(self._house.cache.peek(room_id) or b"")

    def head(self, room_id: str) -> Head:
        """Return how far copies of a live room may know, for a heartbeat. O(1). Raises ``UnknownRoom``."""
        holding = self._live(room_id)
        told, ordinal = self._told(holding), holding.sync_reads().ordinal
        waiting = next((entry for entry in holding.undurable if entry.seq > told), None)
        if waiting is not None:
            ordinal = waiting.ordinal - isinstance(waiting.update, MessageAdded)
        return Head(Position(holding.epoch, told), ordinal)

    def image(self, room_id: str) -> RoomImage:
        """Return all of a live room as values, to start a copy from. O(messages). Raises ``UnknownRoom``."""
        holding = self._live(room_id)
        return self._tiering.leaving.image(holding, self._now)

    def stats(self) -> Stats:
        """Return what the manager holds and has done, as a value. O(rooms)."""
        return stats_of(self._house)

    def next_deadline(self) -> float | None:
        """Return when `tick` is due next, or None. It may then find nothing to do. O(log n)."""
        house = self._house
        times = (house.due.next(), house.interests.next_lapse(), house.cache.next_expiry())
        return min((at for at in times if at is not None), default=None)

    def _known(self, room_id: str) -> None:
        house = self._house
        check_id("room_id", room_id)
        if room_id not in self._holdings and room_id not in house.cache and room_id not in house.resting:
            raise UnknownRoom(f"room {room_id!r}", "is not known here: enter it, or publish to it")

    def _live(self, room_id: str) -> Holding:
        check_id("room_id", room_id)
        holding = self._holdings.get(room_id)
        if holding is None or holding.room is None:
            raise UnknownRoom(f"room {room_id!r}", "is not held here: enter or follow it first")
        return holding

    def check(self) -> None:
        """Assert every invariant of everything that is held; for tests. O(everything)."""
        check(self._house)
