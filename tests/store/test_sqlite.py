"""What an SQLite file brings with it: locks, versions, damage, folders that cannot be written."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from roomstate.effects import Appended, Head, LogEntry
from roomstate.errors import (
    DamagedStore,
    InvalidValue,
    NewerStore,
    RoomStateError,
    StorageError,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from roomstate.model import Tier
from roomstate.position import Position
from roomstate.store import SQLiteStore, schema
from roomstate.store.base import NOTHING
from roomstate.store.check import complaints, damage_of
from roomstate.store.connection import connect_to
from roomstate.store.faults import translate
from roomstate.store.writer import _Job
from roomstate.testing.contracts_store import added, batch, head, state

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.db"


def fill(path: Path, rooms: int = 3, messages: int = 20) -> list[object]:
    """Make a store with rooms "room 0", "room 1"...; returns the state that it is left in."""
    with SQLiteStore(path) as store:
        for room in range(rooms):
            store.append(f"room {room}", "e1", batch(1, messages + 1))
            store.save_snapshot(f"room {room}", Tier.ACTIVE, head(messages // 2), b"snapshot of room %d" % room * 9)
        return state(store, store.rooms())


def meddle(path: Path, sql: str, *values: object) -> None:
    """Change a file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql, values)


# -- one writer ----------------------------------------------------------------------------------------------------


def test_a_second_opening_is_refused(path: Path) -> None:
    with SQLiteStore(path) as store:
        with pytest.raises(StoreBusy, match="is open in another store already"):
            SQLiteStore(path)
        store.append("a", "e1", batch(1, 3))
    with SQLiteStore(path) as store:
        assert store.read("a") == batch(1, 3)


def test_a_second_opening_may_read(path: Path) -> None:
    with SQLiteStore(path) as store, SQLiteStore(path, readonly=True) as reader:
        store.append("a", "e1", batch(1, 3))
        assert reader.read("a") == batch(1, 3)
        for write in (
            lambda: reader.append("a", "e1", batch(3, 4)),
            lambda: reader.delete("a"),
            lambda: reader.truncate("a", 0),
            lambda: reader.save_snapshot("a", Tier.ACTIVE, head(1), b"x"),
            lambda: reader.save_dictionary("d", b"x"),
        ):
            with pytest.raises(StoreReadOnly, match="opened only to read"):
                write()
        assert reader.diagnostics().commits == 0


def test_a_lock_that_lasts_is_busy_and_changes_nothing(path: Path) -> None:
    fill(path)
    with SQLiteStore(path, busy_timeout_s=0) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        before = state(store, store.rooms())
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="locked"):
            store.append("room 0", "e1", batch(21, 22))
        assert state(store, store.rooms()) == before
        other.execute("ROLLBACK")
        assert store.append("room 0", "e1", batch(21, 22)) == Appended(21)


def test_appends_that_wait_share_a_commit(path: Path) -> None:
    with SQLiteStore(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        store.append("a", "e1", batch(1, 2))
        waiting: Any = vars(vars(store)["_writer"])["_jobs"]
        other.execute("BEGIN IMMEDIATE")  # the first of these waits for the lock, the others for the first
        threads = [threading.Thread(target=store.append, args=(f"room {room}", "e1", batch(1, 2))) for room in range(8)]
        for thread in threads:
            thread.start()
        while len(waiting) < 7:
            time.sleep(0.001)
        before = store.diagnostics().commits
        other.execute("ROLLBACK")
        for thread in threads:
            thread.join()
        assert store.diagnostics().commits - before == 2
        assert len(store.rooms()) == 9


def test_an_interrupted_commit_undoes_all_and_tells_the_others(path: Path) -> None:
    with SQLiteStore(path) as store:
        writer: Any = vars(store)["_writer"]

        def interrupt(connection: sqlite3.Connection) -> None:
            raise KeyboardInterrupt

        put = "INSERT INTO dictionary VALUES ('d', 0, 'x')"
        jobs = [_Job(lambda connection: connection.execute(put)), _Job(interrupt)]
        with pytest.raises(KeyboardInterrupt):
            writer._commit(jobs)
        assert [type(job.error) for job in jobs] == [StoreUnavailable] * 2
        assert str(jobs[0].error).endswith("was interrupted: KeyboardInterrupt")
        assert store.dictionaries() == ()
        assert store.append("a", "e1", batch(1, 2)) == Appended(1)


def test_one_that_fails_takes_no_other_with_it(path: Path) -> None:
    with SQLiteStore(path) as store:
        failures: list[RoomStateError] = []

        def work(room: str, start: int) -> None:
            try:
                store.append(room, "e1", batch(start, start + 1))
            except InvalidValue as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(f"room {room}", 1 + room % 2)) for room in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failures) == 10
        assert len(store.rooms()) == 10


def test_an_error_that_is_not_ours_undoes_the_group(path: Path) -> None:
    with SQLiteStore(path) as store:
        writer: Any = vars(store)["_writer"]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO dictionary VALUES ('d', 0, 'x')")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            writer.run(work)
        assert store.dictionaries() == ()
        assert store.append("a", "e1", batch(1, 2)) == Appended(1)


def test_a_connection_that_is_beyond_help_is_replaced(path: Path) -> None:
    with SQLiteStore(path) as store:
        writer: Any = vars(store)["_writer"]
        with pytest.raises(StoreUnavailable, match="closed"):
            writer.run(lambda connection: [connection.close(), connection.execute("SELECT 1")])
        assert store.append("a", "e1", batch(1, 2)) == Appended(1)


# -- versions ------------------------------------------------------------------------------------------------------


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    fill(path)
    meddle(path, f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(NewerStore, match="schema version 3; this roomstate knows up to 2"):
            SQLiteStore(path, readonly=readonly)
    assert path.read_bytes() == before


def test_an_older_schema_is_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fill(path)
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE next (a);\nINSERT INTO next VALUES (1)")
    )
    with pytest.raises(StoreReadOnly, match="must be opened for writing once"):
        SQLiteStore(path, readonly=True)
    with SQLiteStore(path) as store:
        assert store.diagnostics().schema_version == 3
        assert state(store, store.rooms()) == before


def test_a_store_of_version_1_is_read_and_goes_on(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / "v1-store.sql").read_text())
    with SQLiteStore(path, check="full") as store:
        assert store.diagnostics().schema_version == 2
        assert (store.rooms(), dict(store.damaged())) == (("a", "b"), {})
        assert store.read("a") == (*batch(3, 6), LogEntry(6, 6, NOTHING))
        assert store.load_snapshot("a", Tier.ACTIVE) == b"deep"
        assert (store.head("b"), store.read("b")) == (head(502, "e2"), batch(501, 503))
        assert (store.load_snapshot("b", Tier.ACTIVE), store.load_dictionary("d")) == (b"brief", b"words")
        assert store.append("a", "e1", batch(7, 9)) == Appended(8)
        meddle(path, "UPDATE room SET seq = seq + 1")  # "a" has a checksum now, "b" not yet
        with pytest.raises(DamagedStore, match="where it ends"):
            store.head("a")
        assert store.head("b") == Head(Position("e2", 503), 502)


def test_a_migration_that_fails_leaves_the_old_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fill(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE next (a);\nCREATE TABLE room (a)"))
        with pytest.raises(StoreUnavailable, match="already exists"):
            SQLiteStore(path)
    with SQLiteStore(path) as store:
        assert state(store, store.rooms()) == before


# -- what is no store, and what cannot be one ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, os.urandom(5000), b"SQLite format 3\0" + bytes(90)]
)
def test_a_file_that_is_no_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for readonly in (False, True):
        with pytest.raises(DamagedStore):
            SQLiteStore(path, readonly=readonly)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else(path: Path) -> None:
    meddle(path, "CREATE TABLE theirs (a)")
    for readonly in (False, True):
        with pytest.raises(DamagedStore, match="not a store of roomstate"):
            SQLiteStore(path, readonly=readonly)


@pytest.mark.parametrize("bad", ["", ":memory:", "a\0b", "x" * 5000])
def test_a_path_that_names_no_file(bad: str) -> None:
    with pytest.raises(InvalidValue, match="path: must name a file"):
        SQLiteStore(bad)


@pytest.mark.parametrize(
    "options",
    [{"synchronous": "OFF"}, {"busy_timeout_s": -1}, {"busy_timeout_s": float("nan")}, {"readers": 0}, {"check": "?"}],
)
def test_options_out_of_range(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(options))):
        SQLiteStore(path, **options)
    assert not path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        SQLiteStore(tmp_path / "missing" / "rooms.db")
    with pytest.raises(StoreUnavailable, match="no such file"):
        SQLiteStore(tmp_path / "missing.db", readonly=True)
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnavailable):
        SQLiteStore(tmp_path / "folder.db")


@pytest.mark.parametrize("name", ["a b.db", "a%20b?mode=memory#x.db", "'\";.db", "\u00e9\U0001f600.db", "x" * 200])
def test_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    with SQLiteStore(tmp_path / name) as store:
        store.append("a", "e1", batch(1, 2))
    assert (tmp_path / name).is_file()
    with SQLiteStore(str(tmp_path / name)) as store:
        assert store.rooms() == ("a",)


NOT_OURS = {
    ("read-only", "rooms.db", False): "StoreReadOnly",
    ("read-only", "new.db", False): "StoreReadOnly",
    ("read-only", "rooms.db", True): 3,
    ("in use", "rooms.db", True): 3,
    ("never closed", "rooms.db", True): "StoreReadOnly",
    ("only the file", "rooms.db", False): "StoreReadOnly",
    ("only the lock", "rooms.db", False): "StoreReadOnly",
    ("closed", "rooms.db", False): "StoreReadOnly",
    ("closed", "rooms.db", True): "StoreUnavailable",
}


def in_a_folder_not_ours(folder: str, results: Any) -> None:
    """Open stores that may not be written or not even seen, as nobody."""
    with tempfile.TemporaryDirectory() as warm, SQLiteStore(Path(warm, "a.db")):
        pass  # whatever is imported late is imported now: nobody may not read where Python lies
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    for at, name, readonly in NOT_OURS:
        try:
            with SQLiteStore(Path(folder, at, name), readonly=readonly) as store:
                results.put(len(store.rooms()))
        except RoomStateError as error:
            results.put(type(error).__name__)


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be made read-only there")
def test_files_and_folders_that_may_not_be_written(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name, *_ in NOT_OURS}
    for folder in folders.values():
        folder.mkdir()
        fill(folder / "rooms.db")
    for above in (tmp_path, *tmp_path.parents[:3]):
        if above.owner() == Path.home().owner() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o555)
    with SQLiteStore(folders["in use"] / "rooms.db") as store:
        store.append("room 0", "e1", batch(21, 22))
        for beside in ("", "-wal"):
            shutil.copy(folders["in use"] / f"rooms.db{beside}", folders["never closed"])
        modes = {"closed": 0o000, "only the file": 0o777, "only the lock": 0o777}
        for name, folder in folders.items():
            (folder / "rooms.db").chmod(0o666 if name == "only the lock" else 0o444)
            (folder / "rooms.db-owner").chmod(0o666 if name == "only the file" else 0o444)
            folder.chmod(modes.get(name, 0o555))
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        process = context.Process(target=in_a_folder_not_ours, args=(str(tmp_path), results))
        process.start()
        found = [results.get(timeout=30) for _ in NOT_OURS]
        process.join()
        for folder in folders.values():
            folder.chmod(0o755)
    assert dict(zip(NOT_OURS, found, strict=True)) == NOT_OURS


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, where root may mount one."""
    folder = tmp_path / "volume"
    folder.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=4m", "none", folder):
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def mounted(*arguments: str | Path) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="only root may mount")
def test_a_read_only_file_system(volume: Path) -> None:
    before = fill(volume / "rooms.db")
    assert mounted("-o", "remount,ro", volume)
    for name in ("rooms.db", "new.db"):
        with pytest.raises(StoreReadOnly, match="is read-only"):
            SQLiteStore(volume / name)
    with SQLiteStore(volume / "rooms.db", readonly=True) as store:
        assert state(store, store.rooms()) == before
        with pytest.raises(StoreReadOnly):
            store.append("room 0", "e1", batch(21, 22))


def until_full(store: SQLiteStore) -> int:
    """Append until there is no space; how many entries were acknowledged."""
    for written in range(0, 100_000, 50):
        try:
            store.append("a", "e1", batch(written + 1, written + 51))
        except StoreFull:
            return written
    pytest.fail("there was always space")


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="only root may mount")
def test_a_file_system_that_is_full(volume: Path) -> None:
    """What was acknowledged stays, what was refused is not there, and it goes on when there is space."""
    ballast = volume / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    with SQLiteStore(volume / "rooms.db") as store:
        written = until_full(store)
        assert len(store.read("a", limit=100_000)) == written > 0
        with pytest.raises(StoreFull):
            store.save_snapshot("a", Tier.ACTIVE, head(50), bytes(4 << 20))
        ballast.unlink()
        store.append("a", "e1", batch(written + 1, written + 51))
    with SQLiteStore(volume / "rooms.db", check="full") as store:
        assert store.damaged() == {}
        assert len(store.read("a", limit=100_000)) == written + 50


# -- damage ----------------------------------------------------------------------------------------------------------


DAMAGE: dict[str, str] = {
    "a flipped bit": "UPDATE log SET data = CAST(replace(data, 'text 7', 'text 6') AS BLOB) WHERE seq = 7",
    "two rows swapped": "UPDATE log SET data = (SELECT data FROM log WHERE seq = 6) WHERE seq = 7",
    "an ordinal": "UPDATE log SET ordinal = 3 WHERE seq = 7",
    "no data": "UPDATE log SET data = NULL WHERE seq = 7",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_room_whose_log_is_damaged_is_set_aside_when_read(path: Path, damage: str) -> None:
    fill(path)
    meddle(path, f"{DAMAGE[damage]} AND room = (SELECT key FROM room WHERE room_id = 'room 1')")
    with SQLiteStore(path) as store:
        assert store.damaged() == {}
        assert store.read("room 1", 7) == batch(8, 21)
        with pytest.raises(DamagedStore, match="room 1: the log's entry at seq 7 fails its checksum"):
            store.read("room 1")
        check_set_aside(store)
    with SQLiteStore(path) as store:
        check_set_aside(store)
        assert store.delete("room 1")
        assert store.damaged() == {}
        assert store.append("room 1", "e2", batch(1, 3)) == Appended(2)


def check_set_aside(store: SQLiteStore) -> None:
    """Room 1 is set aside and says so, whatever is asked of it; the others are as they were."""
    assert list(store.damaged()) == ["room 1"]
    assert store.diagnostics().damaged == 1
    calls: list[Callable[[], object]] = [
        lambda: store.head("room 1"),
        lambda: store.read("room 1"),
        lambda: store.append("room 1", "e1", batch(21, 22)),
        lambda: store.load_snapshot("room 1", Tier.ACTIVE),
        lambda: store.save_snapshot("room 1", Tier.ACTIVE, head(20), b"x"),
        lambda: store.truncate("room 1", 3),
    ]
    for call in calls:
        with pytest.raises(DamagedStore, match="room 1: is set aside: "):
            call()
    for room in ("room 0", "room 2"):
        assert store.read(room) == batch(1, 21)
    assert store.rooms() == ("room 0", "room 1", "room 2")


def test_a_damaged_snapshot_sets_its_room_aside(path: Path) -> None:
    fill(path)
    meddle(path, "UPDATE snapshot SET data = CAST(replace(data, 'room 1', 'room 2') AS BLOB)")
    with SQLiteStore(path) as store:
        assert store.load_snapshot("room 2", Tier.ACTIVE) == b"snapshot of room 2" * 9
        with pytest.raises(DamagedStore, match="the ACTIVE snapshot fails its checksum"):
            store.load_snapshot("room 1", Tier.ACTIVE)
        check_set_aside(store)


def test_a_damaged_dictionary_is_named(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.save_dictionary("d", b"words")
        meddle(path, "UPDATE dictionary SET data = 'wards'")
        with pytest.raises(DamagedStore, match="the dictionary d fails its checksum"):
            store.load_dictionary("d")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (DAMAGE["a flipped bit"], "fails its checksum"),
        ("UPDATE snapshot SET data = 'x' WHERE 1", "the ACTIVE snapshot fails its checksum"),
        ("UPDATE snapshot SET seq = 9 WHERE 1", "of another room, tier or seq"),
        ("DELETE FROM log WHERE seq = 20", "its log ends at seq 19, not at 20"),
        ("UPDATE log SET data = 5, crc = 1 WHERE seq = 3", "fails its checksum"),
        ("UPDATE room SET seq = 'x', logged = 'x' WHERE room_id = 'room 1'", "where it ends fails its checksum"),
        ("UPDATE room SET crc = NULL, logged = 21 WHERE room_id = 'room 1'", "its log ends at seq 20, not at 21"),
        ("DELETE FROM log WHERE seq = 15", "entries of its log are missing between seqs 0 and 20"),
        ("DELETE FROM log", "its log ends at seq 0, not at 20"),
        ("DELETE FROM log WHERE seq = 1", "entries of its log are missing between seqs 0 and 20"),
        ("DELETE FROM snapshot WHERE 1", "lacks a snapshot"),
        ("UPDATE log SET message_id = 'm99' WHERE seq = 3", "has the id of another message"),
        ("UPDATE snapshot SET tier = 'ACTIVATE' WHERE 1", "of another room, tier or seq"),
    ],
)
def test_a_full_check_finds_it_on_opening(path: Path, damage: str, why: str) -> None:
    fill(path)
    meddle(path, damage if "room_id" in damage else f"{damage}{' AND' if 'WHERE' in damage else ' WHERE'} room = 2")
    with SQLiteStore(path, check="full") as store:
        assert why in store.damaged().get("room 1", "")
        assert set(store.damaged()) <= {"room 1"}


def test_a_torn_page_costs_the_rooms_on_it_and_no_others(path: Path) -> None:
    fill(path, rooms=40, messages=60)
    whole = path.read_bytes()
    pages = len(whole) // 4096
    outcomes = set()
    for page in range(2, pages, 7):
        path.write_bytes(whole[: page * 4096] + b"\xaa" * 4096 + whole[(page + 1) * 4096 :])
        try:
            with SQLiteStore(path) as store:
                kept = [room for room in store.rooms() if room not in store.damaged()]
                for room in kept:
                    assert store.read(room) == batch(1, 61)
                outcomes.add("others" if 20 < len(kept) < 40 else "few" if len(kept) < 40 else "all")
        except DamagedStore:
            outcomes.add("refused")
        for beside in path.parent.glob("rooms.db-*"):
            beside.unlink()
    assert "others" in outcomes


def meddle_page(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Change the bytes of the root page of a table or an index."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    start, content = 4096 * (page - 1), path.read_bytes()
    changed = content[start : start + 4096].replace(old, new)
    path.write_bytes(content[:start] + changed + content[start + 4096 :])


def test_an_index_of_rooms_that_is_wrong_is_made_anew(path: Path) -> None:
    """Nothing is lost: the table says which rooms there are, and its checksums that it is right."""
    before = fill(path)
    meddle_page(path, "sqlite_autoindex_room_1", b"room 2", b"room 8")
    with SQLiteStore(path, check="none") as store:
        assert store.rooms() == ("room 0", "room 1", "room 8")
    with SQLiteStore(path) as store, closing(sqlite3.connect(path)) as connection:
        assert state(store, store.rooms()) == before
        assert complaints(connection, full=True) == []


def test_an_index_of_dictionaries_that_is_wrong_is_made_anew(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.save_dictionary("words", b"of a room")
    meddle_page(path, "sqlite_autoindex_dictionary_1", b"words", b"wards")
    with SQLiteStore(path) as store:
        assert (store.dictionaries(), store.load_dictionary("words")) == (("words",), b"of a room")
    meddle_page(path, "dictionary", b"words", b"wards")
    with pytest.raises(DamagedStore, match="missing from index"):
        SQLiteStore(path)


def test_a_table_of_rooms_that_is_wrong_is_not_written_to(path: Path) -> None:
    fill(path)
    meddle_page(path, "room", b"room 2", b"room 8")
    with pytest.raises(DamagedStore, match="missing from index"):
        SQLiteStore(path)


def test_a_schema_that_is_no_text_is_damage(path: Path) -> None:
    fill(path)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE log (", b"CREATE TABLE lo\xff ("))
    for readonly in (False, True):
        with pytest.raises(DamagedStore, match="malformed"):
            SQLiteStore(path, readonly=readonly)


def test_what_is_of_another_kind_is_damage(path: Path) -> None:
    fill(path)
    with SQLiteStore(path, check="none") as store:
        store.save_dictionary("d", b"words")
    meddle(path, "UPDATE dictionary SET name = x'00'")
    meddle(path, "UPDATE room SET room_id = x'00' WHERE room_id = 'room 2'")
    with SQLiteStore(path, check="none") as store:
        with pytest.raises(DamagedStore, match="no text"):
            store.dictionaries()
        with pytest.raises(DamagedStore, match="no text"):
            store.rooms("room")
    with pytest.raises(DamagedStore):
        SQLiteStore(path, check="full")


def test_a_doubly_used_page_is_not_written_to(path: Path) -> None:
    fill(path, rooms=40, messages=60)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 7 WHERE name = 'dictionary'")
    before = path.read_bytes()
    with pytest.raises(DamagedStore):
        SQLiteStore(path)
    assert path.read_bytes()[4096:] == before[4096:]


def test_a_truncated_file_is_damaged(path: Path) -> None:
    fill(path, rooms=40)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DamagedStore):
        SQLiteStore(path)


def test_complaints_of_what_is_no_database(path: Path) -> None:
    path.write_bytes(b"x" * 1000)
    with closing(sqlite3.connect(path)) as connection:
        assert complaints(connection) == ["file is not a database"]


# -- reading -------------------------------------------------------------------------------------------------------


def test_diagnostics_say_what_is_there(path: Path) -> None:
    fill(path)
    with SQLiteStore(path, synchronous="NORMAL") as store:
        said = store.diagnostics()
        assert (said.path, said.rooms, said.damaged, said.synchronous) == (str(path), 3, 0, "NORMAL")
        assert said.file_bytes > 4096
        assert said.sqlite_version == sqlite3.sqlite_version
        store.append("room 0", "e1", batch(21, 22))
        assert store.diagnostics().wal_bytes > 0
        assert store.diagnostics().commits == said.commits + 1


def test_a_reader_waits_its_turn(path: Path) -> None:
    fill(path)
    with SQLiteStore(path, readers=1) as store:
        readers: Any = vars(store)["_readers"]
        found: list[int] = []
        with readers.lend():
            thread = threading.Thread(target=lambda: found.append(len(store.rooms())))
            thread.start()
            thread.join(0.05)
            assert found == []
        thread.join()
        assert found == [3]


def test_a_connection_that_comes_back_after_the_end_is_closed(path: Path) -> None:
    store = SQLiteStore(path)
    readers: Any = vars(store)["_readers"]
    with readers.lend() as connection:
        store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")


def test_a_reader_that_fails_is_replaced(path: Path) -> None:
    with SQLiteStore(path) as store:
        readers: Any = vars(store)["_readers"]
        with pytest.raises(StoreUnavailable, match="no such table"), readers.lend() as connection:
            connection.execute("SELECT * FROM missing")
        with pytest.raises(ZeroDivisionError), readers.lend():
            raise ZeroDivisionError
        assert store.rooms() == ()


def test_no_files_are_left_beside(path: Path) -> None:
    fill(path)
    assert sorted(found.name for found in path.parent.iterdir()) == ["rooms.db", "rooms.db-owner"]


def test_an_unknown_error_of_sqlite_is_unavailable() -> None:
    assert type(translate("f", sqlite3.OperationalError("odd"))) is StoreUnavailable
    moved = sqlite3.OperationalError("moved")
    moved.sqlite_errorcode, moved.sqlite_errorname = sqlite3.SQLITE_READONLY_DBMOVED, "MOVED"
    assert str(translate("f", moved)) == "f: moved (MOVED)"
    assert type(translate("f", moved)) is StoreUnavailable


def test_a_repeated_message_among_the_old_is_reported_after_truncation(path: Path) -> None:
    with SQLiteStore(path) as store:
        entries = (*batch(1, 4), added(4, "m2"))
        assert store.append("a", "e1", entries) == Appended(4, (4,))
        store.save_snapshot("a", Tier.ACTIVE, head(3), b"x")
        store.truncate("a", 3)
        assert store.append("a", "e1", entries) == Appended(4, (4,))


def test_a_check_may_be_left_out(path: Path) -> None:
    fill(path)
    meddle(path, DAMAGE["a flipped bit"])
    with SQLiteStore(path, check="none") as store:
        assert store.damaged() == {}


def test_a_file_that_cannot_have_a_write_ahead_log(path: Path) -> None:
    def connect(uri: str, timeout_s: float) -> sqlite3.Connection:
        return connect_to(uri if "owner" in uri else "file::memory:", timeout_s)

    with pytest.raises(StoreUnavailable, match="cannot keep a write-ahead log there"):
        SQLiteStore(path, connect=connect)


def no_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere: let the system say that it may not."""
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))


def test_a_folder_that_says_it_may_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fill(path)
    no_writing(monkeypatch)
    with SQLiteStore(path, readonly=True) as store:
        assert state(store, store.rooms()) == before


def test_what_was_never_closed_says_so_where_nothing_can_be_written(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    fill(path)
    with SQLiteStore(path) as store:
        store.append("room 0", "e1", batch(21, 22))
        for beside in ("", "-wal"):
            shutil.copy(f"{path}{beside}", f"{copy}{beside}")
    no_writing(monkeypatch)
    with pytest.raises(StoreReadOnly, match="was never closed"):
        SQLiteStore(copy, readonly=True)


def test_a_room_that_is_listed_and_cannot_be_found_is_damaged(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path)) as connection:
        assert damage_of(connection, "room 1") == ""
        assert damage_of(connection, "nowhere") == "it is listed, and cannot be found"


def test_a_name_that_is_no_text_is_damage(path: Path) -> None:
    fill(path)
    meddle(path, "UPDATE room SET room_id = CAST(x'ff61' AS TEXT) WHERE room_id = 'room 1'")
    with SQLiteStore(path) as store, pytest.raises(DamagedStore, match="Could not decode"):
        store.rooms()
    with pytest.raises(DamagedStore, match="its rooms cannot be listed"):
        SQLiteStore(path, check="full")


@pytest.mark.parametrize(
    ("code", "kind"), [(sqlite3.SQLITE_IOERR, StoreUnavailable), (sqlite3.SQLITE_CANTOPEN, StoreUnavailable)]
)
def test_an_owner_s_lock_that_the_disk_refuses(path: Path, code: int, kind: type[StorageError]) -> None:
    def connect(uri: str, timeout_s: float) -> sqlite3.Connection:
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode, error.sqlite_errorname = code, "NO"
        raise error

    with pytest.raises(kind) as caught:
        SQLiteStore(path, connect=connect)
    assert type(caught.value) is kind


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_the_file_that_it_names(path: Path) -> None:
    link, circle = path.with_name("link.db"), path.with_name("circle.db")
    link.symlink_to(path)
    circle.symlink_to(circle)
    with SQLiteStore(path), pytest.raises(StoreBusy, match="is open in another store already"):
        SQLiteStore(link)
    with pytest.raises(StoreUnavailable):
        SQLiteStore(circle)


def test_a_block_of_reading_sees_one_state(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.append("a", "e1", batch(1, 3))
        with store.reading() as connection:
            assert connection.execute("SELECT count(*) FROM log").fetchone() == (2,)
            store.append("a", "e1", batch(3, 5))
            assert connection.execute("SELECT count(*) FROM log").fetchone() == (2,)
        assert len(store.read("a")) == 4
