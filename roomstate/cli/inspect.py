"""``python -m roomstate inspect``: what is in a store, and whether it is whole."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from roomstate.cli.terminal import Terminal
from roomstate.errors import DamagedSnapshot, StorageError
from roomstate.host.ports import codec_for
from roomstate.model import Tier
from roomstate.room.digest import MessageDigest
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.store.base import PAGE
from roomstate.store.check import complaints, examine
from roomstate.store.sqlite import SQLiteStore
from roomstate.store.survey import RoomReport, salvage, survey

__all__ = ["add_parser", "run"]

SHOWN: Final = 50
"""Rooms in the table, unless told: a screenful."""

HEAD: Final = ("room", "position", "messages", "log", "log bytes", "snapshots", "digest", "last activity", "damage")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what is in a store",
        description="Shows the rooms of a store: positions, sizes, snapshots, digests, damage. The file is only read; "
        "a server may have it open meanwhile. Ends with 1 where something is damaged.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the store's SQLite file")
    parser.add_argument("--check", action="store_true", help="read every entry and every snapshot to the last byte")
    parser.add_argument("--limit", type=int, default=SHOWN, metavar="N", help=f"rooms to show (default {SHOWN})")
    parser.add_argument("--salvage", type=Path, metavar="NEW", help="copy every room that is whole into a new store")
    parser.add_argument("--json", action="store_true", help="print one JSON object with all rooms, and no table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look, tell, and salvage if asked to; 1 where something is damaged."""
    terminal = Terminal(quiet=args.json)
    with SQLiteStore(args.file, readonly=True) as store:
        found = _look(store, check=args.check)
        if args.salvage is not None:
            found["salvaged"] = _salvage(store, args.salvage)
    if args.json:
        print(json.dumps(msgspec.to_builtins(found), ensure_ascii=True))
    else:
        _show(terminal, found, args.limit)
    return 1 if found["complaints"] or found["damaged"] else 0


def _look(store: SQLiteStore, *, check: bool) -> dict[str, Any]:
    """All there is to tell, as values."""
    with store.reading() as connection:
        bad = complaints(connection, full=check)
        damage = dict(examine(connection, str(store.path))) if check or bad else {}
        rooms = [_told(room, damage) for room in _rooms(connection)]
    codec = codec_for(store)
    return {
        "store": store.diagnostics(),
        "complaints": bad,
        "damaged": sum(1 for room in rooms if room.damage),
        "rooms": [{**msgspec.to_builtins(room), "snapshot": _header(store, codec, room)} for room in rooms],
    }


def _rooms(connection: sqlite3.Connection) -> Iterator[RoomReport]:
    after = ""
    while page := survey(connection, after, PAGE):
        after = page[-1].room_id
        yield from page


def _told(room: RoomReport, damage: dict[str, str]) -> RoomReport:
    found = damage.get(room.room_id, "")
    return msgspec.structs.replace(room, damage=found) if found and not room.damage else room


def _header(store: SQLiteStore, codec: SnapshotCodec, room: RoomReport) -> dict[str, Any] | None:
    """What the newest snapshot's header tells, which needs no decompressing: info, digest, sizes."""
    try:
        data = None if room.damage else store.load_snapshot(room.room_id, Tier.CACHED)
        if data is None:
            return None
        header = codec.header(data, room_id=room.room_id)
        told = dict(msgspec.to_builtins(header)) | {"digest": header.digest}
    except StorageError as error:
        return {"error": str(error)}
    del told["digest_json"]
    return told


def _salvage(store: SQLiteStore, target: Path) -> dict[str, Any]:
    with store.reading() as connection:
        found = list(salvage(connection, target))
    lost = {room_id: why for room_id, why in found if why}
    return {"into": str(target), "rooms": len(found) - len(lost), "lost": lost}


def _show(terminal: Terminal, found: dict[str, Any], limit: int) -> None:
    said, rooms = found["store"], found["rooms"]
    terminal.table(
        str(said.path),
        ("", ""),
        [
            ("rooms", f"{said.rooms:,}"),
            ("damaged rooms", f"{found['damaged']:,}"),
            ("file, write-ahead log", f"{said.file_bytes:,} + {said.wal_bytes:,} bytes"),
            ("schema version", str(said.schema_version)),
            ("SQLite", f"{said.sqlite_version}{_warning(said.wal_reset_bug)}"),
        ],
    )
    for text in found["complaints"]:
        terminal.note(f"damaged: {text}")
    worst_first = sorted(rooms, key=lambda room: not room["damage"])[: max(0, limit)]
    terminal.table(_title(len(worst_first), len(rooms)), HEAD, [_row(room) for room in worst_first])
    if "salvaged" in found:
        done = found["salvaged"]
        terminal.note(f"copied {done['rooms']:,} rooms into {done['into']}, left out {len(done['lost']):,}")


def _warning(bug: bool) -> str:
    return " (has the WAL-reset bug: let nothing else write to this file)" if bug else ""


def _title(shown: int, all_rooms: int) -> str:
    return "rooms" if shown == all_rooms else f"rooms: {shown:,} of {all_rooms:,}, damaged ones first (--limit)"


def _row(room: dict[str, Any]) -> tuple[str, ...]:
    """A room as a line of the table; what a name says cannot steer the terminal."""
    head, header = room["head"], room["snapshot"] or {}
    snapshots = ", ".join(f"{each['tier']}@{each['seq']} {each['bytes']:,} B" for each in room["snapshots"])
    log = f"{room['first']:,}-{room['first'] + room['entries'] - 1:,}" if room["entries"] else "-"
    return (
        _plain(room["room_id"]),
        f"{head['position']['epoch'][:8]}:{head['position']['seq']:,}" if head else "-",
        f"{head['ordinal']:,}" if head else "-",
        log,
        f"{room['log_bytes']:,}",
        snapshots or "-",
        _plain(_summary(header.get("digest"))),
        str((header.get("info") or {}).get("last_activity") or "-")[:19],
        _plain(room["damage"] or header.get("error", "") or "-"),
    )


def _summary(digest: dict[str, Any] | None) -> str:
    """How many messages a digest sums up, by how many users, and its most frequent words."""
    if not digest:
        return "-"
    try:
        found = MessageDigest.from_plain(digest)
    except DamagedSnapshot:
        return "of another kind"
    words = " ".join(word for word, _ in found.keywords.top(3))
    return f"{found.messages:,} by {found.distinct_users.value:,}: {words}"


def _plain(text: str) -> str:
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return shown if len(shown) <= 60 else f"{shown[:59]}\u2026"
