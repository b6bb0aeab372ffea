"""Rooms as rows of columns: what the cache knows of each room, at no cost to the garbage collector.

A *row* is a small integer that names a room while it is cached, and is used again after it. Columns indexed
by row are the cheapest index there is: at a million rooms, objects would cost the collector a pause of 180
ms and twice the memory (measured: DESIGN, Residency).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from struct import Struct

from roomstate.residency.entry import Entry

RECENT = 10  #: accesses that are remembered one by one: as many as a HIGH frequency asks for
_GAPS = RECENT - 1
_TICKS = 8.0  # gaps between accesses are kept in eighths of a second: 2 bytes hold more than two hours
_NEVER = float("-inf")
_GHOST = Struct(f"<dI{2 * _GAPS}s")  # last access, their number, and the gaps as they lie in memory
_NO_GAPS = array("H", bytes(2 * _GAPS))
_MOST = 2**8 - 1  # messages and mentions saturate: past this many, more of them say nothing new


class Rows:
    """The columns. Reading a row gives an `Entry`; only the cache writes.

    Memory: about 240 bytes for each row beyond its packed bytes, with an id of 11 characters.
    """

    def __init__(self, ghosts: int) -> None:
        self.index: dict[str, int] = {}
        self.packed: dict[str, bytes] = {}  # by id: a dict of plain values is nothing to the collector
        self.ids: list[str] = []
        self._stored = array("d")
        self._accessed = array("d")
        self.accesses: array[int] = array("I")
        self._priority = array("B")
        self._hints = array("I")  # messages, mentions (8 bits each), likelihood (16), in one
        self._gaps = array("H")  # between accesses, a ring of _GAPS for each row
        self._free: list[int] = []
        self._ghosts = Ghosts(ghosts)

    def __getitem__(self, row: int) -> Entry:
        """The facts about one row. O(1)."""
        accessed, hints = self._accessed[row], self._hints[row]
        return Entry(
            self.ids[row],
            self.size(row),
            self._stored[row],
            None if accessed == _NEVER else accessed,
            self.accesses[row],
            self._priority[row],
            hints >> 24,
            hints >> 16 & _MOST,
            (hints & 0xFFFF) / 0xFFFF,
        )

    def size(self, row: int) -> int:
        """Packed bytes in this row. O(1)."""
        return len(self.packed[self.ids[row]])

    def touched(self, row: int) -> float:
        """When the room was last accessed or stored, whichever came later. O(1)."""
        return max(self._stored[row], self._accessed[row])

    def add(self, room_id: str, packed: bytes, now: float, priority: int) -> int:
        """Give a room a row, with the access history that its ghost kept."""
        free = self._free
        row = free.pop() if free else self._grow()
        self.index[room_id] = row
        self.ids[row], self.packed[room_id] = room_id, packed
        self._stored[row], self._priority[row] = now, priority
        ghost = self._ghosts.pop(room_id)
        if ghost is None:
            self._accessed[row] = _NEVER
        else:
            self._accessed[row], self.accesses[row], gaps = _GHOST.unpack(ghost)
            self._gaps[row * _GAPS : (row + 1) * _GAPS] = array("H", gaps)
        return row

    def restore(self, row: int, packed: bytes, now: float, priority: int) -> None:
        """Store a room again under the row that it has."""
        self.packed[self.ids[row]] = packed
        self._stored[row], self._priority[row] = now, priority

    def access(self, row: int, now: float) -> None:
        """Count one access. Hints are answered by it, so they start again."""
        accesses = self.accesses[row]
        if accesses:
            gap = (now - self._accessed[row]) * _TICKS
            self._gaps[row * _GAPS + accesses % _GAPS] = int(gap) if gap < 0xFFFF else 0xFFFF
        if accesses < 0xFFFFFFFF:
            self.accesses[row] = accesses + 1
        self._accessed[row] = now
        self._hints[row] = 0

    def hint(self, row: int, messages: int, mentions: int, likelihood: float) -> None:
        """Replace the hints of one row; counts saturate at 255."""
        self._hints[row] = min(messages, _MOST) << 24 | min(mentions, _MOST) << 16 | math.ceil(likelihood * 0xFFFF)

    def remove(self, row: int) -> tuple[str, bytes]:
        """Free the row; its access history becomes a ghost."""
        room_id = self.ids[row]
        packed = self.packed.pop(room_id)
        del self.index[room_id]
        accesses = self.accesses[row]
        if accesses:
            gaps = self._gaps[row * _GAPS : (row + 1) * _GAPS]
            self._ghosts.put(room_id, _GHOST.pack(self._accessed[row], accesses, gaps.tobytes()))
            self.accesses[row] = 0
        self.ids[row], self._hints[row] = "", 0
        self._free.append(row)
        return room_id, packed

    def recent(self, row: int) -> Iterator[float]:
        """The times of up to `RECENT` last accesses, newest first."""
        accesses = self.accesses[row]
        if accesses:
            gaps = self._gaps[row * _GAPS : (row + 1) * _GAPS]
            yield from _times(self._accessed[row], accesses, gaps)

    def ghost_recent(self, room_id: str) -> Iterator[float]:
        """The same for a room that has left, as far as its ghost remembers."""
        ghost = self._ghosts.get(room_id)
        if ghost is not None:
            at, accesses, gaps = _GHOST.unpack(ghost)
            yield from _times(at, accesses, array("H", gaps))

    def check(self) -> None:
        """Raise AssertionError unless the columns agree with each other. O(rows)."""
        used = set(self.index.values())
        assert len(used) == len(self.index) == len(self.ids) - len(self._free)
        assert used.isdisjoint(self._free)
        assert all(self.ids[row] == room_id for room_id, row in self.index.items())
        assert self.packed.keys() == self.index.keys()
        assert not any(self.ids[row] for row in self._free)
        self._ghosts.check()

    def _grow(self) -> int:
        self.ids.append("")
        self._gaps.extend(_NO_GAPS)
        for column in (self._stored, self._accessed):
            column.append(0.0)
        for counts in (self.accesses, self._priority, self._hints):
            counts.append(0)
        return len(self.ids) - 1


def _times(at: float, accesses: int, gaps: Sequence[int]) -> Iterator[float]:
    yield at
    for back in range(1, min(accesses, RECENT)):
        at -= gaps[(accesses - back) % _GAPS] / _TICKS
        yield at


class Ghosts:
    """Access histories of rooms that have left: at most ``limit`` of them, the oldest half dropped at once.

    Two generations, because taking the first key of a large dict again and again is O(n) each time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._half = (limit + 1) // 2
        self._young: dict[str, bytes] = {}
        self._old: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def put(self, room_id: str, record: bytes) -> None:
        """Remember a room that is not remembered, forgetting the older generation when this one is full.

        O(1) amortised.
        """
        young = self._young
        young[room_id] = record
        if len(young) >= self._half:
            self._old, self._young = young if self._limit else {}, {}

    def get(self, room_id: str) -> bytes | None:
        """The record of a room, None if it is not remembered. O(1)."""
        return self._young.get(room_id) or self._old.get(room_id)

    def pop(self, room_id: str) -> bytes | None:
        """The same, and forget it. O(1)."""
        return self._young.pop(room_id, None) or self._old.pop(room_id, None)

    def check(self) -> None:
        """Raise AssertionError unless the bound holds and no room is in both generations. O(1)."""
        assert len(self) <= self._limit
        assert self._young.keys().isdisjoint(self._old)
