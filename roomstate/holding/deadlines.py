"""What is due when: at most one time per key, changed and found without scanning."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Keys with the time at which each is due. Keys due at one time come in the order in which they were set.

    A heap with entries that are outdated left in it: setting costs O(log n), and the heap never has more than twice as
    many entries as there are keys, and 64.

    >>> due = Deadlines[str]()
    >>> due.set("a", 5.0), due.set("b", 3.0), due.set("a", 1.0)
    (None, None, None)
    >>> due.next(), due.pop(4.0), due.pop(4.0), due.pop(4.0)
    (1.0, 'a', 'b', None)
    """

    __slots__ = ("_heap", "_set", "_times")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._times: dict[K, tuple[float, int]] = {}
        self._set = 0

    def set(self, key: K, time: float) -> None:
        """Let ``key`` be due at ``time``, and no longer at the time that it had. O(log n) amortised."""
        self._set += 1
        self._times[key] = (time, self._set)
        heapq.heappush(self._heap, (time, self._set, key))
        self._tidy()

    def _tidy(self) -> None:
        """Leave out what is outdated, where that is more than half."""
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [(at, order, name) for name, (at, order) in self._times.items()]
            heapq.heapify(self._heap)

    def clear(self, key: K) -> None:
        """Let ``key`` be due no more. O(1) amortised."""
        if self._times.pop(key, None) is not None:
            self._tidy()

    def __contains__(self, key: K) -> bool:
        return key in self._times

    def __len__(self) -> int:
        return len(self._times)

    def next(self) -> float | None:
        """Return the earliest time, or None. O(log n) amortised."""
        while self._heap:
            time, order, key = self._heap[0]
            if self._times.get(key) == (time, order):
                return time
            heapq.heappop(self._heap)
        return None

    def pop(self, now: float) -> K | None:
        """Take out and return the key that is due first, at or before ``now``; None where none is. O(log n)."""
        time = self.next()
        if time is None or time > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._times[key]
        self._tidy()
        return key

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._heap) <= 2 * len(self._times) + 64
        live = {(time, order, key) for key, (time, order) in self._times.items()}
        assert live <= set(self._heap)
