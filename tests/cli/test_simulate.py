"""``simulate``: the numbers are right, and whatever it is given ends in a table or in one line."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli import simulate
from roomstate.cli.curves import OPTIMUM, POLICIES, capacities, hit_ratio, keys_of, optimum, turns_of
from roomstate.cli.files import open_source
from roomstate.cli.logline import LogLine
from roomstate.cli.main import main
from roomstate.cli.tally import Tally


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text("".join(f"{number * number % 37}\n" for number in range(500)))
    return path


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([simulate], ["simulate", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def best_of_all(keys: list[str], rooms: int) -> int:
    """Every choice there is, tried."""
    states = {frozenset[str](): 0}
    for key in keys:
        after: dict[frozenset[str], int] = {}
        for held, hits in states.items():
            now = hits + (key in held)
            kept = held | {key}
            for size in range(min(rooms, len(kept)) + 1):
                for choice in itertools.combinations(sorted(kept), size):
                    after[frozenset(choice)] = max(after.get(frozenset(choice), 0), now)
        states = after
    return max(states.values())


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(1, 3))
def test_the_optimum_is_the_best_of_all_choices(keys: list[str], rooms: int) -> None:
    assert round(optimum(keys, rooms) * len(keys)) == best_of_all(keys, rooms)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 9))
def test_nothing_beats_the_optimum(keys: list[str], rooms: int) -> None:
    best = hit_ratio(OPTIMUM, keys, rooms)
    assert all(hit_ratio(policy, keys, rooms) <= best for policy in POLICIES)


@given(st.integers(1, 10**6))
def test_capacities_rise_to_all_there_is(distinct: int) -> None:
    found = capacities(distinct)
    assert found == sorted(set(found))
    assert found[-1] == distinct
    assert 1 <= found[0] <= max(10, distinct // 1000)
    assert len(found) <= 7


def test_a_user_s_messages_in_one_room_are_one_access() -> None:
    said = (("a", "X"), ("a", "X"), ("b", "X"), ("a", "Y"), ("a", "X"))
    log = [LogLine(0.0, room, user, "hi", str(at)) for at, (user, room) in enumerate(said)]
    assert list(turns_of(log)) == ["X", "X", "Y", "X"]
    assert list(turns_of(log, most_users=1)) == ["X", "X", "Y", "X"]


def test_a_trace_gives_json(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(["--keys", str(trace), "--rooms", "5,10"], capsys)
    assert (found["accesses"], found["distinct"], found["damaged"]) == (500, 19, 0)
    assert {(one["policy"], one["rooms"]) for one in found["points"]} == {
        (policy, rooms) for policy in (OPTIMUM, *POLICIES) for rooms in (5, 10)
    }


def test_a_trace_gives_a_table_a_file_and_a_picture(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    files = [tmp_path / name for name in ("a.csv", "a.png", "a.svg")]
    for picture in files[1:]:
        arguments = ["--keys", str(trace), "--plot", str(picture), "--csv", str(files[0])]
        assert main([simulate], ["simulate", *arguments]) == 0
    out = capsys.readouterr().out
    assert "adaptive" in out
    assert "MiB" in out
    assert files[0].read_text().startswith("policy,rooms,bytes,hit_ratio\noptimum,10,33200,0.")
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in files[2].read_bytes()


def test_without_a_path_there_is_a_synthetic_day(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(["--limit", "300", "--rooms", "3"], capsys)
    assert found["accesses"] == 300


def test_damaged_lines_are_named_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(b"a 1\nb\n\xff\xfe\n" + b"x" * 600 + b"\n   \na\n")
    tally = Tally(lambda error: None)
    assert list(keys_of(open_source(str(path)), tally)) == ["a", "b", "a"]
    assert tally.damaged == 3
    assert said(["--keys", str(path)], capsys)["damaged"] == 3
    assert main([simulate], ["simulate", "--keys", str(path), "--damaged", "stop"]) == 1
    assert "keys.txt:3: no key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--keys", "nowhere.txt"], "nowhere.txt"),
        (["--keys"], "paths"),
        (["--plot", "a.gif"], "--plot"),
        (["--limit", "50", "--csv", "/nowhere/a.csv"], "--csv"),
        (["--limit", "50", "--plot", "/nowhere/a.png"], "--plot"),
        (["--events", "--limit", "50", "--csv", "/nowhere/a.csv"], "--csv"),
        (["--events", "--limit", "50", "--plot", "/nowhere/a.png"], "--plot"),
        (["--events", "--plot", "a.gif"], "--plot"),
        (["--events", "nowhere.txt"], "nowhere.txt"),
        (["--events", "/dev/null"], "/dev/null"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([simulate], ["simulate", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert word in err


def test_without_matplotlib_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([simulate], ["simulate", "--plot", "a.png"]) == 2
    assert "roomstate[plot]" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["0", "-1", "x", "1,,2"])
def test_numbers_out_of_range_are_refused(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([simulate], ["simulate", "--rooms", bad])
    assert ended.value.code == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["-1", "x", "nan", "inf"])
def test_times_out_of_range_are_refused(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([simulate], ["simulate", "--load-ms", bad])
    assert "milliseconds" in capsys.readouterr().err
