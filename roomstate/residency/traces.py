"""What the default predictor remembers of a room and of a viewer: small, bounded, without names of people.

Numbers are at least 1, so that 0 is an empty place. Users and places are kept as marks (CRC-32 of the name): a mark
costs four bytes, and two names that share one only make a prediction a little worse. Shares are of counts that fade
by a fixed factor with each of the viewer's turns.
"""

from __future__ import annotations

from array import array
from binascii import crc32
from collections.abc import Iterable
from math import isfinite, log2
from typing import Any

POSTERS = 4
"""Last distinct posters kept per room; the viewer's place among them says who answered whom."""
FOLLOWERS = 12
"""Rooms kept per room to which viewers went from there."""
TRAIL = 13
"""Rooms kept per viewer, the current one and twelve others: more gain nothing on the Lean archive."""
PEERS = 8
"""Users kept per viewer after whom the viewer posted."""
PLACES = 6
"""Places kept per viewer (`BlendedPredictor` says what a place is)."""
CALLS = 4
"""Rooms kept per viewer in which the viewer was mentioned and has not been since."""
OWN_WEIGHTS = 20
"""Weights kept per viewer: ten classes of unread messages, in quiet rooms and in busy ones."""
PACE_S = 7 * 86_400.0
"""Seconds in which a room's pace fades to 1/e: a week, the longest rhythm of a chat."""
HALVING_S = PACE_S * 0.6931471805599453
"""Seconds in which it fades to a half."""


def mark(name: str) -> int:
    """A number in [1, 2**32) for ``name``, the same in every process."""
    return crc32(name.encode("utf-8", "surrogatepass")) or 1


class Tally:
    """Counts by mark, at most ``size``, which fade by ``fade`` with each count; the smallest makes place.

    >>> tally = Tally(size=2, fade=0.5)
    >>> for one in (7, 8, 8, 9):
    ...     tally.count(one)
    >>> [(one, round(share, 2)) for one, share in tally.shares()]
    [(9, 0.57), (8, 0.43)]
    """

    __slots__ = ("_counts", "_fade", "_marks")

    def __init__(self, size: int, fade: float) -> None:
        self._fade = fade
        self._marks = array("I", [0]) * size  # 0 is an empty place
        self._counts = array("f", [0]) * size

    def count(self, one: int) -> None:
        """Count ``one``, which is at least 1. O(size)."""
        marks, counts, fade = self._marks, self._counts, self._fade
        for at in range(len(counts)):
            counts[at] *= fade
        if one in marks:
            counts[marks.index(one)] += 1.0
        else:
            at = counts.index(min(counts))
            marks[at], counts[at] = one, 1.0

    def shares(self) -> Iterable[tuple[int, float]]:
        """Each mark with its share of the whole. O(size)."""
        whole = sum(self._counts)
        return [(one, count / whole) for one, count in zip(self._marks, self._counts, strict=True) if one]

    def check(self) -> None:
        """Raise `AssertionError` where an invariant is broken."""
        filled = [one for one in self._marks if one]
        assert len(set(filled)) == len(filled)
        assert all((count > 0.0) == (one > 0) for one, count in zip(self._marks, self._counts, strict=True))


class RoomTrace:
    """What happens in a room, about 700 bytes with its followers."""

    __slots__ = ("_pace", "begun", "followers", "last", "messages", "name", "number", "place", "posters", "starter")

    def __init__(self, name: str, number: int, place: int, now: float) -> None:
        self.name: str = name
        self.number: int = number
        self.place: int = place
        self.begun: float = now
        self.last: float = now
        self.messages: int = 0
        self.starter: int = 0
        self.posters: tuple[int, ...] = ()
        self.followers: Tally = Tally(FOLLOWERS, 0.98)
        self._pace = 0.0  # log2 of the faded count of messages, plus the time in halvings

    def posted(self, user: int, now: float) -> None:
        """``user`` posted here; the first one ever is the room's starter. O(1)."""
        self.starter = self.starter or user
        pace = 2.0 ** (self._pace - now / HALVING_S) + 1.0 if self.messages else 1.0
        self._pace = log2(pace) + now / HALVING_S
        self.posters = (user, *(other for other in self.posters if other != user))[:POSTERS]
        self.last = now
        self.messages += 1

    def pace(self, faded: float) -> int:
        """How busy the room is, at ``faded`` times `HALVING_S`: 0 for none, one more for each doubling, up to 19."""
        pace = int(self._pace - faded) + 2
        return 0 if pace < 0 or not self.messages else pace if pace < 19 else 19


class ViewerTrace:
    """Where a viewer went, whom the viewer answers, and the viewer's own weights: below 2 kB, measured.

    The columns ``rooms, at, seen, often, habit, turn`` have `TRAIL` rows, most recent first; an empty row has
    room 0. They are made full, because an array that grows takes more than it needs.
    """

    __slots__ = (
        "at",
        "called",
        "elsewhere",
        "habit",
        "last",
        "often",
        "peers",
        "places",
        "preferred",
        "rooms",
        "seen",
        "turn",
        "turns",
        "weights",
    )

    def __init__(self) -> None:
        self.rooms: array[int] = array("I", [0]) * TRAIL
        self.at: array[float] = array("d", [0]) * TRAIL  # time of the last visit
        self.seen: array[int] = array("I", [0]) * TRAIL  # the room's messages at that time
        self.often: array[float] = array("f", [0]) * TRAIL  # turns, faded by 5 % each
        self.habit: array[float] = array("f", [0]) * TRAIL  # turns, faded by 1 % each
        self.turn: array[int] = array("B", [0]) * TRAIL  # own messages in the last turn there, up to 4
        self.peers: Tally = Tally(PEERS, 0.97)
        self.places: Tally = Tally(PLACES, 0.97)
        self.weights: array[float] = array("f", [0]) * OWN_WEIGHTS
        self.preferred: tuple[int, ...] = ()
        self.called: tuple[int, ...] = ()
        self.last: float = 0.0
        self.turns: int = 0
        self.elsewhere: float = 0.5  # faded share of turns to rooms that were no candidates

    def turned(self, room: RoomTrace) -> None:
        """The viewer turned to ``room``, which is another than before. O(TRAIL)."""
        number = room.number
        row = self.rooms.index(number) if number in self.rooms else TRAIL - 1
        fresh = self.rooms[row] != number
        columns: tuple[array[Any], ...] = (self.rooms, self.at, self.seen, self.often, self.habit, self.turn)
        for column in columns:
            head = 0 if fresh else column[row]
            column[1 : row + 1] = column[:row]
            column[0] = head
        for at in range(TRAIL):
            self.often[at] *= 0.95
            self.habit[at] *= 0.99
        self.rooms[0] = number
        self.often[0] += 1.0
        self.habit[0] += 1.0
        self.turn[0] = 0
        self.turns += 1
        self.places.count(room.place)

    def stays(self, room: RoomTrace, now: float) -> None:
        """The viewer is in ``room``, the current one, and has seen it up to here. O(1)."""
        self.at[0] = self.last = now
        self.seen[0] = room.messages
        if room.number in self.called:
            self.called = tuple(one for one in self.called if one != room.number)

    def posted(self, room: RoomTrace, user: int, now: float) -> None:
        """The viewer, whose mark is ``user``, is about to post in ``room``. O(TRAIL)."""
        if room.posters and room.posters[0] != user:
            self.peers.count(room.posters[0])
        if room.number in self.rooms:
            row = self.rooms.index(room.number)
            self.at[row] = self.last = now
            self.seen[row] = room.messages + 1
            self.turn[row] = min(4, self.turn[row] + 1)

    def mentioned(self, number: int) -> None:
        """The viewer was mentioned in room ``number``, and is not there. O(CALLS)."""
        self.called = (number, *(one for one in self.called if one != number))[:CALLS]

    def check(self) -> None:
        """Raise `AssertionError` where a bound or an invariant is broken."""
        filled = [number for number in self.rooms if number]
        assert len(set(filled)) == len(filled)
        assert list(self.rooms) == filled + [0] * (TRAIL - len(filled))
        assert len(self.called) <= CALLS
        assert 0.0 <= self.elsewhere <= 1.0
        assert all(isfinite(weight) for weight in self.weights)
        self.peers.check()
        self.places.check()
