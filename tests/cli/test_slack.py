"""Slack exports: folders and zip files, what is said in them, and what may be wrong with them."""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli import slack
from roomstate.cli.logline import LogLine, ReadOptions
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog, InvalidValue

USERS = [
    {"id": "U1", "name": "ada", "profile": {"real_name": "Ada"}},
    {"id": "U2", "name": "bob"},
    {"id": "U3", "name": "bob"},
    {"id": "U4", "name": ""},
]
FILES: dict[str, Any] = {
    "channels.json": [{"id": "C1", "name": "general"}, {"id": "C2", "name": "random"}],
    "users.json": USERS,
    "general/2024-01-02.json": [
        {"type": "message", "user": "U1", "ts": "1704153600.000100", "text": "hi <@U2> &amp; <@U9|eve> &lt;3"},
        {"type": "message", "subtype": "channel_join", "user": "U2", "ts": "1704153601.000100", "text": "joined"},
        {"type": "message", "user": "U3", "ts": "1704153603.000100", "thread_ts": "1704153600.000100"},
    ],
    "general/2024-01-03.json": [
        {"type": "message", "subtype": "bot_message", "username": "cron", "ts": "1704240000.000100", "text": "x"},
        {"type": "message", "subtype": "bot_message", "bot_id": "B1", "username": "", "ts": "1704240001"},
        {"type": "pin", "ts": "1704240002.000100"},
    ],
    "random/2024-01-02.json": [{"type": "message", "user": "U2", "ts": "1704153602.000100", "text": "first"}],
    "random/canvas.json": [{"not": "a day"}],
}
FOUND = [
    LogLine(1704153600.0001, "general", "ada", "hi @bob & @U9 <3", "1704153600.000100"),
    LogLine(1704153602.0001, "random", "bob", "first", "1704153602.000100"),
    LogLine(1704153603.0001, "general", "U3", "", "1704153603.000100", {"thread_ts": "1704153600.000100"}),
    LogLine(1704240000.0001, "general", "cron", "x", "1704240000.000100", {"kind": "bot_message"}),
    LogLine(1704240001.0, "general", "B1", "", "1704240001", {"kind": "bot_message"}),
]


def write(root: Path, files: dict[str, Any]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(root)


def pack(path: Path, files: dict[str, Any], prefix: str = "", method: int = zipfile.ZIP_DEFLATED) -> str:
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(prefix + name, content if isinstance(content, bytes) else json.dumps(content))
    return str(path)


def read(path: str, options: ReadOptions | None = None) -> tuple[list[LogLine], Tally, list[str]]:
    seen: list[str] = []
    tally = Tally(lambda error: seen.append(str(error)))
    return list(slack.read(path, options or ReadOptions(), tally)), tally, seen


def test_a_folder_is_read_day_by_day_in_time_order(tmp_path: Path) -> None:
    found, tally, seen = read(write(tmp_path, FILES))
    assert (found, seen, tally.skipped) == (FOUND, [], 2)


@pytest.mark.parametrize("prefix", ["", "my export Jan 2024/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_is_read_as_its_folder_is(tmp_path: Path, prefix: str, method: int) -> None:
    found, tally, seen = read(pack(tmp_path / "a.zip", FILES, prefix, method))
    assert (found, seen, tally.skipped) == (FOUND, [], 2)


def test_without_users_json_people_keep_their_ids(tmp_path: Path) -> None:
    found, _, _ = read(write(tmp_path, {name: FILES[name] for name in FILES if name != "users.json"}))
    assert [line.user for line in found] == ["U1", "U2", "U3", "cron", "B1"]
    assert found[0].text == "hi @U2 & @U9 <3"


def test_names_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack, "MAX_USERS", 1)
    assert [line.user for line in read(write(tmp_path, FILES))[0]][:2] == ["ada", "U2"]


@pytest.mark.parametrize(
    "message",
    [
        17,
        {},
        {"ts": 1704153600.0001, "user": "U1", "text": "a number"},
        {"ts": "now", "user": "U1"},
        {"ts": "-1.0", "user": "U1"},
        {"ts": "nan", "user": "U1"},
        {"ts": "9" * 12, "user": "U1"},
        {"ts": "1\n", "user": "U1"},
        {"ts": "1", "user": "x" * 300},
        {"ts": "1", "user": ""},
        {"ts": "1", "user": "U1", "text": {}},
    ],
)
def test_a_damaged_message_is_skipped_and_named(tmp_path: Path, message: object) -> None:
    path = write(tmp_path, {"c/2024-01-01.json": [message, {"ts": "1", "user": "U1"}]})
    found, _, seen = read(path)
    assert [line.id for line in found] == ["1"]
    assert len(seen) == 1
    assert seen[0].startswith(f"{path}/c/2024-01-01.json:1: ")
    with pytest.raises(DamagedLog):
        list(slack.read(path, ReadOptions(), Tally()))


def test_a_damaged_day_does_not_hide_the_next(tmp_path: Path) -> None:
    path = write(tmp_path, {"c/2024-01-01.json": b'[\n{"ts": "1", "user": "U1"},', "c/2024-01-02.json": b""})
    found, _, seen = read(write(Path(path), {"c/2024-01-03.json": [{"ts": "2", "user": "U1"}]}))
    assert [line.id for line in found] == ["1", "2"]
    assert [line.split(": ")[1] for line in seen] == ["the JSON document ends in the middle"] * 2


def test_damaged_users_are_skipped(tmp_path: Path) -> None:
    files = {"users.json": [{"id": 7}, {"id": "U1", "name": "ada"}], "c/2024-01-01.json": [{"ts": "1", "user": "U1"}]}
    found, _, seen = read(write(tmp_path, files))
    assert (found[0].user, len(seen)) == ("ada", 1)


def test_a_channel_name_that_is_no_text_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff")).mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    write(tmp_path, {os.fsdecode(b"\xff/2024-01-01.json"): [{"ts": "1", "user": "U1"}]})
    assert read(str(tmp_path))[0][0].room == "\ufffd"


def test_a_fifo_in_an_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / "2024-01-01.json")
    with pytest.raises(InvalidValue, match="is not a regular file"):
        read(str(tmp_path))


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack, "is_folder", lambda _: True)
    with pytest.raises(InvalidValue, match="No such file or directory"):
        read(str(tmp_path / "gone"))


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x03\x04" + b"x" * 100, b""])
def test_what_is_no_zip_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InvalidValue, match="is not a readable zip file"):
        read(str(tmp_path / "a.zip"))


def test_a_zip_that_claims_too_much_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack, "EXPANSION_FREE_BYTES", 1 << 10)
    path = pack(tmp_path / "a.zip", {"c/2024-01-01.json": b"[" + b" " * (8 << 20) + b"]"})
    with pytest.raises(InvalidValue, match="expands more than 1000 times"):
        read(path)


def test_an_entry_compressed_in_another_way_is_damage(tmp_path: Path) -> None:
    found, _, seen = read(pack(tmp_path / "a.zip", FILES, method=zipfile.ZIP_BZIP2))
    assert found == []
    assert "is compressed in a way that Slack does not use" in seen[0]


def test_an_altered_entry_is_damage(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"c/2024-01-01.json": FILES["general/2024-01-02.json"]}, method=0)
    raw = Path(path).read_bytes()
    Path(path).write_bytes(raw.replace(b"hi <@U2>", b"ho <@U2>"))
    assert "cannot be unpacked: Bad CRC-32" in read(path)[2][0]


def test_a_message_over_the_bound_ends_its_day(tmp_path: Path) -> None:
    path = write(tmp_path, {"c/2024-01-01.json": [{"ts": "1", "user": "U1", "text": "x" * 500}]})
    found, _, seen = read(path, ReadOptions(max_line_bytes=100))
    assert (found, len(seen)) == ([], 1)


@given(data=st.data())
def test_no_change_of_an_export_makes_it_fail(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("export") / "a.zip"
    raw = bytearray(Path(pack(path, FILES, method=data.draw(st.sampled_from([0, 8])))).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(bytes(raw))
    with suppress(InvalidValue):  # the archive as a whole
        found, tally, seen = read(str(path))
        assert tally.damaged == len(seen)
        assert all(line.id and line.user for line in found)
