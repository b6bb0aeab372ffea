"""What a peer's bytes must be, beyond what types can say: sizes, nesting, times, and how an envelope's parts agree.

This is the one path for hostile input: `as_bytes` looks at the size, `refused` says in our words what a decoder raised,
and `check_data` looks at what it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import MsgspecError, Struct

from roomstate.errors import InvalidValue, Malformed, Oversized, ProtocolError
from roomstate.model import EMPTY, UNSTAMPED, Notification, check_kept, check_time
from roomstate.sync.payloads import BulkSync, DeltaUpdate, Payload, StateUpdate
from roomstate.updates import Update

__all__ = ["MAX_ENVELOPE", "UNREADABLE", "as_bytes", "check_data", "check_said", "refused"]

MAX_ENVELOPE: Final = 1 << 22
"""Bytes of one envelope: 1000 messages of 4 kB, or the longest message that may be published, twice."""

_MAX_TOLD = 200  # characters of a peer's text that an error repeats
_DATA = "room_state_sync.data"


def as_bytes(raw: bytes | str, max_bytes: int, what: str) -> bytes:
    """Return ``raw`` as bytes, after a look at the size. O(size).

    Raises ``Oversized``, ``Malformed`` for text that UTF-8 cannot carry, and ``InvalidValue`` for what is neither bytes
    nor text: no peer has sent it.
    """
    if isinstance(raw, str):
        try:
            raw = raw[: max_bytes + 1].encode()  # a character is a byte at least
        except UnicodeError:
            raise Malformed(what, "is not UTF-8") from None
    elif not isinstance(raw, bytes | bytearray | memoryview):
        raise InvalidValue(what, f"must be bytes or str, got {type(raw).__name__}")
    if len(raw) > max_bytes:
        raise Oversized(what, f"must have at most {max_bytes} bytes, got {len(raw)}")
    return raw


UNREADABLE: Final = (MsgspecError, ValueError, OverflowError, RecursionError)
"""What a decoder raises for hostile bytes; `refused` says it in our words."""


def refused(error: Exception, what: str) -> ProtocolError:
    """Return the error of ours that stands for one of ``UNREADABLE``, with the path of the field. O(1)."""
    if isinstance(error, RecursionError):
        return Oversized(what, "is nested too deeply")
    if isinstance(error, UnicodeError):
        return Malformed(what, "is not UTF-8")
    reason, _, path = str(error).partition(" - at `$.")
    kind = Oversized if "of length <=" in reason else Malformed
    return kind(path[:-1][:_MAX_TOLD] or what, reason[:_MAX_TOLD])


def _check_time(where: str, *times: datetime | None) -> None:
    for time in times:
        if time is not None and time.tzinfo is not UTC:
            try:
                check_time(where, time)
            except InvalidValue as error:
                raise Malformed(error.where, error.reason) from None


def _check_kept(where: str, fields: Mapping[str, Any] | None) -> None:
    try:
        check_kept(where, fields)
    except InvalidValue as error:
        raise Oversized(error.where, error.reason) from None
    except RecursionError:
        raise Oversized(where, "is nested too deeply") from None


def check_data(room_id: str, told_at: datetime, after: int, upto: int, withheld: bool, data: Payload) -> None:
    """Raise a `ProtocolError` unless ``data`` suits an envelope of the room that covers ``(after, upto]``. O(size)."""
    if told_at.tzinfo is not UTC:
        _check_time("room_state_sync.timestamp", told_at)
    if isinstance(data, DeltaUpdate):
        takes = _check_delta(room_id, after, upto, data)
    elif isinstance(data, StateUpdate):
        _check_config(data)
        takes = any(True for _ in data.updates())
    else:
        if isinstance(data, BulkSync):
            _check_bulk(room_id, data)
        return
    if takes and (after == upto or withheld):
        why = "where the span is withheld" if withheld else "where no position is covered"
        raise Malformed(_DATA, f"must hold nothing that takes a position {why}")


def _check_delta(room_id: str, after: int, upto: int, data: DeltaUpdate) -> bool:
    """Return whether anything in ``data`` takes a position."""
    logged = data.logged()
    for name, each in logged:
        if not isinstance(each, str):
            if each.seq is not None and not after < each.seq <= upto:
                raise Malformed(f"{_DATA}.{name}", f"must lie in ({after}, {upto}], got seq {each.seq}")
            _check_items(f"{_DATA}.{name}", (each,))
    _check_notifications(room_id, data.notifications)
    return logged != []


def check_said(where: str, update: Update) -> None:
    """Raise a `ProtocolError` for host's fields or times in ``update`` that could not be kept. O(size)."""
    for name in ("message", "user", "notification", "config"):
        part = getattr(update, name, None)
        if isinstance(part, Struct):
            _check_items(f"{where}.{name}", (part,))
        elif part is not None and isinstance(part, Mapping):
            _check_kept(f"{where}.{name}", part)
    _check_items(where, (update,))


def _check_items(where: str, items: Iterable[Any]) -> None:
    """Look at the host's own fields and the times of items of any kind."""
    for item in items:
        extra = getattr(item, "extra", EMPTY)
        if extra:
            _check_kept(f"{where}.extra", extra)
        for name in ("timestamp", "edited_at"):
            time = getattr(item, name, None)
            if time is not None and time.tzinfo is not UTC:
                _check_time(f"{where}.{name}", time)


def _check_notifications(room_id: str, notifications: tuple[Notification, ...]) -> None:
    for notification in notifications:
        if notification.room_id != room_id:
            raise Malformed(f"{_DATA}.notifications.room_id", "must be the envelope's own")
    _check_items(f"{_DATA}.notifications", notifications)


def _check_bulk(room_id: str, data: BulkSync) -> None:
    for message in data.messages:
        if message.timestamp is UNSTAMPED:  # the default: a message that is published may have none
            raise Malformed(f"{_DATA}.messages", "Object missing required field `timestamp`")
        if message.timestamp.tzinfo is not UTC or message.extra:
            _check_items(f"{_DATA}.messages", (message,))
    for extra in filter(None, [user.extra for user in data.users]):
        _check_kept(f"{_DATA}.users.extra", extra)
    _check_notifications(room_id, data.notifications)
    _check_items(f"{_DATA}.annotations", data.annotations.values())
    _check_config(data)
    _check_kept(f"{_DATA}.ui_state", data.ui_state)
    _check_time(_DATA, data.last_activity, data.last_config_update)


def _check_config(data: StateUpdate | BulkSync) -> None:
    _check_kept(f"{_DATA}.moderation_config", data.moderation_config)
    if data.room_config is not None:
        _check_kept(f"{_DATA}.room_config.extra", data.room_config.extra)
