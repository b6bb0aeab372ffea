"""kill -9 at any moment: what was acknowledged is there, in order, without a gap that nobody declared."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from roomstate.host import SyncHost
from roomstate.model import Message, MessageLike, Status
from roomstate.residency.cache import RoomCache
from roomstate.store import SQLiteStore
from roomstate.store.compact import Compactor
from roomstate.updates import MessageAdded

ROOMS = tuple(f"room {at}" for at in range(6))
KEEP = 60  # entries that compaction leaves: less than a few lives append
LIVES = 10  # in one store, each killed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 there")


def message(room_id: str, number: int) -> Message:
    return Message(f"m{number}", "bob", f"{room_id}, message {number}: " + "word " * (number % 40))


def live(path: str, seed: int, parent: Connection) -> None:
    """Publish, enter, leave, demote, evict and compact as fast as it goes; tell of each message that is durable."""
    chance = random.Random(seed)
    store = SQLiteStore(path, check="none")
    Compactor(store, keep=KEEP, rooms=2, entries=7, pause_s=0.002)
    host = SyncHost(
        store=store,
        cache=RoomCache(max_rooms=2),
        moves_per_s=1e6,
        burst=10**6,
    )
    numbers = {room_id: end.position.seq if (end := store.head(room_id)) else 0 for room_id in ROOMS}
    parent.send_bytes(b"ready")
    while True:
        room_id = chance.choice(ROOMS)
        for _ in range(chance.randrange(5)):
            numbers[room_id] += 1
            host.publish(room_id, MessageAdded(message(room_id, numbers[room_id])))
            if not host.stats().undurable_bytes:
                parent.send_bytes(f"{room_id}/{numbers[room_id]}".encode())
        step = chance.random()
        if step < 0.2:
            host.disconnect("ada")  # down to CACHED, with a snapshot at each tier; and some rooms are evicted
        elif step < 0.4 and host.known():
            host.demote(chance.choice(host.known()))
        elif step < 0.7:
            host.enter("ada", room_id)
        elif step < 0.8:
            host.follow("ada", room_id)


def killed(path: Path, seed: int, after: int, delay_s: float) -> dict[str, int]:
    """Kill a process soon after so many acknowledgements; the last message of each room that it has acknowledged."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.test_kill"])
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=live, args=(str(path), seed, sending))
    child.start()
    sending.close()
    assert receiving.recv_bytes() == b"ready"
    last: dict[str, int] = {}
    with contextlib.suppress(EOFError), receiving:
        while True:
            if after == 0:
                time.sleep(delay_s)
                child.kill()
            after -= 1
            room_id, number = receiving.recv_bytes().decode().split("/")
            last[room_id] = int(number)
    child.join()
    assert child.exitcode == -signal.SIGKILL, "the process ended by itself"
    return last


def examine(path: Path, last: dict[str, int]) -> int:
    """Hold what is found against what was acknowledged; how many messages the logs hold."""
    found = 0
    with SQLiteStore(path, check="full") as store:
        assert store.damaged() == {}
        for room_id in ROOMS:
            end = store.head(room_id)
            seq = end.position.seq if end else 0
            assert seq >= last.get(room_id, 0), f"{room_id} has lost what was acknowledged"
            entries = store.read(room_id, 0, None, 100_000)
            assert [entry.seq for entry in entries] == list(range(seq - len(entries) + 1, seq + 1))
            for entry in entries:
                assert isinstance(entry.update, MessageAdded)
                check(room_id, entry.update.message, entry.seq)
            found += len(entries)
        host = SyncHost(store=store)
        for room_id in ROOMS:
            host.enter("eve", room_id)
            view = host.view(room_id)
            assert view.status is Status.READY
            assert view.gaps == ()
            assert view.position is not None
            seq = view.position.seq
            assert len(view.messages) >= min(seq, 50)  # a brief snapshot's, at least
            for number, held in zip(range(seq, 0, -1), reversed(view.messages), strict=False):
                check(room_id, held, number)
    return found


def check(room_id: str, held: MessageLike, number: int) -> None:
    wanted = message(room_id, number)
    assert (held.id, held.content) == (wanted.id, wanted.content)


def campaign(kills: int, seed: int) -> tuple[int, int]:
    """Kill so many processes, ten to a store; how many messages were acknowledged, and how many the logs held."""
    chance = random.Random(seed)
    acknowledged = held = 0
    for _ in range(kills // LIVES):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "rooms.db")
            before: dict[str, int] = {}
            for _ in range(LIVES):
                before |= killed(path, chance.getrandbits(32), chance.randrange(40), chance.random() * 0.02)
                held += examine(path, before)
            acknowledged += sum(before.values())
    return acknowledged, held


@pytest.mark.campaign
def test_fifty_kills() -> None:
    acknowledged, held = campaign(50, 1)
    assert acknowledged > 500
    assert held > 500


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_two_thousand_kills(part: int) -> None:
    assert campaign(200, 100 + part) > (2000, 2000)
