"""Both stores of the library keep the contract that any other must keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from roomstate.store import MemoryStore, RoomStore, SQLiteStore
from roomstate.testing.contracts_store import DurableStoreContract, StoreContract


class TestMemoryStore(StoreContract):
    def make(self) -> RoomStore:
        return MemoryStore()


class TestSQLiteStore(DurableStoreContract):
    @pytest.fixture(autouse=True)
    def _somewhere(self, tmp_path: Path) -> None:
        self.path = tmp_path / "rooms.db"

    def make(self) -> RoomStore:
        return SQLiteStore(self.path)

    def reopen(self, store: RoomStore) -> RoomStore:
        store.close()
        return SQLiteStore(self.path)
