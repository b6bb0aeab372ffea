from __future__ import annotations

import pytest

from roomstate.errors import InvalidValue
from roomstate.residency.prediction import (
    MAX_PREFERENCES,
    MarkovPredictor,
    Predictor,
    RecencyPredictor,
    RoomNumbers,
)
from roomstate.testing.contracts_prediction import PredictorContract, everything, rejects, walk


class TestRecency(PredictorContract):
    def make(self) -> Predictor:
        return RecencyPredictor()


class TestMarkov(PredictorContract):
    def make(self) -> Predictor:
        return MarkovPredictor()


class TestSmallRecency(PredictorContract):
    """Every bound is reached on the way."""

    def make(self) -> Predictor:
        return RecencyPredictor(max_viewers=6, rooms_per_viewer=3, max_rooms=24)


class TestSmallMarkov(PredictorContract):
    def make(self) -> Predictor:
        return MarkovPredictor(max_viewers=6, max_contexts=12, successors=2, max_rooms=24)


def test_the_contract_needs_a_predictor() -> None:
    with pytest.raises(NotImplementedError):
        PredictorContract().make()


def test_the_contract_sees_a_call_that_is_accepted() -> None:
    with pytest.raises(AssertionError, match="accepted"):
        rejects(lambda: None)


@pytest.mark.parametrize("bound", ["max_viewers", "rooms_per_viewer", "max_rooms"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_recency_bounds_are_checked(bound: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=bound):
        RecencyPredictor(**{bound: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("bound", ["max_viewers", "max_contexts", "successors", "max_rooms"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_markov_bounds_are_checked(bound: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=bound):
        MarkovPredictor(**{bound: value})  # type: ignore[arg-type]


def test_recency_shares_are_counted_by_rank() -> None:
    recency = RecencyPredictor()
    for now, room in enumerate("abcabcabcabc"):
        recency.visited("ada", room, now)
    assert [one.room for one in recency.predict("ada", 99.0)] == ["a", "b"]
    chances = [one.probability for one in recency.predict("ada", 99.0)]
    assert chances[0] > 0.8
    assert chances[1] < 0.1


def test_the_least_recent_viewer_makes_place() -> None:
    for predictor in (RecencyPredictor(max_viewers=2), MarkovPredictor(max_viewers=2)):
        for now, (viewer, room) in enumerate([("ada", "x"), ("ada", "y"), ("bob", "x"), ("ada", "x")]):
            predictor.visited(viewer, room, now)
        predictor.visited("cy", "y", 9.0)
        predictor.check()
        assert predictor.predict("ada", 10.0)[0].room == "y"
        assert [one.room for one in predictor.predict("bob", 10.0)] == [
            one.room for one in predictor.predict("stranger", 10.0)
        ]


def test_recency_ranks_preferred_rooms_behind_visited_ones() -> None:
    recency = RecencyPredictor(max_viewers=1)
    recency.preferences("ada", ["p", "v", "p", "q"])
    recency.visited("ada", "v", 0.0)
    recency.visited("ada", "w", 1.0)
    assert [one.room for one in recency.predict("ada", 2.0)] == ["v", "p", "q"]
    recency.preferences("bob", ["p"])
    recency.check()
    assert [one.room for one in recency.predict("ada", 2.0)] == ["v"]
    recency.preferences("bob", [])
    assert recency.predict("bob", 2.0) == ()


def test_too_many_preferences_are_rejected() -> None:
    for predictor in (RecencyPredictor(), MarkovPredictor()):
        predictor.preferences("ada", [f"room-{at}" for at in range(MAX_PREFERENCES)])
        with pytest.raises(InvalidValue, match="rooms"):
            predictor.preferences("ada", [f"room-{at}" for at in range(MAX_PREFERENCES + 1)])


def test_markov_backs_off_to_what_others_do() -> None:
    markov = MarkovPredictor()
    for now in range(60):
        markov.visited("ada", ("menu", "list", "menu", "item")[now % 4], now)
    assert markov.predict("ada", 99.0)[0].room == "menu"
    markov.visited("ada", "menu", 100.0)
    assert markov.predict("ada", 101.0)[0].room == "list"  # by the last two rooms
    markov.visited("bob", "menu", 102.0)
    assert {one.room for one in markov.predict("bob", 103.0, limit=2)} == {"list", "item"}  # by the last one
    assert markov.predict("cy", 103.0)[0].room == "menu"  # by none


def test_a_full_context_halves_and_keeps_what_is_frequent() -> None:
    markov = MarkovPredictor(successors=2)
    for room in ("b", "b", "b", "b", "c", "c", "d"):
        markov.visited("ada", "a", 0.0)
        markov.visited("ada", room, 0.0)
        markov.check()
    markov.visited("ada", "a", 1.0)
    assert [one.room for one in markov.predict("ada", 1.0, limit=2)] == ["b", "d"]


def test_the_two_agree_with_themselves_under_both_seeds() -> None:
    for make in (RecencyPredictor, MarkovPredictor):
        one, other = make(), make()
        walk(one)
        walk(other)
        assert everything(one) == everything(other)


def test_room_numbers_forget_the_room_touched_longest_ago() -> None:
    numbers = RoomNumbers(2)
    a, b = numbers.touch("a"), numbers.touch("b")
    assert numbers.touch("a") == a
    c = numbers.touch("c")
    assert (numbers.room(a), numbers.room(b), numbers.room(c)) == ("a", None, "c")
    assert numbers.find("b") is None
    assert len(numbers) == 2
    numbers.forget("a")
    assert numbers.touch("a") not in (a, b, c)
    numbers.check()
