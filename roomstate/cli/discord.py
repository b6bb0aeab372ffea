"""The JSON of DiscordChatExporter: one channel, ``{"guild", "channel", ..., "messages": [...]}``.

The room is ``guild/channel``, the id Discord's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec

from roomstate.cli.files import Source
from roomstate.cli.items import items
from roomstate.cli.logline import MAX_NAME_CHARS, MAX_TS, LogLine, Name, ReadOptions, Text
from roomstate.cli.tally import Tally

# What somebody says; the others are joins, pins, boosts and calls. Numbers are types that had no name yet.
_SAID = frozenset({"Default", "Reply", "ChatInputCommand", "ContextMenuCommand", "19", "20", "23"})


class _Named(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=120)]  # Discord allows 100 characters for either


class _Author(msgspec.Struct, rename="camel"):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS - 5)]
    discriminator: Annotated[str, msgspec.Meta(max_length=4)] | None = None
    is_bot: bool = False


class _Reference(msgspec.Struct, rename="camel"):
    message_id: str | None = None


class _Message(msgspec.Struct):
    id: Name
    type: str
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    content: Text
    author: _Author
    reference: _Reference | None = None


_NAMED = msgspec.json.Decoder(_Named)
_MESSAGE = msgspec.json.Decoder(_Message)


def read(source: Source, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    """The messages of one exported channel, in the file's order."""
    place = {"guild": "", "channel": ""}
    for line, key, raw in items(source, tally, options.max_line_bytes):
        if key in place:
            named = tally.decode(_NAMED, raw, source.where, line)
            place[key] = named.name if named else ""
        elif key == "messages":
            message = tally.decode(_MESSAGE, raw, source.where, line)
            if message is not None:
                yield from _line(message, source, place, line, tally)


def _line(message: _Message, source: Source, place: dict[str, str], line: int, tally: Tally) -> Iterator[LogLine]:
    ts = message.timestamp.timestamp()
    room = "/".join(filter(None, place.values())) or source.stem
    if message.type not in _SAID:
        tally.skipped += 1
    elif not 0 <= ts < MAX_TS:
        tally.damage(source.where, line, f"the time {message.timestamp.isoformat()} is out of range")
    else:
        yield LogLine(ts, room, _user(message.author), message.content, message.id, _extra(message))


def _user(author: _Author) -> str:
    """The name alone where it is unique (since 2023), else with its number, as Discord wrote it then."""
    number = author.discriminator or "0000"
    return author.name if number in ("0000", "0") else f"{author.name}#{number}"


def _extra(message: _Message) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if message.author.is_bot:
        extra["badges"] = ["bot"]
    if message.reference is not None and message.reference.message_id is not None:
        extra["reply_to"] = message.reference.message_id
    return extra
