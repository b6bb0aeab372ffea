"""Hit ratios of a trace for every policy and capacity, beside the optimum: the numbers of ``simulate``."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from roomstate.cli.files import Source, lines
from roomstate.cli.logline import LogLine
from roomstate.cli.tally import Tally
from roomstate.residency.adaptive import AdaptivePolicy
from roomstate.residency.cache import RoomCache
from roomstate.residency.eviction import EvictionPolicy, ScoredPolicy
from roomstate.residency.scorers import LfuScorer, LruScorer, SizeAwareScorer, WeightedScorer

MAX_KEY_BYTES = 512
"""A key longer than this is damage: room ids are names, not texts."""

OPTIMUM = "optimum"
"""Belady's: it knows the future, and may leave a newcomer out. What it misses, nothing can hit."""

# What a host can choose, with the fraction of rooms that leave together.
POLICIES: dict[str, tuple[Callable[[], EvictionPolicy], float]] = {
    "adaptive": (AdaptivePolicy, 0.0),
    "lru": (lambda: ScoredPolicy(LruScorer()), 0.0),
    "lfu": (lambda: ScoredPolicy(LfuScorer()), 0.0),
    "size-aware": (lambda: ScoredPolicy(SizeAwareScorer()), 0.0),
    "weighted": (lambda: ScoredPolicy(WeightedScorer()), 0.2),
}


class Point(msgspec.Struct, frozen=True):
    """One policy at one capacity: ``rooms`` is the capacity, ``hit_ratio`` of all accesses, first ones included."""

    policy: str
    rooms: int
    hit_ratio: float


def keys_of(source: Source, tally: Tally) -> Iterator[str]:
    """The keys of a trace: one on each line, the first word of it, in access order."""
    for number, line in lines(source, tally, MAX_KEY_BYTES):
        words = line.split(maxsplit=1)
        try:
            key = words[0].decode() if words else ""
        except UnicodeDecodeError:
            key = ""
        if key:
            yield key
        else:
            tally.damage(source.where, number, "no key in UTF-8")


def turns_of(log: Iterable[LogLine], most_users: int = 100_000) -> Iterator[str]:
    """The rooms that users turn to: one access each time a user writes in another room than before.

    Where users were is forgotten, all at once, when there are more than ``most_users``.
    """
    where: dict[str, str] = {}
    for line in log:
        if where.get(line.user) != line.room:
            if len(where) >= most_users:
                where.clear()
            where[line.user] = line.room
            yield line.room


def capacities(distinct: int, steps: int = 7) -> list[int]:
    """Capacities to try: from 0.1 % of the distinct keys (10 at least) up to all, each about as many times larger.

    >>> capacities(100_000)
    [100, 316, 1000, 3162, 10000, 31623, 100000]
    >>> capacities(12)
    [10, 11, 12]
    """
    least = min(max(10, distinct // 1000), distinct)
    return sorted({round(least * (distinct / least) ** (step / (steps - 1))) for step in range(steps)})


def optimum(keys: Sequence[str], rooms: int) -> float:
    """The hit ratio of Belady's optimum. O(n log n)."""
    held: dict[str, int] = {}
    heap: list[tuple[int, str]] = []
    hits = 0
    for key, then in zip(keys, _following(keys), strict=True):
        hits += held.pop(key, None) is not None
        if then == len(keys) or (len(held) >= rooms and not _gives_way(held, heap, then)):
            continue
        held[key] = then
        heapq.heappush(heap, (-then, key))
    return hits / max(1, len(keys))


def _following(keys: Sequence[str]) -> list[int]:
    """Where each access's key comes next; ``len(keys)`` if it does not."""
    later: dict[str, int] = {}
    following = [len(keys)] * len(keys)
    for at in range(len(keys) - 1, -1, -1):
        following[at] = later.get(keys[at], len(keys))
        later[keys[at]] = at
    return following


def _gives_way(held: dict[str, int], heap: list[tuple[int, str]], then: int) -> bool:
    """Whether a room held is needed later than ``then``; if so, it has left.

    Places in the heap of accesses that are past lie below all others, so they need no sweeping.
    """
    if -heap[0][0] <= then:
        return False
    del held[heapq.heappop(heap)[1]]
    return True


def hit_ratio(policy: str, keys: Sequence[str], rooms: int) -> float:
    """The hit ratio of a policy by name: each access a look-up, and a room stored if it missed.

    Time passes by one second for each access, and nothing expires.
    """
    if policy == OPTIMUM:
        return optimum(keys, rooms)
    make, batch = POLICIES[policy]
    cache = RoomCache(max_rooms=rooms, policy=make(), batch_fraction=batch, ttl=None)
    for now, key in enumerate(keys):
        if cache.get(key, now) is None:
            cache.put(key, b"packed", now=now)
    return cache.stats().hit_ratio
