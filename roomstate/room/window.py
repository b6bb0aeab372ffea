"""The newest messages of a room, as long as they only come and go: appending, reading, counting bytes, dropping.

How it is laid out, and why. One dict from id to message, in order: it finds a message, and a repetition, and Python's
garbage collector does not look into it as long as messages are such as it does not track. Positions are counted, not
stored, for as long as one follows the other. What is not needed at once is put off: dropped messages are swept out, and
new ones weighed, a sixteenth of the window at a time (`Window.settle`) and at the speed of C. Appending and finding are
O(1); what has to know a message's place looks for it from the newest on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter, indexOf

from msgspec import Struct, field

from roomstate.errors import InvalidValue
from roomstate.model import EMPTY, MAX_ID, Annotation, Message, MessageLike, check_bound, check_message
from roomstate.room.recent import RecentIds
from roomstate.room.weight import annotation_bytes, json_bytes, messages_bytes

__all__ = ["MAX_TOMBSTONES", "Window", "time_key"]

MAX_TOMBSTONES = 1000
"""Ids of removed messages remembered: as many as the messages of an ACTIVE room."""

_PER_TOMBSTONE = 110  # bytes: an id of ordinary length in a dict
_PER_SEQ = 36  # bytes: an int and its place in a tuple
_LONG = 2048  # characters; a message with more is weighed at once
_BATCH = 64  # the most messages that wait to be swept out or weighed: DESIGN §10
_FEW = 4  # and the least: settling costs as much as taking in eight messages does
_ALWAYS = datetime.min.replace(tzinfo=UTC)

time_key: Callable[[MessageLike], tuple[datetime, str]] = attrgetter("timestamp", "id")

_is_ascii = str.isascii  # called like this it also finds what is no str, for no more than a method call costs
_NO_BADGES = ()  # there is only one empty tuple


def _is_plain(message: MessageLike) -> bool:
    """Whether a message is of the most ordinary kind, which is sound without a closer look. O(1)."""
    message_id, user, content = message.id, message.user, message.content
    return (
        type(message) is Message
        and message.extra is EMPTY
        and message.badges is _NO_BADGES
        and _is_ascii(content)
        and _is_ascii(message_id)
        and _is_ascii(user)
        and message_id != ""
        and user != ""
        and len(message_id) + len(user) + len(content) <= MAX_ID
    )


def _is_sound(message: MessageLike) -> bool:
    try:
        check_message(message)
    except InvalidValue:
        return False
    return True


class Window(Struct, eq=False, gc=False):
    """At most ``max_messages`` messages, and at most ``max_bytes`` of them (the newest always stays), in order.

    The order is that of positions; with ``by_time`` it is that of (timestamp, id), for sources without positions.
    Messages of one position or of one time all stay. `after` says how far back the window reaches: every message in
    ``(after, head]`` that was ever added is held, or was removed. ``horizon`` is the newest timestamp ever dropped:
    only a message that is not newer can be a repetition of one that is no longer held. ``held`` has the messages by id,
    in order, and before them those that wait to be swept out; ``tombstones`` the ids of removed ones; ``annotations``
    what has gathered on messages held. To be read only: they are changed through methods, but for the short way of
    `RoomStateManager.publish`. A window may begin at a position (``dropped_to``) with so many messages ``gone`` before
    it. ``offset`` and the number of messages give the next position (`head`).

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
    gone: int = 0  # messages ever added that are no longer in `held`
    horizon: datetime = _ALWAYS
    annotations: dict[str, Annotation] = field(default_factory=dict)
    tombstones: dict[str, None] = field(default_factory=dict)
    recent: RecentIds | None = None
    on_drop: Callable[[Sequence[MessageLike]], None] | None = None
    held: dict[str, MessageLike] = field(default_factory=dict)
    offset: int = 1  # of a position to its message's index, for the messages after those that have theirs in _seqs
    settle_at: int = 0  # the position whose message is the one to settle with
    _seqs: tuple[int, ...] = ()  # the positions of the first messages: a tuple of ints is nothing to the collector
    _bytes: int = 0
    _weighed: int = 0  # as many of the first messages count in _bytes
    _extras: dict[str, int] = field(default_factory=dict)  # what a message's host fields weigh; in _bytes at once

    def __post_init__(self) -> None:
        check_bound("max_messages", self.max_messages)
        check_bound("max_bytes", self.max_bytes)

    @property
    def _start(self) -> int:
        """The index of the oldest message that counts; those before wait to be swept out."""
        return max(0, len(self.held) - self.max_messages)

    @property
    def head(self) -> int:
        """The last position that the window was told of. O(1).

        To set it is to say that what happened in between was no message; O(n) where messages came since the last time.
        """
        return self.offset + len(self.held) - 1

    @head.setter
    def head(self, seq: int) -> None:
        if seq != self.head:
            self._fix_seqs()
            self.offset = seq + 1 - len(self.held)

    def _hold(self, held: dict[str, MessageLike], head: int) -> None:
        """Hold these messages; ``head`` is the last position told of."""
        self.held = held
        self.offset = head + 1 - len(held)

    def _begin(self, dropped_to: int, gone: int) -> None:
        """Begin after ``dropped_to``, with ``gone`` messages more (or fewer) before what is held."""
        self.dropped_to = dropped_to
        self.gone += gone

    def _fix_seqs(self) -> None:
        """Give every message its position in ``_seqs``. O(n)."""
        self._seqs += tuple(range(self.offset + len(self._seqs), self.offset + len(self.held)))

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def after(self) -> int:
        """How far back the window reaches: below this position nothing is held, and at it perhaps not all. O(1)."""
        return max(self.dropped_to, self._last_seq(self._start))

    def _last_seq(self, count: int) -> int:
        """Return the last position among the first ``count`` messages, 0 where there are none."""
        if not count:
            return 0
        return max(self._all_seqs()[:count]) if self.by_time else self._seq_at(count - 1)

    def _seq_at(self, index: int) -> int:
        return self._seqs[index] if index < len(self._seqs) else self.offset + index

    def _all_seqs(self) -> tuple[int, ...]:
        return (*self._seqs, *range(self.offset + len(self._seqs), self.offset + len(self.held)))

    @property
    def ordinal(self) -> int:
        """How many messages were ever added to the room, as far as it knows. O(1)."""
        return self.gone + len(self.held)

    @property
    def bytes(self) -> int:
        """What the timeline holds in memory, in bytes, within 10 % where ids are of ordinary length. O(1) amortised.

        ``max_bytes`` bounds the part of it that is messages.
        """
        self._weigh()
        remembered = self.recent.bytes if self.recent is not None else 0
        return self._bytes + remembered + _PER_TOMBSTONE * len(self.tombstones) + _PER_SEQ * len(self._seqs)

    def __len__(self) -> int:
        return min(len(self.held), self.max_messages)

    def __iter__(self) -> Iterator[MessageLike]:
        return islice(self.held.values(), self._start, None)

    def __contains__(self, message_id: str) -> bool:
        """Whether a message with this id is held. O(1)."""
        return message_id in self.held and not self._waits(message_id)

    def _waits(self, message_id: str) -> bool:
        """Whether the message waits to be swept out. O(waiting)."""
        return message_id in islice(self.held, self._start)

    def get(self, message_id: str) -> MessageLike | None:
        """Return the held message of this id, or None. O(1)."""
        return self.held[message_id] if message_id in self else None

    def seq_of(self, message_id: str) -> int | None:
        """Return the position of the held message of this id, or None. O(messages after it), 20 ns each."""
        return self._seq_at(self._index(message_id)) if message_id in self else None

    def _index(self, message_id: str) -> int:
        return len(self.held) - 1 - indexOf(reversed(self.held), message_id)

    def knows(self, message_id: str) -> bool:
        """Whether a message of this id was added before: held, removed, or among the last dropped. O(recent)."""
        if message_id in self.held or message_id in self.tombstones:
            return True
        return self.recent is not None and message_id in self.recent

    def is_new(self, message: MessageLike) -> bool:
        """Whether a message is plainly new: its id is not here or removed, and its timestamp above ``horizon``. O(1).

        Of any other message only `knows` can say. The caller has made sure that it is sound.
        """
        return message.id not in self.held and message.id not in self.tombstones and message.timestamp > self.horizon

    @property
    def newest(self) -> MessageLike | None:
        """The last message held, or None. O(1)."""
        return next(reversed(self.held.values()), None)

    def messages(self) -> tuple[MessageLike, ...]:
        """Return the messages held, in order. O(n), about 5 µs a thousand."""
        return tuple(self)

    def seqs(self) -> tuple[int, ...]:
        """Return the positions of `messages`. O(n)."""
        return self._all_seqs()[self._start :]

    def messages_after(self, seq: int) -> Sequence[MessageLike]:
        """Return the messages held at a position above ``seq``. O(returned + log n), ``by_time`` O(n)."""
        return [message for _, message in self.placed_after(seq)]

    def placed_after(self, seq: int) -> list[tuple[int, MessageLike]]:
        """Return the messages held at a position above ``seq``, and before each its position. As `messages_after`."""
        if self.by_time:
            return [(at, message) for at, message in zip(self.seqs(), self, strict=True) if at > seq]
        first = max(seq + 1 - self.offset, len(self._seqs))
        if first == len(self._seqs):
            first = bisect_right(self._seqs, seq)
        count = max(0, len(self.held) - max(first, self._start))
        later = [*islice(reversed(self.held.values()), count)][::-1]
        return [(self._seq_at(index), message) for index, message in enumerate(later, len(self.held) - count)]

    # -- adding --------------------------------------------------------------------------------------------------------

    def add(self, message: MessageLike, seq: int) -> bool:
        """Append a message that is sound and plainly new (`is_new`), and return True; or change nothing and return
        False.

        Anything else wants a closer look (`check_message`, `knows`), then `append`, or `Timeline.insert`. O(1)
        amortised; a message beyond ASCII, of more than some 500 characters, or with badges or ``extra`` costs about
        1 µs more. For something that is not a message it may raise TypeError or AttributeError instead. The caller has
        made sure that the timeline is not ``by_time`` and that ``seq`` is above the last.
        """
        held, message_id = self.held, message.id
        if message_id in held or message_id in self.tombstones or message.timestamp <= self.horizon:
            return False
        if _is_plain(message) and seq == self.offset + len(held):
            held[message_id] = message
            if seq >= self.settle_at:
                self.settle()
        elif _is_sound(message):
            self.append(message, seq)
        else:
            return False
        return True

    def append(self, message: MessageLike, seq: int) -> None:
        """Add a message behind all others; the oldest may be dropped. O(1) amortised, O(n) where ``seq`` jumps.

        The caller has made sure that it is sound, that its id is not known and, unless ``by_time``, that ``seq`` is not
        below the last; a message that belongs further up goes through `Timeline.insert`.
        """
        if seq > self.head:
            self.head = seq - 1
            self._enter(message)
            if seq >= self.settle_at or len(message.content) > _LONG:
                self.settle()
        else:
            head = self.head
            self._fix_seqs()
            self._seqs = (*self._seqs, seq)
            self._enter(message)
            self.offset = head + 1 - len(self.held)
            self.settle()

    def _enter(self, message: MessageLike) -> None:
        """Put a message behind all others."""
        self.held[message.id] = message
        self._weigh_extra(message)

    def _weigh_extra(self, message: MessageLike) -> None:
        if message.extra:
            weight = self._extras[message.id] = json_bytes(message.extra)
            self._bytes += weight

    # -- dropping ------------------------------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """Count the bytes of the messages that came since the last time."""
        new = len(self.held) - self._weighed
        if new:
            self._bytes += messages_bytes(islice(reversed(self.held.values()), new))
            self._weighed = len(self.held)

    def settle(self) -> None:
        """Weigh what is new and drop the oldest until both bounds hold; the newest stays. O(new + dropped)."""
        self._weigh()
        self._sweep(self._start)
        if self._bytes > self.max_bytes:
            self._sweep(self._excess())
        count = len(self.held)
        self.settle_at = self.offset + count + max(_FEW, min(count >> 4, _BATCH))

    def _excess(self) -> int:
        """Return how many of the oldest messages to drop for the bytes to fit. O(dropped)."""
        excess = self._bytes - self.max_bytes
        drop = 0
        for message in self.held.values():
            if excess <= 0 or drop == len(self.held) - 1:
                break
            excess -= messages_bytes((message,)) + self._extras.get(message.id, 0)
            excess -= annotation_bytes(self.annotations.get(message.id))
            drop += 1
        return drop

    def _sweep(self, cut: int) -> None:
        """Forget the first ``cut`` messages, but remember their ids."""
        if not cut:
            return
        names = [*islice(self.held, cut)]
        self.dropped_to = max(self.dropped_to, self._last_seq(cut))
        self._seqs = self._seqs[cut:]
        if 2 * cut > len(self.held):  # fewer stay than go
            dropped = [*islice(self.held.values(), cut)]
            self.held = dict(islice(self.held.items(), cut, None))
        else:
            dropped = [*map(self.held.pop, names)]
        self.offset += cut
        self.gone += cut
        self._weighed -= cut
        self._bytes -= messages_bytes(dropped)
        self.horizon = max(self.horizon, sorted([message.timestamp for message in dropped])[-1])
        if self.recent is None:
            self.recent = RecentIds()
        self.recent.add(names)
        if self.annotations or self._extras:
            for name in names:
                self._shed(name)
        if self.on_drop is not None:
            self.on_drop(dropped)

    def _shed(self, message_id: str) -> None:
        """Forget what belongs to a message that has left."""
        self._bytes -= self._extras.pop(message_id, 0) + annotation_bytes(self.annotations.pop(message_id, None))

    def check(self) -> None:
        """Assert the invariants; for tests. O(n²)."""
        assert self._start <= _BATCH
        assert all(name == message.id for name, message in self.held.items())
        assert not self.held.keys() & self.tombstones.keys()
        messages = list(self)
        assert len(messages) == len(self) <= self.max_messages
        assert all(self.get(message.id) is message for message in messages)
        assert all(self.get(message_id) is None for message_id in islice(self.held, self._start))
        seqs = self._all_seqs()
        assert len(seqs) == len(self.held)
        assert max(seqs, default=0) <= self.head
        order = [time_key(message) for message in self.held.values()] if self.by_time else list(seqs)
        assert order == sorted(order)
        assert all(seq >= self.after for seq in self.seqs()) or self.by_time
        assert len(self.tombstones) <= MAX_TOMBSTONES
        assert self.held.keys() >= {**self.annotations, **self._extras}.keys()
        self._check_bytes()

    def _check_bytes(self) -> None:
        size = self.bytes
        annotated = sum(map(annotation_bytes, self.annotations.values()))
        assert self._bytes == messages_bytes(self.held.values()) + annotated + sum(self._extras.values())
        assert size >= self._bytes
        if self.recent is not None:
            self.recent.check()
