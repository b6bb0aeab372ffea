"""The window of messages that a room holds: ordered, deduplicated by id, and aware of what it lacks.

`Window` takes in what comes in order, as fast as may be; here is what else may happen to messages: they come late, are
edited, removed, annotated, and older ones are fetched.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile

from roomstate.model import Annotation, MessageLike, check_bound
from roomstate.room.weight import annotation_bytes, messages_bytes
from roomstate.room.window import MAX_TOMBSTONES, Window, time_key

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

        One that belongs below `after` is dropped at once. O(messages after it), O(n) unless it is the last. The caller
        has made sure that it is sound and that its id is not known.
        """
        self.settle()
        index = self._place(message, seq)
        if index == len(self.held):
            self.append(message, seq)
            return
        head = self.head
        self._fix_seqs()
        self._seqs = (*self._seqs[:index], seq, *self._seqs[index:])
        later = [*islice(self.held.items(), index, None)]
        for name, _ in later:
            del self.held[name]
        self._enter(message)
        self.held.update(later)
        self._hold(self.held, max(head, seq))
        self._bytes += messages_bytes((message,))
        self._weighed += 1
        if seq < self.dropped_to and not self.by_time:
            self._sweep(1)
        self.settle()

    def _place(self, message: MessageLike, seq: int) -> int:
        """Return the index at which a message belongs."""
        if not self.by_time:
            if seq < self.dropped_to:
                return 0
            return len(self.held) if seq >= self.head else bisect_right(self._all_seqs(), seq)
        key, index = time_key(message), len(self.held)
        for other in reversed(self.held.values()):
            if time_key(other) <= key:
                break
            index -= 1
        return index

    def prepend(self, messages: Sequence[MessageLike], seqs: Sequence[int], after: int) -> None:
        """Put older messages, which count in `ordinal` already, before all others; the window reaches to ``after``.

        Those whose ids are known are left out. The oldest that do not fit are dropped. O(n), ``by_time`` O(n log n).
        The caller has made sure that there is a seq for each, and that ``seqs`` are ascending (unless ``by_time``) and
        not above any position held.
        """
        self.settle()
        head, fresh, places = self.head, *self._unknown(messages, seqs)
        self._seqs = (*places, *self._all_seqs())
        held = fresh | self.held
        if self.by_time:
            pairs = sorted(zip(held.values(), self._seqs, strict=True), key=lambda pair: time_key(pair[0]))
            held = {message.id: message for message, _ in pairs}
            self._seqs = tuple([seq for _, seq in pairs])
        self._hold(held, head)
        for message in fresh.values():
            if message.extra:
                self._weigh_extra(message)
        self._begin(after, -len(fresh))
        self._bytes += messages_bytes(fresh.values())
        self._weighed += len(fresh)
        self.settle()

    def _unknown(
        self, messages: Sequence[MessageLike], seqs: Sequence[int]
    ) -> tuple[dict[str, MessageLike], Sequence[int]]:
        """Return those of the messages whose ids are not known, the first of each id, and their positions."""
        fresh = {message.id: message for message in messages}
        if len(fresh) == len(seqs) == len(messages) and fresh.keys().isdisjoint(self.held.keys() | self.tombstones):
            return fresh, seqs
        fresh, places = {}, []
        for message, seq in zip(messages, seqs, strict=True):
            if message.id not in fresh and message.id not in self.held and message.id not in self.tombstones:
                fresh[message.id] = message
                places.append(seq)
        return fresh, places

    # -- changing ------------------------------------------------------------------------------------------------------

    def resize(self, max_messages: int) -> None:
        """Hold at most ``max_messages`` from now on, dropping the oldest; what was dropped does not come back. O(n).

        Raises ``InvalidValue`` for less than 1; nothing has changed then.
        """
        check_bound("max_messages", max_messages)
        self.settle()
        self.max_messages = max_messages
        self.settle()
        self._hold(dict(self.held), self.head)  # a dict does not shrink of itself

    def replace(self, message: MessageLike) -> MessageLike:
        """Put ``message`` in the place of the held one with its id; return that one. O(1).

        ``by_time``, a message with another timestamp moves to its new place, as `insert` would put it. Where it has
        grown, older ones may be dropped. The caller has made sure that it is sound. Raises KeyError where no message of
        this id is held; nothing has changed then.
        """
        old = self.get(message.id)
        if old is None:
            raise KeyError(message.id)
        if self.by_time and old.timestamp != message.timestamp:
            note = self.annotations.get(message.id)
            seq = self._take(old)
            self._begin(self.dropped_to, -1)
            self.insert(message, seq)
            if note is not None:
                self.annotate(message.id, note)
            return old
        self._weigh()
        self.held[message.id] = message
        self._bytes += messages_bytes((message,)) - messages_bytes((old,)) - self._extras.pop(message.id, 0)
        self._weigh_extra(message)
        self.settle()
        return old

    def annotate(self, message_id: str, note: Annotation) -> bool:
        """Set what has gathered on a message; return whether it is held: else nothing has changed. O(1)."""
        if message_id not in self:
            return False
        self._bytes -= annotation_bytes(self.annotations.pop(message_id, None))
        if note != _NO_NOTE:
            self.annotations[message_id] = note
            self._bytes += annotation_bytes(note)
        return True

    def remove(self, message_id: str) -> MessageLike | None:
        """Take a message out and leave a tombstone, held or not; return the message, or None. O(n) where it is held."""
        self.settle()
        message = self.withdraw(message_id)
        self.bury((message_id,))
        return message

    def withdraw(self, message_id: str) -> MessageLike | None:
        """Take a held message out without a tombstone; it still counts in `ordinal`. As `remove`."""
        message = self.get(message_id)
        if message is not None:
            self._take(message)
        return message

    def drop_behind(self) -> None:
        """``by_time``: drop what lies before others that were dropped: held, it would hide that. O(what is dropped)."""
        self.settle()
        self._sweep(sum(1 for _ in takewhile(self._is_behind, self.held.values())))

    def _is_behind(self, message: MessageLike) -> bool:
        return message.timestamp < self.horizon

    def count_to(self, ordinal: int) -> None:
        """Let `ordinal` be at least this: the log counts messages that turned out to be held already. O(1)."""
        self._begin(self.dropped_to, max(0, ordinal - self.ordinal))

    def bury(self, message_ids: Iterable[str]) -> None:
        """Leave tombstones for those of the ids that are not held; the oldest beyond the bound are forgotten. O(n)."""
        for message_id in message_ids:
            if message_id not in self.held:
                self.tombstones.setdefault(message_id)
                if len(self.tombstones) > MAX_TOMBSTONES:
                    del self.tombstones[next(iter(self.tombstones))]

    def _take(self, message: MessageLike) -> int:
        """Take a held message out; it still counts in `ordinal`. Return its position."""
        self._weigh()
        self._sweep(self._start)  # else one that waits to be swept out would be held again
        head, index = self.head, self._index(message.id)
        self._fix_seqs()
        seq = self._seqs[index]
        self._seqs = self._seqs[:index] + self._seqs[index + 1 :]
        del self.held[message.id]
        self._hold(self.held, head)
        self._begin(self.dropped_to, 1)
        self._bytes -= messages_bytes((message,))
        self._weighed -= 1
        self._shed(message.id)
        return seq
