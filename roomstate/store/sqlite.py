"""A store in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, TypeVar

from roomstate.effects import Appended, Head, LogEntry
from roomstate.errors import DamagedStore, InvalidValue, StoreReadOnly, StoreUnavailable
from roomstate.model import Tier, check_id
from roomstate.store import schema, tables
from roomstate.store.base import PAGE
from roomstate.store.check import Diagnostics, has_wal_reset_bug, misindexed, to_set_aside
from roomstate.store.checks import check_data, check_range, check_read, check_snapshot
from roomstate.store.connection import (
    Connect,
    OwnerLock,
    Readers,
    check_path,
    check_writable,
    connect_to,
    open_writer,
    uri_of,
)
from roomstate.store.faults import faults
from roomstate.store.rows import decode, dictionary_checksum, sound, to_rows
from roomstate.store.writer import Writer

__all__ = ["MAX_DAMAGED", "SQLiteStore"]

T = TypeVar("T")

MAX_DAMAGED: Final = 10_000
"""Rooms that `SQLiteStore.damaged` names."""


class SQLiteStore:
    """A `RoomStore` in one SQLite file, made where there is none. At most one at a time may be open for writing.

    ``synchronous`` says what an append promises when it returns:

    - ``"FULL"`` (the default): it survives the end of the process, a crash of the system and a power cut.
    - ``"NORMAL"``: it survives the end of the process. A power cut or a crash of the system may take back the last
      appends, those since the last checkpoint at most, newest first: never one in the middle, and never the file.

    All writing goes through one connection, one thread at a time; appends that arrive from several threads while a
    commit is under way share the next one. Reading goes through at most ``readers`` further connections.
    ``busy_timeout_s`` is how long to wait for a lock that another program holds (a backup, a shell) before `StoreBusy`.

    ``check`` says how the file is examined on opening: ``"quick"`` (the default) its structure, 1.2 s per GB;
    ``"full"`` every entry and snapshot too; ``"none"``. Entries and snapshots are checked whenever they are read. A
    room that fails is set aside: `damaged` lists it, and the others go on.

    ``readonly`` opens an existing file only to read: writing raises `StoreReadOnly`, and another may write meanwhile.
    ``connect`` opens the connections, where they are not those of the standard library (an encrypting SQLite).

    Raises `InvalidValue` for arguments out of range, `StoreBusy` for a file that is open already, `StoreReadOnly` where
    the file, its folder or file system cannot be written, `StoreUnavailable` where there can be no file,
    `DamagedStore` where it is no store, `NewerStore` for a later one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        busy_timeout_s: float = 5.0,
        readers: int = 4,
        check: Literal["none", "quick", "full"] = "quick",
        readonly: bool = False,
        connect: Connect = connect_to,
    ) -> None:
        self.path: Path = check_path(path)
        self._where = str(self.path)
        if synchronous not in ("FULL", "NORMAL"):
            raise InvalidValue("synchronous", f"must be FULL or NORMAL, got {synchronous!r}")
        if check not in ("none", "quick", "full"):
            raise InvalidValue("check", f"must be none, quick or full, got {check!r}")
        if not 0 <= busy_timeout_s <= 3600:
            raise InvalidValue("busy_timeout_s", f"must be 0 to 3600 seconds, got {busy_timeout_s}")
        check_range("readers", readers, 1)
        self._synchronous, self._timeout_s, self._connect = synchronous, float(busy_timeout_s), connect
        self._readable = uri_of(self.path, "ro")
        self._owner: OwnerLock | None = None
        self._writer: Writer | None = None
        self._readers = Readers(self._open_reader, readers, self._where)
        try:
            self._check_readable() if readonly else self._open_to_write(check)
        except BaseException:
            self.close()
            raise

    # -- opening and closing -----------------------------------------------------------------------------------------

    def _open_to_write(self, check: str) -> None:
        check_writable(self.path)
        self._owner = OwnerLock(self._connect, self.path)
        self._writer = Writer(self._open_writer, self._where)
        if check != "none":
            self._check(full=check == "full")

    def _check(self, *, full: bool) -> None:
        with self._readers.lend() as connection:
            wrong = misindexed(connection, self._where)
        for table in wrong:
            self._execute(f"REINDEX {table}", ())
        with self._readers.lend() as connection:  # not the writer's: a failed read leaves SQLite unable to write
            found = to_set_aside(connection, self._where, full=full)
        if found:
            self._write(lambda connection: tables.mark(connection, found))

    def _open_writer(self) -> sqlite3.Connection:
        with faults(self._where):
            connection = open_writer(self._connect, self.path, self._timeout_s, self._synchronous)
            try:
                schema.migrate(connection, self._where)
            except BaseException:
                connection.close()
                raise
            return connection

    def _open_reader(self) -> sqlite3.Connection:
        return self._connect(self._readable, self._timeout_s)

    def _check_readable(self) -> None:
        if not os.access(self.path, os.R_OK) or not self.path.is_file():
            raise StoreUnavailable(self._where, "there is no such file that may be read")
        if not os.access(self.path.parent, os.W_OK) and not self._in_use():
            if _size(self.path, "-wal"):
                raise StoreReadOnly(self._where, "was never closed: copy it, with its -wal, to where one can write")
            self._readable += "&immutable=1"  # SQLite would need to make files beside it
        with self._readers.lend() as connection:
            version = schema.version_of(connection, self._where)
        if version != len(schema.MIGRATIONS):
            raise StoreReadOnly(self._where, f"has schema version {version}, which must be opened for writing once")

    def _in_use(self) -> bool:
        """Whether somebody may have the file open for writing: then what is beside it is there."""
        return all(os.access(f"{self.path}{suffix}", os.F_OK) for suffix in ("-wal", "-shm"))

    def close(self) -> None:
        """See `RoomStore`. Leaves one file: the write-ahead log is merged into it."""
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
        if self._owner is not None:
            self._owner.close()

    def __enter__(self) -> SQLiteStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only connection for the block, for the functions of `store.survey` and `store.check`."""
        return self._readers.lend()

    def diagnostics(self) -> Diagnostics:
        """What an operator wants to know of the file and of SQLite. O(rooms)."""
        with self._readers.lend() as connection:
            version = schema.version_of(connection, self._where)
            ((rooms, damaged),) = connection.execute("SELECT count(*), count(damage) FROM room").fetchall()
        return Diagnostics(
            path=self._where,
            sqlite_version=sqlite3.sqlite_version,
            wal_reset_bug=has_wal_reset_bug(sqlite3.sqlite_version),
            schema_version=version,
            synchronous=self._synchronous,
            file_bytes=_size(self.path),
            wal_bytes=_size(self.path, "-wal"),
            rooms=rooms,
            damaged=damaged,
            commits=self._writer.commits if self._writer else 0,
        )

    # -- logs --------------------------------------------------------------------------------------------------------

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise StoreReadOnly(self._where, "was opened only to read")
        return self._writer.run(work)

    def _execute(self, sql: str, values: Sequence[object]) -> None:
        self._write(lambda connection: connection.execute(sql, values).rowcount)

    def head(self, room_id: str) -> Head | None:
        """See `RoomStore`. O(log rooms)."""
        check_id("room_id", room_id)
        with self._reading_room() as connection:
            found = tables.find(connection, room_id)
        return found.end.head if found else None

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        """See `RoomStore`. O(entries · log n), and one commit, which it may share."""
        check_id("room_id", room_id)
        check_id("epoch", epoch)
        rows = to_rows(room_id, entries)
        return self._write(lambda connection: tables.append(connection, room_id, epoch, rows))

    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = PAGE) -> tuple[LogEntry, ...]:
        """See `RoomStore`. O(log n + limit)."""
        check_read(room_id, after, upto, limit)
        with self._reading_room() as connection:
            found = tables.find(connection, room_id)
            rows = tables.read_whole(connection, room_id, found, after, upto, limit) if found else []
            return tuple([decode(room_id, row) for row in rows])

    def truncate(self, room_id: str, upto: int, limit: int | None = None) -> int:
        """See `RoomStore`. O(dropped · log n)."""
        check_read(room_id, 0, upto, 0 if limit is None else limit)
        return self._write(lambda connection: tables.truncate(connection, room_id, upto, limit))

    # -- snapshots and dictionaries ----------------------------------------------------------------------------------

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        """See `RoomStore`. O(log n + data), and one commit, which it may share."""
        check_snapshot(room_id, tier, head, data)
        return self._write(lambda connection: tables.save_snapshot(connection, room_id, tier, head, data))

    def load_snapshot(self, room_id: str, tier: Tier) -> bytes | None:
        """See `RoomStore`. O(log n + data)."""
        check_id("room_id", room_id)
        with self._reading_room() as connection:
            return tables.load_snapshot(connection, room_id, tier)

    def save_dictionary(self, name: str, data: bytes) -> None:
        """See `RoomStore`. O(data), and one commit."""
        check_id("name", name)
        check_data(data)
        put = "INSERT OR IGNORE INTO dictionary (name, crc, data) VALUES (?, ?, ?)"
        self._execute(put, (name, dictionary_checksum(name, data), data))

    def load_dictionary(self, name: str) -> bytes | None:
        """See `RoomStore`. O(data)."""
        check_id("name", name)
        with self._readers.lend() as connection:
            row = connection.execute("SELECT data, crc FROM dictionary WHERE name = ?", (name,)).fetchone()
        if row and row[1] != dictionary_checksum(name, row[0]) and not sound(*row):  # the latter of schema version 1
            raise DamagedStore(self._where, f"the dictionary {name} fails its checksum")
        return bytes(row[0]) if row else None

    def dictionaries(self) -> tuple[str, ...]:
        """See `RoomStore`. O(n)."""
        with self._readers.lend() as connection:
            names = tuple(name for (name,) in connection.execute("SELECT name FROM dictionary ORDER BY name"))
        if not all(isinstance(name, str) for name in names):
            raise DamagedStore(self._where, "has a dictionary whose name is no text")
        return names

    # -- rooms -------------------------------------------------------------------------------------------------------

    def rooms(self, after: str = "", limit: int = PAGE) -> tuple[str, ...]:
        """See `RoomStore`. O(log rooms + limit)."""
        check_range("limit", limit)
        with self._readers.lend() as connection:
            return tables.names(connection, after, limit)

    def delete(self, room_id: str) -> bool:
        """See `RoomStore`. O(n log n)."""
        check_id("room_id", room_id)
        return self._write(lambda connection: tables.delete(connection, room_id))

    def damaged(self) -> Mapping[str, str]:
        """See `RoomStore`. O(damaged)."""
        with self._readers.lend() as connection:
            return dict(
                connection.execute(
                    "SELECT room_id, damage FROM room WHERE damage IS NOT NULL ORDER BY room_id LIMIT ?", (MAX_DAMAGED,)
                ).fetchall()
            )

    @contextmanager
    def _reading_room(self) -> Iterator[sqlite3.Connection]:
        """As `reading`; a room whose data fail a check there is set aside, so that nobody builds on it."""
        try:
            with self._readers.lend() as connection:
                yield connection
        except DamagedStore as error:
            found = [] if error.reason.startswith(tables.SET_ASIDE) else [(error.where, error.reason)]
            with suppress(StoreUnavailable):  # if it fails it will be found again
                self._write(lambda connection: tables.mark(connection, found)) if found else None
            raise


def _size(path: Path, suffix: str = "") -> int:
    """Bytes of the file, or of one beside it; 0 for none."""
    try:
        return Path(f"{path}{suffix}").stat().st_size
    except OSError:
        return 0
