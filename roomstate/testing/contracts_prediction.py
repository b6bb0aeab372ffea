"""What every `Predictor` keeps, as tests that a third party runs on its own.

Subclass `PredictorContract` in a test module, give it ``make``, and let pytest collect it::

    class TestMine(PredictorContract):
        def make(self) -> Predictor:
            return MyPredictor()
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from roomstate.errors import InvalidValue
from roomstate.residency.prediction import Prediction, Predictor

ROOMS = tuple(f"room-{at:02}" for at in range(24))
VIEWERS = tuple(f"viewer-{at}" for at in range(5))


def walk(predictor: Predictor, steps: int = 400, seed: int = 7) -> dict[str, str]:
    """Lead the viewers through the rooms, with messages and mentions, checking; returns where each one is."""
    chance = random.Random(seed)
    here: dict[str, str] = {}
    for now in range(steps):
        viewer = chance.choice(VIEWERS)
        room = ROOMS[min(int(chance.expovariate(0.3)), len(ROOMS) - 1)]
        predictor.visited(viewer, room, float(now))
        predictor.activity(room, viewer, "message", float(now))
        if chance.random() < 0.2:
            predictor.activity(room, chance.choice(VIEWERS), "mention", float(now))
        here[viewer] = room
        predictor.check()
    return here


def everything(predictor: Predictor, now: float = 1000.0) -> list[tuple[Prediction, ...]]:
    """All that the predictor says, viewer by viewer: equal before and after means that nothing changed."""
    return [tuple(predictor.predict(viewer, now, limit=100)) for viewer in (*VIEWERS, "stranger")]


def rejects(call: Callable[[], object]) -> None:
    """Assert that ``call`` raises `InvalidValue`, as every bad argument does."""
    try:
        call()
    except InvalidValue:
        return
    raise AssertionError("a bad argument was accepted")


class PredictorContract:
    """The contract; ``make`` gives a new predictor with room for at least 24 rooms and 6 viewers."""

    def make(self) -> Predictor:
        """A new predictor, knowing nothing."""
        raise NotImplementedError

    def walked(self) -> Predictor:
        """One that has seen `walk`."""
        predictor = self.make()
        walk(predictor)
        return predictor

    def test_is_a_predictor(self) -> None:
        assert isinstance(self.make(), Predictor)

    def test_knows_nothing_at_first(self) -> None:
        assert tuple(self.make().predict("stranger", 0.0)) == ()

    def test_probabilities_are_a_share_of_one(self) -> None:
        for predictions in everything(self.walked()):
            chances = [chance for _, chance in predictions]
            assert all(0.0 <= chance <= 1.0 for chance in chances)
            assert math.fsum(chances) <= 1.0 + 1e-9

    def test_the_likeliest_come_first_and_equals_by_room(self) -> None:
        for predictions in everything(self.walked()):
            assert list(predictions) == sorted(predictions, key=lambda one: (-one.probability, one.room))

    def test_names_known_rooms_once_and_never_the_current_one(self) -> None:
        predictor = self.make()
        here = walk(predictor)
        for viewer, room in here.items():
            rooms = [prediction.room for prediction in predictor.predict(viewer, 1000.0, limit=100)]
            assert rooms
            assert len(set(rooms)) == len(rooms)
            assert set(rooms) <= set(ROOMS) - {room}

    def test_a_limit_cuts_the_end_off(self) -> None:
        predictor = self.walked()
        for viewer in VIEWERS:
            whole = tuple(predictor.predict(viewer, 1000.0, limit=100))
            for limit in (0, 1, 3):
                assert tuple(predictor.predict(viewer, 1000.0, limit=limit)) == whole[:limit]

    def test_predicting_changes_nothing(self) -> None:
        one, other = self.walked(), self.walked()
        assert everything(one) == everything(one) == everything(other)
        walk(one, seed=8)
        walk(other, seed=8)
        assert everything(one, 2000.0) == everything(other, 2000.0)

    def test_a_habit_is_learned(self) -> None:
        predictor = self.make()
        for now in range(200):
            predictor.visited("ada", ("home", "work", "home", "pub")[now % 4], float(now))
        predictor.visited("ada", "work", 200.0)
        assert predictor.predict("ada", 201.0)[0].room == "home"

    def test_a_forgotten_viewer_is_a_stranger(self) -> None:
        predictor = self.walked()
        predictor.preferences(VIEWERS[0], ROOMS[:3])
        stranger = tuple(predictor.predict("stranger", 1000.0))
        predictor.forget(VIEWERS[0])
        predictor.forget(VIEWERS[0])
        predictor.check()
        assert tuple(predictor.predict(VIEWERS[0], 1000.0)) == stranger

    def test_a_forgotten_room_is_not_named(self) -> None:
        predictor = self.walked()
        predictor.preferences(VIEWERS[0], ROOMS[:3])
        for room in ROOMS[:2]:
            predictor.forget_room(room)
            predictor.forget_room(room)
        predictor.check()
        named = {prediction.room for predictions in everything(predictor) for prediction in predictions}
        assert named
        assert not named & set(ROOMS[:2])

    def test_time_that_goes_back_does_no_harm(self) -> None:
        predictor = self.walked()
        predictor.visited(VIEWERS[0], ROOMS[3], -5.0)
        predictor.activity(ROOMS[4], VIEWERS[0], "message", -1e300)
        predictor.visited(VIEWERS[0], ROOMS[5], 1e300)
        predictor.activity(ROOMS[4], VIEWERS[0], "message", 3.0)
        predictor.check()
        for predictions in everything(predictor, -1000.0):
            assert all(0.0 <= chance <= 1.0 for _, chance in predictions)

    def test_ten_thousand_rooms_of_one_viewer_are_bounded(self) -> None:
        predictor = self.make()
        for now in range(10_000):
            predictor.visited("ada", f"room-{now}", float(now))
            predictor.activity(f"room-{now}", "ada", "message", float(now))
        predictor.check()
        assert len(predictor.predict("ada", 10_000.0, limit=100_000)) < 1_000

    def test_bad_input_is_rejected_and_changes_nothing(self) -> None:
        predictor = self.walked()
        before = everything(predictor)
        bad: Any
        for bad in (math.nan, math.inf, -math.inf, "now", None, True):
            rejects(lambda bad=bad: predictor.visited("ada", "home", bad))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.activity("home", "ada", "message", bad))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.predict("ada", bad))  # type: ignore[misc]
        for bad in ("", None, 7, b"ada"):
            rejects(lambda bad=bad: predictor.visited(bad, "home", 2000.0))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.visited("ada", bad, 2000.0))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.activity(bad, "ada", "message", 2000.0))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.activity("home", bad, "message", 2000.0))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.activity("home", "ada", bad, 2000.0))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.predict(bad, 2000.0))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.preferences(bad, ()))  # type: ignore[misc]
            rejects(lambda bad=bad: predictor.preferences("ada", ("home", bad)))  # type: ignore[misc]
        for bad in (-1, 1.5, None, True):
            rejects(lambda bad=bad: predictor.predict("ada", 2000.0, limit=bad))  # type: ignore[misc]
        rejects(lambda: predictor.preferences("ada", [f"room-{at}" for at in range(10_000)]))
        predictor.check()
        assert everything(predictor) == before
