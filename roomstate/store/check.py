"""Is a store's file whole, and which of its rooms are not?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from roomstate.errors import DamagedStore
from roomstate.store import tables
from roomstate.store.base import PAGE
from roomstate.store.faults import RAISED, is_damage
from roomstate.store.rows import decode, dictionary_checksum, room_checksum, sound, whole

__all__ = [
    "LOST",
    "Diagnostics",
    "complaints",
    "damage_of",
    "examine",
    "has_wal_reset_bug",
    "misindexed",
    "to_set_aside",
]

MOST_COMPLAINTS: Final = 20
LOST: Final = "it is listed, and cannot be found"
_FATAL: Final = ("reelist", "2nd reference")  # writing would overwrite what somebody else holds


class Diagnostics(Struct, frozen=True, kw_only=True):
    """What an operator asks of a store. Sizes are bytes; ``commits`` counts those of this opening.

    ``wal_reset_bug``: this SQLite may damage a file in WAL mode that several connections write to at once (3.7.0 to
    3.51.2). A store is not touched by it as long as nobody else writes to its file: it has one writing connection.
    """

    path: str
    sqlite_version: str
    wal_reset_bug: bool
    schema_version: int
    synchronous: str
    file_bytes: int
    wal_bytes: int
    rooms: int
    damaged: int
    commits: int


def has_wal_reset_bug(version: str) -> bool:
    """Whether an SQLite of that version has the bug of `Diagnostics.wal_reset_bug`.

    >>> has_wal_reset_bug("3.51.2"), has_wal_reset_bug("3.51.3"), has_wal_reset_bug("3.6.23")
    (True, False, False)
    """
    number = tuple(int(part) for part in version.split(".")[:3])
    return (3, 7, 0) <= number <= (3, 51, 2)


def complaints(connection: sqlite3.Connection, *, full: bool = False) -> list[str]:
    """What SQLite finds wrong with the structure, at most ``MOST_COMPLAINTS``; reads the whole file (1.2 s per GB).

    ``full`` holds the indexes against their tables too, which takes several times as long.
    """
    try:
        look = "integrity_check" if full else "quick_check"
        found = connection.execute(f"PRAGMA {look}({MOST_COMPLAINTS})").fetchall()
    except RAISED as error:
        if not is_damage(error):
            raise
        return [str(error)]
    return [] if found == [("ok",)] else [str(text) for (text,) in found]


def misindexed(connection: sqlite3.Connection, where: str) -> list[str]:
    """The tables whose index is wrong, and can be made anew of the table. O(rooms).

    Through them every room and every dictionary is found: what they do not name would not be damaged, but gone. Raises
    `DamagedStore` where a table is no better than its index.
    """
    return [table for table in _FIT if _is_misindexed(connection, where, table)]


def _is_misindexed(connection: sqlite3.Connection, where: str, table: str) -> bool:
    found = connection.execute(f"PRAGMA integrity_check('{table}')").fetchall()
    if found == [("ok",)]:
        return False
    columns, fits = _FIT[table]
    rows = connection.execute(f"SELECT {columns} FROM {table} NOT INDEXED")
    if complaints(connection) or not all(fits(*row) for row in rows):
        raise DamagedStore(where, f"{found[0][0]}; inspect can copy what is readable into a new file")
    return True


_FIT: Final[Mapping[str, tuple[str, Callable[..., bool]]]] = {
    "room": (
        "room_id, epoch, seq, ordinal, logged, since, tiers, crc",
        lambda *row: room_checksum(*row[:-1]) == row[-1],
    ),
    "dictionary": ("name, data, crc", lambda name, data, crc: crc == dictionary_checksum(name, data)),
}


def examine(connection: sqlite3.Connection, where: str) -> Iterator[tuple[str, str]]:
    """The rooms that cannot be read to the last byte, and why; reads everything.

    Raises `DamagedStore` where the rooms cannot even be listed.
    """
    after = ""
    while page := _page(connection, where, after):
        after = page[-1]
        for room_id in page:
            if why := damage_of(connection, room_id):
                yield room_id, why


def _page(connection: sqlite3.Connection, where: str, after: str) -> tuple[str, ...]:
    try:
        return tables.names(connection, after, PAGE)
    except RAISED as error:
        if not is_damage(error):
            raise
        raise DamagedStore(where, f"its rooms cannot be listed: {error}") from error


def damage_of(connection: sqlite3.Connection, room_id: str) -> str:
    """What is wrong with what is kept of a room; "" for nothing, or for what is set aside already.

    What SQLite raises for other reasons than damage (a lock, the disk) says nothing of the room, and is raised.
    """
    try:
        found = tables.find(connection, room_id)
        if found is None:
            return LOST
        if why := _check_log(connection, room_id, found):
            return why
        return _check_snapshots(connection, room_id, found)
    except DamagedStore as error:
        return "" if error.reason.startswith(tables.SET_ASIDE) else error.reason
    except RAISED as error:
        if not is_damage(error):
            raise
        return f"cannot be read: {error}"


def _check_log(connection: sqlite3.Connection, room_id: str, found: tables.Found) -> str:
    """Decode every entry, a page at a time; what is wrong with the log, "" for nothing."""
    last, end = 0, found.end.logged
    while rows := tables.read_on(connection, found.key, last, PAGE):
        for row in rows:
            decode(room_id, row)
        if not whole(rows, max(last, found.since), max(rows[-1].seq, found.since), PAGE):
            return f"entries of its log are missing between seqs {last} and {rows[-1].seq}"
        last = rows[-1].seq
    if last != end and (last or found.since != end):
        return f"its log ends at seq {last}, not at {end}"
    return ""


def _check_snapshots(connection: sqlite3.Connection, room_id: str, found: tables.Found) -> str:
    tables.snapshots(connection, room_id, found)
    for tier, crc, data in connection.execute("SELECT tier, crc, data FROM snapshot WHERE room = ?", (found.key,)):
        if not sound(data, crc):
            return f"the {tier} snapshot fails its checksum"
    return ""


def to_set_aside(connection: sqlite3.Connection, where: str, *, full: bool) -> list[tuple[str, str]]:
    """The rooms that cannot be read, and why, if there is reason to look: the structure is damaged, or ``full``.

    Raises `DamagedStore` where the damage is such that writing anything might do more of it.
    """
    found = complaints(connection, full=full)
    if any(word in text for text in found for word in _FATAL):
        raise DamagedStore(where, f"{found[0]}; inspect can copy what is readable into a new file")
    return list(examine(connection, where)) if found or full else []
