"""What each user has read of one room, and so what they have not.

Counting costs nothing per message and per viewer: a marker remembers how many messages there were (the *ordinal*) when
its user last read, and the unread are those that came since, less the user's own and the removed. What is not known
exactly is "at least".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from roomstate.model import Count, Marker, MessageLike, Unread
from roomstate.position import Gap

__all__ = ["MAX_MARKERS", "MAX_MENTIONS", "MAX_REMOVED", "ReadState"]

MAX_MARKERS = 10_000
"""Users whose markers one room keeps; beyond it the one who has waited longest is forgotten."""

MAX_MENTIONS = 100
"""Mentions kept per (user, room): as many as an ACTIVE room's notifications."""

MAX_REMOVED = 1000
"""Removed messages remembered per room, to be left out of counts: as many as its tombstones."""

MAX_AWAITED = 1000
"""Receipts kept per room for messages not seen yet."""


class ReadState(Struct, eq=False, gc=False):
    """The read markers of one room. ``head`` is its last position, ``ordinal`` the number of messages up to there.

    It outlives the tiers: while the room is not live, whoever moves its head says so through ``head`` and ``ordinal``.

    >>> reads = ReadState()
    >>> reads.start("ada")
    >>> reads.head, reads.ordinal = 2, 2
    >>> str(reads.unread("ada").messages)
    '2'
    """

    head: int = 0
    ordinal: int = 0
    markers: dict[str, Marker] = {}
    awaited: dict[str, list[str]] = {}  # message id -> users who have read it before it came
    _removed: tuple[int, ...] = ()  # the seqs of removed messages, ascending
    _lost_seq: int = 0  # removals at or below this seq are forgotten,
    _lost_removed: int = 0  # and there were so many of them

    def start(self, user: str) -> None:
        """Begin to count for ``user`` from here on, unless there is a marker already. O(1)."""
        if user not in self.markers:
            self._bound()
            self.markers[user] = Marker(self.head, self.ordinal)

    def _bound(self) -> None:
        if len(self.markers) >= MAX_MARKERS:
            del self.markers[next(iter(self.markers))]

    def posted(self, user: str) -> None:
        """Note that ``user`` added a message: nobody has not read their own. O(1)."""
        marker = self.markers.get(user)
        if marker is not None:
            marker.own += 1

    def mentioned(self, user: str, seq: int) -> None:
        """Note that the message at ``seq`` concerns ``user``. O(mentions kept)."""
        marker = self.markers.get(user)
        if marker is not None and seq > marker.seq:
            marker.mentions = (*marker.mentions, seq)
            if len(marker.mentions) > MAX_MENTIONS:
                marker.mentions = marker.mentions[1:]

    def removed(self, seq: int, author: str) -> None:
        """Note that the message at ``seq`` was removed: it no longer counts. O(markers + removed)."""
        self._removed = tuple(sorted((*self._removed, seq)))
        if len(self._removed) > MAX_REMOVED:
            self._lost_seq = self._removed[0]
            self._removed = self._removed[1:]
            self._lost_removed += 1
        own = self.markers.get(author)
        if own is not None and own.seq < seq:
            own.own -= 1
        for marker in self.markers.values():
            if seq in marker.mentions:
                marker.mentions = tuple(at for at in marker.mentions if at != seq)

    def await_message(self, user: str, message_id: str) -> bool:
        """Keep a receipt for a message that has not come; False where too many wait already. O(1)."""
        if message_id not in self.awaited and len(self.awaited) >= MAX_AWAITED:
            return False
        waiting = self.awaited.setdefault(message_id, [])
        if user not in waiting and len(waiting) < MAX_AWAITED:
            waiting.append(user)
        return True

    def read(self, user: str, seq: int, later: Sequence[MessageLike] = (), *, complete: bool = True) -> bool:
        """Move ``user``'s marker up to ``seq``; return whether it moved: markers never go back.

        ``later`` are the messages held after ``seq``; not ``complete`` says that the window does not reach back that
        far, so that the count is "at least" from now on. O(later).
        """
        marker = self.markers.get(user)
        if marker is not None and seq <= marker.seq:
            return False
        if marker is None:
            self._bound()
        mentions = tuple(at for at in marker.mentions if at > seq) if marker is not None else ()
        ordinal = self.ordinal - len(later) - self._removed_after(seq)
        own = sum(message.user == user for message in later)
        self.markers[user] = Marker(seq, ordinal, own, mentions, cut=not complete)
        return True

    def _removed_after(self, seq: int) -> int:
        return len(self._removed) - bisect_right(self._removed, seq)

    def unread(self, user: str, gaps: Iterable[Gap] = ()) -> Unread:
        """Count what ``user`` has not read. A user without a marker has "at least 0". O(log removed + gaps)."""
        marker = self.markers.get(user)
        if marker is None:
            return Unread(Count(0, exact=False), Count(0, exact=False))
        removed = self._removed_after(marker.seq)
        exact = not marker.cut and not any(gap.upto > marker.seq for gap in gaps)
        if marker.seq < self._lost_seq:
            removed += self._lost_removed
            exact = False
        value = max(0, self.ordinal - marker.ordinal - marker.own - removed)
        mentions = len(marker.mentions)
        return Unread(Count(value, exact), Count(mentions, exact and mentions < MAX_MENTIONS))

    def cut(self, seq: int) -> None:
        """Note that messages may be missing up to ``seq``: markers below it say "at least" from now on. O(markers)."""
        for marker in self.markers.values():
            if marker.seq < seq:
                marker.cut = True

    def restore(self, markers: Mapping[str, Marker]) -> None:
        """Take over ``markers`` from an image; those that are further stay. O(n)."""
        for user, marker in markers.items():
            mine = self.markers.get(user)
            if (mine is None and len(self.markers) < MAX_MARKERS) or (mine is not None and mine.seq < marker.seq):
                self.markers[user] = Marker(marker.seq, marker.ordinal, marker.own, marker.mentions, marker.cut)

    def image(self) -> dict[str, Marker]:
        """Return the markers as values. O(n)."""
        return {
            user: Marker(marker.seq, marker.ordinal, marker.own, marker.mentions, marker.cut)
            for user, marker in self.markers.items()
        }

    @property
    def bytes(self) -> int:
        """What the markers hold in memory, in bytes, by estimate. O(1)."""
        return 250 * len(self.markers) + 40 * len(self._removed) + 200 * len(self.awaited)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self.markers) <= MAX_MARKERS
        assert len(self._removed) <= MAX_REMOVED
        assert len(self.awaited) <= MAX_AWAITED
        for marker in self.markers.values():
            assert marker.own >= 0
            assert len(marker.mentions) <= MAX_MENTIONS
            assert all(seq > marker.seq for seq in marker.mentions)
