from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from roomstate.errors import InvalidValue
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.prediction import Predictor
from roomstate.residency.traces import TRAIL
from roomstate.testing.contracts_prediction import ROOMS, VIEWERS, PredictorContract, everything, rejects, walk


class TestBlended(PredictorContract):
    def make(self) -> Predictor:
        return BlendedPredictor()


class TestPlaced(PredictorContract):
    def make(self) -> Predictor:
        return BlendedPredictor(place=lambda room: room[-1])


class TestSmall(PredictorContract):
    """Every bound is reached on the way."""

    def make(self) -> Predictor:
        return BlendedPredictor(max_viewers=6, max_rooms=24)


def rooms_of(predictor: Predictor, viewer: str, now: float, limit: int = 100) -> list[str]:
    return [one.room for one in predictor.predict(viewer, now, limit)]


@pytest.mark.parametrize("bound", ["max_viewers", "max_rooms"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_bounds_are_checked(bound: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=bound):
        BlendedPredictor(**{bound: value})  # type: ignore[arg-type]


def test_it_learns_that_one_viewer_follows_the_news_and_another_a_habit() -> None:
    blend = BlendedPredictor()
    now = 0.0
    for turn in range(300):
        now += 600.0
        news = f"news-{turn % 7 * 3 % 5}"
        blend.activity(news, "reporter", "message", now)
        now += 60.0
        blend.visited("follower", news, now)
        blend.visited("regular", ("home", "work")[turn % 2], now)
    blend.activity("news-2", "reporter", "message", now + 600.0)
    assert rooms_of(blend, "follower", now + 660.0)[0] == "news-2"
    assert rooms_of(blend, "regular", now + 660.0)[0] == "home"


def test_probabilities_settle_at_what_happens() -> None:
    blend = BlendedPredictor()
    for turn in range(3000):
        blend.visited("ada", "hub", 600.0 * turn)
        blend.visited("ada", "rare" if turn % 5 == 0 else "often", 600.0 * turn + 300.0)
    blend.visited("ada", "hub", 600.0 * 3001)
    chances = dict(blend.predict("ada", 600.0 * 3001 + 300.0))
    assert chances["often"] + chances["rare"] > 0.9
    assert chances["often"] > chances["rare"]


def test_a_mention_makes_a_room_a_candidate_until_it_is_visited() -> None:
    blend = BlendedPredictor()
    blend.visited("ada", "home", 0.0)
    blend.activity("far", "ada", "mention", 1.0)
    for at in range(40):
        blend.activity(f"busy-{at}", "bob", "message", 2.0 + at)
    assert rooms_of(blend, "ada", 50.0)[0] == "far"
    assert "far" not in rooms_of(blend, "stranger", 50.0)
    blend.visited("ada", "far", 51.0)
    blend.visited("ada", "home", 52.0)
    before = dict(blend.predict("ada", 53.0))
    blend.activity("far", "ada", "mention", 53.0)
    assert dict(blend.predict("ada", 53.0))["far"] > before["far"]


def test_a_mention_where_the_viewer_is_or_of_nobody_changes_nothing() -> None:
    blend = BlendedPredictor()
    blend.visited("ada", "away", 0.0)
    blend.visited("ada", "home", 1.0)
    before = blend.predict("ada", 2.0)
    blend.activity("home", "ada", "mention", 2.0)
    blend.activity("home", "nobody", "mention", 2.0)
    assert blend.predict("ada", 2.0) == before


def test_preferred_rooms_are_candidates_ahead_of_equals() -> None:
    blend = BlendedPredictor()
    blend.visited("ada", "home", 0.0)
    for room in ("a", "b", "c"):
        blend.activity(room, "bob", "message", 1.0)
    blend.preferences("ada", ["c", "starred"])
    assert set(rooms_of(blend, "ada", 2.0)[:2]) == {"c", "starred"}
    blend.preferences("ada", [])
    first = blend.predict("ada", 2.0)
    assert first[0].room == "a"
    assert len({one.probability for one in first[:3]}) == 1


def test_what_others_did_from_here_is_a_candidate() -> None:
    blend = BlendedPredictor()
    for turn in range(20):
        blend.visited("bob", "menu", 10.0 * turn)
        blend.visited("bob", "item", 10.0 * turn + 1)
    for at in range(40):
        blend.activity(f"busy-{at}", "bob", "message", 300.0 + at)
    blend.visited("ada", "menu", 400.0)
    assert "item" in rooms_of(blend, "ada", 401.0)
    assert "item" not in rooms_of(blend, "stranger", 401.0)


def test_the_room_without_an_act_for_longest_makes_place() -> None:
    blend = BlendedPredictor(max_rooms=3)
    for now, room in enumerate(["a", "b", "c", "a", "d"]):
        blend.visited("ada", room, now)
        blend.check()
    assert set(rooms_of(blend, "ada", 9.0)) == {"a", "c"}


def test_the_current_room_may_be_forgotten() -> None:
    blend = BlendedPredictor()
    for now, room in enumerate(["a", "b", "c"]):
        blend.visited("ada", room, now)
    blend.forget_room("c")
    assert set(rooms_of(blend, "ada", 3.0)) == {"a", "b"}
    blend.visited("ada", "c", 4.0)
    blend.check()
    assert set(rooms_of(blend, "ada", 5.0)) == {"a", "b"}


def test_a_place_is_asked_once_and_may_not_lie_or_fail_halfway() -> None:
    asked: list[str] = []

    def place(room: str) -> str:
        asked.append(room)
        if room == "broken":
            raise RuntimeError(room)
        return 7 if room == "lie" else room[0]  # type: ignore[return-value]

    blend = BlendedPredictor(place=place)
    walk(blend)
    assert sorted(asked) == sorted(set(asked))
    before = everything(blend)
    calls: list[Callable[[str], None]] = [
        lambda room: blend.visited(VIEWERS[0], room, 2000.0),
        lambda room: blend.activity(room, VIEWERS[0], "message", 2000.0),
        lambda room: blend.preferences(VIEWERS[0], [ROOMS[0], "new", room]),
    ]
    for call in calls:
        rejects(lambda call=call: call("lie"))  # type: ignore[misc]
        with pytest.raises(RuntimeError):
            call("broken")
    blend.check()
    assert everything(blend) == before


def test_names_that_no_encoding_takes_are_names() -> None:
    blend = BlendedPredictor()
    blend.visited("\ud800", "\udfff", 0.0)
    blend.activity("\udfff", "\ud800", "message", 0.0)
    assert rooms_of(blend, "x", 1.0) == ["\udfff"]


def test_a_viewer_takes_less_than_two_kilobytes() -> None:
    rooms = [f"room-{at}" for at in range(40)]
    viewers = [f"viewer-{at}" for at in range(200)]
    blend = BlendedPredictor(place=lambda room: room)
    for at in range(len(rooms) * 20):  # everything common is in place
        blend.visited("first", rooms[at * 7 % 40], float(at))
        blend.activity(rooms[at * 7 % 40], f"user-{at % 30}", "message", float(at))

    def live(at: int, viewer: str) -> None:
        blend.preferences(viewer, rooms[:4])
        for turn in range(TRAIL):
            blend.visited(viewer, rooms[(at + turn) % 40], 1000.0 + at)
            blend.activity(rooms[(at + turn) % 40], viewer, "message", 1000.0 + at)
        blend.activity(rooms[at % 40], viewer, "mention", 1000.0 + at)

    live(0, "one before")  # so that what the first run of a line costs (coverage keeps records) is paid
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at, viewer in enumerate(viewers):
        live(at, viewer)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown / len(viewers) <= 2000
