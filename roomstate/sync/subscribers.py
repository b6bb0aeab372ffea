"""One bounded queue for each viewer, as a value: no tasks, no locks, no clock.

A viewer who reads more slowly than rooms are written to must cost neither memory nor the other viewers anything, and
must not be deceived: what is dropped is replaced by a `Resync` of its room, on which the viewer's consumer asks
``since`` its last token and is up to date again. So nothing is lost silently: each update pushed is popped, or lies
behind a `Resync` of its room, or was replaced by a later one of the same key (typing, presence).

`fan_out` is the hot path: one encoded update goes to thousands of queues. It weighs nothing, allocates nothing for a
subscriber, and asks each queue two things: are you empty (then the consumer is to be woken), and are you below your
limit? All that happens rarely (markers, spans, keys, large items) is made to look like a limit that is reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec import Struct, structs

from roomstate.model import Tier, check_bound, check_id
from roomstate.updates import (
    CountsChanged,
    ModerationConfigChanged,
    NotificationAdded,
    RoomConfigChanged,
    StreamStatusChanged,
    Update,
)

__all__ = [
    "MAX_BYTES",
    "MAX_ITEMS",
    "MAX_ROOMS",
    "SLOT",
    "Entry",
    "Item",
    "Resync",
    "Subscriber",
    "Withheld",
    "fan_out",
    "hears",
]

SLOT: Final = 4096
"""Bytes that an item counts for at least: 2,000 ASCII characters, Discord's bound, fit twice with their envelope."""

MAX_ITEMS: Final = 256
"""Items queued for one viewer: as many slots as `MAX_BYTES` has."""

MAX_BYTES: Final = 1 << 20
"""Bytes queued for one viewer: what `websockets` takes in one message by default."""

MAX_ROOMS: Final = 100
"""Rooms for which a viewer's queue may hold a `Resync`: as many as are cached (DESIGN §9)."""

_HEARD_IN_BACKGROUND = (
    NotificationAdded,
    RoomConfigChanged,
    ModerationConfigChanged,
    CountsChanged,
    StreamStatusChanged,
)


class Item(Struct, frozen=True, gc=False):
    """An update of a room, encoded once for all who get it: ``seq`` is its position (an ephemeral one's: the head).

    ``key`` names what the item tells the latest state of ("typing:ada", "presence:ada"): one that is still queued is
    replaced by a later one of the same room and key. Items of the log, notifications and whatever must not be replaced
    have none.
    """

    room_id: str
    seq: int
    data: bytes
    key: str = ""


class Withheld(Struct, gc=False):
    """The span ``(after, upto]`` of a room's log that a viewer at BACKGROUND does not get; the consumer encodes it.

    Adjoining spans in one queue become one; `Subscriber` alone changes them, and none that was popped. ``fingerprint``
    and ``ordinal`` are those at ``upto``.
    """

    room_id: str
    epoch: str
    after: int
    upto: int
    fingerprint: str = ""
    ordinal: int | None = None


class Resync(Struct, frozen=True, gc=False):
    """Updates of ``room_id`` ("": of every room) were dropped here: ask ``since`` the last token that was delivered."""

    room_id: str


Entry: TypeAlias = Item | Withheld | Resync


class Subscriber:
    """What waits to be sent to one viewer: at most ``max_items`` items and spans, of at most ``max_bytes``.

    An item counts for `SLOT` bytes or what it has, whichever is more. Beyond that come at most ``max_rooms`` markers.
    ``overflows`` counts the markers ever put in. Raises ``InvalidValue`` for a bound below 1, and for fewer bytes than
    one `SLOT`.

    The consumer calls `pop` until that returns None, and again when `push` or `fan_out` says that it is to be woken.

    >>> slow = Subscriber("ada's phone", max_items=2)
    >>> [slow.push(Item("rust", seq, b"...")) for seq in (1, 2, 3, 4)]  # True: the queue was empty
    [True, False, False, False]
    >>> slow.pop(), slow.pop()
    (Resync(room_id='rust'), None)
    """

    __slots__ = (
        "_excess",
        "_flooded",
        "_keyed",
        "_limit",
        "_marked",
        "_queue",
        "_spans",
        "max_bytes",
        "max_items",
        "max_rooms",
        "overflows",
        "viewer",
    )

    def __init__(
        self, viewer: str, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES, max_rooms: int = MAX_ROOMS
    ) -> None:
        check_id("viewer", viewer)
        check_bound("max_items", max_items)
        check_bound("max_bytes", max_bytes, SLOT)
        check_bound("max_rooms", max_rooms)
        self.viewer: str = viewer
        self.max_items: int = max_items
        self.max_bytes: int = max_bytes
        self.max_rooms: int = max_rooms
        self.overflows: int = 0
        self._queue: deque[Entry] = deque()
        self._keyed: dict[tuple[str, str], Item] = {}  # the queued items that a later one replaces
        self._spans: dict[str, Withheld] = {}  # the queued spans that an adjoining one makes longer
        self._marked: frozenset[str] = frozenset()  # rooms of which nothing is queued but a marker
        self._flooded = False  # the same of every room
        self._excess = 0  # bytes of large items beyond their slots
        self._limit = 0
        self._relimit()

    def __len__(self) -> int:
        """How many entries `pop` will give, markers included. O(1)."""
        return len(self._queue)

    @property
    def bytes(self) -> int:
        """What the queued items count for, in bytes: `SLOT` each, or what they have where that is more. O(1)."""
        return (len(self._queue) - len(self._marked) - self._flooded) * SLOT + self._excess

    def push(self, entry: Item | Withheld) -> bool:
        """Queue ``entry``; return whether nothing was queued before: the consumer is then to be woken. O(1).

        Where there is no room for it, all that is queued of its room becomes a `Resync`; until that is popped, what is
        pushed of that room is dropped. An overflow, and the replacing of an item, are O(queued).
        """
        was_empty = not self._queue
        room_id = entry.room_id
        if self._flooded or room_id in self._marked:
            return False
        if isinstance(entry, Withheld):
            if self._lengthened(entry):
                return False
            entry = structs.replace(entry)  # the queue's own, to be made longer
        elif entry.key:
            self._replace(entry)
        if len(self._queue) - len(self._marked) < self._capacity(_excess(entry)):
            self._put(entry)
        else:
            self._overflow(room_id)
        self._relimit()
        return was_empty

    def pop(self) -> Entry | None:
        """Take out what came first; None where nothing is queued. O(1).

        On a `Resync` the caller asks ``since`` (the room's last token that it delivered) before it pops again, and
        delivers what that brings; what is popped later may repeat the end of it.
        """
        if not self._queue:
            return None
        entry = self._queue.popleft()
        if isinstance(entry, Resync):
            self._marked -= {entry.room_id}
            self._flooded = False
        else:
            self._forget(entry)
        self._relimit()
        return entry

    # -- within ------------------------------------------------------------------------------------------------------

    def _capacity(self, more: int = 0) -> int:
        """How many items and spans may be queued, with ``more`` bytes beyond the slots than there are now."""
        return min(self.max_items, (self.max_bytes - self._excess - more) // SLOT)

    def _relimit(self) -> None:
        """Set how many entries `fan_out` may queue without asking: none, where a marker or an open span is queued."""
        self._limit = 0 if self._marked or self._spans or self._flooded else self._capacity()

    def _put(self, entry: Item | Withheld) -> None:
        self._queue.append(entry)
        if isinstance(entry, Withheld):
            self._spans[entry.room_id] = entry
            return
        self._spans.pop(entry.room_id, None)  # what comes after an item is another span
        self._excess += _excess(entry)
        if entry.key:
            self._keyed[entry.room_id, entry.key] = entry

    def _forget(self, entry: Item | Withheld) -> None:
        """Undo what `_put` did for an entry that has left the queue."""
        if isinstance(entry, Withheld):
            if self._spans.get(entry.room_id) is entry:
                del self._spans[entry.room_id]
            return
        self._excess -= _excess(entry)
        if entry.key:
            del self._keyed[entry.room_id, entry.key]

    def _lengthened(self, span: Withheld) -> bool:
        """Make the room's open span longer by ``span``, if they adjoin."""
        last = self._spans.get(span.room_id)
        if last is None or (last.epoch, last.upto) != (span.epoch, span.after):
            return False
        last.upto, last.fingerprint, last.ordinal = span.upto, span.fingerprint, span.ordinal
        return True

    def _replace(self, item: Item) -> None:
        """Take out the queued item that ``item`` makes stale: the new one comes where it belongs, last."""
        stale = self._keyed.get((item.room_id, item.key))
        if stale is not None:
            self._queue.remove(stale)
            self._forget(stale)

    def _overflow(self, room_id: str) -> None:
        """Put a marker in the place of all that is queued of a room; one for all where too many rooms have one."""
        self.overflows += 1
        everything = len(self._marked) >= self.max_rooms
        kept: deque[Entry] = deque()
        for entry in self._queue:
            if not everything and entry.room_id != room_id:
                kept.append(entry)
            elif not isinstance(entry, Resync):
                self._forget(entry)
        kept.append(Resync("" if everything else room_id))
        self._queue = kept
        if everything:
            self._marked = frozenset()
            self._flooded = True
        else:
            self._marked |= {room_id}

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        items = [entry for entry in self._queue if isinstance(entry, Item)]
        spans = [entry for entry in self._queue if isinstance(entry, Withheld)]
        markers = [entry.room_id for entry in self._queue if isinstance(entry, Resync)]
        assert len(items) + len(spans) <= self.max_items
        assert SLOT * (len(items) + len(spans)) + sum(map(_excess, items)) == self.bytes <= self.max_bytes
        assert len(markers) <= self.max_rooms
        assert sorted(markers) == ([""] if self._flooded else sorted(self._marked))
        assert not self._flooded or len(self._queue) == 1
        assert self._marked.isdisjoint([*(item.room_id for item in items), *(span.room_id for span in spans)])
        assert list(self._keyed) == [(item.room_id, item.key) for item in items if item.key]
        assert all(any(span is queued for queued in spans) for span in self._spans.values())
        assert self._limit == (0 if markers or self._spans else self._capacity())


def fan_out(entry: Item | Withheld, subscribers: Iterable[Subscriber]) -> tuple[Subscriber, ...]:
    """`push` one entry to many; return those whose consumer is to be woken, in order. O(subscribers).

    The entry is shared: nothing is copied or allocated for a subscriber.

    >>> both = [Subscriber("a"), Subscriber("b")]
    >>> [woken.viewer for woken in fan_out(Item("rust", 1, b"..."), both)]
    ['a', 'b']
    """
    if not isinstance(entry, Item) or entry.key or len(entry.data) > SLOT:
        return tuple([one for one in subscribers if one.push(entry)])
    room_id = entry.room_id
    woken = []
    for one in subscribers:
        queue = one._queue
        if queue:
            if len(queue) < one._limit:
                queue.append(entry)
            elif room_id not in one._marked:
                one.push(entry)
        else:  # nothing queued: no marker, no open span, and room for a slot at least
            queue.append(entry)
            woken.append(one)
    return tuple(woken)


def hears(update: Update, tier: Tier) -> bool:
    """Whether a viewer at ``tier`` gets ``update`` whole. O(1).

    At ACTIVE everything; at BACKGROUND notifications, counts, configuration and stream status, the rest as a `Withheld`
    span (where it is logged); below, nothing.

    >>> hears(StreamStatusChanged("live"), Tier.BACKGROUND), hears(StreamStatusChanged("live"), Tier.CACHED)
    (True, False)
    """
    return tier is Tier.ACTIVE or (tier is Tier.BACKGROUND and isinstance(update, _HEARD_IN_BACKGROUND))


def _excess(entry: Item | Withheld) -> int:
    return max(0, len(entry.data) - SLOT) if isinstance(entry, Item) else 0
