"""What lies in a store, room by room, without decoding any of it; and copying what is readable into a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from roomstate.effects import Head
from roomstate.errors import DamagedStore, InvalidValue
from roomstate.store import tables
from roomstate.store.base import PAGE
from roomstate.store.check import LOST, damage_of
from roomstate.store.connection import check_path, check_writable, connect_to, open_writer
from roomstate.store.faults import RAISED, faults, is_damage
from roomstate.store.schema import migrate

__all__ = ["RoomReport", "SnapshotReport", "salvage", "survey"]


class SnapshotReport(Struct, frozen=True):
    """One snapshot: its tier by name, the seq that it was taken at, its size in bytes."""

    tier: str
    seq: int
    bytes: int


class RoomReport(Struct, frozen=True, kw_only=True):
    """What a store keeps of a room. ``first`` is the first seq that its log still has (0: it has none).

    ``log_bytes`` are those of the updates, without what SQLite adds. ``damage`` says why the room is set aside, or why
    it cannot be read; then the other numbers are 0.
    """

    room_id: str
    head: Head | None = None
    first: int = 0
    entries: int = 0
    log_bytes: int = 0
    snapshots: tuple[SnapshotReport, ...] = ()
    damage: str = ""


def survey(connection: sqlite3.Connection, after: str = "", limit: int = PAGE) -> tuple[RoomReport, ...]:
    """The first ``limit`` rooms after ``after``, in order. O(their entries)."""
    return tuple(_report(connection, room_id) for room_id in tables.names(connection, after, limit))


def _report(connection: sqlite3.Connection, room_id: str) -> RoomReport:
    try:
        found = tables.find(connection, room_id)
        return _counted(connection, room_id, found) if found else RoomReport(room_id=room_id, damage=LOST)
    except DamagedStore as error:
        return RoomReport(room_id=room_id, damage=error.reason.removeprefix(tables.SET_ASIDE))
    except RAISED as error:
        if not is_damage(error):
            raise
        return RoomReport(room_id=room_id, damage=f"cannot be read: {error}")


def _counted(connection: sqlite3.Connection, room_id: str, found: tables.Found) -> RoomReport:
    first, entries, log_bytes = connection.execute(
        "SELECT ifnull(min(seq), 0), count(*), ifnull(sum(length(data)), 0) FROM log"
        " WHERE room = ? AND seq BETWEEN 0 AND ?",
        (found.key, found.end.logged),
    ).fetchone()
    sizes = dict(
        connection.execute("SELECT tier, ifnull(length(data), 0) FROM snapshot WHERE room = ?", (found.key,)).fetchall()
    )
    seqs = tables.snapshots(connection, room_id, found)
    return RoomReport(
        room_id=room_id,
        head=found.end.head,
        first=first,
        entries=entries,
        log_bytes=log_bytes,
        snapshots=tuple(SnapshotReport(tier.name, seqs[tier], sizes[tier.name]) for tier in sorted(seqs, reverse=True)),
    )


def salvage(connection: sqlite3.Connection, target: Path) -> Iterator[tuple[str, str]]:
    """Copy every room that is whole, and every dictionary that can be read, into the new store ``target``.

    Yields each room's id and, where it was not copied, why. The source is only read. Raises `InvalidValue` where there
    is a file already, a `StorageError` where there can be none.
    """
    target = check_path(target)
    if target.exists():
        raise InvalidValue(str(target), "is there already; name a new file")
    check_writable(target)
    with faults(str(target)), closing(open_writer(connect_to, target, 5.0, "FULL")) as copy:
        migrate(copy, str(target))
        _copy_dictionaries(connection, copy)
        after = ""
        while page := tables.names(connection, after, PAGE):
            after = page[-1]
            yield from [(room_id, _copy_room(connection, copy, room_id)) for room_id in page]


def _copy_dictionaries(source: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    try:
        rows = source.execute("SELECT name, crc, data FROM dictionary").fetchall()
    except RAISED as error:
        if not is_damage(error):
            raise
        return  # snapshots that need one will say so
    copy.executemany("INSERT INTO dictionary VALUES (?, ?, ?)", rows)


_COLUMNS = "room_id, epoch, seq, ordinal, logged, damage, since, tiers, crc"
_ROOM = f"SELECT {_COLUMNS}, key FROM room WHERE room_id = ?"
_PUT_ROOM = f"INSERT INTO room ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _copy_room(source: sqlite3.Connection, copy: sqlite3.Connection, room_id: str) -> str:
    """Copy a room in one transaction, unless something is wrong with it: then what."""
    try:
        *row, key = source.execute(_ROOM, (room_id,)).fetchone()
        if why := row[5] or damage_of(source, room_id):
            return str(why)
    except RAISED as error:
        if not is_damage(error):
            raise
        return f"cannot be read: {error}"
    copy.execute("BEGIN IMMEDIATE")
    new = copy.execute(_PUT_ROOM, row).lastrowid
    for table, columns in (
        ("log", "seq, ordinal, message_id, data, crc"),
        ("snapshot", "tier, seq, epoch, crc, seal, data"),
    ):
        places = ", ".join("?" * (1 + len(columns.split(","))))
        copy.executemany(
            f"INSERT INTO {table} (room, {columns}) VALUES ({places})",
            ((new, *row) for row in source.execute(f"SELECT {columns} FROM {table} WHERE room = ?", (key,))),
        )
    copy.execute("COMMIT")
    return ""
