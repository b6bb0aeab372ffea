"""The window of messages that a room holds: ordered, deduplicated by id, and aware of what it lacks.

`Window` takes in what comes in order, as fast as may be; here is what else may happen to messages: they come late, are
edited, removed, annotated, and older ones are fetched. What has to find a message's place bisects: O(log n).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from roomstate.model import Annotation, MessageLike, check_bound
from roomstate.room.weight import annotation_bytes, messages_bytes
from roomstate.room.window import MAX_TOMBSTONES, REMOVED, Window, time_key

__all__ = ["Timeline"]

_NO_NOTE = Annotation()


class Timeline(Window, eq=False, gc=False):
    """A `Window` into which messages may come late, and in which they may change.

    >>> from datetime import UTC, datetime
    >>> from roomstate.model import Message
    >>> timeline = Timeline(max_messages=1000)
    >>> for seq, name in ((1, "a"), (3, "c"), (2, "b")):
    ...     timeline.insert(Message(name, "bob", f"message {name}", datetime(2026, 1, 1, tzinfo=UTC)), seq)
    >>> [message.id for message in timeline], timeline.ordinal
    (['a', 'b', 'c'], 3)
    >>> timeline.remove("b").content, timeline.knows("b"), "b" in timeline
    ('message b', True, False)
    """

    def insert(self, message: MessageLike, seq: int) -> None:
        """Add a message where its position (``by_time``: its timestamp and id) puts it; the oldest may be dropped.

        One that belongs below `after` is dropped at once. O(log n) to find the place, and one move of the list behind
        it. The caller has made sure that it is sound and that its id is not known.
        """
        self._settle()
        if self.by_time:
            index = bisect_left(self._messages, time_key(message), key=time_key)
        elif seq < self.dropped_to:
            index = 0
        else:
            index = bisect_right(self._messages, seq, key=self._seq)
        self._enter(message, seq)
        self._messages.insert(index, message)
        self._bytes += messages_bytes((message,))
        self._weighed += 1
        if seq < self.dropped_to and not self.by_time:
            self._sweep(1)
        self._settle()

    def prepend(self, messages: Sequence[MessageLike], seqs: Sequence[int], after: int) -> None:
        """Put older messages, which count in `ordinal` already, before all others; the window reaches to ``after``.

        Those whose ids are known are left out. The oldest that do not fit are dropped. O(n), ``by_time`` O(n log n).
        The caller has made sure that there is a seq for each, and that ``seqs`` are ascending (unless ``by_time``) and
        not above any position held.
        """
        self._settle()
        fresh: list[MessageLike] = []
        ids = self.ids
        for message, seq in zip(messages, seqs, strict=True):
            if message.id not in ids:
                ids[message.id] = seq
                fresh.append(message)
                if message.extra:
                    self._enter(message, seq)
        self._messages[:0] = fresh
        if self.by_time:
            self._messages.sort(key=time_key)
        self._begin(after, -len(fresh))
        self._bytes += messages_bytes(fresh)
        self._weighed += len(fresh)
        self._settle()

    # -- changing ------------------------------------------------------------------------------------------------------

    def resize(self, max_messages: int) -> None:
        """Hold at most ``max_messages`` from now on, dropping the oldest; what was dropped does not come back. O(n).

        Raises ``InvalidValue`` for less than 1; nothing has changed then.
        """
        check_bound("max_messages", max_messages)
        self._settle()
        self.max_messages = max_messages
        self._settle()
        self._compact()

    def replace(self, message: MessageLike) -> MessageLike:
        """Put ``message`` in the place of the held one with its id; return that one. O(log n), ``by_time`` O(n).

        ``by_time``, a message with another timestamp moves to its new place, as `insert` would put it. Where it has
        grown, older ones may be dropped. The caller has made sure that it is sound. Raises KeyError where no message of
        this id is held; nothing has changed then.
        """
        index = self._index(message.id)
        if index is None:
            raise KeyError(message.id)
        old = self._messages[index]
        note = self.annotations.get(message.id)
        seq = self._take(index)
        self._begin(self.dropped_to, -1)
        if self.by_time and old.timestamp != message.timestamp:
            self.insert(message, seq)
        else:
            self._enter(message, seq)
            self._messages.insert(index, message)
            self._bytes += messages_bytes((message,))
            self._weighed += 1
            self._settle()
        if note is not None:
            self.annotate(message.id, note)
        return old

    def annotate(self, message_id: str, note: Annotation) -> bool:
        """Set what has gathered on a message; return whether it is held: else nothing has changed. O(log n)."""
        if message_id not in self:
            return False
        self._bytes -= annotation_bytes(self.annotations.pop(message_id, None))
        if note != _NO_NOTE:
            self.annotations[message_id] = note
            self._bytes += annotation_bytes(note)
        return True

    def remove(self, message_id: str) -> MessageLike | None:
        """Take a message out and leave a tombstone, held or not; return the message, or None.

        O(log n), and one move of the list behind it; ``by_time`` O(n).
        """
        self._settle()
        message = self.withdraw(message_id)
        self.bury((message_id,))
        return message

    def withdraw(self, message_id: str) -> MessageLike | None:
        """Take a held message out without a tombstone; it still counts in `ordinal`. As `remove`."""
        index = self._index(message_id)
        if index is None:
            return None
        message = self._messages[index]
        self._take(index)
        return message

    def count_to(self, ordinal: int) -> None:
        """Let `ordinal` be at least this: the log counts messages that turned out to be held already. O(1)."""
        self._begin(self.dropped_to, max(0, ordinal - self.ordinal))

    def bury(self, message_ids: Iterable[str]) -> None:
        """Leave tombstones for those of the ids that are not held; the oldest beyond the bound are forgotten. O(n)."""
        for message_id in message_ids:
            if message_id in self.ids:
                continue
            self.tombstones[message_id] = None
            self.ids[message_id] = REMOVED
            if len(self.tombstones) > MAX_TOMBSTONES:
                oldest = next(iter(self.tombstones))
                del self.tombstones[oldest], self.ids[oldest]

    def _take(self, index: int) -> int:
        """Take the message at ``index`` out of the list; it still counts in `ordinal`. Return its position."""
        self._weigh()
        message = self._messages.pop(index)
        self._bytes -= messages_bytes((message,))
        self._weighed -= 1
        self._begin(self.dropped_to, 1)
        self._shed(message.id)
        return self.ids.pop(message.id)
