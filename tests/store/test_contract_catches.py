"""The contract can fail: each of these stores breaks one promise, and the test of that promise says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from roomstate.effects import Appended, Head, LogEntry
from roomstate.errors import InvalidValue, StoreUnavailable
from roomstate.model import Tier
from roomstate.store import MemoryStore, RoomStore
from roomstate.testing.contracts_store import DurableStoreContract, StoreContract


class Oldest(MemoryStore):
    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = 1000) -> tuple[LogEntry, ...]:
        return super().read(room_id, after, upto, 1000)[:limit]


class Inclusive(MemoryStore):
    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = 1000) -> tuple[LogEntry, ...]:
        return super().read(room_id, max(0, after - 1), upto, limit)


class Trusting(MemoryStore):
    """It takes what it is given, and never says no."""

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        try:
            return super().append(room_id, epoch, entries)
        except InvalidValue:
            return Appended(entries[-1].seq if entries else 0)


class Partial(MemoryStore):
    """It refuses a bad batch after it has written the beginning."""

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        try:
            return super().append(room_id, epoch, entries)
        except InvalidValue:
            super().append(room_id, epoch, entries[:1])
            raise


class Mumbling(MemoryStore):
    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        return Appended(super().append(room_id, epoch, entries).seq)


class Backwards(MemoryStore):
    """An older snapshot takes the place of a newer one."""

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        vars(self)["_rooms"][room_id].snapshots.pop(tier, None)
        return super().save_snapshot(room_id, tier, head, data)


class Unordered(MemoryStore):
    def rooms(self, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        return tuple(reversed(super().rooms(after, limit)))


class Undead(MemoryStore):
    def close(self) -> None:
        return


class Clumsy(MemoryStore):
    """Two threads at once are one too many."""

    busy = 0

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        self.busy += 1
        if self.busy == 40:
            raise StoreUnavailable("store", "is confused")
        return super().append(room_id, epoch, entries)


class Leftovers(MemoryStore):
    def delete(self, room_id: str) -> bool:
        return bool(super().head(room_id))


CAUGHT: list[tuple[type[MemoryStore], str]] = [
    (Oldest, "test_a_limit_keeps_the_newest"),
    (Inclusive, "test_an_interval_leaves_out_its_start_and_includes_its_end"),
    (Trusting, "test_a_hole_is_refused"),
    (Trusting, "test_other_content_at_a_seq_is_refused"),
    (Trusting, "test_a_new_epoch_continues_the_numbers"),
    (Partial, "test_a_bad_append_changes_nothing"),
    (Mumbling, "test_a_repeated_message_keeps_its_seq_and_holds_nothing"),
    (Backwards, "test_an_older_snapshot_does_not_replace_a_newer_one"),
    (Unordered, "test_rooms_are_listed_in_order_and_in_pages"),
    (Undead, "test_a_closed_store_says_so"),
    (Clumsy, "test_threads_may_call_at_once"),
    (Leftovers, "test_a_deleted_room_is_gone"),
]


@pytest.mark.parametrize(("store", "name"), CAUGHT)
def test_a_broken_promise_is_found(store: type[MemoryStore], name: str) -> None:
    class Broken(StoreContract):
        def make(self) -> RoomStore:
            return store()

    test: Callable[[], None] = getattr(Broken(), name)
    with pytest.raises(AssertionError):
        test()


@pytest.mark.parametrize("name", ["test_all_is_there_after_reopening", "test_work_goes_on_after_reopening"])
def test_a_store_that_forgets_is_found(name: str) -> None:
    class Forgetful(DurableStoreContract):
        def make(self) -> RoomStore:
            return MemoryStore()

        def reopen(self, store: RoomStore) -> RoomStore:
            return MemoryStore()

    test: Callable[[], Any] = getattr(Forgetful(), name)
    with pytest.raises((AssertionError, InvalidValue)):
        test()


@pytest.mark.parametrize("missing", ["make", "reopen"])
def test_what_must_be_given_is_asked_for(missing: str) -> None:
    contract = DurableStoreContract()
    with pytest.raises(NotImplementedError):
        getattr(contract, missing)(*([MemoryStore()] if missing == "reopen" else []))
