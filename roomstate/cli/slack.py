"""A Slack export: a folder, or the zip it came as, with ``channel/YYYY-MM-DD.json`` and ``users.json``.

The room is the channel's folder. A message's id is its ``ts``, which is unique in its channel. Users are
named as ``users.json`` names them, in the text's mentions too.
"""

from __future__ import annotations

import heapq
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import attrs
import msgspec

from roomstate.cli.files import (
    CHUNK_BYTES,
    EXPANSION_FREE_BYTES,
    MAX_EXPANSION,
    Source,
    is_folder,
    open_regular,
    raw_chunks,
    shown,
    source_of,
)
from roomstate.cli.items import items
from roomstate.cli.logline import MAX_NAME_CHARS, LogLine, ReadOptions, Text
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog, InvalidValue

MAX_USERS = 1_000_000
"""Names kept from ``users.json``; users beyond it keep their Slack ids. Slack's largest plan has 500,000."""

_DAY = re.compile(rf"(?:.*/)?([^/\0]{{1,{MAX_NAME_CHARS}}})/(\d{{4}}-\d\d-\d\d)\.json", re.ASCII)
_USERS = re.compile(r"(?:[^/]+/)?users\.json")
_MENTION = re.compile(r"<@([A-Z0-9]{1,32})(?:\|[^<>]*)?>")
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))

# Subtypes in which somebody says something; the others are joins, topics, pins and the like.
_SAID = frozenset(
    {None, "bot_message", "file_comment", "file_share", "me_message", "reply_broadcast", "thread_broadcast"}
)

_Ts = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,11}(\.[0-9]{1,9})?\Z")]
_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]


# What zipfile raises for a damaged, encrypted or unusual archive.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError),
)


class _Message(msgspec.Struct):
    ts: _Ts
    type: str = "message"
    subtype: str | None = None
    user: _Name | None = None
    username: _Name | None = None
    bot_id: _Name | None = None
    text: Text | None = None
    thread_ts: _Ts | None = None


class _User(msgspec.Struct):
    id: _Name
    name: _Name


_MESSAGE = msgspec.json.Decoder(_Message)
_USER = msgspec.json.Decoder(_User)


@attrs.frozen
class Export:
    """The files of an export by their names in it, each opened only when its turn comes."""

    where: str
    names: tuple[str, ...]
    open: Callable[[str], Source]

    def days(self) -> dict[str, list[tuple[str, str]]]:
        """``day -> [(channel, file name)]``, days and channels in order."""
        found: dict[str, list[tuple[str, str]]] = {}
        for day, channel, name in sorted((m[2], m[1], m[0]) for m in map(_DAY.fullmatch, self.names) if m):
            found.setdefault(day, []).append((shown(channel), name))
        return found


@contextmanager
def opened(path: str) -> Iterator[Export]:
    """The export in a folder or a zip file; a zip stays open meanwhile, and is never unpacked.

    Raises :class:`InvalidValue` when the folder cannot be listed, when the file is no zip file, or one that
    claims to expand more than 1,000 times.
    """
    if is_folder(path):
        yield _folder(Path(path))
        return
    with open_regular(path) as file, _zip(file, shown(path)) as packed:
        yield _archive(packed, shown(path), Path(path).stat().st_size)


def _folder(root: Path) -> Export:
    def source(name: str) -> Source:
        where = shown(str(root / name))
        return source_of(raw_chunks(open_regular(str(root / name)), where), where, shown(name))

    try:
        names = list(root.iterdir())
        inner = [entry for folder in names if folder.is_dir() for entry in folder.iterdir()]
    except OSError as error:
        raise InvalidValue(shown(str(root)), error.strerror or str(error)) from None
    return Export(shown(str(root)), tuple(str(entry.relative_to(root)) for entry in names + inner), source)


def _zip(file: BinaryIO, where: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (*_ZIP_ERRORS, MemoryError) as error:
        raise InvalidValue(where, f"is not a readable zip file: {error}") from None


def _archive(packed: zipfile.ZipFile, where: str, size: int) -> Export:
    def source(name: str) -> Source:
        inside = f"{where}!{name}"
        return source_of(_unzipped(packed, entries[name], inside), inside, name)

    entries = {entry.filename: entry for entry in packed.infolist()}
    claimed = sum(entry.file_size for entry in entries.values())
    if claimed > max(EXPANSION_FREE_BYTES, MAX_EXPANSION * size):
        raise InvalidValue(where, f"expands more than {MAX_EXPANSION} times")
    return Export(where, tuple(entries), source)


def _unzipped(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Iterator[bytes]:
    # Only these two are decompressed by Python in bounded steps.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DamagedLog(where, "is compressed in a way that Slack does not use")
    try:
        with packed.open(entry) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except _ZIP_ERRORS as error:
        raise DamagedLog(where, f"cannot be unpacked: {error}") from None


def read(path: str, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    """The messages of all channels, day by day; within a day merged by time, each channel in its order."""
    with opened(path) as export:
        users = _users(export, options, tally)
        for channels in export.days().values():
            streams = [_day(export.open(name), channel, users, options, tally) for channel, name in channels]
            yield from heapq.merge(*streams, key=attrgetter("ts"))


def _users(export: Export, options: ReadOptions, tally: Tally) -> dict[str, str]:
    """``Slack id -> name``; a name that two users share is given to the first, the other keeps its id."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for file in filter(_USERS.fullmatch, export.names):
        source = export.open(file)
        for line, _, raw in items(source, tally, options.max_line_bytes):
            user = tally.decode(_USER, raw, source.where, line)
            if user and user.name and user.name not in taken and len(names) < MAX_USERS:
                names[user.id] = user.name
                taken.add(user.name)
    return names


def _day(
    source: Source, channel: str, users: Mapping[str, str], options: ReadOptions, tally: Tally
) -> Iterator[LogLine]:
    for line, _, raw in items(source, tally, options.max_line_bytes):
        message = tally.decode(_MESSAGE, raw, source.where, line)
        if message is None:
            continue
        if message.type != "message" or message.subtype not in _SAID:
            tally.skipped += 1
        elif name := users.get(message.user or "") or message.user or message.username or message.bot_id:
            text = _plain(message.text or "", users)
            yield LogLine(float(message.ts), channel, name, text, message.ts, _extra(message))
        else:
            tally.damage(source.where, line, "has no user, username or bot_id")


def _plain(text: str, users: Mapping[str, str]) -> str:
    """Slack's markup for mentions and for ``<``, ``>`` and ``&`` as the reader of a chat sees it."""
    text = _MENTION.sub(lambda found: "@" + users.get(found[1], found[1]), text)
    for escaped, char in _ESCAPES:
        text = text.replace(escaped, char)
    return text


def _extra(message: _Message) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if message.thread_ts is not None:
        extra["thread_ts"] = message.thread_ts
    if message.subtype is not None:
        extra["kind"] = message.subtype
    return extra
