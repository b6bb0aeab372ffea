"""A world for a manager: a naive store, a host that is late and forgetful, and a description of all that is held."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from msgspec import Struct, structs

from roomstate import Limits, Message, MessageAdded, RoomImage, RoomStateManager, Tier
from roomstate.effects import (
    Appended,
    AppendLog,
    FetchMessages,
    Head,
    Loaded,
    LoadHead,
    LoadPacked,
    LoadSnapshot,
    LogEntry,
    Packed,
    Recovered,
    SaveSnapshot,
)
from roomstate.updates import CountsChanged, Update

START = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = CountsChanged()
LIMITS = Limits(active_messages=10, background_messages=3)
STORING = (LoadHead, LoadSnapshot, LoadPacked, AppendLog, SaveSnapshot, FetchMessages)
Asking = LoadHead | LoadSnapshot | LoadPacked | AppendLog | SaveSnapshot | FetchMessages


def message(name: str, user: str = "bob", content: str = "hi", at: int | None = None, **extra: Any) -> Message:
    """A message whose number, taken from its id, says when it was written."""
    seconds = at if at is not None else int("0" + "".join(filter(str.isdigit, name)))
    made = Message(name, user, content, START + timedelta(seconds=seconds))
    return structs.replace(made, extra=extra) if extra else made


def added(name: str, user: str = "bob", content: str = "hi", at: int | None = None, **extra: Any) -> MessageAdded:
    return MessageAdded(message(name, user, content, at, **extra))


class Shelf:
    """What the naive store keeps of one room."""

    def __init__(self) -> None:
        self.epoch = ""
        self.log: dict[int, LogEntry] = {}
        self.images: dict[Tier, RoomImage] = {}
        self.voids: set[int] = set()

    @property
    def end(self) -> int:
        return max([0, *self.log, *(image.position.seq for image in self.images.values())])


class NaiveStore:
    """Dicts: what `RoomStore` says, with nothing clever. Snapshots are names of images."""

    def __init__(self) -> None:
        self.rooms: dict[str, Shelf] = {}
        self.packed: dict[bytes, RoomImage] = {}
        self.sources: dict[str, list[Message]] = {}
        self.done: list[Asking] = []

    def perform(self, effect: Asking) -> Any:
        self.done.append(effect)
        if isinstance(effect, FetchMessages):
            return self.fetch(effect)
        shelf = self.rooms.setdefault(effect.room_id, Shelf())
        if isinstance(effect, LoadHead):
            return self.head(shelf)
        if isinstance(effect, AppendLog):
            return self.append(shelf, effect)
        if isinstance(effect, SaveSnapshot):
            return self.save(shelf, effect)
        if isinstance(effect, LoadPacked):
            return self.load_packed(shelf)
        return self.load(shelf, effect)

    def load_packed(self, shelf: Shelf) -> Packed | None:
        head, image = self.head(shelf), self.best(shelf, Tier.ACTIVE)
        if head is None or image is None:
            return Packed(head) if head is not None else None
        name = next(name for name, one in reversed(self.packed.items()) if one is image)
        return Packed(head, name, image.position.seq, image.taken_at, image.info)

    def head(self, shelf: Shelf) -> Head | None:
        if not shelf.end:
            return None
        from_image = [image for image in shelf.images.values() if image.position.seq == shelf.end]
        entry = shelf.log.get(shelf.end)
        ordinal = entry.ordinal if entry is not None else from_image[0].ordinal
        epoch = shelf.epoch or from_image[0].position.epoch
        return Head(
            structs.replace(from_image[0].position, epoch=epoch) if not entry else _at(epoch, shelf.end), ordinal
        )

    def append(self, shelf: Shelf, effect: AppendLog) -> Appended:
        seqs = [entry.seq for entry in effect.entries]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert seqs[0] <= max(shelf.log, default=shelf.end) + 1 or seqs[0] == shelf.end + 1, (seqs, shelf.end)
        repeated = []
        for entry in effect.entries:
            if entry.seq in shelf.log:
                if entry.seq in shelf.voids:
                    repeated.append(entry.seq)
                else:
                    assert shelf.log[entry.seq] == entry, (shelf.log[entry.seq], entry)
                    assert shelf.epoch == effect.epoch
                continue
            ids = {held.update.message.id for held in shelf.log.values() if isinstance(held.update, MessageAdded)}
            if isinstance(entry.update, MessageAdded) and entry.update.message.id in ids:
                repeated.append(entry.seq)
                shelf.voids.add(entry.seq)
                shelf.log[entry.seq] = LogEntry(entry.seq, entry.ordinal, NOTHING)
            else:
                shelf.log[entry.seq] = entry
        shelf.epoch = effect.epoch
        return Appended(seqs[-1], tuple(repeated))

    def save(self, shelf: Shelf, effect: SaveSnapshot) -> bytes:
        image = effect.image
        tier = Tier[image.tier]
        if tier not in shelf.images or shelf.images[tier].position.seq <= image.position.seq:
            shelf.images[tier] = image
        packed = f"snapshot {len(self.packed)} of {image.room_id}".encode().ljust(100 + 50 * len(image.messages), b".")
        self.packed[packed] = image
        return packed

    def load(self, shelf: Shelf, effect: LoadSnapshot) -> Loaded:
        image = self.packed[effect.packed] if effect.packed is not None else self.best(shelf, effect.tier)
        entries = self.tail(shelf, image, effect.limit)
        if image is not None and entries and entries[0].seq > image.position.seq + 1:  # cut: the newest image is better
            image = self.best(shelf, Tier.CACHED)
            entries = self.tail(shelf, image, effect.limit)
        if effect.tier is Tier.ACTIVE and image is not None and image.tier != "ACTIVE":
            further = self.tail(shelf, None, effect.limit)
            entries = further if further and (further[0].seq <= image.held_after or further[0].seq == 1) else entries
        return Loaded(self.head(shelf), image, entries)

    def tail(self, shelf: Shelf, image: RoomImage | None, limit: int) -> tuple[LogEntry, ...]:
        after = image.position.seq if image is not None else 0
        return tuple([entry for seq, entry in sorted(shelf.log.items()) if seq > after][-limit:])

    def best(self, shelf: Shelf, tier: Tier) -> RoomImage | None:
        if tier is Tier.ACTIVE and Tier.ACTIVE in shelf.images:
            return shelf.images[Tier.ACTIVE]
        return max(shelf.images.values(), key=lambda image: image.position.seq, default=None)

    def fetch(self, effect: FetchMessages) -> Recovered:
        """What the source said after the cursor, which is the id of a message; two at a time."""
        said = self.sources.get(effect.room_id, [])
        at = next((n for n, one in enumerate(said, 1) if one.id == effect.cursor), 0)
        return Recovered(tuple(said[at : at + 2]), limited=len(said) > at + 2)


def _at(epoch: str, seq: int) -> Any:
    from roomstate import Position

    return Position(epoch, seq)


class Host:
    """Carries out the effects of one manager against a store: those of one room in order, when it is told to."""

    def __init__(self, manager: RoomStateManager, store: NaiveStore) -> None:
        self.manager = manager
        self.store = store
        self.todo: dict[str, deque[Asking]] = {}
        self.answers: list[tuple[int, Any]] = []
        self.outputs: list[Any] = []

    def take(self, outputs: tuple[Any, ...]) -> None:
        for item in outputs:
            self.outputs.append(item)
            if isinstance(item, STORING):
                self.todo.setdefault(item.room_id, deque()).append(item)

    def carry_out(self, room_id: str, *, keep: bool = True) -> None:
        """Do the room's first effect; its answer is kept for later, or lost."""
        effect = self.todo[room_id].popleft()
        if not self.todo[room_id]:
            del self.todo[room_id]
        result = self.store.perform(effect)
        self.answers.append((effect.request_id, result if keep else OSError("the answer was lost")))

    def refuse(self, room_id: str, reason: str = "disk full") -> None:
        """Do not do the room's first effect, and say so."""
        effect = self.todo[room_id].popleft()
        if not self.todo[room_id]:
            del self.todo[room_id]
        self.answers.append((effect.request_id, OSError(reason)))

    def answer(self, at: int = 0, *, repeat: bool = False, now: float | None = None) -> None:
        request_id, result = self.answers.pop(at)
        for _ in range(2 if repeat else 1):
            if isinstance(result, Exception):
                self.take(self.manager.fail(request_id, result, now=now))
            else:
                self.take(self.manager.complete(request_id, result, now=now))

    def settle(self, now: float | None = None) -> None:
        """Do and answer everything."""
        while self.todo or self.answers:
            while self.answers:
                self.answer(now=now)
            if self.todo:
                self.carry_out(next(iter(self.todo)))

    def drain(self) -> list[Any]:
        outputs, self.outputs = self.outputs, []
        return outputs


def describe(value: Any, seen: dict[int, int] | None = None) -> Any:
    """All that an object holds, as nested tuples of plain values: equal where nothing has changed. Each part once."""
    if value is None or isinstance(value, bool | int | float | str | bytes | datetime | Enum | type):
        return value
    seen = {} if seen is None else seen
    if id(value) in seen:
        return ("as", seen[id(value)])
    if not isinstance(value, tuple):  # a tuple may be made for the question, and its id be used again
        seen[id(value)] = len(seen)
    if isinstance(value, Mapping):
        return tuple((describe(key, seen), describe(item, seen)) for key, item in value.items())
    if isinstance(value, list) and len(value) > 1000:
        return tuple(value)  # a table of numbers, of the eviction order
    if isinstance(value, list | tuple | deque):
        return tuple(describe(item, seen) for item in value)
    if isinstance(value, array):
        return value.tobytes()
    if isinstance(value, set | frozenset):
        return tuple(sorted(map(repr, value)))
    if callable(value) and not hasattr(value, "__slots__"):
        return getattr(value, "__qualname__", "callable")
    return (type(value).__name__, *((name, describe(getattr(value, name, None), seen)) for name in _names(value)))


def _names(value: Any) -> list[str]:
    if isinstance(value, Struct):
        return list(value.__struct_fields__)
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*names, *getattr(value, "__dict__", {})]


def update_ids(updates: Any) -> list[str]:
    """The ids of the messages among updates or log entries."""
    plain: list[Update] = [getattr(one, "update", one) for one in updates]
    return [update.message.id for update in plain if isinstance(update, MessageAdded)]


class World:
    """A manager, its host and its store, at a time that tests set."""

    def __init__(self, durability: Any = "logged", store: NaiveStore | None = None, **options: Any) -> None:
        self.now = 1000.0
        self.store = store if store is not None else NaiveStore()
        self.epochs = 0
        self.rooms = RoomStateManager(
            durability=durability, limits=LIMITS, clock=lambda: self.now, new_epoch=self.new_epoch, **options
        )
        self.host = Host(self.rooms, self.store)

    def new_epoch(self) -> str:
        self.epochs += 1
        return f"e{self.epochs}"

    def do(self, verb: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a verb; return the outputs, which the host has taken but not carried out."""
        self.host.drain()
        result = getattr(self.rooms, verb)(*args, **kwargs)
        self.host.take(result[1] if verb == "demote" else result)
        return self.host.drain()

    def settled(self, verb: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a verb and carry everything out."""
        outputs = self.do(verb, *args, **kwargs)
        self.host.settle()
        return [*outputs, *self.host.drain()]

    def post(self, *names: str, room: str = "rust", **kwargs: Any) -> None:
        for name in names:
            self.settled("publish", room, added(name, **kwargs))

    def bring_down(self, tier: str, room: str = "rust") -> None:
        """Let viewer "v", who is in the room, go as far away from it as brings it down to ``tier``."""
        if tier == "background":
            self.settled("follow", "v", room)
        elif tier != "active":
            self.settled("leave", "v", room)
        if tier == "unloaded":
            self.settled("demote", room)

    def ids(self, room: str = "rust") -> list[str]:
        return [one.id for one in self.rooms.view(room).messages]

    def check(self) -> None:
        self.rooms.check()


def kinds(outputs: list[Any]) -> list[type]:
    return [type(one) for one in outputs]
