"""From an update to the log: numbering, waiting for a number, appending in order, and only then telling anybody.

With durability "none" an update is numbered, applied and delivered at once; "relaxed" then appends it. "logged"
applies at once, so that the room shows it, and delivers when the log has confirmed it. Entries are appended in order
and one append at a time; what comes meanwhile goes along with the next. An append that fails is tried again, as it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from roomstate.effects import (
    Appended,
    AppendLog,
    Audience,
    Deliver,
    Head,
    LoadHead,
    LogEntry,
    Notified,
)
from roomstate.errors import InvalidValue, OverBudget, RoomBusy
from roomstate.holding.house import House
from roomstate.holding.marking import Members, receipt, vanished
from roomstate.holding.notify import NotificationRule, Trigger, concerned, triggers
from roomstate.holding.record import Holding
from roomstate.model import MessageLike, Notification, Status, Tier
from roomstate.position import Position
from roomstate.room.reduce import MEANINGS, Change, Meaning, Outcome, apply
from roomstate.room.states import ActiveRoom
from roomstate.room.tiers import LoadingSignal
from roomstate.room.weight import json_bytes, struct_bytes, text_bytes
from roomstate.updates import (
    LOGGED,
    SETTINGS,
    CountsChanged,
    MessageAdded,
    MessageRemoved,
    NotificationAdded,
    ReceiptRead,
    TypingChanged,
    Update,
)

__all__ = ["Durability"]

_PER_ENTRY = 150  # bytes that an entry costs while it waits, beyond its update; of a message that is in the window too


def _size(update: Update) -> int:
    """Estimate what an update costs while it waits, in bytes, whatever it carries. O(size)."""
    if isinstance(update, MessageAdded):
        message = update.message
        return _PER_ENTRY + text_bytes(message.content) + (json_bytes(message.extra) if message.extra else 0)
    return _PER_ENTRY + struct_bytes(update)


def _emptied(entry: LogEntry) -> LogEntry:
    """Return the entry as the log has it whose message was there before."""
    return LogEntry(entry.seq, entry.ordinal, CountsChanged())


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

    def check(self, room_id: str, update: Update) -> None:
        """Raise ``OverBudget`` or ``RoomBusy`` if the room cannot take ``update`` now."""
        house, bounds = self._house, self._house.bounds
        if type(update) not in LOGGED:
            return
        if house.logged and house.undurable_bytes + _size(update) > bounds.max_undurable_bytes:
            raise OverBudget("max_undurable_bytes", f"{house.undurable_bytes} bytes wait for the log already")
        holding = house.holdings.get(room_id)
        if holding is None:
            return
        if not self.numbered(holding) and len(holding.waiting) >= bounds.max_waiting:
            raise RoomBusy(f"room {room_id!r}", f"{bounds.max_waiting} updates wait for its head already")
        if holding.kept is not None and not house.logged:
            if len(holding.kept) >= bounds.max_waiting:
                raise RoomBusy(f"room {room_id!r}", f"{bounds.max_waiting} updates wait for its load already")
            if holding.kept_bytes + _size(update) > bounds.max_undurable_bytes:
                raise OverBudget("max_undurable_bytes", f"{holding.kept_bytes} bytes wait for the room's load already")

    def keep(self, holding: Holding, entry: LogEntry) -> None:
        """Keep an entry of a room that is being loaded, to be put behind what is loaded. O(size)."""
        if holding.kept is not None:
            holding.kept.append(entry)
            holding.kept_bytes += 0 if self._house.logged else _size(entry.update)  # with a log: once it is durable

    def numbered(self, holding: Holding) -> bool:
        """Whether a new update can be given a seq at once."""
        return not holding.waiting and (holding.room is not None or holding.head is not None) and holding.epoch != ""

    def take(self, holding: Holding, update: Update, now: float) -> None:
        """Number and apply ``update`` now if that can be, or keep it until it can. The caller asked `check`."""
        if type(update) not in LOGGED:
            self.ephemeral(holding, update, now)
        elif self.numbered(holding):
            self._accept(holding, update, now)
        else:
            holding.waiting = (*holding.waiting, update)
            self._weigh_waiting(holding, update, 1)
            self.find_head(holding)

    def find_head(self, holding: Holding) -> None:
        """Ask where the room's log ends, unless it is asked already, or a load will tell."""
        if holding.head_id or holding.room is not None or ("head", holding.room_id) in self._house.due:
            return
        holding.head_id = self._house.ask("head", holding.room_id)
        self._house.out.append(LoadHead(holding.room_id, holding.head_id))

    def flush_waiting(self, holding: Holding, now: float) -> None:
        """Number and apply what waited, in order, now that the head is known."""
        waiting, holding.waiting = holding.waiting, ()
        for update in waiting:
            self._weigh_waiting(holding, update, -1)
            self._accept(holding, update, now)
        self._house.file_cold(holding)  # where all of it was known already, nothing is waited for now

    def _weigh_waiting(self, holding: Holding, update: Update, sign: int) -> None:
        size = sign * _size(update)
        holding.undurable_bytes += size
        self._house.undurable_bytes += size
        self._house.weigh(holding)

    def ephemeral(self, holding: Holding, update: Update, now: float) -> None:
        """Apply what takes no seq, and tell it; where it means nothing it is a misfit."""
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
        self._house.meter.applied[type(update)] += 1
        self._deliver(holding, update, 0)

    def receipt(self, holding: Holding, user: str, message_id: str) -> None:
        """Move the user's marker up to a message, or keep the receipt until that comes."""
        if not receipt(holding, user, message_id):
            self._house.counts["receipt", "dropped"] += 1

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
        self._house.misfit(holding, update, reason)

    # -- numbering ---------------------------------------------------------------------------------------------------

    def _accept(self, holding: Holding, update: Update, now: float) -> None:
        """Give ``update`` the next seq, apply it, and pass it on."""
        ordinal = self._apply(holding, update, now) if holding.room is not None else self._advance(holding, update)
        if ordinal is None:
            return
        self._house.meter.applied[type(update)] += 1
        if holding.plain:
            holding.short -= 1  # it moved the head, and is counted here
        holding.touched = max(holding.touched, now)
        if holding.seq % self._house.limits.active_messages == 0:
            holding.owed_seq = holding.owed_deep = holding.seq
        elif isinstance(update, SETTINGS):
            holding.owed_seq = holding.seq
        if isinstance(update, MessageAdded) and self._house.foresight is not None:
            self._house.foresight.posted(holding.room_id, update.message.user, now)
        self._pass_on(holding, LogEntry(holding.seq, ordinal, update), now)

    def _apply(self, holding: Holding, update: Update, now: float) -> int | None:
        """Apply ``update`` to a live room; return the ordinal after it, or None where it changed nothing."""
        house, room = self._house, holding.room
        assert room is not None
        buried = isinstance(update, MessageRemoved) and update.message_id in room.timeline.tombstones
        change = apply(room, update, room.head + 1, now, house.limits, house.make)
        if change.outcome is Outcome.MISFIT:
            self.misfit(holding, update, change.reason)
            return None
        if change.outcome is Outcome.DUPLICATE:
            house.counts["update", str(update.__struct_config__.tag), "duplicate"] += 1
            return None
        if isinstance(update, MessageRemoved) and not buried:
            self.note_removed(holding, change, room.held_after if holding.kept is None else room.head)
        return room.timeline.ordinal

    def note_removed(self, holding: Holding, change: Change, reach: int) -> None:
        """Take a removed message off what is unread; of one that is not held nobody knows more than ``reach``."""
        if change.removed is not None:
            holding.sync_reads().removed(change.removed_seq, change.removed.user)
        else:
            vanished(holding.sync_reads(), reach)

    def _advance(self, holding: Holding, update: Update) -> int:
        """Move the head of a room at rest; return the ordinal after ``update``."""
        assert holding.head is not None
        position, ordinal = holding.head.position, holding.head.ordinal
        if isinstance(update, MessageAdded):
            ordinal += 1
            at = update.message.timestamp
            holding.activity = at if holding.activity is None else max(holding.activity, at)
        elif isinstance(update, MessageRemoved):
            vanished(holding.reads, position.seq)
        holding.head = Head(Position(position.epoch, position.seq + 1), ordinal)
        holding.reads.head, holding.reads.ordinal = position.seq + 1, ordinal
        return ordinal

    def _pass_on(self, holding: Holding, entry: LogEntry, now: float) -> None:
        house = self._house
        self.keep(holding, entry)
        if house.logged:
            size = _size(entry.update)
            holding.keep(entry)
            holding.undurable_bytes += size
            house.undurable_bytes += size
        else:
            holding.durable = entry.seq
        if isinstance(entry.update, MessageAdded):
            self.posted(holding, entry.update.message, entry.seq)
        elif holding.room is not None:
            holding.feeding().note(entry, now)
        if house.durability != "logged":
            self.announce(holding, entry.update, entry.seq)
        if house.logged:
            self.append(holding)
        house.weigh(holding)

    def posted(self, holding: Holding, message: MessageLike, seq: int) -> None:
        """Count a message as its author's own, and take the receipts that waited for it."""
        holding.reads.posted(message.user)
        if holding.reads.awaited:
            reads = holding.sync_reads()
            for user in reads.awaited.pop(message.id, ()):
                reads.read(user, seq)

    # -- telling -----------------------------------------------------------------------------------------------------

    def announce(self, holding: Holding, update: Update, seq: int) -> None:
        """Deliver what is logged at ``seq`` to its audience, and notify those whom it concerns."""
        self._deliver(holding, update, seq)
        if self._rules and isinstance(update, MessageAdded):
            self.notify(holding, update.message, seq)

    def _deliver(self, holding: Holding, update: Update, seq: int) -> None:
        audience = self._house.audience(holding)
        if audience is not None:
            self._house.out.append(Deliver(audience, update, seq))

    def concerned(self, message: MessageLike, members: Members) -> dict[str, str]:
        """Return whom ``message`` concerns by the host's rules; a rule that raises concerns nobody, and is counted."""
        try:
            return concerned(self._rules, message, members)
        except Exception as error:  # a host's own rule: the message is in the log, whatever a rule thinks of it
            self._house.meter.count(("rule", "failed", type(error).__name__))
            return {}

    def notify(self, holding: Holding, message: MessageLike, seq: int) -> None:
        """Tell those whom ``message`` concerns; their mention counts go up, wherever the room is."""
        markers = holding.reads.markers
        if not markers:
            return

        def author_of(message_id: str) -> str | None:
            found = holding.room.timeline.get(message_id) if holding.room is not None else None
            return found.user if found is not None else None

        for user, kind in self.concerned(message, Members(markers, author_of)).items():
            self._tell(holding, Notification(holding.room_id, user, kind, message.id, seq, message.timestamp))

    def _tell(self, holding: Holding, note: Notification) -> None:
        house = self._house
        holding.reads.mentioned(note.user, note.seq)
        if holding.room is not None:
            holding.room.note(note, house.limits)
            holding.room.changes += 1
        house.out.append(Notified(note))
        if house.foresight is not None:
            house.foresight.notified(note, holding.touched)
        viewers = house.interests.viewers_of_user(holding.room_id, note.user)
        if viewers:
            house.out.append(Deliver(Audience(holding.room_id, holding.epoch, viewers), NotificationAdded(note), 0))

    # -- appending ---------------------------------------------------------------------------------------------------

    def append(self, holding: Holding) -> None:
        """Ask for what is not durable to be appended, unless an append is under way or waits to be tried again."""
        house = self._house
        if holding.append_id or not holding.undurable or ("append", holding.room_id) in house.due:
            return
        holding.append_id = house.ask("append", holding.room_id)
        holding.appending = len(holding.undurable)
        house.out.append(AppendLog(holding.room_id, holding.append_id, holding.epoch, tuple(holding.undurable)))

    def appended(self, holding: Holding, result: Appended) -> None:
        """Take the log's word that it holds everything up to ``result.seq``.

        Raises ``InvalidValue``, and has changed nothing, where that is not what was asked for.
        """
        house = self._house
        first = holding.undurable[0].seq
        if not first + holding.appending > result.seq >= first:
            raise InvalidValue("result.seq", f"must be in [{first}, {first + holding.appending}), got {result.seq}")
        holding.append_id = holding.appending = 0
        house.succeeded(holding, "append")
        if holding.kept is None and holding.status is Status.STALE:
            house.set_status(holding, LoadingSignal.LOADED)
        holding.durable = max(holding.durable, result.seq)
        for entry in self._confirmed(holding, result.seq):
            if entry.seq in result.repeated:
                self._void(holding, entry)
            elif house.durability == "logged":
                self.announce(holding, entry.update, entry.seq)
        self._keep_less(holding)
        self.append(holding)
        house.weigh(holding)
        house.file_cold(holding)

    def _keep_less(self, holding: Holding) -> None:
        """Leave to the log what was kept beyond the bound and is durable; a load that lacks it fails, and is repeated.

        Settings stay, as they were told last: a load may begin after them. O(1), O(kept) where the bound is reached.
        """
        kept, durable = holding.kept, holding.durable
        if kept is not None and holding.kept_bytes > self._house.bounds.max_undurable_bytes:
            told = {type(entry.update): entry.seq for entry in kept if isinstance(entry.update, SETTINGS)}
            last = set(told.values())
            holding.kept = [entry for entry in kept if entry.seq > durable or entry.seq in last]
            holding.kept_bytes = sum(_size(entry.update) for entry in holding.kept if entry.seq <= durable)

    def _confirmed(self, holding: Holding, upto: int) -> Iterable[LogEntry]:
        """Take out the entries that are durable now, one by one."""
        while isinstance(holding.undurable, deque) and holding.undurable[0].seq <= upto:
            entry = holding.undurable.popleft()
            if not holding.undurable:
                holding.undurable = ()
            size = _size(entry.update)
            holding.undurable_bytes -= size
            holding.kept_bytes += size if holding.kept is not None else 0
            self._house.undurable_bytes -= size
            yield entry

    def _void(self, holding: Holding, entry: LogEntry) -> None:
        """Take back a message that the log held already: its seq holds nothing, here and in what is being loaded."""
        house = self._house
        house.counts["update", "message_added", "repeated"] += 1
        room = holding.room
        if holding.kept is not None:
            holding.kept = [_emptied(kept) if kept.seq == entry.seq else kept for kept in holding.kept]
        if not isinstance(entry.update, MessageAdded):
            return
        message = entry.update.message
        if room is not None and room.timeline.seq_of(message.id) == entry.seq:
            room.timeline.withdraw(message.id)
            room.changes += 1
        holding.sync_reads().removed(entry.seq, message.user)

    def append_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Try the append again later; everything stays as it is, and what is shown is STALE: the log is behind it."""
        holding.append_id = holding.appending = 0
        if holding.room is not None and holding.kept is None:  # one that is being loaded is LOADING, or in ERROR
            self._house.set_status(holding, LoadingSignal.LINK_LOST, reason)
        self._house.save_failed(holding, "append", reason, now)
