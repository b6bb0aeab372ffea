"""A replica's link to its authority over anything that carries text: a web socket of any library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias

from roomstate.effects import CloseStream, OpenStream, RequestRecovery, SendToAuthority, Sent
from roomstate.errors import InvalidValue, ProtocolError, RoomStateError, StoreUnavailable, UnknownRoom
from roomstate.model import Message
from roomstate.sync.envelope import Envelope
from roomstate.sync.frames import Ack, ErrorFrame, Frame, Interest, Request, Send, decode_frame
from roomstate.updates import MessageAdded

if TYPE_CHECKING:
    from roomstate.host.room_host import RoomHost

__all__ = ["Socket", "SocketLink"]

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
    """

    def __init__(self) -> None:
        self._socket: Socket | None = None
        self._open: dict[str, str] = {}  # the interest that each room is held with, as its frame
        self._told: dict[str, None] = {}  # rooms whose interest this socket's other end was told of
        self._waiting: dict[tuple[str, str], _Answer] = {}  # by room and client id; bounded by what rooms' echoes are

    async def serve(self, socket: Socket, host: RoomHost) -> None:
        """Carry frames over ``socket`` until it ends. What it raises then is the socket's own.

        Frames that make no sense are passed over: one bad frame ends nothing. Where it is called again while an earlier
        socket has not ended yet, what is to be sent goes to the new one.
        """
        self._forget()
        self._socket = socket
        try:
            for room_id in tuple(self._open):
                await self._interest(socket, room_id)
                with suppress(UnknownRoom):
                    await host.connected(room_id)
            async for raw in socket:
                with suppress(ProtocolError):
                    await self._take(decode_frame(raw), host)
        finally:
            if self._socket is socket:
                self._socket = None
                self._forget()
                for room_id in tuple(self._open):
                    with suppress(UnknownRoom, InvalidValue):
                        await host.disconnected(room_id)

    async def _interest(self, socket: Socket, room_id: str) -> None:
        """Tell the other end of a room; only then is anything else said of it."""
        frame = self._open.get(room_id)
        if frame is not None:
            await socket.send(frame)
            if self._socket is socket:
                self._told[room_id] = None

    async def _take(self, frame: Frame, host: RoomHost) -> None:
        if isinstance(frame, Envelope):
            await host.receive(frame)
        elif isinstance(frame, Ack):
            self._answer(frame, Sent(frame.message_id, frame.sequence_number, frame.epoch))
        elif isinstance(frame, ErrorFrame):
            refused = StoreUnavailable if frame.retryable else ProtocolError
            self._answer(frame, refused(frame.where, frame.reason))

    def _answer(self, frame: Ack | ErrorFrame, answer: Sent | RoomStateError) -> None:
        """Give what came to whoever waits for it."""
        done = self._waiting.get((frame.room_id or "", frame.client_id or ""))
        if done is not None and not done.done():
            done.set_result(answer)

    def _forget(self) -> None:
        """Tell those who wait that no answer will come."""
        self._told.clear()
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

    async def close(self, effect: CloseStream, /) -> None:
        """Show no interest any more."""
        self._told.pop(effect.room_id, None)
        if self._open.pop(effect.room_id, None) is not None and self._socket is not None:
            await self._socket.send(Interest(effect.room_id, None).to_json())

    async def request_recovery(self, effect: RequestRecovery, /) -> tuple[Envelope, ...]:
        """Ask; the answer comes on the socket, like everything else."""
        token = effect.token.to_str() if effect.token is not None else None
        await self._tell(effect.room_id, Request(effect.room_id, effect.request_id, token).to_json())
        return ()

    async def send(self, effect: SendToAuthority, /) -> Sent:
        """Send a message and wait for its acknowledgement; raises ``StoreUnavailable`` where trying again may help."""
        echo = effect.echo
        message = Message(echo.client_id, echo.user, echo.content, extra=echo.extra)
        frame = Send(effect.room_id, echo.client_id, MessageAdded(message)).to_json()
        key = (effect.room_id, echo.client_id)
        done: _Answer = asyncio.get_running_loop().create_future()
        self._waiting[key] = done
        try:
            await self._tell(effect.room_id, frame)
            answer = await done
        finally:
            del self._waiting[key]
        if isinstance(answer, RoomStateError):
            raise answer
        return answer
