"""The servers that `python -m benchmarks load` compares, each in a process of its own: `load_servers.py KIND PORT`.

All run under uvicorn with the same web-socket library, and keep nothing on disk. A client of roomstate speaks its
protocol; the others send and get a message as JSON text, which their server passes on as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

GONE = (WebSocketDisconnect, RuntimeError)


def library(name: str) -> Any:
    """A library that only a benchmark needs, and that has no types."""
    return importlib.import_module(name)


def ours() -> Any:
    """Roomstate: bounded queues, positions, dedup, unread counts; nothing else differs from the bare one."""
    from roomstate.host import HostBounds, RoomHost

    bounds = HostBounds(frames_per_s=1e6, frame_burst=10_000_000)
    host = RoomHost(bounds=bounds, moves_per_s=1e6, burst=1_000_000)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with host:
            yield

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        viewer, room = uuid4().hex, socket.path_params["room"]
        async with host.connect(viewer) as connection, connection.subscribe(room) as stream:
            pump = asyncio.create_task(send_all(stream, socket))
            with contextlib.suppress(*GONE):
                async for raw in socket.iter_text():
                    answer = await connection.receive(raw)
                    if answer is not None:
                        await socket.send_text(answer.to_json())
            pump.cancel()
            await asyncio.wait([pump])

    async def send_all(stream: AsyncIterator[str], socket: WebSocket) -> None:
        async for text in stream:
            await socket.send_text(text)

    return Starlette(routes=[WebSocketRoute("/{room}", chat)], lifespan=lifespan)


def bare() -> Any:
    """A dict of sets and `send_text`: nothing is numbered, bounded or remembered."""
    rooms: dict[str, set[WebSocket]] = defaultdict(set)

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        members = rooms[socket.path_params["room"]]
        members.add(socket)
        with contextlib.suppress(*GONE):
            async for text in socket.iter_text():
                for member in tuple(members):
                    try:
                        await member.send_text(text)
                    except GONE:
                        members.discard(member)
        members.discard(socket)

    return Starlette(routes=[WebSocketRoute("/{room}", chat)])


def broadcaster() -> Any:
    """Encode's broadcaster, in memory."""
    broadcast: Any = library("broadcaster").Broadcast("memory://")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with broadcast:
            yield

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        room = socket.path_params["room"]

        async def send_all() -> None:
            async with broadcast.subscribe(channel=room) as events:
                async for event in events:
                    await socket.send_text(event.message)

        pump = asyncio.create_task(send_all())
        with contextlib.suppress(*GONE):
            async for text in socket.iter_text():
                await broadcast.publish(channel=room, message=text)
        pump.cancel()
        await asyncio.wait([pump])

    return Starlette(routes=[WebSocketRoute("/{room}", chat)], lifespan=lifespan)


def socketio() -> Any:
    """python-socketio with its rooms, in memory."""
    server: Any = library("socketio").AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    async def join(session: str, room: str) -> None:
        await server.save_session(session, {"room": room})
        await server.enter_room(session, room)

    async def say(session: str, text: str) -> None:
        room = (await server.get_session(session))["room"]
        await server.emit("said", text, room=room)

    server.on("join", join)
    server.on("say", say)
    return library("socketio").ASGIApp(server)


def channels() -> Any:
    """Django Channels with its in-memory layer."""
    layers = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    library("django.conf").settings.configure(CHANNEL_LAYERS=layers)
    library("django").setup()
    consumer: Any = library("channels.generic.websocket").AsyncWebsocketConsumer

    class Chat(consumer):  # type: ignore[misc]
        async def connect(self) -> None:
            self.room = self.scope["path"].strip("/")
            await self.channel_layer.group_add(self.room, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(self.room, self.channel_name)

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.channel_layer.group_send(self.room, {"type": "said", "text": text_data})

        async def said(self, event: dict[str, str]) -> None:
            await self.send(text_data=event["text"])

    return Chat.as_asgi()


SERVERS: dict[str, Callable[[], Any]] = {
    "ours": ours,
    "bare": bare,
    "broadcaster": broadcaster,
    "socketio": socketio,
    "channels": channels,
}

if __name__ == "__main__":
    uvicorn.run(
        SERVERS[sys.argv[1]](), port=int(sys.argv[2]), log_level="error", ws="websockets-sansio", ws_ping_interval=None
    )
