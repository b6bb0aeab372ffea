"""The harness measures what it says and prints what it promises. No test here depends on a timing."""

from __future__ import annotations

import gc
import gzip
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import zstandard

import benchmarks
from benchmarks import harness
from benchmarks.__main__ import known, main, number
from benchmarks.harness import Comparison, Figure, Timed

ROOT = Path(benchmarks.__file__).parent.parent
KEYS = {"what", "value", "unit", "baseline", "ratio", "goal", "met"}

FAKE = """
from benchmarks.harness import Figure

def run():
    yield Figure(what="a thing", value=2.5, unit="ns", baseline=1.0, ratio=2.5, goal="≤ 4.5", met=True)
    yield Figure(what="another", value=12345.0, unit="B", goal="≤ 10", met=False)
    yield Figure(what="for information", value=0.0, unit="%")
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A benchmark named `fake`, visible beside the real ones while the test lasts."""
    (tmp_path / "fake.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield "fake"
    sys.modules.pop("benchmarks.fake", None)


def test_json_is_a_list_of_objects_and_nothing_else(fake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([fake, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [set(figure) for figure in figures] == [KEYS] * 3
    assert figures[0]["ratio"] == 2.5
    assert [figure["met"] for figure in figures] == [True, False, None]
    assert figures[2]["baseline"] is None


def test_table_shows_goal_and_verdict_beside_each_figure(fake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([fake]) == 0, "a goal that is not met is reported, not an error"
    lines = capsys.readouterr().out.splitlines()
    good, bad, neutral = (next(line for line in lines if what in line) for what in ("a t", "another", "for inf"))
    assert "2.50×" in good
    assert good.endswith("≤ 4.5            met")
    assert "12,345 B" in bad
    assert bad.endswith("NOT MET")
    assert "met" not in neutral


def test_unknown_name_is_an_error_that_names_the_known(fake: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([fake, "nonesuch"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "nonesuch" in error
    assert fake in error.split("known:")[1]


def test_without_a_name_every_benchmark_runs(
    fake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks, "__path__", benchmarks.__path__[-1:])
    assert known() == [fake]
    assert main(["--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_it_runs_as_a_command() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-m", "benchmarks", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "--json" in done.stdout


@pytest.mark.parametrize("name", known())
def test_every_benchmark_can_be_run(name: str) -> None:
    module: ModuleType = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.run)


def test_compare_takes_turns_prepares_untimed_and_counts_items(monkeypatch: pytest.MonkeyPatch) -> None:
    now, turns = [0], list[str]()

    def spend(name: str, nanoseconds: int) -> str:
        now[0] += nanoseconds
        turns.append(name)
        return name

    monkeypatch.setattr("time.perf_counter_ns", lambda: now[0])
    baseline = Timed(lambda prepared: spend(prepared + "B", 100), lambda: spend("p", 5000), items=2)
    result = harness.compare(lambda: spend("A", 200), baseline, rounds=3)
    assert turns == ["A", "p", "pB"] * 4  # one untimed turn of each, then three that count
    assert (result.value, result.baseline, result.ratio) == (200, 50, 4)
    assert (result.low, result.high, result.best, result.best_baseline) == (4, 4, 200, 50)


def test_a_comparison_is_a_figure_with_its_goal() -> None:
    comparison = Comparison(value=30.0, baseline=10.0, ratio=3.0, low=2.9, high=3.2, best=29.0, best_baseline=9.0)
    figure = comparison.figure("apply", at_most=4.5)
    assert figure == Figure(
        what="apply (middle half 2.90-3.20)",
        value=30.0,
        unit="ns",
        baseline=10.0,
        ratio=3.0,
        goal="≤ 4.5×",
        met=True,
    )
    assert comparison.figure("apply", at_most=2).met is False
    assert comparison.figure("apply").met is None


def test_limits() -> None:
    assert harness.at_most("x", 3.0, 2.0, "ms").met is False
    assert harness.at_most("x", 2.0, 2.0, "ms", baseline=4.0).ratio == 0.5
    assert harness.at_least("x", 3.0, 2.0, "%").met is True
    assert harness.at_least("x", 1.0, 2.0, "%", baseline=4.0).ratio == 0.25


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.07, 7), (1.0, 100)])
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert harness.percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_collector_is_off_inside_and_as_before_outside() -> None:
    assert gc.isenabled()
    with harness.quiet_gc():
        assert not gc.isenabled()
    with harness.quiet_gc(gc_on=True):
        assert gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with harness.quiet_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_best_of_runs_so_often() -> None:
    runs: list[int] = []
    assert harness.best_of(lambda: runs.append(1), rounds=4) > 0
    assert len(runs) == 4


def test_memory_held_and_at_the_peak() -> None:
    def build() -> bytes:
        temporary = bytes(3_000_000)
        return bytes(len(temporary) // 3)

    memory = harness.peak_memory(build)
    assert len(memory.result) == 1_000_000
    assert 1_000_000 <= memory.held < 1_100_000
    assert 4_000_000 <= memory.peak < 4_100_000


def test_shared_data_is_found_or_skipped_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOMSTATE_DATA", str(tmp_path))
    assert harness.shared_data("chat/log.ndjson") is None
    output = capsys.readouterr()
    assert "skipped: no chat/log.ndjson" in output.err
    assert output.out == "", "stdout is for figures"
    (tmp_path / "log.ndjson").write_text("{}")
    assert harness.shared_data("log.ndjson") == tmp_path / "log.ndjson"


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_ndjson_is_read_from_every_packing(tmp_path: Path, suffix: str) -> None:
    raw = '{"text": "grüß"}\n{"text": "gott"}\n'.encode()
    packed = {"": raw, ".gz": gzip.compress(raw), ".zst": zstandard.ZstdCompressor().compress(raw)}
    path = tmp_path / f"log.ndjson{suffix}"
    path.write_bytes(packed[suffix])
    assert [line["text"] for line in harness.read_ndjson(path)] == ["grüß", "gott"]
    assert len(list(harness.read_ndjson(path, limit=1))) == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (0.0, "0"), (1234567.0, "1,234,567"), (2.3456, "2.35"), (999.4, "999")]
)
def test_numbers_are_short(value: float | None, shown: str) -> None:
    assert number(value) == shown
