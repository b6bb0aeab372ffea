"""A buffer bounded by count and by bytes, whose items keep their absolute position when older ones are dropped."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from roomstate.errors import InvalidValue
from roomstate.model import check_bound

__all__ = ["CircularBuffer"]

T = TypeVar("T")


class CircularBuffer(Generic[T]):
    """The newest items, at most ``max_items`` of them and at most ``max_bytes`` in all.

    ``size_of`` gives an item's bytes, asked once when it comes in (default `sys.getsizeof`). An item that alone is
    larger than ``max_bytes`` drops everything, itself included. ``max_bytes=None`` bounds by count alone.

    Positions count from 0 and are never used again: the item appended as the n-th ever is at position n - 1 for as
    long as it is held, and `start` says which is the oldest held. ``stop`` is the position that comes next, ``bytes``
    the sum of the sizes held. Raises ``InvalidValue`` for bounds below 1 and a ``start`` below 0.

    >>> buffer = CircularBuffer[str](max_items=2)
    >>> buffer.append("a"), buffer.append("b"), buffer.append("c")
    ((), (), ('a',))
    >>> buffer.start, buffer.stop, buffer[2], list(buffer)
    (1, 3, 'c', ['b', 'c'])
    """

    __slots__ = ("_items", "_size_of", "_sizes", "bytes", "max_bytes", "max_items", "stop")

    def __init__(
        self,
        max_items: int,
        max_bytes: int | None = None,
        size_of: Callable[[T], int] = sys.getsizeof,
        start: int = 0,
    ) -> None:
        check_bound("max_items", max_items)
        if max_bytes is not None:
            check_bound("max_bytes", max_bytes)
        check_bound("start", start, least=0)
        self.max_items: int = max_items
        self.max_bytes: int | None = max_bytes
        self.bytes: int = 0
        self.stop: int = start
        self._size_of = size_of
        self._items: deque[T] = deque()
        self._sizes: deque[int] = deque()

    @property
    def start(self) -> int:
        """The position of the oldest item held; `stop` where none is. Held: ``[start, stop)``."""
        return self.stop - len(self._items)

    def append(self, item: T) -> tuple[T, ...]:
        """Add ``item`` at position `stop`; return what that dropped, oldest first. O(1) amortised.

        What ``size_of`` raises goes up, and a negative size raises ``InvalidValue``: nothing has changed then.
        """
        size = self._size_of(item)
        if not size >= 0:
            raise InvalidValue("size_of", f"must not be negative, got {size}")
        self._items.append(item)
        self._sizes.append(size)
        self.bytes += size
        self.stop += 1
        return self._shrink()

    def extend(self, items: Iterable[T]) -> tuple[T, ...]:
        """Append each of ``items``; return all that was dropped, oldest first. O(n).

        Where `append` raises, the items before stay.
        """
        return tuple(dropped for item in items for dropped in self.append(item))

    def resize(self, max_items: int) -> tuple[T, ...]:
        """Hold at most ``max_items`` from now on; return what that dropped, oldest first. O(dropped).

        Raises ``InvalidValue`` for less than 1; nothing has changed then.
        """
        check_bound("max_items", max_items)
        self.max_items = max_items
        return self._shrink()

    def _shrink(self) -> tuple[T, ...]:
        dropped: list[T] = []
        limit = self.max_bytes
        while len(self._items) > self.max_items or (limit is not None and self.bytes > limit):
            dropped.append(self._items.popleft())
            self.bytes -= self._sizes.popleft()
        return tuple(dropped)

    def __getitem__(self, position: int) -> T:
        """Return the item at an absolute position in ``[start, stop)``; IndexError outside. O(n / 64) at worst."""
        if not self.start <= position < self.stop:
            raise IndexError(f"position {position} is not in [{self.start}, {self.stop})")
        return self._items[position - self.start]

    def since(self, position: int) -> tuple[T, ...]:
        """Return the items at ``[max(position, start), stop)``. O(returned)."""
        wanted = max(0, self.stop - max(position, self.start))
        newest_first = [*islice(reversed(self._items), wanted)]
        return tuple(reversed(newest_first))

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._items) == len(self._sizes) <= self.max_items
        assert self.bytes == sum(self._sizes)
        assert self.max_bytes is None or self.bytes <= self.max_bytes
        assert 0 <= self.start <= self.stop
