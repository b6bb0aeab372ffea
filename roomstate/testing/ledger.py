"""What really happened in a simulated world: every entry of every log, as it was given out, and what was promised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, field

from roomstate.effects import Appended, Head, LogEntry
from roomstate.manager import RoomStateManager
from roomstate.model import Tier
from roomstate.store.base import PAGE
from roomstate.store.memory import MemoryStore
from roomstate.updates import LOGGED, SETTINGS, MessageAdded, MessageRemoved, Update

__all__ = ["Book", "Ledger", "LedgerStore", "Witness"]


class Book(Struct, eq=False):
    """The log of one room in one epoch. Where it fell back, ``earlier`` has what it was each time, oldest first.

    ``read`` has the seqs after which it was read from the disk; up to ``cut`` the disk has let go of it.
    """

    updates: dict[int, Update] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)  # id -> the seq at which its message was added
    removed: dict[str, int] = field(default_factory=dict)  # id -> the seq at which it was removed first
    read: set[int] = field(default_factory=set)
    cut: int = 0
    earlier: tuple[Book, ...] = ()

    def write(self, seq: int, update: Update) -> None:
        """Write an entry down. O(1)."""
        self.updates[seq] = update
        if isinstance(update, MessageAdded):
            if self.added.get(update.message.id, 0) <= self.cut:  # what is forgotten may come again
                self.added[update.message.id] = seq
        elif isinstance(update, MessageRemoved):
            self.removed.setdefault(update.message_id, seq)


class Ledger:
    """The books of all rooms, by room and epoch; which epoch is the current one; and what clients were promised.

    ``acknowledged`` has (room, message id) of every message that a client was told is safe.
    """

    def __init__(self) -> None:
        self.books: dict[tuple[str, str], Book] = {}
        self.epochs: dict[str, str] = {}
        self.acknowledged: dict[tuple[str, str], None] = {}
        self.saved: dict[str, int] = {}  # room -> the newest snapshot's seq
        self.unsure: dict[tuple[str, type[Update]], int] = {}  # settings that a crash may have cost, and their seq

    def book(self, room_id: str, epoch: str) -> Book:
        """Return the book of a room's epoch, a new one where there is none."""
        return self.books.setdefault((room_id, epoch), Book())

    def current(self, room_id: str) -> Book:
        """Return the book that is written in now."""
        return self.book(room_id, self.epochs.get(room_id, ""))

    def write(self, room_id: str, epoch: str, entries: Iterable[LogEntry], repeated: Sequence[int] = ()) -> None:
        """Write down what the log has taken. ``repeated`` are seqs that hold nothing."""
        self.epochs[room_id] = epoch
        book = self.book(room_id, epoch)
        for entry in entries:
            if entry.seq not in repeated and entry.seq not in book.updates:
                book.write(entry.seq, entry.update)

    def promise(self, room_id: str, message_id: str) -> None:
        """Note that a client was told that its message is safe. A word from before a fall-back counts no more."""
        book = self.current(room_id)
        if not book.earlier or message_id in book.added or message_id in book.removed:
            self.acknowledged[room_id, message_id] = None

    def lose(self) -> None:
        """Forget what was promised: the log is gone, and with it what was in it."""
        self.acknowledged.clear()
        self.epochs.clear()
        self.saved.clear()
        self.unsure.clear()

    def crash(self) -> None:
        """Note which settings are only in the log: a load that is cut short does not reach back to them."""
        for room_id in self.epochs:
            for seq, update in self.current(room_id).updates.items():
                if type(update) in SETTINGS and seq > self.saved.get(room_id, 0):
                    self.unsure[room_id, type(update)] = seq

    def cut(self, room_id: str, count: int) -> None:
        """Note that the log has let go of its first entries: of so many more."""
        self.current(room_id).cut += count

    def fall_back(self, heads: dict[str, int]) -> None:
        """Take back what lies above ``heads`` (by room) in the current books: the store has fallen back to there."""
        for room_id, epoch in self.epochs.items():
            head = heads.get(room_id, 0)
            old = self.book(room_id, epoch)
            lost = any(seq > head for seq in old.updates)
            book = self.books[room_id, epoch] = Book(earlier=(*old.earlier, old) if lost else old.earlier)
            book.cut = old.cut
            book.read |= {after for after in old.read if after < head}
            for seq, update in old.updates.items():
                if seq <= head:
                    book.write(seq, update)
        promised, self.acknowledged = self.acknowledged, {}
        for room_id, message_id in promised:
            self.promise(room_id, message_id)


class LedgerStore(MemoryStore):
    """A store whose log goes into a ledger as well."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        """See `RoomStore`."""
        appended = super().append(room_id, epoch, entries)
        self._ledger.write(room_id, epoch, entries, appended.repeated)
        return appended

    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = PAGE) -> tuple[LogEntry, ...]:
        """See `RoomStore`."""
        entries = super().read(room_id, after, upto, limit)
        self._ledger.current(room_id).read.add(entries[0].seq - 1 if entries else after)
        return entries

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        """See `RoomStore`."""
        self._ledger.saved[room_id] = max(self._ledger.saved.get(room_id, 0), head.position.seq)
        return super().save_snapshot(room_id, tier, head, data)


class Witness:
    """Stands before a manager without a log, and writes down what `publish` gives a seq; all else passes through."""

    def __init__(self, manager: RoomStateManager, ledger: Ledger) -> None:
        self._manager = manager
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def publish(self, room_id: str, update: Update, *, now: float | None = None) -> Any:
        """See `RoomStateManager.publish`."""
        outputs = self._manager.publish(room_id, update, now=now)
        if type(update) in LOGGED and self._manager.tier(room_id) >= Tier.BACKGROUND:
            token = self._manager.token(room_id)
            self._ledger.write(room_id, token.epoch, (LogEntry(token.seq, 0, update),))
        return outputs
