"""From arguments to messages."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from roomstate.cli.arguments import SHOWN_DAMAGE, add_log_arguments, log_lines
from roomstate.cli.logline import LogLine
from roomstate.cli.synthetic import generate
from roomstate.cli.tally import Tally
from roomstate.cli.terminal import Terminal
from roomstate.errors import DamagedLog, InvalidValue

GOOD = b'{"ts":1,"room":"r","user":"u","text":"t","id":"1","topic":"x"}\n'


def lines(*argv: str) -> tuple[list[LogLine], Tally, list[str]]:
    parser = argparse.ArgumentParser()
    add_log_arguments(parser)
    err = io.StringIO()
    found, tally = log_lines(parser.parse_args(argv), Terminal(io.StringIO(), err))
    return list(found), tally, err.getvalue().splitlines()


def test_without_a_path_it_is_the_synthetic_day() -> None:
    assert lines()[0] == list(generate(0))
    assert lines("--seed", "5")[0][:3] == list(generate(5))[:3]


def test_damaged_lines_are_named_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"{1}\n" + GOOD)
    found, tally, err = lines(str(path))
    assert ([line.id for line in found], tally.damaged) == (["1"], 1)
    assert err == [f"skipped {path}:1: JSON is malformed: object keys must be strings (byte 1)"]


def test_or_the_first_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(GOOD + b"{1}\n")
    with pytest.raises(DamagedLog, match=r"a\.ndjson:2: "):
        lines(str(path), "--damaged", "stop")


def test_not_every_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"{1}\n" * 100 + GOOD)
    found, tally, err = lines(str(path))
    assert (len(found), tally.damaged, len(err)) == (1, 100, SHOWN_DAMAGE + 1)
    assert err[-1] == "further damaged lines are counted only"


def test_options_reach_the_readers(tmp_path: Path) -> None:
    path = tmp_path / "#rust.log"
    path.write_bytes(b"2024-07-01 12:00:00\tada\t\xe9\n")
    found, _, _ = lines(str(path), "--format", "weechat", "--tz", "Europe/Berlin", "--encoding", "cp1252")
    assert [(line.ts, line.text) for line in found] == [(1719828000.0, "é")]
    assert ZoneInfo("Europe/Berlin").key == "Europe/Berlin"
    path.write_bytes(GOOD)
    assert lines(str(path), "--rooms-by", "topic")[0][0].room == "r/x"


@pytest.mark.parametrize("zone", ["Nowhere", "../etc", "/etc/passwd", "", "Europe", "a\0b", "x" * 5000])
def test_an_unknown_time_zone(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lines("--tz", zone)
    assert "no such time zone" in capsys.readouterr().err


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue):
        lines(str(tmp_path / "missing"))
