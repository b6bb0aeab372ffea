"""RoomCache: the budget, what leaves and why, and that a rejected call changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roomstate.errors import InvalidValue, UnknownRoom
from roomstate.residency.cache import RoomCache
from roomstate.residency.entry import Entry, Eviction, Reason
from roomstate.residency.eviction import ScoredPolicy, Scorer
from roomstate.residency.scorers import LruScorer, WeightedScorer
from roomstate.residency.ttl import Frequency, TimeToLive


def lru(**arguments: Any) -> RoomCache:
    return RoomCache(policy=ScoredPolicy(LruScorer()), **arguments)


def ids(gone: tuple[Eviction, ...]) -> list[tuple[str, Reason]]:
    return [(one.room_id, one.reason) for one in gone]


def test_rooms_are_bounded_and_the_evicted_come_back_whole() -> None:
    cache = lru(max_rooms=2)
    cache.put("a", b"aa", now=0.0)
    cache.put("b", b"bbb", now=1.0)
    assert cache.put("c", b"c", now=2.0) == (Eviction("a", Reason.ROOMS, 2, b"aa"),)
    assert (list(cache), len(cache), cache.bytes) == (["b", "c"], 2, 4)
    assert "a" not in cache
    assert "b" in cache


def test_bytes_are_bounded_too() -> None:
    cache = lru(max_bytes=10)
    for room in "abc":
        cache.put(room, b"...", now=0.0)
    assert ids(cache.put("d", b"." * 7, now=1.0)) == [("a", Reason.BYTES), ("b", Reason.BYTES)]
    assert cache.bytes == 10


def test_a_room_larger_than_the_budget_is_refused_and_nobody_leaves() -> None:
    cache = lru(max_bytes=10)
    cache.put("a", b"...", now=0.0)
    assert ids(cache.put("huge", b"." * 11, now=1.0)) == [("huge", Reason.REFUSED)]
    assert list(cache) == ["a"]
    assert cache.stats().evictions[Reason.REFUSED] == 1


def test_a_pinned_room_stays_even_over_the_budget() -> None:
    cache = lru(max_rooms=1, max_bytes=10)
    cache.put("a", b"...", now=0.0)
    assert ids(cache.put("pinned", b"." * 20, now=1.0, pinned=True)) == [("a", Reason.ROOMS)]
    assert ids(cache.put("b", b".", now=2.0)) == [("b", Reason.REFUSED)]
    assert cache.shrink(0, 3.0) == ()
    cache.check()
    assert ids(cache.unpin("pinned", 4.0)) == [("pinned", Reason.BYTES)]
    assert len(cache) == 0


def test_pins_are_idempotent() -> None:
    cache = lru(max_rooms=2)
    cache.put("a", b".", now=0.0)
    cache.pin("a")
    cache.pin("a")
    cache.put("a", b"..", now=1.0)
    assert cache.replace("a", b"...", 2.0) == ()
    assert cache.unpin("a", 3.0) == cache.unpin("a", 3.0) == ()
    cache.put("a", b"....", now=4.0, pinned=True)
    cache.hint("a", 4.0, messages=1)
    cache.get("a", 5.0)
    assert cache.pop("a") == b"...."
    cache.check()


def test_what_grows_pushes_others_out_first_and_itself_last() -> None:
    cache = lru(max_bytes=10)
    cache.put("a", b"...", now=0.0)
    cache.put("b", b"...", now=1.0)
    assert ids(cache.replace("a", b"." * 9, 2.0)) == [("b", Reason.BYTES)]
    assert ids(cache.replace("a", b"." * 11, 3.0)) == [("a", Reason.REFUSED)]
    assert cache.bytes == 0


def test_rooms_and_bytes_may_both_be_short() -> None:
    cache = lru(max_rooms=3, max_bytes=10)
    for room in "abc":
        cache.put(room, b"...", now=0.0)
    assert ids(cache.put("d", b"." * 6, now=1.0)) == [("a", Reason.ROOMS), ("b", Reason.BYTES)]
    cache = lru(max_rooms=2, max_bytes=100)
    cache.put("a", b".", now=0.0)
    for room in "bcdf":
        cache.put(room, b".", now=0.0, pinned=True)
    assert ids(cache.put("e", b".", now=1.0)) == [("e", Reason.REFUSED)]
    assert ids(cache.unpin("b", 2.0)) == [("b", Reason.ROOMS)]
    assert list(cache) == ["c", "d", "f"]


def test_a_batch_leaves_at_once() -> None:
    cache = lru(max_rooms=10, batch_fraction=0.25)
    for number in range(10):
        cache.put(str(number), b".", now=float(number))
    assert [room for room, _ in ids(cache.put("new", b".", now=10.0))] == ["0", "1", "2"]


def test_get_counts_and_peek_does_not() -> None:
    cache = lru()
    cache.put("a", b"...", now=0.0)
    assert (cache.peek("a"), cache.peek("b")) == (b"...", None)
    assert cache.stats().hit_ratio == 0.0
    assert (cache.get("a", 1.0), cache.get("b", 1.0)) == (b"...", None)
    assert (cache.stats().hits, cache.stats().misses, cache.stats().hit_ratio) == (1, 1, 0.5)
    entry = cache.entry("a")
    assert (entry.stored_at, entry.accessed_at, entry.accesses, entry.size) == (0.0, 1.0, 1, 3)
    assert set(cache.stats().evictions) == set(Reason)


def test_pop_takes_out_and_the_access_history_outlives_it() -> None:
    cache = lru()
    cache.put("a", b"...", now=0.0)
    for number in range(4):
        cache.get("a", 10.0 + number)
    assert cache.pop("a", 20.0) == b"..."
    assert (cache.pop("a", 21.0), cache.pop("a")) == (None, None)
    assert (cache.stats().hits, cache.stats().misses) == (5, 1)
    assert cache.frequency("a", 22.0) is Frequency.MEDIUM
    cache.put("a", b"..", now=30.0)
    assert (cache.entry("a").accesses, cache.entry("a").accessed_at) == (5, 20.0)
    assert cache.frequency("a", 31.0) is Frequency.MEDIUM
    assert cache.frequency("nobody", 31.0) is Frequency.LOW


def test_hints_are_kept_until_the_next_access() -> None:
    cache = RoomCache()
    cache.put("a", b".", now=0.0)
    assert not cache.hint("b", 1.0, messages=1)
    assert cache.hint("a", 1.0)
    assert cache.hint("a", 1.0, messages=2, mentions=1, likelihood=0.25)
    assert cache.hint("a", 2.0, messages=1000)
    entry = cache.entry("a")
    assert (entry.messages, entry.mentions, round(entry.likelihood, 3)) == (255, 1, 0.25)
    cache.get("a", 3.0)
    entry = cache.entry("a")
    assert (entry.messages, entry.mentions, entry.likelihood) == (0, 0, 0.0)


def test_time_to_live_is_stretched_by_the_frequency_of_access() -> None:
    cache = RoomCache()
    for room, accesses in (("never", 0), ("low", 2), ("medium", 3), ("high", 10)):
        cache.put(room, b".", now=0.0)
        for _ in range(accesses):
            cache.get(room, 0.0)
    assert cache.frequency("high", 3600.0) is Frequency.HIGH
    assert cache.frequency("high", 3601.0) is Frequency.LOW
    due: list[tuple[float, list[str]]] = []
    while (now := cache.next_expiry()) is not None:
        gone = cache.expire(now)
        assert {one.reason for one in gone} <= {Reason.EXPIRED}
        due += [(now, [one.room_id for one in gone])] if gone else []
    assert due == [(1800.0, ["never", "low"]), (3600.0, ["medium"]), (5400.0, ["high"])]


def test_an_access_renews_the_time_to_live() -> None:
    cache = RoomCache()
    cache.put("a", b".", now=0.0)
    cache.get("a", 1000.0)
    assert cache.expire(1800.0) == ()
    assert cache.next_expiry() == 2800.0
    assert cache.expire(2799.0) == ()
    assert ids(cache.expire(2800.0)) == [("a", Reason.EXPIRED)]


def test_pinned_rooms_do_not_expire_until_they_are_unpinned() -> None:
    cache = RoomCache()
    cache.put("a", b".", now=0.0, pinned=True)
    assert cache.next_expiry() is None
    cache.put("b", b".", now=0.0)
    cache.pin("b")
    assert cache.expire(5000.0) == ()
    cache.unpin("a", 5000.0)
    assert [one.room_id for one in cache.expire(5000.0)] == ["a"]
    cache.put("c", b".", now=5000.0)
    cache.pop("c")
    assert cache.expire(9000.0) == ()


def test_without_a_time_to_live_nothing_expires() -> None:
    cache = RoomCache(ttl=None)
    cache.put("a", b".", now=0.0, pinned=True)
    cache.unpin("a", 0.0)
    cache.put("b", b".", now=0.0)
    assert (cache.next_expiry(), cache.expire(1e9)) == (None, ())
    assert cache.frequency("a", 1e9) is Frequency.LOW


def test_a_clock_that_goes_back_counts_as_standing_still() -> None:
    cache = lru(max_rooms=2)
    cache.put("a", b".", now=100.0)
    cache.put("b", b".", now=50.0)
    cache.get("a", 10.0)
    assert cache.entry("b").stored_at == cache.entry("a").accessed_at == 100.0
    assert cache.expire(0.0) == ()


def test_shrink_stops_as_soon_as_it_may() -> None:
    cache = lru()
    for room in "abcd":
        cache.put(room, b"...", now=0.0)
    assert ids(cache.shrink(12, 1.0)) == []
    assert ids(cache.shrink(7, 1.0)) == [("a", Reason.PRESSURE), ("b", Reason.PRESSURE)]


REJECTED: list[tuple[str, Callable[[RoomCache], object]]] = [
    ("now", lambda cache: cache.put("x", b".", now=math.nan)),
    ("now", lambda cache: cache.get("a", math.inf)),
    ("now", lambda cache: cache.get("a", math.nan)),
    ("now", lambda cache: cache.pop("a", math.nan)),
    ("now", lambda cache: cache.replace("a", b".", math.nan)),
    ("now", lambda cache: cache.hint("a", -math.inf)),
    ("now", lambda cache: cache.expire(math.nan)),
    ("now", lambda cache: cache.shrink(0, math.nan)),
    ("now", lambda cache: cache.unpin("a", math.nan)),
    ("now", lambda cache: cache.frequency("a", math.nan)),
    ("room_id", lambda cache: cache.put("", b".", now=9.0)),
    ("room_id", lambda cache: cache.put(7, b".", now=9.0)),  # type: ignore[arg-type]
    ("packed", lambda cache: cache.put("x", "text", now=9.0)),  # type: ignore[arg-type]
    ("packed", lambda cache: cache.replace("a", None, 9.0)),  # type: ignore[arg-type]
    ("priority", lambda cache: cache.put("x", b".", now=9.0, priority=-1)),
    ("priority", lambda cache: cache.put("x", b".", now=9.0, priority=11)),
    ("priority", lambda cache: cache.put("x", b".", now=9.0, priority=math.nan)),  # type: ignore[arg-type]
    ("likelihood", lambda cache: cache.put("x", b".", now=9.0, likelihood=-0.1)),
    ("likelihood", lambda cache: cache.put("x", b".", now=9.0, likelihood=math.nan)),
    ("messages", lambda cache: cache.hint("a", 9.0, messages=-1)),
    ("mentions", lambda cache: cache.hint("a", 9.0, mentions=True)),
    ("likelihood", lambda cache: cache.hint("a", 9.0, likelihood=1.5)),
    ("likelihood", lambda cache: cache.hint("a", 9.0, likelihood=math.nan)),
    ("to_bytes", lambda cache: cache.shrink(-1, 9.0)),
    ("'nobody'", lambda cache: cache.replace("nobody", b".", 9.0)),
    ("'nobody'", lambda cache: cache.pin("nobody")),
    ("'nobody'", lambda cache: cache.unpin("nobody", 9.0)),
    ("'nobody'", lambda cache: cache.entry("nobody")),
]


@pytest.mark.parametrize(("where", "call"), REJECTED)
def test_a_rejected_call_names_the_place_and_changes_nothing(where: str, call: Callable[[RoomCache], object]) -> None:
    cache = RoomCache(max_rooms=3)
    cache.put("a", b"...", now=0.0)
    cache.get("a", 1.0)

    def image() -> object:
        return list(cache), cache.bytes, cache.stats(), cache.entry("a"), cache.next_expiry(), cache._now

    before = image()
    with pytest.raises((InvalidValue, UnknownRoom), match=where):
        call(cache)
    assert image() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_rooms", 0), ("max_rooms", 1.5), ("max_bytes", 0), ("max_bytes", True), ("ghosts", -1)]
    + [("batch_fraction", bad) for bad in (-0.1, 1.1, math.nan)],
)
def test_bounds_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=name):
        RoomCache(**{name: value})


class CacheMachine(RuleBasedStateMachine):
    """The cache beside the plainest model of it: LRU, counted afresh at each step."""

    max_rooms, max_bytes = 4, 40

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.cache = lru(max_rooms=self.max_rooms, max_bytes=self.max_bytes, ttl=TimeToLive(base_s=100.0))
        self.model: dict[str, bytes] = {}
        self.pinned: set[str] = set()

    rooms = st.sampled_from("abcdefgh")
    bodies = st.binary(max_size=25)

    def leave(self, gone: tuple[Eviction, ...]) -> None:
        for one in gone:
            assert one.room_id not in self.pinned
            assert self.model.pop(one.room_id) == one.packed
            assert one.size == len(one.packed)

    @rule(room=rooms, body=bodies, pinned=st.booleans())
    def put(self, room: str, body: bytes, pinned: bool) -> None:
        gone = self.cache.put(room, body, now=self.now, pinned=pinned)
        self.model[room] = body
        self.pinned |= {room} if pinned else set()
        self.leave(gone)

    @rule(room=rooms)
    def get(self, room: str) -> None:
        assert self.cache.get(room, self.now) == self.model.get(room)

    @rule(room=rooms)
    def pop(self, room: str) -> None:
        assert self.cache.pop(room, self.now) == self.model.pop(room, None)
        self.pinned.discard(room)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), body=bodies)
    def replace(self, data: st.DataObject, body: bytes) -> None:
        room = data.draw(st.sampled_from(sorted(self.model)))
        gone = self.cache.replace(room, body, self.now)
        self.model[room] = body
        self.leave(gone)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), pin=st.booleans())
    def pin_or_unpin(self, data: st.DataObject, pin: bool) -> None:
        room = data.draw(st.sampled_from(sorted(self.model)))
        if pin:
            self.cache.pin(room)
            self.pinned.add(room)
        else:
            self.pinned.discard(room)
            self.leave(self.cache.unpin(room, self.now))

    @rule(seconds=st.sampled_from([0.0, 1.0, 50.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.leave(self.cache.expire(self.now))

    @rule(to_bytes=st.integers(0, 40))
    def shrink(self, to_bytes: int) -> None:
        self.leave(self.cache.shrink(to_bytes, self.now))
        unpinned = self.model.keys() - self.pinned
        assert self.cache.bytes <= to_bytes or not unpinned

    @invariant()
    def agrees(self) -> None:
        self.cache.check()
        assert {room: self.cache.peek(room) for room in self.cache} == self.model
        assert self.cache.bytes == sum(map(len, self.model.values()))
        if self.model.keys() - self.pinned:
            assert len(self.cache) <= self.max_rooms
            assert self.cache.bytes <= self.max_bytes


TestCacheMachine = CacheMachine.TestCase


def test_any_policy_may_be_given() -> None:
    policy = ScoredPolicy(WeightedScorer())
    assert RoomCache(policy=policy).policy is policy


def test_a_newcomer_may_come_with_the_chance_of_a_visit_and_is_judged_by_it() -> None:
    class LikelyStay(Scorer):
        def score(self, entry: Entry, now: float) -> float:
            return -entry.likelihood

    cache = RoomCache(max_rooms=2, policy=ScoredPolicy(LikelyStay()))
    for room_id, chance in (("a", 0.2), ("b", 0.6), ("c", 0.4)):
        cache.put(room_id, b".", now=1.0, likelihood=chance)
    assert list(cache) == ["b", "c"]
    assert cache.entry("c").likelihood == pytest.approx(0.4, abs=1e-4)
    cache.put("b", b"..", now=2.0, likelihood=0.1)  # no newcomer
    assert cache.entry("b").likelihood == pytest.approx(0.6, abs=1e-4)
    cache.check()
