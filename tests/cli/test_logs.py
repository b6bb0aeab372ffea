"""Several logs as one stream, and which format each of them is in."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli import logs
from roomstate.cli.files import Source, source_of
from roomstate.cli.logline import Format, LogLine, ReadOptions
from roomstate.cli.logs import read, sniff
from roomstate.cli.tally import Tally
from roomstate.errors import InvalidValue, RoomStateError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "chat"
COUNTS = {"dev-slack": 52_738, "lean-zulip": 150_000, "ubuntu-irc": 221_056}


def row(**fields: Any) -> bytes:
    return json.dumps({"ts": 1, "room": "r", "user": "u", "text": "t", "id": "1"} | fields).encode() + b"\n"


def write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def everything(*paths: str, **options: Any) -> list[LogLine]:
    return list(read(paths, ReadOptions(**options), Tally()))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (row(), "ndjson"),
        (b"garbage\n" + row(), "ndjson"),
        (b'{"guild": {"name": "x"}', "discord"),
        (b'{\n  "guild": {\n', "discord"),
        (b"--- Log opened Wed Nov 17 12:30:01 2004\n", "irssi"),
        (b"--- Day changed Wed Nov 17 2004\n", "irssi"),
        (b"\0\0\0\n12:34 <@ada> hi\n", "irssi"),
        (b"12:34  * ada waves\n", "irssi"),
        (b"12:34:56 -!- ada has joined\n", "irssi"),
        (b"[12:34] <ada> hi\n", "irssi"),
        (b"2024-01-02 03:04:05\tada\thi\n", "weechat"),
        (b"2024-01-02 03:04:05 <ada> hi\n", "irssi"),
        (b"2024-01-02T03:04:05.123Z\tada\thi\n", "weechat"),
    ],
)
def test_the_content_tells_the_format(head: bytes, kind: Format) -> None:
    assert sniff(Source("a", "a", head, iter(()))) == kind


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ("--- Log opened".encode("utf-16"), "is UTF-16"),
        (b"[1, 2]", "is in no known format"),
        (b"hello\nworld\n", "is in no known format"),
        (b"\x89PNG\r\n\x1a\n", "is in no known format"),
    ],
)
def test_an_unknown_format_is_said_before_the_first_message(tmp_path: Path, head: bytes, reason: str) -> None:
    path = write(tmp_path / "a.log", head)
    with pytest.raises(InvalidValue, match=reason) as caught:
        read([path], ReadOptions(), Tally())
    assert caught.value.where == path


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    path = write(tmp_path / "#rust.2024-01-02.log", b"12:34 -?- what\n12:34 <ada> hi\n")
    assert [line.text for line in everything(path, format="irssi")] == ["hi"]
    assert everything(write(tmp_path / "empty", b""), format="ndjson") == []


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_compressed_log_is_read_as_it_is(tmp_path: Path, compress: Any) -> None:
    assert everything(write(tmp_path / "a", compress(row()))) == [LogLine(1.0, "r", "u", "t", "1")]


def test_logs_are_merged_by_time_and_each_keeps_its_order(tmp_path: Path) -> None:
    a = write(tmp_path / "a", row(ts=1, id="1") + row(ts=5, id="2") + row(ts=4, id="3"))
    b = write(tmp_path / "b", row(ts=2, id="4") + row(ts=4.5, id="5"))
    assert [line.id for line in everything(a, b)] == ["1", "4", "5", "2", "3"]


def test_two_logs_of_one_name_are_two_rooms(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / name, b"2024-01-02 03:04:05\tada\thi\n") for name in ("x/#rust.log", "y/#rust.log", "#go.log")
    ]
    assert [line.room for line in everything(*paths)] == [paths[0][-200:], paths[1][-200:], "#go"]
    assert len({line.id for line in everything(*paths)}) == 3


def test_rooms_by_topic(tmp_path: Path) -> None:
    path = write(tmp_path / "a", row(topic="t") + row())
    assert [line.room for line in everything(path, rooms_by="topic")] == ["r/t", "r"]
    assert [line.room for line in everything(path)] == ["r", "r"]


def test_a_log_cannot_be_given_twice_nor_too_many_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a", row())
    with pytest.raises(InvalidValue, match="is given twice"):
        read([path, path], ReadOptions(), Tally())
    with pytest.raises(InvalidValue, match="at most 256 logs"):
        read([f"{path}{number}" for number in range(logs.MAX_PATHS + 1)], ReadOptions(), Tally())


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(row())))
    assert [line.id for line in everything("-")] == ["1"]


def test_slack_exports_are_folders_or_zip_files(tmp_path: Path) -> None:
    write(tmp_path / "x" / "general" / "2024-01-02.json", b'[{"ts": "1", "user": "U1", "text": "hi"}]')
    packed = shutil.make_archive(str(tmp_path / "y"), "zip", tmp_path / "x")
    for path in (str(tmp_path / "x"), packed):
        assert [line.text for line in everything(path)] == ["hi"]
        assert [line.text for line in everything(path, format="slack")] == ["hi"]
        with pytest.raises(InvalidValue, match="is a folder or a zip file, not one irssi log"):
            everything(path, format="irssi")


@pytest.mark.parametrize("names", [(), ("channels.json",), ("a/b.json",), ("2024-01-02.json",)])
def test_a_folder_of_an_unknown_layout(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        write(tmp_path / name, b"[]")
    with pytest.raises(InvalidValue, match="is no Slack export"):
        read([str(tmp_path)], ReadOptions(), Tally())


def test_a_file_is_no_slack_export(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="neither a folder nor a zip file"):
        read([write(tmp_path / "a", row())], ReadOptions(format="slack"), Tally())


def test_one_unreadable_path_stops_all_before_the_first_message(tmp_path: Path) -> None:
    write(tmp_path / "x" / "general" / "2024-01-02.json", b"[]")
    good = write(tmp_path / "a", row())
    with pytest.raises(InvalidValue, match="No such file"):
        read([good, str(tmp_path / "x"), str(tmp_path / "missing")], ReadOptions(), Tally())


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b'{"guild":{"name":"x"},', b"2024-01-02 03:04:05\t"]),
    st.sampled_from(["ndjson", "irssi", "weechat", "discord"]),
)
def test_whatever_a_file_holds_only_our_errors_come(noise: bytes, head: bytes, kind: Format) -> None:
    tally = Tally(lambda error: None)
    list(logs._READERS[kind](source_of(iter([head + noise]), "a", "a"), ReadOptions(), tally))
    with suppress(RoomStateError):
        sniff(source_of(iter([head + noise]), "a", "a"))


@pytest.mark.parametrize("name", COUNTS)
def test_real_logs_are_read_whole(name: str) -> None:
    path = DATA / f"{name}.ndjson.zst"
    if not path.exists():
        pytest.skip("the shared data is not here")
    tally = Tally()
    keys = {(line.room, line.id) for line in read([str(path)], ReadOptions(), tally)}
    assert (len(keys), tally.damaged) == (COUNTS[name], 0)
