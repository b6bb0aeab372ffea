"""What one connection hears, in order: of each room first what it lacks, then what happens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, TypeAlias

from msgspec import Struct

from roomstate.errors import InvalidValue
from roomstate.host.hub import Hub
from roomstate.model import Tier
from roomstate.position import Token
from roomstate.sync.envelope import encode
from roomstate.sync.subscribers import Item, Resync, Subscriber, Withheld

__all__ = ["First", "Owner", "Stream"]

First: TypeAlias = tuple[str, Tier, Token | str | None]
"""The room that a stream begins with, at which tier, and since which token."""


class Owner(Protocol):
    """Whose a stream is: a `Connection`."""

    viewer: str
    user: str
    rooms: dict[str, None]

    def opened(self, stream: Stream) -> None:
        """Take a stream on that has begun."""
        ...

    def closed(self, stream: Stream) -> None:
        """Let a stream go that has ended."""
        ...


class _Part(Struct):
    """One room of a stream: how far it has been given.

    ``behind``: it is to be brought up from ``token`` (None: by an image) before anything else of it is given.
    ``beat_at`` is how much the stream had given at the room's last heartbeat.
    """

    tier: Tier
    token: Token | str | None
    behind: bool = True
    epoch: str = ""
    seq: int = 0
    answers: int | None = None
    beat_at: int = -1


class Stream(AsyncIterator[str]):
    """Envelopes as text, each for one web-socket message, as long as the block lasts: ``async with``, ``async for``.

    One task at a time may iterate.

    It waits in a queue of bounded items and bytes. A client that reads too slowly costs no more than that: what does
    not fit is dropped, room by room, and when the client reads again it gets what it lacks, or an image. The iterator
    ends when the block, the connection or the host does.

    Leaving the block ends the viewer's interest in the rooms that the stream brought.
    """

    def __init__(self, hub: Hub, connection: Owner, first: First | None) -> None:
        self.viewer: str = connection.viewer
        self.user: str = connection.user
        self.queue: Subscriber = Subscriber(connection.viewer, hub.bounds.max_items, hub.bounds.max_bytes)
        self.given: int = 0
        self._hub, self._connection, self._first = hub, connection, first
        self._parts: dict[str, _Part] = {}
        self._due: dict[str, None] = {}  # rooms that are behind, and may be brought up
        self._ready: deque[str] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._open = self._entered = False

    # -- its rooms ---------------------------------------------------------------------------------------------------

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._parts

    def add(
        self, room_id: str, tier: Tier = Tier.ACTIVE, since: Token | str | None = None, *, afresh: bool = True
    ) -> None:
        """Let the stream bring a room too, or bring it at another tier; first what it lacks ``since`` that token.

        A room that it brings already goes on where it is, unless ``afresh``. Raises what `RoomStateManager.enter` does,
        and ``InvalidValue`` where another stream of this viewer brings the room.
        """
        if not self._open:
            raise InvalidValue("stream", "is closed, or was not entered with async with")
        self._hub.listen(self, room_id, tier)
        self._connection.rooms[room_id] = None
        part = self._parts.get(room_id)
        if part is None or afresh:
            self._parts[room_id] = _Part(tier, since)
            self._fall_behind(room_id)
        else:
            part.tier = tier

    def answer(self, room_id: str, token: Token | str | None, request_id: int | None) -> None:
        """Give what a copy at ``token`` lacks, or an image, as the answer to a request. The room is the stream's."""
        part = self._parts[room_id]
        part.token, part.answers = token, request_id
        self._fall_behind(room_id)

    def remove(self, room_id: str) -> None:
        """Let the stream bring a room no more; the viewer's interest is the caller's to end."""
        if self._parts.pop(room_id, None) is not None:
            self._due.pop(room_id, None)
            self._hub.unlisten(self, room_id)

    def _fall_behind(self, room_id: str) -> None:
        self._parts[room_id].behind = True
        self._due[room_id] = None
        self.wake()

    def wake(self) -> None:
        """Let the consumer look again: there may be something for it. O(1)."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def look(self, room_id: str) -> None:
        """Take note that a room may be such now that it can be brought up. O(1)."""
        if self._parts[room_id].behind:
            self._fall_behind(room_id)

    def beat(self, room_id: str) -> None:
        """Renew the viewer's interest in a room for a client that reads; bring it back where it had lapsed. O(1).

        One that has read nothing since the last heartbeat, and does not wait for anything, is given up in time.
        """
        part = self._parts[room_id]
        reads = self._waiter is not None or self.given != part.beat_at
        part.beat_at = self.given
        lapsed = reads and self._hub.renew(self, room_id, part.tier)
        if part.behind:
            self._fall_behind(room_id)
        elif lapsed:
            part.token = Token(part.epoch, part.seq) if part.epoch else None
            self._fall_behind(room_id)

    # -- giving ------------------------------------------------------------------------------------------------------

    async def __anext__(self) -> str:
        while self._open:
            text = self._next()
            if text:
                self.given += 1
                return text
            if text is None:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
        if not self._entered:
            raise InvalidValue("stream", "must be entered with async with before it is iterated over")
        raise StopAsyncIteration

    def _next(self) -> str | None:
        """Return what comes next: "" where that is nothing to give, None where nothing is there yet."""
        if self._ready or (self._due and self._bring_up()):
            return self._ready.popleft()
        entry = self.queue.pop()
        if entry is None:
            return None
        if isinstance(entry, Resync):
            self._resync(entry.room_id)
            return ""
        part = self._parts.get(entry.room_id)
        if part is None or part.behind:
            return ""  # the room has left, or all of it will come
        return self._text(entry, part)

    def _text(self, entry: Item | Withheld, part: _Part) -> str:
        """Return an entry as text; "" for one that was given already."""
        if isinstance(entry, Item):
            if not entry.key:
                if entry.seq <= part.seq:
                    return ""
                part.seq = entry.seq
            return entry.data.decode()
        if entry.upto <= part.seq:
            return ""
        part.seq = entry.upto
        return self._hub.withheld(entry)

    def _resync(self, room_id: str) -> None:
        """Bring up again what was dropped: one room, or all of them ("")."""
        for each in (room_id,) if room_id else tuple(self._parts):
            part = self._parts.get(each)
            if part is not None and not part.behind:
                whole = part.tier is not Tier.ACTIVE or not part.epoch  # notifications lie in no log
                part.token = None if whole else Token(part.epoch, part.seq)
                self._hub.count("resync", "slow")
                self._fall_behind(each)

    def _bring_up(self) -> bool:
        """Bring up the next room that can be; False where none can."""
        while self._due:
            room_id = next(iter(self._due))
            del self._due[room_id]
            part = self._parts[room_id]
            envelopes = self._hub.catch_up(self, room_id, part.tier, part.token, part.answers)
            if not envelopes:
                self._hub.await_room(self, room_id)
            else:
                last = envelopes[-1]
                part.epoch, part.seq, part.behind, part.answers = last.epoch, last.sequence_number, False, None
                self._ready.extend(encode(envelope).decode() for envelope in envelopes)
                return True
        return False

    # -- beginning and end -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Stream:
        if self._open:
            raise InvalidValue("stream", "is entered already")
        self._connection.opened(self)
        self._loop = asyncio.get_running_loop()
        self._open = self._entered = True
        if self._first is not None:
            try:
                self.add(*self._first)
            except BaseException:
                self.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the iterator, and the viewer's interest in its rooms. A second call does nothing."""
        if not self._open:
            return
        self._open = False
        self._connection.closed(self)
        rooms, self._parts = tuple(self._parts), {}
        self._due.clear()
        self._ready.clear()
        for room_id in rooms:
            self._hub.unlisten(self, room_id)
            self._hub.forsake(self.viewer, room_id)
        self.wake()
