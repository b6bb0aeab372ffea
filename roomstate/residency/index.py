"""Finding the first of many rows without looking at all of them."""

from __future__ import annotations

import heapq
from array import array
from typing import Protocol

Rank = tuple[float, float, str]  # the lowest goes first: minus the score, last touch, id
Candidate = tuple[Rank, int]
_Filed = tuple[float, float, str, int]

_ROUNDING = 1e-14  # of the rank: what a few additions of doubles may be off
_MOST_NEAR = 64
_SAMPLE = 16  # one of the highest 6 % with two chances in three; more costs more than it gives
_NOWHERE = 0xFFFFFFFF


class Index(Protocol):
    """Rows filed by rank."""

    def file(self, row: int, rank: Rank, group: int) -> None:
        """File a row, or file it again."""

    def remove(self, row: int) -> None:
        """Take a row out."""

    def candidates(self) -> list[Candidate]:
        """Rows of which one comes first; none if there are no rows."""


class HeapIndex:
    """A heap for each group (0 to 255). ``file`` is O(1) for a row that moves back, which nearly all touches
    are.

    A row that has moved back keeps its place until that comes to the head, and is filed again then. Places
    left behind are swept out when they outnumber the rows: O(n), once in n calls.
    """

    def __init__(self, near: bool = False) -> None:
        self._near = near
        self._heaps: dict[int, list[_Filed]] = {}
        self._key, self._touched, self._place = array("d"), array("d"), array("d")
        self._group = array("B")
        self._ids: list[str | None] = []  # None for a row that is not here
        self._rows = 0
        self._places = 0

    def file(self, row: int, rank: Rank, group: int) -> None:
        """File a row, or file it again. O(1) if it moves back within its group, else O(log n)."""
        key, touched, room_id = rank
        self._grow(row)
        here = self._ids[row] is not None
        self._key[row], self._touched[row] = key, touched
        if here and self._group[row] == group and self._place[row] <= key:
            return
        self._ids[row], self._group[row], self._place[row] = room_id, group, key
        self._rows += not here
        self._places += 1
        heapq.heappush(self._heaps.setdefault(group, []), (key, touched, room_id, row))
        if self._places > 2 * self._rows + 64:
            self._sweep()

    def remove(self, row: int) -> None:
        """Take a row out. O(1)."""
        self._ids[row] = None
        self._rows -= 1

    def head(self) -> Candidate:
        """The first row of the first group. O(log n) amortised. There must be one."""
        return self.candidates()[0]

    def candidates(self) -> list[Candidate]:
        """The first row of each group, and with ``near`` those that rounding may have put behind it."""
        found: list[Candidate] = []
        for group, heap in self._heaps.items():
            if self._settle(group, heap):
                found += self._nearest(group, heap) if self._near else [(heap[0][:3], heap[0][3])]
        return found

    def _settle(self, group: int, heap: list[_Filed]) -> bool:
        while heap:
            key, touched, room_id, row = heap[0]
            if not self._valid(group, heap[0]):
                heapq.heappop(heap)
                self._places -= 1
            elif key != self._key[row] or touched != self._touched[row]:
                self._place[row] = self._key[row]
                heapq.heapreplace(heap, (self._key[row], self._touched[row], room_id, row))
            else:
                return True
        return False

    def _valid(self, group: int, filed: _Filed) -> bool:
        key, _, room_id, row = filed
        return self._ids[row] == room_id and self._place[row] == key and self._group[row] == group

    def _nearest(self, group: int, heap: list[_Filed]) -> list[Candidate]:
        """Walk the top of the heap in order, as far as rounding may reach."""
        limit = heap[0][0] + _ROUNDING * max(1.0, abs(heap[0][0]))
        found: dict[int, Rank] = {}
        border = [(heap[0], 0)]
        while border and len(found) < _MOST_NEAR:
            filed, at = heapq.heappop(border)
            row = filed[3]
            if self._valid(group, filed) and self._key[row] <= limit:
                found[row] = self._key[row], self._touched[row], filed[2]
            for child in (2 * at + 1, 2 * at + 2):
                if child < len(heap) and heap[child][0] <= limit:
                    heapq.heappush(border, (heap[child], child))
        return [(rank, row) for row, rank in found.items()]

    def _sweep(self) -> None:
        for group, heap in self._heaps.items():
            heap[:] = [filed for filed in heap if self._valid(group, filed)]
            heapq.heapify(heap)
        self._places = sum(map(len, self._heaps.values()))

    def _grow(self, row: int) -> None:
        while row >= len(self._ids):
            self._ids.append(None)
            self._group.append(0)
            for column in (self._key, self._touched, self._place):
                column.append(0.0)


class SampleIndex:
    """No order at all: candidates are `_SAMPLE` rows drawn by a generator that always starts alike."""

    def __init__(self) -> None:
        self._held = array("I")
        self._place = array("I")
        self._drawn = 1

    def file(self, row: int, rank: Rank, group: int) -> None:
        """Know of a row. O(1)."""
        self._place.extend([_NOWHERE] * (row + 1 - len(self._place)))
        if not (self._place[row] < len(self._held) and self._held[self._place[row]] == row):
            self._place[row] = len(self._held)
            self._held.append(row)

    def remove(self, row: int) -> None:
        """Take a row out. O(1)."""
        place, other = self._place[row], self._held.pop()
        self._place[row] = _NOWHERE
        if other != row:
            self._held[place], self._place[other] = other, place

    def candidates(self) -> list[Candidate]:
        """Rows drawn at random, all of them if there are few."""
        if len(self._held) <= _SAMPLE:
            return [((0.0, 0.0, ""), row) for row in self._held]
        return [((0.0, 0.0, ""), self._draw()) for _ in range(_SAMPLE)]

    def _draw(self) -> int:
        # a linear congruential generator with the constants of Numerical Recipes
        self._drawn = (self._drawn * 1664525 + 1013904223) & 0xFFFFFFFF
        return self._held[self._drawn * len(self._held) >> 32]
