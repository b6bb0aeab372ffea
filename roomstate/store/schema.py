"""The tables of a store in SQLite, their version, and how an older file becomes a newer one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from roomstate.errors import DamagedStore, NewerStore

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate", "version_of"]

APPLICATION_ID: Final = 0x726D7374
"""What marks an SQLite file as a store of roomstate: "rmst"."""

_FIRST: Final = """
CREATE TABLE room (
    key INTEGER PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,       -- the head: where the log ends, or the newest snapshot if that is further
    ordinal INTEGER NOT NULL,   -- messages added up to the head
    logged INTEGER NOT NULL,    -- where the log ends; 0: there is none
    damage TEXT                 -- why the room is set aside; NULL: it is not
);
CREATE INDEX room_damage ON room (room_id) WHERE damage IS NOT NULL;
CREATE TABLE log (
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    message_id TEXT,            -- NULL: not a message
    data BLOB,                  -- the update as JSON; NULL: the message was repeated, this seq holds nothing
    crc INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX log_message ON log (room, message_id) WHERE message_id IS NOT NULL;
CREATE TABLE snapshot (
    room INTEGER NOT NULL,
    tier TEXT NOT NULL,         -- by name
    seq INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (room, tier)
);
CREATE TABLE dictionary (name TEXT PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
"""

# ``since``: every entry in (since, logged] is in the log; below, some were truncated, or a snapshot bridged a hole.
# ``tiers``: of which tiers there is a snapshot, 2 for ACTIVE and 1 for BACKGROUND. ``crc`` is of all that a room's row
# says, ``seal`` of which snapshot it is; NULL: not written since there are such.
_CHECKED: Final = """
ALTER TABLE room ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN tiers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN crc INTEGER;
ALTER TABLE snapshot ADD COLUMN seal INTEGER;
UPDATE room SET
    since = min(logged, ifnull((SELECT max(seq) FROM snapshot WHERE room = key), 0)),
    tiers = ifnull((SELECT sum(CASE tier WHEN 'ACTIVE' THEN 2 ELSE 1 END) FROM snapshot WHERE room = key), 0)"""

MIGRATIONS: Final[Sequence[str]] = (_FIRST, _CHECKED)
"""``MIGRATIONS[v]`` is the SQL that brings a file from version ``v`` to ``v + 1``; a new file has version 0."""


def version_of(connection: sqlite3.Connection, where: str) -> int:
    """The schema version of a file; 0 for an empty one.

    Raises `DamagedStore` for somebody else's file, `NewerStore` for one that is later than we know.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise DamagedStore(where, "is an SQLite file, but not a store of roomstate")
    if version > len(MIGRATIONS):
        raise NewerStore(where, f"has schema version {version}; this roomstate knows up to {len(MIGRATIONS)}")
    return int(version)


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring a file to the newest version, in one transaction: it is at the old version or at the new one.

    Raises what `version_of` raises, and then leaves the file alone.
    """
    if version_of(connection, where) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version_of(connection, where) :]:
            for statement in step.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
