"""NDJSON: strict, line by line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli import ndjson
from roomstate.cli.files import Source
from roomstate.cli.logline import MAX_NAME_CHARS, LogLine, ReadOptions
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog

ROW = {"ts": 1.5, "room": "rust", "user": "ada", "text": "hi", "id": "1"}


def read(raw: bytes) -> tuple[list[LogLine], list[str]]:
    seen: list[str] = []
    tally = Tally(lambda error: seen.append(str(error)))
    return list(ndjson.read(Source("a", "a", raw, iter([raw])), ReadOptions(), tally)), seen


def test_a_row_is_a_line() -> None:
    raw = json.dumps(ROW).encode() + b"\n" + json.dumps(ROW | {"topic": "t", "badges": ["mod"], "x": 1}).encode()
    assert read(raw)[0] == [
        LogLine(1.5, "rust", "ada", "hi", "1"),
        LogLine(1.5, "rust", "ada", "hi", "1", {"topic": "t", "badges": ["mod"]}),
    ]


@pytest.mark.parametrize("key", ROW)
def test_every_field_is_needed_and_typed(key: str) -> None:
    for bad in (
        {name: value for name, value in ROW.items() if name != key},
        ROW | {key: None},
        ROW | {key: [1]},
        ROW | {key: "" if key != "ts" else "1"} if key != "text" else ROW | {key: 1},
    ):
        found, seen = read(json.dumps(bad).encode())
        assert found == []
        assert len(seen) == 1
        assert seen[0].startswith("a:1: ")


@pytest.mark.parametrize(
    "ts", ["-1", "-0.001", "1e400", "1e12", "253402300799", "NaN", "Infinity", "true", "9" * 400, '"1"']
)
def test_a_time_outside_the_calendar_is_damage(ts: str) -> None:
    raw = json.dumps(ROW).replace("1.5", ts).encode()
    assert read(raw)[0] == []
    assert len(read(raw)[1]) == 1


@pytest.mark.parametrize("key", ["id", "room", "user"])
def test_names_have_a_length(key: str) -> None:
    assert read(json.dumps(ROW | {key: "x" * MAX_NAME_CHARS}).encode())[1] == []
    assert read(json.dumps(ROW | {key: "x" * (MAX_NAME_CHARS + 1)}).encode())[0] == []


@pytest.mark.parametrize(
    "raw",
    [
        b'{"ts":1,"room":"r","user":"u","text":"\xff","id":"1"}',
        b'{"ts":1,"room":"r","user":"u","text":"a\x00b","id":"1"}',
        b'{"ts":1,"room":"r","user":"u","text":"\\ud800","id":"1"}',
        b'{"ts":1,"room":"r","user":"u","text":"t","id":"1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[]",
        b"null",
        b"{",
    ],
)
def test_hostile_lines_are_damage_and_the_next_line_is_read(raw: bytes) -> None:
    found, seen = read(raw + b"\n" + json.dumps(ROW).encode())
    assert [line.id for line in found] == ["1"]
    assert len(seen) == 1
    assert seen[0].startswith("a:1: ")


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert read(b'{"ts":1,"room":"r","user":"u","text":"a","text":"b","id":"1"}')[0][0].text == "b"


def test_stop_names_the_line() -> None:
    raw = json.dumps(ROW).encode() + b"\nnonsense\n"
    with pytest.raises(DamagedLog, match=r"^a:2: JSON is malformed"):
        list(ndjson.read(Source("a", "a", raw, iter([raw])), ReadOptions(), Tally()))


@given(
    st.dictionaries(
        st.sampled_from([*ROW, "topic", "badges"]),
        st.none() | st.floats() | st.text(max_size=4) | st.lists(st.text(max_size=2), max_size=2),
    )
    | st.just(ROW),
    st.integers(0, 60),
    st.binary(max_size=3),
)
def test_any_line_is_a_message_or_damage(row: dict[str, Any], at: int, noise: bytes) -> None:
    raw = json.dumps(row).encode()
    raw = (raw[:at] + noise + raw[at:]).replace(b"\n", b"")
    found, seen = read(raw)
    assert len(found) + len(seen) == 1
    assert all(line.ts >= 0 and line.text.encode() is not None and line.id for line in found)
