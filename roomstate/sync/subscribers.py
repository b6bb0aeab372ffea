"""One bounded queue for each viewer, as a value: no tasks, no locks, no clock.

A viewer who reads more slowly than rooms are written to must cost neither memory nor the other viewers anything, and
must not be deceived: what is dropped is replaced by a `Resync` of its room, on which the viewer's consumer asks
``since`` its last token and is up to date again. So nothing is lost silently: each update pushed is popped, or lies
behind a `Resync` of its room, or was replaced by a later one of the same key (typing, presence).

`fan_out` is the hot path: one encoded update goes to thousands of queues. It weighs nothing, allocates nothing for a
subscriber, and asks each two things: is anything queued (if not, this comes next, and the consumer is to be woken), and
are you below your limit? All that happens rarely (markers, large items) is made to look like a limit that is reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final, TypeAlias

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

    key: ClassVar[None] = None  # no item's: both kinds are asked alike
    data: ClassVar[bytes] = b""

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

    An item counts for `SLOT` bytes or what it has, whichever is more. Beyond that come at most `MAX_ROOMS` markers.
    ``overflows`` counts the markers that were ever put in.
    Raises ``InvalidValue`` for a bound below 1, and for fewer bytes than one `SLOT`.

    The consumer calls `pop` until that returns None, and again when `push` or `fan_out` says that it is to be woken.

    >>> slow = Subscriber("ada's phone", max_items=2)
    >>> [slow.push(Item("rust", seq, b"...")) for seq in (1, 2, 3, 4)]  # True: the queue was empty
    [True, False, False, False]
    >>> slow.pop(), slow.pop()
    (Resync(room_id='rust'), None)
    """

    # 128 bytes, a size that nothing else here has: thousands lie one beside the other. What `fan_out` reads is in the
    # first of their two cache lines. With other objects between them it took a quarter longer.
    __slots__ = (
        "_latest",
        "_limit",
        "_marked",
        "_next",
        "_only",
        "_open",
        "_rest",
        "_surplus",
        "max_bytes",
        "max_items",
        "overflows",
        "viewer",
    )

    def __init__(self, viewer: str, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        check_id("viewer", viewer)
        check_bound("max_items", max_items)
        check_bound("max_bytes", max_bytes, SLOT)
        self.viewer: str = viewer
        self.max_items: int = max_items
        self.max_bytes: int = max_bytes
        self.overflows: int = 0
        self._next: Entry | None = None  # what `pop` gives
        self._rest: deque[Entry] = deque()  # what it gives after that
        self._open: deque[Entry] | None = None  # that, if anything is next: whether it is can be seen at a glance
        self._latest: dict[tuple[str, str | None], Item | Withheld] = {}  # what a later one replaces, or makes longer
        self._marked: tuple[str, ...] = ()  # rooms of which only a marker is queued, in order; "" stands for every room
        self._surplus = 0  # bytes of large items beyond their slots
        self._relimit()

    @property
    def bytes(self) -> int:
        """What the queued items count for, in bytes: `SLOT` each, or what they have where that is more. O(1)."""
        return self._items * SLOT + self._surplus

    @property
    def _items(self) -> int:
        return len(self) - len(self._marked)

    def __len__(self) -> int:
        """How many entries `pop` will give, markers included. O(1)."""
        return len(self._rest) + (self._next is not None)

    def push(self, entry: Item | Withheld) -> bool:
        """Queue ``entry``; return whether nothing was queued before: the consumer is then to be woken. O(1).

        Where there is no room for it, all that is queued of its room becomes a `Resync`; until that is popped, what is
        pushed of that room is dropped. An overflow, and the replacing of an item, are O(queued).
        """
        if self._drops(entry.room_id):
            return False
        was_empty = self._next is None
        last = self._latest.get((entry.room_id, entry.key))
        if isinstance(entry, Withheld):
            if isinstance(last, Withheld) and _lengthened(last, entry):
                return False
            entry = structs.replace(entry)  # the queue's own, to be made longer
        elif last is not None:
            self._take_out(last)  # the new one comes where it belongs, at the end
        if self._items < self._capacity(_surplus(entry)):
            self._take_on(entry)
        else:
            self._overflow(entry.room_id)
        self._relimit()
        return was_empty

    def pop(self) -> Entry | None:
        """Take out what came first; None where nothing is queued. O(1).

        On a `Resync` the caller asks ``since`` (the room's last token that it delivered) before it pops again, and
        delivers what that brings; what is popped later may repeat the end of it.
        """
        entry = self._next
        if entry is None:
            return None
        self._advance()
        if type(entry) is Item and entry.key == "" and len(entry.data) <= SLOT:
            return entry  # of which nothing is noted
        if isinstance(entry, Resync):
            self._marked = self._marked[1:]
        else:
            self._take_off(entry)
        self._relimit()
        return entry

    # -- within ------------------------------------------------------------------------------------------------------

    def _drops(self, room_id: str) -> bool:
        """Whether what is pushed of a room lies behind a marker. O(markers), which are rare."""
        return room_id in self._marked or "" in self._marked

    def _capacity(self, more: int = 0) -> int:
        """How many items and spans may be queued, with ``more`` bytes beyond the slots than there are now."""
        return min(self.max_items, (self.max_bytes - self._surplus - more) // SLOT)

    def _relimit(self) -> None:
        """Set how many entries `fan_out` may queue after the next one, and of which room it need not ask."""
        self._limit = 0 if self._marked else self._capacity() - 1
        self._only = self._marked[0] if len(self._marked) == 1 else None
        self._open = None if self._next is None else self._rest

    def _take_on(self, entry: Item | Withheld) -> None:
        if self._next is None:
            self._next = entry
        else:
            self._rest.append(entry)
        self._surplus += _surplus(entry)
        if entry.key != "":
            self._latest[entry.room_id, entry.key] = entry

    def _take_off(self, entry: Item | Withheld) -> None:
        """Undo what was noted of an entry that has left the queue."""
        self._surplus -= _surplus(entry)
        if self._latest.get((entry.room_id, entry.key)) is entry:  # of spans that do not adjoin the last is noted
            del self._latest[entry.room_id, entry.key]

    def _take_out(self, entry: Item | Withheld) -> None:
        """Take out an entry wherever it is in the queue. O(queued)."""
        if self._next is entry:
            self._advance()
        else:
            self._rest.remove(entry)
        self._take_off(entry)

    def _advance(self) -> None:
        if self._rest:
            self._next = self._rest.popleft()
        else:
            self._next = self._open = None

    def _queued(self) -> list[Entry]:
        return [] if self._next is None else [self._next, *self._rest]

    def _overflow(self, room_id: str) -> None:
        """Put a marker in the place of all that is queued of a room; one for all where too many rooms have one."""
        self.overflows += 1
        if len(self._marked) >= MAX_ROOMS:
            room_id, self._marked = "", ()
        kept: list[Entry] = []
        for entry in self._queued():
            if room_id and entry.room_id != room_id:
                kept.append(entry)
            elif not isinstance(entry, Resync):
                self._take_off(entry)
        self._next, *rest = *kept, Resync(room_id)
        self._rest = deque(rest)
        self._marked += (room_id,)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        queued = self._queued()
        items: list[Item] = [entry for entry in queued if isinstance(entry, Item)]
        spans: list[Withheld] = [entry for entry in queued if isinstance(entry, Withheld)]
        markers = tuple(entry.room_id for entry in queued if isinstance(entry, Resync))
        assert len(queued) == len(self)
        assert len(items) + len(spans) <= self.max_items
        assert SLOT * (len(items) + len(spans)) + sum(map(_surplus, items)) == self.bytes <= self.max_bytes
        assert markers == self._marked
        assert len(markers) <= MAX_ROOMS
        assert "" not in markers or len(queued) == 1
        assert not any(self._drops(room_id) for room_id in {*(i.room_id for i in items), *(w.room_id for w in spans)})
        keys = {*((item.room_id, item.key) for item in items if item.key), *((span.room_id, None) for span in spans)}
        assert keys == set(self._latest)
        assert all(any(entry is one for one in queued) for entry in self._latest.values())
        assert self._limit == (0 if markers else self._capacity() - 1)
        assert self._only == (markers[0] if len(markers) == 1 else None)
        assert self._open is (self._rest if queued else None)
        assert queued or not self._rest


def fan_out(entry: Item | Withheld, subscribers: Iterable[Subscriber]) -> list[Subscriber]:
    """`push` one entry to many; return those whose consumer is to be woken, in order. O(subscribers).

    An item is shared: nothing is copied or allocated for a subscriber. The list is the caller's.

    >>> both = [Subscriber("a"), Subscriber("b")]
    >>> [woken.viewer for woken in fan_out(Item("rust", 1, b"..."), both)]
    ['a', 'b']
    """
    if entry.key != "" or len(entry.data) > SLOT:
        return [one for one in subscribers if one.push(entry)]
    room_id, length, woken = entry.room_id, len, []  # a local name is found sooner
    for one in subscribers:
        rest = one._open
        if rest is not None:
            if length(rest) < one._limit:
                rest.append(entry)
            elif one._only is not room_id:  # the same object where it matters; `push` looks closer
                one.push(entry)
        else:  # nothing queued: no marker, and room for a slot at least
            one._next = entry
            one._open = one._rest
            woken.append(one)
    return woken


def hears(update: Update, tier: Tier) -> bool:
    """Whether a viewer at ``tier`` gets ``update`` whole. O(1).

    At ACTIVE everything; at BACKGROUND notifications, counts, configuration and stream status, the rest as a `Withheld`
    span (where it is logged); below, nothing.

    >>> hears(StreamStatusChanged("live"), Tier.BACKGROUND), hears(StreamStatusChanged("live"), Tier.CACHED)
    (True, False)
    """
    return tier is Tier.ACTIVE or (tier is Tier.BACKGROUND and isinstance(update, _HEARD_IN_BACKGROUND))


def _surplus(entry: Item | Withheld) -> int:
    """How many bytes an entry has beyond its slot."""
    return max(0, len(entry.data) - SLOT)


def _lengthened(last: Withheld, span: Withheld) -> bool:
    """Make ``last`` longer by ``span``, if they adjoin."""
    if (last.epoch, last.upto) != (span.epoch, span.after):
        return False
    last.upto, last.fingerprint, last.ordinal = span.upto, span.fingerprint, span.ordinal
    return True
