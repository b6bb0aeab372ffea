"""What a room is worth keeping: learned from how long others like it stayed away before they came back.

Rooms are sorted into classes; for each class two counts are kept by age, of rooms that came back at that age
and of rooms that were lost sight of at it. From these follow the chance of coming back at each age (the life
table of Kaplan and Meier, which is right about what was lost sight of), and from that the *worth*: the most
visits per unit of time in memory that can be had by keeping the room from now until some later age. That is
Gittins' index, the best order there is if the times between visits are independent. It orders a loop by most
recent use, a steady popularity by frequency and a drift by recency, because that is what the counts say.

Ages are counted in accesses to the whole cache, and sorted into buckets of half an octave.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import add

AGES = 56  #: buckets of age; the last one holds everything from 3 * 2**26 accesses on
CLOCK = 0xFFFFFFFF  #: accesses are counted modulo 2**32, so that a column of them takes 4 bytes
FINE = 1 << 14  #: ages below this are looked up in `BUCKETS`, the others computed

Pool = tuple[list[float], list[float]]
_Runs = list[tuple[float, float, float]]

_EDGES = [0, 1, *((2 + half) << octave for octave in range(AGES // 2) for half in (0, 1))]
_WIDTHS = [float(stop - start) for start, stop in pairwise(_EDGES)][:AGES]

# Before anything is known, chances fall with age as they do under recency: the untaught order is LRU.
_UNTAUGHT = [0.2 * width / (edge + width + 1) for edge, width in zip(_EDGES, _WIDTHS, strict=False)]
_WEIGHT = 2.0  # a class believes itself as soon as it has seen more rooms of an age than this
_LARGE = 1e9


def _computed(age: int) -> int:
    if age < 2:
        return age
    octave = age.bit_length() - 2
    return min(2 * octave + (age >> octave), AGES - 1)


# As `_computed` has them, a run of ages at a time: computing 16,384 of them would cost every import 4 ms.
BUCKETS = b"".join(bytes((bucket,)) * min(int(width), FINE) for bucket, width in enumerate(_WIDTHS))[:FINE]


def bucket(age: int) -> int:
    """The bucket of an age: a difference of two counts of accesses, modulo 2**32. O(1).

    >>> [bucket(age) for age in (0, 1, 2, 3, 4, 5, 6, 8, 2**31)]
    [0, 1, 2, 3, 4, 4, 5, 6, 55]
    """
    return BUCKETS[age] if 0 <= age < FINE else _computed(age & CLOCK)


class ReuseModel:
    """The counts of each class, and the worth that follows from them.

    Classes are the leaves of a tree, given as the parent of each node (node 0 is the root, a parent comes
    before its children). A class that has seen little borrows from its parent, which pools its children.

    ``back`` and ``lost`` are for the caller to add ``one`` to, at ``node * AGES + bucket(age)``; ``worth``
    is read at the same place, and is brought up to date by `learn`. All are flat, because every access uses
    them. Counts fade as ``one`` grows: that is cheaper than to shrink them all.
    """

    def __init__(self, parents: Sequence[int]) -> None:
        self._parents = tuple(parents)
        self.one: float = 1.0
        self.back: list[float] = [0.0] * (AGES * len(parents))
        self.lost: list[float] = self.back[:]
        self.worth: list[float] = worth_of(_UNTAUGHT) * len(parents)

    def learn(self, keep: float) -> None:
        """Work out the worth again, then let the counts fade to ``keep`` of what they are. O(classes)."""
        pools = self._pools()
        top = _top(pools[0])
        chances: list[Sequence[float]] = [_UNTAUGHT]
        for node, (pool, parent) in enumerate(zip(pools, self._parents, strict=True)):
            at = node * AGES
            if pool is None:
                chances.append(chances[parent + 1])
                self.worth[at : at + AGES] = self.worth[parent * AGES : (parent + 1) * AGES]
            else:
                chances.append(chances_of(pool, chances[parent + 1 if node else 0], _WEIGHT * self.one, top))
                self.worth[at : at + AGES] = worth_of(chances[-1])
        self._fade(keep)

    def _pools(self) -> list[Pool | None]:
        pools: list[Pool | None] = []
        for at in range(0, len(self.back), AGES):
            back, lost = self.back[at : at + AGES], self.lost[at : at + AGES]
            pools.append((back, lost) if any(back) or any(lost) or not at else None)
        for node in range(len(pools) - 1, 0, -1):
            own, above = pools[node], pools[self._parents[node]]
            if own is not None:
                pools[self._parents[node]] = own if above is None else _sum(own, above)
        return pools

    def _fade(self, keep: float) -> None:
        self.one /= keep
        if self.one > _LARGE:
            for counts in (self.back, self.lost):
                counts[:] = [count / self.one if count > 1e-3 * self.one else 0.0 for count in counts]
            self.one = 1.0


def _sum(one: Pool, other: Pool) -> Pool:
    return list(map(add, one[0], other[0])), list(map(add, one[1], other[1]))


def _top(pool: Pool | None) -> int:
    seen = map(add, *pool) if pool else ()
    return max((age + 1 for age, count in enumerate(seen) if count), default=0)


def chances_of(pool: Pool, before: Sequence[float], weight: float, top: int = AGES) -> list[float]:
    """The chance of coming back in each bucket below ``top``, for a room that has stayed away until it.

    ``pool`` holds the counts of those that came back and of those lost; ``before``, which counts for
    ``weight`` rooms, is what to believe where they say little. O(buckets).

    >>> [round(chance, 2) for chance in chances_of(([5, 5], [0, 10]), [0.5, 0.5], 0.01, 2)]
    [0.25, 0.5]
    """
    (back, lost), still = pool, weight
    chances = []
    for age in range(top - 1, -1, -1):
        came, gone = back[age], lost[age]
        still += came + gone
        chances.append((came + weight * before[age]) / (still - 0.5 * gone))
    chances.reverse()
    return chances


def worth_of(chances: Sequence[float]) -> list[float]:
    """Gittins' index at the start of every bucket: visits per access of time, for the best time to let go.

    Ages beyond the given ones are as if nothing were known. O(buckets).

    >>> loop, drift = worth_of([0.0] * 9 + [0.5]), worth_of([0.5] + [0.0] * 9)
    >>> loop[0] < loop[8], drift[0] > drift[8]
    (True, True)
    """
    runs, worth = _TAILS[len(chances)]
    return _down(chances, _WIDTHS[: len(chances)], runs[:], worth[:])[::-1]


def _down(chances: Sequence[float], widths: Sequence[float], runs: _Runs, worth: list[float]) -> list[float]:
    """From the oldest bucket down: each is joined with the runs after it as long as they raise its rate."""
    for chance, width in zip(reversed(chances), reversed(widths), strict=True):
        visits, time, away = chance, width * (1.0 - 0.5 * chance), 1.0 - chance
        while runs and runs[-1][0] * time >= visits * runs[-1][1]:
            later = runs.pop()
            visits += away * later[0]
            time += away * later[1]
            away *= later[2]
        runs.append((visits, time, away))
        worth.append(visits / time)
    return worth


def _tail(top: int) -> tuple[_Runs, list[float]]:
    runs: _Runs = []
    return runs, _down(_UNTAUGHT[top:], _WIDTHS[top:], runs, [])


_TAILS = [_tail(top) for top in range(AGES + 1)]
