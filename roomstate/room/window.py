"""The newest messages of a room, as long as they only come and go: appending, reading, counting bytes, dropping.

How it is laid out, and why. A list of messages, of which the last ``max_messages`` count, and a dict from id to
position: no array of positions beside the list, for those can be looked up by id. What is not needed at once is put
off: dropped messages are swept out, and new ones weighed, a sixteenth of the window at a time (`_settle`) and at the
speed of C. Appending and finding are O(1); what has to find a message's place bisects: O(log n).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from msgspec import Struct, field

from roomstate.errors import InvalidValue
from roomstate.model import EMPTY, MAX_ID, Annotation, Message, MessageLike, check_bound, check_message
from roomstate.room.recent import RecentIds
from roomstate.room.weight import annotation_bytes, json_bytes, messages_bytes

__all__ = ["MAX_TOMBSTONES", "REMOVED", "Window", "time_key"]

MAX_TOMBSTONES = 1000
"""Ids of removed messages remembered: as many as the messages of an ACTIVE room."""

REMOVED = -1
"""What stands for the position of a message that was removed."""

_PER_TOMBSTONE = 160  # bytes: an id of ordinary length in two dicts
_BATCH = 64  # the most messages that wait to be swept out or weighed: DESIGN §10
_FEW = 8  # and the least: of 50 messages a sixteenth would be 3, and settling costs as much as they do
_LONG = 2048  # characters; a longer message gets a closer look, and is weighed at once
_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NO_BADGES = ()  # there is only one empty tuple

_is_ascii = str.isascii  # called like this it also finds what is no str, for no more than a method call costs
time_key: Callable[[MessageLike], tuple[datetime, str]] = attrgetter("timestamp", "id")


class Window(Struct, eq=False, gc=False):
    """At most ``max_messages`` messages, and at most ``max_bytes`` of them (the newest always stays), in order.

    The order is that of positions; with ``by_time`` it is that of (timestamp, id), for sources without positions.
    Messages of one position or of one time all stay. `after` says how far back the window reaches: every message in
    ``(after, head]`` that was ever added is held, or was removed. ``horizon`` is the newest timestamp ever dropped:
    only a message that is not newer can be a repetition of one that is no longer held. ``ids`` has the position of
    every message held, and -1 for the removed ones in ``tombstones``; ``annotations`` what has gathered on messages
    held. To be read only: they are changed through methods. A window may begin at a position (``dropped_to``) with so
    many messages ``gone`` before it. It is a struct so that the garbage collector does not walk it: with 100,000 rooms
    that was half of its pause.

    Raises ``InvalidValue`` for bounds below 1. Its default of 16 MiB is sixteen times a room of 1000 messages of 1 kB.

    >>> from datetime import UTC, datetime
    >>> from roomstate.model import Message
    >>> window = Window(max_messages=2)
    >>> for seq, name in enumerate("abc", start=1):
    ...     window.append(Message(name, "bob", f"message {name}", datetime(2026, 1, 1, tzinfo=UTC)), seq)
    >>> [message.id for message in window], window.after, window.ordinal, window.knows("a")
    (['b', 'c'], 1, 3, True)
    """

    max_messages: int
    max_bytes: int = 1 << 24
    by_time: bool = False
    dropped_to: int = 0  # the newest position dropped; `after` counts those as well that wait to be swept out
    gone: int = 0  # messages ever added that are no longer in the list
    horizon: datetime = _ALWAYS
    annotations: dict[str, Annotation] = field(default_factory=dict)
    tombstones: dict[str, None] = field(default_factory=dict)
    recent: RecentIds | None = None
    on_drop: Callable[[Sequence[MessageLike]], None] | None = None
    ids: dict[str, int] = field(default_factory=dict)
    _messages: list[MessageLike] = field(default_factory=list)
    _bytes: int = 0
    _weighed: int = 0  # the messages before this index count in _bytes
    _extras: dict[str, int] = field(default_factory=dict)  # what a message's host fields weigh; in _bytes at once
    _settle_at: int = 0  # the length at which to settle

    def __post_init__(self) -> None:
        check_bound("max_messages", self.max_messages)
        check_bound("max_bytes", self.max_bytes)

    @property
    def _start(self) -> int:
        """The index of the oldest message that counts; those before wait to be swept out."""
        return max(0, len(self._messages) - self.max_messages)

    def _begin(self, dropped_to: int, gone: int) -> None:
        """Begin after ``dropped_to``, with ``gone`` messages more (or fewer) before what is held."""
        self.dropped_to = dropped_to
        self.gone += gone

    def _compact(self) -> None:
        """Hold no more memory than is needed: a dict does not shrink of itself."""
        self.ids = dict(self.ids)
        self._messages = self._messages.copy()

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def after(self) -> int:
        """How far back the window reaches: below this position nothing is held, and at it perhaps not all. O(1)."""
        return max(self.dropped_to, self._last_seq(self._messages[: self._start]))

    def _last_seq(self, messages: Sequence[MessageLike]) -> int:
        if not messages:
            return 0
        return max(map(self._seq, messages)) if self.by_time else self._seq(messages[-1])

    @property
    def ordinal(self) -> int:
        """How many messages were ever added to the room, as far as it knows. O(1)."""
        return self.gone + len(self._messages)

    @property
    def bytes(self) -> int:
        """What the timeline holds in memory, in bytes, within 10 % where ids are of ordinary length. O(1) amortised.

        ``max_bytes`` bounds the part of it that is messages.
        """
        self._weigh()
        remembered = self.recent.bytes if self.recent is not None else 0
        return self._bytes + remembered + _PER_TOMBSTONE * len(self.tombstones)

    def __len__(self) -> int:
        return min(len(self._messages), self.max_messages)

    def __iter__(self) -> Iterator[MessageLike]:
        return iter(self._messages[self._start :])

    def __contains__(self, message_id: str) -> bool:
        """Whether a message with this id is held. O(log n), ``by_time`` O(n)."""
        return self._index(message_id) is not None

    def get(self, message_id: str) -> MessageLike | None:
        """Return the held message of this id, or None. O(log n), ``by_time`` O(n)."""
        index = self._index(message_id)
        return None if index is None else self._messages[index]

    def seq_of(self, message_id: str) -> int | None:
        """Return the position of the held message of this id, or None. O(log n), ``by_time`` O(n)."""
        return None if self._index(message_id) is None else self.ids[message_id]

    def knows(self, message_id: str) -> bool:
        """Whether a message of this id was added before: held, removed, or among the last dropped. O(recent)."""
        return message_id in self.ids or (self.recent is not None and message_id in self.recent)

    @property
    def newest(self) -> MessageLike | None:
        """The last message held, or None. O(1)."""
        return self._messages[-1] if self._messages else None

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
        seq = self.ids.get(message_id, REMOVED)
        if seq == REMOVED:
            return None
        start, stop = self._start, len(self._messages)
        if not self.by_time:
            start = bisect_left(self._messages, seq, start, key=self._seq)
            stop = bisect_right(self._messages, seq, start, key=self._seq)
        names = [message.id for message in self._messages[start:stop]]
        return start + names.index(message_id) if message_id in names else None  # not here: it waits to be swept out

    # -- adding --------------------------------------------------------------------------------------------------------

    def add(self, message: MessageLike, seq: int) -> bool:
        """Append a message that is sound and plainly new, and return True; or change nothing and return False.

        Plainly new is one whose id is not here or among the removed, and whose timestamp is above ``horizon``. Anything
        else wants a closer look (`check_message`, `knows`), then `append`, or `Timeline.insert`. O(1) amortised; a
        message of a host's own class, beyond ASCII, or with badges or ``extra`` costs about 1 µs more. For something
        that is not a message it may raise TypeError or AttributeError instead. The caller has made sure that the
        timeline is not ``by_time`` and that ``seq`` is above the last.
        """
        message_id = message.id
        ids = self.ids
        if message_id in ids or message.timestamp <= self.horizon:
            return False
        user = message.user
        content = message.content
        if (
            type(message) is not Message
            or message.extra is not EMPTY
            or message.badges is not _NO_BADGES
            or not _is_ascii(content)
            or len(content) > _LONG
            or not message_id
            or not _is_ascii(message_id)
            or len(message_id) > MAX_ID
            or not user
            or not _is_ascii(user)
            or len(user) > MAX_ID
        ):
            return self._add_checked(message, seq)
        ids[message_id] = seq
        messages = self._messages
        messages.append(message)
        if len(messages) > self._settle_at:
            self._settle()
        return True

    def _add_checked(self, message: MessageLike, seq: int) -> bool:
        """Do as `add` with a message that is new, but not of the most ordinary kind."""
        try:
            check_message(message)
        except InvalidValue:
            return False
        self.append(message, seq)
        return True

    def append(self, message: MessageLike, seq: int) -> None:
        """Add a message behind all others; the oldest may be dropped. O(1) amortised.

        The caller has made sure that it is sound, that its id is not known and, unless ``by_time``, that ``seq`` is not
        below the last; a message that belongs further up goes through `Timeline.insert`.
        """
        self._enter(message, seq)
        self._messages.append(message)
        if len(self._messages) > self._settle_at or len(message.content) > _LONG:
            self._settle()

    def _enter(self, message: MessageLike, seq: int) -> None:
        """Take note of a message that is about to join the list."""
        self.ids[message.id] = seq
        if message.extra:
            weight = self._extras[message.id] = json_bytes(message.extra)
            self._bytes += weight

    # -- dropping ------------------------------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """Count the bytes of the messages that came since the last time."""
        if self._weighed < len(self._messages):
            self._bytes += messages_bytes(self._messages[self._weighed :])
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
        """Return how many of the oldest messages to drop for the bytes to fit. O(dropped)."""
        excess = self._bytes - self.max_bytes
        drop = 0
        while excess > 0 and drop < len(self._messages) - 1:
            message = self._messages[drop]
            excess -= messages_bytes((message,)) + self._extras.get(message.id, 0)
            excess -= annotation_bytes(self.annotations.get(message.id))
            drop += 1
        return drop

    def sweep(self) -> None:
        """Sweep out at once what was dropped, so that `on_drop` has been told of all of it. O(waiting)."""
        self._settle()

    def _sweep(self, cut: int) -> None:
        """Forget the first ``cut`` messages, but remember their ids."""
        if not cut:
            return
        dropped = self._messages[:cut]
        del self._messages[:cut]
        self.dropped_to = max(self.dropped_to, self._last_seq(dropped))
        self.gone += cut
        self._weighed -= cut
        self._bytes -= messages_bytes(dropped)
        self.horizon = max(self.horizon, max([message.timestamp for message in dropped]))
        ids = self.ids
        names = [message.id for message in dropped]
        if cut > len(self._messages):  # fewer stay than go
            kept = {message.id: ids[message.id] for message in self._messages}
            self.ids = dict.fromkeys(self.tombstones, REMOVED) | kept
        else:
            for name in names:
                del ids[name]
        if self.recent is None:
            self.recent = RecentIds()
        self.recent.add(names)
        if self.annotations or self._extras:
            for name in names:
                self._shed(name)
        if self.on_drop is not None:
            self.on_drop(dropped)

    def _shed(self, message_id: str) -> None:
        """Forget what belongs to a message that has left the list."""
        self._bytes -= self._extras.pop(message_id, 0) + annotation_bytes(self.annotations.pop(message_id, None))

    def check(self) -> None:
        """Assert the invariants; for tests. O(n log n), ``by_time`` O(n²)."""
        assert len(self._messages) == len(self.ids) - len(self.tombstones)
        assert len(self._messages) <= self._settle_at
        held = list(self)
        assert len(held) == len(self) <= self.max_messages
        assert all(self.get(message.id) is message for message in held)
        assert all(self.get(message.id) is None for message in self._messages[: self._start])
        order = [time_key(message) for message in self._messages] if self.by_time else list(self.seqs())
        assert order == sorted(order)
        assert all(seq >= self.after for seq in self.seqs()) or self.by_time
        assert all(self.ids[message_id] == REMOVED for message_id in self.tombstones)
        assert len(self.tombstones) <= MAX_TOMBSTONES
        assert all(self.ids[message_id] != REMOVED for message_id in {**self.annotations, **self._extras})
        self._check_bytes()

    def _check_bytes(self) -> None:
        size = self.bytes
        annotated = sum(map(annotation_bytes, self.annotations.values()))
        assert self._bytes == messages_bytes(self._messages) + annotated + sum(self._extras.values())
        assert size >= self._bytes
        if self.recent is not None:
            self.recent.check()
