"""What a client wants to happen, before it may: whose it is, and whether it is theirs to want."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import structs

from roomstate.manager import RoomStateManager
from roomstate.model import Message, as_message
from roomstate.sync.frames import Send
from roomstate.updates import (
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    ReceiptRead,
    TypingChanged,
    Update,
    UserJoined,
    UserLeft,
    UserUpdated,
)

__all__ = ["owned", "repeated", "stamped"]

_BY_USER: Final = (MessageRemoved, ReactionAdded, ReactionRemoved)
_OF_USER: Final = (PresenceChanged, TypingChanged, ReceiptRead, UserLeft)
_RECORDS: Final = (UserJoined, UserUpdated)
_OWN: Final = (MessageAdded, ReactionAdded, ReactionRemoved, PresenceChanged, TypingChanged, ReceiptRead)


def stamped(update: Update, now: float, *, client_id: str, user: str, badges: tuple[str, ...] = ()) -> Update:
    """Return ``update`` as ``user``'s own, whatever it says of itself. O(1).

    A message has ``client_id`` for its id, so that a repetition is the same message, the time ``now``, and the user's
    ``badges``; so has a member's record. An edit moves no message.
    """
    if isinstance(update, MessageAdded):
        message = as_message(update.message)
        at = datetime.fromtimestamp(now, UTC)
        return MessageAdded(Message(client_id, user, message.content, at, badges, message.extra))
    if isinstance(update, _BY_USER):
        return structs.replace(update, user=user)
    if isinstance(update, _OF_USER):
        return structs.replace(update, user_id=user)
    if isinstance(update, _RECORDS):
        return structs.replace(update, user=structs.replace(update.user, id=user, badges=badges))
    if isinstance(update, MessageEdited):
        return structs.replace(update, timestamp=None)
    return update


def repeated(manager: RoomStateManager, frame: Send) -> bool:
    """Whether a client sends a message again that the room has let go of, by when it says to have written it.

    Once it is `stamped` with the time now it seems newer than all those, and where no log knows its id it would be
    taken for another. O(1), for an old one O(4,096).
    """
    if not isinstance(frame.update, MessageAdded):
        return False
    return manager.remembers(frame.room_id, structs.replace(as_message(frame.update.message), id=frame.client_id))


def owned(manager: RoomStateManager, room_id: str, user: str, update: Update) -> bool:
    """Whether ``update`` concerns nothing but what is the user's own: what a client may do where the host says nothing.

    Messages, reactions, presence, typing and receipts; edits and removals of the user's own messages, as far as they
    are in memory. Not: who is a member, configuration, counts, status, notifications. O(1).
    """
    if isinstance(update, MessageEdited | MessageRemoved):
        found = manager.find(room_id, update.message_id)
        return found is not None and found[1].user == user
    return isinstance(update, _OWN)
