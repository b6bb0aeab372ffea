"""What goes wrong in SQLite, as our own errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from roomstate.errors import (
    DamagedStore,
    StorageError,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

__all__ = ["faults", "translate"]

_KINDS: Final[dict[int, type[StorageError]]] = {
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_PERM: StoreReadOnly,
    sqlite3.SQLITE_CORRUPT: DamagedStore,
    sqlite3.SQLITE_NOTADB: DamagedStore,
}


def translate(where: str, error: sqlite3.Error) -> StorageError:
    """The error of ours that says what ``error`` says, at ``where`` (a file). Unknown ones are `StoreUnavailable`."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    name = getattr(error, "sqlite_errorname", None)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:  # the file was moved or deleted under us: not ours to call read-only
        return StoreUnavailable(where, f"{error} ({name})")
    kind = _KINDS.get(code & 0xFF, StoreUnavailable)
    return kind(where, f"{error} ({name})" if name else str(error))


@contextmanager
def faults(where: str) -> Iterator[None]:
    """Raise what SQLite raises inside the block as our own errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(where, error) from error
