"""``inspect``: a table of what is in a store; a status that says whether it is whole."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from roomstate.cli import inspect
from roomstate.cli.main import main
from roomstate.effects import Head
from roomstate.host import SyncHost
from roomstate.image import RoomImage
from roomstate.model import Message, Tier
from roomstate.position import Position
from roomstate.room.digest import MessageDigest
from roomstate.room.states import Limits
from roomstate.snapshot import SnapshotCodec
from roomstate.store import SQLiteStore
from roomstate.updates import MessageAdded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two rooms, as a host leaves it."""
    path = tmp_path / "rooms.db"
    with SyncHost(store=SQLiteStore(path)) as host:
        for room in ("rust", "go\x1b[2J\n" + "o" * 50):
            host.enter("ada", room)
            for number in range(20):
                host.publish(room, MessageAdded(Message(f"m{number}", "bob", "hello")))
        host.disconnect("ada")
    return path


def damage(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = main([inspect], ["inspect", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_table_tells_of_each_room(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([inspect], ["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "rust" in out
    assert "1-20" in out
    assert "BACKGROUND@20" in out
    assert "\x1b" not in out
    assert sqlite3.sqlite_version in out


def test_digests_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rooms.db"
    limits = Limits(active_messages=50, digest=MessageDigest)
    with SyncHost(store=SQLiteStore(path), limits=limits) as host:
        host.enter("ada", "rust")
        for number in range(1100):
            host.publish("rust", MessageAdded(Message(f"m{number}", f"bot{number % 3}", "build \u202e green")))
        host.disconnect("ada")
    assert said([str(path)], capsys)[1]["rooms"][0]["snapshot"]["digest"]["keywords"]["counts"]["build"] > 1000
    assert main([inspect], ["inspect", str(path)]) == 0
    assert re.search(r"1,0\d\d by 3: build green", capsys.readouterr().out)


def test_a_digest_of_a_host_s_own_is_not_taken_for_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SQLiteStore(path) as store:
        image = RoomImage(room_id="own", position=Position("e1", 1), digest={"mine": 1})
        store.save_snapshot("own", Tier.BACKGROUND, Head(image.position, 1), SnapshotCodec().encode(image))
    assert main([inspect], ["inspect", str(path)]) == 0
    assert "of another kind" in capsys.readouterr().out


def test_json_tells_all(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = said([str(path), "--check"], capsys)
    assert (status, found["complaints"], found["damaged"]) == (0, [], 0)
    room = found["rooms"][1]
    assert (room["room_id"], room["head"]["position"]["seq"], room["entries"], room["damage"]) == ("rust", 20, 20, "")
    assert room["snapshot"]["messages"] == 20
    assert found["store"]["rooms"] == 2


def test_damage_is_found_only_by_a_check_and_ends_with_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(path, "UPDATE log SET crc = 1 WHERE seq = 7 AND room = (SELECT key FROM room WHERE room_id = 'rust')")
    assert said([str(path)], capsys)[0] == 0
    status, found = said([str(path), "--check"], capsys)
    assert (status, found["damaged"]) == (1, 1)
    assert main([inspect], ["inspect", str(path), "--check", "--limit", "1"]) == 1
    out = capsys.readouterr().out
    assert "rooms: 1 of 2, damaged ones first" in out
    assert "fails its checksum" in out


def test_a_room_set_aside_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(path, "UPDATE room SET damage = 'it rained in' WHERE room_id = 'rust'")
    status, found = said([str(path), "--check"], capsys)
    assert (status, found["rooms"][1]["damage"]) == (1, "it rained in")


def test_a_snapshot_that_cannot_be_read_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(path, "UPDATE snapshot SET data = 'x'")
    _, found = said([str(path)], capsys)
    assert "fails its checksum" in found["rooms"][1]["snapshot"]["error"]


def test_a_torn_page_is_complained_of(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'log'").fetchone()
    path.write_bytes(whole[: (page - 1) * 4096] + b"\xaa" * 4096 + whole[page * 4096 :])
    assert main([inspect], ["inspect", str(path)]) == 1
    assert "damaged: " in capsys.readouterr().err


def test_it_salvages_into_a_name_in_the_folder_one_is_in(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([inspect], ["inspect", str(path), "--salvage", "beside.db"]) == 0
    assert main([inspect], ["inspect", "beside.db", "--check"]) == 0


def test_what_is_whole_is_salvaged(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(path, "UPDATE log SET crc = 1 WHERE seq = 7 AND room = (SELECT key FROM room WHERE room_id = 'rust')")
    new = tmp_path / "new.db"
    assert main([inspect], ["inspect", str(path), "--salvage", str(new)]) == 0
    assert f"copied 1 rooms into {new}, left out 1" in capsys.readouterr().err
    status, found = said([str(new), "--check"], capsys)
    assert (status, len(found["rooms"])) == (0, 1)


def test_what_is_no_store_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([inspect], ["inspect", str(tmp_path / "missing.db")]) == 1
    (tmp_path / "a.db").write_bytes(b"nonsense" * 1000)
    assert main([inspect], ["inspect", str(tmp_path / "a.db")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("roomstate: ") for line in lines)
