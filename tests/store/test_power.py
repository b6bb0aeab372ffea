"""Power cuts: whatever of the unsynced sectors is found afterwards, a store keeps what it has promised."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from pathlib import Path
from typing import Literal

import attrs
import pytest

from roomstate.effects import LogEntry
from roomstate.errors import RoomStateError, StorageError
from roomstate.model import Tier
from roomstate.store import SQLiteStore
from roomstate.store.base import NOTHING
from roomstate.testing.contracts_store import added, head

pytest.importorskip("apsw", reason="the disk that loses its power is made with apsw")

from tests.store.disks import Disk

CUTTING = "write truncate sync delete"
OPERATIONS = 640  # of those kinds in one life, and a few more

Synchronous = Literal["FULL", "NORMAL"]


@attrs.define
class Promise:
    """What a store has said is done, and what is the most that it was asked for."""

    logged: int = 0
    asked: int = 0
    snapshot: int = 0
    truncated: int = 0
    safe: tuple[int, int] = (0, 0)  # logged and snapshot, at the last sync of the write-ahead log

    def synced(self, name: str) -> None:
        if name.endswith("-wal"):
            self.safe = (self.logged, self.snapshot)


def entry(seq: int) -> LogEntry:
    """Each seventh message has the id of the one before it."""
    return added(seq, f"m{seq - 1}" if seq % 7 == 0 else None)


def snapshot(seq: int) -> bytes:
    return b"%d " % seq * 700


def live(disk: Disk, path: Path, promise: Promise, synchronous: Synchronous) -> None:
    """The life of a room until the power goes: appends, snapshots, compaction, and now and then a new start."""
    for life in range(3):
        with SQLiteStore(path, connect=disk.connect, synchronous=synchronous) as store:
            for step in range(12):
                size = 1 + (step * 5 + life) % 9
                promise.asked = promise.logged + size
                store.append("a", "e1", [entry(seq) for seq in range(promise.logged + 1, promise.asked + 1)])
                promise.logged = promise.asked
                if step % 4 == 3:
                    store.save_snapshot("a", Tier.ACTIVE, head(promise.logged), snapshot(promise.logged))
                    promise.snapshot = promise.logged
                if step % 6 == 5:
                    promise.truncated = promise.snapshot - 10
                    store.truncate("a", promise.truncated)


def cut(at: int, seed: int, synchronous: Synchronous, *, syncing: bool = True) -> str:
    """Let the power go at the ``at``-th operation; what is wrong with what is found, "" for nothing."""
    with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as after:
        promise = Promise()
        disk = Disk(fail_at=at, kinds=CUTTING, syncing=syncing)
        disk.on_sync = promise.synced
        try:
            live(disk, Path(before, "rooms.db"), promise, synchronous)
        except StorageError:
            assert disk.failed
        disk.after_power_cut(random.Random(seed), Path(after))
        least = (promise.logged, promise.snapshot) if synchronous == "FULL" else promise.safe
        try:
            return examine(Path(after, "rooms.db"), promise, least)
        except (RoomStateError, sqlite3.Error) as error:
            return repr(error)


def examine(path: Path, promise: Promise, least: tuple[int, int]) -> str:
    """What is wrong with the store that is found: at ``least`` so much of the log, and so new a snapshot."""
    with SQLiteStore(path) as store:
        end = store.head("a")
        logged = end.position.seq if end else 0
        if not least[0] <= logged <= promise.asked:
            return f"the log ends at {logged}, not in {least[0]}-{promise.asked}"
        kept = store.load_snapshot("a", Tier.ACTIVE)
        taken = int(kept.split()[0]) if kept else 0
        if taken < least[1] or (kept and kept != snapshot(taken)):
            return f"the snapshot is of {taken}, not of {least[1]}"
        entries = store.read("a", 0, None, 10_000)
        first = entries[0].seq if entries else logged + 1
        if first > promise.truncated + 1:
            return f"the log begins at {first}, not at {promise.truncated + 1}"
        for seq, found in zip(range(first, logged + 1), entries, strict=True):
            wanted = NOTHING if seq % 7 == 0 and seq - 1 > 0 else entry(seq).update
            if found.seq != seq or found.update != wanted:
                return f"the log holds {found} at {seq}"
        store.append("a", "e1", [entry(seq) for seq in range(logged + 1, logged + 4)])
    with sqlite3.connect(path) as connection:
        checked = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return "" if checked == [("ok",)] else str(checked)


def campaign(cuts: int, synchronous: Synchronous, seed: int, *, syncing: bool = True) -> list[str]:
    """Cut the power so many times, everywhere; what was wrong."""
    chance = random.Random(seed)
    cases = [(chance.randint(1, OPERATIONS), chance.getrandbits(64)) for _ in range(cuts)]
    found = [(case, cut(*case, synchronous, syncing=syncing)) for case in cases]
    return [f"{case}: {wrong}" for case, wrong in found if wrong]


def test_a_life_has_the_operations_that_are_cut() -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk, promise = Disk(kinds=CUTTING), Promise()
        live(disk, Path(folder, "rooms.db"), promise, "FULL")
        assert OPERATIONS * 0.9 < disk.operations < OPERATIONS


@pytest.mark.campaign
def test_full_loses_nothing() -> None:
    assert campaign(200, "FULL", 1) == []


@pytest.mark.campaign
def test_normal_loses_what_it_says_and_no_more() -> None:
    assert campaign(200, "NORMAL", 2) == []


def test_off_fails_as_the_control() -> None:
    assert len(campaign(40, "FULL", 3, syncing=False)) > 5


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_ten_thousand_cuts(part: int) -> None:
    assert campaign(500, "FULL", 1000 + part) == []
    assert campaign(500, "NORMAL", 2000 + part) == []
