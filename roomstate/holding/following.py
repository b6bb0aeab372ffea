"""Rooms of somebody else's authority, without sequence numbers: their order is (timestamp, id), their gaps have
cursors.

Each update takes a local seq; a gap takes one as well, reserved for the hole, so that every seq up to the head is held
or lies in a gap. A gap is filled page by page, newest or oldest first as the source likes, and closes when the source
says that there is no more.
"""

from __future__ import annotations

from roomstate.effects import FetchMessages, GapClosed, GapOpened, Recovered
from roomstate.errors import InvalidValue
from roomstate.holding.durability import Durability
from roomstate.holding.record import Holding, House
from roomstate.holding.tiering import Tiering
from roomstate.position import Gap
from roomstate.room.reduce import Outcome, apply, check_message
from roomstate.room.states import ActiveRoom
from roomstate.room.tiers import LoadingSignal
from roomstate.updates import MessageAdded, Update

__all__ = ["Following"]

_PAGE = 100  # messages asked for at a time: what Discord and Matrix give at most, or by default
_MAX_GAPS = 100  # gaps of one room; the two oldest become one beyond that


class Following:
    """Takes what foreign sources give out into the rooms of one house."""

    __slots__ = ("_durability", "_house", "_tiering")

    def __init__(self, house: House, durability: Durability, tiering: Tiering) -> None:
        self._house = house
        self._durability = durability
        self._tiering = tiering

    def receive(self, room_id: str, update: Update, cursor: str | None, now: float) -> None:
        """Apply ``update`` to a foreign room, which is held at BACKGROUND for as long as things come in."""
        if self._house.logged:
            raise InvalidValue("durability", "a manager that keeps a log cannot receive: publish what it is to keep")
        if isinstance(update, MessageAdded):
            check_message(update.message)
        holding = self._house.holdings.get(room_id)
        if holding is not None and holding.room is not None and not holding.room.timeline.by_time:
            if holding.room.head:
                raise InvalidValue(f"room {room_id!r}", "is published to: it cannot also receive")
            holding.room.timeline.by_time = True
        if holding is None or holding.room is None:
            holding = self._house.hold(room_id, now)
            self._tiering.wake(holding, now)
            assert holding.room is not None
            holding.room.timeline.by_time = True
        if isinstance(holding.room, ActiveRoom):
            holding.room.roster.complete = False  # who was there before is the source's to say
        self._house.refile(holding)
        self._durability.take(holding, update, now)
        if cursor is not None:
            holding.cursor = cursor

    # -- gaps --------------------------------------------------------------------------------------------------------

    def disconnected(self, holding: Holding, now: float) -> None:
        """Open a gap from the last cursor and ask for it, unless the newest gap is still open there."""
        room = holding.room
        assert room is not None
        self._check_foreign(holding)
        self._house.set_status(holding, LoadingSignal.LINK_LOST)
        if not room.gaps or room.gaps[-1].upto < room.head:
            gap = Gap(room.head, room.head + 1, holding.cursor)
            room.head += 1
            room.gaps = (*room.gaps, gap)
            if len(room.gaps) > _MAX_GAPS:
                first, second, *rest = room.gaps
                room.gaps = (Gap(first.after, second.upto, first.cursor), *rest)
            self._house.out.append(GapOpened(holding.room_id, gap))
        self._fetch(holding)

    def connected(self, holding: Holding, now: float) -> None:
        """Ask for the oldest gap, if nobody is filling it; without gaps the room is READY."""
        self._check_foreign(holding)
        assert holding.room is not None
        self._house.set_status(holding, LoadingSignal.LINK_BACK)
        if holding.room.gaps:
            self._fetch(holding)
        else:
            self._house.set_status(holding, LoadingSignal.LOADED)

    def _check_foreign(self, holding: Holding) -> None:
        assert holding.room is not None
        if not holding.room.timeline.by_time:
            raise InvalidValue(f"room {holding.room_id!r}", "has no foreign source: nothing was received for it")

    def _fetch(self, holding: Holding) -> None:
        house = self._house
        assert holding.room is not None
        if holding.load_id:
            holding.load_id = house.forget(holding.load_id)
        holding.load_id = house.ask("fetch", holding.room_id)
        house.out.append(FetchMessages(holding.room_id, holding.load_id, holding.room.gaps[0], _PAGE))

    def recovered(self, holding: Holding, result: Recovered, now: float) -> None:
        """Put a page of missing messages in their places; close the gap, or ask for the next page."""
        room = holding.room
        assert room is not None
        for message in result.messages:
            check_message(message)
        holding.load_id = holding.failures = 0
        for message in result.messages:
            change = apply(room, MessageAdded(message), room.head + 1, now, self._house.limits, self._house.make)
            if change.outcome is Outcome.APPLIED:
                holding.sync_reads().posted(message.user)
        gap, *rest = room.gaps
        if result.limited and result.messages:
            room.gaps = (Gap(gap.after, gap.upto, result.cursor or gap.cursor), *rest)
        else:
            room.gaps = tuple(rest)
            self._house.out.append(GapClosed(holding.room_id, gap, filled=not result.limited))
        holding.durable = room.head
        self._house.weigh(holding)
        if room.gaps:
            self._fetch(holding)
        else:
            self._house.set_status(holding, LoadingSignal.LOADED)

    def fetch_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Leave the gap open and try again later."""
        holding.load_id = 0
        self._house.set_status(holding, LoadingSignal.FAILED, reason)
        self._durability.retry(holding, reason, now)

    def retry(self, holding: Holding, now: float) -> None:
        """Ask again for a gap that nobody is filling."""
        room = holding.room
        if room is not None and room.timeline.by_time and room.gaps and not holding.load_id:
            self._fetch(holding)
