"""Where snapshots and logs rest: the `RoomStore` protocol, a store in memory and one in an SQLite file."""

from __future__ import annotations

from roomstate.store.base import RoomStore
from roomstate.store.memory import MemoryStore
from roomstate.store.sqlite import SQLiteStore

__all__ = ["MemoryStore", "RoomStore", "SQLiteStore"]
