"""Time-to-live, stretched for rooms that are accessed often, and the wheel that finds what is due."""

from __future__ import annotations

import enum
import heapq
import math
from array import array
from collections.abc import Iterable, Iterator

from msgspec import Struct

from roomstate.errors import InvalidValue

LONGEST_WINDOW_S = 7200.0  # what the cache remembers of the time between two accesses


class Frequency(enum.StrEnum):
    """How often a room was accessed lately; see `TimeToLive`."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


def positive(where: str, value: float) -> float:
    """The value if it is finite and above zero, else `InvalidValue` naming ``where``."""
    if not (math.isfinite(value) and value > 0):
        raise InvalidValue(where, f"must be a finite number above 0, got {value!r}")
    return value


class TimeToLive(Struct, frozen=True):
    """How long a room stays after it was last accessed or stored.

    ``base_s`` seconds, times ``medium`` after `medium_at` accesses within ``window_s`` seconds, times
    ``high`` after `high_at`. The frequency that counts is the one at the last access: later, accesses would
    leave the window before the stretched time is over. All defaults are the specification's: 30 minutes, ×2
    from 3 and ×3 from 10 accesses in the last hour. Raises `InvalidValue` for a value that is not a finite
    number above 0.

    >>> TimeToLive().seconds(Frequency.HIGH)
    5400.0
    """

    base_s: float = 1800.0
    medium: float = 2.0
    high: float = 3.0
    window_s: float = 3600.0

    medium_at = 3  #: accesses within the window that make a room MEDIUM
    high_at = 10  #: accesses within the window that make a room HIGH

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            positive(name, getattr(self, name))
        if self.window_s > LONGEST_WINDOW_S:
            raise InvalidValue("window_s", f"must be at most {LONGEST_WINDOW_S:g}, got {self.window_s!r}")

    def frequency(self, recent: Iterable[float], now: float) -> Frequency:
        """LOW, MEDIUM or HIGH from the times of the last accesses, newest first.

        Those in ``[now - window_s, now]`` count.
        """
        count = 0
        for count, at in enumerate(recent, 1):
            if at < now - self.window_s:
                count -= 1
                break
        if count >= self.high_at:
            return Frequency.HIGH
        return Frequency.MEDIUM if count >= self.medium_at else Frequency.LOW

    def seconds(self, frequency: Frequency) -> float:
        """How long a room of this frequency stays."""
        if frequency is Frequency.LOW:
            return self.base_s
        return self.base_s * (self.medium if frequency is Frequency.MEDIUM else self.high)


_EARLIER = 1 << 31  # seconds; deadlines before the first one are few, but may be


class Wheel:
    """Which rows may be due, by whole seconds. Each row is filed once; a row touched since is simply filed
    again.

    Filing at every touch would cost more than the touch; so a row keeps its place until that second comes,
    and `due` hands it out to be looked at. Memory: 8 bytes for each row. `file` is O(log of the seconds
    in use).
    """

    def __init__(self) -> None:
        self._filed = array("I")  # seconds after the first one, and 1; 0 for a row not filed
        self._first = 0
        self._rows: dict[int, array[int]] = {}
        self._seconds: list[int] = []  # a heap of the keys of _rows

    def file(self, row: int, deadline: float) -> None:
        """See that ``due`` hands out this row at ``deadline``, rounded up to a second, or before."""
        if not self._filed:
            self._first = math.floor(deadline) - _EARLIER
        second = min(max(math.ceil(deadline) - self._first, 1), 0xFFFFFFFF)
        if row >= len(self._filed):
            self._filed.extend([0] * (row + 1 - len(self._filed)))
        if 0 < self._filed[row] <= second:
            return
        self._filed[row] = second
        if second not in self._rows:
            self._rows[second] = array("I")
            heapq.heappush(self._seconds, second)
        self._rows[second].append(row)

    def due(self, now: float) -> Iterator[int]:
        """Take out the rows filed at or before ``now``, in the order of their seconds, then of filing."""
        while self._seconds and self._first + self._seconds[0] <= now:
            second = heapq.heappop(self._seconds)
            for row in self._rows.pop(second):
                if self._filed[row] == second:
                    self._filed[row] = 0
                    yield row

    def next(self) -> float | None:
        """The earliest second at which `due` may hand something out. O(1)."""
        return float(self._first + self._seconds[0]) if self._seconds else None
