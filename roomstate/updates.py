"""Everything that can happen in a room: a closed union.

Logged updates take a seq of the room's log each; ephemeral ones (presence, typing, receipts, notifications) take
none and are never stored. At rest and in a journal an update is JSON with its kind under ``"kind"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from roomstate.model import (
    MAX_CONTENT,
    MAX_ID,
    AnyMessage,
    Id,
    Notification,
    PresenceState,
    RoomConfig,
    Seq,
    Time,
    User,
)

__all__ = [
    "ABOUT_MESSAGES",
    "EPHEMERAL",
    "KINDS",
    "LOGGED",
    "SETTINGS",
    "CountsChanged",
    "MessageAdded",
    "MessageEdited",
    "MessageRemoved",
    "ModerationConfigChanged",
    "NotificationAdded",
    "PresenceChanged",
    "ReactionAdded",
    "ReactionRemoved",
    "ReceiptRead",
    "RoomConfigChanged",
    "StreamStatusChanged",
    "TypingChanged",
    "Update",
    "UserJoined",
    "UserLeft",
    "UserUpdated",
]


class _Update(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="kind"):
    """What all updates share: how they are made and written, nothing else."""


class MessageAdded(_Update, frozen=True, gc=False, tag="message_added"):
    """A message was posted. Any `MessageLike` will do; the decoder makes a `Message`."""

    message: AnyMessage


class MessageEdited(_Update, frozen=True, gc=False, tag="message_edited"):
    """A message has new content. ``extra`` replaces the named fields of the message's own, None leaves them.

    ``timestamp`` set moves the message, in rooms without positions; ``edited_at`` is when it was edited.
    """

    message_id: Id
    content: Annotated[str, Meta(max_length=MAX_CONTENT)]
    edited_at: Time | None = None
    extra: Mapping[str, Any] | None = None
    timestamp: Time | None = None


class MessageRemoved(_Update, frozen=True, gc=False, tag="message_removed"):
    """A message was removed, by ``user`` where that is known. A late copy does not bring it back."""

    message_id: Id
    user: Annotated[str, Meta(max_length=MAX_ID)] = ""


class ReactionAdded(_Update, frozen=True, gc=False, tag="reaction_added"):
    """``user`` put the reaction ``emoji`` on a message. The same twice is one."""

    message_id: Id
    user: Id
    emoji: Annotated[str, Meta(min_length=1, max_length=64)]


class ReactionRemoved(_Update, frozen=True, gc=False, tag="reaction_removed"):
    """``user`` took the reaction ``emoji`` off a message."""

    message_id: Id
    user: Id
    emoji: Annotated[str, Meta(min_length=1, max_length=64)]


class UserJoined(_Update, frozen=True, gc=False, tag="user_joined"):
    """A member came in, or is named again: the newer record replaces the older."""

    user: User


class UserLeft(_Update, frozen=True, gc=False, tag="user_left"):
    """A member went away."""

    user_id: Id


class UserUpdated(_Update, frozen=True, gc=False, tag="user_updated"):
    """A member's record changed; it is given whole."""

    user: User


class RoomConfigChanged(_Update, frozen=True, gc=False, tag="room_config_changed"):
    """The room's configuration is now this, whole. It applies at every tier."""

    config: RoomConfig


class ModerationConfigChanged(_Update, frozen=True, gc=False, tag="moderation_config_changed"):
    """The room's moderation settings are now this mapping, whole; roomstate does not read it."""

    config: Mapping[str, Any]


class StreamStatusChanged(_Update, frozen=True, gc=False, tag="stream_status_changed"):
    """The stream that the room belongs to is now ``status`` (the host's own word: "live", "offline"...)."""

    status: Annotated[str, Meta(max_length=64)]


class CountsChanged(_Update, frozen=True, gc=False, tag="counts_changed"):
    """The source's own count of members and moderators; None leaves a count as it is."""

    user_count: Seq | None = None
    moderator_count: Seq | None = None


class PresenceChanged(_Update, frozen=True, gc=False, tag="presence_changed"):
    """A member is online, away, busy or offline. Ephemeral."""

    user_id: Id
    state: PresenceState


class TypingChanged(_Update, frozen=True, gc=False, tag="typing_changed"):
    """A member is typing for the next ``expires_s`` seconds; 0 means that they have stopped. Ephemeral."""

    user_id: Id
    expires_s: Annotated[float, Meta(ge=0, le=300)] = 6.0


class ReceiptRead(_Update, frozen=True, gc=False, tag="receipt_read"):
    """``user_id`` has read up to and including a message. May come late, repeated or early. Ephemeral."""

    user_id: Id
    message_id: Id


class NotificationAdded(_Update, frozen=True, gc=False, tag="notification_added"):
    """A notification for one user, made by this manager's rules or by the source. Ephemeral."""

    notification: Notification


Update: TypeAlias = (
    MessageAdded
    | MessageEdited
    | MessageRemoved
    | ReactionAdded
    | ReactionRemoved
    | UserJoined
    | UserLeft
    | UserUpdated
    | RoomConfigChanged
    | ModerationConfigChanged
    | StreamStatusChanged
    | CountsChanged
    | PresenceChanged
    | TypingChanged
    | ReceiptRead
    | NotificationAdded
)

LOGGED: tuple[type[Struct], ...] = (
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ReactionAdded,
    ReactionRemoved,
    UserJoined,
    UserLeft,
    UserUpdated,
    RoomConfigChanged,
    ModerationConfigChanged,
    StreamStatusChanged,
    CountsChanged,
)
EPHEMERAL: tuple[type[Struct], ...] = (PresenceChanged, TypingChanged, ReceiptRead, NotificationAdded)
SETTINGS = (RoomConfigChanged, ModerationConfigChanged, StreamStatusChanged)
"""What holds until it is told again: nothing that comes later would make up for one that was lost."""
ABOUT_MESSAGES = (MessageAdded, MessageEdited, MessageRemoved, ReactionAdded, ReactionRemoved)
"""What a window of messages can be made of again."""
KINDS: tuple[type[Struct], ...] = LOGGED + EPHEMERAL
