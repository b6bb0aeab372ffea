"""Is a store's file whole, and which of its rooms are not?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from roomstate.errors import DamagedStore
from roomstate.store import tables
from roomstate.store.base import PAGE
from roomstate.store.faults import is_damage
from roomstate.store.rows import decode, sound

__all__ = ["Diagnostics", "complaints", "damage_of", "examine", "has_wal_reset_bug", "to_set_aside"]

MOST_COMPLAINTS: Final = 20
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


def complaints(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the structure, at most ``MOST_COMPLAINTS``; reads the whole file (1.2 s per GB)."""
    try:
        found = connection.execute(f"PRAGMA quick_check({MOST_COMPLAINTS})").fetchall()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return [str(error)]
    return [] if found == [("ok",)] else [text for (text,) in found]


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
    except sqlite3.Error as error:
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
            return "it is listed, and cannot be found"
        last = _check_log(connection, room_id, found)
        if last not in (0, found.end.logged):
            return f"its log ends at seq {last}, not at {found.end.logged}"
        return _check_snapshots(connection, found.key)
    except DamagedStore as error:
        return "" if error.reason.startswith(tables.SET_ASIDE) else error.reason
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return f"cannot be read: {error}"


def _check_log(connection: sqlite3.Connection, room_id: str, found: tables.Found) -> int:
    """Decode every entry, a page at a time; the last seq."""
    last = 0
    while rows := tables.read_on(connection, found.key, last, PAGE):
        for row in rows:
            decode(room_id, row)
        last = rows[-1].seq
    return last


def _check_snapshots(connection: sqlite3.Connection, key: int) -> str:
    for tier, crc, data in connection.execute("SELECT tier, crc, data FROM snapshot WHERE room = ?", (key,)):
        if not sound(data, crc):
            return f"the {tier} snapshot fails its checksum"
    return ""


def to_set_aside(connection: sqlite3.Connection, where: str, *, full: bool) -> list[tuple[str, str]]:
    """The rooms that cannot be read, and why, if there is reason to look: the structure is damaged, or ``full``.

    Raises `DamagedStore` where the damage is such that writing anything might do more of it.
    """
    found = complaints(connection)
    if any(word in text for text in found for word in _FATAL):
        raise DamagedStore(where, f"{found[0]}; inspect can copy what is readable into a new file")
    return list(examine(connection, where)) if found or full else []
