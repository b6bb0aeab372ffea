"""The clients of `python -m benchmarks load`, in a process of their own: they print what they have seen, as JSON.

Every client is one web socket in one of `ROOMS` rooms. A message carries the time at which it was sent, by the one
clock of this process; a delivery is that message at a socket other than its sender's.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CLIENTS, ROOMS = 200, 20
RATE = 5.0  # messages a second in each room, where latency is measured
WARM_S, LATENCY_S, FLOOD_S = 1.0, 6.0, 5.0
WINDOW = 4  # messages of each room that have not come back to who has sent them, where throughput is measured
TEXT = "a message of the length that people write in a chat, more or less"
LONG = "x" * 20_000  # characters: what fills a socket's buffers soon
FLOOD_RATE = 200  # long messages a second
MAX_FRAME = 1 << 23  # bytes: an image is larger than what the library takes unless told
SENT_AT = "2026-01-01T00:00:00Z"


class Wire:
    """How a client of one server joins, writes, and reads the mark that a message carries."""

    path = "/{room}"

    async def join(self, socket: ClientConnection, room: str) -> None:
        """Do what the server wants before it tells anything."""

    def write(self, room: str, mark: str, content: str = TEXT) -> str:
        """A message that carries ``mark``."""
        return json.dumps({"id": mark, "user": "u", "content": content, "timestamp": SENT_AT})

    def read(self, raw: str) -> list[str]:
        """The marks in what came, one for each message."""
        return re.findall(r'"id": ?"([^"]*)', raw)


class Ours(Wire):
    """Roomstate's protocol."""

    async def join(self, socket: ClientConnection, room: str) -> None:
        await socket.recv()

    def write(self, room: str, mark: str, content: str = TEXT) -> str:
        message = {"id": mark, "user": "u", "content": content, "timestamp": SENT_AT}
        update = {"kind": "message_added", "message": message}
        return json.dumps({"room_state_send": {"room_id": room, "client_id": mark, "update": update}})

    def read(self, raw: str) -> list[str]:
        return super().read(raw) if '"added_messages":' in raw else []


class SocketIO(Wire):
    """Engine.IO 4 and Socket.IO 5 by hand, over a web socket from the start."""

    path = "/socket.io/?EIO=4&transport=websocket"

    async def join(self, socket: ClientConnection, room: str) -> None:
        await socket.recv()
        await socket.send("40")
        await socket.recv()
        await socket.send("42" + json.dumps(["join", room]))

    def write(self, room: str, mark: str, content: str = TEXT) -> str:
        return "42" + json.dumps(["say", super().write(room, mark, content)])

    def read(self, raw: str) -> list[str]:
        return super().read(raw.replace('\\"', '"')) if raw.startswith("42") else []


WIRES: dict[str, Wire] = {"ours": Ours(), "socketio": SocketIO()}


class Crowd:
    """All clients, and when their messages came."""

    def __init__(self, kind: str, port: int) -> None:
        self.wire = WIRES.get(kind, Wire())
        self.url = f"ws://127.0.0.1:{port}" + self.wire.path
        self.sockets: list[tuple[str, ClientConnection]] = []
        self.delays: list[float] = []
        self.deliveries = 0
        self.own: dict[int, asyncio.Semaphore] = {}
        self.slow: ClientConnection | None = None
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self) -> None:
        for number in range(CLIENTS):
            room = f"room{number % ROOMS}"
            socket = await connect(self.url.format(room=room), compression=None, max_queue=None, ping_interval=None)
            await self.wire.join(socket, room)
            self.sockets.append((room, socket))
        for number, (_, socket) in enumerate(self.sockets):
            self.tasks.append(asyncio.create_task(self.listen(number, socket)))

    async def listen(self, number: int, socket: ClientConnection) -> None:
        """Take note of what comes. A message that its own sender gets is no delivery."""
        async for raw in socket:
            for mark in self.wire.read(str(raw)):
                at, sender, _ = mark.split("-")
                if int(sender) == number:
                    if number in self.own:
                        self.own[number].release()
                    continue
                self.deliveries += 1
                self.delays.append(time.perf_counter() - float(at))

    async def say(self, sender: int, number: int, content: str = TEXT) -> None:
        room, socket = self.sockets[sender]
        await socket.send(self.wire.write(room, f"{time.perf_counter():.7f}-{sender}-{number}", content))

    async def talk(self, sender: int, seconds: float, at: float) -> None:
        """Say something at a steady rate, whatever comes back."""
        start, number = time.perf_counter() + at, 0
        while (due := start + number / RATE) < start + seconds - at:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self.say(sender, number)
            number += 1

    async def flood(self, sender: int, seconds: float) -> None:
        """Say something as soon as one of the last few has come back."""
        end, number = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            await self.own[sender].acquire()
            await self.say(sender, 1_000_000 + number)
            number += 1

    async def all_talk(self, seconds: float) -> None:
        await asyncio.gather(*(self.talk(sender, seconds, sender / ROOMS / RATE) for sender in range(ROOMS)))
        await asyncio.sleep(0.3)

    async def all_flood(self, seconds: float) -> None:
        await asyncio.gather(*(self.flood(sender, seconds) for sender in self.own))

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(socket.close() for _, socket in self.sockets), return_exceptions=True)


def quantiles(delays: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds, and how many there were."""
    ordered = sorted(delays)
    return {
        "p50": 1000 * ordered[len(ordered) // 2],
        "p99": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "count": len(ordered),
    }


def spent(pid: int) -> float:
    """The CPU seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def latency(crowd: Crowd, pid: int) -> dict[str, Any]:
    """How long a message takes to another client's socket, at a steady rate."""
    await crowd.all_talk(WARM_S)
    crowd.delays.clear()
    await crowd.all_talk(LATENCY_S)
    return quantiles(crowd.delays)


async def single(crowd: Crowd, pid: int) -> dict[str, Any]:
    """`throughput` with one message at a time in each room."""
    return await throughput(crowd, pid, window=1)


async def several(crowd: Crowd, pid: int) -> dict[str, Any]:
    """`throughput` where the messages of a room are of as many clients, one of each."""
    return await throughput(crowd, pid, window=1, senders=WINDOW)


async def throughput(crowd: Crowd, pid: int, window: int = WINDOW, senders: int = 1) -> dict[str, Any]:
    """Deliveries for each CPU second of the server, when all rooms are as busy as they can be."""
    crowd.own = {sender: asyncio.Semaphore(window) for sender in range(senders * ROOMS)}
    await crowd.all_flood(WARM_S)
    crowd.deliveries, before, start = 0, spent(pid), time.perf_counter()
    await crowd.all_flood(FLOOD_S)
    cpu = spent(pid) - before
    return {
        "deliveries": crowd.deliveries,
        "cpu": cpu,
        "per_cpu_s": crowd.deliveries / cpu,
        "per_s": crowd.deliveries / (time.perf_counter() - start),
    }


async def flooded(crowd: Crowd) -> tuple[dict[str, float], int]:
    """The latency of everybody's talk while a room is flooded with long messages, and how many those were."""
    crowd.delays.clear()
    talking = asyncio.create_task(crowd.all_talk(LATENCY_S))
    number = 0
    while not talking.done():
        await crowd.say(0, number, LONG)
        number += 1
        await asyncio.sleep(1 / FLOOD_RATE)
    return quantiles(crowd.delays), number


async def slow(crowd: Crowd, pid: int) -> dict[str, Any]:
    """The others' latency while a room is flooded and one client reads, or does not; what that has in the end."""
    room = "room0"
    await crowd.all_talk(WARM_S)
    lazy = await connect(
        crowd.url.format(room=room), compression=None, max_queue=1, max_size=MAX_FRAME, ping_interval=None
    )
    reading = asyncio.create_task(drain(lazy))
    before, _ = await flooded(crowd)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    during, sent = await flooded(crowd)
    last = f"{time.perf_counter():.7f}-0-last"
    await crowd.sockets[0][1].send(crowd.wire.write(room, last))
    return {"before": before, "during": during, "sent": sent, **await caught_up(lazy, room, last)}


async def drain(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def caught_up(socket: ClientConnection, room: str, last: str) -> dict[str, Any]:
    """What a client that reads again is told, and whether it then has what the room has."""
    from roomstate import RoomStateManager
    from roomstate.effects import RequestRecovery
    from roomstate.sync.envelope import decode
    from roomstate.sync.subscribers import SLOT

    replica = RoomStateManager(role="replica")
    asked = [each for each in replica.enter("lazy", room) if isinstance(each, RequestRecovery)]
    told, jumps, head, deadline = 0, 0, 0, time.perf_counter() + 30
    held: list[str] = []
    while last not in held and time.perf_counter() < deadline:
        for effect in asked:
            token = effect.token.to_str() if effect.token is not None else None
            frame = {"room_id": room, "request_id": effect.request_id, "token": token}
            await socket.send(json.dumps({"room_state_request": frame}))
        raw = str(await asyncio.wait_for(socket.recv(), 30))
        envelope = decode(raw)
        told += 1
        many = envelope.sequence_number > head + 1 > 1 and len(raw) > SLOT
        jumps += many  # what did not fit in its queue came at once, and is more than is told together
        head = envelope.sequence_number
        asked = [each for each in replica.receive(envelope) if isinstance(each, RequestRecovery)]
        held = [message.id for message in replica.view(room).messages]
    await socket.close()
    right = last in held and len(set(held)) == len(held) and not replica.gaps(room)
    return {"told": told, "resyncs": jumps, "right": right}


JOBS = {"latency": latency, "throughput": throughput, "several": several, "single": single, "slow": slow}


async def main(kind: str, port: int, job: str, pid: int) -> None:
    crowd = Crowd(kind, port)
    await crowd.come()
    try:
        print(json.dumps(await JOBS[job](crowd, pid)))
    finally:
        await crowd.leave()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
