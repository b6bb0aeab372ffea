"""Whichever operation of the disk fails, and however: a typed error, and the state before or the state after."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from roomstate.errors import StorageError, StoreBusy, StoreFull, StoreUnavailable
from roomstate.model import Tier
from roomstate.store import MemoryStore, RoomStore, SQLiteStore
from roomstate.testing.contracts_store import added, batch, head, state

apsw = pytest.importorskip("apsw", reason="the disk that fails is made with apsw")

from tests.store.disks import Disk  # noqa: E402

VERBS: tuple[Callable[[RoomStore], object], ...] = (
    lambda store: store.append("a", "e1", batch(1, 9)),
    lambda store: store.save_snapshot("a", Tier.ACTIVE, head(8), b"deep" * 3000),
    lambda store: store.append("b", "e1", (*batch(1, 3), added(3, "m1"))),
    lambda store: store.append("a", "e2", batch(9, 11)),
    lambda store: store.truncate("a", 6),
    lambda store: store.save_dictionary("d", b"words" * 3000),
    lambda store: store.save_snapshot("a", Tier.ACTIVE, head(9), b"deeper" * 3000),
    lambda store: store.delete("b"),
)
FAULTS = {
    "full": (apsw.FullError, "write truncate", StoreFull),
    "broken": (apsw.IOError, "open read write truncate sync delete", StoreUnavailable),
    "busy": (apsw.BusyError, "lock", StoreBusy),
}


def expected() -> list[list[object]]:
    """The state before the first verb, and after each."""
    store = MemoryStore()
    states = [state(store)]
    for verb in VERBS:
        verb(store)
        states.append(state(store))
    return states


STATES = expected()


def opened(disk: Disk, path: Path) -> tuple[SQLiteStore, type[StorageError] | None]:
    """Open a store; if that fails, typed, it must work once the disk does."""
    try:
        return SQLiteStore(path, connect=disk.connect, busy_timeout_s=0), None
    except StorageError as error:
        disk.fail_at = 0
        return SQLiteStore(path, connect=disk.connect, busy_timeout_s=0), type(error)


def done(disk: Disk, store: SQLiteStore, at: int) -> type[StorageError] | None:
    """Carry out a verb; if it fails, what is found must be the state before or after, and it must work again."""
    try:
        VERBS[at](store)
    except StorageError as error:
        disk.fail_at = 0
        assert state(store) in (STATES[at], STATES[at + 1])
        VERBS[at](store)
        return type(error)
    return None


def run(folder: str, at: int, fault: str, *, lasting: bool) -> tuple[Disk, set[type[StorageError]]]:
    """The verbs, on a disk whose ``at``-th operation fails; and how they failed."""
    raised, kinds, _ = FAULTS[fault]
    disk, path = Disk(fail_at=at, error=raised, lasting=lasting, kinds=kinds), Path(folder, "rooms.db")
    store, error = opened(disk, path)
    errors = {error, *(done(disk, store, verb) for verb in range(len(VERBS)))} - {None}
    disk.fail_at = 0
    assert state(store) == STATES[-1]
    store.close()
    with SQLiteStore(path) as again:
        assert state(again) == STATES[-1]
    return disk, {error for error in errors if error}


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_operation_may_fail(fault: str, lasting: bool) -> None:
    errors, at, failed = set(), 0, True
    while failed:
        at += 1
        with tempfile.TemporaryDirectory() as folder:
            disk, found = run(folder, at, fault, lasting=lasting)
        errors |= found
        failed = disk.failed > 0
    assert at > {"full": 50, "broken": 100, "busy": 3}[fault]
    assert all(issubclass(error, FAULTS[fault][2]) for error in errors), errors
    assert errors
