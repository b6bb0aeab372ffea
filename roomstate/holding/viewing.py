"""What viewers do: look at rooms, follow them, leave them, read, and keep a draft."""

from __future__ import annotations

from typing import Any

from roomstate.errors import InvalidValue, UnknownRoom
from roomstate.holding import checks
from roomstate.holding.answering import Outputs
from roomstate.holding.linking import Links
from roomstate.holding.record import Holding
from roomstate.model import Tier, check_id
from roomstate.room.states import ActiveRoom
from roomstate.room.tiers import Signal

__all__ = ["Viewing"]

_MAX_UI_STATES = 1000  # viewers' UI states of one room


class Viewing(Links):
    """The viewers' verbs of `RoomStateManager`, which is the one class that has them."""

    # -- a viewer's interest -----------------------------------------------------------------------------------------

    def enter(self, viewer: str, room_id: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """Let ``viewer`` (a connection of ``user``, by default itself) look at a room: it becomes ACTIVE.

        What is held shows at once; what must be fetched is asked for. Entering again renews the interest. O(log rooms).
        Raises ``InvalidValue``, ``TooManyRooms`` or ``RateLimited``.
        """
        return self._interest(viewer, room_id, Tier.ACTIVE, Signal.ENTER, user, now)

    def follow(self, viewer: str, room_id: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """Let ``viewer`` hear of a room without looking at it: notifications, counts, configuration. As `enter`."""
        return self._interest(viewer, room_id, Tier.BACKGROUND, Signal.FOLLOW, user, now)

    def leave(self, viewer: str, room_id: str, *, now: float | None = None) -> Outputs:
        """End the viewer's interest in a room. Never refused for its rate. Raises ``UnknownViewer``,
        ``UnknownRoom``.
        """
        now = self._begin(now)
        self._house.interests.user_of(viewer)
        if self._house.interests.get(viewer, room_id) is None:
            raise UnknownRoom(f"room {room_id!r}", f"viewer {viewer!r} holds no interest in it")
        self._leave(viewer, room_id, now)
        return self._end(now)

    def disconnect(self, viewer: str, *, now: float | None = None) -> Outputs:
        """End all of the viewer's interests. One that has none is not an error. O(its rooms)."""
        now = self._begin(now)
        for room_id in self._house.interests.rooms_of(viewer):
            self._leave(viewer, room_id, now)
        return self._end(now)

    def _interest(
        self, viewer: str, room_id: str, tier: Tier, signal: Signal, user: str | None, now: float | None
    ) -> Outputs:
        now = self._begin(now)
        check_id("room_id", room_id)
        house = self._house
        house.interests.admit(viewer, room_id, user, now)
        self._admit_room(room_id)
        old = house.interests.set(viewer, room_id, tier, user, now)
        if old is not tier:
            held = self._holdings.get(room_id)
            if held is not None and tier is Tier.ACTIVE:
                self._tiering.ask(held, now)
            self._count_lookup(room_id, now)
            self._tiering.signal(room_id, signal, now)
            self._start_reading(self._holdings[room_id], house.interests.user_of(viewer), now)
            self._warming.turned(house.interests.user_of(viewer), room_id, tier, now)
        return self._end(now)

    def _start_reading(self, holding: Holding, user: str, now: float) -> None:
        reads = holding.sync_reads()
        if user not in reads.markers:
            reads.start(user)
            if holding.kept is not None or not holding.epoch:
                holding.newcomers[user] = None
            self._house.weigh(holding)
        holding.touched = max(holding.touched, now)

    def _leave(self, viewer: str, room_id: str, now: float) -> None:
        self._house.interests.drop(viewer, room_id)
        self._tiering.signal(room_id, Signal.LEAVE, now)

    def _count_lookup(self, room_id: str, now: float) -> None:
        found = "miss" if self._house.tier(room_id) is Tier.UNLOADED else "hit"
        frequency = self._house.cache.frequency(room_id, now).value
        self._house.counts["lookup", found, frequency] += 1

    # -- reading markers and UI state --------------------------------------------------------------------------------

    def mark_read(
        self, viewer: str, room_id: str, message_id: str | None = None, *, now: float | None = None
    ) -> Outputs:
        """Move the viewer's user's marker up to a message (None: to the head). Markers never go back.

        A message that has not been seen yet is remembered. Raises ``UnknownViewer``, ``UnknownRoom``.
        """
        now = self._begin(now)
        user = self._house.interests.user_of(viewer)
        holding = self._live(room_id)
        if message_id is not None:
            check_id("message_id", message_id)
        self._house.interests.touch(viewer, room_id, now)
        self._warming.read(viewer, user, room_id, now)
        if message_id is not None:
            self._durability.receipt(holding, user, message_id)
        elif holding.epoch and holding.sync_reads().read(user, holding.seq):
            holding.newcomers.pop(user, None)
        return self._end(now)

    def set_ui_state(self, viewer: str, room_id: str, state: Any, *, now: float | None = None) -> Outputs:
        """Keep the host's own JSON value for a viewer in an ACTIVE room (a draft, a scroll position); None forgets it.

        At most 64 KiB as JSON; of a room's states the oldest beyond 1000 is forgotten. Raises ``UnknownViewer``,
        ``UnknownRoom``, and ``InvalidValue`` where the room is not ACTIVE or ``state`` is not JSON.
        """
        now = self._begin(now)
        self._house.interests.user_of(viewer)
        room = self._live(room_id).room
        if not isinstance(room, ActiveRoom):
            raise InvalidValue(f"room {room_id!r}", "holds UI state only while it is ACTIVE")
        checks.json_value("state", state, checks.MAX_UI_STATE)
        room.ui_state.pop(viewer, None)
        if state is not None:
            room.ui_state[viewer] = state
            if len(room.ui_state) > _MAX_UI_STATES:
                del room.ui_state[next(iter(room.ui_state))]
        room.changes += 1
        return self._end(now)
