"""A replica's link to its authority over anything that carries text: a web socket of any library."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from roomstate.effects import CloseStream, OpenStream, RequestRecovery, SendToAuthority, Sent
from roomstate.errors import (
    ConflictError,
    InvalidValue,
    ProtocolError,
    RateLimited,
    RoomStateError,
    StoreUnavailable,
    UnknownRoom,
)
from roomstate.model import Message, Status
from roomstate.sync.envelope import Envelope
from roomstate.sync.frames import Ack, ErrorFrame, Frame, Interest, Request, Send, decode_frame
from roomstate.updates import MessageAdded

if TYPE_CHECKING:
    from roomstate.host.room_host import RoomHost

__all__ = ["Socket", "SocketLink"]

AGAIN_S: Final = 0.5
"""Seconds until what the other end refused for its rate is said again."""

SPACE_S: Final = 0.05
"""Seconds between two rooms for which that is done: 40 frames a second, of the 50 that a host takes."""

LATER_S: Final = 30.0
"""Seconds until an interest is shown again that was refused for anything else that may pass."""

MAX_AGAIN: Final = 10_000
"""Rooms of which that is remembered; where more are refused, their interest waits for the next socket."""

_log: Final = logging.getLogger("roomstate")

_Answer: TypeAlias = "asyncio.Future[Sent | RoomStateError]"


class Socket(Protocol):
    """What a link needs of a web socket: ``websockets`` has it as it is; others want a few lines."""

    async def send(self, text: str, /) -> object:
        """Send one message. It may raise anything where the connection is gone."""
        ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages that come, until the connection ends."""
        ...


class SocketLink:
    """A `Transport` that speaks the protocol to a `RoomHost` at the other end.

    Make ``RoomHost(role="replica", transport=link)``, then run `serve` with a socket; when that is gone, with the next
    one. Meanwhile the rooms are STALE, and what users write waits. A message of a user's goes as one with the echo's
    client id for its id: repetitions are harmless. Interests lapse here too: ``enter`` again while a user looks.

    What the other end refuses for its rate is said again in a while: the interests of a link that comes back with more
    rooms than a connection may ask for at once, one every ``SPACE_S``; a message, until its time is over.
    """

    def __init__(self) -> None:
        self._socket: Socket | None = None
        self._host: RoomHost | None = None  # whose link it is
        self._open: dict[str, str] = {}  # the interest that each room is held with, as its frame
        self._told: dict[str, None] = {}  # rooms whose interest this socket's other end was told of
        self._waiting: dict[tuple[str, str], _Answer] = {}  # by room and client id; bounded by what rooms' echoes are
        self._asked: dict[str, str] = {}  # the last question about each room, until it is answered
        self._again: dict[str, float] = {}  # rooms of which something was refused, until they are brought: when to try

    async def serve(self, socket: Socket, host: RoomHost) -> None:
        """Carry frames over ``socket`` until it ends. What it raises then is the socket's own.

        Frames that make no sense are passed over: one bad frame ends nothing, nor does a conflict strategy of the
        host's own that fails. Where it is called again while an earlier socket has not ended yet, what is to be sent
        goes to the new one.
        """
        self._forget()
        self._socket, self._host = socket, host
        again = asyncio.create_task(self._show_again(socket))
        try:
            for room_id in tuple(self._open):
                await self._interest(socket, room_id)
                with suppress(UnknownRoom):
                    await host.connected(room_id)
            async for raw in socket:
                try:
                    await self._take(decode_frame(raw), host)
                except ConflictError as error:  # a host's own strategy: the room stays as it was, and asks again
                    _log.warning("%s", error)
                except ProtocolError:
                    pass
        finally:
            again.cancel()
            if self._socket is socket:
                self._socket = None
                self._forget()
                for room_id in tuple(self._open):
                    with suppress(UnknownRoom, InvalidValue):
                        await host.disconnected(room_id)
            await asyncio.wait([again])

    async def _back(self, room_id: str) -> None:
        """Say that a room is linked again that was not among those `serve` began with: it would stay STALE."""
        if self._host is not None and room_id in self._told:
            with suppress(UnknownRoom):
                if self._host.status(room_id) is Status.STALE:
                    await self._host.connected(room_id)

    async def _interest(self, socket: Socket, room_id: str) -> None:
        """Tell the other end of a room; only then is anything else said of it."""
        frame = self._open.get(room_id)
        if frame is not None:
            await socket.send(frame)
            if self._socket is socket:
                self._told[room_id] = None

    async def _take(self, frame: Frame, host: RoomHost) -> None:
        if isinstance(frame, Envelope):
            self._brought(frame)
            await host.receive(frame)
        elif isinstance(frame, Ack):
            self._answer(frame, Sent(frame.message_id, frame.sequence_number, frame.epoch))
        elif isinstance(frame, ErrorFrame):
            self._refused(frame)

    def _brought(self, envelope: Envelope) -> None:
        """Take note that the other end knows of our interest, and has answered what was asked."""
        if envelope.answers is not None:
            self._asked.pop(envelope.room_id, None)
        if envelope.room_id in self._open and envelope.room_id not in self._asked:
            self._again.pop(envelope.room_id, None)  # of a room that is not open the end was refused

    def _refused(self, frame: ErrorFrame) -> None:
        """Take note of what the other end does not do."""
        too_often = frame.code == RateLimited.__name__
        if frame.client_id is not None:
            soon = too_often or frame.room_id in self._again  # there it has not heard of our interest yet
            kind = RateLimited if soon else StoreUnavailable if frame.retryable else ProtocolError
            self._answer(frame, kind(frame.where, frame.reason))
        elif frame.room_id is not None and frame.retryable and len(self._again) < MAX_AGAIN:
            self._again[frame.room_id] = asyncio.get_running_loop().time() + (AGAIN_S if too_often else LATER_S)
        elif frame.room_id not in self._again:
            _log.warning("%s: refused: %s", frame.where, frame.reason, extra={"room": frame.room_id})

    async def _show_again(self, socket: Socket) -> None:
        """Show in a while the interests that were refused, and ask again; until the socket is gone."""
        with suppress(Exception):  # the socket's own: whoever reads from it learns of its end
            while True:
                await asyncio.sleep(AGAIN_S)
                now = asyncio.get_running_loop().time()
                for room_id in [each for each, due in self._again.items() if due <= now]:
                    if room_id in self._again:
                        await self._repeat(socket, room_id, now + LATER_S)
                        await asyncio.sleep(SPACE_S)

    async def _repeat(self, socket: Socket, room_id: str, later: float) -> None:
        """Say again what was refused of a room; once more ``later``, unless it is brought."""
        self._again[room_id] = later
        if room_id not in self._open:
            del self._again[room_id]
        await socket.send(self._open.get(room_id) or Interest(room_id, None).to_json())
        if room_id in self._asked:
            await socket.send(self._asked[room_id])

    def _answer(self, frame: Ack | ErrorFrame, answer: Sent | RoomStateError) -> None:
        """Give what came to whoever waits for it."""
        done = self._waiting.get((frame.room_id or "", frame.client_id or ""))
        if done is not None and not done.done():
            done.set_result(answer)

    def _forget(self) -> None:
        """Tell those who wait that no answer will come."""
        self._told.clear()
        self._asked.clear()
        self._again.clear()
        for done in self._waiting.values():
            if not done.done():
                done.set_result(StoreUnavailable("link", "is lost: what was sent is sent again when it is back"))

    async def _tell(self, room_id: str, text: str) -> None:
        if self._socket is None or room_id not in self._told:
            raise StoreUnavailable("link", "is not there")
        await self._socket.send(text)

    # -- the port ----------------------------------------------------------------------------------------------------

    async def open(self, effect: OpenStream, /) -> None:
        """Show interest in a room; without a socket, as soon as there is one."""
        tier = Interest(effect.room_id, "ACTIVE" if effect.mode == "realtime" else "BACKGROUND")
        self._open[effect.room_id] = tier.to_json()
        if self._socket is not None:
            await self._interest(self._socket, effect.room_id)
            await self._back(effect.room_id)

    async def close(self, effect: CloseStream, /) -> None:
        """Show no interest any more."""
        self._told.pop(effect.room_id, None)
        self._asked.pop(effect.room_id, None)
        if self._open.pop(effect.room_id, None) is not None and self._socket is not None:
            await self._socket.send(Interest(effect.room_id, None).to_json())

    async def request_recovery(self, effect: RequestRecovery, /) -> tuple[Envelope, ...]:
        """Ask; the answer comes on the socket, like everything else."""
        token = effect.token.to_str() if effect.token is not None else None
        self._asked[effect.room_id] = Request(effect.room_id, effect.request_id, token).to_json()
        if effect.room_id not in self._again:  # otherwise its interest comes first
            await self._tell(effect.room_id, self._asked[effect.room_id])
        return ()

    async def send(self, effect: SendToAuthority, /) -> Sent:
        """Send a message and wait for its acknowledgement; raises ``StoreUnavailable`` where trying again may help."""
        echo = effect.echo
        written = datetime.fromtimestamp(echo.sent_at, UTC)  # a repetition is known by it, however late it comes
        message = Message(echo.client_id, echo.user, echo.content, written, (), echo.extra)
        frame = Send(effect.room_id, echo.client_id, MessageAdded(message)).to_json()
        while isinstance(answer := await self._ask((effect.room_id, echo.client_id), frame), RateLimited):
            await asyncio.sleep(AGAIN_S)
        if isinstance(answer, RoomStateError):
            raise answer
        return answer

    async def _ask(self, key: tuple[str, str], frame: str) -> Sent | RoomStateError:
        """Send a frame, and wait for what answers it."""
        done: _Answer = asyncio.get_running_loop().create_future()
        self._waiting[key] = done
        try:
            await self._tell(key[0], frame)
            return await done
        finally:
            del self._waiting[key]
