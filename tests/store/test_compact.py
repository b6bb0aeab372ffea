"""Compaction: bounded steps, and never beyond what a snapshot covers."""

from __future__ import annotations

import time

import pytest

from roomstate.errors import DamagedStore, InvalidValue, StoreUnavailable
from roomstate.model import Tier
from roomstate.store import MemoryStore
from roomstate.store.compact import Compactor, compact
from roomstate.testing.contracts_store import batch, head


def store_of(rooms: int = 3, log: int = 50, snapshot: int = 40) -> MemoryStore:
    store = MemoryStore()
    for room in range(rooms):
        store.append(f"room {room}", "e1", batch(1, log + 1))
        if snapshot:
            store.save_snapshot(f"room {room}", Tier.ACTIVE, head(snapshot), b"snapshot")
    return store


def first(store: MemoryStore, room: int = 0) -> int:
    return store.read(f"room {room}")[0].seq


def test_a_log_is_shortened_to_what_is_kept() -> None:
    store = store_of()
    assert compact(store, keep=20) == ("", 90)
    assert [first(store, room) for room in range(3)] == [31] * 3
    assert compact(store, keep=20) == ("", 0)


def test_what_no_snapshot_covers_stays() -> None:
    store = store_of()
    assert compact(store, keep=1) == ("", 120)
    assert first(store) == 41
    assert compact(store_of(snapshot=0), keep=1) == ("", 0)


def test_a_step_is_bounded_by_rooms_and_entries() -> None:
    store = store_of(rooms=5)
    assert compact(store, keep=20, rooms=2, entries=10) == ("room 1", 20)
    assert compact(store, "room 1", keep=20, rooms=2, entries=10) == ("room 3", 20)
    assert compact(store, "room 3", keep=20, rooms=2, entries=10) == ("", 10)
    assert [first(store, room) for room in range(5)] == [11] * 5


def test_a_room_that_is_set_aside_is_left_alone() -> None:
    class Damaged(MemoryStore):
        def truncate(self, room_id: str, upto: int, limit: int | None = None) -> int:
            if room_id == "room 1":
                raise DamagedStore(room_id, "is set aside")
            return super().truncate(room_id, upto, limit)

    store = Damaged()
    vars(store).update(vars(store_of()))
    assert compact(store, keep=20) == ("", 60)


@pytest.mark.parametrize("bad", [{"keep": 0}, {"rooms": 0}, {"entries": -1}])
def test_bounds_out_of_range(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(bad))):
        compact(MemoryStore(), **bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=next(iter(bad))):
        Compactor(MemoryStore(), **bad)
    with pytest.raises(InvalidValue, match="pause_s"):
        Compactor(MemoryStore(), pause_s=0)


def test_in_the_background_all_rooms_have_their_turn() -> None:
    class Busy(MemoryStore):
        asked = 0

        def rooms(self, after: str = "", limit: int = 1000) -> tuple[str, ...]:
            self.asked += 1
            if self.asked == 2:
                raise StoreUnavailable("store", "is busy")
            return super().rooms(after, limit)

    store = Busy()
    vars(store).update(vars(store_of(rooms=5)))
    compactor = Compactor(store, keep=20, rooms=2, entries=10, pause_s=0.001)
    until = time.monotonic() + 10
    while compactor.dropped < 150 and time.monotonic() < until:
        time.sleep(0.001)
    compactor.stop()
    compactor.stop()
    assert [first(store, room) for room in range(5)] == [31] * 5
    assert compactor.dropped == 150
