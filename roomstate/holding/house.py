"""All the rooms that a manager holds, with the work that they wait for and what they weigh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from msgspec import Struct

from roomstate.effects import (
    Audience,
    CloseStream,
    ConflictResolved,
    Effect,
    Event,
    Head,
    Misfit,
    OpenStream,
    SaveFailed,
    StatusChanged,
    TierChanged,
)
from roomstate.holding.counting import Meter, Request
from roomstate.holding.deadlines import Deadlines
from roomstate.holding.foresight import Foresight
from roomstate.holding.interests import Interests
from roomstate.holding.record import Holding
from roomstate.model import Status, Tier
from roomstate.residency.cache import RoomCache
from roomstate.residency.warming import Warmer
from roomstate.room.reduce import MakeMessage
from roomstate.room.states import Limits, LiveRoom
from roomstate.room.tiers import LoadingSignal, next_status
from roomstate.room.unread import ReadState
from roomstate.sync.conflict import expire
from roomstate.updates import Update

__all__ = ["REPEATED", "Bounds", "House", "Output", "stream"]

Output: TypeAlias = Effect | Event

REPEATED: Final = ("append", "head", "load", "save", "fetch", "recover")
"""What may fail at the host, and is then tried again at a deadline of its own."""

_TIMERS: Final = ("own", "typing", "early", "send", "conflict", "parked", *REPEATED)
_CACHE_ENTRY = 250  # bytes of a cached room beyond its packed bytes: record, index, ghost; `benchmarks memory`
_HOLDING_BYTES = 700  # a holding with its read state and audience; `python -m benchmarks memory`
_PER_INTEREST = 700  # bytes: the interest, its deadline, and the viewer's part in it; the same


class Bounds(Struct, frozen=True):
    """Every bound of a manager, in the unit that it names; see `RoomStateManager` for where the defaults come from."""

    max_bytes: int
    max_undurable_bytes: int
    max_waiting: int
    max_live_rooms: int
    max_read_states: int
    retry_s: float
    max_retry_s: float
    early_s: float
    answer_s: float


class House:
    """All rooms that a manager holds, with the work that they wait for and what they weigh."""

    __slots__ = (
        "begun",
        "bounds",
        "by_cold",
        "bytes",
        "cache",
        "conflicts",
        "counts",
        "due",
        "durability",
        "foresight",
        "holdings",
        "interests",
        "jitter",
        "last_conflict",
        "last_request",
        "leaving_bytes",
        "limits",
        "make",
        "meter",
        "new_epoch",
        "out",
        "replica",
        "requests",
        "resting",
        "resting_bytes",
        "run",
        "short",
        "undurable_bytes",
    )

    def __init__(
        self,
        *,
        bounds: Bounds,
        limits: Limits,
        interests: Interests,
        cache: RoomCache,
        durability: str,
        new_epoch: Callable[[], str],
        make: MakeMessage | None,
        replica: bool = False,
        jitter: Callable[[], float] = float,
        warmer: Warmer | None = None,
    ) -> None:
        self.bounds: Bounds = bounds
        self.limits: Limits = limits
        self.interests: Interests = interests
        self.cache: RoomCache = cache
        self.durability: str = durability
        self.new_epoch: Callable[[], str] = new_epoch
        self.make: MakeMessage | None = make
        self.replica: bool = replica
        self.jitter: Callable[[], float] = jitter  # a number in [0, 1)
        self.holdings: dict[str, Holding] = {}
        self.resting: dict[str, ReadState] = {}  # the read states of rooms without a holding
        self.resting_bytes: int = 0
        self.run: str = ""  # the epoch of this run, under "relaxed"
        self.requests: dict[int, Request] = {}
        self.last_request: int = 0
        self.conflicts: dict[int, str] = {}  # the rooms of open choices, by number
        self.last_conflict: int = 0
        self.begun: int = 0  # the last request whose time runs
        self.due: Deadlines[tuple[str, str]] = Deadlines()
        self.by_cold: Deadlines[str] = Deadlines()  # BACKGROUND rooms by when they were last touched
        self.out: list[Output] = []
        self.meter: Meter = Meter()
        self.counts: Counter[tuple[str, ...]] = self.meter.counts
        self.short: int = 0  # messages that took the short way, in rooms that are not held any more
        self.foresight: Foresight | None = Foresight(warmer, self.meter.count) if warmer is not None else None
        self.bytes: int = 0
        self.leaving_bytes: int = 0  # of rooms whose snapshot is being saved, and that leave then
        self.undurable_bytes: int = 0

    @property
    def logged(self) -> bool:
        """Whether there is a log to append to."""
        return self.durability != "none" and not self.replica

    @property
    def stored(self) -> bool:
        """Whether rooms may lie in a store that outlives this object."""
        return self.durability != "none"

    def tier(self, room_id: str) -> Tier:
        """Return the tier of any room, known or not. O(1)."""
        holding = self.holdings.get(room_id)
        if holding is not None and holding.room is not None:
            return holding.tier
        return Tier.CACHED if room_id in self.cache else Tier.UNLOADED

    @property
    def used(self) -> int:
        """What all rooms hold in memory, in bytes: live ones, cached ones, and what users have read. O(1)."""
        return self.bytes + self.resting_bytes + self.cached_bytes

    @property
    def over(self) -> int:
        """How many bytes are to leave memory and are not on their way yet; 0 or less where none. O(1)."""
        return self.used - self.leaving_bytes - self.bounds.max_bytes

    @property
    def cached_bytes(self) -> int:
        """What the rooms at rest hold in memory, in bytes. O(1)."""
        return self.cache.bytes + _CACHE_ENTRY * len(self.cache)

    def wanted(self, room_id: str) -> Tier:
        """Return the highest tier that any interest asks for: viewers', and the host's own. O(1)."""
        holding = self.holdings.get(room_id)
        own = holding.own if holding is not None else Tier.UNLOADED
        return max(own, self.interests.wanted(room_id))

    def epoch_after(self, head: Head | None) -> str:
        """Return the epoch in which the log that ends at ``head`` goes on.

        Only "logged" can be sure that nobody was told more than the log has. Under "relaxed" a manager begins one epoch
        of its own for all its rooms: it alone numbers them, for as long as it lives.
        """
        if self.replica:  # the authority alone begins epochs
            return head.position.epoch if head is not None else ""
        if head is not None and self.durability == "logged":
            return head.position.epoch
        if self.durability != "relaxed":
            return self.new_epoch()
        if not self.run:
            self.run = self.new_epoch()
        return self.run

    def reads_of(self, room_id: str) -> ReadState | None:
        """Return the room's read state, up to date, or None where nobody has read there. O(1)."""
        holding = self.holdings.get(room_id)
        return holding.sync_reads() if holding is not None else self.resting.get(room_id)

    def hold(self, room_id: str, now: float) -> Holding:
        """Return the room's holding, making one where there is none. O(1)."""
        holding = self.holdings.get(room_id)
        if holding is None:
            reads = self.resting.pop(room_id, None)
            if reads is None:
                reads = ReadState()
            else:
                self.resting_bytes -= reads.bytes
            holding = self.holdings[room_id] = Holding(room_id, reads, touched=now)
            if self.foresight is not None:
                self.forget(self.foresight.overtaken(room_id))
        return holding

    def release(self, holding: Holding) -> None:
        """Hold the room no more; its read state stays where it has markers. O(1)."""
        reads = holding.sync_reads()
        self.short += holding.shortly
        self.weigh(holding, gone=True)
        del self.holdings[holding.room_id]
        for kind in _TIMERS:
            self.due.clear((kind, holding.room_id))
        self.by_cold.clear(holding.room_id)
        for request_id in holding.asked:
            self.forget(request_id)
        for conflict_id, pending in holding.conflicts.items():  # the defaults stand
            del self.conflicts[conflict_id]
            self.out.append(ConflictResolved(holding.room_id, conflict_id, expire(pending, pending.expires_at)))
        for update in holding.parking.expire(float("inf")) if holding.parking is not None else ():
            self.misfit(holding, update, "the room has left memory")
        if reads.markers:
            self._rest(holding.room_id, reads)

    def _rest(self, room_id: str, reads: ReadState) -> None:
        """Keep what was read of a room at rest; beyond a bound the oldest is forgotten."""
        self.resting[room_id] = reads
        self.resting_bytes += reads.bytes
        if len(self.resting) > self.bounds.max_read_states:
            oldest = next(iter(self.resting))
            self.resting_bytes -= self.resting.pop(oldest).bytes

    def misfit(self, holding: Holding, update: Update, reason: str) -> None:
        """Count and tell that an update had no meaning. O(1)."""
        self.counts["update", str(update.__struct_config__.tag), "misfit"] += 1
        self.out.append(Misfit(holding.room_id, update, reason))

    def ask(self, kind: str, room_id: str) -> int:
        """Return the id of a new request. O(1)."""
        self.last_request += 1
        self.requests[self.last_request] = Request(kind, room_id)
        return self.last_request

    def forget(self, request_id: int) -> int:
        """Let an answer to the request mean nothing; return 0. O(1)."""
        self.requests.pop(request_id, None)
        return 0

    def retry(self, holding: Holding, kind: str, now: float) -> float:
        """Set when what has failed is tried again, and return it: in ``retry_s``, twice that, up to ``max_retry_s``."""
        failures = holding.failures.get(kind, 0)
        holding.failures[kind] = failures + 1
        at = now + min(self.bounds.max_retry_s, self.bounds.retry_s * 2.0 ** min(failures, 30))
        self.due.set((kind, holding.room_id), at)
        return at

    def save_failed(self, holding: Holding, kind: str, reason: str, now: float) -> None:
        """Tell that something could not be made durable, and when it is tried again."""
        self.out.append(SaveFailed(holding.room_id, reason, self.retry(holding, kind, now)))

    def succeeded(self, holding: Holding, kind: str) -> None:
        """Let what has succeeded begin anew with short pauses. O(1)."""
        holding.failures.pop(kind, None)
        self.due.clear((kind, holding.room_id))

    def weigh(self, holding: Holding, *, gone: bool = False) -> None:
        """Bring what the room is accounted with up to what it holds. O(1)."""
        size = 0
        if not gone:
            size = _HOLDING_BYTES + _PER_INTEREST * self.interests.count(holding.room_id)
            size += holding.undurable_bytes + holding.reads.bytes + holding.saving_bytes
            size += len(holding.packed.snapshot) if holding.packed is not None else 0
            size += holding.kept_bytes if holding.kept is not None else 0
            size += holding.feed.bytes if holding.feed is not None else 0
            size += holding.replica.bytes if holding.replica is not None else 0
            size += holding.echoes.bytes if holding.echoes is not None else 0
            size += holding.parking.bytes if holding.parking is not None else 0
            room = holding.room
            if room is not None:
                size += room.bytes
                holding.timeline_bytes = room.timeline.bytes
        self.bytes += size - holding.bytes
        holding.bytes = size
        leaves = holding.saving is not None and not gone and self.wanted(holding.room_id) < Tier.BACKGROUND
        self.leaving_bytes += (size if leaves else 0) - holding.leaving_bytes
        holding.leaving_bytes = size if leaves else 0

    def weigh_messages(self, holding: Holding, room: LiveRoom) -> None:
        """Do as `weigh` where nothing but the messages of a ``plain`` room has changed. O(1)."""
        size = room.timeline.bytes
        grown, holding.timeline_bytes = size - holding.timeline_bytes, size
        self.bytes += grown
        holding.bytes += grown

    def audience(self, holding: Holding) -> Audience | None:
        """Return who hears of the room, or None where nobody does. O(1), O(viewers) after interests changed."""
        if not holding.audience_known:
            room_id = holding.room_id
            active = self.interests.viewers_of(room_id, Tier.ACTIVE)
            background = self.interests.viewers_of(room_id, Tier.BACKGROUND)
            anybody = active or background
            holding.audience = Audience(room_id, holding.epoch, active, background) if anybody else None
            holding.audience_known = True
            holding.set_plain(self._is_plain(holding))
        return holding.audience

    def _is_plain(self, holding: Holding) -> bool:
        room = holding.room
        quiet = holding.idle and holding.saving is None and holding.kept is None and not holding.reads.awaited
        own = not (self.logged or self.replica)  # numbered here, and with no log to wait for
        return own and quiet and room is not None and not room.timeline.by_time

    def refile(self, holding: Holding) -> None:
        """Take note that something about the room's interests or outstanding work has changed. O(log n)."""
        holding.set_plain(False)
        holding.audience_known = False
        self.file_cold(holding)

    def file_cold(self, holding: Holding) -> None:
        """Let the room stand in line for `press` if it may be packed up. O(log n)."""
        if self.movable(holding) and holding.room_id in self.holdings:
            self.by_cold.set(holding.room_id, holding.touched)
        else:
            self.by_cold.clear(holding.room_id)

    def movable(self, holding: Holding) -> bool:
        """Whether pressure may pack the room up: nobody looks at it, and nothing is waited for."""
        return holding.tier is Tier.BACKGROUND and holding.room is not None and holding.idle and holding.saving is None

    def set_tier(self, room_id: str, old: Tier, new: Tier) -> None:
        """Tell of a change of tier, and count it. O(1)."""
        if old is not new:
            self.out.append(TierChanged(room_id, old, new))
            self.counts["transition", old.name, new.name] += 1
            holding = self.holdings.get(room_id)
            if self.replica and max(old, new) >= Tier.BACKGROUND and not (holding is not None and holding.apart):
                self.out.append(stream(room_id, new))

    def set_status(self, holding: Holding, signal: LoadingSignal, reason: str = "") -> None:
        """Let ``signal`` happen to a room's load, and tell where that changes its status. O(1)."""
        new = next_status(holding.status, signal)
        if new is not holding.status:
            self.out.append(StatusChanged(holding.room_id, holding.status, new, reason))
            holding.status = new

    def filled(self, holding: Holding, now: float) -> None:
        """Take note that a room holds all that its tier does. O(1)."""
        self.meter.promoted(holding.promotion, "loaded", now)
        holding.promotion = None

    def given_up(self, holding: Holding, now: float) -> None:
        """Take note that a room moves on before it was filled. O(1)."""
        self.meter.promoted(holding.promotion, "failed" if holding.status is Status.ERROR else "left", now)
        holding.promotion = None

    def live(self) -> Iterator[Holding]:
        """Return the holdings whose room is in memory, in the order in which they came. O(n)."""
        return (holding for holding in self.holdings.values() if holding.room is not None)


def stream(room_id: str, tier: Tier) -> OpenStream | CloseStream:
    """Return how a copy at ``tier`` listens to its authority."""
    if tier < Tier.BACKGROUND:
        return CloseStream(room_id)
    return OpenStream(room_id, "realtime" if tier is Tier.ACTIVE else "heartbeat")
