"""What else goes over a connection than envelopes: questions, what clients send, interests, and the answers to them.

Each frame is a JSON object of one field, whose name says what it is. `decode_frame` reads all of them, and envelopes.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, structs
from msgspec.json import Decoder

from roomstate.errors import InvalidValue, Malformed, RoomStateError
from roomstate.model import Id, Seq
from roomstate.position import Token
from roomstate.room.reduce import check_update
from roomstate.sync.checking import MAX_ENVELOPE, UNREADABLE, as_bytes, check_said, refused
from roomstate.sync.envelope import AnyEnvelope, Envelope, checked, written
from roomstate.updates import NotificationAdded, Update

__all__ = ["Ack", "ErrorFrame", "Frame", "Interest", "Request", "Send", "decode_frame", "named", "of_error"]

MAX_TOLD: Final = 1000
"""Characters of an error's reason: what a program and a log line can use."""

MAX_NAMED: Final = 1 << 14
"""Bytes of a refused frame that are looked at for whose it is: several ordinary messages, 15 µs of work at most."""

Told: TypeAlias = Annotated[str, Meta(max_length=MAX_TOLD)]


class _Frame(Struct, frozen=True, omit_defaults=True):
    """What all frames share: how they are written."""

    NAME: ClassVar[str] = ""

    def to_json(self) -> str:
        """Return the frame as JSON. O(size). Raises ``InvalidValue`` for values that JSON cannot carry."""
        return written(self.NAME, {self.NAME: self}).decode()


class _Resumes(_Frame, frozen=True):
    """A frame with a resume token: the text that `Token.to_str` gives, or None where nothing is held."""

    @property
    def resume(self) -> Token | None:
        """The token; None where there is none, or none that can be read: the answer is then an image. O(1)."""
        text: str | None = getattr(self, "token", None)
        try:
            return None if text is None else Token.from_str(text)
        except Malformed:
            return None


class Request(_Resumes, frozen=True):
    """A replica asks what it has missed since ``token``; None asks for an image.

    The answer's last envelope carries ``request_id`` in its ``answers``.
    """

    NAME: ClassVar[str] = "room_state_request"

    room_id: Id
    request_id: Seq | None = None
    token: str | None = None


class Interest(_Resumes, frozen=True):
    """A viewer looks at a room (ACTIVE), follows it (BACKGROUND) or is no longer interested (None).

    With a ``token`` it gets what it has missed since.
    """

    NAME: ClassVar[str] = "room_state_interest"

    room_id: Id
    tier: Literal["ACTIVE", "BACKGROUND"] | None
    token: str | None = None


class Send(_Frame, frozen=True):
    """A client wants ``update`` to happen. ``client_id`` is its own name for this; a repetition is harmless."""

    NAME: ClassVar[str] = "room_state_send"

    room_id: Id
    client_id: Id
    update: Update


class Ack(_Frame, frozen=True):
    """The authority has taken what was sent: as this message, at this position."""

    NAME: ClassVar[str] = "room_state_ack"

    room_id: Id
    client_id: Id
    message_id: Id
    epoch: Annotated[str, Meta(max_length=64)]
    sequence_number: Seq


class ErrorFrame(_Frame, frozen=True):
    """What was asked or sent is refused; nothing has changed. ``code`` is the name of one of `roomstate.errors`.

    ``retryable``: the same may succeed later.
    """

    NAME: ClassVar[str] = "room_state_error"

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    where: Told
    reason: Told
    retryable: bool
    room_id: Id | None = None
    client_id: Id | None = None


Frame: TypeAlias = Envelope | Request | Interest | Send | Ack | ErrorFrame


def of_error(error: RoomStateError, *, room_id: str | None = None, client_id: str | None = None) -> ErrorFrame:
    """Return the frame that tells a peer of ``error``; texts beyond ``MAX_TOLD`` characters are cut. O(1).

    >>> from roomstate.errors import RoomBusy
    >>> frame = of_error(RoomBusy("room 'rust'", "1000 updates wait"), client_id="c1")
    >>> frame.code, frame.retryable
    ('RoomBusy', True)
    """
    where, reason = str(error.where)[:MAX_TOLD], str(error.reason)[:MAX_TOLD]
    return ErrorFrame(type(error).__name__, where, reason, error.retryable, room_id, client_id)


class AnyFrame(Struct, frozen=True):
    """The outermost object: exactly one of these."""

    room_state_sync: AnyEnvelope | UnsetType = UNSET
    room_state_request: Request | UnsetType = UNSET
    room_state_interest: Interest | UnsetType = UNSET
    room_state_send: Send | UnsetType = UNSET
    room_state_ack: Ack | UnsetType = UNSET
    room_state_error: ErrorFrame | UnsetType = UNSET


_decode = Decoder(AnyFrame).decode


def decode_frame(raw: bytes | str, max_bytes: int = MAX_ENVELOPE) -> Frame:
    """Return what ``raw`` is: an envelope or another frame. O(size).

    Raises ``Oversized`` and ``Malformed``, as `decode` does, and nothing else; of a frame that was not one nothing is
    to be believed.

    >>> decode_frame('{"room_state_interest": {"room_id": "rust", "tier": "ACTIVE"}}').tier
    'ACTIVE'
    """
    raw = as_bytes(raw, max_bytes, "frame")
    try:
        outer = _decode(raw)
    except UNREADABLE as error:
        raise refused(error, "frame") from None
    told: list[Any] = [value for value in structs.astuple(outer) if value is not UNSET]
    if len(told) != 1:
        raise Malformed("frame", f"must have one of {', '.join(AnyFrame.__struct_fields__)}, got {len(told)}")
    frame = told[0]
    if isinstance(frame, Send):
        _check_send(frame)
    elif not isinstance(frame, _Frame):
        return checked(frame)
    return frame  # type: ignore[no-any-return]


class _Named(Struct):
    """What a refusal repeats of a frame."""

    room_id: Id | None = None
    client_id: Id | None = None


class _AnyNamed(Struct):
    """A frame as far as its names: everything else is passed over."""

    room_state_send: _Named | None = None
    room_state_interest: _Named | None = None
    room_state_request: _Named | None = None


_decode_names = Decoder(_AnyNamed).decode


def named(raw: bytes | str) -> tuple[str | None, str | None]:
    """Return the room and the client id of a frame that is refused unread, so that its sender can tell which it was.

    (None, None) where it has none, cannot be read, or is longer than ``MAX_NAMED``. Nothing else of it is looked at,
    and nothing is believed. O(size), a fifth of `decode_frame`; raises nothing.

    >>> named('{"room_state_send": {"room_id": "rust", "client_id": "c1", "update": 7}}')
    ('rust', 'c1')
    """
    try:
        outer = _decode_names(raw if len(raw) <= MAX_NAMED else b"")
    except (*UNREADABLE, TypeError):
        return None, None
    frame = outer.room_state_send or outer.room_state_interest or outer.room_state_request or _Named()
    return frame.room_id, frame.client_id


def _check_send(frame: Send) -> None:
    """Look at what types cannot say of what a client sends, so that it can be published."""
    where, update = "room_state_send.update", frame.update
    if isinstance(update, NotificationAdded) and update.notification.room_id != frame.room_id:
        raise Malformed(f"{where}.notification.room_id", "must be the frame's own")
    check_said(where, update)
    try:
        check_update(update)
    except InvalidValue as error:
        raise Malformed(f"{where}.{error.where}", error.reason) from None
