"""Events, and the scores of predictors on them: counted by hand, and read from whatever a file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.files import open_source
from roomstate.cli.navigation import (
    PREDICTORS,
    Ready,
    Score,
    Side,
    Visit,
    events_of,
    is_events,
    place,
    play,
    score,
    switches,
    visits_of,
)
from roomstate.cli.synthetic import generate
from roomstate.cli.tally import Tally
from roomstate.residency.eviction import ScoredPolicy
from roomstate.residency.prediction import Prediction, RecencyPredictor
from roomstate.residency.scorers import LruScorer
from roomstate.residency.warming import Warmer

LIST = b"1\tada\trust\tteam\n2.5\tbob\tgo\tteam\r\n3\tada\tgo\n"


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_a_list_of_events_is_read_by_place_or_by_room(tmp_path: Path) -> None:
    path = write(tmp_path / "events.tsv", LIST)
    assert is_events(open_source(path))
    by_place = [Visit(1.0, "ada", "team"), Visit(2.5, "bob", "team"), Visit(3.0, "ada", "go")]
    assert list(events_of(open_source(path), Tally())) == by_place
    by_topic = [Visit(1.0, "ada", "team/rust"), Visit(2.5, "bob", "team/go"), Visit(3.0, "ada", "go")]
    assert list(events_of(open_source(path), Tally(), by_topic=True)) == by_topic
    assert [place(visit.room) for visit in by_topic] == ["team", "team", "go"]


@pytest.mark.parametrize(
    "line",
    [b"1\tada", b"x\tada\tgo", b"-1\tada\tgo", b"nan\ta\tb", b"1\t\tgo", b"1\ta\t\xff", b"1\ta\tb\tc\td", b"1 a b"],
)
def test_a_line_that_is_no_event_is_named_and_skipped(line: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "events.tsv", LIST + line + b"\n9\tcy\tgo\n")
    found: list[str] = []
    visits = list(events_of(open_source(path), Tally(lambda error: found.append(str(error)))))
    assert [visit.now for visit in visits] == [1.0, 2.5, 3.0, 9.0]
    assert len(found) == 1
    assert "events.tsv:4: " in found[0]


@pytest.mark.parametrize(
    "head", [b"", b'{"ts": 1}\n', b"1\tada\n", b"2024-01-01 12:00:00\tada\thi there\n", b"1 2 3\n"]
)
def test_what_is_no_list_of_events_is_known_by_its_first_line(head: bytes, tmp_path: Path) -> None:
    assert not is_events(open_source(write(tmp_path / "a", head)))


@given(st.binary(max_size=80))
def test_any_bytes_end_in_events_or_damage(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        source = open_source(write(Path(folder) / "a", content))
        assert all(visit.user and visit.room for visit in events_of(source, Tally(lambda error: None)))


def test_a_switch_is_a_visit_elsewhere_and_the_first_is_none() -> None:
    rooms = (("a", "X"), ("a", "X"), ("b", "Y"), ("a", "Y"), ("b", "X"))
    assert list(switches(Visit(0.0, user, room) for user, room in rooms)) == [False, False, False, True, True]


def test_a_score_is_counted_by_rank_and_by_decile() -> None:
    count = Score()
    ranked = [
        Prediction(room, chance) for room, chance in (("a", 0.55), ("b", 0.3), ("c", 0.05), ("d", 0.04), ("e", 0.0))
    ]
    for room in ("a", "a", "b", "e", "nowhere"):
        count.add(ranked, room)
    found = count.value("mine")
    assert (found.switches, found.top1, found.top3, found.top5) == (5, 0.4, 0.6, 0.8)
    assert [one.predictions for one in found.deciles] == [15, 0, 0, 5, 0, 5, 0, 0, 0, 0]
    assert [one.observed for one in found.deciles] == [1, 0, 0, 1, 0, 2, 0, 0, 0, 0]
    errors = (abs(0.45 - 1) / 15, abs(1.5 - 1) / 5, abs(2.75 - 2) / 5)
    assert found.error == pytest.approx(sum(errors) / 3)
    assert Score().value().top1 == Score().value().error == 0.0


def test_only_the_last_switches_count() -> None:
    visits = [Visit(float(at), "ada", "ab"[at % 2]) for at in range(101)]  # 100 switches
    heard: list[int] = []
    found = score(RecencyPredictor(), visits, name="recency", tell=heard.append)
    assert (found.predictor, found.switches, found.top1) == ("recency", 20, 1.0)
    assert score(RecencyPredictor(), visits * 20, tell=heard.append).switches == 400
    assert heard == [1000, 1000]


@pytest.mark.parametrize("name", PREDICTORS)
def test_what_is_no_post_is_no_activity(name: str) -> None:
    visits = list(visits_of(generate(1, messages=400, rooms=10, users=20)))
    assert score(PREDICTORS[name](), visits, posts=False).switches == score(PREDICTORS[name](), visits).switches > 0


def test_a_cache_counts_the_turns_that_find_their_room() -> None:
    visits = [Visit(float(at), "ada", room) for at, room in enumerate("aabacba")]
    side = Side(2, policy=ScoredPolicy(LruScorer()))
    play(visits, RecencyPredictor(), [side])
    assert side.value() == Ready(2, 6, 1)
    assert side.value().share == 1 / 6
    assert Ready(2, 0, 0).share == 0.0


@pytest.mark.parametrize(("early", "late"), [(True, False), (False, True), (True, True)])
def test_a_warmed_cache_has_more_ready(early: bool, late: bool) -> None:
    visits = [Visit(60.0 * at, "ada", "abcde"[at % 5]) for at in range(1200)]
    predictor = RecencyPredictor()
    heard: list[int] = []
    cold = Side(2)
    side = Side(2, warmer=Warmer(predictor, waste=1000.0), early=early, late=late)
    play(visits, predictor, [cold, side], heard.append)
    found = side.value()
    assert found.loads is not None
    assert found.loads.used > 0
    assert found.ready > cold.value().ready
    assert heard == [1000]
