"""The scorers of the package: each in the order that its name says, the specification's against a full scan."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.residency.cache import RoomCache
from roomstate.residency.entry import Reason
from roomstate.residency.eviction import ScoredPolicy, Scorer
from roomstate.residency.scorers import LfuScorer, LruScorer, SizeAwareScorer, WeightedScorer
from roomstate.testing.contracts_eviction import ScorerContract


class TestLru(ScorerContract):
    def scorer(self) -> Scorer:
        return LruScorer()


class TestLfu(ScorerContract):
    def scorer(self) -> Scorer:
        return LfuScorer()


class TestSizeAware(ScorerContract):
    def scorer(self) -> Scorer:
        return SizeAwareScorer()


class TestWeighted(ScorerContract):
    def scorer(self) -> Scorer:
        return WeightedScorer()


def formula(now: float, stored: float, used: float | None, accesses: int, priority: int) -> float:
    """The specification's, written down once more."""
    recency = 1.0 if used is None else (now - used) / 1800
    age = 0.3 * (now - stored) / 1800
    return age + 0.3 / (1 + accesses) + 0.3 * recency + 0.1 * (1 - priority / 10)


steps = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 24),
        st.integers(0, 10),
        st.sampled_from([0.0, 0.0, 1.0, 60.0, 600.0, 0.37, 1800.0]),
    ),
    max_size=120,
)


@given(steps, st.integers(1, 12), st.sampled_from([0.0, 0.2, 1.0]), st.sampled_from([0.0, 1.7e9]))
def test_weighted_has_the_victims_of_a_full_scan(
    steps: list[tuple[bool, int, int, float]], max_rooms: int, batch: float, start: float
) -> None:
    policy = ScoredPolicy(WeightedScorer())
    cache = RoomCache(max_rooms=max_rooms, policy=policy, batch_fraction=batch, ttl=None, ghosts=0)
    model: dict[str, tuple[float, float | None, int, int]] = {}
    now = start
    for is_get, number, priority, later in steps:
        now, room = now + later, f"room-{number}"
        if is_get:
            if cache.get(room, now) is not None:
                stored, _, accesses, had = model[room]
                model[room] = stored, now, accesses + 1, had
            continue
        expected: list[str] = []
        if room not in model and len(model) >= max_rooms:
            score = {one: formula(now, *facts) for one, facts in model.items()}
            touched = {one: max(facts[0], facts[1] or facts[0]) for one, facts in model.items()}
            order = sorted(model, key=lambda one: (-score[one], touched[one], one))
            expected = order[: max(1, math.ceil(batch * len(model)))]
        assert [one.room_id for one in cache.put(room, b".", now=now, priority=priority)] == expected
        for one in expected:
            del model[one]
        _, used, accesses, _ = model.get(room, (0.0, None, 0, 0))
        model[room] = now, used, accesses, priority


def test_weighted_drops_a_fifth_as_the_specification_does() -> None:
    cache = RoomCache(policy=ScoredPolicy(WeightedScorer()), batch_fraction=0.2)
    for number in range(100):
        cache.put(f"room-{number:03}", b".", now=float(number))
    gone = cache.put("new", b".", now=100.0)
    assert [one.room_id for one in gone] == [f"room-{number:03}" for number in range(20)]
    assert {one.reason for one in gone} == {Reason.ROOMS}
    assert len(cache) == 81


def test_lfu_keeps_what_is_used_and_ties_go_by_age_then_id() -> None:
    cache = RoomCache(max_rooms=3, policy=ScoredPolicy(LfuScorer()))
    for room in "cab":
        cache.put(room, b".", now=0.0)
    cache.get("a", 1.0)
    assert [one.room_id for one in cache.put("d", b".", now=2.0)] == ["b"]
    assert [one.room_id for one in cache.put("e", b".", now=3.0)] == ["c"]
    assert [one.room_id for one in cache.put("f", b".", now=4.0)] == ["d"]


def test_size_aware_prefers_many_small_rooms_and_ages() -> None:
    scorer = SizeAwareScorer()
    cache = RoomCache(max_rooms=100, max_bytes=1000, policy=ScoredPolicy(scorer))
    cache.put("large", b"." * 800, now=0.0)
    cache.put("small", b"." * 100, now=0.0)
    assert [one.room_id for one in cache.put("new", b"." * 200, now=1.0)] == ["large"]
    assert scorer.floor == pytest.approx(1 / 800)
    cache.put("empty", b"", now=2.0)
    assert scorer.score(cache.entry("empty"), 0.0) == -scorer.floor - 1.0


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_parameters_out_of_range_are_refused(bad: float) -> None:
    for name in ("age", "rarity", "recency", "priority", "scale_s", "top_priority"):
        with pytest.raises(InvalidValue, match=name):
            WeightedScorer(**{name: bad})
    with pytest.raises(InvalidValue, match="cost"):
        SizeAwareScorer(cost=bad)
