"""What every eviction policy and every scorer keeps; derive from it to test your own.

::

    class TestMyScorer(ScorerContract):
        def scorer(self) -> Scorer:
            return MyScorer()

    class TestMyPolicy(PolicyContract):
        def policy(self) -> EvictionPolicy:
            return MyPolicy()
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from roomstate.residency.cache import RoomCache
from roomstate.residency.entry import Entry, Reason
from roomstate.residency.eviction import EvictionPolicy, Order, ScoredPolicy, Scorer

_MULTIPLIER, _INCREMENT = 1664525, 1013904223  # Numerical Recipes' generator: the same calls for everybody


def calls(count: int = 2000, rooms: int = 60) -> Iterator[tuple[str, str, float, int]]:
    """``(call, room_id, now, number)``: a mix of all that a host does, always the same one."""
    state, now = 1, 0.0
    for _ in range(count):
        state = (state * _MULTIPLIER + _INCREMENT) & 0xFFFFFFFF
        now += (state >> 8 & 3) * 20.0
        what = ("get", "get", "put", "put", "hint", "replace", "pop", "pin", "unpin", "shrink")[state % 97 % 10]
        yield what, f"room-{(state >> 16) % rooms}", now, state >> 12 & 0xFF


def drive(cache: RoomCache, count: int = 2000) -> list[str]:
    """Make those calls, check the cache after each, and return the ids of the rooms that had to go, in order."""
    gone: list[str] = []
    for what, room_id, now, number in calls(count):
        body = b"." * (1 + number % 50)
        if what == "put":
            gone += [one.room_id for one in cache.put(room_id, body, now=now, priority=number % 11)]
        elif what == "shrink":
            gone += [one.room_id for one in cache.shrink(cache.bytes * 3 // 4, now)]
        elif what == "get":
            cache.get(room_id, now)
        elif room_id in cache:
            gone += _change(cache, what, room_id, now, body)
        cache.check()
    return gone


def _change(cache: RoomCache, what: str, room_id: str, now: float, body: bytes) -> list[str]:
    if what == "hint":
        cache.hint(room_id, now, messages=len(body) % 3, likelihood=len(body) / 50)
    elif what == "pop":
        cache.pop(room_id, now)
    elif what == "pin":
        cache.pin(room_id)
    elif what == "unpin":
        return [one.room_id for one in cache.unpin(room_id, now)]
    else:
        return [one.room_id for one in cache.replace(room_id, body, now)]
    return []


class PolicyContract:
    """Derive, override `policy`, and let pytest find the class."""

    def policy(self) -> EvictionPolicy:
        raise NotImplementedError

    def cache(self, max_rooms: int = 20, max_bytes: int = 450) -> RoomCache:
        return RoomCache(max_rooms=max_rooms, max_bytes=max_bytes, policy=self.policy())

    def test_it_has_every_method_of_the_protocol(self) -> None:
        assert isinstance(self.policy(), EvictionPolicy)

    def test_the_budget_holds_after_every_call(self) -> None:
        assert drive(self.cache()), "the calls make rooms go"

    def test_the_same_calls_have_the_same_victims(self) -> None:
        assert drive(self.cache()) == drive(self.cache())

    def test_all_rooms_can_leave_and_each_leaves_once(self) -> None:
        cache = self.cache(max_rooms=50, max_bytes=10_000)
        for number in range(50):
            cache.put(f"room-{number}", b"." * (number + 1), now=float(number))
        gone = [one.room_id for one in cache.shrink(0, 100.0)]
        assert sorted(gone) == sorted(f"room-{number}" for number in range(50))
        assert len(cache) == cache.bytes == 0

    def test_a_pinned_room_never_leaves(self) -> None:
        cache = self.cache()
        cache.put("pinned", b"...", now=0.0, pinned=True)
        for number in range(200):
            cache.put(f"room-{number}", b"...", now=float(number))
        cache.shrink(0, 300.0)
        assert list(cache) == ["pinned"]

    def test_one_room_may_be_all_there_is(self) -> None:
        cache = self.cache(max_rooms=1)
        for number in range(100):
            cache.put(f"room-{number % 3}", b"...", now=float(number))
            cache.get(f"room-{number % 2}", float(number))
            assert len(cache) == 1

    def test_a_scan_of_new_rooms_ends(self) -> None:
        cache = self.cache(max_rooms=10)
        for number in range(5000):
            cache.put(f"room-{number}", b"...", now=float(number))
        cache.check()
        assert len(cache) == 10
        stats = cache.stats()
        assert stats.evictions[Reason.ROOMS] + stats.evictions[Reason.REFUSED] == 4990


class ScorerContract(PolicyContract):
    """Derive, override `scorer`, and let pytest find the class."""

    def scorer(self) -> Scorer:
        raise NotImplementedError

    def policy(self) -> ScoredPolicy:
        return ScoredPolicy(self.scorer())

    def entries(self) -> Iterator[Entry]:
        """Rooms of all kinds: large and small, new and old, much and never accessed."""
        for number in range(200):
            used = None if number % 3 == 0 else 100.0 + number
            yield Entry(f"room-{number}", number * 37 % 1000, float(number), used, number % 7, number % 11)

    def test_scores_are_finite_numbers(self) -> None:
        scorer = self.scorer()
        assert all(math.isfinite(scorer.score(entry, 400.0)) for entry in self.entries())

    def test_it_never_raised_nor_gave_nonsense(self) -> None:
        policy = self.policy()
        drive(RoomCache(max_rooms=20, max_bytes=450, policy=policy))
        assert policy.faults == 0

    def test_it_keeps_the_promise_of_its_order(self) -> None:
        scorer = self.scorer()
        for entry in self.entries():
            early, late = scorer.score(entry, 400.0), scorer.score(entry, 4000.0)
            if scorer.order is Order.FIXED:
                assert early == late, "FIXED: only a touch changes a score"
            elif scorer.order is Order.LAZY:
                assert late <= early, "LAZY: without a touch a score never rises"

    def test_aged_scores_of_one_group_move_at_one_rate(self) -> None:
        scorer, rates = self.scorer(), dict[int, float]()
        for entry in self.entries():
            if scorer.order is Order.AGED:
                rate = (scorer.score(entry, 4000.0) - scorer.score(entry, 400.0)) / 3600.0
                assert math.isclose(rates.setdefault(scorer.group(entry), rate), rate, rel_tol=1e-9, abs_tol=1e-12)
