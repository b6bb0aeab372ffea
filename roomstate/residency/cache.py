"""The rooms that are held packed: under a budget of rooms and bytes, and leaving in a policy's order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from msgspec import Struct

from roomstate.errors import InvalidValue, UnknownRoom
from roomstate.residency.adaptive import AdaptivePolicy
from roomstate.residency.entry import Entry, Eviction, Reason
from roomstate.residency.eviction import EvictionPolicy
from roomstate.residency.rows import Rows
from roomstate.residency.ttl import Frequency, TimeToLive, Wheel

MAX_ROOMS = 100  # the specification's
MAX_BYTES = 64 * 2**20  # 100 rooms of 1000 messages pack into 5 MB: a bound that only a mistake meets
MAX_GHOSTS = 20_000  # unless told: 4 MB
DEFAULT_TTL = TimeToLive()

_ROOMS, _REFUSED = Reason.ROOMS, Reason.REFUSED  # an enum's attribute is looked up anew each time

Packed = bytes  # inside the class, ``bytes`` is the property


class CacheStats(Struct, frozen=True):
    """What a cache has done since it was made. ``evictions`` has every reason, 0 or more."""

    hits: int
    misses: int
    evictions: Mapping[Reason, int]

    @property
    def hit_ratio(self) -> float:
        """Hits of all lookups, 0.0 before the first."""
        return self.hits / max(1, self.hits + self.misses)


class RoomCache:
    """Packed rooms, bounded by ``max_rooms`` and by ``max_bytes`` of packed bytes.

    The bounds hold after every call, except for pinned rooms, which never leave by themselves. The index
    costs up to 320 bytes for each room beyond its packed bytes; ``max_rooms`` bounds that. ``policy`` says
    who leaves; it must not be shared between caches. When room must be made, at least ``batch_fraction`` of
    the rooms (rounded up) leave at once. ``ttl`` None keeps rooms until they are evicted. ``ghosts`` is the
    number of rooms whose access history is kept after they left, 200 bytes each (by default 4 × ``max_rooms``, but
    no more than 20,000).

    Every call takes ``now`` in seconds; a ``now`` earlier than one before it counts as that one. Calls raise
    `InvalidValue` for arguments out of range, and then have changed nothing.

    >>> cache = RoomCache(max_rooms=2)
    >>> cache.put("rust", b"...", now=0.0), cache.put("go", b"...", now=1.0)
    ((), ())
    >>> cache.get("rust", 2.0)
    b'...'
    >>> [eviction.room_id for eviction in cache.put("zig", b"...", now=3.0)]
    ['go']
    """

    def __init__(
        self,
        *,
        max_rooms: int = MAX_ROOMS,
        max_bytes: int = MAX_BYTES,
        policy: EvictionPolicy | None = None,
        ttl: TimeToLive | None = DEFAULT_TTL,
        batch_fraction: float = 0.0,
        ghosts: int | None = None,
    ) -> None:
        self.max_rooms: int = _at_least("max_rooms", max_rooms, 1)
        self.max_bytes: int = _at_least("max_bytes", max_bytes, 1)
        if not 0.0 <= batch_fraction <= 1.0:
            raise InvalidValue("batch_fraction", f"must lie in [0, 1], got {batch_fraction!r}")
        self.batch_fraction = batch_fraction
        self.policy: EvictionPolicy = policy if policy is not None else AdaptivePolicy()
        self.ttl = ttl
        self._rows = Rows(_at_least("ghosts", min(4 * max_rooms, MAX_GHOSTS) if ghosts is None else ghosts, 0))
        self._wheel = Wheel()
        self._pinned: dict[int, None] = {}
        self._bytes = self._pinned_bytes = 0
        self._now = -math.inf
        self._hits = self._misses = 0
        self._evictions: dict[Reason, int] = dict.fromkeys(Reason, 0)

    def __len__(self) -> int:
        return len(self._rows.index)

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._rows.index

    def __iter__(self) -> Iterator[str]:
        """The ids in the order in which the rooms came in."""
        return iter(self._rows.index)

    @property
    def bytes(self) -> int:
        """The packed bytes held, pinned ones included. O(1)."""
        return self._bytes

    def put(
        self,
        room_id: str,
        packed: Packed,
        *,
        now: float,
        priority: int = 0,
        pinned: bool = False,
        likelihood: float = 0.0,
    ) -> tuple[Eviction, ...]:
        """Store a room, or store it again; returns what had to go for it, in order. Amortised as the policy.

        ``likelihood`` in [0, 1] is for a newcomer that is stored because a visit is expected: see `hint`.
        Storing is not an access. The room itself is among the evictions (reason REFUSED) only if it does not
        fit beside the pinned rooms, or is alone larger than ``max_bytes``. A pinned room always stays.
        """
        if type(room_id) is not str or type(packed) is not bytes or not room_id:
            _known(room_id, packed)
        if priority and not (_integer(priority) and 0 <= priority <= 10):
            raise InvalidValue("priority", f"must be an integer from 0 to 10, got {priority!r}")
        if likelihood:
            _chance(likelihood)
        self._now = now if self._now <= now < math.inf else self._at(now)
        rows, policy, now = self._rows, self.policy, self._now
        row = rows.index.get(room_id)
        if row is not None:
            return self._put_again(row, packed, priority, pinned)
        size = len(packed)
        gone: tuple[Eviction, ...] = ()
        if not pinned and (self._pinned or size > self.max_bytes) and not self._fits(size):
            self._evictions[Reason.REFUSED] += 1
            return (Eviction(room_id, Reason.REFUSED, size, packed),)
        if not (pinned or policy.refuses):
            gone = self._make_room(1, size)
        row = rows.add(room_id, packed, now, priority)
        self._bytes += size
        if pinned:
            self._pin(row)
            return self._make_room(0, 0)
        if self.ttl is not None:
            self._file(row, self.ttl)
        policy.inserted(rows, row, now)
        if likelihood:
            self.hint(room_id, now, likelihood=likelihood)
        if len(rows.index) <= self.max_rooms and self._bytes <= self.max_bytes:
            return gone
        if self.batch_fraction or self._bytes > self.max_bytes:
            return gone or self._make_room(0, 0, newcomer=row)
        victim = next(policy.victims(rows, _ROOMS, now), row)  # the usual case: one comes, one goes
        return (self._evict(victim, _REFUSED if victim == row else _ROOMS),)

    def get(self, room_id: str, now: float) -> Packed | None:
        """The packed room, counted as an access; None, counted as a miss, if it is not here."""
        if not self._now <= now < math.inf:
            now = self._at(now)
        self._now = now
        rows = self._rows
        row = rows.index.get(room_id)
        if row is None:
            self._misses += 1
            return None
        self._hits += 1
        rows.access(row, now)
        if not self._pinned or row not in self._pinned:
            self.policy.accessed(rows, row, now)
        return rows.packed[room_id]

    def peek(self, room_id: str) -> Packed | None:
        """The packed room without counting anything. O(1)."""
        return self._rows.packed.get(room_id)

    def entry(self, room_id: str) -> Entry:
        """The facts about a room here. O(1). Raises `UnknownRoom`."""
        return self._rows[self._row(room_id)]

    def replace(self, room_id: str, packed: Packed, now: float) -> tuple[Eviction, ...]:
        """Change what is stored of a room that is here; no access.

        Returns what had to go. Raises `UnknownRoom`.
        """
        now = self._at(now)
        _known(room_id, packed)
        row = self._row(room_id)
        self._now = now
        return self._put_again(row, packed, self._rows[row].priority, row in self._pinned)

    def pop(self, room_id: str, now: float | None = None) -> Packed | None:
        """Take a room out, as promotion does. With ``now`` it counts as an access, or as a miss.

        Its access history lives on as a ghost. Returns None if the room is not here.
        """
        self._now = self._now if now is None else self._at(now)
        row = self._rows.index.get(room_id)
        if now is not None:
            self._hits += row is not None
            self._misses += row is None
        if row is None:
            return None
        if now is not None:  # the policy is not told: it sees one event for each visit, the next put
            self._rows.access(row, self._now)
        return self._drop(row)[1]

    def hint(
        self,
        room_id: str,
        now: float,
        *,
        messages: int = 0,
        mentions: int = 0,
        likelihood: float | None = None,
    ) -> bool:
        """Say that a room has become worth keeping; returns whether it is here.

        ``messages`` and ``mentions`` are how many came in since the last hint; ``likelihood`` in [0, 1] is
        how probable a visit is now (None leaves what was said before). An access clears all three.
        """
        now = self._at(now)
        _at_least("messages", messages, 0)
        _at_least("mentions", mentions, 0)
        if likelihood is not None:
            _chance(likelihood)
        self._now = now
        row = self._rows.index.get(room_id)
        if row is None:
            return False
        was = self._rows[row]
        likely = was.likelihood if likelihood is None else likelihood
        self._rows.hint(row, was.messages + messages, was.mentions + mentions, likely)
        self._changed(row)
        return True

    def pin(self, room_id: str) -> None:
        """Keep a room whatever the budget, until `unpin`. Raises `UnknownRoom`."""
        row = self._row(room_id)
        if row not in self._pinned:
            self.policy.removed(self._rows, row)
            self._pin(row)

    def unpin(self, room_id: str, now: float) -> tuple[Eviction, ...]:
        """Let a room leave again; returns what had to go, if pins had held more than the budget."""
        now = self._at(now)
        row = self._row(room_id)
        self._now = now
        if row in self._pinned:
            self._unpin(row)
            self.policy.inserted(self._rows, row, now)
            if self.ttl is not None:
                self._file(row, self.ttl)
        return self._make_room(0, 0)

    def expire(self, now: float) -> tuple[Eviction, ...]:
        """Drop the rooms whose time-to-live is over, rounded up to a second. O(rooms due)."""
        self._now = now = self._at(now)
        if self.ttl is None:
            return ()
        gone: list[Eviction] = []
        for row in self._wheel.due(now):
            if not self._rows.ids[row] or row in self._pinned:
                continue
            if math.ceil(self._deadline(row, self.ttl)) <= now:
                gone.append(self._evict(row, Reason.EXPIRED))
            else:
                self._file(row, self.ttl)
        return tuple(gone)

    def next_expiry(self) -> float | None:
        """When `expire` is due next; never late, but it may find that the room was touched since. O(1)."""
        return self._wheel.next()

    def shrink(self, to_bytes: int, now: float) -> tuple[Eviction, ...]:
        """Evict until no more than ``to_bytes`` are held, or only pinned rooms are left."""
        now = self._at(now)
        _at_least("to_bytes", to_bytes, 0)
        self._now = now
        gone: list[Eviction] = []
        for row in self.policy.victims(self._rows, Reason.PRESSURE, now) if self._bytes > to_bytes else ():
            gone.append(self._evict(row, Reason.PRESSURE))
            if self._bytes <= to_bytes:
                break
        return tuple(gone)

    def frequency(self, room_id: str, now: float) -> Frequency:
        """How often the room was accessed in the last hour: LOW too if nothing is remembered of it."""
        row = self._rows.index.get(room_id)
        recent = self._rows.ghost_recent(room_id) if row is None else self._rows.recent(row)
        return (self.ttl or DEFAULT_TTL).frequency(recent, max(self._now, self._at(now)))

    def stats(self) -> CacheStats:
        """The counters, as a value."""
        return CacheStats(self._hits, self._misses, dict(self._evictions))

    def check(self) -> None:
        """Raise AssertionError unless the invariants hold. O(rooms)."""
        self._rows.check()
        held = {row: self._rows.size(row) for row in self._rows.index.values()}
        assert sum(held.values()) == self._bytes
        assert self._pinned.keys() <= held.keys()
        assert sum(held[row] for row in self._pinned) == self._pinned_bytes
        if len(held) > len(self._pinned):
            assert not self._over()

    def _at(self, now: float) -> float:
        if self._now <= now < math.inf:
            return now
        if not math.isfinite(now):
            raise InvalidValue("now", f"must be finite seconds, got {now!r}")
        return self._now

    def _row(self, room_id: str) -> int:
        row = self._rows.index.get(room_id)
        if row is None:
            raise UnknownRoom(f"room {room_id!r}", "is not in the cache")
        return row

    def _put_again(self, row: int, packed: Packed, priority: int, pinned: bool) -> tuple[Eviction, ...]:
        held = row in self._pinned
        if not held:
            self.policy.removed(self._rows, row)
        else:
            self._unpin(row)
        self._bytes += len(packed) - self._rows.size(row)
        self._rows.restore(row, packed, self._now, priority)
        self._pin(row)  # what it needs is taken from the others
        if held or pinned:
            return self._make_room(0, 0)
        gone = self._make_room(0, 0)
        self._unpin(row)
        self.policy.inserted(self._rows, row, self._now)
        return (*gone, self._evict(row, Reason.REFUSED)) if self._over() else gone

    def _pin(self, row: int) -> None:
        self._pinned[row] = None
        self._pinned_bytes += self._rows.size(row)

    def _unpin(self, row: int) -> None:
        del self._pinned[row]
        self._pinned_bytes -= self._rows.size(row)

    def _fits(self, size: int) -> bool:
        return len(self._pinned) < self.max_rooms and self._pinned_bytes + size <= self.max_bytes

    def _changed(self, row: int) -> None:
        if row not in self._pinned:
            self.policy.changed(self._rows, row, self._now)

    def _over(self) -> bool:
        return len(self._rows.index) > self.max_rooms or self._bytes > self.max_bytes

    def _make_room(self, rooms: int, size: int, newcomer: int = -1) -> tuple[Eviction, ...]:
        index, most = self._rows.index, self.max_rooms - rooms
        held = len(index)
        if held <= most and self._bytes + size <= self.max_bytes:
            return ()
        reason = Reason.ROOMS if held > most else Reason.BYTES
        least = held - (math.ceil(self.batch_fraction * held) if self.batch_fraction else 1)
        gone: list[Eviction] = []
        for row in self.policy.victims(self._rows, reason, self._now):
            gone.append(self._evict(row, Reason.REFUSED if row == newcomer else reason))
            held -= 1
            if held <= most:
                if self._bytes + size > self.max_bytes:
                    reason = Reason.BYTES
                elif held <= least:
                    break
        return tuple(gone)

    def _evict(self, row: int, reason: Reason) -> Eviction:
        rows = self._rows
        self.policy.removed(rows, row)
        room_id, packed = rows.remove(row)
        size = len(packed)
        self._bytes -= size
        self._evictions[reason] += 1
        return Eviction(room_id, reason, size, packed)

    def _drop(self, row: int) -> tuple[str, Packed]:
        if row in self._pinned:
            self._unpin(row)
        else:
            self.policy.removed(self._rows, row)
        gone = self._rows.remove(row)
        self._bytes -= len(gone[1])
        return gone

    def _deadline(self, row: int, ttl: TimeToLive) -> float:
        touched = self._rows.touched(row)
        if not self._rows.accesses[row]:
            return touched + ttl.base_s
        return touched + ttl.seconds(ttl.frequency(self._rows.recent(row), touched))

    def _file(self, row: int, ttl: TimeToLive) -> None:
        self._wheel.file(row, self._deadline(row, ttl))


def _at_least(where: str, value: int, least: int) -> int:
    if not _integer(value) or value < least:
        raise InvalidValue(where, f"must be an integer of at least {least}, got {value!r}")
    return value


def _chance(likelihood: float) -> None:
    if not 0.0 <= likelihood <= 1.0:
        raise InvalidValue("likelihood", f"must lie in [0, 1], got {likelihood!r}")


def _integer(value: object) -> bool:
    return type(value) is int or (isinstance(value, int) and not isinstance(value, bool))


def _known(room_id: object, packed: object) -> None:
    if not isinstance(room_id, str) or not room_id:
        raise InvalidValue("room_id", f"must be a string that is not empty, got {room_id!r}")
    if not isinstance(packed, bytes):
        raise InvalidValue("packed", f"must be bytes, got {type(packed).__name__}")
