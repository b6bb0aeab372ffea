"""Counting what may be without number in memory that is not: how often each, and how many different.

Both are exact while there is little to count, keep a stated error above that, and merge: what two of them say together
is what one would say of everything, within the same error.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Final

from msgspec import Struct

from roomstate.errors import InvalidValue
from roomstate.model import Count

__all__ = ["REGISTERS", "Distinct", "Estimate", "Frequencies"]

_BATCH = 1024  # items counted before the bound is looked at again

_PRECISION: Final = 10
REGISTERS: Final = 1 << _PRECISION
"""Registers of a `Distinct`: 1,024 give a standard error of 1.04 / sqrt(1024) = 3.3 %."""

_RANKS: Final = 64 - _PRECISION + 1
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"  # one letter a register
_LETTER_RANK: Final = {letter: rank for rank, letter in enumerate(_ALPHABET[: _RANKS + 1])}


class Estimate(Struct, frozen=True, gc=False):
    """A number that is known within ``error``, one standard deviation; 0 says that it is exact."""

    value: int
    error: int = 0


class Frequencies:
    """How often each key came: exact up to ``max_keys`` different ones.

    Above it a count says "at least", and no key's true count is more than ``error`` beyond what is said (0 for a key
    that is not kept), where ``error * (max_keys - max_keys // 8 + 1) <= total``: Misra and Gries 1982, merged as
    Agarwal et al. 2012 do. The bound holds for any input in any order, and for any tree of merges.

    >>> words = Frequencies(max_keys=2)
    >>> words.add(["a", "b", "a"])
    >>> words.top(1)
    [('a', Count(value=2, exact=True))]
    >>> words.add(["c"])
    >>> words.top(5), words.error
    ([('a', Count(value=1, exact=False))], 1)
    """

    __slots__ = ("_counts", "error", "max_keys", "total")

    def __init__(self, max_keys: int) -> None:
        if max_keys < 2:
            raise InvalidValue("max_keys", f"must be at least 2, got {max_keys}")
        self.max_keys: int = max_keys
        self.total: int = 0
        self.error: int = 0
        self._counts: Counter[str] = Counter()

    @classmethod
    def of(cls, max_keys: int, total: int, error: int, counts: Mapping[str, int]) -> Frequencies:
        """What another said of itself. O(max_keys). Raises ``InvalidValue`` for numbers that none would say."""
        made = cls(max_keys)
        made.total, made.error = total, error
        made._counts.update(counts)
        made.check()
        return made

    def __len__(self) -> int:
        """The keys that are kept, at most ``max_keys``."""
        return len(self._counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frequencies):
            return NotImplemented
        mine = (self.max_keys, self.total, self.error, dict(self._counts))
        return mine == (other.max_keys, other.total, other.error, dict(other._counts))

    def __hash__(self) -> int:  # it changes
        raise TypeError(f"unhashable type: {type(self).__name__!r}")

    @property
    def counts(self) -> dict[str, int]:
        """What is said of each key kept, most frequent first, equal ones by key. O(max_keys log max_keys)."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))

    def add(self, keys: Iterable[str]) -> None:
        """Count keys. O(1) each, amortised; memory for 1,024 keys beyond ``max_keys`` while it lasts."""
        rest = iter(keys)
        while batch := list(islice(rest, _BATCH)):
            self.total += len(batch)
            self._counts.update(batch)
            self._shrink()

    def merge(self, other: Frequencies) -> Frequencies:
        """What both say together, under the smaller bound. O(max_keys log max_keys)."""
        made = Frequencies(min(self.max_keys, other.max_keys))
        made.total, made.error = self.total + other.total, self.error + other.error
        made._counts = self._counts + other._counts
        made._shrink()
        return made

    def top(self, n: int) -> list[tuple[str, Count]]:
        """The ``n`` most frequent keys, equal ones by key. O(max_keys log max_keys)."""
        exact = not self.error
        return [(key, Count(count, exact)) for key, count in islice(self.counts.items(), n)]

    def check(self) -> None:
        """Raise ``InvalidValue`` unless the stated bounds hold. O(max_keys)."""
        kept = sum(self._counts.values())
        if (
            not 0 <= kept <= self.total
            or len(self._counts) > self.max_keys
            or min(self._counts.values(), default=1) < 1
        ):
            raise InvalidValue("counts", f"of {len(self._counts)} keys do not fit {self.max_keys} and {self.total}")
        removed = self.total - kept
        if self.error < 0 or self.error * (self._kept() + 1) > removed or bool(removed) != bool(self.error):
            raise InvalidValue("error", f"of {self.error} does not fit {removed} of {self.total}")

    def _kept(self) -> int:
        return self.max_keys - self.max_keys // 8  # room for some new keys before the next sorting

    def _shrink(self) -> None:
        """Take the same from every count, so much that few enough are left: nothing hangs on their order."""
        if len(self._counts) <= self.max_keys:
            return
        cut = sorted(self._counts.values(), reverse=True)[self._kept()]
        self.error += cut
        self._counts = Counter({key: count - cut for key, count in self._counts.items() if count > cut})


class Distinct:
    """How many different keys came: an estimate with a standard error of 3.3 %, in 1 kB, whatever comes.

    HyperLogLog (Flajolet et al. 2007) with the estimator of Ertl 2017, which needs no correction for small numbers.
    Equal keys count once in any order and through any merges. It trusts its keys: who chooses them can learn which
    ones it takes for many.
    """

    __slots__ = ("_ranks",)

    def __init__(self, ranks: bytes | bytearray | None = None) -> None:
        self._ranks = bytearray(ranks or bytes(REGISTERS))

    @classmethod
    def from_str(cls, text: str) -> Distinct:
        """Read what `to_str` wrote. O(1). Raises ``InvalidValue`` for anything else."""
        ranks = [_LETTER_RANK.get(letter) for letter in text]
        if len(ranks) != REGISTERS or None in ranks:
            raise InvalidValue("distinct", f"must have {REGISTERS} letters, each a rank")
        return cls(bytes(rank for rank in ranks if rank is not None))

    def to_str(self) -> str:
        """The registers, a letter each. O(1)."""
        return "".join(map(_ALPHABET.__getitem__, self._ranks))

    def __eq__(self, other: object) -> bool:
        return self._ranks == other._ranks if isinstance(other, Distinct) else NotImplemented

    def __hash__(self) -> int:  # it changes
        raise TypeError(f"unhashable type: {type(self).__name__!r}")

    def add(self, keys: Iterable[str]) -> None:
        """Take keys into account. O(1) each: hash only those that may be new."""
        ranks = self._ranks
        for key in keys:
            hashed = int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
            rank = _RANKS - (hashed >> _PRECISION).bit_length()
            register = hashed & (REGISTERS - 1)
            if rank > ranks[register]:
                ranks[register] = rank

    def merge(self, other: Distinct) -> Distinct:
        """What both have seen. O(1)."""
        return Distinct(bytes(map(max, self._ranks, other._ranks)))

    def estimate(self) -> Estimate:
        """About how many different keys came. O(1)."""
        value = round(self._estimate())
        return Estimate(value, math.ceil(value * 1.04 / math.sqrt(REGISTERS)))

    def _estimate(self) -> float:
        with_rank = [self._ranks.count(rank) for rank in range(_RANKS + 1)]
        if with_rank[0] == REGISTERS:
            return 0.0
        z = REGISTERS * _tau(1 - with_rank[_RANKS] / REGISTERS)
        for count in with_rank[_RANKS - 1 : 0 : -1]:
            z = (z + count) / 2
        z += REGISTERS * _sigma(with_rank[0] / REGISTERS)
        return REGISTERS**2 / (2 * math.log(2) * z)


def _sigma(x: float) -> float:
    """Ertl 2017, algorithm 6: what registers still at 0 tell; for x < 1."""
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    """Ertl 2017, algorithm 6: what registers at the highest rank tell."""
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before, y = math.sqrt(x), z, y / 2
        z -= (1 - x) ** 2 * y
    return z / 3
