"""An end of a connection in a simulated world: a manager, its disk, and what it knows of the world around it.

`Server` and `Client` are the two ends as plainly as they can be wired. A host that tests its own wiring brings its own:
whatever has the methods of `End`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import json

from roomstate.effects import ConflictOpened, ConflictResolved, Event
from roomstate.errors import RoomStateError, StoreUnavailable
from roomstate.host.ports import STORING, StoringEffect, perform
from roomstate.image import RoomImage
from roomstate.manager import RoomStateManager
from roomstate.store.memory import MemoryStore
from roomstate.testing.network import Frames

__all__ = ["BaseEnd", "End", "JsonCodec", "Outside"]


class Outside(Protocol):
    """What an end knows of the world around it."""

    def now(self) -> float:
        """The end's own clock, in seconds since 1970; it may jump."""
        ...

    def send(self, peer: str, frames: Frames) -> None:
        """Put frames on their way to a peer; nobody says whether they arrive."""
        ...

    def takes(self, peer: str) -> bool:
        """Whether a peer takes what is sent now. One that is slow does not: what it is to hear has to wait."""
        ...

    def later(self, work: Callable[[], None]) -> None:
        """Call ``work`` when the disk has had its time; never, if the machine stops before."""
        ...

    def heard(self, event: Event) -> None:
        """Take note of something that the manager told its host. An end need not pass anything on."""
        ...

    def disk_fails(self) -> bool:
        """Whether the disk does not do what it is asked this time."""
        ...


class End(Protocol):
    """One end of the connections of a world. Implement it to test a host's own wiring; `call` is asked of both ends."""

    manager: RoomStateManager

    def call(self, verb: str, *args: Any, **kwargs: Any) -> None:
        """Call a verb of the manager at the end's own time, and see to what it puts out."""
        ...

    def opened(self, peer: str) -> None:
        """A connection to ``peer`` is there."""
        ...

    def closed(self, peer: str) -> None:
        """The connection to ``peer`` is gone; another may follow."""
        ...

    def received(self, peer: str, frames: Frames) -> None:
        """Frames have come from ``peer``: late, twice, or out of order, as the network likes."""
        ...

    def beat(self) -> None:
        """The time for what is said regularly: heartbeats on one side, open streams on the other."""
        ...


class JsonCodec:
    """Snapshots as plain JSON: quick to write for rooms as small as those of a test."""

    def __init__(self) -> None:
        self._encode = json.Encoder().encode
        self._decode = json.Decoder(RoomImage).decode

    def encode(self, image: RoomImage) -> bytes:
        """Return the image as JSON. O(size)."""
        return self._encode(image)

    def decode(self, data: bytes) -> RoomImage:
        """Return what `encode` wrote. O(size)."""
        return self._decode(data)


class _Disk:
    """Carries out the storing effects of one manager: those of one room in order, each in its own time."""

    def __init__(self, outside: Outside, store: MemoryStore | None, answer: Callable[[Any, Any], None]) -> None:
        self._outside = outside
        self._store = store
        self._answer = answer
        self._codec = JsonCodec()
        self._todo: dict[str, deque[StoringEffect]] = {}

    def take(self, effect: StoringEffect) -> None:
        todo = self._todo.setdefault(effect.room_id, deque())
        todo.append(effect)
        if len(todo) == 1:
            self._outside.later(lambda: self._do(effect))

    def _do(self, effect: StoringEffect) -> None:
        result: Any
        try:
            if self._outside.disk_fails():
                raise StoreUnavailable("disk", "does not answer")
            result = perform(effect, self._store, self._codec)
            if self._outside.disk_fails():
                raise StoreUnavailable("disk", "has done it, and does not say so")
        except RoomStateError as error:
            result = error
        self._outside.later(lambda: self._done(effect, result))

    def _done(self, effect: StoringEffect, result: Any) -> None:
        todo = self._todo[effect.room_id]
        todo.popleft()
        if todo:
            self._outside.later(lambda: self._do(todo[0]))
        self._answer(effect, result)


class BaseEnd:
    """What both ends share: calling the manager, and handing each effect to the port that carries it out."""

    def __init__(self, manager: RoomStateManager, outside: Outside, store: MemoryStore | None) -> None:
        self.manager: RoomStateManager = manager
        self.outside: Outside = outside
        disk = _Disk(outside, store, self.stored)
        self.ports: dict[type[Any], Callable[[Any], None]] = dict.fromkeys(STORING, disk.take)

    def call(self, verb: str, *args: Any, **kwargs: Any) -> None:
        """See `End`."""
        for item in getattr(self.manager, verb)(*args, now=self.outside.now(), **kwargs):
            port = self.ports.get(type(item))
            if port is not None:
                port(item)
            elif isinstance(item, ConflictOpened | ConflictResolved):
                self.outside.heard(item)

    def stored(self, effect: StoringEffect, result: Any) -> None:
        """Take the disk's answer to an effect: its result, or the error that it raised."""
        if isinstance(result, Exception):
            self.call("fail", effect.request_id, result)
        else:
            self.call("complete", effect.request_id, result)
