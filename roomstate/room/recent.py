"""The ids of messages that have left the window, remembered in little more than their own characters."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from roomstate.model import check_bound

__all__ = ["MAX_RECENT", "RecentIds"]

MAX_RECENT = 4096
"""Ids remembered beyond the window: DESIGN §5."""

_STOP = "\0"
_MERGED = 64  # ids: smaller batches are put together, for each costs as much as eight ids
_PER_BATCH = 72  # bytes beyond its text; `python -m benchmarks memory`
_EMPTY_BYTES = 800  # itself, with an empty deque


class RecentIds:
    """At least the last ``max_ids`` ids added (less than one batch more), each batch as one string.

    Built for many additions and few questions: a timeline asks only about a message that is not newer than all it has
    dropped. Joining costs 8-16 ns an id; a set of them would cost 100 bytes each and 60 ns. An id with a NUL in it is
    not remembered. ``bytes`` is what all of it holds in memory.

    >>> recent = RecentIds(max_ids=2)
    >>> recent.add(["a", "b"])
    >>> recent.add(["c", "d"])
    >>> "a" in recent, "c" in recent, len(recent)
    (False, True, 2)
    """

    __slots__ = ("_batches", "_count", "bytes", "max_ids")

    def __init__(self, max_ids: int = MAX_RECENT) -> None:
        check_bound("max_ids", max_ids)
        self.max_ids: int = max_ids
        self.bytes: int = _EMPTY_BYTES
        self._count = 0
        self._batches: deque[tuple[int, str]] = deque()

    def add(self, ids: Sequence[str]) -> None:
        """Remember a batch of ``ids``, forgetting the oldest batches. O(n)."""
        joined = _STOP.join(("", *ids, ""))
        if joined.count(_STOP) != len(ids) + 1:  # an id with a NUL would look like two: it is not remembered
            ids = [name for name in ids if _STOP not in name]
            joined = _STOP.join(("", *ids, ""))
        count = len(ids)
        if not count:
            return
        self._count += count
        if self._batches and self._batches[-1][0] + count <= min(_MERGED, self.max_ids):
            before, last = self._batches.pop()
            count, joined = before + count, last + joined[1:]
            self.bytes -= last.__sizeof__() + _PER_BATCH
        self._batches.append((count, joined))
        self.bytes += joined.__sizeof__() + _PER_BATCH
        while self._count - self._batches[0][0] >= self.max_ids:
            count, oldest = self._batches.popleft()
            self._count -= count
            self.bytes -= oldest.__sizeof__() + _PER_BATCH

    def __contains__(self, message_id: str) -> bool:
        """Whether ``message_id`` was among the last added. O(max_ids), as a search through text: 10-30 µs when full."""
        if _STOP in message_id:
            return False
        wanted = _STOP + message_id + _STOP
        return any(wanted in joined for _, joined in self._batches)

    def __len__(self) -> int:
        return self._count

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert self._count == sum(count for count, _ in self._batches)
        assert self.bytes == _EMPTY_BYTES + sum(joined.__sizeof__() + _PER_BATCH for _, joined in self._batches)
        assert not self._batches or self._count - self._batches[0][0] < self.max_ids
