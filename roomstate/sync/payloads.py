"""What the four types of envelope carry: JSON's shapes as types, and what each says as updates.

The names are the specification's. The types are as strict as types can be: what the decoder makes of hostile bytes has
every length, range and form checked, but for a host's own fields, which `roomstate.sync.envelope` looks at afterwards.
Items keep JSON's form, so that an envelope is written as it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from roomstate.model import (
    EMPTY,
    MAX_CONTENT,
    MAX_ID,
    Annotation,
    Badges,
    Id,
    Marker,
    Message,
    MessageLike,
    Notification,
    PresenceState,
    RoomConfig,
    Seq,
    Time,
    User,
    as_message,
)
from roomstate.position import Gap
from roomstate.updates import (
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
    "BARE",
    "LISTS",
    "MAX_ITEMS",
    "MAX_MEMBERS",
    "NO_OTHERS",
    "AddedMessage",
    "BulkSync",
    "DeltaUpdate",
    "EditedMessage",
    "Heartbeat",
    "JoinedUser",
    "LeftUser",
    "Payload",
    "Reaction",
    "RemovedMessage",
    "StateUpdate",
    "UpdatedUser",
    "WireItem",
    "delta_of",
    "item_of",
    "others_of",
    "payload_of",
]

MAX_ITEMS = 10_000
"""Items in one list of an envelope: ten rooms of the specification's 1000 messages."""

MAX_MEMBERS = 50_000
"""Users in one image, and presences: as many as a room holds (`roomstate.room.roster`)."""

Emoji: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Content: TypeAlias = Annotated[str, Meta(max_length=MAX_CONTENT)]
Word: TypeAlias = Annotated[str, Meta(max_length=64)]
Kept: TypeAlias = Mapping[str, Any]
Few: Final = Meta(max_length=MAX_ITEMS)
Many: Final = Meta(max_length=MAX_MEMBERS)

KnownUser: TypeAlias = Callable[[str], User | None]


class _Item(Struct, frozen=True, gc=False, omit_defaults=True):
    """One logged thing in a DELTA_UPDATE; ``seq`` is its position, where it is said."""


class AddedMessage(_Item, frozen=True, gc=False):
    """A message with its body, in the specification's words."""

    id: Id
    user: Id
    content: Content
    timestamp: Time
    badges: Badges = ()
    extra: Kept = EMPTY
    seq: Seq | None = None

    @classmethod
    def of(cls, message: MessageLike, seq: int | None = None) -> AddedMessage:
        """Return a message of any class as the wire has it. O(1)."""
        plain = as_message(message)
        return cls(plain.id, plain.user, plain.content, plain.timestamp, plain.badges, plain.extra, seq)

    def update(self) -> Update:
        """Return what this says. O(1)."""
        return MessageAdded(Message(self.id, self.user, self.content, self.timestamp, self.badges, self.extra))


class EditedMessage(_Item, frozen=True, gc=False):
    """New content of a message; ``extra`` replaces the fields it names."""

    id: Id
    content: Content
    edited_at: Time | None = None
    extra: Kept | None = None
    timestamp: Time | None = None
    seq: Seq | None = None

    def update(self) -> Update:
        """Return what this says. O(1)."""
        return MessageEdited(self.id, self.content, self.edited_at, self.extra, self.timestamp)


class Reaction(_Item, frozen=True, gc=False):
    """That a user put a reaction on a message, or with ``removed`` took it off."""

    message_id: Id
    user: Id
    emoji: Emoji
    removed: bool = False
    seq: Seq | None = None

    def update(self) -> Update:
        """Return what this says. O(1)."""
        return (ReactionRemoved if self.removed else ReactionAdded)(self.message_id, self.user, self.emoji)


class RemovedMessage(_Item, frozen=True, gc=False):
    """That a message was removed, by ``user`` where that is known. A bare id says the same."""

    id: Id
    user: Annotated[str, Meta(max_length=MAX_ID)] = ""
    seq: Seq | None = None

    def update(self) -> Update:
        """Return what this says. O(1)."""
        return MessageRemoved(self.id, self.user)


class JoinedUser(_Item, frozen=True, gc=False):
    """A member who came in, in the specification's words."""

    id: Id
    username: str = ""
    badges: Badges = ()
    color: str = ""
    extra: Kept = EMPTY
    seq: Seq | None = None

    def update(self) -> Update:
        """Return what this says. O(1)."""
        return UserJoined(User(self.id, self.username, self.badges, self.color, self.extra))


class UpdatedUser(_Item, frozen=True, gc=False):
    """A patch of a member's record: a field that is absent stays as it is."""

    id: Id
    username: str | UnsetType = UNSET
    badges: Badges | UnsetType = UNSET
    color: str | UnsetType = UNSET
    extra: Kept | UnsetType = UNSET
    seq: Seq | None = None

    def update(self, known: User | None = None) -> UserUpdated:
        """Return what this says of ``known``, the record as it is; of an unknown user the patch is all. O(1)."""
        told = {name: getattr(self, name) for name in ("username", "badges", "color", "extra")}
        changed = {name: value for name, value in told.items() if value is not UNSET}
        return UserUpdated(structs.replace(known or User(self.id), **changed))


class LeftUser(_Item, frozen=True, gc=False):
    """That a member went away. A bare id says the same."""

    id: Id
    seq: Seq | None = None

    def update(self) -> Update:
        """Return what this says. O(1)."""
        return UserLeft(self.id)


WireItem: TypeAlias = AddedMessage | EditedMessage | Reaction | RemovedMessage | JoinedUser | UpdatedUser | LeftUser


class DeltaUpdate(Struct, frozen=True, omit_defaults=True):
    """What changed. A bare id in ``added_messages`` names a message whose body must be asked for.

    The four last are ephemeral: they take no position. ``typing`` gives for each user the seconds for which they are
    taken to type (0: they have stopped), ``receipts`` the message up to and including which each has read.
    """

    added_messages: Annotated[tuple[AddedMessage | Id, ...], Few] = ()
    edited_messages: Annotated[tuple[EditedMessage, ...], Few] = ()
    reactions: Annotated[tuple[Reaction, ...], Few] = ()
    removed_messages: Annotated[tuple[RemovedMessage | Id, ...], Few] = ()
    users_joined: Annotated[tuple[JoinedUser, ...], Few] = ()
    updated_users: Annotated[tuple[UpdatedUser, ...], Few] = ()
    users_left: Annotated[tuple[LeftUser | Id, ...], Few] = ()
    presence: Annotated[Mapping[Id, PresenceState], Many] = EMPTY
    typing: Annotated[Mapping[Id, Annotated[float, Meta(ge=0, le=300)]], Few] = EMPTY
    receipts: Annotated[Mapping[Id, Id], Few] = EMPTY
    notifications: Annotated[tuple[Notification, ...], Few] = ()

    def logged(self) -> list[tuple[str, WireItem | str]]:
        """Return every logged item with the name of its list, in order of application at one position. O(items)."""
        return [(name, item) for name in LISTS for item in getattr(self, name)]

    def entries(self, after: int, upto: int, user: KnownUser) -> list[tuple[int, Update]]:
        """Return all that this says, of positions ``(after, upto]``, in order of application. O(items log items)."""
        said: list[tuple[int, Update]] = []
        changed: dict[str, User] = {}
        for seq, name, item in self._placed(after, upto):
            if isinstance(item, str):
                if name in BARE:
                    said.append((seq, BARE[name](item).update()))
            elif isinstance(item, UpdatedUser):
                patched = item.update(changed.get(item.id) or user(item.id))
                changed[item.id] = patched.user
                said.append((seq, patched))
            else:
                update = item.update()
                if isinstance(update, UserJoined):
                    changed[update.user.id] = update.user
                said.append((seq, update))
        said += [(0, update) for update in self.ephemeral()]
        return said

    def _placed(self, after: int, upto: int) -> list[tuple[int, str, Any]]:
        """Return every logged item with its seq and the name of its list, in order of application."""
        items = self.logged()
        seqs = [0 if isinstance(item, str) else item.seq or 0 for _, item in items]
        if upto - after == len(items) == len(self.added_messages) and not any(seqs):
            seqs = list(range(after + 1, upto + 1))
        placed = [(seq or upto, name, item) for seq, (name, item) in zip(seqs, items, strict=True)]
        return sorted(placed, key=itemgetter(0))

    def ephemeral(self) -> list[Update]:
        """Return what takes no position. O(items)."""
        return [
            *(PresenceChanged(user, state) for user, state in self.presence.items()),
            *(TypingChanged(user, expires_s) for user, expires_s in self.typing.items()),
            *(ReceiptRead(user, message_id) for user, message_id in self.receipts.items()),
            *map(NotificationAdded, self.notifications),
        ]


LISTS = DeltaUpdate.__struct_fields__[:7]
"""The lists of logged items, in the order in which those at one position are applied."""

others_of: Callable[[DeltaUpdate], tuple[Any, ...]] = attrgetter(*DeltaUpdate.__struct_fields__[1:])
NO_OTHERS: tuple[Any, ...] = others_of(DeltaUpdate())
"""What most envelopes have beside added messages: a comparison of the two costs half of looking at each."""

BARE: Mapping[str, Callable[[str], WireItem]] = {"removed_messages": RemovedMessage, "users_left": LeftUser}
"""What a bare id means, list by list. In ``added_messages`` it is a message whose body is not here."""


class StateUpdate(Struct, frozen=True, omit_defaults=True):
    """What the room's state is now; what is absent or null stays. All of it lies at the envelope's position."""

    room_config: RoomConfig | None = None
    moderation_config: Kept | None = None
    user_count: Seq | None = None
    moderator_count: Seq | None = None
    stream_status: Word | None = None

    def updates(self) -> Iterator[Update]:
        """Yield what this says. O(1)."""
        if self.room_config is not None:
            yield RoomConfigChanged(self.room_config)
        if self.moderation_config is not None:
            yield ModerationConfigChanged(self.moderation_config)
        if self.user_count is not None or self.moderator_count is not None:
            yield CountsChanged(self.user_count, self.moderator_count)
        if self.stream_status is not None:
            yield StreamStatusChanged(self.stream_status)


class BulkSync(Struct, frozen=True, omit_defaults=True):
    """A room's image as of the envelope's position.

    ``messages[i]`` lies at ``seqs[i]``; without ``seqs`` the messages are the last ones of the log, one for a seq.
    ``held_after`` and ``floor`` are as in `RoomImage`; absent, nothing is known before the first message.
    ``removed_messages`` are ids that must not come back. ``markers``, ``notifications`` and ``ui_state`` are the
    receiving user's own.
    """

    messages: Annotated[tuple[Message, ...], Few] = ()
    users: Annotated[tuple[User, ...], Many] = ()
    seqs: Annotated[tuple[Seq, ...], Few] | None = None
    held_after: Seq | None = None
    floor: Seq | None = None
    removed_messages: Annotated[tuple[Id, ...], Few] = ()
    gaps: Annotated[tuple[Gap, ...], Few] = ()
    annotations: Annotated[Mapping[Id, Annotation], Few] = EMPTY
    presence: Annotated[Mapping[Id, PresenceState], Many] = EMPTY
    members_complete: bool = False
    room_config: RoomConfig = RoomConfig()
    moderation_config: Kept = EMPTY
    user_count: Seq | None = None
    moderator_count: Seq | None = None
    stream_status: Word = ""
    last_activity: Time | None = None
    last_config_update: Time | None = None
    notifications: Annotated[tuple[Notification, ...], Few] = ()
    markers: Annotated[Mapping[Id, Marker], Few] = EMPTY
    ui_state: Kept = EMPTY
    by_time: bool = False


class Heartbeat(Struct, frozen=True, omit_defaults=True):
    """Where the room's log ends: its epoch, the seq of the last update, and the messages ever added up to there."""

    epoch: Word
    head: Seq
    ordinal: Seq | None = None


Payload: TypeAlias = StateUpdate | BulkSync | DeltaUpdate | Heartbeat


# -- from updates ----------------------------------------------------------------------------------------------------


def _patch(update: UserUpdated, seq: int | None) -> UpdatedUser:
    user = update.user
    return UpdatedUser(user.id, user.username, user.badges, user.color, user.extra, seq)


def _joined(update: UserJoined, seq: int | None) -> JoinedUser:
    user = update.user
    return JoinedUser(user.id, user.username, user.badges, user.color, user.extra, seq)


_MAKES: dict[type[Any], tuple[str, Callable[[Any, int | None], WireItem]]] = {
    MessageAdded: ("added_messages", lambda u, seq: AddedMessage.of(u.message, seq)),
    MessageEdited: (
        "edited_messages",
        lambda u, seq: EditedMessage(u.message_id, u.content, u.edited_at, u.extra, u.timestamp, seq),
    ),
    ReactionAdded: ("reactions", lambda u, seq: Reaction(u.message_id, u.user, u.emoji, False, seq)),
    ReactionRemoved: ("reactions", lambda u, seq: Reaction(u.message_id, u.user, u.emoji, True, seq)),
    MessageRemoved: ("removed_messages", lambda u, seq: RemovedMessage(u.message_id, u.user, seq)),
    UserJoined: ("users_joined", _joined),
    UserUpdated: ("updated_users", _patch),
    UserLeft: ("users_left", lambda u, seq: LeftUser(u.user_id, seq)),
}
_WHOLE: dict[type[Any], Callable[[Any], Payload]] = {
    RoomConfigChanged: lambda u: StateUpdate(room_config=u.config),
    ModerationConfigChanged: lambda u: StateUpdate(moderation_config=u.config),
    CountsChanged: lambda u: StateUpdate(user_count=u.user_count, moderator_count=u.moderator_count),
    StreamStatusChanged: lambda u: StateUpdate(stream_status=u.status),
    PresenceChanged: lambda u: DeltaUpdate(presence={u.user_id: u.state}),
    TypingChanged: lambda u: DeltaUpdate(typing={u.user_id: u.expires_s}),
    ReceiptRead: lambda u: DeltaUpdate(receipts={u.user_id: u.message_id}),
    NotificationAdded: lambda u: DeltaUpdate(notifications=(u.notification,)),
}


def item_of(update: Update, seq: int | None = None) -> tuple[str, WireItem] | None:
    """Return ``update`` as an item of a DELTA_UPDATE with the name of its list; None where it is not one. O(1)."""
    made = _MAKES.get(type(update))
    return made and (made[0], made[1](update, seq))


def payload_of(update: Update) -> Payload:
    """Return what tells of ``update`` alone. O(1)."""
    item = item_of(update)
    return _WHOLE[type(update)](update) if item is None else delta_of([item])


def delta_of(items: Iterable[tuple[str, WireItem]]) -> DeltaUpdate:
    """Return the DELTA_UPDATE of ``items``, each with the name of its list; each list keeps their order. O(items)."""
    lists: dict[str, Any] = {}
    for name, item in items:
        lists.setdefault(name, []).append(item)
    told: dict[str, Any] = {name: tuple(items) for name, items in lists.items()}
    return DeltaUpdate(**told)
