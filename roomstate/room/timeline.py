"""The window of messages that a room holds: ordered, deduplicated by id, and aware of what it lacks.

How it is laid out, and why. A list of messages, of which the last ``max_messages`` count, and a dict from id to
position: no array of positions beside the list, for those can be looked up by id. What is not needed at once is put
off: dropped messages are swept out, and new ones weighed, a sixteenth of the window at a time (`_settle`) and at the
speed of C. Appending and finding are O(1); what has to find a message's place bisects: O(log n).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from roomstate.errors import InvalidValue
from roomstate.model import MAX_ID, Annotation, MessageLike
from roomstate.room.recent import RecentIds

__all__ = ["MAX_TOMBSTONES", "PER_MESSAGE", "Timeline", "text_bytes"]

PER_MESSAGE = 215
"""Bytes that a held message costs beyond its content: DESIGN §10; `python -m benchmarks memory` measures it anew."""

MAX_TOMBSTONES = 1000
"""Ids of removed messages remembered: as many as the messages of an ACTIVE room."""

_BATCH = 64  # the most messages that wait to be swept out or weighed: DESIGN §10
_FEW = 8  # and the least: of 50 messages a sixteenth would be 3, and settling costs as much as they do
_LONG = 2048  # characters; a longer message gets a closer look, and is weighed at once
_EMPTY_TEXT = "".__sizeof__()
_REMOVED = -1  # the position of a removed message's id
_ALWAYS = datetime.min.replace(tzinfo=UTC)

_time_key = attrgetter("timestamp", "id")


class Timeline:
    """At most ``max_messages`` messages, and at most ``max_bytes`` of them (the newest always stays), in order.

    The order is that of positions; with ``by_time`` it is that of (timestamp, id), for sources without positions.
    Messages of one position or of one time all stay. `after` says how far back the window reaches: every message in
    ``(after, head]`` that was ever added is held, or was removed. ``horizon`` is the newest timestamp ever dropped:
    only a message that is not newer can be a repetition of one that is no longer held.

    >>> from datetime import UTC, datetime
    >>> from roomstate.model import Message
    >>> timeline = Timeline(max_messages=2)
    >>> for seq, name in enumerate("abc", start=1):
    ...     timeline.append(Message(name, "bob", f"message {name}", datetime(2026, 1, 1, tzinfo=UTC)), seq)
    >>> [message.id for message in timeline], timeline.after, timeline.ordinal
    (['b', 'c'], 1, 3)
    """

    __slots__ = (
        "_after",
        "_bytes",
        "_gone",
        "_messages",
        "_settle_at",
        "_weighed",
        "annotations",
        "by_time",
        "horizon",
        "ids",
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
        self.max_messages: int = max_messages
        self.max_bytes: int = max_bytes
        self.by_time: bool = by_time
        self.horizon: datetime = _ALWAYS
        self.annotations: dict[str, Annotation] = {}
        self.tombstones: dict[str, None] = {}
        self.recent: RecentIds | None = None
        self.ids: dict[str, int] = {}
        self._after = after
        self._messages: list[MessageLike] = []
        self._bytes = 0
        self._weighed = 0  # the messages before this index count in _bytes
        self._gone = ordinal  # messages ever added that are no longer in the list
        self._settle_at = 0  # the length at which to settle

    @property
    def _start(self) -> int:
        """The index of the oldest message that counts; those before wait to be swept out."""
        return max(0, len(self._messages) - self.max_messages)

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def after(self) -> int:
        """How far back the window reaches: nothing at or below this position is held. O(1)."""
        return max(self._after, self._last_seq(self._messages[: self._start]))

    def _last_seq(self, messages: Sequence[MessageLike]) -> int:
        if not messages:
            return 0
        return max(map(self._seq, messages)) if self.by_time else self._seq(messages[-1])

    @property
    def ordinal(self) -> int:
        """How many messages were ever added to the room, as far as it knows. O(1)."""
        return self._gone + len(self._messages)

    @property
    def bytes(self) -> int:
        """What the messages hold in memory, in bytes. O(1) amortised."""
        self._weigh()
        return self._bytes

    def __len__(self) -> int:
        return min(len(self._messages), self.max_messages)

    def __iter__(self) -> Iterator[MessageLike]:
        return iter(self._messages[self._start :])

    def __contains__(self, message_id: str) -> bool:
        """Whether a message with this id is held. O(log n)."""
        return self._index(message_id) is not None

    def get(self, message_id: str) -> MessageLike | None:
        """Return the held message of this id, or None. O(log n), ``by_time`` O(n)."""
        index = self._index(message_id)
        return None if index is None else self._messages[index]

    def seq_of(self, message_id: str) -> int | None:
        """Return the position of the held message of this id, or None. O(log n)."""
        return None if self._index(message_id) is None else self.ids[message_id]

    def knows(self, message_id: str) -> bool:
        """Whether a message of this id was added before: held, removed, or among the last dropped. O(recent)."""
        return message_id in self.ids or (self.recent is not None and message_id in self.recent)

    def messages(self) -> tuple[MessageLike, ...]:
        """Return the messages held, in order. O(n), about 1 µs a thousand."""
        return tuple(self._messages[self._start :])

    def seqs(self) -> tuple[int, ...]:
        """Return the positions of `messages`. O(n)."""
        ids = self.ids
        return tuple([ids[message.id] for message in self._messages[self._start :]])

    def messages_after(self, seq: int) -> Sequence[MessageLike]:
        """Return the messages held at a position above ``seq``. O(returned + log n), ``by_time`` O(n)."""
        if self.by_time:
            return [message for message in self if self._seq(message) > seq]
        return self._messages[max(self._start, bisect_right(self._messages, seq, key=self._seq)) :]

    def _seq(self, message: MessageLike) -> int:
        return self.ids[message.id]

    def _index(self, message_id: str) -> int | None:
        seq = self.ids.get(message_id, _REMOVED)
        if seq == _REMOVED:
            return None
        index = self._start if self.by_time else bisect_left(self._messages, seq, self._start, key=self._seq)
        while index < len(self._messages):  # more than one step only by time, or where positions are shared
            if self._messages[index].id == message_id:
                return index
            index += 1
        return None

    # -- adding ------------------------------------------------------------------------------------------------------

    def add(self, message: MessageLike, seq: int) -> bool:
        """Append a message that is plainly new, and return True; or change nothing and return False. O(1) amortised.

        Plainly new is one whose id is not here or among the removed, whose timestamp is above ``horizon``, and whose id
        and content are of ordinary length. Anything else wants a closer look (`knows`), then `append` or `insert`.
        Raises TypeError or AttributeError for something that is not a message with an aware timestamp. The caller has
        made sure that the timeline is not ``by_time`` and that ``seq`` is above the last.
        """
        message_id = message.id
        ids = self.ids
        if (
            message_id in ids
            or message.timestamp <= self.horizon
            or not message_id
            or len(message_id) > MAX_ID
            or len(message.content) > _LONG
        ):
            return False
        ids[message_id] = seq
        messages = self._messages
        messages.append(message)
        if len(messages) > self._settle_at:
            self._settle()
        return True

    def append(self, message: MessageLike, seq: int) -> None:
        """Add a message behind all others; the oldest may be dropped. O(1) amortised.

        The caller has made sure that its id is not known and, unless ``by_time``, that ``seq`` is not below the last;
        a message that belongs further up goes through `insert`.
        """
        self.ids[message.id] = seq
        self._messages.append(message)
        if len(self._messages) > self._settle_at or len(message.content) > _LONG:
            self._settle()

    def insert(self, message: MessageLike, seq: int) -> None:
        """Add a message where its position (``by_time``: its timestamp and id) puts it; the oldest may be dropped.

        O(log n) to find the place, and one move of the list behind it.
        """
        if self.by_time:
            index = bisect_left(self._messages, _time_key(message), key=_time_key)
        else:
            index = bisect_right(self._messages, seq, key=self._seq)
        self._weigh()
        self.ids[message.id] = seq
        self._messages.insert(index, message)
        self._bytes += _weight((message,))
        self._weighed += 1
        self._settle()

    def prepend(self, messages: Sequence[MessageLike], seqs: Sequence[int], after: int) -> None:
        """Put older messages, which count in `ordinal` already, before all others; the window reaches to ``after``.

        Those whose ids are known are left out. The oldest that do not fit are dropped. O(n). The caller has made sure
        that ``seqs`` are ascending and below every position held.
        """
        self._settle()
        fresh = [message for message in messages if message.id not in self.ids]
        self.ids.update(
            (message.id, seq) for message, seq in zip(messages, seqs, strict=True) if message.id not in self.ids
        )
        self._messages[:0] = fresh
        self._after = after
        self._gone -= len(fresh)
        self._bytes += _weight(fresh)
        self._weighed += len(fresh)
        self._settle()

    # -- dropping ----------------------------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """Count the bytes of the messages that came since the last time."""
        if self._weighed < len(self._messages):
            self._bytes += _weight(self._messages[self._weighed :])
            self._weighed = len(self._messages)

    def _settle(self) -> None:
        """Weigh what is new and drop the oldest until both bounds hold; the newest stays."""
        self._weigh()
        self._sweep(self._start)
        if self._bytes > self.max_bytes:
            self._sweep(self._excess())
        held = len(self._messages)
        self._settle_at = held + max(_FEW, min(held >> 4, _BATCH))

    def _excess(self) -> int:
        """Return how many of the oldest messages to drop for the bytes to fit."""
        excess = self._bytes - self.max_bytes
        drop = 0
        while excess > 0 and drop < len(self._messages) - 1:
            excess -= _weight((self._messages[drop],))
            drop += 1
        return drop

    def _sweep(self, cut: int) -> None:
        """Forget the first ``cut`` messages, but remember their ids."""
        if not cut:
            return
        dropped = self._messages[:cut]
        del self._messages[:cut]
        self._after = max(self._after, self._last_seq(dropped))
        self._gone += cut
        self._weighed -= cut
        self._bytes -= _weight(dropped)
        self.horizon = max(self.horizon, max([message.timestamp for message in dropped]))
        ids = self.ids
        names = [message.id for message in dropped]
        for name in names:
            del ids[name]
        if self.recent is None:
            self.recent = RecentIds()
        self._bytes += self.recent.add(names)
        if self.annotations:
            for name in names:
                self.annotations.pop(name, None)

    def resize(self, max_messages: int) -> None:
        """Hold at most ``max_messages`` from now on, dropping the oldest. O(n)."""
        if max_messages < 1:
            raise InvalidValue("max_messages", f"must be at least 1, got {max_messages}")
        self.max_messages = max_messages
        self._settle()
        self.ids = dict(self.ids)  # a dict does not shrink of itself
        self._messages = self._messages.copy()

    # -- changing ----------------------------------------------------------------------------------------------------

    def replace(self, message: MessageLike) -> MessageLike:
        """Put ``message`` in the place of the held one with its id; return that one. O(log n).

        ``by_time``, a message with another timestamp moves to its new place, as `insert` would put it. Raises KeyError
        where no message of this id is held.
        """
        index = self._index(message.id)
        if index is None:
            raise KeyError(message.id)
        old = self._messages[index]
        if self.by_time and old.timestamp != message.timestamp:
            seq = self._take(index)
            self._gone -= 1
            self.insert(message, seq)
        else:
            self._weigh()
            self._messages[index] = message
            self._bytes += _weight((message,)) - _weight((old,))
            self._settle()
        return old

    def remove(self, message_id: str) -> MessageLike | None:
        """Take a message out and leave a tombstone, held or not; return the message, or None. O(log n)."""
        index = self._index(message_id)
        message = None
        if index is not None:
            message = self._messages[index]
            self._take(index)
            self.annotations.pop(message_id, None)
        if message_id not in self.ids:  # a dropped message that waits to be swept out keeps its place until then
            self.bury((message_id,))
        return message

    def withdraw(self, message_id: str) -> None:
        """Take a held message out without a tombstone; it still counts in `ordinal`. O(log n)."""
        index = self._index(message_id)
        if index is not None:
            self._take(index)
            self.annotations.pop(message_id, None)

    def count_to(self, ordinal: int) -> None:
        """Let `ordinal` be at least this: the log counts messages that turned out to be held already. O(1)."""
        self._gone += max(0, ordinal - self.ordinal)

    def bury(self, message_ids: Iterable[str]) -> None:
        """Leave tombstones for ids that are not held; the oldest beyond the bound are forgotten. O(n)."""
        for message_id in message_ids:
            self.tombstones[message_id] = None
            self.ids[message_id] = _REMOVED
            if len(self.tombstones) > MAX_TOMBSTONES:
                oldest = next(iter(self.tombstones))
                del self.tombstones[oldest], self.ids[oldest]

    def _take(self, index: int) -> int:
        """Take the message at ``index`` out of the list; it still counts in `ordinal`. Return its position."""
        self._weigh()
        message = self._messages.pop(index)
        self._bytes -= _weight((message,))
        self._weighed -= 1
        self._gone += 1
        return self.ids.pop(message.id)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._messages) == len(self.ids) - len(self.tombstones)
        assert len(self._messages) <= max(self._settle_at + 1, 0)
        assert self.bytes == _weight(self._messages) + (self.recent.bytes if self.recent else 0)
        held = list(self)
        assert len(held) == len(self) <= self.max_messages
        assert all(self.get(message.id) is message for message in held)
        assert all(self.get(message.id) is None for message in self._messages[: self._start])
        order = [_time_key(message) for message in held] if self.by_time else list(self.seqs())
        assert order == sorted(order)
        assert all(seq > self.after for seq in self.seqs()) or self.by_time
        assert all(self.ids[message_id] == _REMOVED for message_id in self.tombstones)
        assert len(self.tombstones) <= MAX_TOMBSTONES
        assert self.annotations.keys() <= self.ids.keys()
        if self.recent is not None:
            self.recent.check()


def _weight(messages: Sequence[MessageLike]) -> int:
    """Return the bytes that messages hold: their contents', and a constant each. The same whenever it is asked."""
    contents = [message.content for message in messages]
    joined = "".join(contents)  # one text tells fastest whether all are ASCII, and then how long they are
    if joined.isascii():
        return len(joined) + (_EMPTY_TEXT + PER_MESSAGE) * len(contents)
    return sum(map(text_bytes, contents)) + PER_MESSAGE * len(contents)


def text_bytes(text: str) -> int:
    """Return the bytes that ``text`` takes once it was written as JSON: the same before and after. O(length).

    A text beyond ASCII keeps its UTF-8 when somebody asks for that, and ``__sizeof__`` grows: what is weighed before
    and taken off after would go below zero.
    """
    if text.isascii():
        return text.__sizeof__()
    return (text + " ").__sizeof__() + len(text.encode("utf-8", "surrogatepass"))
