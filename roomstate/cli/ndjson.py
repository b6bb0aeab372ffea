"""NDJSON: one ``{"ts", "room", "user", "text", "id"}`` per line; ``topic`` and ``badges`` are optional."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from roomstate.cli.files import Source, lines
from roomstate.cli.logline import MAX_NAME_CHARS, LogLine, Name, ReadOptions, Text, Ts
from roomstate.cli.tally import Tally

_Topic = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]


class _Row(msgspec.Struct):
    ts: Ts
    room: Name
    user: Name
    text: Text
    id: Name
    topic: _Topic | None = None
    badges: list[str] | None = None


_ROW = msgspec.json.Decoder(_Row)


def read(source: Source, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    """The messages of an NDJSON log, in its order. Of a key given twice the last counts."""
    for number, raw in lines(source, tally, options.max_line_bytes):
        row = tally.decode(_ROW, raw, source.where, number)
        if row is not None:
            yield LogLine(row.ts, row.room, row.user, row.text, row.id, _extra(row))


def _extra(row: _Row) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if row.topic is not None:
        extra["topic"] = row.topic
    if row.badges is not None:
        extra["badges"] = row.badges
    return extra
