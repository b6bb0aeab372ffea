"""Both stores of the library keep the contract that any other must keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roomstate.store import MemoryStore, RoomStore, SQLiteStore
from roomstate.testing.contracts_store import DurableStoreContract, StoreContract


class TestMemoryStore(StoreContract):
    def make(self) -> RoomStore:
        return MemoryStore()


class TestSQLiteStore(DurableStoreContract):
    @pytest.fixture(autouse=True)
    def _somewhere(self, tmp_path: Path) -> Iterator[None]:
        self.path = tmp_path / "rooms.db"
        self.stores: list[SQLiteStore] = []
        yield
        for store in self.stores:
            store.close()

    def make(self) -> RoomStore:
        self.stores.append(SQLiteStore(self.path))
        return self.stores[-1]

    def reopen(self, store: RoomStore) -> RoomStore:
        store.close()
        return self.make()
