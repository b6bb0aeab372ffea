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

__all__ = ["RAISED", "faults", "is_damage", "translate"]

RAISED: Final = (sqlite3.Error, UnicodeDecodeError)
"""What the standard library raises for SQLite; the latter where SQLite quotes a damaged schema."""

_KINDS: Final[dict[int, type[StorageError]]] = {
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_PERM: StoreReadOnly,
    sqlite3.SQLITE_CORRUPT: DamagedStore,
    sqlite3.SQLITE_NOTADB: DamagedStore,
}


def is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Whether SQLite says that the file is damaged, not that the disk or somebody's lock is in the way."""
    return _code(error) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error | UnicodeDecodeError) -> int:
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(
        error
    ):  # raised by Python, without a code: only torn text is not UTF-8
        return sqlite3.SQLITE_CORRUPT
    return getattr(error, "sqlite_errorcode", None) or 0


def translate(where: str, error: sqlite3.Error | UnicodeDecodeError) -> StorageError:
    """The error of ours that says what ``error`` says, at ``where`` (a file). Unknown ones are `StoreUnavailable`."""
    code = _code(error)
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
    except RAISED as error:
        raise translate(where, error) from error
