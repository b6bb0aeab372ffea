"""One chat message as a log has it: the value that every reader gives and ``replay`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from hashlib import blake2b
from typing import Annotated, Any, Literal

import attrs
import msgspec

from roomstate.model import MAX_CONTENT, MAX_ID

MAX_TS = 253_402_300_799.0
"""Seconds since the epoch, ``[0, MAX_TS)``: up to the last second of the year 9999, where ``datetime`` ends."""

MAX_NAME_CHARS = 255
"""The longest id, room or user name: what Matrix allows an id, and what a file system allows a name."""

MAX_LINE_BYTES = 4 << 20
"""The longest line (or JSON item) that is read; Discord's and Slack's largest messages are under 1 MiB."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_CONTENT)]
Ts = Annotated[float, msgspec.Meta(ge=0, lt=MAX_TS)]
Format = Literal["auto", "ndjson", "irssi", "weechat", "slack", "discord"]
Encoding = Literal["utf-8", "cp1252", "latin-1", "cp1251", "koi8-r"]


class LogLine(msgspec.Struct, frozen=True):
    """A message: when (epoch seconds), where, who, what, and an id that is unique in its room.

    ``extra`` has what the source says besides, when it does: ``topic``, ``badges``, ``thread_ts``,
    ``reply_to``, ``kind``.
    """

    ts: float
    room: str
    user: str
    text: str
    id: str
    extra: Mapping[str, Any] = {}


@attrs.frozen
class ReadOptions:
    """How to read a log.

    ``tz`` is the zone of logs that write local time without one (irssi, weechat); ``encoding`` the
    encoding of such logs. ``rooms_by="topic"`` makes each topic a room of its own (see :func:`by_topic`).
    """

    format: Format = "auto"
    tz: tzinfo = UTC
    encoding: Encoding = "utf-8"
    rooms_by: Literal["room", "topic"] = "room"
    max_line_bytes: int = MAX_LINE_BYTES


def by_topic(line: LogLine) -> LogLine:
    """The line with ``room/topic`` as its room, if it has a topic.

    No two pairs of room and topic meet in one name: a ``/`` or ``%`` in the room itself is percent-encoded, and a name
    that would be longer than `MAX_ID` characters ends in a hash of itself.

    >>> by_topic(LogLine(0.0, "a/b", "ada", "hi", "1", {"topic": "c/d"})).room
    'a%2Fb/c/d'
    """
    room = line.room.replace("%", "%25").replace("/", "%2F")
    if "topic" in line.extra:
        room = f"{room}/{line.extra['topic']}"
    if len(room) > MAX_ID:
        room = f"{room[: MAX_ID - 33]}~{blake2b(room.encode(), digest_size=16).hexdigest()}"
    return line if room == line.room else msgspec.structs.replace(line, room=room)
