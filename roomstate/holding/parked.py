"""Edits and reactions of foreign rooms whose message has not come: they wait for it, and end applied or as a `Misfit`.

A source that promises no order may tell of an edit first, and after a gap it does. What waits has no seq and is told to
nobody. It is applied right after its message, whether that comes live or with a fetched page; it is given up in time,
when the message is removed, and when the room leaves memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from roomstate.errors import RoomStateError
from roomstate.holding.durability import Durability
from roomstate.holding.house import House
from roomstate.holding.record import Holding
from roomstate.updates import MessageEdited, ReactionAdded, ReactionRemoved, Update

__all__ = ["Parked"]

_PARKABLE: Final = (MessageEdited, ReactionAdded, ReactionRemoved)


class Parked:
    """What waits for its message in the rooms of one house."""

    __slots__ = ("_durability", "_house")

    def __init__(self, house: House, durability: Durability) -> None:
        self._house = house
        self._durability = durability

    def takes(self, holding: Holding, update: Update, now: float) -> bool:
        """Whether ``update`` is about a message that is not known here: it is parked then, or a misfit. O(its size).

        Of a room that is being loaded nobody knows what it will hold: nothing is parked, and what comes is applied to
        what was loaded.
        """
        room = holding.room
        assert room is not None
        if not isinstance(update, _PARKABLE) or holding.kept is not None or room.timeline.knows(update.message_id):
            return False
        self.expire(holding, now)
        parking = holding.parking_lot()
        if parking.park(update, now):
            self._house.counts["update", str(update.__struct_config__.tag), "parked"] += 1
        else:
            self._give_up(holding, (update,), f"{len(parking)} updates of {parking.bytes} bytes wait already")
        self._watch(holding)
        return True

    def arrived(self, holding: Holding, message_id: str, now: float) -> None:
        """Apply what waited for a message that is here now. O(1) where nothing did."""
        parking = holding.parking
        if parking is None or message_id not in parking:
            return
        for update in parking.claim(message_id):
            try:
                self._durability.take(holding, update, now)
            except RoomStateError as error:  # each was sound; what they make of the message may still be too much
                self._house.misfit(holding, update, str(error))
        self._watch(holding)

    def removed(self, holding: Holding, message_id: str) -> None:
        """Give up what waited for a message that was removed. O(1) where nothing did."""
        if holding.parking is not None and message_id in holding.parking:
            self._give_up(holding, holding.parking.claim(message_id), f"message {message_id!r} was removed")
            self._watch(holding)

    def expire(self, holding: Holding, now: float) -> None:
        """Give up what has waited for too long. O(given up)."""
        if holding.parking is not None:
            late = holding.parking.expire(now)
            self._give_up(holding, late, f"its message did not come within {holding.parking.max_age_s:g} s")
            self._watch(holding)

    def _give_up(self, holding: Holding, updates: Iterable[Update], reason: str) -> None:
        for update in updates:
            self._house.misfit(holding, update, reason)

    def _watch(self, holding: Holding) -> None:
        """Look again when the next one has waited for too long, if any waits."""
        deadline = holding.parking.deadline if holding.parking is not None else None
        if deadline is None:
            holding.parking = None
            self._house.due.clear(("parked", holding.room_id))
        else:
            self._house.due.set(("parked", holding.room_id), deadline)
        self._house.weigh(holding)
