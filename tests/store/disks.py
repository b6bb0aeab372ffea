"""A disk that fails, or loses its power: an SQLite file system of our own, through apsw.

The files are real; beside each one the disk remembers what a sync has made safe and what it has only been told.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import attrs

T = TypeVar("T")

SECTOR = 512
CODES = {
    apsw.FullError: sqlite3.SQLITE_FULL,
    apsw.BusyError: sqlite3.SQLITE_BUSY,
    apsw.IOError: sqlite3.SQLITE_IOERR,
    apsw.ReadOnlyError: sqlite3.SQLITE_READONLY,
    apsw.CantOpenError: sqlite3.SQLITE_CANTOPEN,
    apsw.CorruptError: sqlite3.SQLITE_CORRUPT,
    apsw.NotADBError: sqlite3.SQLITE_NOTADB,
}


class PowerCut(apsw.IOError):  # type: ignore[misc, unused-ignore]
    """The power is gone: whatever is asked of the disk fails."""


@attrs.define
class Medium:
    """What one file holds for certain (None: not even its name), and what was done since."""

    safe: bytearray | None = None
    pending: list[tuple[int, bytes | None]] = attrs.field(factory=list)  # offset and data; None: cut off there

    def sync(self) -> None:
        content = self.safe or bytearray()
        for offset, data in self.pending:
            apply(content, offset, data)
        self.safe, self.pending = content, []

    def survivor(self, chance: random.Random) -> bytearray | None:
        """What is found after a power cut: each sector written since the last sync is there, torn, or not."""
        if self.safe is None and chance.random() < 0.5:
            return None
        content = bytearray(self.safe or b"")
        for offset, data in self.pending:
            if data is None:
                if chance.random() < 0.5:
                    apply(content, offset, None)
                continue
            for start, piece in sectors(offset, data):
                fate = chance.random()
                if fate < 0.5:
                    apply(content, start, piece if fate < 0.4 else piece[: chance.randrange(len(piece) + 1)])
        return content


def sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """A write, as the sectors that it touches."""
    start = offset
    while start < offset + len(data):
        stop = min((start // SECTOR + 1) * SECTOR, offset + len(data))
        yield start, data[start - offset : stop - offset]
        start = stop


def apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Do to ``content`` what was done to a file."""
    if data is None:
        del content[offset:]
        return
    if not data:
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Disk(apsw.VFS):
    """A file system whose ``fail_at``-th operation (of the ``kinds`` named) raises ``error``, and with ``lasting`` all
    that follow. ``syncing`` False makes its connections run with ``synchronous = OFF``, whatever they ask for.
    """

    count = 0

    def __init__(
        self,
        *,
        fail_at: int = 0,
        error: Callable[[str], Exception] = PowerCut,
        lasting: bool = True,
        kinds: str = "",
        syncing: bool = True,
    ) -> None:
        Disk.count += 1
        self.name = f"roomstate-disk-{Disk.count}"
        super().__init__(self.name, "unix")
        self.fail_at, self.error, self.lasting, self.kinds = fail_at, error, lasting, kinds.split()
        self.syncing = syncing
        self.operations = 0
        self.failed = 0
        self.media: dict[str, Medium] = {}
        self.ghosts: dict[str, Medium] = {}  # deleted, but the folder was not synced: may come back
        self.on_sync: Callable[[str], None] = lambda name: None

    def operate(self, kind: str, what: str) -> None:
        """Count an operation, and fail if it is to fail."""
        if self.kinds and kind not in self.kinds:
            return
        self.operations += 1
        if self.fail_at and (self.operations == self.fail_at or (self.lasting and self.operations > self.fail_at)):
            self.failed += 1
            raise self.error(f"operation {self.operations}: {kind} {what}")

    def medium(self, name: str) -> Medium:
        return self.media.setdefault(name, Medium())

    def xOpen(self, name: Any, flags: list[int]) -> File:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.operate("open", str(path))
        return File(self, name, path, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.operate("delete", filename)
        super().xDelete(filename, syncdir)
        medium = self.media.pop(filename, None)
        if medium and not syncdir:
            self.ghosts[filename] = medium

    def connect(self, uri: str, timeout_s: float) -> sqlite3.Connection:
        """The `Connect` of a store on this disk."""
        return cast("sqlite3.Connection", Connection(uri, timeout_s, self))

    def after_power_cut(self, chance: random.Random, folder: Path) -> None:
        """Write into ``folder`` what is found of each file."""
        found = {path: medium for path, medium in self.ghosts.items() if chance.random() < 0.5} | self.media
        for path, medium in found.items():
            content = medium.survivor(chance)
            if content is not None and not path.endswith("-owner"):
                (folder / Path(path).name).write_bytes(content)


class File(apsw.VFSFile):
    """A file on the disk."""

    def __init__(self, disk: Disk, name: Any, path: str | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self.disk, self.path = disk, path or ""
        if self.path:
            disk.medium(self.path)

    def xRead(self, amount: int, offset: int) -> bytes:
        self.disk.operate("read", self.path)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        if not self.disk.failed:  # else the power is gone; it may go in the middle of this one
            self.disk.medium(self.path).pending.append((offset, bytes(data)))
        self.disk.operate("write", self.path)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.operate("truncate", self.path)
        super().xTruncate(newsize)
        self.disk.medium(self.path).pending.append((newsize, None))

    def xSync(self, flags: int) -> None:
        self.disk.operate("sync", self.path)
        self.disk.medium(self.path).sync()
        self.disk.on_sync(self.path)

    def xLock(self, level: int) -> None:
        self.disk.operate("lock", self.path)
        super().xLock(level)


@attrs.define
class Result:
    """What `sqlite3.Connection.execute` returns, as far as the store uses it."""

    rows: list[Any]
    rowcount: int
    lastrowid: int

    def fetchone(self) -> Any:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[Any]:
        return list(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


class Connection:
    """An apsw connection in the shape of the standard library's, as far as the store uses it."""

    def __init__(self, uri: str, timeout_s: float, disk: Disk) -> None:
        self._syncing = disk.syncing
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self._real = ours(lambda: apsw.Connection(uri, flags, disk.name))
        self._real.set_busy_timeout(round(timeout_s * 1000))
        self._real.wal_autocheckpoint(8)  # often, so that few appends meet many checkpoints

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Result:
        if sql.startswith("PRAGMA synchronous") and not self._syncing:
            sql = "PRAGMA synchronous = OFF"
        before = self._real.total_changes()
        rows = ours(lambda: self._real.execute(sql, tuple(values)).fetchall())
        return Result(rows, self._real.total_changes() - before, self._real.last_insert_rowid())

    def executemany(self, sql: str, values: Sequence[Any]) -> None:
        ours(lambda: list(self._real.executemany(sql, values)))

    @property
    def total_changes(self) -> int:
        return self._real.total_changes()

    @property
    def in_transaction(self) -> bool:
        return self._real.in_transaction

    def close(self) -> None:
        ours(lambda: self._real.close(True))


def ours(call: Callable[[], T]) -> T:
    """Call, and raise what apsw raises as the standard library would."""
    try:
        return call()
    except apsw.Error as error:
        kinds = (code for kind, code in CODES.items() if issubclass(type(error), kind))
        translated = sqlite3.OperationalError(str(error))
        translated.sqlite_errorcode = getattr(error, "extendedresult", None) or next(kinds, sqlite3.SQLITE_ERROR)
        translated.sqlite_errorname = type(error).__name__
        raise translated from error
