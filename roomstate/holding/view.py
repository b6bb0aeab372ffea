"""What a host reads of a room: frozen, and outspoken about what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from roomstate.holding.house import House
from roomstate.holding.record import Holding
from roomstate.model import (
    EMPTY,
    Annotation,
    Echo,
    MessageLike,
    Notification,
    PresenceState,
    RoomConfig,
    RoomInfo,
    Status,
    Tier,
    User,
)
from roomstate.position import Gap, Position
from roomstate.room.states import ActiveRoom, BackgroundRoom, CachedRoom, LiveRoom

__all__ = ["Progress", "RoomView", "view_of"]

_NO_INFO = RoomInfo()
_NO_CONFIG = RoomConfig()


class RoomView(Struct, frozen=True, eq=False):
    """One room as it was at ``revision``; later changes do not show. Taking one costs 1-3 µs for 1000 messages.

    ``messages`` are in order; those in ``(held_after, position.seq]`` are all here but for ``gaps``, those in
    ``(floor, held_after]`` are in the log, or on their way there, and of those at or below ``floor`` nothing is known.
    ``position`` is None until it is known; ``durable`` is the seq up to which the log is safe. ``members_complete``
    tells whether ``members`` are all. ``annotations`` has edits and reactions by message id. ``pending`` is what was
    sent from here and has not come back yet: it is shown after the messages.
    """

    room_id: str
    tier: Tier
    status: Status
    revision: tuple[int, int] = (0, 0)
    position: Position | None = None
    durable: int = 0
    floor: int = 0
    held_after: int = 0
    messages: tuple[MessageLike, ...] = ()
    gaps: tuple[Gap, ...] = ()
    annotations: Mapping[str, Annotation] = EMPTY
    info: RoomInfo = _NO_INFO
    config: RoomConfig = _NO_CONFIG
    moderation: Mapping[str, Any] = EMPTY
    members: tuple[User, ...] = ()
    members_complete: bool = False
    presence: Mapping[str, PresenceState] = EMPTY
    present: int = 0
    typing: tuple[str, ...] = ()
    notifications: tuple[Notification, ...] = ()
    ui_state: Mapping[str, Any] = EMPTY
    pending: tuple[Echo, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether all that the tier holds is here and up to date."""
        return self.status is Status.READY


class Progress(Struct, frozen=True, gc=False):
    """How far a room has come that is live, or whose log is being written to.

    ``seq`` is the last one given out, ``ordinal`` the messages ever added up to it. Copies may know what is at or below
    ``told``; the log is safe up to ``durable``. ``waiting`` updates have no seq yet. ``changes`` counts what took none.
    """

    epoch: str
    seq: int
    ordinal: int
    told: int
    durable: int
    waiting: int
    changes: int


def view_of(house: House, room_id: str) -> RoomView:
    """Return a reading of a room that is known, at whatever tier. O(messages)."""
    holding = house.holdings.get(room_id)
    if holding is not None and holding.room is not None:
        return _live(holding, holding.room, house.logged)
    status = holding.status if holding is not None else Status.READY
    packed = house.cache.peek(room_id)
    if packed is not None:
        return _cached(CachedRoom.unpacked(room_id, packed), holding, status)
    head = holding.head if holding is not None else None
    if holding is None or head is None:
        return RoomView(room_id, Tier.UNLOADED, status)
    seq = head.position.seq
    return RoomView(room_id, Tier.UNLOADED, status, (seq, 0), head.position, durable=holding.durable, held_after=seq)


def _cached(cached: CachedRoom, holding: Holding | None, status: Status) -> RoomView:
    head = holding.head if holding is not None and holding.head is not None else cached.head
    seq = head.position.seq
    return RoomView(
        cached.room_id,
        Tier.CACHED,
        status,
        revision=(seq, 0),
        position=head.position,
        durable=holding.durable if holding is not None else seq,
        held_after=seq,
        info=cached.info,
    )


def _live(holding: Holding, room: LiveRoom, logged: bool) -> RoomView:
    active = room if isinstance(room, ActiveRoom) else None
    messages = room.timeline.messages()
    info = structs.replace(room.info, last_activity=messages[-1].timestamp) if messages else room.info
    return RoomView(
        room_id=holding.room_id,
        tier=holding.tier,
        status=holding.status,
        revision=(room.head, room.changes),
        position=room.position if room.epoch else None,
        durable=holding.durable,
        floor=room.floor if logged or room.timeline.by_time else room.held_after,
        held_after=room.held_after,
        messages=messages,
        gaps=(*room.gaps, *holding.replica.missing(room)) if holding.replica is not None else room.gaps,
        pending=tuple(holding.echoes) if holding.echoes is not None else (),
        annotations=dict(room.timeline.annotations) if room.timeline.annotations else EMPTY,
        info=info,
        config=room.config,
        moderation=room.moderation,
        members=active.roster.members() if active else (),
        members_complete=active.roster.complete if active else False,
        presence=active.roster.presence if active else EMPTY,
        present=active.roster.present if active else room.present if isinstance(room, BackgroundRoom) else 0,
        typing=tuple(active.typing) if active else (),
        notifications=tuple(room.notifications or ()),
        ui_state=dict(active.ui_state) if active and active.ui_state else EMPTY,
    )
