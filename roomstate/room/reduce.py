"""What each update does to a live room: the only code that changes a room's contents.

`apply` looks at everything first and changes something only then: an update that is refused has changed nothing. What
an update means depends on the tier: `MEANINGS` has a cell for every pair, and `docs/reference/meanings.md` shows it.
`Timeline.add` is the short way for the one case that must be fast, a plainly new message.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from msgspec import Struct, structs

from roomstate.errors import InvalidValue
from roomstate.model import (
    EMPTY,
    MAX_CONTENT,
    Annotation,
    Message,
    MessageLike,
    Tier,
    as_message,
    check_id,
)
from roomstate.room.states import ActiveRoom, BackgroundRoom, Limits, LiveRoom
from roomstate.updates import (
    KINDS,
    LOGGED,
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ModerationConfigChanged,
    NotificationAdded,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    ReceiptRead,
    RoomConfigChanged,
    StreamStatusChanged,
    TypingChanged,
    Update,
    UserJoined,
    UserLeft,
    UserUpdated,
)

__all__ = ["APPLIED", "MEANINGS", "Change", "MakeMessage", "Meaning", "Outcome", "apply", "check_message"]

MAX_REACTIONS = 100
"""Different reactions on one message; Discord allows 20, Slack 23 a user."""

MAX_REACTORS = 1000
"""Users remembered per reaction of a message."""

MakeMessage = Callable[[Message], MessageLike]


class Meaning(Enum):
    """What a kind of update means at a tier."""

    HELD = "held"  # it changes what the tier holds
    COUNTED = "counted"  # only a number that the tier holds changes
    LOGGED = "logged"  # it takes its seq and reaches the log; nothing of it is held here
    MISFIT = "misfit"  # it means nothing here: counted, and told as a Misfit event


class Outcome(Enum):
    """What became of an update."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"  # known already: nothing to do
    MISFIT = "misfit"  # no meaning here


class Change(Struct, frozen=True):
    """What `apply` did: the outcome, why where that is not plain, and a removed message with its position."""

    outcome: Outcome
    reason: str = ""
    removed: MessageLike | None = None
    removed_seq: int = 0


APPLIED: Final = Change(Outcome.APPLIED)

_HELD_IN_BACKGROUND = (
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ReactionAdded,
    ReactionRemoved,
    RoomConfigChanged,
    StreamStatusChanged,
    CountsChanged,
    NotificationAdded,
    ReceiptRead,
)
_COUNTED_IN_BACKGROUND = (UserJoined, UserLeft, PresenceChanged)


def _meaning(tier: Tier, kind: type[Struct]) -> Meaning:
    if tier is Tier.ACTIVE or kind is ReceiptRead:
        return Meaning.HELD
    if tier is Tier.BACKGROUND:
        if kind in _HELD_IN_BACKGROUND:
            return Meaning.HELD
        if kind in _COUNTED_IN_BACKGROUND:
            return Meaning.COUNTED
    if kind in LOGGED:
        return Meaning.LOGGED
    return Meaning.COUNTED if kind is NotificationAdded else Meaning.MISFIT


MEANINGS: Final[dict[tuple[Tier, type[Struct]], Meaning]] = {
    (tier, kind): _meaning(tier, kind) for tier in reversed(Tier) for kind in KINDS
}


def apply(
    room: LiveRoom, update: Update, seq: int, now: float, limits: Limits, make: MakeMessage | None = None
) -> Change:
    """Apply ``update`` to ``room`` and return what that did; a logged update moves ``room.head`` to ``seq``.

    ``make`` turns an edited message back into the host's own class. Raises ``InvalidValue`` for an update whose fields
    are out of range, and has then changed nothing; nor has it where the outcome is not APPLIED.
    """
    kind = type(update)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise InvalidValue("update", f"must be one of the updates in roomstate.updates, got {kind.__name__}")
    if MEANINGS[room.tier, kind] is Meaning.MISFIT:
        return Change(Outcome.MISFIT, f"{kind.__name__} means nothing to a {room.tier.name} room")
    change = handler(room, update, _Context(seq, now, limits, make))
    if change.outcome is Outcome.APPLIED:
        if kind in LOGGED:
            room.head = seq
        else:
            room.changes += 1
    return change


class _Context(Struct, frozen=True):
    seq: int
    now: float
    limits: Limits
    make: MakeMessage | None

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


def check_message(message: MessageLike) -> None:
    """Raise ``InvalidValue`` unless the five fields are what `MessageLike` says. O(length of the id)."""
    check_id("message.id", message.id)
    check_id("message.user", message.user)
    content: object = message.content
    if not isinstance(content, str) or len(content) > MAX_CONTENT:
        raise InvalidValue("message.content", f"must be text of at most {MAX_CONTENT} characters")
    timestamp: object = message.timestamp
    if not isinstance(timestamp, datetime) or timestamp.utcoffset() is None:
        raise InvalidValue("message.timestamp", "must be a datetime with a time zone")


def _message_added(room: LiveRoom, update: MessageAdded, at: _Context) -> Change:
    message = update.message
    timeline = room.timeline
    if not isinstance(message, (Message, MessageLike)):  # asking the protocol costs microseconds
        raise InvalidValue("message", f"must have id, user, content, timestamp and extra, got {type(message).__name__}")
    check_message(message)
    if not timeline.by_time and timeline.add(message, at.seq):
        return APPLIED
    if timeline.knows(message.id):  # which costs microseconds too
        return _repeated(room, message)
    if timeline.by_time:
        timeline.insert(message, at.seq)
    else:
        timeline.append(message, at.seq)
    return APPLIED


def _repeated(room: LiveRoom, message: MessageLike) -> Change:
    held = room.timeline.get(message.id)
    if held is None:
        return Change(Outcome.DUPLICATE, "was removed, or has left the window")
    if (held.user, held.content) == (message.user, message.content) or message.id in room.timeline.annotations:
        return Change(Outcome.DUPLICATE, "is held already")
    return Change(Outcome.MISFIT, f"message {message.id!r} is held already, with other content")


def _message_edited(room: LiveRoom, update: MessageEdited, at: _Context) -> Change:
    check_id("message_id", update.message_id)
    if len(update.content) > MAX_CONTENT:
        raise InvalidValue("content", f"must have at most {MAX_CONTENT} characters")
    timeline = room.timeline
    old = timeline.get(update.message_id)
    if old is not None:
        timeline.replace(_edited(old, update, at.make))
        note = timeline.annotations.get(old.id, Annotation())
        edited_at = update.edited_at or at.time
        if old.id in timeline:  # unless its new length, or its new time, has just dropped it
            timeline.annotations[old.id] = structs.replace(note, edited_at=edited_at)
    return APPLIED


def _edited(old: MessageLike, update: MessageEdited, make: MakeMessage | None) -> MessageLike:
    plain = as_message(old)
    extra = {**plain.extra, **update.extra} if update.extra else plain.extra
    changed = structs.replace(plain, content=update.content, extra=extra, timestamp=update.timestamp or plain.timestamp)
    return changed if make is None else make(changed)


def _message_removed(room: LiveRoom, update: MessageRemoved, at: _Context) -> Change:
    check_id("message_id", update.message_id)
    seq = room.timeline.seq_of(update.message_id)
    message = room.timeline.remove(update.message_id)
    return APPLIED if message is None else Change(Outcome.APPLIED, "", message, seq or 0)


def _reaction(room: LiveRoom, update: ReactionAdded | ReactionRemoved, at: _Context) -> Change:
    check_id("message_id", update.message_id)
    check_id("user", update.user)
    if not 0 < len(update.emoji) <= 64:
        raise InvalidValue("emoji", "must have 1 to 64 characters")
    timeline = room.timeline
    if update.message_id not in timeline:
        return APPLIED
    note = timeline.annotations.get(update.message_id, Annotation())
    users = [user for user in note.reactions.get(update.emoji, ()) if user != update.user]
    if isinstance(update, ReactionAdded):
        if len(users) >= MAX_REACTORS or (not users and len(note.reactions) >= MAX_REACTIONS):
            return Change(Outcome.MISFIT, "the message has as many reactions as are kept")
        users.append(update.user)
    reactions = {**note.reactions, update.emoji: tuple(users)}
    if not users:
        del reactions[update.emoji]
    timeline.annotations[update.message_id] = structs.replace(note, reactions=reactions or EMPTY)
    return APPLIED


def _member(room: LiveRoom, update: UserJoined | UserLeft | UserUpdated, at: _Context) -> Change:
    user_id = update.user_id if isinstance(update, UserLeft) else update.user.id
    check_id("user.id", user_id)
    step = {UserJoined: 1, UserLeft: -1, UserUpdated: 0}[type(update)]
    if isinstance(room, ActiveRoom):
        known = user_id in room.roster
        if isinstance(update, UserLeft):
            room.roster.leave(user_id)
            room.typing.pop(user_id, None)
        elif isinstance(update, UserJoined) or known:
            room.roster.join(update.user)
        if room.roster.complete:
            step = len(room.roster) - (room.info.user_count or 0)
        elif known == (step > 0):
            step = 0
    _count(room, step)
    return APPLIED


def _count(room: LiveRoom, step: int) -> None:
    if step and (room.info.user_count is not None or step > 0):
        room.info = structs.replace(room.info, user_count=max(0, (room.info.user_count or 0) + step))


def _room_config(room: LiveRoom, update: RoomConfigChanged, at: _Context) -> Change:
    room.config = update.config
    room.info = structs.replace(room.info, last_config_update=at.time)
    return APPLIED


def _moderation(room: LiveRoom, update: ModerationConfigChanged, at: _Context) -> Change:
    if isinstance(room, ActiveRoom):
        room.moderation = dict(update.config)
    return APPLIED


def _stream_status(room: LiveRoom, update: StreamStatusChanged, at: _Context) -> Change:
    room.info = structs.replace(room.info, stream_status=update.status)
    return APPLIED


def _counts(room: LiveRoom, update: CountsChanged, at: _Context) -> Change:
    for name in ("user_count", "moderator_count"):
        value = getattr(update, name)
        if value is not None and not 0 <= value <= 1 << 53:
            raise InvalidValue(name, f"must be in [0, 2**53], got {value}")
    told = {name: value for name, value in structs.asdict(update).items() if value is not None}
    room.info = structs.replace(room.info, **told)
    return APPLIED


def _presence(room: LiveRoom, update: PresenceChanged, at: _Context) -> Change:
    check_id("user_id", update.user_id)
    if isinstance(room, ActiveRoom):
        room.roster.set_presence(update.user_id, update.state)
    elif isinstance(room, BackgroundRoom):
        room.present = max(0, room.present + (-1 if update.state == "offline" else 1))
    return APPLIED


def _typing(room: LiveRoom, update: TypingChanged, at: _Context) -> Change:
    check_id("user_id", update.user_id)
    if not 0 <= update.expires_s <= 300:
        raise InvalidValue("expires_s", f"must be in [0, 300] seconds, got {update.expires_s}")
    assert isinstance(room, ActiveRoom)  # MEANINGS: a misfit elsewhere
    room.typing.pop(update.user_id, None)
    if update.expires_s > 0:
        if len(room.typing) >= at.limits.typing:
            return Change(Outcome.MISFIT, f"{at.limits.typing} members type already")
        room.typing[update.user_id] = at.now + update.expires_s
    return APPLIED


def _notification(room: LiveRoom, update: NotificationAdded, at: _Context) -> Change:
    room.note(update.notification, at.limits)
    return APPLIED


def _receipt(room: LiveRoom, update: ReceiptRead, at: _Context) -> Change:
    check_id("user_id", update.user_id)
    check_id("message_id", update.message_id)
    return APPLIED  # what is read is kept outside the tiers, by `ReadState`


_HANDLERS: Final[dict[type[Any], Callable[[Any, Any, _Context], Change]]] = {
    MessageAdded: _message_added,
    MessageEdited: _message_edited,
    MessageRemoved: _message_removed,
    ReactionAdded: _reaction,
    ReactionRemoved: _reaction,
    UserJoined: _member,
    UserLeft: _member,
    UserUpdated: _member,
    RoomConfigChanged: _room_config,
    ModerationConfigChanged: _moderation,
    StreamStatusChanged: _stream_status,
    CountsChanged: _counts,
    PresenceChanged: _presence,
    TypingChanged: _typing,
    ReceiptRead: _receipt,
    NotificationAdded: _notification,
}
