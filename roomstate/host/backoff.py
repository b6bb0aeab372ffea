"""How long to wait before something that has failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Pauses with full jitter: after the n-th failure in a row, between 0 and ``base_s``·2^(n-1), at most ``cap_s``.

    Full jitter, because those who failed together would otherwise come back together (Brooker, "Exponential backoff and
    jitter", 2015). ``jitter`` gives numbers in [0, 1).

    >>> backoff = Backoff(0.1, 1.0, jitter=lambda: 0.5)
    >>> [round(backoff.failed(), 2) for _ in range(6)]
    [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]
    >>> backoff.succeeded()
    True
    >>> backoff.failures
    0
    """

    __slots__ = ("_jitter", "base_s", "cap_s", "failures")

    def __init__(self, base_s: float, cap_s: float, jitter: Callable[[], float] = random.random) -> None:
        self.base_s: float = base_s
        self.cap_s: float = cap_s
        self.failures: int = 0
        self._jitter = jitter

    def failed(self) -> float:
        """Count a failure; return the seconds to wait. O(1)."""
        self.failures += 1
        return self._jitter() * min(self.cap_s, self.base_s * 2.0 ** min(self.failures - 1, 30))

    def succeeded(self) -> bool:
        """Begin anew with short pauses; True where there was a failure before. O(1)."""
        failures, self.failures = self.failures, 0
        return failures > 0
