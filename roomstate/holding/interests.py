"""Why rooms are held: which viewer, of which user, wants which room at which tier, and for how long yet.

Interests lapse: a viewer who has done nothing in a room for ``idle_active_s`` only follows it, and after
``idle_background_s`` no longer that. Lapses are found by deadline, never by scanning.
"""

from __future__ import annotations

from itertools import islice

from msgspec import Struct, field

from roomstate.errors import InvalidValue, RateLimited, TooManyRooms, UnknownViewer
from roomstate.holding.deadlines import Deadlines
from roomstate.model import Tier, check_id

__all__ = ["Allowance", "Interest", "Interests", "Viewer"]


class Interest(Struct, eq=False, gc=False):
    """One viewer's interest in one room: ``tier`` is ACTIVE or BACKGROUND, ``touched`` when it was last renewed."""

    tier: Tier
    touched: float


class Viewer(Struct, eq=False, gc=False):
    """One connection, whose it is, and the rooms that it is interested in."""

    user: str
    rooms: dict[str, Interest] = field(default_factory=dict)
    moves: float = 0.0  # what is left of the rate allowance, at ``moved_at``
    moved_at: float = 0.0


class Allowance:
    """How often something may be done: ``per_s`` times a second in the long run, ``burst`` times at once."""

    __slots__ = ("_at", "_left", "burst", "per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s: float = per_s
        self.burst: float = burst
        self._left = burst
        self._at = float("-inf")

    def spend(self, now: float) -> None:
        """Take one; raise ``RateLimited``, and take nothing, where none is left. O(1)."""
        left = min(self.burst, self._left + max(0.0, now - self._at) * self.per_s)
        if left < 1:
            raise RateLimited("host", f"promotes more than {self.per_s:g} times a second")
        self._left, self._at = left - 1, max(self._at, now)


class Interests:
    """The interests of all viewers.

    ``max_rooms`` bounds the rooms of one viewer, ``max_viewers`` the viewers; one viewer may begin or change
    ``moves_per_s`` interests a second in the long run, ``burst`` at once. Giving up an interest is never refused.
    """

    __slots__ = (
        "_active",
        "_due",
        "_idle",
        "_rooms",
        "_spent",
        "_users",
        "_viewers",
        "burst",
        "max_rooms",
        "max_viewers",
        "moves_per_s",
    )

    def __init__(
        self,
        *,
        idle_active_s: float,
        idle_background_s: float,
        max_rooms: int,
        max_viewers: int,
        moves_per_s: float,
        burst: int,
    ) -> None:
        self._idle = {Tier.ACTIVE: idle_active_s, Tier.BACKGROUND: idle_background_s}
        self.max_rooms: int = max_rooms
        self.max_viewers: int = max_viewers
        self.moves_per_s: float = moves_per_s
        self.burst: int = burst
        self._viewers: dict[str, Viewer] = {}
        self._rooms: dict[str, dict[str, Interest]] = {}
        self._active: dict[str, int] = {}  # room -> how many of its interests are ACTIVE
        self._users: dict[str, dict[str, None]] = {}  # user -> its viewers
        self._spent: dict[str, Viewer] = {}  # viewers that have left, until their allowance would be whole again
        self._due: Deadlines[tuple[str, str]] = Deadlines()

    # -- reading -----------------------------------------------------------------------------------------------------

    def user_of(self, viewer: str) -> str:
        """Return whose connection ``viewer`` is. Raises ``UnknownViewer``."""
        known = self._viewers.get(viewer)
        if known is None:
            raise UnknownViewer(f"viewer {viewer!r}", "holds no interest")
        return known.user

    def whose(self, viewer: str, user: str | None) -> str:
        """Return whose connection ``viewer`` is, or would be as one of ``user``. Raises ``InvalidValue``. O(1)."""
        check_id("viewer", viewer)
        if user is not None:
            check_id("user", user)
        known = self._viewers.get(viewer)
        if known is None:
            return user if user is not None else viewer
        if user is not None and user != known.user:
            raise InvalidValue("user", f"viewer {viewer!r} is a connection of {known.user!r}, not of {user!r}")
        return known.user

    def idle_s(self, tier: Tier) -> float:
        """Return after how many seconds an interest of this tier lapses."""
        return self._idle[tier]

    def get(self, viewer: str, room_id: str) -> Interest | None:
        """Return the viewer's interest in the room, or None. O(1)."""
        return self._rooms.get(room_id, {}).get(viewer)

    def rooms_of(self, viewer: str) -> tuple[str, ...]:
        """Return the rooms that the viewer is interested in, in the order in which that began."""
        known = self._viewers.get(viewer)
        return tuple(known.rooms) if known else ()

    def viewers_of(self, room_id: str, tier: Tier) -> tuple[str, ...]:
        """Return the viewers with an interest of just this tier, in the order in which it began. O(viewers)."""
        return tuple(viewer for viewer, held in self._rooms.get(room_id, {}).items() if held.tier is tier)

    def count(self, room_id: str) -> int:
        """Return how many viewers are interested in a room. O(1)."""
        return len(self._rooms.get(room_id, ()))

    def in_room(self, room_id: str) -> tuple[str, ...]:
        """Return the viewers who are interested in a room, in the order in which that began. O(viewers)."""
        return tuple(self._rooms.get(room_id, ()))

    def viewers_of_user(self, room_id: str, user: str) -> tuple[str, ...]:
        """Return the viewers of one user that are interested in a room. O(viewers of the user)."""
        room = self._rooms.get(room_id, {})
        return tuple(viewer for viewer in self._users.get(user, ()) if viewer in room)

    def wanted(self, room_id: str) -> Tier:
        """Return the highest tier that any viewer asks for; UNLOADED where none does. O(1)."""
        if room_id in self._active:
            return Tier.ACTIVE
        return Tier.BACKGROUND if room_id in self._rooms else Tier.UNLOADED

    def __len__(self) -> int:
        return len(self._viewers)

    # -- changing ----------------------------------------------------------------------------------------------------

    def admit(self, viewer: str, room_id: str, user: str | None, now: float) -> None:
        """Check that the viewer may begin or change an interest now; raise, and change nothing, if not. O(1)."""
        self.whose(viewer, user)
        known = self._viewers.get(viewer)
        if known is None:
            if len(self._viewers) >= self.max_viewers:
                raise TooManyRooms("max_viewers", f"{self.max_viewers} viewers are here already")
            known = self._spent.get(viewer)
            if known is not None:
                self._check_rate(viewer, known, now)
            return
        if room_id not in known.rooms and len(known.rooms) >= self.max_rooms:
            raise TooManyRooms(f"viewer {viewer!r}", f"holds {self.max_rooms} rooms already")
        self._check_rate(viewer, known, now)

    def _check_rate(self, viewer: str, known: Viewer, now: float) -> None:
        if self._allowance(known, now) < 1:
            raise RateLimited(f"viewer {viewer!r}", f"moves more than {self.moves_per_s:g} times a second")

    def _allowance(self, viewer: Viewer, now: float) -> float:
        return min(self.burst, viewer.moves + max(0.0, now - viewer.moved_at) * self.moves_per_s)

    def set(self, viewer: str, room_id: str, tier: Tier, user: str | None, now: float) -> Tier | None:
        """Let the viewer be interested in the room at ``tier``; return the tier before, or None. O(log interests).

        The caller has asked `admit`.
        """
        known = self._viewers.get(viewer)
        if known is None:
            known = self._arrived(viewer, user if user is not None else viewer, now)
            self._users.setdefault(known.user, {})[viewer] = None
        known.moves = self._allowance(known, now) - 1
        known.moved_at = max(known.moved_at, now)
        held = known.rooms.get(room_id)
        old = held.tier if held is not None else None
        if held is None:
            held = known.rooms[room_id] = self._rooms.setdefault(room_id, {})[viewer] = Interest(Tier.UNLOADED, now)
        self._retier(room_id, held, tier)
        held.touched = now
        self._due.set((viewer, room_id), now + self._idle[tier])
        return old

    def _arrived(self, viewer: str, user: str, now: float) -> Viewer:
        """Return a new viewer; one that was here a moment ago has no more moves than it had."""
        for name in tuple(islice(self._spent, 2)):  # two, for one more may have come: so they go as fast as they come
            if self._allowance(self._spent[name], now) >= self.burst:
                del self._spent[name]
        old = self._spent.pop(viewer, None)
        moves, at = (self.burst, now) if old is None else (old.moves, old.moved_at)
        known = self._viewers[viewer] = Viewer(user, moves=moves, moved_at=at)
        return known

    def _retier(self, room_id: str, held: Interest, tier: Tier) -> None:
        """Change an interest's tier, and the room's count of ACTIVE ones."""
        count = self._active.pop(room_id, 0) + (tier is Tier.ACTIVE) - (held.tier is Tier.ACTIVE)
        if count:
            self._active[room_id] = count
        held.tier = tier

    def touch(self, viewer: str, room_id: str, now: float) -> None:
        """Note that the viewer did something in the room: its interest does not lapse for a while. O(1)."""
        held = self.get(viewer, room_id)
        if held is not None:
            held.touched = max(held.touched, now)  # its deadline stands, and is put off when it comes

    def drop(self, viewer: str, room_id: str) -> Tier | None:
        """End the viewer's interest in the room; return its tier, or None where there was none. O(1)."""
        known = self._viewers.get(viewer)
        held = known.rooms.pop(room_id, None) if known is not None else None
        if known is None or held is None:
            return None
        if not known.rooms:
            self._forget(viewer, known.user)
        tier = held.tier
        self._retier(room_id, held, Tier.UNLOADED)
        viewers = self._rooms[room_id]
        del viewers[viewer]
        if not viewers:
            del self._rooms[room_id]
        self._due.clear((viewer, room_id))
        return tier

    def _forget(self, viewer: str, user: str) -> None:
        self._spent[viewer] = self._viewers.pop(viewer)
        if len(self._spent) > self.max_viewers:
            del self._spent[next(iter(self._spent))]
        viewers = self._users[user]
        del viewers[viewer]
        if not viewers:
            del self._users[user]

    # -- lapsing -----------------------------------------------------------------------------------------------------

    def next_lapse(self) -> float | None:
        """Return when `lapse` is due, or None. It may then find that the interest was renewed. O(log n)."""
        return self._due.next()

    def lapse(self, now: float) -> str | None:
        """Let the next interest lapse that is due; return its room, or None where none is. O(log n)."""
        while (key := self._due.pop(now)) is not None:
            viewer, room_id = key
            held = self._viewers[viewer].rooms[room_id]
            due = held.touched + self._idle[held.tier]
            if due > now:
                self._due.set(key, due)
            elif held.tier is Tier.ACTIVE:
                self._retier(room_id, held, Tier.BACKGROUND)
                self._due.set(key, max(now, held.touched + self._idle[Tier.BACKGROUND]))
                return room_id
            else:
                self.drop(viewer, room_id)
                return room_id
        return None

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        self._due.check()
        held = {(viewer, room_id) for viewer, known in self._viewers.items() for room_id in known.rooms}
        assert held == {(viewer, room_id) for room_id, viewers in self._rooms.items() for viewer in viewers}
        assert all(key in self._due for key in held)
        assert len(held) == len(self._due)
        assert all(0 < len(known.rooms) <= self.max_rooms for known in self._viewers.values())
        assert len(self._viewers) <= self.max_viewers
        assert len(self._spent) <= self.max_viewers
        assert not self._spent.keys() & self._viewers.keys()
        active = {room_id: self.viewers_of(room_id, Tier.ACTIVE) for room_id in self._rooms}
        assert self._active == {room_id: len(viewers) for room_id, viewers in active.items() if viewers}
        assert {viewer for viewers in self._users.values() for viewer in viewers} == self._viewers.keys()
