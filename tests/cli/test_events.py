"""``simulate --events``: tables, JSON, CSV and a picture, from a list of events, a chat log or the synthetic day."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import shared_data
from roomstate.cli import simulate
from roomstate.cli.main import main


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([simulate], ["simulate", "--events", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.tsv"
    rows = (f"{60 * at}\t{'ada' if at % 3 else 'bob'}\t{at * at % 7}\t{at % 2}\n" for at in range(300))
    path.write_text("".join(rows))
    return path


def test_a_list_of_events_gives_scores_calibration_and_what_warming_saves(
    events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said([str(events), "--rooms-by", "topic", "--rooms", "2,4", "--load-ms", "10"], capsys)
    assert (found["events"], found["rooms"], found["damaged"]) == (300, 8, 0)
    assert [one["predictor"] for one in found["predictors"]] == ["blended", "recency", "markov"]
    for one in found["predictors"]:
        assert 0.0 <= one["top1"] <= one["top3"] <= one["top5"] <= 1.0
        assert 0.0 <= one["calibration_error"] <= 1.0
        assert sum(decile["observed"] for decile in one["deciles"]) == round(one["top5"] * one["switches"])
    for one, rooms in zip(found["warming"], (2, 4), strict=True):
        assert one["rooms"] == rooms
        assert one["saved_ms"] == pytest.approx(10.0 * (one["warmed"] - one["alone"]))
    assert said([str(events)], capsys)["rooms"] == 2  # by place


def test_it_is_the_same_each_time_and_without_a_path_a_synthetic_day(capsys: pytest.CaptureFixture[str]) -> None:
    once = said(["--limit", "2000", "--seed", "3"], capsys)
    assert once["events"] == 2000
    assert once["warming"][0]["rooms"] == 100
    assert said(["--limit", "2000", "--seed", "3"], capsys) == once


def test_a_table_a_file_and_a_picture(events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    table, picture = tmp_path / "a.csv", tmp_path / "a.svg"
    arguments = ["simulate", "--events", str(events), "--csv", str(table), "--plot", str(picture)]
    assert main([simulate], arguments) == 0
    out = capsys.readouterr().out
    for word in ("top-3", "Calibration of blended", "wasted for a used one", "a load takes 5 ms"):
        assert word in out
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert {(row["of"], row["figure"]) for row in rows} >= {
        ("blended", "top1"),
        ("markov", "observed 9"),
        ("100 rooms", "saved_ms"),
    }
    assert all(float(row["value"]) >= 0 or row["figure"] in {"saved_ms", "of_way"} for row in rows)
    assert b"<svg" in picture.read_bytes()


def test_a_chat_log_has_events_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chat.ndjson"
    lines = ({"ts": at, "room": f"r{at % 3}", "user": "ada", "text": "hi", "id": str(at)} for at in range(50))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = said([str(path)], capsys)
    assert (found["events"], found["rooms"]) == (50, 3)


def test_damage_is_counted_or_ends_it(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with events.open("a") as file:
        file.write("yesterday\tada\tgo\n")
    assert said([str(events)], capsys)["damaged"] == 1
    assert main([simulate], ["simulate", "--events", str(events), "--damaged", "stop"]) == 1
    assert "events.tsv:301: is no event" in capsys.readouterr().err


def test_a_real_archive(capsys: pytest.CaptureFixture[str]) -> None:
    path = shared_data("nav/lean-events.tsv.zst")
    if path is None:
        pytest.skip("no shared data")
    found = said([str(path), "--rooms-by", "topic", "--limit", "12000"], capsys)
    blended, recency, markov = (one["top3"] for one in found["predictors"])
    assert blended > max(recency, markov)
    assert found["predictors"][0]["calibration_error"] < 0.1
