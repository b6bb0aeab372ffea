"""What each user has read of one room, and so what they have not.

Counting costs nothing per message and per viewer: a marker remembers how many messages there were (the *ordinal*) when
its user last read, and the unread are those that came since, less the user's own and the removed. What is not known
exactly is "at least", and never too high.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from roomstate.model import Count, Marker, MessageLike, Unread
from roomstate.position import Gap

__all__ = ["MAX_AWAITED", "MAX_MARKERS", "MAX_MENTIONS", "ReadState"]

MAX_MARKERS = 10_000
"""Users whose markers one room keeps; beyond it the one who has waited longest is forgotten."""

MAX_MENTIONS = 100
"""Mentions kept per (user, room): as many as an ACTIVE room's notifications."""

MAX_AWAITED = 1000
"""Receipts kept per room for messages not seen yet."""


class ReadState(Struct, eq=False, gc=False):
    """The read markers of one room. ``head`` is its last position, ``ordinal`` the number of messages up to there.

    It outlives the tiers: whoever moves the room's head says so through ``head`` and ``ordinal``. ``markers`` has a
    marker for each user whose reading is followed, the one that has not moved for longest first. ``awaited`` has the
    users whose receipt came before the message did, by its id: who sees the message come takes them out.

    >>> reads = ReadState()
    >>> reads.start("ada")
    >>> reads.head, reads.ordinal = 2, 2
    >>> str(reads.unread("ada").messages)
    '2'
    """

    head: int = 0
    ordinal: int = 0
    markers: dict[str, Marker] = {}
    awaited: dict[str, list[str]] = {}

    def start(self, user: str) -> None:
        """Begin to count for ``user`` from here on, unless there is a marker already. O(1)."""
        if user not in self.markers:
            self._set(user, Marker(self.head, self.ordinal))

    def _set(self, user: str, marker: Marker) -> None:
        self.markers.pop(user, None)
        if len(self.markers) >= MAX_MARKERS:
            del self.markers[next(iter(self.markers))]
        self.markers[user] = marker

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
                oldest, *kept = marker.mentions
                marker.mentions, marker.mentioned_after = tuple(kept), max(oldest, marker.mentioned_after)

    def removed(self, seq: int, author: str) -> None:
        """Note that the message of ``author`` at ``seq`` was removed: it needs no reading. O(markers)."""
        for user, marker in self.markers.items():
            if marker.seq < seq and user != author:  # the author's own did not count before
                marker.own += 1
                if seq in marker.mentions:
                    marker.mentions = tuple(at for at in marker.mentions if at != seq)

    def await_message(self, user: str, message_id: str) -> bool:
        """Keep a receipt for a message that has not come; return whether all that wait could be kept. O(awaited).

        Beyond the bound the receipts for the message that was waited for first are forgotten.
        """
        users = self.awaited.setdefault(message_id, [])
        if user not in users:
            users.append(user)
        if sum(map(len, self.awaited.values())) <= MAX_AWAITED:
            return True
        del self.awaited[next(iter(self.awaited))]
        return False

    def read(self, user: str, seq: int, later: Sequence[MessageLike] = (), *, complete: bool = True) -> bool:
        """Move ``user``'s marker up to ``seq``; return whether it moved: markers never go back.

        ``later`` are the messages held after ``seq``; not ``complete`` says that the window does not reach back that
        far, so that the count is "at least" from now on. O(later).
        """
        marker = self.markers.get(user)
        if marker is not None and seq <= marker.seq:
            return False
        mentions = tuple(at for at in marker.mentions if at > seq) if marker is not None else ()
        mentioned_after = marker.mentioned_after if marker is not None else self.head if later else 0
        own = sum(message.user == user for message in later)
        self._set(user, Marker(seq, self.ordinal - len(later), own, mentions, not complete, mentioned_after))
        return True

    def unread(self, user: str, gaps: Iterable[Gap] = ()) -> Unread:
        """Count what ``user`` has not read. A user without a marker has "at least 0". O(gaps)."""
        marker = self.markers.get(user)
        if marker is None:
            return Unread(Count(0, exact=False), Count(0, exact=False))
        exact = not marker.cut and not any(gap.upto > marker.seq for gap in gaps)
        messages = Count(max(0, self.ordinal - marker.ordinal - marker.own), exact)
        return Unread(messages, Count(len(marker.mentions), exact and marker.mentioned_after <= marker.seq))

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
                self.markers[user] = structs.replace(marker)

    def take(self, user: str, marker: Marker) -> None:
        """Let ``user`` have read just what ``marker`` says. O(1)."""
        self._set(user, structs.replace(marker))

    def image(self) -> dict[str, Marker]:
        """Return the markers as values of their own: what happens later does not show in them. O(n)."""
        return {user: structs.replace(marker) for user, marker in self.markers.items()}

    @property
    def bytes(self) -> int:
        """What the markers hold in memory, in bytes, by estimate. O(1)."""
        return 250 * len(self.markers) + 200 * len(self.awaited)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self.markers) <= MAX_MARKERS
        assert sum(map(len, self.awaited.values())) <= MAX_AWAITED
        assert all(self.awaited.values())
        for marker in self.markers.values():
            assert marker.own >= 0
            assert len(marker.mentions) <= MAX_MENTIONS
            assert all(seq > marker.seq for seq in marker.mentions)
