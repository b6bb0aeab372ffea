"""Rooms of a foreign source, which gives no seqs: their order is (timestamp, id), and their gaps have cursors.

Each update takes a local seq; a gap takes one as well, reserved for the hole, so that every seq up to the head is held
or lies in a gap. A gap is filled page by page, newest or oldest first as the source likes, and closes when the source
says that there is no more. An edit or a reaction whose message is not known waits for it (`parked`).
"""

from __future__ import annotations

from roomstate.effects import FetchMessages, GapClosed, GapOpened, LogEntry, Recovered
from roomstate.errors import CapacityError, InvalidValue
from roomstate.holding.checks import checked
from roomstate.holding.durability import Durability
from roomstate.holding.house import House
from roomstate.holding.parked import Parked
from roomstate.holding.record import Holding
from roomstate.holding.tiering import Tiering
from roomstate.image import RoomImage
from roomstate.model import check_id
from roomstate.position import Gap, bounded
from roomstate.room.reduce import Outcome, apply
from roomstate.room.states import ActiveRoom, LiveRoom
from roomstate.room.tiers import LoadingSignal
from roomstate.updates import MessageAdded, MessageRemoved, Update

__all__ = ["Following"]

_PAGE = 100  # messages asked for at a time: what Discord and Matrix give at most, or by default


class Following:
    """Takes what foreign sources give out into the rooms of one house."""

    __slots__ = ("_durability", "_house", "_tiering", "parked")

    def __init__(self, house: House, durability: Durability, tiering: Tiering) -> None:
        self._house = house
        self._durability = durability
        self._tiering = tiering
        self.parked: Parked = Parked(house, durability)

    def receive(self, room_id: str, update: Update, cursor: str | None, now: float) -> None:
        """Apply ``update`` to a foreign room, which is held at BACKGROUND for as long as things come in."""
        house = self._house
        if house.logged:
            raise InvalidValue("durability", "a manager that keeps a log cannot receive: publish what it is to keep")
        holding = house.holdings.get(room_id)
        if holding is not None and self._is_numbered(holding):
            raise InvalidValue(f"room {room_id!r}", "is published to: it cannot also receive")
        holding = house.hold(room_id, now)
        self._tiering.wake(holding, now)
        assert holding.room is not None
        holding.room.timeline.by_time = True
        if isinstance(holding.room, ActiveRoom):
            holding.room.roster.complete = False  # who was there before is the source's to say
        house.refile(holding)
        try:
            self._durability.check(room_id, update)
        except CapacityError:  # too much has come while it is being loaded: then the gap opens that this is in
            holding.missed = True
            house.counts["update", str(update.__struct_config__.tag), "missed"] += 1
            return
        self._take(holding, update, now)
        if cursor is not None:  # not of what was refused
            holding.cursor = cursor

    def _take(self, holding: Holding, update: Update, now: float) -> None:
        if self.parked.takes(holding, update, now):
            return
        self._durability.take(holding, update, now)
        if isinstance(update, MessageAdded):
            self._drop_behind(holding)
            self.parked.arrived(holding, update.message.id, now)
        elif isinstance(update, MessageRemoved):
            self.parked.removed(holding, update.message_id)

    def _is_numbered(self, holding: Holding) -> bool:
        """Whether something was published to the room. Of one that is still being loaded nobody knows."""
        room = holding.room
        return room is not None and not room.timeline.by_time and holding.kept is None and room.head > room.floor

    # -- gaps --------------------------------------------------------------------------------------------------------

    def disconnected(self, holding: Holding, now: float) -> None:
        """Open a gap from the last cursor and ask for it, unless the newest gap is still open there.

        Of a room for which nothing was received nothing is missing; one that is being loaded may yet be a source's.
        """
        if self._is_unheard(holding):
            holding.lost = holding.missed = holding.kept is not None
            return
        room = self._foreign(holding)
        holding.lost = True
        self._house.set_status(holding, LoadingSignal.LINK_LOST)
        if not holding.missed:
            self._open(holding, room)
            self._fetch(holding)

    def missed(self, room_id: str, now: float) -> None:
        """Bring back a room at rest whose source was not heard: its gap begins at the cursor that was saved with it."""
        if room_id in self._house.cache:
            holding = self._house.hold(room_id, now)
            self._tiering.wake(holding, now)
            holding.lost = holding.missed = True

    def loaded(self, holding: Holding, image: RoomImage | None) -> None:
        """Open the gap of a room that was at rest when its source was not heard, and ask for the oldest gap."""
        room = holding.room
        if holding.missed and holding.kept is None and room is not None:
            holding.missed = False
            if room.timeline.by_time:
                self._house.set_status(holding, LoadingSignal.LINK_LOST)
                heard, holding.cursor = holding.cursor, image.cursor if image is not None else holding.cursor
                self._open(holding, room)
                holding.cursor = heard
        self.resume(holding)

    def _open(self, holding: Holding, room: LiveRoom) -> None:
        """Reserve a seq for what is not heard since the last cursor, unless the newest gap is that."""
        house = self._house
        if not room.gaps or room.gaps[-1].upto < room.head:
            gap = Gap(room.head, room.head + 1, holding.cursor)
            room.head += 1
            holding.durable = room.head
            room.gaps = bounded((*room.gaps, gap))
            house.out.append(GapOpened(holding.room_id, gap))

    def connected(self, holding: Holding, now: float) -> None:
        """Ask for the oldest gap; without gaps the room is READY.

        What was fetched while the source was not heard ends where it was fetched: from there on is a gap again.
        """
        if self._is_unheard(holding):
            return
        room = self._foreign(holding)
        self._house.set_status(holding, LoadingSignal.LINK_BACK)
        if holding.lost:
            holding.lost = False
            if not holding.missed:
                self._open(holding, room)
        self.resume(holding)

    def _is_unheard(self, holding: Holding) -> bool:
        """Whether nobody knows yet that a room has a source, nor that it has none."""
        room = holding.room
        assert room is not None
        is_known = holding.missed or room.timeline.by_time or self._is_numbered(holding)
        return not self._house.logged and not is_known

    def _foreign(self, holding: Holding) -> LiveRoom:
        room = holding.room
        assert room is not None
        if not (room.timeline.by_time or holding.missed):
            raise InvalidValue(f"room {holding.room_id!r}", "has no foreign source: it is published to")
        return room

    def resume(self, holding: Holding) -> None:
        """Ask for the oldest gap of a room that has one; one without is READY, unless it is being loaded."""
        room = holding.room
        if room is None or not room.timeline.by_time:
            return
        if holding.kept is not None and len(holding.kept) >= self._house.bounds.max_waiting:
            return  # once it is loaded
        if room.gaps:
            self._fetch(holding)
        elif holding.kept is None:
            self._house.set_status(holding, LoadingSignal.LOADED)

    def _fetch(self, holding: Holding) -> None:
        """Ask for the oldest gap anew: what was asked before may have been lost with the link."""
        house, room = self._house, holding.room
        assert room is not None
        house.due.clear(("fetch", holding.room_id))
        house.forget(holding.fetch_id)
        holding.fetch_id = house.ask("fetch", holding.room_id)
        house.out.append(FetchMessages(holding.room_id, holding.fetch_id, room.gaps[0], _PAGE))

    def recovered(self, holding: Holding, result: Recovered, now: float) -> None:
        """Put a page of missing messages in their places; close the gap, or ask for the next page.

        Raises ``InvalidValue``, and has changed nothing, where one of them is no message, or the cursor none.
        """
        house, room = self._house, holding.room
        assert room is not None
        if result.cursor:
            check_id("result.cursor", result.cursor)
        updates = [checked(MessageAdded(message), now) for message in result.messages]
        holding.fetch_id = 0
        house.succeeded(holding, "fetch")
        for update in updates:
            self._insert(holding, room, update, now)
        gap, *rest = room.gaps
        cursor = result.cursor or (result.messages[-1].id if result.messages else gap.cursor)
        if holding.cursor == gap.cursor:  # nothing was heard since
            holding.cursor = cursor
        if result.limited and cursor != gap.cursor:
            room.gaps = (Gap(gap.after, gap.upto, cursor), *rest)
        else:
            room.gaps = tuple(rest)
            filled = not result.limited
            if not filled:
                holding.sync_reads().cut(gap.upto)
            house.out.append(GapClosed(holding.room_id, gap, filled=filled))
        holding.durable = room.head
        self.resume(holding)
        house.weigh(holding)
        self._tiering.settle(holding, now)

    def _insert(self, holding: Holding, room: LiveRoom, update: Update, now: float) -> None:
        assert isinstance(update, MessageAdded)
        change = apply(room, update, room.head + 1, now, self._house.limits, self._house.make)
        if change.outcome is Outcome.APPLIED:
            self._house.counts["update", "message_added", "recovered"] += 1
            self._durability.posted(holding, update.message, room.head)
            self._durability.keep(holding, LogEntry(room.head, room.timeline.ordinal, update))
            self._drop_behind(holding)
            self.parked.arrived(holding, update.message.id, now)

    def _drop_behind(self, holding: Holding) -> None:
        """Let go of what is older than what has left the window: between the two nothing would say that it is gone."""
        if holding.room is not None:
            holding.room.timeline.drop_behind()

    def fetch_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Leave the gap open and try again later."""
        holding.fetch_id = 0
        self._house.set_status(holding, LoadingSignal.FAILED, reason)
        self._house.retry(holding, "fetch", now)

    def retry(self, holding: Holding) -> None:
        """Ask again for the gap whose fetch has failed."""
        self.resume(holding)
