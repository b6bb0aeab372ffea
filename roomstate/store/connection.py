"""Connections to an SQLite file: how they are opened, the few that read, and the lock of the one that writes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

from roomstate.errors import InvalidValue, StorageError, StoreBusy, StoreReadOnly, StoreUnavailable
from roomstate.store.faults import faults, translate

__all__ = ["Connect", "Mode", "OwnerLock", "Readers", "check_path", "check_writable", "connect_to", "open_writer"]

Mode: TypeAlias = Literal["rwc", "rw", "ro"]
Connect: TypeAlias = Callable[[str, float], sqlite3.Connection]
"""Opens an ``file:`` URI with a lock timeout in seconds, in autocommit mode, for use from any thread."""

MAX_PATH: Final = 4096
WAL_BYTES: Final = 64 << 20
"""To this size the write-ahead log's file is cut after a checkpoint; one long read may let it grow beyond."""


def connect_to(uri: str, timeout_s: float) -> sqlite3.Connection:
    """The `Connect` of the standard library."""
    return sqlite3.connect(uri, timeout=timeout_s, isolation_level=None, check_same_thread=False, uri=True)


def check_path(path: str | Path) -> Path:
    """The path of a store's file, absolute and without links, so that a file has one name, and one lock.

    Raises `InvalidValue` for one that cannot name a file, `StoreUnavailable` where links go in a circle.
    """
    text = str(path)
    if "\0" in text or not 0 < len(text) <= MAX_PATH or text == ":memory:":
        raise InvalidValue("path", f"must name a file, in 1 to {MAX_PATH} characters; a MemoryStore needs none")
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:
        raise StoreUnavailable(text, f"cannot be found: {error}") from error


def uri_of(path: Path, mode: str) -> str:
    """The URI that opens ``path``, whatever characters it has."""
    return f"{path.as_uri()}?mode={mode}"


def check_writable(path: Path) -> None:
    """Raise `StoreReadOnly` where a file, its owner's lock, or the folder that they lie in may not be written.

    SQLite says of some of these only that it cannot open the file, and of some nothing before the first write; and in a
    file that may not be written, its exclusive lock excludes nobody.
    """
    for each in (path.parent, path, owner_of(path)):
        if os.access(each, os.F_OK) and not os.access(each, os.W_OK):
            raise StoreReadOnly(str(path), f"cannot be written: {each} is read-only")


def owner_of(path: Path) -> Path:
    """The file that says by its lock that somebody has ``path`` open for writing."""
    return path.with_name(f"{path.name}-owner")


def open_writer(connect: Connect, path: Path, timeout_s: float, synchronous: str) -> sqlite3.Connection:
    """A connection that may write, in WAL mode."""
    connection = connect(uri_of(path, "rwc"), timeout_s)
    try:
        # A new file begins with a rollback journal. Unless its deletion is synced too, it may come back after a power
        # cut, and take back all that was written since: FULL does not sync that, EXTRA does.
        connection.execute("PRAGMA synchronous = EXTRA")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnavailable(str(path), f"cannot keep a write-ahead log there (journal mode {mode})")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    return connection


class OwnerLock:
    """Keeps a file to one writing connection, among all processes, until ``close`` or the end of the process.

    It is an exclusive lock on an empty SQLite file beside it (``FILE-owner``), so it works wherever SQLite does.
    """

    def __init__(self, connect: Connect, path: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = connect(uri_of(owner_of(path), "rwc"), 0.0)
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self.close()
            raise _unowned(path, error) from error

    def close(self) -> None:
        """Let go."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()


def _unowned(path: Path, error: sqlite3.Error) -> StorageError:
    """Why the lock cannot be had; SQLite does not know what it is for."""
    said = translate(str(path), error)
    return StoreBusy(str(path), "is open in another store already") if isinstance(said, StoreBusy) else said


class Readers:
    """At most ``most`` read-only connections, each lent to one thread at a time; more readers wait their turn."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection], most: int, where: str) -> None:
        self._open_one, self._where = open_one, where
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(most)
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection for the block; what SQLite raises in it becomes one of our errors."""
        with self._turn, faults(self._where):
            connection = self._take()
            try:
                connection.execute("BEGIN")  # so that all of the block sees one state
                yield connection
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                connection.close()  # whatever ails it, the next one starts afresh
                raise
            except BaseException:
                try:
                    connection.execute("ROLLBACK")
                except sqlite3.Error:  # the file is damaged: that is what is being told
                    connection.close()
                else:
                    self._give_back(connection)
                raise
            self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(self._where, "is closed")
            if self._idle:
                return self._idle.pop()
        return self._open_one()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle ones; those that are lent are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
