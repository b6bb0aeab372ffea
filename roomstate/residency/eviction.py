"""In what order rooms leave: policies, and scorers that are adapted to policies."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from roomstate.residency.entry import Entry, Reason
from roomstate.residency.rows import Rows


@runtime_checkable
class EvictionPolicy(Protocol):
    """The order in which rooms leave. One policy serves one cache.

    A row is a small integer; ``rows[row]`` is the `Entry` behind it. Pinned rooms are kept out of a policy's
    sight: they are `removed` when pinned and `inserted` when unpinned. ``now`` never decreases.
    """

    refuses: bool
    """True: a newcomer is inserted before room is made for it, and may itself be the victim."""

    def inserted(self, rows: Rows, row: int, now: float) -> None:
        """A room has come in."""

    def accessed(self, rows: Rows, row: int, now: float) -> None:
        """A room was looked at. This is the hot call."""

    def changed(self, rows: Rows, row: int, now: float) -> None:
        """A room's size, priority or hints are others than before; this is no access."""

    def removed(self, rows: Rows, row: int) -> None:
        """A room is leaving, for whatever reason; its `Entry` can still be read."""

    def victims(self, rows: Rows, reason: Reason, now: float) -> Iterator[int]:
        """The rows in the order in which they should leave; the caller stops when it has enough.

        The cache calls `removed` for a row before it asks for the next one. ``reason`` says what is short: ROOMS,
        BYTES or PRESSURE (bytes too).
        """


class Scorer(Protocol):
    """How readily a room leaves: the higher its score, the sooner.

    `ScoredPolicy` keeps an index by score at one fixed instant, so the order of two entries of one `group`
    must not change as time passes without either being touched.
    """

    def score(self, entry: Entry, now: float) -> float:
        """The score; a finite number."""

    def group(self, entry: Entry) -> int:
        """Entries whose scores all move at one rate share a group; few groups, please."""


class LruScorer:
    """The longest unused room leaves first: the score is the seconds since the last access (or storing)."""

    def score(self, entry: Entry, now: float) -> float:
        """Seconds since the room was touched."""
        return now - entry.touched_at

    def group(self, entry: Entry) -> int:
        """All ages grow at one rate."""
        return 0


_Key = tuple[float, float, str, int, int]


class ScoredPolicy:
    """Adapts a `Scorer`. Ties break by last access (earlier leaves first), then by id.

    A heap for each group, entries replaced lazily: a touch costs O(log n), a victim O(groups + log n)
    amortised.
    """

    refuses = False

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._heaps: dict[int, list[_Key]] = {}
        self._stamps: dict[int, int] = {}
        self._clock = 0

    def inserted(self, rows: Rows, row: int, now: float) -> None:
        """Index a new room. O(log n)."""
        entry = rows[row]
        self._clock += 1
        self._stamps[row] = self._clock
        key = (-self.scorer.score(entry, 0.0), entry.touched_at, entry.room_id, row, self._clock)
        heapq.heappush(self._heaps.setdefault(self.scorer.group(entry), []), key)

    accessed = inserted
    changed = inserted

    def removed(self, rows: Rows, row: int) -> None:
        """Forget a room. O(1)."""
        del self._stamps[row]
        if sum(map(len, self._heaps.values())) > 4 * len(self._stamps) + 64:
            self._compact()

    def victims(self, rows: Rows, reason: Reason, now: float) -> Iterator[int]:
        """The rows by score, highest first."""
        while heads := [heap for heap in self._heaps.values() if self._settle(heap)]:
            best = min(heads, key=lambda heap: self._rank(rows, heap[0], now))
            yield best[0][3]

    def _rank(self, rows: Rows, key: _Key, now: float) -> tuple[float, float, str]:
        return -self.scorer.score(rows[key[3]], now), key[1], key[2]

    def _settle(self, heap: list[_Key]) -> bool:
        while heap and self._stamps.get(heap[0][3]) != heap[0][4]:
            heapq.heappop(heap)
        return bool(heap)

    def _compact(self) -> None:
        for heap in self._heaps.values():
            heap[:] = [key for key in heap if self._stamps.get(key[3]) == key[4]]
            heapq.heapify(heap)
