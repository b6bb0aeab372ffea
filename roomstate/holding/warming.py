"""Bringing rooms into the cache before anybody asks for them."""

from __future__ import annotations

from msgspec import structs

from roomstate.effects import Head, LoadPacked, Packed
from roomstate.errors import DamagedSnapshot, InvalidValue
from roomstate.holding.foresight import Foresight
from roomstate.holding.house import House
from roomstate.holding.leaving import Leaving
from roomstate.model import Tier, check_id
from roomstate.position import Position
from roomstate.room.states import CachedRoom
from roomstate.room.tiers import Signal, next_tier

__all__ = ["Warming"]


class Warming:
    """Warms the rooms of one house. Without a log there is nothing that could be loaded, and nothing is planned."""

    __slots__ = ("_house", "_leaving")

    def __init__(self, house: House, leaving: Leaving) -> None:
        self._house = house
        self._leaving = leaving

    def turned(self, user: str | None, room_id: str, tier: Tier, now: float) -> None:
        """``user`` (None: the host) wants a room at ``tier``: note it, and load where a viewer may turn next."""
        foresight = self._house.foresight
        if foresight is None:
            return
        foresight.turned(room_id)
        if user is not None and tier is Tier.ACTIVE:
            foresight.visited(user, room_id, now)
            self.plan(user, now)

    def read(self, viewer: str, user: str, room_id: str, now: float) -> None:
        """``user`` has read on in a room: note it where ``viewer`` looks at it, and not where it clears its badges."""
        foresight = self._house.foresight
        held = self._house.interests.get(viewer, room_id) if foresight is not None else None
        if foresight is not None and held is not None and held.tier is Tier.ACTIVE:
            foresight.visited(user, room_id, now)

    def plan(self, user: str, now: float) -> None:
        """Ask for the rooms that are worth loading for ``user``, unless memory is short."""
        house, foresight = self._house, self._house.foresight
        if foresight is None or not house.logged or house.used >= house.bounds.max_bytes:
            return
        for room_id, chance in foresight.plan(user, now, self):
            try:
                check_id("room_id", room_id)
            except InvalidValue:  # a predictor's invention
                foresight.failed(room_id)
            else:
                self._ask(foresight, room_id, chance)

    def __contains__(self, room_id: object) -> bool:
        """Whether a room needs no load: it is here, or on its way."""
        house, foresight = self._house, self._house.foresight
        return (
            room_id in house.holdings
            or room_id in house.cache
            or (foresight is not None and room_id in foresight.loads)
        )

    def _ask(self, foresight: Foresight, room_id: str, chance: float) -> None:
        house = self._house
        assert next_tier(house.tier(room_id), Signal.WARM, Tier.UNLOADED) is Tier.CACHED
        house.counts["signal", Signal.WARM.name] += 1
        request_id = house.ask("warm", room_id)
        foresight.loads[room_id] = request_id, chance
        house.out.append(LoadPacked(room_id, request_id))

    def failed(self, room_id: str) -> None:
        """A room could not be loaded: that is counted, and nothing else happens."""
        assert self._house.foresight is not None
        self._house.foresight.failed(room_id)

    def loaded(self, room_id: str, result: Packed | None, now: float) -> None:
        """Let a room that was loaded rest in the cache, if it is worth more there than those that would give way.

        Raises ``InvalidValue`` for what is no record of a room; nothing has changed then.
        """
        house, foresight = self._house, self._house.foresight
        assert foresight is not None
        if result is None:
            foresight.failed(room_id)
            return
        packed = self._checked(room_id, result)
        _, chance = foresight.loads.pop(room_id)
        house.set_tier(room_id, Tier.UNLOADED, Tier.CACHED)
        self._leaving.evicted(house.cache.put(room_id, packed, now=now, likelihood=chance))

    def _checked(self, room_id: str, result: Packed) -> bytes:
        """Return `_record`, or raise ``InvalidValue``: a host's store may say anything."""
        try:
            return self._record(room_id, result)
        except InvalidValue:
            raise
        except (TypeError, AttributeError, ValueError, OverflowError, DamagedSnapshot) as error:
            raise InvalidValue("result", f"is no record of a room: {error}") from error

    def _record(self, room_id: str, result: Packed) -> bytes:
        """Return what the cache holds of the room, whose log goes on in the epoch that this process writes."""
        head, seq = result.head, result.seq
        if not 0 <= seq <= head.position.seq:
            raise InvalidValue("result.seq", f"must be in [0, {head.position.seq}], got {seq}")
        cached = CachedRoom(
            room_id, head, result.info, seq, result.taken_at, result.snapshot, full=bool(result.snapshot)
        )
        CachedRoom.unpacked(room_id, cached.packed())  # raises where it is not what its types say
        epoch = self._house.epoch_after(head)
        return structs.replace(cached, head=Head(Position(epoch, head.position.seq), head.ordinal)).packed()
