"""What arguments of the manager's verbs must be. Everything is looked at before anything changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct, structs

from roomstate.effects import Loaded, LogEntry
from roomstate.errors import InvalidValue
from roomstate.model import MAX_DEPTH, UNSTAMPED, Echo, Marker, Message, Tier, depth
from roomstate.room.reduce import check_update
from roomstate.sync.envelope import Envelope
from roomstate.updates import KINDS, MessageAdded, MessageEdited, Update

__all__ = [
    "MAX_TIME",
    "MAX_UI_STATE",
    "answer",
    "checked",
    "envelopes",
    "instant",
    "json_value",
    "limit",
    "positive",
    "tier",
]

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


def answer(value: object, kinds: tuple[type[Any], ...]) -> None:
    """Raise ``InvalidValue`` unless an answer is of one of ``kinds``, and its fields are what they are declared as.

    O(fields), of a `Loaded` O(entries + markers): what else tuples and mappings have in them is for who takes them.
    """
    _of("result", value, kinds)
    if isinstance(value, Loaded):
        _each("result.entries", value.entries, LogEntry)
        _each("result.entries.update", [entry.update for entry in value.entries], *KINDS)
        for marker in value.image.markers.values() if value.image is not None else ():
            _of("result.image.markers", marker, (Marker,))
        for echo in value.image.pending if value.image is not None else ():
            _of("result.image.pending", echo, (Echo,))


def _of(where: str, value: object, kinds: tuple[type[Any], ...]) -> None:
    """Raise ``InvalidValue`` unless ``value`` is of one of ``kinds``; of a struct, its fields too."""
    if not isinstance(value, kinds) or (type(value) is bool and bool not in kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise InvalidValue(where, f"must be {wanted}, got {type(value).__name__}")
    if isinstance(value, Struct):
        kind: type[Struct] = next(kind for kind in kinds if isinstance(value, kind))
        for name, declared in _declared(kind):
            _of(f"{where}.{name}", getattr(value, name), declared)


def _each(where: str, values: Iterable[object], *kinds: type[Struct]) -> None:
    for value in values:
        if not isinstance(value, kinds):
            raise InvalidValue(where, f"cannot have a {type(value).__name__} in it")


@cache  # of roomstate's own structs, which are few
def _declared(kind: type[Struct]) -> tuple[tuple[str, tuple[type[Any], ...]], ...]:
    """Return the fields of a struct, and of which types their values may be."""
    return tuple([(name, _kinds(hint)) for name, hint in get_type_hints(kind).items()])


def _kinds(hint: Any) -> tuple[type[Any], ...]:
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return tuple([kind for option in options for kind in _kinds(option)])
    kind = object if hint is Any else origin or hint
    return {float: (float, int), tuple: (tuple, list)}.get(kind, (kind,))


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
