"""The policy made of a scorer: the order is the scorer's own, and a broken scorer breaks nothing."""

from __future__ import annotations

import math
import random

import pytest

from roomstate.residency.cache import RoomCache
from roomstate.residency.entry import Entry
from roomstate.residency.eviction import EvictionPolicy, Order, ScoredPolicy, Scorer
from roomstate.residency.scorers import LruScorer, SizeAwareScorer, WeightedScorer
from roomstate.testing.contracts_eviction import PolicyContract, ScorerContract, drive


class Halving(Scorer):
    """A score that falls by itself."""

    order = Order.LAZY

    def score(self, entry: Entry, now: float) -> float:
        return float((1 + entry.size) * 0.5 ** ((now - entry.touched_at) / (10.0 + entry.priority)))


class Whimsical(Scorer):
    """A score that promises nothing."""

    order = Order.SAMPLED

    def score(self, entry: Entry, now: float) -> float:
        return math.sin(now * (1 + entry.size))


class TestLazy(ScorerContract):
    def scorer(self) -> Scorer:
        return Halving()


class TestSampled(ScorerContract):
    def scorer(self) -> Scorer:
        return Whimsical()


class Raising(Scorer):
    order = Order.AGED

    def score(self, entry: Entry, now: float) -> float:
        raise RuntimeError("no")

    def group(self, entry: Entry) -> int:
        raise RuntimeError("no")

    def evicted(self, score: float) -> None:
        raise RuntimeError("no")


class Lying(Scorer):
    order = Order.FIXED

    def score(self, entry: Entry, now: float) -> float:
        return (math.nan, math.inf, -math.inf, "much")[entry.size % 4]  # type: ignore[return-value]


@pytest.mark.parametrize("broken", [Raising, Lying])
class TestABrokenScorer:
    def test_breaks_nothing_and_is_counted(self, broken: type[Scorer]) -> None:
        policy = ScoredPolicy(broken())
        assert drive(RoomCache(max_rooms=20, max_bytes=450, policy=policy))
        assert policy.faults > 0

    def test_leaves_the_order_of_lru(self, broken: type[Scorer]) -> None:
        cache = RoomCache(max_rooms=3, policy=ScoredPolicy(broken()))
        for number in range(3):
            cache.put(f"r{number}", b".", now=float(number))
        cache.get("r0", 3.0)
        assert [one.room_id for one in cache.put("new", b".", now=4.0)] == ["r1"]


@pytest.mark.parametrize("order", Order)
def test_a_scorer_that_breaks_the_promise_of_its_order_loses_no_room(order: Order) -> None:
    class Fickle(Scorer):
        """Another score each time it is asked, of any sign and size, and groups that do not exist."""

        def __init__(self) -> None:
            self.order = order
            self.chance = random.Random(1)

        def score(self, entry: Entry, now: float) -> float:
            return self.chance.choice((-1e300, -1.0, 0.0, 1e-300, 1e300)) * self.chance.random()

        def group(self, entry: Entry) -> int:
            return self.chance.choice((-1, 0, 255, 256, 10**30))

    cache = RoomCache(max_rooms=20, max_bytes=450, policy=ScoredPolicy(Fickle()))
    assert drive(cache)
    left = list(cache)
    for room_id in left:
        assert cache.unpin(room_id, now=1e6) == ()
    gone = [one.room_id for one in cache.shrink(0, now=1e6)]
    assert sorted(gone) == sorted(left)
    assert len(cache) == cache.bytes == 0


def test_a_room_that_gets_larger_or_hinted_is_scored_again() -> None:
    cache = RoomCache(max_rooms=2, policy=ScoredPolicy(SizeAwareScorer()))
    cache.put("a", b".", now=0.0)
    cache.put("b", b"..", now=1.0)
    cache.replace("a", b"." * 10, now=2.0)
    assert [one.room_id for one in cache.put("c", b".", now=3.0)] == ["a"]


def test_lazy_finds_the_highest_score_of_the_moment() -> None:
    cache = RoomCache(max_rooms=3, policy=ScoredPolicy(Halving()))
    cache.put("big-but-old", b"." * 30, now=0.0)
    cache.put("middle", b"." * 20, now=0.0, priority=10)
    cache.put("small", b".", now=0.0)
    assert [one.room_id for one in cache.put("new", b".", now=60.0)] == ["middle"]


def test_many_rooms_of_one_score_leave_in_order_of_their_ids() -> None:
    cache = RoomCache(max_rooms=300, policy=ScoredPolicy(WeightedScorer()), batch_fraction=1.0)
    for number in reversed(range(300)):
        cache.put(f"room-{number:03}", b".", now=0.0)
    gone = [one.room_id for one in cache.put("new", b".", now=9.0)]
    assert gone == [f"room-{number:03}" for number in range(300)]


def test_places_left_behind_are_swept_out() -> None:
    cache = RoomCache(max_rooms=10, policy=ScoredPolicy(LruScorer()), ttl=None)
    for number in range(2000):
        cache.put(f"room-{number}", b".", now=float(number))
        cache.pop(f"room-{number}")
    cache.check()
    assert len(cache) == 0


class TestAnyObjectOfTheRightFormIsAPolicy(PolicyContract):
    def policy(self) -> EvictionPolicy:
        return ScoredPolicy(LruScorer())
