"""What each update does to a live room: the only code that changes a room's contents.

`apply` looks at everything first and changes something only then: an update that is refused has changed nothing. What
an update means depends on the tier: `MEANINGS` has a cell for every pair, and `docs/reference/meanings.md` shows it.
`RoomStateManager.publish` has a short way for the one case that must be fast, a plainly new message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from msgspec import MsgspecError, Struct, structs
from msgspec.json import Decoder, Encoder

from roomstate.errors import InvalidValue
from roomstate.model import (
    EMPTY,
    Annotation,
    Message,
    MessageLike,
    Tier,
    as_message,
    check_kept,
    check_message,
    check_time,
)
from roomstate.room.states import ActiveRoom, Limits, LiveRoom
from roomstate.room.timeline import Timeline
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

__all__ = [
    "APPLIED",
    "MAX_REACTIONS",
    "MAX_REACTORS",
    "MAX_UPDATE",
    "MEANINGS",
    "Change",
    "MakeMessage",
    "Meaning",
    "Outcome",
    "apply",
    "apply_logged",
    "check_message",
    "check_update",
    "made",
]

MAX_REACTIONS = 100
"""Different reactions on one message; Discord allows 20, Slack 23 a user."""

MAX_REACTORS = 1000
"""Users remembered per reaction of a message."""

MAX_UPDATE = 1 << 21
"""Bytes of one update as JSON: room for the longest content with every character escaped."""

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
    """What `apply` did: the outcome, why where that is not plain, and a removed message that was held, with its seq."""

    outcome: Outcome
    reason: str = ""
    removed: MessageLike | None = None
    removed_seq: int = 0


APPLIED: Final = Change(Outcome.APPLIED)

_NO_NOTE: Final = Annotation()
_encode = Encoder().encode
_DECODERS: Final = {kind: Decoder(kind).decode for kind in KINDS}

_HELD_IN_BACKGROUND = (
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ReactionAdded,
    ReactionRemoved,
    RoomConfigChanged,
    ModerationConfigChanged,
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

    ``now`` is in seconds since 1970. ``make`` turns an edited message back into the host's own class. Raises
    ``InvalidValue`` for what is not a sound update (`check_update`), and has then changed nothing; nor has it where the
    outcome is not APPLIED. What a handler costs beyond the check (2 µs): O(1), O(log n) to find a message, and with
    messages whose time is not above the timeline's ``horizon`` a search of the last 4,096 ids.
    """
    try:
        if type(update) is MessageAdded and not room.timeline.by_time and room.timeline.add(update.message, seq):
            return APPLIED  # the short way of almost all: a plainly new message, at which the window has looked
    except (TypeError, AttributeError):
        pass  # not a message, or not a time: a closer look says what is wrong
    check_update(update)
    kind = type(update)
    if MEANINGS[room.tier, kind] is Meaning.MISFIT:
        return Change(Outcome.MISFIT, f"{kind.__name__} means nothing to a {room.tier.name} room")
    change = _HANDLERS[kind](room, update, _Context(seq, now, limits, make))
    if change.outcome is Outcome.APPLIED:
        if kind in LOGGED:
            room.head = seq
        else:
            room.changes += 1
    return change


def apply_logged(
    room: LiveRoom, update: Update, seq: int, now: float, limits: Limits, make: MakeMessage | None = None
) -> Change:
    """Apply what a log says at ``seq``, as `apply` does; but a log may say a message again that it has forgotten.

    Of a log that was cut, a message that left the window long ago may come to a new place: it is shown there, unless it
    is held, or was removed. ``by_time`` its place would be behind the window, and it stays a DUPLICATE. O(window) for
    one that is known, and what `apply` costs for others.
    """
    change = apply(room, update, seq, now, limits, make)
    timeline = room.timeline
    if change.outcome is Outcome.DUPLICATE and isinstance(update, MessageAdded) and not timeline.by_time:
        timeline.settle()
        if update.message.id not in timeline and update.message.id not in timeline.tombstones:
            timeline.append(update.message, seq)
            return APPLIED
    return change


def check_update(update: Update) -> None:
    """Raise ``InvalidValue`` unless ``update`` is sound: one of the union that comes back from JSON as it was. O(size).

    So what is applied can be logged and read again. A message is looked at field by field, as it may be of a host's own
    class.
    """
    kind: type[Any] = type(update)
    if isinstance(update, MessageAdded):
        check_message(update.message)
        return
    decode = _DECODERS.get(kind)
    if decode is None:
        raise InvalidValue("update", f"must be one of the updates in roomstate.updates, got {kind.__name__}")
    try:
        encoded = _encode(update)
        same = decode(encoded) == update
    except (MsgspecError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise InvalidValue(f"{kind.__name__}.{path[:-1]}" if path else kind.__name__, reason) from None
    if len(encoded) > MAX_UPDATE:
        raise InvalidValue(kind.__name__, f"must have at most {MAX_UPDATE} bytes as JSON, got {len(encoded)}")
    if not same:
        raise InvalidValue(kind.__name__, "must come back from JSON as it was: a field is of another type")
    _check_own(kind.__name__, update)


def _check_own(where: str, update: Update) -> None:
    """Raise ``InvalidValue`` for a host's own fields, or times, that could not be told to others. O(size)."""
    for name in ("user", "config", "notification"):
        part = getattr(update, name, None)
        if isinstance(part, Struct):
            _check_part(f"{where}.{name}", part)
        elif isinstance(part, Mapping):
            check_kept(f"{where}.{name}", part)
    _check_part(where, update)


def _check_part(where: str, part: Struct) -> None:
    check_kept(f"{where}.extra", getattr(part, "extra", None))
    for name in ("timestamp", "edited_at"):
        time = getattr(part, name, None)
        if time is not None:
            check_time(f"{where}.{name}", time)


def made(message: Message, make: MakeMessage) -> MessageLike:
    """Return ``message`` as the host's own class. Raises ``InvalidValue`` where ``make`` does not do its job."""
    result = make(message)
    check_message(result)
    if result.id != message.id:
        raise InvalidValue("make_message", f"must keep the id {message.id!r}, got {result.id!r}")
    return result


class _Context(Struct, frozen=True):
    seq: int
    now: float
    limits: Limits
    make: MakeMessage | None

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


def _message_added(room: LiveRoom, update: MessageAdded, at: _Context) -> Change:
    message = update.message
    timeline = room.timeline
    if not timeline.is_new(message) and timeline.knows(message.id):  # which may cost microseconds
        return _repeated(timeline, message)
    if timeline.by_time:
        timeline.insert(message, at.seq)
    else:
        timeline.append(message, at.seq)
    return APPLIED


def _repeated(timeline: Timeline, message: MessageLike) -> Change:
    held = timeline.get(message.id)
    if held is None:
        return Change(Outcome.DUPLICATE, "was removed, or has left the window")
    edited = timeline.annotations.get(message.id, _NO_NOTE).edited_at is not None
    if edited or (held.user, held.content) == (message.user, message.content):
        return Change(Outcome.DUPLICATE, "is held already")
    return Change(Outcome.MISFIT, f"message {message.id!r} is held already, with other content")


def _message_edited(room: LiveRoom, update: MessageEdited, at: _Context) -> Change:
    timeline = room.timeline
    old = timeline.get(update.message_id)
    if old is not None:
        timeline.replace(_edited(old, update, at.make))
        note = timeline.annotations.get(old.id, _NO_NOTE)
        timeline.annotate(old.id, structs.replace(note, edited_at=update.edited_at or at.time))
    return APPLIED


def _edited(old: MessageLike, update: MessageEdited, make: MakeMessage | None) -> MessageLike:
    plain = as_message(old)
    extra = {**plain.extra, **update.extra} if update.extra else plain.extra
    changed = structs.replace(plain, content=update.content, extra=extra, timestamp=update.timestamp or plain.timestamp)
    check_message(changed)
    return changed if make is None else made(changed, make)


def _message_removed(room: LiveRoom, update: MessageRemoved, at: _Context) -> Change:
    seq = room.timeline.seq_of(update.message_id)
    message = room.timeline.remove(update.message_id)
    if message is None or seq is None:
        return APPLIED
    return Change(Outcome.APPLIED, removed=message, removed_seq=seq)


def _reaction(room: LiveRoom, update: ReactionAdded | ReactionRemoved, at: _Context) -> Change:
    timeline = room.timeline
    note = timeline.annotations.get(update.message_id, _NO_NOTE)
    users = note.reactions.get(update.emoji, ())
    if update.message_id not in timeline or (update.user in users) == isinstance(update, ReactionAdded):
        return APPLIED
    if isinstance(update, ReactionRemoved):
        users = tuple(user for user in users if user != update.user)
    elif len(users) >= MAX_REACTORS or len({**note.reactions, update.emoji: ()}) > MAX_REACTIONS:
        return Change(Outcome.MISFIT, "the message has as many reactions as are kept")
    else:
        users = (*users, update.user)
    reactions = {**note.reactions, update.emoji: users}
    if not users:
        del reactions[update.emoji]
    timeline.annotate(update.message_id, structs.replace(note, reactions=reactions or EMPTY))
    return APPLIED


def _joined(room: LiveRoom, update: UserJoined, at: _Context) -> Change:
    known = update.user.id in room.roster
    if isinstance(room, ActiveRoom):
        room.roster.join(update.user)
    _count(room, 0 if known else 1)
    return APPLIED


def _left(room: LiveRoom, update: UserLeft, at: _Context) -> Change:
    known = room.roster.leave(update.user_id) is not None
    if isinstance(room, ActiveRoom):
        room.typing.pop(update.user_id, None)
    _count(room, -1 if known or not room.roster.complete else 0)
    return APPLIED


def _user_updated(room: LiveRoom, update: UserUpdated, at: _Context) -> Change:
    if update.user.id in room.roster:
        room.roster.join(update.user)
    return APPLIED


def _count(room: LiveRoom, step: int) -> None:
    """Move the count of users: the roster's own where that is complete, else the one last told, if any was."""
    told = room.info.user_count
    count = len(room.roster) if room.roster.complete else None if told is None else max(0, told + step)
    if count != told:
        room.info = structs.replace(room.info, user_count=count)


def _room_config(room: LiveRoom, update: RoomConfigChanged, at: _Context) -> Change:
    room.config = update.config
    room.info = structs.replace(room.info, last_config_update=at.time)
    return APPLIED


def _moderation(room: LiveRoom, update: ModerationConfigChanged, at: _Context) -> Change:
    room.moderation = dict(update.config)
    return APPLIED


def _stream_status(room: LiveRoom, update: StreamStatusChanged, at: _Context) -> Change:
    room.info = structs.replace(room.info, stream_status=update.status)
    return APPLIED


def _counts(room: LiveRoom, update: CountsChanged, at: _Context) -> Change:
    told = {name: value for name, value in structs.asdict(update).items() if value is not None}
    room.info = structs.replace(room.info, **told)
    return APPLIED


def _presence(room: LiveRoom, update: PresenceChanged, at: _Context) -> Change:
    room.roster.set_presence(update.user_id, update.state)
    return APPLIED


def _typing(room: LiveRoom, update: TypingChanged, at: _Context) -> Change:
    assert isinstance(room, ActiveRoom)  # MEANINGS: a misfit elsewhere
    if update.expires_s > 0 and update.user_id not in room.typing and len(room.typing) >= at.limits.typing:
        return Change(Outcome.MISFIT, f"{at.limits.typing} members type already")
    room.typing.pop(update.user_id, None)
    if update.expires_s > 0:
        room.typing[update.user_id] = at.now + update.expires_s
    return APPLIED


def _notification(room: LiveRoom, update: NotificationAdded, at: _Context) -> Change:
    room.note(update.notification, at.limits)
    return APPLIED


def _receipt(room: LiveRoom, update: ReceiptRead, at: _Context) -> Change:
    return APPLIED  # what is read is kept outside the tiers, by `ReadState`


_HANDLERS: Final[dict[type[Any], Callable[[Any, Any, _Context], Change]]] = {
    MessageAdded: _message_added,
    MessageEdited: _message_edited,
    MessageRemoved: _message_removed,
    ReactionAdded: _reaction,
    ReactionRemoved: _reaction,
    UserJoined: _joined,
    UserLeft: _left,
    UserUpdated: _user_updated,
    RoomConfigChanged: _room_config,
    ModerationConfigChanged: _moderation,
    StreamStatusChanged: _stream_status,
    CountsChanged: _counts,
    PresenceChanged: _presence,
    TypingChanged: _typing,
    ReceiptRead: _receipt,
    NotificationAdded: _notification,
}
