"""The default policy: it keeps the contract, resists what LRU cannot, and learns what changes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from zlib import crc32

import pytest

from roomstate.residency.adaptive import AdaptivePolicy, GhostTable, _older
from roomstate.residency.cache import RoomCache
from roomstate.residency.entry import Reason
from roomstate.residency.eviction import EvictionPolicy, ScoredPolicy
from roomstate.residency.reuse import CLOCK
from roomstate.residency.scorers import LruScorer
from roomstate.testing.contracts_eviction import PolicyContract, drive


class TestAdaptive(PolicyContract):
    def policy(self) -> EvictionPolicy:
        return AdaptivePolicy()


def hits(keys: Iterable[int], max_rooms: int, policy: EvictionPolicy | None = None) -> float:
    cache = RoomCache(max_rooms=max_rooms, policy=policy, ttl=None)
    for now, key in enumerate(keys):
        if cache.get(f"room-{key}", float(now)) is None:
            cache.put(f"room-{key}", b".", now=float(now))
    return cache.stats().hit_ratio


def lru(keys: Iterable[int], max_rooms: int) -> float:
    return hits(keys, max_rooms, ScoredPolicy(LruScorer()))


def popular(count: int, rooms: int = 2000, seed: int = 1) -> Iterator[int]:
    chance = random.Random(seed)
    weights = [1 / (1 + room) for room in range(rooms)]
    yield from chance.choices(range(rooms), weights, k=count)


def test_it_is_the_default() -> None:
    assert isinstance(RoomCache().policy, AdaptivePolicy)


def test_a_loop_larger_than_the_cache_still_hits() -> None:
    loop = [number % 150 for number in range(15_000)]
    assert lru(loop, 100) == 0.0
    assert hits(loop, 100) > 0.6  # the optimum is 100 / 150


def test_a_sweep_does_not_push_out_what_is_popular() -> None:
    """Adversarial keys: two of three accesses are to rooms never seen again."""
    chance = random.Random(2)
    mixed = [key if chance.random() < 1 / 3 else 10_000 + now for now, key in enumerate(popular(30_000))]
    assert hits(mixed, 100) > 1.3 * lru(mixed, 100)


def test_it_is_lru_where_recency_is_all_there_is() -> None:
    chance, stack, drift = random.Random(3), list(range(3000)), list[int]()
    for _ in range(20_000):
        key = stack.pop(min(len(stack) - 1, int(chance.lognormvariate(3, 1.5))))
        stack.insert(0, key)
        drift.append(key)
    assert hits(drift, 50) > lru(drift, 50) - 0.01


def test_it_beats_lru_on_steady_popularity_and_after_a_change_of_it() -> None:
    keys = [*popular(15_000), *(key + 5000 for key in popular(15_000, seed=4))]
    assert hits(keys, 100) > lru(keys, 100) + 0.05


def test_hints_are_worth_what_they_turn_out_to_be() -> None:
    """Every room is visited soon after a message in it, and not otherwise."""

    def run(hinted: bool) -> float:
        chance, cache, due = random.Random(5), RoomCache(max_rooms=50, ttl=None), list[tuple[int, str]]()
        for now in range(20_000):
            room = f"room-{chance.randrange(400)}"
            due.append((now + 40, room))
            if hinted:
                cache.hint(room, float(now), messages=1)
            while due[0][0] <= now:
                visited = due.pop(0)[1]
                if cache.get(visited, float(now)) is None:
                    cache.put(visited, b".", now=float(now))
        return cache.stats().hit_ratio

    assert run(True) > run(False) + 0.02


def test_a_hint_that_says_nothing_changes_nothing() -> None:
    policy = AdaptivePolicy()
    cache = RoomCache(policy=policy)
    cache.put("a", b".", now=0.0)
    assert cache.hint("a", 1.0)
    assert policy._traits[0] == 1024
    assert cache.hint("a", 1.0, likelihood=0.5)  # the room's own history says more
    assert policy._traits[0] == 1024
    assert cache.hint("a", 1.0, messages=1)
    assert policy._traits[0] == 1024 + 8192


def test_when_bytes_are_short_small_rooms_stay() -> None:
    cache = RoomCache(max_rooms=1000, max_bytes=10_000, ttl=None)
    chance = random.Random(6)
    for now in range(5000):
        room = chance.randrange(100)
        if cache.get(f"room-{room}", float(now)) is None:
            cache.put(f"room-{room}", b"." * (1000 if room < 50 else 100), now=float(now))
    small = sum(int(room.split("-")[1]) >= 50 for room in cache)
    assert small > 40
    assert cache.stats().evictions[Reason.BYTES] > 0


def test_the_clock_of_accesses_may_wrap() -> None:
    policy = AdaptivePolicy()
    cache = RoomCache(max_rooms=20, max_bytes=450, policy=policy)
    policy._clock = CLOCK - 200
    policy._due = CLOCK - 100
    for _ in range(3):
        drive(cache)
    assert policy._clock < policy._due < 9000


def test_traits_count_accesses_and_average_the_times_between() -> None:
    trait, seen = 1024, list[tuple[int, int]]()
    for age in (10, 20, 20, 20, 20, 20):
        trait = _older(trait, age)
        seen.append((trait // 1024, trait % 1024 // 16))
    assert seen == [(2, 10), (3, 15), (4, 16), (5, 17), (5, 18), (5, 18)]
    assert _older(8192 + trait, 18) == _older(trait, 18), "a visit answers the hint"


@pytest.mark.parametrize("accesses", range(1, 6))
def test_the_shortcut_of_the_hot_call_gives_the_same_trait(accesses: int) -> None:
    policy, twin = AdaptivePolicy(), 1024
    cache = RoomCache(policy=policy)
    cache.put("a", b".", now=0.0)
    for _ in range(accesses):
        cache.get("a", 1.0)
        twin = _older(twin, 1)
    assert policy._traits[0] == twin


def test_a_room_that_left_is_known_again_until_another_takes_its_place() -> None:
    policy = AdaptivePolicy()
    cache = RoomCache(policy=policy)
    cache.put("a", b".", now=0.0)
    cache.get("a", 1.0)
    for _ in range(3):
        cache.pop("a")
        cache.put("a", b".", now=2.0)
    assert policy._traits[0] // 1024 == 5
    cache.pop("a")
    ghosts = policy._ghosts
    other = next(room for room in map(str, range(10_000)) if (crc32(room.encode()) - crc32(b"a")) % ghosts.size == 0)
    cache.put(other, b".", now=3.0)
    assert policy._traits[0] // 1024 == 1
    cache.pop(other)
    cache.put("a", b".", now=4.0)
    assert policy._traits[0] // 1024 == 1


def test_ghosts_outlive_the_growth_of_their_table() -> None:
    ghosts, checksum = GhostTable(), crc32(b"a")
    at = checksum % ghosts.size
    ghosts.sums[at], ghosts.traits[at], ghosts.last[at] = checksum, 1024, 7
    ghosts.grow(1000)
    assert ghosts.size == 1000
    assert ghosts.take(checksum % 1000) == (1024, 7)
    assert ghosts.traits[checksum % 1000] == 0


def test_memory_for_rooms_that_have_left_is_bounded_by_those_held() -> None:
    policy = AdaptivePolicy()
    cache = RoomCache(max_rooms=1000, policy=policy, ttl=None)
    for number in range(5000):
        cache.put(f"room-{number}", b".", now=0.0)
    assert policy._ghosts.size <= 3 * 1001
    assert math.isfinite(sum(policy._model.worth))
