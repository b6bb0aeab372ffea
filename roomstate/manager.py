"""The one mutable face of the core: rooms in, effects and events out; no I/O of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from roomstate.effects import Deliver
from roomstate.errors import InvalidValue
from roomstate.holding import checks
from roomstate.holding.answering import Outputs
from roomstate.holding.checks import MAX_TIME
from roomstate.holding.durability import Durability
from roomstate.holding.following import Following
from roomstate.holding.house import Bounds, House
from roomstate.holding.interests import Allowance, Interests
from roomstate.holding.notify import Mentions, NotificationRule, Replies
from roomstate.holding.record import Holding
from roomstate.holding.replicating import Replicating
from roomstate.holding.tiering import Tiering
from roomstate.holding.viewing import Viewing
from roomstate.holding.warming import Warming
from roomstate.model import EMPTY, MAX_ID, Tier, check_id
from roomstate.residency.cache import RoomCache
from roomstate.residency.warming import Warmer
from roomstate.room.reduce import MakeMessage
from roomstate.room.states import Limits
from roomstate.room.tiers import Signal
from roomstate.sync.conflict import ConflictPolicy
from roomstate.updates import LOGGED, MessageAdded, Update

__all__ = ["RoomStateManager"]

_NOTHING: Final[Outputs] = ()
_NO_BADGES: Final = ()  # there is only one empty tuple
_is_ascii = str.isascii  # called like this it also finds what is no str, for no more than a method call costs
_HOST_BURST_S = 10.0  # seconds' worth of the host's own promotions at once: what a start needs


def _random_share() -> float:
    """Return a random number in [0, 1)."""
    from secrets import randbits  # here: see `_random_epoch`

    return randbits(53) / 2**53


def _is_plain(user: str) -> bool:
    """Whether a user's id needs no closer look."""
    return _is_ascii(user) and 0 < len(user) <= MAX_ID


def _random_epoch() -> str:
    """Return 64 random bits: no two epochs of a room will ever be the same."""
    from secrets import token_hex  # here: it costs 8 ms, of which an import of roomstate would notice

    return token_hex(8)


class RoomStateManager(Viewing):
    """Holds the state of many rooms in tiers. Performs no I/O: what must be done comes back as effects.

    Every verb returns a tuple of effects and events, in order (`roomstate.effects`); the caller carries the effects
    out, those of one room in their order, and answers each that has a ``request_id`` with `complete` or `fail`. It
    calls `tick` when `next_deadline` is due. A verb that raises has changed nothing. Every verb takes ``now``, in
    seconds since 1970; None reads ``clock`` once. Not thread-safe: one thread, or one event loop, calls it.

    ``durability`` says when an update is told to others: "none" at once, and nothing outlives this object; "relaxed" at
    once, then it is appended to the log; "logged" when the log has confirmed it. With the last two a store is needed
    that carries out the loading and appending effects.

    ``role`` "authority" gives out positions, or follows sources that have none; "replica" follows an authority that
    gives out positions: what `receive` brings is joined to what is held, what is missing is asked for, and what its
    users write goes through `send`. A replica has durability "none", or "relaxed" where a store keeps its snapshots.
    ``conflicts`` says what becomes of a replica's room that differs from an image of the authority's.

    ``make_message`` turns a `Message` from the store or the wire into the host's own class. ``rules`` say whom a
    message concerns. ``cache`` holds rooms at rest; give one to choose its bounds and policy. ``warmer`` loads rooms
    before anybody asks for them (`warm`); None, the default, because predicting costs 0.2 ms for each `enter`.

    Bounds, with the source of each default: ``limits`` (the specification, DESIGN §9); ``max_bytes`` 256 MiB over all
    tiers, which ACTIVE and undurable rooms alone may exceed; ``max_undurable_bytes`` 16 MiB waiting for the log;
    ``max_waiting`` 1000 updates a room without seq, or, without a log, during its load; ``max_undurable_bytes`` also of
    what a room keeps during its load (more is refused; with a log it is left to that); ``max_rooms_per_viewer`` 1000,
    ``max_viewers`` 100,000, ``max_live_rooms`` 1,000,000, ``max_read_states`` 100,000 rooms (each: ten times what we
    saw in the largest public archive); ``moves_per_s`` 50 with a ``burst`` of 200 per viewer (nobody changes rooms
    faster by hand);
    ``host_moves_per_s`` 1000 promotions of the host's own, ten times that at once (a tenth of what one core can do);
    ``idle_active_s`` 300 and ``idle_background_s`` 1800 (DESIGN §4); ``retry_s`` 0.5, doubling up to ``max_retry_s``
    30.

    >>> from roomstate import Message, MessageAdded
    >>> rooms = RoomStateManager()
    >>> _ = rooms.enter("ada", "rust")
    >>> _ = rooms.publish("rust", MessageAdded(Message(id="1", user="bob", content="hi ada")))
    >>> rooms.view("rust").messages[-1].content
    'hi ada'
    """

    def __init__(
        self,
        *,
        role: Literal["authority", "replica"] = "authority",
        durability: Literal["none", "relaxed", "logged"] = "none",
        limits: Limits | None = None,
        cache: RoomCache | None = None,
        warmer: Warmer | None = None,
        rules: Sequence[NotificationRule] | None = None,
        make_message: MakeMessage | None = None,
        conflicts: ConflictPolicy | None = None,
        clock: Callable[[], float] = time.time,
        new_epoch: Callable[[], str] | None = None,
        jitter: Callable[[], float] | None = None,
        max_bytes: int = 256 * 2**20,
        max_undurable_bytes: int = 16 * 2**20,
        max_waiting: int = 1000,
        max_rooms_per_viewer: int = 1000,
        max_viewers: int = 100_000,
        max_live_rooms: int = 1_000_000,
        max_read_states: int = 100_000,
        moves_per_s: float = 50.0,
        burst: int = 200,
        host_moves_per_s: float = 1000.0,
        idle_active_s: float = 300.0,
        idle_background_s: float = 1800.0,
        retry_s: float = 0.5,
        max_retry_s: float = 30.0,
        early_s: float = 0.5,
        answer_s: float = 10.0,
    ) -> None:
        if role not in ("authority", "replica") or (role == "replica" and durability == "logged"):
            raise InvalidValue("role", f"must be authority, or replica without a log of its own, got {role!r}")
        if durability not in ("none", "relaxed", "logged"):
            raise InvalidValue("durability", f"must be none, relaxed or logged, got {durability!r}")
        bounds = {
            "max_bytes": max_bytes,
            "max_undurable_bytes": max_undurable_bytes,
            "max_waiting": max_waiting,
            "max_live_rooms": max_live_rooms,
            "max_read_states": max_read_states,
            "retry_s": retry_s,
            "max_retry_s": max_retry_s,
            "early_s": early_s,
            "answer_s": answer_s,
        }
        others = {
            "max_rooms": max_rooms_per_viewer,
            "max_viewers": max_viewers,
            "moves_per_s": moves_per_s,
            "burst": burst,
            "idle_active_s": idle_active_s,
            "idle_background_s": idle_background_s,
        }
        for where, value in {**bounds, **others, "host_moves_per_s": host_moves_per_s}.items():
            checks.positive(where, value)
        self._clock = clock
        self._moves = Allowance(host_moves_per_s, max(1.0, _HOST_BURST_S * host_moves_per_s))
        self._now = float("-inf")
        self._house = House(
            bounds=Bounds(**bounds),  # type: ignore[arg-type]
            limits=limits if limits is not None else Limits(),
            interests=Interests(**others),  # type: ignore[arg-type]
            cache=cache if cache is not None else RoomCache(),
            durability=durability,
            new_epoch=new_epoch if new_epoch is not None else _random_epoch,
            make=make_message,
            replica=role == "replica",
            jitter=jitter if jitter is not None else _random_share,
            warmer=warmer,
        )
        self._durability = Durability(self._house, tuple(rules) if rules is not None else (Mentions(), Replies()))
        self._replicating = Replicating(
            self._house, self._durability, conflicts if conflicts is not None else ConflictPolicy()
        )
        self._tiering = Tiering(self._house, self._durability, self._replicating)
        self._warming = Warming(self._house, self._tiering.leaving)
        self._following = Following(self._house, self._durability, self._tiering)
        self._holdings = self._house.holdings
        told_of_all = self._durability.every or warmer is not None
        self._short = {} if told_of_all else self._holdings  # the rooms whose messages may take the short way

    # -- the host's own interest -------------------------------------------------------------------------------------

    def promote(
        self,
        room_id: str,
        tier: Tier = Tier.ACTIVE,
        *,
        load_history: bool = True,
        load_users: bool = True,
        connect: bool = True,
        now: float | None = None,
    ) -> Outputs:
        """Hold a room at ``tier`` (ACTIVE or BACKGROUND) for the host's own sake, until `demote`; it does not lapse.

        Without ``load_history`` and ``load_users`` a room that was not held comes back as brief as at BACKGROUND: the
        two lie in one snapshot, so either brings both. Without ``connect`` a replica's room neither listens nor asks.
        What was left out comes with the next `enter` or `promote` that wants it, the connection with `connected` too.
        Raises ``InvalidValue`` for another tier, ``TooManyRooms``, and ``RateLimited`` for a flood.
        """
        now = self._begin(now)
        check_id("room_id", room_id)
        checks.tier(tier, Tier.BACKGROUND)
        self._admit_room(room_id)
        self._moves.spend(now)
        self._count_lookup(room_id, now)
        holding = self._house.hold(room_id, now)
        self._house.due.clear(("own", room_id))
        self._tiering.ask(holding, now, brief=not (load_history or load_users), apart=not connect)
        if tier > holding.own:
            holding.own = tier
            self._warming.turned(None, room_id, tier, now)
            self._tiering.signal(room_id, Signal.ENTER if tier is Tier.ACTIVE else Signal.FOLLOW, now)
        return self._end(now)

    def demote(
        self,
        room_id: str,
        tier: Tier = Tier.UNLOADED,
        *,
        keep_notifications: bool = True,
        now: float | None = None,
    ) -> tuple[Tier, Outputs]:
        """Give up the host's own interest down to ``tier``; return the tier that the room is at now, and the outputs.

        The room stays as high as viewers ask for, and until what it holds is safe: then it moves by itself. With
        UNLOADED a cached room is dropped from memory. ``keep_notifications`` False forgets them. Raises
        ``UnknownRoom``.
        """
        now = self._begin(now)
        checks.tier(tier, Tier.UNLOADED)
        self._known(room_id)
        holding = self._holdings.get(room_id)
        if tier < Tier.BACKGROUND:
            self._house.due.clear(("own", room_id))
        if holding is not None and holding.own > tier:
            holding.own = tier if tier >= Tier.BACKGROUND else Tier.UNLOADED
        if not keep_notifications and holding is not None and holding.room is not None:
            holding.room.notifications = None
            holding.room.changes += 1
        old = self._house.tier(room_id)
        if old is Tier.CACHED and tier is Tier.UNLOADED:
            self._tiering.signal(room_id, Signal.PURGE, now)
        elif old > tier:
            self._tiering.signal(room_id, Signal.LEAVE, now)
        return self._house.tier(room_id), self._end(now)

    # -- updates -----------------------------------------------------------------------------------------------------

    def publish(self, room_id: str, update: Update, *, now: float | None = None) -> Outputs:
        """Take ``update`` into a room's log as its authority. O(1), plus its recipients' tuple after interests changed.

        With durability "none" or "relaxed" the result has its `Deliver`; with "logged" the `complete` of its
        `AppendLog` has it. A repeated message changes nothing; an update that means nothing here comes back as a
        `Misfit`. A room that is at rest only has its head loaded; without a log it is promoted to BACKGROUND. Raises
        ``InvalidValue`` for what is not a valid update, ``OverBudget``, ``RoomBusy``, ``TooManyRooms``: nothing has
        changed then.
        """
        if now is None:
            now = self._clock()
        seq = 0
        try:  # the short way of a sound and plainly new message: all is looked at before anything changes
            holding = self._short[room_id]
            timeline = holding.room.timeline  # type: ignore[union-attr]
            held = timeline.held
            message: Any = update.message  # type: ignore[union-attr]
            message_id = message.id
            content = message.content
            marker = holding.reads.markers.get(message.user)
            if (
                holding.plain
                and type(update) is MessageAdded
                and self._now <= now
                and now < MAX_TIME
                and message_id not in held
                and message.timestamp > timeline.horizon
                and message.extra is EMPTY
                and message.badges is _NO_BADGES
                and message_id
                and _is_ascii(message_id)
                and _is_ascii(content)
                and len(message_id) + len(content) <= MAX_ID
                and (marker is not None or _is_plain(message.user))
                and not (timeline.tombstones and message_id in timeline.tombstones)
            ):
                seq = timeline.offset + len(held)
                held[message_id] = message
                self._now = now
                if marker is not None:  # then the author's id was looked at before
                    marker.own += 1
                audience = holding.audience
                if seq < timeline.settle_at and "@" not in content and audience is not None:
                    return (Deliver(audience, update, seq),)
        except (KeyError, TypeError, AttributeError):
            pass  # not a room that is held, not a message, or not a time
        if seq:
            return self._after_add(self._short[room_id], update, seq, now)
        return self._publish(room_id, update, now)  # which says what is wrong

    def _after_add(self, holding: Holding, update: Update, seq: int, now: float) -> Outputs:
        """Finish what the short way of `publish` began, where there is more to do than to deliver."""
        house, room = self._house, holding.room
        assert isinstance(update, MessageAdded)
        assert room is not None
        house.out.clear()
        if holding.audience is not None:
            house.out.append(Deliver(holding.audience, update, seq))
        if seq >= room.timeline.settle_at:
            room.timeline.settle()
        if "@" in update.message.content or room.digest is not None:
            self._durability.notify(holding, update.message, seq)
            house.weigh(holding)
        else:
            house.weigh_messages(holding, room)
        return self._end(now)

    def _publish(self, room_id: str, update: Update, now: float) -> Outputs:
        now = self._begin(now)
        check_id("room_id", room_id)
        update = checks.checked(update, now)
        if self._house.replica:
            raise InvalidValue("role", "a replica cannot publish: send it to the authority")
        self._admit_room(room_id)
        held = self._holdings.get(room_id)
        if held is not None and held.room is not None and held.room.timeline.by_time:
            raise InvalidValue(f"room {room_id!r}", "has a foreign source: what it says is received, not published")
        self._durability.check(room_id, update)
        holding = self._house.hold(room_id, now)
        if holding.room is None and type(update) in LOGGED:
            if self._house.logged:
                self._tiering.know_head(holding)
            else:
                self._tiering.wake(holding, now)
        self._durability.take(holding, update, now)
        self._tiering.settle(holding, now)
        return self._end(now)

    # -- time --------------------------------------------------------------------------------------------------------

    def tick(self, *, now: float | None = None, limit: int = 1000) -> Outputs:
        """Do what is due: lapses, retries, expiry; at most ``limit`` of each, the rest at the next tick. O(due log
        n).
        """
        now = self._begin(now)
        checks.limit("limit", limit)
        house = self._house
        for _ in range(limit):
            room_id = house.interests.lapse(now)
            if room_id is None:
                break
            self._tiering.signal(room_id, Signal.IDLE, now)
        for _ in range(limit):
            key = house.due.pop(now)
            if key is None:
                break
            self._due(key[0], self._holdings[key[1]], now)
        self._tiering.leaving.evicted(house.cache.expire(now))
        return self._end(now)

    def _due(self, kind: str, holding: Holding, now: float) -> None:
        if kind == "own":
            holding.own = Tier.UNLOADED
            self._tiering.signal(holding.room_id, Signal.IDLE, now)
        elif kind == "typing":
            self._durability.expire_typing(holding, now)
        elif kind == "fetch":
            self._following.retry(holding)
        elif kind == "parked":
            self._following.parked.expire(holding, now)
        elif kind == "send":
            self._replicating.sending.expire(holding, now)
            self._tiering.settle(holding, now)
        elif kind == "conflict":
            self._replicating.settling.expire(holding, now)
        elif kind in ("early", "recover"):
            self._replicating.due(holding, kind, now)
        else:
            self._tiering.retry(holding, kind, now)
