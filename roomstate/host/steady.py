"""A clock that deadlines can be held to."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Steady"]


class Steady:
    """Reads ``clock``, and never goes back: where that is set back, this goes on at half its speed until both agree.

    Whatever is to be done in time is an instant of a manager's clock. On one that merely stood still until the other
    has caught up, nothing would be tried again, asked or given up for as long as the clock was set back.

    >>> readings = iter([3600.0, 0.0, 2.0, 7200.0])
    >>> clock = Steady(lambda: next(readings))
    >>> clock(), clock(), clock(), clock()
    (3600.0, 3600.0, 3601.0, 7200.0)
    """

    __slots__ = ("_clock", "_now", "_read")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._read = 0.0
        self._now = float("-inf")

    def __call__(self) -> float:
        """The seconds since 1970, or a little later. O(1)."""
        read = self._clock()
        passed, self._read = read - self._read, read
        self._now = max(read, self._now + max(0.0, passed) / 2)
        return self._now
