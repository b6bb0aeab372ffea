"""What a room is made of, as plain values.

These are msgspec structs: frozen, compared by value, decoded and validated straight from JSON by the one strict
decoder, and (for those held in great numbers) invisible to the garbage collector. Measured against attrs classes
with slots: 80 against 96 bytes for a message, 60-100 against 90-480 ns to make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, Protocol, runtime_checkable

from msgspec import Meta, Struct
from msgspec.json import Decoder, Encoder

from roomstate.errors import InvalidValue

__all__ = [
    "EMPTY",
    "MAX_BADGES",
    "MAX_CONTENT",
    "MAX_DEPTH",
    "MAX_EXTRA",
    "MAX_ID",
    "UNSTAMPED",
    "Annotation",
    "AnyMessage",
    "Badges",
    "Count",
    "Echo",
    "Id",
    "Marker",
    "Message",
    "MessageLike",
    "Notification",
    "PresenceState",
    "RoomConfig",
    "RoomInfo",
    "Seq",
    "Status",
    "Tier",
    "Time",
    "Unread",
    "User",
    "as_message",
    "check_bound",
    "check_id",
    "check_kept",
    "check_message",
    "check_text",
    "check_time",
    "depth",
]

MAX_ID = 512
"""Characters in an id of a room, user or message. Matrix allows 255 bytes, the most of what we looked at."""

MAX_CONTENT = 1 << 18
"""Characters in one message: 262,144. Matrix allows an event 64 KiB; Slack 40,000 characters."""

MAX_EXTRA = 1 << 18
"""Bytes of one message's ``extra`` as JSON: 262,144, as many as its content may have characters."""

MAX_DEPTH = 64
"""Nesting of a host's own fields: no JSON reader of ours or of others comes near its own limit."""

MAX_BADGES = 100
"""Badges of one user or message: chat services show fewer than ten."""

UNSTAMPED = datetime(1, 1, 1, tzinfo=UTC)
"""The timestamp of a message that was made without one: the manager stamps it with the time of its call."""


class _Empty(dict[str, Any]):
    """An empty dict that stays empty, and is itself when copied or pickled."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "EMPTY"

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("the shared empty mapping cannot be changed: give the value a dict of its own")

    __setitem__ = setdefault = update = __ior__ = _refuse


EMPTY: Final[Mapping[str, Any]] = _Empty()
"""The ``extra`` of a value that has none: one for all, where a dict each would cost 64 bytes."""

Badges = Annotated[tuple[Annotated[str, Meta(max_length=MAX_ID)], ...], Meta(max_length=MAX_BADGES)]
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Time = Annotated[datetime, Meta(tz=True)]


_EARLIEST, _LATEST = UNSTAMPED, datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)
_encode = Encoder().encode
_decode = Decoder().decode


def check_bound(where: str, value: object, least: int = 1) -> None:
    """Raise ``InvalidValue`` unless ``value`` is an int of at least ``least``. O(1).

    >>> check_bound("max_rooms", 0)
    Traceback (most recent call last):
    roomstate.errors.InvalidValue: max_rooms: must be an int of at least 1, got 0
    """
    if not isinstance(value, int) or value < least:
        raise InvalidValue(where, f"must be an int of at least {least}, got {value!r}")


def check_text(where: str, value: object, most: int, least: int = 0) -> None:
    """Raise ``InvalidValue`` unless ``value`` is text of ``least`` to ``most`` characters that UTF-8 has. O(n)."""
    if not isinstance(value, str):
        raise InvalidValue(where, f"must be a str, got {type(value).__name__}")
    if not least <= len(value) <= most:
        raise InvalidValue(where, f"must have {least} to {most} characters, got {len(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(where, "has a lone surrogate, which UTF-8 cannot carry") from None


def check_id(where: str, value: object) -> None:
    """Raise ``InvalidValue`` unless ``value`` is text of 1 to ``MAX_ID`` characters that UTF-8 can carry. O(n)."""
    check_text(where, value, MAX_ID, least=1)


def check_kept(where: str, fields: Mapping[str, Any] | None) -> None:
    """Raise ``InvalidValue`` for a host's own fields of over ``MAX_EXTRA`` bytes or ``MAX_DEPTH`` levels. O(size)."""
    if fields:
        _check_written(where, _encode(fields), fields)


def _check_written(where: str, written: bytes, fields: object) -> None:
    if len(written) > MAX_EXTRA:
        raise InvalidValue(where, f"must have at most {MAX_EXTRA} bytes as JSON, got {len(written)}")
    if written.count(b"{") + written.count(b"[") > MAX_DEPTH and depth(fields) > MAX_DEPTH:
        raise InvalidValue(where, f"must be nested at most {MAX_DEPTH} deep")


def depth(value: object) -> int:
    """Return how deep the lists and mappings of a JSON value are nested. O(size).

    >>> depth(1), depth({}), depth({"a": [[]]})
    (0, 1, 3)
    """
    levels, level = 0, [value]
    while level := [each for each in level if isinstance(each, (dict, list, tuple))]:
        levels += 1
        level = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
    return levels


def check_time(where: str, time: datetime) -> None:
    """Raise ``InvalidValue`` unless ``time`` is aware and in the years 1 to 9999 of UTC. O(1)."""
    if time.tzinfo is UTC:
        return
    if time.utcoffset() is None:
        raise InvalidValue(where, "must be a datetime with a time zone")
    if not _EARLIEST <= time <= _LATEST:
        raise InvalidValue(where, "must be in the years 1 to 9999 of UTC")


@runtime_checkable
class MessageLike(Protocol):
    """What roomstate reads of a message: a host's own class that has these five works as it is.

    ``id`` is unique within its room; ``user`` is the author's id; ``timestamp`` is aware; ``extra`` is a mapping of
    JSON values that roomstate carries along unread (but for ``reply_to``, the id of the message answered).
    Memory keeps the host's object; stores and the wire give `Message`, unless the manager was given
    ``make_message``.
    """

    @property
    def id(self) -> str:
        """Unique within its room."""
        ...

    @property
    def user(self) -> str:
        """The author's id."""
        ...

    @property
    def content(self) -> str:
        """The text."""
        ...

    @property
    def timestamp(self) -> datetime:
        """When it was written; aware."""
        ...

    @property
    def extra(self) -> Mapping[str, Any]:
        """The host's own JSON fields."""
        ...


class Message(Struct, frozen=True, gc=False, omit_defaults=True):
    """One chat message.

    ``id`` (1 to ``MAX_ID`` characters) is unique within its room; ``user`` is the author's id; ``content`` has at
    most ``MAX_CONTENT`` characters; ``timestamp`` is aware, and left out it is stamped on publishing. ``badges``
    are the author's at that time. ``extra`` holds the host's own JSON fields, which survive every path.

    >>> Message("1", "bob", "hi").content
    'hi'
    """

    id: Id
    user: Id
    content: Annotated[str, Meta(max_length=MAX_CONTENT)]
    timestamp: Time = UNSTAMPED
    badges: Badges = ()
    extra: Mapping[str, Any] = EMPTY


if TYPE_CHECKING:
    AnyMessage = MessageLike
else:
    AnyMessage = Message  # what the decoder makes; memory may hold any MessageLike


def as_message(message: MessageLike) -> Message:
    """Return ``message`` itself if it is a `Message`, else one with the same five fields. O(1).

    What else a host's own class has, badges among it, survives only in its ``extra``.
    """
    if isinstance(message, Message):
        return message
    extra = dict(message.extra) if message.extra else EMPTY
    return Message(message.id, message.user, message.content, message.timestamp, (), extra)


def check_message(message: MessageLike) -> None:
    """Raise ``InvalidValue`` unless ``message`` is what `MessageLike` says and can be written as JSON. O(its size)."""
    try:
        message_id, user, content = message.id, message.user, message.content
        timestamp: object = message.timestamp
        extra: object = message.extra
    except AttributeError as error:
        raise InvalidValue("message", f"must have id, user, content, timestamp and extra: {error}") from None
    check_id("message.id", message_id)
    check_id("message.user", user)
    check_text("message.content", content, MAX_CONTENT)
    if not isinstance(timestamp, datetime):
        raise InvalidValue("message.timestamp", "must be a datetime with a time zone")
    if timestamp.tzinfo is not UTC:
        check_time("message.timestamp", timestamp)
    if extra is not EMPTY:
        _check_extra(extra if isinstance(message, Message) or not isinstance(extra, Mapping) else dict(extra))
    if isinstance(message, Message) and message.badges != ():
        _check_badges(message.badges)


def _check_extra(extra: object) -> None:
    try:
        encoded = _encode(extra)
        same = _decode(encoded) == extra
    except (TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise InvalidValue("message.extra", f"cannot be written as JSON: {error}") from None
    _check_written("message.extra", encoded, extra)
    if not same or not isinstance(extra, dict):
        raise InvalidValue("message.extra", "must be a mapping that comes back from JSON as it was")


def _check_badges(badges: object) -> None:
    if not isinstance(badges, tuple | list):
        raise InvalidValue("message.badges", f"must be a tuple of str, got {type(badges).__name__}")
    if len(badges) > MAX_BADGES:
        raise InvalidValue("message.badges", f"must be at most {MAX_BADGES}, got {len(badges)}")
    for badge in badges:
        check_text("message.badges", badge, MAX_ID)


class User(Struct, frozen=True, gc=False, omit_defaults=True):
    """A person, as a room knows them. ``username`` defaults to the id; ``color`` is the host's own notation."""

    id: Id
    username: str = ""
    badges: Badges = ()
    color: str = ""
    extra: Mapping[str, Any] = EMPTY


class RoomConfig(Struct, frozen=True, gc=False, omit_defaults=True):
    """A room's configuration, in the words of the wire format. ``slow_mode_duration`` is in seconds."""

    slow_mode_enabled: bool = False
    slow_mode_duration: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    subscriber_only: bool = False
    follower_only: bool = False
    emote_only: bool = False
    extra: Mapping[str, Any] = EMPTY


class RoomInfo(Struct, frozen=True, gc=False, omit_defaults=True):
    """What every tier but UNLOADED can say of a room.

    ``user_count`` and ``moderator_count`` are those last told, or None where nobody has; ``last_activity`` is the
    newest message's time, ``last_config_update`` when this copy has last applied a configuration: by its own
    clock, so that it is no difference between copies.
    """

    user_count: int | None = None
    moderator_count: int | None = None
    stream_status: str = ""
    last_activity: Time | None = None
    last_config_update: Time | None = None


class Notification(Struct, frozen=True, gc=False, omit_defaults=True):
    """That a message concerns a user: ``kind`` says which rule found so (mention, reply, keyword, everything...)."""

    room_id: str
    user: str
    kind: str
    message_id: str
    seq: Seq
    timestamp: Time


class Annotation(Struct, frozen=True, gc=False, omit_defaults=True):
    """What has gathered on one message: when it was last edited, and who reacted with what, in order."""

    edited_at: Time | None = None
    reactions: Mapping[str, tuple[str, ...]] = EMPTY


class Echo(Struct, frozen=True, gc=False, omit_defaults=True):
    """A message that a client has sent and not yet seen come back: shown meanwhile, after all that has arrived.

    ``client_id`` is its own name for it, unique in its room. ``sent_at`` is when it was sent first: the message's time,
    however often it is sent, so that the authority knows a repetition. ``tried_at`` is when it was sent last; both are
    in seconds since 1970.
    ``message_id`` and ``seq`` are what the authority has acknowledged it as ("" and 0 before). ``failed`` says why it
    was not taken ("" where it was not refused), and ``retryable`` whether sending it again may help.
    """

    client_id: Id
    user: Id
    content: Annotated[str, Meta(max_length=MAX_CONTENT)]
    sent_at: float
    extra: Mapping[str, Any] = EMPTY
    message_id: str = ""
    seq: int = 0
    failed: str = ""
    retryable: bool = True
    tried_at: float = 0.0


class Count(Struct, frozen=True, gc=False):
    """A number that says whether it is all: ``exact``, or "at least ``value``" where the log was cut.

    It has no truth value, so that "at least 0" cannot pass for "none".

    >>> str(Count(3)), str(Count(3, exact=False))
    ('3', '3+')
    """

    value: int
    exact: bool = True

    def __bool__(self) -> bool:
        raise TypeError("a Count may be 'at least 0': ask for its value and exact")

    def __str__(self) -> str:
        return str(self.value) if self.exact else f"{self.value}+"


class Unread(Struct, frozen=True, gc=False):
    """What a user has not read of a room: ``messages`` of others, and ``mentions`` of the user among them."""

    messages: Count
    mentions: Count


class Marker(Struct, gc=False):
    """How far a user has read a room: the value that images keep; `room.unread` alone changes it.

    ``seq`` is the position read up to and including, ``ordinal`` the number of messages up to it. ``own`` counts the
    messages after it that need no reading: the user's own, and removed ones. ``mentions`` are the positions (at most
    100) of messages after it that concern the user; of those at or below ``mentioned_after`` some may have been
    dropped. ``cut`` says that messages may have been missed, so that counts are "at least".
    """

    seq: Seq
    ordinal: Seq
    own: Seq = 0
    mentions: tuple[Seq, ...] = ()
    cut: bool = False
    mentioned_after: Seq = 0


class Tier(IntEnum):
    """How much of a room this process keeps. Written by name, never by number."""

    UNLOADED = 0
    CACHED = 1
    BACKGROUND = 2
    ACTIVE = 3


class Status(Enum):
    """What a view's contents are worth.

    LOADING: some of what the tier holds has not arrived. READY: all is here. STALE: it was, and the source, or
    the log that must have it, cannot be reached now. ERROR: the last load failed; what is held is intact.
    """

    LOADING = "loading"
    READY = "ready"
    STALE = "stale"
    ERROR = "error"


PresenceState = Literal["online", "away", "busy", "offline"]
