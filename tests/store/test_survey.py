"""What lies in a store is told room by room; what is readable of a damaged one is copied, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from roomstate.errors import DamagedStore, InvalidValue, StoreUnavailable
from roomstate.model import Tier
from roomstate.store import SQLiteStore
from roomstate.store.check import to_set_aside
from roomstate.store.survey import RoomReport, SnapshotReport, salvage, survey
from roomstate.testing.contracts_store import added, batch, head, state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with rooms "a" (two snapshots, truncated), "b" (a repeated message) and "c" (a snapshot only)."""
    path = tmp_path / "rooms.db"
    with SQLiteStore(path) as store:
        store.append("a", "e1", batch(1, 11))
        store.save_snapshot("a", Tier.ACTIVE, head(6), b"deep")
        store.save_snapshot("a", Tier.BACKGROUND, head(9), b"brief one")
        store.truncate("a", 3)
        store.append("b", "e2", (*batch(1, 3), added(3, "m1")))
        store.save_snapshot("c", Tier.ACTIVE, head(7), b"only")
        store.save_dictionary("d", b"words")
    return path


def damage(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


def looked(path: Path) -> tuple[RoomReport, ...]:
    with SQLiteStore(path, readonly=True) as store, store.reading() as connection:
        return survey(connection)


def copied(path: Path, target: Path) -> dict[str, str]:
    with SQLiteStore(path, readonly=True) as store, store.reading() as connection:
        return dict(salvage(connection, target))


def test_each_room_is_told(path: Path) -> None:
    a, b, c = looked(path)
    assert (a.room_id, a.head, a.first, a.entries) == ("a", head(10), 4, 7)
    assert a.snapshots == (SnapshotReport("ACTIVE", 6, 4), SnapshotReport("BACKGROUND", 9, 9))
    assert a.log_bytes > 7 * 50
    assert (b.head, b.first, b.entries, b.snapshots) == (head(3, "e2"), 1, 3, ())
    assert (c.head, c.first, c.entries, c.log_bytes) == (head(7), 0, 0, 0)


def test_a_room_that_is_set_aside_says_why(path: Path) -> None:
    damage(path, "UPDATE room SET damage = 'it rained in' WHERE room_id = 'b'")
    assert [room.damage for room in looked(path)] == ["", "it rained in", ""]


def test_pages_follow_each_other(path: Path) -> None:
    with SQLiteStore(path, readonly=True) as store, store.reading() as connection:
        assert [room.room_id for room in survey(connection, "a", 1)] == ["b"]
        assert survey(connection, "c") == ()


def test_a_whole_store_is_copied_as_it_is(path: Path, tmp_path: Path) -> None:
    assert copied(path, tmp_path / "new.db") == {"a": "", "b": "", "c": ""}
    with SQLiteStore(path) as old, SQLiteStore(tmp_path / "new.db", check="full") as new:
        assert state(new, "abc") == state(old, "abc")
        assert new.load_dictionary("d") == b"words"
        assert new.append("a", "e1", batch(11, 13)).seq == 12
        assert new.append("b", "e2", (added(4, "m2"),)).repeated == (4,)


def test_damaged_rooms_are_left_out(path: Path, tmp_path: Path) -> None:
    damage(path, "UPDATE log SET crc = 1 WHERE seq = 2")
    damage(path, "UPDATE room SET damage = 'it rained in' WHERE room_id = 'c'")
    assert copied(path, tmp_path / "new.db") == {
        "a": "",
        "b": "the log's entry at seq 2 fails its checksum",
        "c": "it rained in",
    }
    with SQLiteStore(tmp_path / "new.db", check="full") as new:
        assert new.rooms() == ("a",)
        assert new.damaged() == {}


def test_pages_that_cannot_be_read_cost_their_rooms(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    with SQLiteStore(path) as store:
        for room in range(30):
            store.append(f"room {room:02}", "e1", batch(1, 61))
            store.save_snapshot(f"room {room:02}", Tier.ACTIVE, head(50), bytes([room]) * 3000)
    whole = path.read_bytes()
    results = []
    for page in range(12, len(whole) // 4096, 5):
        path.write_bytes(whole[: page * 4096] + b"\xaa" * 4096 + whole[(page + 1) * 4096 :])
        target = tmp_path / f"new {page}.db"
        found = copied(path, target)
        looked(path)
        with SQLiteStore(target, check="full") as new:
            assert new.damaged() == {}
            assert new.rooms() == tuple(room for room, why in found.items() if not why)
            for room_id in new.rooms():
                assert new.read(room_id) == batch(1, 61)
        results.append(sum(1 for why in found.values() if why))
    assert set(results) >= {0, 1}  # a page of an index costs nothing, one of a log a room or two
    assert max(results) < 10


def test_nothing_is_overwritten(path: Path) -> None:
    with pytest.raises(InvalidValue, match="is there already"):
        copied(path, path)


def test_a_head_and_a_dictionary_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    class Failing:
        """A connection that fails where it is told to."""

        def __init__(self, real: sqlite3.Connection, word: str) -> None:
            self.real, self.word, self.code = real, word, sqlite3.SQLITE_CORRUPT

        def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
            if self.word in sql:
                error = sqlite3.DatabaseError("torn")
                error.sqlite_errorcode = self.code
                raise error
            return self.real.execute(sql, values)

    with SQLiteStore(path, readonly=True) as store, store.reading() as connection:
        failing: list[sqlite3.Connection] = [Failing(connection, word) for word in ("epoch, seq", "FROM dict")]  # type: ignore[misc]
        assert [room.damage for room in survey(failing[0])] == ["cannot be read: torn"] * 3
        assert dict(salvage(failing[0], tmp_path / "1.db")) == dict.fromkeys("abc", "cannot be read: torn")
        assert dict(salvage(failing[1], tmp_path / "2.db")) == dict.fromkeys("abc", "")
        for at, word in enumerate(("epoch, seq", "logged, damage, since", "FROM dict", "FROM log", "integrity_check")):
            slow: Any = Failing(connection, word)
            slow.code = sqlite3.SQLITE_IOERR  # the disk's fault says nothing of a room
            with pytest.raises((sqlite3.DatabaseError, StoreUnavailable), match="torn"):
                _ = dict(salvage(slow, tmp_path / f"3{at}.db")), survey(slow), to_set_aside(slow, "", full=True)
        slow = Failing(connection, "FROM log")
        slow.code = sqlite3.SQLITE_IOERR
        with pytest.raises(sqlite3.DatabaseError, match="torn"):
            survey(slow)
        for code, error in ((sqlite3.SQLITE_IOERR, sqlite3.DatabaseError), (sqlite3.SQLITE_CORRUPT, DamagedStore)):
            slow = Failing(connection, "room_id >")
            slow.code = code
            with pytest.raises(error, match="torn"):
                to_set_aside(slow, "", full=True)
            slow = Failing(connection, "FROM log")
            slow.code = code
            with pytest.raises(error, match="torn") if code == sqlite3.SQLITE_IOERR else nullcontext():
                to_set_aside(slow, "", full=True)
    with SQLiteStore(tmp_path / "2.db") as new:
        assert new.dictionaries() == ()
