"""A room as values: all that a snapshot keeps.

It lives with the values, not in ``room/``: effects carry images, and import nothing above themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from roomstate.model import (
    EMPTY,
    Annotation,
    AnyMessage,
    Echo,
    Id,
    Marker,
    Notification,
    PresenceState,
    RoomConfig,
    RoomInfo,
    Tier,
    User,
)
from roomstate.position import Gap, Position

__all__ = ["RoomImage"]


class RoomImage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A room at ``position``, as it was when it left ``tier``.

    ``messages[i]`` lies at seq ``seqs[i]``, ascending. ``held_after``: every message in ``(held_after, position.seq]``
    is here, was removed, or lies in one of ``gaps``. ``floor``: nothing is known at or below it.
    ``ordinal`` counts the messages ever added. ``tombstones`` are ids whose messages were removed, oldest first.
    ``members_complete`` says whether ``members`` are all. ``markers`` are the users' read markers.
    ``by_time``: the messages are of a source without seqs, in order of (timestamp, id); ``seqs`` are then not in order,
    and ``cursor`` is the source's own name for how far it was heard.
    ``pending`` is what this copy's own users have sent and not yet seen come back, in order. ``fingerprint`` is the
    equality hash of the log's entry at ``position``, where the authority has told it.
    ``digest`` sums up the messages that have left the room's memory, as `MessageDigest` writes itself; {} for none.
    """

    room_id: Id
    position: Position
    tier: str = Tier.ACTIVE.name
    floor: int = 0
    held_after: int = 0
    ordinal: int = 0
    taken_at: float = 0.0
    info: RoomInfo = RoomInfo()
    config: RoomConfig = RoomConfig()
    moderation: Mapping[str, Any] = EMPTY
    messages: tuple[AnyMessage, ...] = ()
    seqs: tuple[int, ...] = ()
    annotations: Mapping[str, Annotation] = EMPTY
    tombstones: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    members: tuple[User, ...] = ()
    members_complete: bool = False
    presence: Mapping[str, PresenceState] = EMPTY
    notifications: tuple[Notification, ...] = ()
    ui_state: Mapping[str, Any] = EMPTY
    markers: Mapping[str, Marker] = EMPTY
    by_time: bool = False
    cursor: str | None = None
    pending: tuple[Echo, ...] = ()
    fingerprint: str = ""
    digest: Mapping[str, Any] = EMPTY
