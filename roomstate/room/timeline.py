"""The window of messages that a room holds: ordered, deduplicated by id, and aware of what it lacks.

How it is laid out, and why. A list of messages with a ``_start`` offset, an array of their positions beside it, and a
dict from id to *slot*. The entries before ``_start`` are messages already dropped, swept out 64 at a time: that makes
dropping nearly free. A slot is a message's absolute index modulo a power of two, taken from one shared tuple of
integers, so that it costs no integer object of its own: 28 bytes a message less than id to seq. Appending, editing and
finding are O(1); what comes late is placed by bisection, and renumbers the slots between it and the nearer end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from roomstate.errors import InvalidValue
from roomstate.model import Annotation, MessageLike
from roomstate.room.recent import RecentIds

__all__ = ["MAX_TOMBSTONES", "PER_MESSAGE", "Timeline"]

PER_MESSAGE = 215
"""Bytes that a held message costs beyond its content: DESIGN §10; `python -m benchmarks memory` measures it anew."""

MAX_TOMBSTONES = 1000
"""Ids of removed messages remembered: as many as the messages of an ACTIVE room."""

_SWEEP = 64  # dropped messages swept out at a time: DESIGN §10
_SHARED = tuple(range(1 << 11))  # the slots of every window of up to 1,920 messages
_ALWAYS = datetime.min.replace(tzinfo=UTC)


def _time_key(message: MessageLike) -> tuple[datetime, str]:
    return message.timestamp, message.id


class Timeline:
    """At most ``max_messages`` messages, and at most ``max_bytes`` of them (the newest always stays), in order.

    The order is that of positions; with ``by_time`` it is that of (timestamp, id), for sources without positions.
    Messages of one position or of one time all stay. `after` says how far back the window reaches: every message in
    ``(after, head]`` that was ever added is held, or was removed. ``horizon`` is the newest timestamp ever dropped:
    only a message that is not newer can be a repetition of one that is no longer held.

    >>> from roomstate.model import Message
    >>> timeline = Timeline(max_messages=2)
    >>> for seq, name in enumerate("abc", start=1):
    ...     timeline.append(Message(name, "bob", f"message {name}"), seq)
    >>> [message.id for message in timeline], timeline.after
    (['b', 'c'], 1)
    """

    __slots__ = (
        "_after",
        "_base",
        "_ints",
        "_mask",
        "_messages",
        "_seqs",
        "_slots",
        "_start",
        "_uncounted",
        "annotations",
        "by_time",
        "bytes",
        "horizon",
        "max_bytes",
        "max_messages",
        "recent",
        "tombstones",
    )

    def __init__(
        self,
        max_messages: int,
        max_bytes: int = 1 << 24,
        *,
        by_time: bool = False,
        after: int = 0,
        ordinal: int = 0,
    ) -> None:
        if max_messages < 1:
            raise InvalidValue("max_messages", f"must be at least 1, got {max_messages}")
        if max_bytes < 1:
            raise InvalidValue("max_bytes", f"must be at least 1, got {max_bytes}")
        self.max_bytes = max_bytes
        self.by_time = by_time
        self.bytes = 0
        self.horizon = _ALWAYS
        self.annotations: dict[str, Annotation] = {}
        self.tombstones: dict[str, None] = {}
        self.recent: RecentIds | None = None
        self._after = after
        self._messages: list[MessageLike] = []
        self._seqs = array("q")
        self._slots: dict[str, int] = {}
        self._start = 0
        self._base = 0  # the absolute index of _messages[0]
        self._uncounted = ordinal  # messages ever added, less the absolute index of the next
        self._limit(max_messages)

    def _limit(self, max_messages: int) -> None:
        self.max_messages = max_messages
        most = max_messages + 2 * _SWEEP
        self._ints: Sequence[int] = _SHARED if most <= len(_SHARED) else range(1 << most.bit_length())
        self._mask = len(self._ints) - 1

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def after(self) -> int:
        """How far back the window reaches: nothing at or below this position is held. O(1)."""
        return max(self._after, *self._seqs[: self._start]) if self._start else self._after

    @property
    def ordinal(self) -> int:
        """How many messages were ever added to the room, as far as it knows. O(1)."""
        return self._base + len(self._messages) + self._uncounted

    def __len__(self) -> int:
        return len(self._messages) - self._start

    def __iter__(self) -> Iterator[MessageLike]:
        return iter(self._messages[self._start :])

    def __contains__(self, message_id: str) -> bool:
        """Whether a message with this id is held. O(1)."""
        return self._index(message_id) is not None

    def get(self, message_id: str) -> MessageLike | None:
        """Return the held message of this id, or None. O(1)."""
        index = self._index(message_id)
        return None if index is None else self._messages[index]

    def seq_of(self, message_id: str) -> int | None:
        """Return the position of the held message of this id, or None. O(1)."""
        index = self._index(message_id)
        return None if index is None else self._seqs[index]

    def knows(self, message_id: str) -> bool:
        """Whether a message of this id was added before: held, removed, or among the last dropped. O(recent)."""
        if message_id in self._slots or message_id in self.tombstones:
            return True
        return self.recent is not None and message_id in self.recent

    def messages(self) -> tuple[MessageLike, ...]:
        """Return the messages held, in order. O(n), about 1 µs a thousand."""
        return tuple(self._messages[self._start :])

    def seqs(self) -> tuple[int, ...]:
        """Return the positions of `messages`. O(n)."""
        return tuple(self._seqs[self._start :])

    def messages_after(self, seq: int) -> Sequence[MessageLike]:
        """Return the messages held at a position above ``seq``. O(returned + log n), ``by_time`` O(n)."""
        if self.by_time:
            return [m for m, at in zip(self, self._seqs[self._start :], strict=True) if at > seq]
        return self._messages[max(self._start, bisect_right(self._seqs, seq)) :]

    def _index(self, message_id: str) -> int | None:
        slot = self._slots.get(message_id)
        if slot is None:
            return None
        index = (slot - self._base) & self._mask
        return index if index >= self._start else None

    # -- adding ------------------------------------------------------------------------------------------------------

    def append(self, message: MessageLike, seq: int) -> None:
        """Add a message behind all others; the oldest may be dropped. O(1) amortised.

        The caller has made sure that its id is not known and, unless ``by_time``, that ``seq`` is not below the last;
        a message that belongs further up goes through `insert`.
        """
        messages = self._messages
        count = len(messages)
        self._slots[message.id] = self._ints[(self._base + count) & self._mask]
        messages.append(message)
        self._seqs.append(seq)
        self.bytes += message.content.__sizeof__() + PER_MESSAGE
        if count - self._start >= self.max_messages:
            self._start += 1
            if self._start >= _SWEEP:
                self._sweep()
        if self.bytes > self.max_bytes:
            self._fit()

    def insert(self, message: MessageLike, seq: int) -> None:
        """Add a message where its position (``by_time``: its timestamp and id) puts it; the oldest may be dropped.

        O(log n) to find the place and O(distance to the nearer end) to renumber. A message older than all of a full
        window is dropped at once, and remembered.
        """
        self._sweep()
        index = self._place(message, seq)
        if index == len(self._messages):
            self.append(message, seq)
            return
        if index < len(self._messages) - index:
            self._base -= 1
            self._uncounted += 1
            renumber = (0, index + 1)
        else:
            renumber = (index, len(self._messages) + 1)
        self._messages.insert(index, message)
        self._seqs.insert(index, seq)
        self._renumber(*renumber)
        self.bytes += message.content.__sizeof__() + PER_MESSAGE
        self._fit()

    def _place(self, message: MessageLike, seq: int) -> int:
        if self.by_time:
            return bisect_left(self._messages, _time_key(message), key=_time_key)
        return bisect_right(self._seqs, seq)

    def _renumber(self, start: int, stop: int) -> None:
        slots, ints, mask = self._slots, self._ints, self._mask
        for index, message in enumerate(self._messages[start:stop], self._base + start):
            slots[message.id] = ints[index & mask]

    # -- dropping ----------------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        """Drop the oldest until both bounds hold; the newest stays."""
        self._sweep()
        last = len(self._messages) - 1
        excess = self.bytes - self.max_bytes
        drop = max(0, last + 1 - self.max_messages)
        for message in self._messages[:drop]:
            excess -= message.content.__sizeof__() + PER_MESSAGE
        while excess > 0 and drop < last:
            excess -= self._messages[drop].content.__sizeof__() + PER_MESSAGE
            drop += 1
        self._start = drop
        self._sweep()

    def _sweep(self) -> None:
        """Forget the messages before ``_start``, and remember their ids."""
        cut = self._start
        if not cut:
            return
        dropped = self._messages[:cut]
        self._after = self.after
        del self._messages[:cut], self._seqs[:cut]
        self._base += cut
        self._start = 0
        slots = self._slots
        for message in dropped:
            del slots[message.id]
            self.bytes -= message.content.__sizeof__()
        self.bytes -= PER_MESSAGE * cut
        self._remember(dropped)

    def _remember(self, dropped: Sequence[MessageLike]) -> None:
        if self.recent is None:
            self.recent = RecentIds()
        before = self.recent.bytes
        self.recent.update([message.id for message in dropped])
        self.bytes += self.recent.bytes - before
        self.horizon = max(self.horizon, *[message.timestamp for message in dropped])
        if self.annotations:
            for message in dropped:
                self.annotations.pop(message.id, None)

    def resize(self, max_messages: int) -> None:
        """Hold at most ``max_messages`` from now on, dropping the oldest. O(n)."""
        if max_messages < 1:
            raise InvalidValue("max_messages", f"must be at least 1, got {max_messages}")
        self._limit(max_messages)
        self._fit()
        self._slots = {}  # a dict does not shrink, and slots may have a new modulus
        self._renumber(0, len(self._messages))

    # -- changing ----------------------------------------------------------------------------------------------------

    def replace(self, message: MessageLike) -> MessageLike:
        """Put ``message`` in the place of the held one with its id; return that one. O(1).

        ``by_time``, a message with another timestamp moves to its new place, as `insert` would put it. Raises KeyError
        where no message of this id is held.
        """
        index = self._index(message.id)
        if index is None:
            raise KeyError(message.id)
        old = self._messages[index]
        if self.by_time and old.timestamp != message.timestamp:
            seq = self._take(index)
            self._uncounted -= 1
            self.insert(message, seq)
        else:
            self._messages[index] = message
            self.bytes += message.content.__sizeof__() - old.content.__sizeof__()
            if self.bytes > self.max_bytes:
                self._fit()
        return old

    def remove(self, message_id: str) -> MessageLike | None:
        """Take a message out and leave a tombstone, held or not; return it, or None. O(distance to the nearer end)."""
        self.tombstones[message_id] = None
        if len(self.tombstones) > MAX_TOMBSTONES:
            del self.tombstones[next(iter(self.tombstones))]
        index = self._index(message_id)
        if index is None:
            return None
        message = self._messages[index]
        self._take(index)
        self.annotations.pop(message_id, None)
        return message

    def _take(self, index: int) -> int:
        """Take the message at ``index`` out of the list; it still counts in `ordinal`. Return its position."""
        index -= self._start
        self._sweep()
        message = self._messages.pop(index)
        seq = self._seqs.pop(index)
        del self._slots[message.id]
        self.bytes -= message.content.__sizeof__() + PER_MESSAGE
        if index < len(self._messages) - index:
            self._base += 1
            self._renumber(0, index)
        else:
            self._uncounted += 1
            self._renumber(index, len(self._messages))
        return seq

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._messages) == len(self._seqs) == len(self._slots)
        assert 0 <= self._start < _SWEEP
        assert len(self) <= self.max_messages
        assert self.bytes <= self.max_bytes or len(self) <= 1
        contents = sum(message.content.__sizeof__() + PER_MESSAGE for message in self._messages)
        assert self.bytes == contents + (self.recent.bytes if self.recent else 0)
        held = self._messages[self._start :]
        assert all(self._messages[self._start + n] is self.get(m.id) for n, m in enumerate(held))
        assert all(self._index(m.id) is None for m in self._messages[: self._start])
        order = [_time_key(m) for m in held] if self.by_time else list(self.seqs())
        assert order == sorted(order)
        assert all(seq > self.after for seq in self.seqs()) or self.by_time
        assert not self.tombstones.keys() & {m.id for m in held}
        assert len(self.tombstones) <= MAX_TOMBSTONES
        assert self.annotations.keys() <= self._slots.keys()
        if self.recent is not None:
            self.recent.check()
