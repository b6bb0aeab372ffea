"""What two states of one room differ in, and who may decide about it: the strategies.

A room has `PARTS`, each settled as a whole. `detect` says in which of them two images differ; what becomes of a part is
decided by a `ConflictStrategy`: a host's own, or one of the four here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct, structs

from roomstate.errors import ConflictError, InvalidValue
from roomstate.image import RoomImage
from roomstate.model import check_bound
from roomstate.room.passage import check_image
from roomstate.sync.merge import MAX_MERGED, merge_logs, merge_part, same_message

__all__ = [
    "PARTS",
    "POSITIONED",
    "ClientWins",
    "Conflict",
    "ConflictKind",
    "ConflictStrategy",
    "Merge",
    "ServerWins",
    "Side",
    "UserChoice",
    "apart",
    "check_images",
    "detect",
    "differing",
    "fields_of",
]

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": (
        *("messages", "seqs", "annotations", "tombstones", "gaps"),
        *("floor", "held_after", "ordinal", "position", "by_time", "cursor", "fingerprint"),
    ),
    "info": ("info",),
    "config": ("config",),
    "moderation": ("moderation",),
    "members": ("members", "members_complete"),
    "presence": ("presence",),
    "notifications": ("notifications",),
    "markers": ("markers",),
    "ui_state": ("ui_state",),
}
"""The parts of a room, each settled as a whole, and the fields of its image that belong to them.

The other fields say what an image is (``room_id``, ``tier``, ``taken_at``), or are of one copy alone: what it has sent
(``pending``) and what its memory has let go (``digest``). About these there is no conflict.
"""

POSITIONED: Final = ("messages", "notifications", "markers")
"""The parts that mean nothing in another log."""

_EXPIRES_S = 300.0  # as long as a room that nobody touches counts as looked at: DESIGN §4, idle_active_s

Side: TypeAlias = Literal["client", "server"]


class ConflictKind(Enum):
    """What two states of a room differ in: one thing, or more than one (COMPLEX)."""

    MESSAGE_ORDER = "message_order"
    USER_PRESENCE = "user_presence"
    ROOM_CONFIG = "room_config"
    COMPLEX = "complex"


class Conflict(Struct, frozen=True):
    """Two images of one room that differ, and the last state that they had in common, where that is known."""

    kind: ConflictKind
    client: RoomImage
    server: RoomImage
    ancestor: RoomImage | None = None


_KIND_OF_PART = {
    "messages": ConflictKind.MESSAGE_ORDER,
    "members": ConflictKind.USER_PRESENCE,
    "presence": ConflictKind.USER_PRESENCE,
    "config": ConflictKind.ROOM_CONFIG,
    "moderation": ConflictKind.ROOM_CONFIG,
}
_KIND_OF_INFO = {
    "last_activity": ConflictKind.MESSAGE_ORDER,
    "user_count": ConflictKind.USER_PRESENCE,
    "moderator_count": ConflictKind.USER_PRESENCE,
    "stream_status": ConflictKind.ROOM_CONFIG,
}


def detect(client: RoomImage, server: RoomImage, ancestor: RoomImage | None = None) -> Conflict | None:
    """Return the conflict of two images of a room, or None where they say the same. O(n).

    Raises ``ConflictError`` for images of different rooms, ``InvalidValue`` for one whose parts do not agree.
    """
    check_images(client, server, ancestor)
    parts = [part for part in PARTS if differing(part, client, server)]
    if not parts:
        return None
    kinds = {_KIND_OF_PART.get(part, ConflictKind.COMPLEX) for part in parts if part != "info"}
    kinds |= {kind for name, kind in _KIND_OF_INFO.items() if getattr(client.info, name) != getattr(server.info, name)}
    return Conflict(kinds.pop() if len(kinds) == 1 else ConflictKind.COMPLEX, client, server, ancestor)


def check_images(client: RoomImage, server: RoomImage, ancestor: RoomImage | None) -> None:
    """Raise ``ConflictError`` for images of different rooms, ``InvalidValue`` for unsound ones. O(n)."""
    for image in (server, ancestor) if ancestor is not None else (server,):
        if image.room_id != client.room_id:
            raise ConflictError(
                f"room {client.room_id!r}", f"has no conflict with an image of another, {image.room_id!r}"
            )
    check_image(client)
    check_image(server)


def differing(part: str, one: RoomImage, other: RoomImage) -> tuple[str, ...]:
    """Return the fields of a part in which two images differ. O(n)."""
    return tuple(name for name in PARTS[part] if _differ(name, one, other))


def _differ(name: str, one: RoomImage, other: RoomImage) -> bool:
    mine, yours = getattr(one, name), getattr(other, name)
    if name == "info":  # when each copy has applied it is no difference in what it is
        mine, yours = (structs.replace(info, last_config_update=None) for info in (mine, yours))
    if name != "messages" or mine == yours:
        return bool(mine != yours)
    return len(mine) != len(yours) or not all(map(same_message, mine, yours))


# -- strategies --------------------------------------------------------------------------------------------------------


@runtime_checkable
class ConflictStrategy(Protocol):
    """Decides what becomes of one part of a room over which two states differ.

    It is given the part's name and the conflict, and returns the value of each of its fields (``PARTS[part]``). The
    same question must get the same answer. It is not asked about a part that, by the ancestor, only one side changed.
    """

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        """Return the part's fields."""
        ...


class ServerWins(Struct, frozen=True):
    """Takes the server's."""

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        """Return the server's fields. O(1)."""
        return fields_of(part, conflict.server)


class ClientWins(Struct, frozen=True):
    """Takes the client's."""

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        """Return the client's fields. O(1)."""
        return fields_of(part, conflict.client)


class Merge(Struct, frozen=True):
    """Takes what both have: the newest ``max_messages`` messages of the union, the members of both, ...

    Messages are put together as `roomstate.sync.merge` says: the laws of that (idempotent, commutative, associative,
    and nothing removed comes back) hold as long as no bound cuts. Of what is in both and differs the server's stands,
    unless the ancestor shows that only the client changed it. That goes for each message, and for each entry or
    attribute of the other parts, but for the read markers: there the one who has read further is right. Of two epochs
    it takes the server's messages, notifications and markers.

    ``max_messages`` is 1000 unless told (DESIGN §6). Raises ``InvalidValue`` for less than 1.
    """

    max_messages: int = MAX_MERGED

    def __post_init__(self) -> None:
        check_bound("merge.max_messages", self.max_messages)

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        """Return the fields of both. O(n)."""
        client, server, ancestor = conflict.client, conflict.server, conflict.ancestor
        if part in POSITIONED and apart(client, server):
            return fields_of(part, server)
        if part == "messages":
            return merge_logs(client, server, ancestor, self.max_messages)
        return merge_part(part, client, server, ancestor)


class UserChoice(Struct, frozen=True):
    """Lets somebody choose within ``expires_s`` seconds; until then, and if nobody does, the ``default`` stands.

    Messages cannot be chosen: the log goes on meanwhile. ``expires_s`` is 300 unless told: as long as a room that
    nobody touches counts as looked at (DESIGN §4). Raises ``InvalidValue`` unless it is a finite number above 0.
    """

    expires_s: float = _EXPIRES_S
    default: Side = "server"

    def __post_init__(self) -> None:
        given: object = self.expires_s
        if not isinstance(given, int | float) or not 0 < given < float("inf"):
            raise InvalidValue("user_choice.expires_s", f"must be a finite number above 0, got {self.expires_s!r}")
        if self.default not in ("client", "server"):
            raise InvalidValue("user_choice.default", f"must be 'client' or 'server', got {self.default!r}")

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        """Return the fields of the default's side. O(1)."""
        return fields_of(part, conflict.client if self.default == "client" else conflict.server)


def fields_of(part: str, image: RoomImage) -> dict[str, Any]:
    """Return the values of a part's fields, by name. O(1)."""
    return {name: getattr(image, name) for name in PARTS[part]}


def apart(client: RoomImage, server: RoomImage) -> bool:
    """Whether positions in the one say nothing about the other: by epoch, or one entry there is not the other's."""
    if (client.position.epoch, client.by_time) != (server.position.epoch, server.by_time):
        return True
    prints = {client.fingerprint, server.fingerprint}
    return client.position == server.position and "" not in prints and len(prints) == 2
