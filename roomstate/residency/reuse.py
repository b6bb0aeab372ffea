"""What a room is worth keeping: learned from how long others like it stayed away before they came back.

Rooms are sorted into classes; for each class two counts are kept by age, of rooms that came back at that age and
of rooms that were lost sight of at it. From these follow the chance of coming back at each age (the life table
of Kaplan and Meier, which is right about what was lost sight of), and from that the *worth*: the most visits per
unit of time in memory that can be had by keeping the room from now until some later age. That is Gittins' index,
the best order there is if the times between visits are independent. It orders a loop by most recent use, a
steady popularity by frequency and a drift by recency, because that is what the counts say.

Ages are counted in accesses to the whole cache, and sorted into buckets of half an octave.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import add

CLOCK = 0xFFFFFFFF  #: accesses are counted modulo 2**32, so that a column of them takes 4 bytes
FINE = 1 << 14  # ages below this are looked up: a table of 16 kB


def _slow_bucket(age: int) -> int:
    if age < 2:
        return age
    octave = age.bit_length() - 2
    return min(2 * octave + (age >> octave), AGES - 1)


AGES = 56  #: buckets of age; the last one holds everything from 2**27 accesses on
BUCKETS = bytes(map(_slow_bucket, range(FINE)))
_EDGES = [0.0, 1.0, *(float((2 + half) << octave) for octave in range(28) for half in (0, 1))]
_WIDTHS = [stop - start for start, stop in pairwise(_EDGES)][:AGES]

# Before anything is known: chances fall with age as they do under recency, so the untaught order is LRU.
_UNTAUGHT = [0.2 * width / (edge + width + 1) for edge, width in zip(_EDGES, _WIDTHS, strict=False)]
_WEIGHT = 2.0  # a class's own chances outweigh its parent's once it has seen this many rooms of that age


def bucket(age: int) -> int:
    """The bucket of an age: a difference of two counts of accesses, modulo 2**32. O(1).

    >>> [bucket(age) for age in (0, 1, 2, 3, 4, 5, 6, 8, 2**40)]
    [0, 1, 2, 3, 4, 4, 5, 6, 55]
    """
    return BUCKETS[age] if 0 <= age < FINE else _slow_bucket(age & CLOCK)


class ReuseModel:
    """The counts of each class, and the worth that follows from them.

    Classes are the leaves of a tree, given as the parent of each node (node 0 is the root, a parent comes before
    its children). A class that has seen little borrows from its parent, which pools its children.

    ``back`` and ``lost`` are for the caller to add to, at ``node * AGES + bucket(age)``; ``worth`` is read at the
    same place, and is brought up to date by `learn`. All three are flat, because they are read on every access.
    """

    def __init__(self, parents: Sequence[int]) -> None:
        self._parents = tuple(parents)
        self.back = [0.0] * (AGES * len(parents))
        self.lost = self.back[:]
        self.worth = worth_of(_UNTAUGHT) * len(parents)

    def learn(self, keep: float) -> None:
        """Work out the worth again, then let the counts fade to ``keep`` of what they are. O(classes seen)."""
        pools = self._pools()
        chances: list[list[float]] = []
        for node, parent in enumerate(self._parents):
            at = node * AGES
            before = chances[parent] if node else _UNTAUGHT
            pool = pools[node]
            if pool is None:
                chances.append(before)
                self.worth[at : at + AGES] = self.worth[parent * AGES : (parent + 1) * AGES]
            else:
                chances.append(chances_of(pool[0], pool[1], before))
                self.worth[at : at + AGES] = worth_of(chances[node])
        self._fade(keep)

    def _pools(self) -> list[tuple[list[float], list[float]] | None]:
        pools: list[tuple[list[float], list[float]] | None] = []
        for at in range(0, len(self.back), AGES):
            back, lost = self.back[at : at + AGES], self.lost[at : at + AGES]
            pools.append((back, lost) if any(back) or any(lost) else None)
        for node in range(len(pools) - 1, 0, -1):
            own, above = pools[node], pools[self._parents[node]]
            if own is not None:
                pools[self._parents[node]] = own if above is None else _sum(own, above)
        return pools

    def _fade(self, keep: float) -> None:
        self.back[:] = [count * keep if count > 1e-3 else 0.0 for count in self.back]
        self.lost[:] = [count * keep if count > 1e-3 else 0.0 for count in self.lost]


def _sum(
    one: tuple[list[float], list[float]], other: tuple[list[float], list[float]]
) -> tuple[list[float], list[float]]:
    return list(map(add, one[0], other[0])), list(map(add, one[1], other[1]))


def chances_of(back: Sequence[float], lost: Sequence[float], before: Sequence[float]) -> list[float]:
    """The chance of coming back in each bucket of age, for a room that has stayed away until it.

    ``before`` is what to believe where the counts say little. O(buckets).
    """
    seen = list(accumulate(map(add, reversed(back), reversed(lost))))[::-1]
    return [
        min(0.999, (came + _WEIGHT * prior) / (still - 0.5 * gone + _WEIGHT))
        for came, gone, still, prior in zip(back, lost, seen, before, strict=True)
    ]


def worth_of(chances: Sequence[float]) -> list[float]:
    """Gittins' index at the start of each bucket: visits per access of time, for the best time to let go. O(buckets).

    From the oldest bucket down: a bucket is joined with those after it as long as they raise its rate.

    >>> worth_of([0.5, 0.0])[0] > worth_of([0.0, 0.5])[0]
    True
    """
    runs: list[tuple[float, float, float]] = []  # visits, time, chance to stay away for the whole run
    worth: list[float] = []
    for chance, width in zip(reversed(chances), reversed(_WIDTHS[: len(chances)]), strict=True):
        visits, time, away = chance, width * (1.0 - 0.5 * chance), 1.0 - chance
        while runs and runs[-1][0] * time >= visits * runs[-1][1]:
            later = runs.pop()
            visits += away * later[0]
            time += away * later[1]
            away *= later[2]
        runs.append((visits, time, away))
        worth.append(visits / time)
    return worth[::-1]
