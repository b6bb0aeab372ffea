"""What arguments of the manager's verbs must be. Everything is looked at before anything changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import structs

from roomstate.errors import InvalidValue
from roomstate.model import MAX_DEPTH, UNSTAMPED, Message, Tier, depth
from roomstate.room.reduce import check_update
from roomstate.sync.envelope import Envelope
from roomstate.updates import MessageAdded, MessageEdited, Update

__all__ = ["MAX_TIME", "MAX_UI_STATE", "checked", "envelopes", "instant", "json_value", "limit", "positive", "tier"]

MIN_TIME: Final = -6.2e10
MAX_TIME: Final = 2.5e11
"""A call takes place in ``(MIN_TIME, MAX_TIME)``, in seconds since 1970: the years 5 to 9892."""

MAX_UI_STATE: Final = 1 << 16
"""Bytes of one viewer's UI state as JSON: a draft of the longest message that Slack allows, with room to spare."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_BAD = (TypeError, ValueError, OverflowError, RecursionError, AttributeError)  # what unfit values make msgspec raise


def positive(where: str, value: object) -> None:
    """Raise ``InvalidValue`` unless ``value`` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidValue(where, f"must be a finite number above 0, got {value!r}")


def limit(where: str, value: object) -> None:
    """Raise ``InvalidValue`` unless ``value`` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidValue(where, f"must be an integer of at least 1, got {value!r}")


def instant(now: object) -> None:
    """Raise ``InvalidValue`` unless ``now`` is a time that can be."""
    if isinstance(now, bool) or not isinstance(now, int | float) or not MIN_TIME < now < MAX_TIME:
        raise InvalidValue("now", f"must be finite seconds since 1970, got {now!r}")


def tier(value: object, lowest: Tier) -> None:
    """Raise ``InvalidValue`` unless ``value`` is a tier of at least ``lowest``."""
    if not isinstance(value, Tier) or value < lowest:
        raise InvalidValue("tier", f"must be a Tier of at least {lowest.name}, got {value!r}")


def envelopes(room_id: str, value: tuple[object, ...]) -> tuple[Envelope, ...]:
    """Return the answer of an authority; raise ``InvalidValue`` unless all of it are envelopes of the room. O(n)."""
    found = tuple(each for each in value if isinstance(each, Envelope) and each.room_id == room_id)
    if len(found) != len(value):
        raise InvalidValue("result", f"must be envelopes of room {room_id!r} and nothing else")
    return found


def checked(update: Update, now: float) -> Update:
    """Return ``update``, stamped if its message or edit came without a time; raise ``InvalidValue`` unless it is sound.

    A message of an ordinary kind costs under a microsecond, other updates 2-3 µs: they go through JSON and back.
    """
    if isinstance(update, MessageAdded):
        message = update.message
        if type(message) is Message and message.timestamp is UNSTAMPED:
            update = MessageAdded(structs.replace(message, timestamp=datetime.fromtimestamp(now, UTC)))
    check_update(update)
    if isinstance(update, MessageEdited) and update.edited_at is None:
        return structs.replace(update, edited_at=datetime.fromtimestamp(now, UTC))  # the same for every copy
    return update


def json_value(where: str, value: Any, max_bytes: int | None = None) -> None:
    """Raise ``InvalidValue`` unless JSON can carry ``value``, in at most ``max_bytes``. O(size)."""
    try:
        written = _encode(value)
        same, size = _decode(written) == value, len(written)
    except _BAD as error:
        raise InvalidValue(where, f"must be JSON: {error}") from None
    if not same:
        raise InvalidValue(where, "would come back from JSON as something else")
    if depth(value) > MAX_DEPTH:
        raise InvalidValue(where, f"must be nested at most {MAX_DEPTH} deep")
    if max_bytes is not None and size > max_bytes:
        raise InvalidValue(where, f"must have at most {max_bytes} bytes as JSON, has {size}")
