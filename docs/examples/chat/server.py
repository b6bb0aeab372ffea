"""A chat that people can use, in one page of host code: Starlette, web sockets, SQLite.

    pip install 'roomstate[chat]' && python docs/examples/chat/server.py

Then open http://127.0.0.1:8000 in two windows, and http://127.0.0.1:8000/metrics for what Prometheus is told. Whoever
gives a name is that user: an example asks for no password, your program will. Everything else is what a real one does:
`RoomHost` keeps the rooms, and every socket is one viewer of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from roomstate import Tier
from roomstate.errors import RoomStateError
from roomstate.export.prometheus import RoomStateCollector
from roomstate.host import RoomHost, owned
from roomstate.store import SQLiteStore
from roomstate.sync.frames import Frame, Send
from roomstate.updates import PresenceChanged

ROOMS: Final = ("lobby", "rust", "python", "films", "music")  # the page asks for them at /rooms
STATIC: Final = Path(__file__).parent / "static"
STATE_S: Final = 0.3  # seconds between two looks at what the state panel shows


def create_app(path: str, rooms: Sequence[str] = ROOMS, **options: Any) -> Starlette:
    """Return the chat of those ``rooms``, kept in the SQLite file ``path``; ``options`` go to the host."""
    host = RoomHost(store=SQLiteStore(path), **options)
    here: Counter[str] = Counter()  # how many sockets each user has
    registry = CollectorRegistry()
    registry.register(RoomStateCollector(host.stats, host.measures))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with host:
            yield

    def allowed(viewer: str, user: str, room: str, frame: Frame) -> bool:
        return room in rooms and (not isinstance(frame, Send) or owned(host.manager, room, user, frame.update))

    async def chat(socket: WebSocket) -> None:
        user = socket.query_params.get("user", "").strip()[:32]
        await socket.accept()
        if not user:
            await socket.close(4401, "no name")
            return
        async with host.connect(uuid4().hex, user, allowed) as viewer, viewer.subscribe() as stream:
            sending = asyncio.create_task(pump(stream, socket))
            here[user] += 1
            try:
                async for raw in socket.iter_text():
                    if (answer := await viewer.receive(raw)) is not None:
                        await socket.send_text(answer.to_json())
            except (WebSocketDisconnect, RuntimeError, KeyError):
                pass  # it is gone, or sends bytes; its interests end with the block
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                here[user] -= 1
                if not here[user]:
                    del here[user]
                    await gone(host, rooms, user)

    async def state(socket: WebSocket) -> None:
        await socket.accept()
        shown = None
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                if (now := panel(host, rooms)) != shown:
                    await socket.send_text(json.dumps(shown := now))
                await asyncio.sleep(STATE_S)

    async def page(request: Any) -> FileResponse:
        return FileResponse(STATIC / "index.html")

    async def names(request: Any) -> JSONResponse:
        return JSONResponse(list(rooms))

    async def metrics(request: Any) -> Response:  # on the loop that the host runs on, so that nothing moves meanwhile
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    routes = [
        Route("/", page),
        Route("/rooms", names),
        Route("/metrics", metrics),
        WebSocketRoute("/chat", chat),
        WebSocketRoute("/state", state),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def pump(stream: AsyncIterator[str], socket: WebSocket) -> None:
    """Send a viewer what its stream brings, as fast as it reads."""
    async for text in stream:
        await socket.send_text(text)


async def gone(host: RoomHost, rooms: Sequence[str], user: str) -> None:
    """Let a user be offline whose last socket is gone."""
    for room in rooms:
        with contextlib.suppress(RoomStateError):
            await host.publish(room, PresenceChanged(user, "offline"))


def panel(host: RoomHost, rooms: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the state panel shows of each room."""
    rows = []
    for room in rooms:
        tier = host.manager.tier(room)
        view = host.view(room) if tier is not Tier.UNLOADED else None
        rows.append(
            {
                "room": room,
                "tier": tier.name,
                "bytes": host.manager.weight(room),
                "messages": len(view.messages) if view else 0,
                "head": view.position.seq if view and view.position else 0,
                "durable": view.durable if view else 0,
                "gaps": [[gap.after, gap.upto] for gap in view.gaps] if view else [],
                "status": view.status.value if view else "",
            }
        )
    return rows


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--store", default="chat.sqlite", help="the file that keeps the rooms")
    parser.add_argument("--rooms", nargs="+", default=ROOMS, help="their names")
    parser.add_argument("--idle", type=float, default=300.0, help="seconds after which a viewer only follows a room")
    given = parser.parse_args()
    app = create_app(given.store, tuple(given.rooms), idle_active_s=given.idle)
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning", ws_ping_interval=20)


if __name__ == "__main__":
    main()
