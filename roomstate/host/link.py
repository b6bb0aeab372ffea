"""A replica's link to its authority over anything that carries text: a web socket of any library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from roomstate.effects import CloseStream, OpenStream, RequestRecovery, SendToAuthority, Sent
from roomstate.errors import InvalidValue, ProtocolError, StoreUnavailable, UnknownRoom
from roomstate.model import Message
from roomstate.sync.envelope import Envelope
from roomstate.sync.frames import Ack, ErrorFrame, Frame, Interest, Request, Send, decode_frame
from roomstate.updates import MessageAdded

if TYPE_CHECKING:
    from roomstate.host.room_host import RoomHost

__all__ = ["Socket", "SocketLink"]


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
    client id for its id: repetitions are harmless.
    """

    def __init__(self) -> None:
        self._socket: Socket | None = None
        self._open: dict[str, str] = {}  # the interest that each room is held with, as its frame
        self._waiting: dict[str, asyncio.Future[Sent]] = {}  # by client id; bounded by what a room's echoes are

    async def serve(self, socket: Socket, host: RoomHost) -> None:
        """Carry frames over ``socket`` until it ends. What it raises then is the socket's own.

        Frames that make no sense are counted by the host and passed over: one bad frame ends nothing.
        """
        self._socket = socket
        try:
            for room_id, frame in tuple(self._open.items()):
                await socket.send(frame)
                with suppress(UnknownRoom):
                    await host.connected(room_id)
            async for raw in socket:
                with suppress(ProtocolError):
                    await self._take(decode_frame(raw), host)
        finally:
            self._socket = None
            self._give_up()
            for room_id in tuple(self._open):
                with suppress(UnknownRoom, InvalidValue):
                    await host.disconnected(room_id)

    async def _take(self, frame: Frame, host: RoomHost) -> None:
        if isinstance(frame, Envelope):
            await host.receive(frame)
        elif isinstance(frame, Ack | ErrorFrame) and frame.client_id is not None:
            done = self._waiting.pop(frame.client_id, None)
            if done is None or done.done():
                return
            if isinstance(frame, Ack):
                done.set_result(Sent(frame.message_id, frame.sequence_number, frame.epoch))
            elif frame.retryable:
                done.set_exception(StoreUnavailable(frame.where, frame.reason))
            else:
                done.set_exception(ProtocolError(frame.where, frame.reason))

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            if not done.done():
                done.set_exception(StoreUnavailable("link", "is lost: what was sent is sent again when it is back"))

    async def _tell(self, text: str) -> None:
        if self._socket is None:
            raise StoreUnavailable("link", "is not there")
        await self._socket.send(text)

    # -- the port ----------------------------------------------------------------------------------------------------

    async def open(self, effect: OpenStream, /) -> None:
        """Show interest in a room; without a socket, as soon as there is one."""
        tier = Interest(effect.room_id, "ACTIVE" if effect.mode == "realtime" else "BACKGROUND")
        self._open[effect.room_id] = tier.to_json()
        if self._socket is not None:
            await self._tell(self._open[effect.room_id])

    async def close(self, effect: CloseStream, /) -> None:
        """Show no interest any more."""
        if self._open.pop(effect.room_id, None) is not None and self._socket is not None:
            await self._tell(Interest(effect.room_id, None).to_json())

    async def request_recovery(self, effect: RequestRecovery, /) -> tuple[Envelope, ...]:
        """Ask; the answer comes on the socket, like everything else."""
        token = effect.token.to_str() if effect.token is not None else None
        await self._tell(Request(effect.room_id, effect.request_id, token).to_json())
        return ()

    async def send(self, effect: SendToAuthority, /) -> Sent:
        """Send a message and wait for its acknowledgement; raises ``StoreUnavailable`` where trying again may help."""
        echo = effect.echo
        message = Message(echo.client_id, echo.user, echo.content, extra=echo.extra)
        frame = Send(effect.room_id, echo.client_id, MessageAdded(message)).to_json()
        done: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        self._waiting[echo.client_id] = done
        try:
            await self._tell(frame)
            return await done
        finally:
            self._waiting.pop(echo.client_id, None)
