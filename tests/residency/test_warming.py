from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.prediction import Prediction, RecencyPredictor
from roomstate.residency.warming import Warmer, WarmerStats


class Fixed(RecencyPredictor):
    """Says what it is told to."""

    def __init__(self, *predictions: tuple[object, object]) -> None:
        super().__init__()
        self.predictions = predictions

    def predict(self, viewer: str, now: float, limit: int = 5) -> tuple[Prediction, ...]:
        return tuple(Prediction(room, chance) for room, chance in self.predictions)[:limit]  # type: ignore[arg-type]


def sure(*rooms: str, **bounds: float) -> Warmer:
    """A warmer whose predictor is sure of these rooms."""
    return Warmer(Fixed(*((room, 0.9) for room in rooms)), **{"loads_per_s": 1e6, **bounds})  # type: ignore[arg-type]


def test_a_room_is_loaded_from_the_least_chance_on() -> None:
    warmer = Warmer(Fixed(("rust", 0.06), ("go", 0.05), ("zig", 0.04)))
    assert [one.room for one in warmer.plan("ada", 0.0, held=())] == ["rust", "go"]


def test_a_plan_is_likeliest_first_equals_by_room_and_bounded() -> None:
    warmer = sure("d", "c", "b", "a", max_loads=4)
    plan = warmer.plan("ada", 0.0, held=())
    assert plan == (("a", 0.9), ("b", 0.9), ("c", 0.9), ("d", 0.9))
    mixed = Warmer(Fixed(("a", 0.2), ("b", 0.3)), loads_per_s=1e6)
    assert [one.room for one in mixed.plan("ada", 0.0, held=())] == ["b", "a"]
    assert [one.room for one in sure("d", "c", "b", "a", max_loads=1).plan("ada", 0.0, held=())] == [plan[0].room]
    assert sure("a", max_loads=0).plan("ada", 0.0, held=()) == ()
    assert sure("a", max_open=0).plan("ada", 0.0, held=()) == ()


def test_what_is_held_or_open_is_not_planned_again() -> None:
    warmer = sure("a", "b", max_open=2)
    assert [one.room for one in warmer.plan("ada", 0.0, held={"a"})] == ["b"]
    assert [one.room for one in warmer.plan("ada", 0.0, held=())] == ["a"]
    assert warmer.plan("ada", 0.0, held=()) == ()


def test_loads_are_bounded_in_time_and_a_time_that_goes_back_gives_no_more() -> None:
    warmer = Warmer(Fixed(*((name, 0.9) for name in "abcdefgh")), least_chance=0.0, loads_per_s=2.0)
    assert [len(warmer.plan("ada", now, held=())) for now in (5.0, 5.0, 5.6, 5.6, 4.0, 9.0)] == [2, 0, 1, 0, 0, 2]
    slow = Warmer(Fixed(("a", 0.9), ("b", 0.9)), least_chance=0.0, loads_per_s=0.1)
    assert [len(slow.plan("ada", now, held=())) for now in (0.0, 5.0, 10.5)] == [1, 0, 1]
    assert Warmer(Fixed(("a", 0.9)), least_chance=0.0, loads_per_s=0).plan("ada", 0.0, held=()) == ()


def test_a_load_that_comes_too_late_is_wasted() -> None:
    warmer = Warmer(Fixed(("a", 0.9)), least_chance=0.0)
    warmer.plan("ada", 0.0, held=())
    warmer.late("a")
    warmer.late("a")
    assert not warmer.turned("a")
    assert warmer.stats() == WarmerStats(1, 0, 1, 0, 0)


def test_every_load_ends_as_used_wasted_or_failed() -> None:
    warmer = sure("a", "b", "c", "d", max_loads=4)
    before = warmer.stats()
    assert len(warmer.plan("ada", 0.0, held=())) == 4
    assert warmer.turned("a")
    assert not warmer.turned("a")
    warmer.dropped("b")
    warmer.dropped("b")
    warmer.failed("c")
    warmer.failed("c")
    warmer.dropped("unknown")
    warmer.check()
    after = warmer.stats()
    assert after == WarmerStats(before.planned + 4, before.used + 1, before.wasted + 1, before.failed + 1, 1)


def test_waste_raises_the_least_chance_and_use_lowers_it_again() -> None:
    warmer = sure("a")
    (one,) = warmer.plan("ada", 0.0, held=())
    warmer.dropped("a")
    while plan := warmer.plan("ada", 0.0, held=()):
        warmer.dropped("a")
        assert plan[0].chance == one.chance
        warmer.check()
    wasted = warmer.stats().wasted
    assert wasted < 500
    assert warmer.plan("ada", 0.0, held=()) == ()


def test_waste_stays_near_what_was_asked_for() -> None:
    """Of eight rooms with chances from 5 to 40 %, each used as often as it was said to be."""
    chance = random.Random(1)
    rooms = {f"room-{at}": 0.05 * at for at in range(1, 9)}
    warmer = Warmer(Fixed(*rooms.items()), loads_per_s=1e6, max_loads=1)
    for _ in range(20_000):
        warmer.predictor.predictions = (chance.choice([*rooms.items()]),)  # type: ignore[attr-defined]
        for room, likely in warmer.plan("ada", 0.0, held=()):
            (warmer.turned if chance.random() < likely else warmer.dropped)(room)
        warmer.check()
    stats = warmer.stats()
    assert 2.0 * stats.used < stats.wasted < 3.2 * stats.used


def test_a_predictor_that_claims_more_than_it_keeps_is_no_longer_believed() -> None:
    warmer = Warmer(Fixed(("a", 1.0)), loads_per_s=1e6)
    for _ in range(1000):
        if warmer.plan("ada", 0.0, held=()):
            warmer.dropped("a")
        warmer.check()
    assert warmer.stats().wasted <= 480


def test_a_least_chance_above_what_waste_would_raise_it_to_stays() -> None:
    warmer = sure("a", least_chance=0.95)
    warmer.predictor.predictions = (("a", 1.0),)  # type: ignore[attr-defined]
    assert warmer.plan("ada", 0.0, held=())
    warmer.dropped("a")
    warmer.check()


@given(st.lists(st.tuples(st.sampled_from("ptdfl"), st.sampled_from("abcd")), max_size=60))
def test_any_order_of_calls_keeps_the_invariants(calls: list[tuple[str, str]]) -> None:
    warmer = sure("a", "b", "c", "d", max_open=2)
    for call, room in calls:
        if call == "p":
            held = {room}
            assert not held & {one.room for one in warmer.plan("ada", 0.0, held)}
        else:
            {"t": warmer.turned, "d": warmer.dropped, "f": warmer.failed, "l": warmer.late}[call](room)
        warmer.check()


def test_the_default_predictor_learns_what_is_worth_loading() -> None:
    blend = BlendedPredictor()
    warmer = Warmer(blend)
    for at in range(300):
        room = f"room-{at % 6}"
        blend.visited("ada", room, float(at))
        warmer.turned(room)
    plan = warmer.plan("ada", 300.0, held=())
    assert plan[0].room == "room-0"
    assert "room-5" not in {one.room for one in plan}  # where ada is


@pytest.mark.parametrize(
    "predictor",
    [
        Fixed(("a", 1.1)),
        Fixed(("a", -0.1)),
        Fixed(("a", float("nan"))),
        Fixed(("a", "likely")),
        Fixed(("a", True)),
        Fixed(("a", 0.5), ("a", 0.5)),
        Fixed(("", 0.5)),
        Fixed((None, 0.5)),
    ],
)
def test_a_predictor_that_lies_is_rejected_and_nothing_changes(predictor: Fixed) -> None:
    warmer = Warmer(predictor)
    with pytest.raises(InvalidValue, match="predictor"):
        warmer.plan("ada", 0.0, held=())
    warmer.check()
    assert warmer.stats() == WarmerStats(0, 0, 0, 0, 0)
    predictor.predictions = ()
    assert warmer.plan("ada", 0.0, held=()) == ()


def test_a_room_that_the_predictor_made_up_is_a_failed_load() -> None:
    warmer = sure("made-up")
    assert warmer.plan("ada", 0.0, held=())
    warmer.failed("made-up")
    assert warmer.stats().failed == 1


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        *((bound, bad) for bound in ("least_chance", "waste") for bad in (-0.1, float("nan"), True, "x")),
        ("least_chance", 1.1),
        ("waste", float("inf")),
        *((bound, -1) for bound in ("max_loads", "max_open")),
    ],
)
def test_bounds_are_checked(bound: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=bound):
        Warmer(RecencyPredictor(), **{bound: value})  # type: ignore[arg-type]


def test_bad_arguments_change_nothing() -> None:
    warmer = sure("a")
    before = warmer.stats()
    for call in (
        lambda: warmer.plan("", 0.0, held=()),
        lambda: warmer.plan("ada", float("nan"), held=()),
        lambda: warmer.turned(""),
    ):
        with pytest.raises(InvalidValue):
            call()
    assert warmer.stats() == before


def test_a_viewer_with_ten_thousand_rooms_is_planned_for_within_the_bounds() -> None:
    predictor = BlendedPredictor(max_rooms=500)
    warmer = Warmer(predictor, least_chance=0.0)
    for now in range(10_000):
        predictor.visited("ada", f"room-{now}", float(now))
        warmer.turned(f"room-{now}")
        if now % 50 == 0:
            assert len(warmer.plan("ada", float(now), held=())) <= warmer.max_loads
    warmer.check()
    predictor.check()
    assert warmer.stats().open <= warmer.max_open
