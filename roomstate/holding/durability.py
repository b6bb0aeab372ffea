"""From an update to the log: numbering, waiting for a number, appending in order, and only then telling anybody.

With durability "none" an update is numbered, applied and delivered at once; "relaxed" then appends it. "logged"
applies at once, so that the room shows it, and delivers when the log has confirmed it. Entries are appended in order
and one append at a time; what comes meanwhile goes along with the next. An append that fails is tried again, as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import structs

from roomstate.effects import (
    Appended,
    AppendLog,
    Audience,
    Deliver,
    Head,
    LoadHead,
    LogEntry,
    Misfit,
    Notified,
    SaveFailed,
)
from roomstate.errors import OverBudget, RoomBusy
from roomstate.holding.notify import NotificationRule, Trigger, concerned, triggers
from roomstate.holding.record import Holding, House
from roomstate.model import UNSTAMPED, Message, MessageLike, Notification, Tier
from roomstate.position import Position
from roomstate.room.reduce import MEANINGS, Change, Meaning, Outcome, apply, check_message
from roomstate.room.states import ActiveRoom
from roomstate.updates import LOGGED, MessageAdded, NotificationAdded, ReceiptRead, TypingChanged, Update

__all__ = ["Durability"]

_PER_ENTRY = 150  # bytes that an entry costs while it waits, beyond its message


def _size(update: Update) -> int:
    content = update.message.content.__sizeof__() if isinstance(update, MessageAdded) else 200
    return _PER_ENTRY + content


class Durability:
    """Numbers the updates of every room of a house, and sees them into the log and to their audience."""

    __slots__ = ("_house", "_rules", "at", "every", "extra")

    def __init__(self, house: House, rules: tuple[NotificationRule, ...]) -> None:
        self._house = house
        self._rules = rules
        asked = triggers(rules)
        self.at: bool = Trigger.AT in asked
        self.extra: bool = Trigger.EXTRA in asked
        self.every: bool = Trigger.ANYTHING in asked

    # -- taking updates ----------------------------------------------------------------------------------------------

    def stamped(self, update: Update, now: float) -> Update:
        """Return ``update`` with its message stamped, if it was made without a timestamp."""
        if isinstance(update, MessageAdded) and update.message.timestamp is UNSTAMPED:
            message = update.message
            assert isinstance(message, Message)  # nobody else has that very timestamp
            return MessageAdded(structs.replace(message, timestamp=datetime.fromtimestamp(now, UTC)))
        return update

    def check(self, holding: Holding, update: Update) -> None:
        """Raise ``OverBudget`` or ``RoomBusy`` if the room cannot take a logged update now."""
        bounds = self._house.bounds
        if self._house.logged and self._house.undurable_bytes + _size(update) > bounds.max_undurable_bytes:
            raise OverBudget("max_undurable_bytes", f"{self._house.undurable_bytes} bytes wait for the log already")
        if not self.numbered(holding) and len(holding.waiting) >= bounds.max_waiting:
            raise RoomBusy(f"room {holding.room_id!r}", f"{bounds.max_waiting} updates wait for its head already")

    def numbered(self, holding: Holding) -> bool:
        """Whether a new update can be given a seq at once."""
        return not holding.waiting and (holding.room is not None or holding.head is not None) and not holding.head_id

    def take(self, holding: Holding, update: Update, now: float) -> None:
        """Number and apply ``update`` now if that can be, or keep it until it can. The caller asked `check`."""
        if type(update) not in LOGGED:
            self._take_ephemeral(holding, update, now)
        elif self.numbered(holding):
            self._accept(holding, update, now)
        else:
            if isinstance(update, MessageAdded):
                check_message(update.message)
            holding.waiting.append(update)
            self._weigh_waiting(holding, update, 1)
            if not holding.load_id and not holding.head_id:
                self.find_head(holding)

    def find_head(self, holding: Holding) -> None:
        """Ask where the room's log ends."""
        holding.head_id = self._house.ask("head", holding.room_id)
        self._house.out.append(LoadHead(holding.room_id, holding.head_id))

    def flush_waiting(self, holding: Holding, now: float) -> None:
        """Number and apply what waited, in order, now that the head is known."""
        waiting = list(holding.waiting)
        holding.waiting.clear()
        for update in waiting:
            self._weigh_waiting(holding, update, -1)
            self._accept(holding, update, now)

    def _weigh_waiting(self, holding: Holding, update: Update, sign: int) -> None:
        size = sign * _size(update)
        holding.undurable_bytes += size
        self._house.undurable_bytes += size
        self._house.weigh(holding)

    def _take_ephemeral(self, holding: Holding, update: Update, now: float) -> None:
        room = holding.room
        meaning = MEANINGS[holding.tier if room is not None else Tier.UNLOADED, type(update)]
        if meaning is Meaning.MISFIT:
            self.misfit(holding, update, f"{type(update).__name__} means nothing to a {holding.tier.name} room")
            return
        if room is not None:
            change = apply(room, update, room.head, now, self._house.limits, self._house.make)
            if change.outcome is not Outcome.APPLIED:
                self.misfit(holding, update, change.reason)
                return
        if isinstance(update, ReceiptRead):
            self.receipt(holding, update.user_id, update.message_id)
        elif isinstance(update, NotificationAdded):
            note = update.notification
            holding.sync_reads().mentioned(note.user, note.seq)
            self._house.out.append(Notified(note))
        elif isinstance(update, TypingChanged):
            self._watch_typing(holding)
        self._house.counts["update", str(update.__struct_config__.tag), "applied"] += 1
        self._deliver(holding, update, 0)

    def receipt(self, holding: Holding, user: str, message_id: str) -> bool:
        """Move the user's marker up to a message, or keep the receipt until that comes. Return whether it moved."""
        room = holding.room
        seq = room.timeline.seq_of(message_id) if room is not None else None
        if room is not None and seq is None and room.timeline.knows(message_id):
            return False  # long read, or removed
        if room is None or seq is None:
            holding.plain = False
            if not holding.reads.await_message(user, message_id):
                self._house.counts["receipt", "dropped"] += 1
            return False
        complete = seq >= room.held_after
        return holding.sync_reads().read(user, seq, room.timeline.messages_after(seq), complete=complete)

    def expire_typing(self, holding: Holding, now: float) -> None:
        """Take those to have stopped typing whose time is over, and look again when the next one's is."""
        room = holding.room
        if not isinstance(room, ActiveRoom):
            return
        for user in [user for user, until in room.typing.items() if until <= now]:
            del room.typing[user]
            room.changes += 1
            self._deliver(holding, TypingChanged(user, 0.0), 0)
        self._watch_typing(holding)

    def _watch_typing(self, holding: Holding) -> None:
        room = holding.room
        if isinstance(room, ActiveRoom) and room.typing:
            self._house.due.set(("typing", holding.room_id), min(room.typing.values()))

    def misfit(self, holding: Holding, update: Update, reason: str) -> None:
        """Count and tell that an update had no meaning."""
        self._house.counts["update", str(update.__struct_config__.tag), "misfit"] += 1
        self._house.out.append(Misfit(holding.room_id, update, reason))

    # -- numbering ---------------------------------------------------------------------------------------------------

    def _accept(self, holding: Holding, update: Update, now: float) -> None:
        """Give ``update`` the next seq, apply it, and pass it on."""
        house = self._house
        kind = str(update.__struct_config__.tag)
        seq = holding.seq + 1
        room = holding.room
        if room is not None:
            change = apply(room, update, seq, now, house.limits, house.make)
            if change.outcome is not Outcome.APPLIED:
                if change.outcome is Outcome.MISFIT:
                    self.misfit(holding, update, change.reason)
                else:
                    house.counts["update", kind, "duplicate"] += 1
                return
            ordinal = room.timeline.ordinal
            self._note_change(holding, change)
        else:
            assert holding.head is not None
            if isinstance(update, MessageAdded):
                check_message(update.message)
            ordinal = holding.head.ordinal + isinstance(update, MessageAdded)
            holding.head = Head(Position(holding.head.position.epoch, seq), ordinal)
            holding.reads.head, holding.reads.ordinal = seq, ordinal
        house.counts["update", kind, "applied"] += 1
        holding.touched = max(holding.touched, now)
        self._pass_on(holding, LogEntry(seq, ordinal, update), now)

    def _note_change(self, holding: Holding, change: Change) -> None:
        if change.removed is not None:
            holding.sync_reads().removed(change.removed_seq, change.removed.user)

    def _pass_on(self, holding: Holding, entry: LogEntry, now: float) -> None:
        house = self._house
        if holding.kept is not None:
            holding.kept.append(entry)
        if house.logged:
            size = _size(entry.update)
            holding.undurable.append(entry)
            holding.undurable_bytes += size
            house.undurable_bytes += size
        else:
            holding.durable = entry.seq
        if isinstance(entry.update, MessageAdded):
            self._posted(holding, entry.update.message, entry.seq)
        elif holding.room is not None:
            holding.feeding().note(entry, now)
        if house.durability != "logged":
            self.announce(holding, entry)
        if house.logged:
            self.append(holding)
        house.weigh(holding)

    def _posted(self, holding: Holding, message: MessageLike, seq: int) -> None:
        reads = holding.sync_reads()
        reads.posted(message.user)
        for user in reads.awaited.pop(message.id, ()):
            reads.read(user, seq)

    # -- telling -----------------------------------------------------------------------------------------------------

    def announce(self, holding: Holding, entry: LogEntry) -> None:
        """Deliver an entry to its audience, and notify those whom it concerns."""
        update = entry.update
        self._deliver(holding, update, entry.seq)
        if isinstance(update, MessageAdded) and self._rules:
            self.notify(holding, update.message, entry.seq)

    def _deliver(self, holding: Holding, update: Update, seq: int) -> None:
        audience = self._house.audience(holding)
        if audience is not None:
            self._house.out.append(Deliver(audience, update, seq))

    def notify(self, holding: Holding, message: MessageLike, seq: int) -> None:
        """Tell those whom ``message`` concerns; their mention counts go up, wherever the room is."""
        reads = holding.sync_reads()
        if not reads.markers:
            return
        for user, kind in concerned(self._rules, message, _Members(holding)).items():
            reads.mentioned(user, seq)
            note = Notification(holding.room_id, user, kind, message.id, seq, message.timestamp)
            if holding.room is not None:
                holding.room.note(note, self._house.limits)
                holding.room.changes += 1
            self._house.out.append(Notified(note))
            viewers = self._house.interests.viewers_of_user(holding.room_id, user)
            if viewers:
                audience = Audience(holding.room_id, holding.epoch, viewers)
                self._house.out.append(Deliver(audience, NotificationAdded(note), 0))

    # -- appending ---------------------------------------------------------------------------------------------------

    def append(self, holding: Holding) -> None:
        """Ask for what is not durable to be appended, unless an append is under way or waits to be tried again."""
        house = self._house
        if holding.append_id or not holding.undurable or ("retry", holding.room_id) in house.due:
            return
        holding.append_id = house.ask("append", holding.room_id)
        holding.appending = len(holding.undurable)
        house.out.append(AppendLog(holding.room_id, holding.append_id, holding.epoch, tuple(holding.undurable)))

    def appended(self, holding: Holding, result: Appended) -> None:
        """Take the log's word that it holds everything up to ``result.seq``."""
        house = self._house
        holding.append_id = holding.appending = holding.failures = 0
        holding.durable = max(holding.durable, result.seq)
        while holding.undurable and holding.undurable[0].seq <= result.seq:
            entry = holding.undurable.popleft()
            size = _size(entry.update)
            holding.undurable_bytes -= size
            house.undurable_bytes -= size
            if entry.seq in result.repeated:
                self._void(holding, entry)
            elif house.durability == "logged":
                self.announce(holding, entry)
        self.append(holding)
        house.weigh(holding)

    def _void(self, holding: Holding, entry: LogEntry) -> None:
        """Take back a message that the log held already: its seq holds nothing."""
        house = self._house
        house.counts["update", "message_added", "repeated"] += 1
        room = holding.room
        if not isinstance(entry.update, MessageAdded):
            return
        message = entry.update.message
        if room is not None and room.timeline.seq_of(message.id) == entry.seq:
            room.timeline.withdraw(message.id)
            room.changes += 1
        holding.sync_reads().removed(entry.seq, message.user)

    def append_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Try the append again later; everything stays as it is."""
        holding.append_id = holding.appending = 0
        self.retry(holding, reason, now)

    def retry(self, holding: Holding, reason: str, now: float) -> None:
        """Set the room's next try: after ``retry_s``, twice that, and so on up to ``max_retry_s``."""
        bounds = self._house.bounds
        delay = min(bounds.max_retry_s, bounds.retry_s * 2.0 ** min(holding.failures, 30))
        holding.failures += 1
        self._house.due.set(("retry", holding.room_id), now + delay)
        self._house.out.append(SaveFailed(holding.room_id, reason, now + delay))


class _Members:
    """What notification rules may know of a room."""

    __slots__ = ("_holding",)

    def __init__(self, holding: Holding) -> None:
        self._holding = holding

    def __contains__(self, user: str) -> bool:
        return user in self._holding.reads.markers

    def __iter__(self) -> Iterator[str]:
        return iter(self._holding.reads.markers)

    def author_of(self, message_id: str) -> str | None:
        room = self._holding.room
        message = room.timeline.get(message_id) if room is not None else None
        return message.user if message is not None else None
