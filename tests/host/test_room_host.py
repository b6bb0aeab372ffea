"""The asynchronous host: verbs, ports that fail, time, changes, the end. Its viewers have tests of their own."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import roomstate.host
from roomstate.effects import (
    Appended,
    Deliver,
    FetchMessages,
    Head,
    LogEntry,
    OpenStream,
    Recovered,
    RequestRecovery,
    SaveFailed,
    SendToAuthority,
    Sent,
    TierChanged,
)
from roomstate.errors import ConflictError, InvalidValue, StoreUnavailable, UnknownRoom
from roomstate.host import HostBounds, Loader, RoomHost, SyncHost, Transport
from roomstate.host.driver import Left
from roomstate.manager import RoomStateManager
from roomstate.model import Message, Status, Tier
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.store import MemoryStore, SQLiteStore
from roomstate.sync.envelope import decode, of_image, of_update
from roomstate.updates import MessageAdded
from tests.host.looping import clock, run


def said(number: int, user: str = "bob") -> MessageAdded:
    return MessageAdded(Message(f"m{number}", user, f"text {number}"))


class Flaky(MemoryStore):
    """A store that does not answer while ``down``, or as often as chance has it."""

    down = False
    chance = 0.0
    attempts = 0
    closed = 0

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(1)

    def _answer(self) -> None:
        self.attempts += 1
        if self.down or self.random.random() < self.chance:
            raise StoreUnavailable("store", "is down")

    def head(self, room_id: str) -> Head | None:
        self._answer()
        return super().head(room_id)

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        self._answer()
        return super().append(room_id, epoch, entries)

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        self._answer()
        return super().save_snapshot(room_id, tier, head, data)

    def close(self) -> None:
        self.closed += 1


def host_of(store: MemoryStore | SQLiteStore | None = None, **options: Any) -> RoomHost:
    options.setdefault("jitter", random.Random(1).random)
    return RoomHost(store=store, clock=clock, **options)


def contents(host: RoomHost | SyncHost, room_id: str = "rust") -> list[str]:
    return [message.id for message in host.view(room_id).messages]


def test_a_room_outlives_its_host(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"

    async def first() -> None:
        async with host_of(SQLiteStore(path)) as host:
            await host.enter("ada", "rust")
            assert host.status("rust") is Status.READY
            for number in range(1, 61):
                await host.publish("rust", said(number))
                assert host.view("rust").durable == number

    async def second() -> None:
        async with host_of(SQLiteStore(path)) as host:
            await host.enter("ada", "rust")
            assert host.status("rust") is Status.READY
            assert contents(host) == [f"m{number}" for number in range(1, 61)]

    run(first)
    run(second)


def test_every_verb_does_what_the_manager_s_does() -> None:
    async def main() -> None:
        told: list[Deliver] = []
        seen: list[Left] = []
        async with host_of(MemoryStore(), deliver=told.append, observe=seen.append) as host:
            outputs = await host.enter("ada", "rust", user="ada")
            assert TierChanged("rust", Tier.UNLOADED, Tier.ACTIVE) in outputs
            await host.follow("bob", "rust")
            await host.publish("rust", said(1))
            await host.mark_read("ada", "rust")
            await host.set_ui_state("ada", "rust", {"draft": "hm"})
            await host.publish("rust", said(2, "eve"))
            assert [(each.seq, each.recipients) for each in told] == [(1, ("ada",)), (2, ("ada",))]
            assert host.unread("ada", "rust").messages.value == 1
            assert host.view("rust").ui_state == {"ada": {"draft": "hm"}}
            assert host.known() == ("rust",)
            assert host.stats().viewers == 2
            await host.warm("ada")
            await host.leave("ada", "rust")
            assert host.tier("rust") is Tier.BACKGROUND
            await host.disconnect("bob")
            await host.promote("rust")
            assert await host.demote("rust", Tier.CACHED) == (
                Tier.CACHED,
                (TierChanged("rust", Tier.ACTIVE, Tier.BACKGROUND),),
            )
            assert (await host.demote("rust"))[0] is Tier.UNLOADED
            await host.publish("rust", said(3))  # at rest: only its head is loaded
            assert host.manager.progress("rust") is None
        assert {type(each).__name__ for each in seen} >= {"TierChanged", "StatusChanged"}

    run(main)


def test_a_foreign_room_s_gaps_are_fetched_and_fetched_again() -> None:
    class History:
        asked = 0

        async def fetch(self, effect: FetchMessages) -> Recovered:
            self.asked += 1
            if self.asked < 3:
                raise ConnectionError("not now")
            return Recovered((said(2).message,))

    async def main() -> None:
        history = History()
        assert isinstance(history, Loader)
        async with host_of(loader=history) as host:
            await host.enter("ada", "rust")
            await host.receive("rust", said(1), cursor="c1")
            await host.disconnected("rust")
            await host.connected("rust")
            await asyncio.sleep(5)
            assert (set(contents(host)), history.asked, host.gaps("rust")) == ({"m1", "m2"}, 3, ())

    run(main)


def test_a_loader_that_fails_half_of_the_time_leaves_no_gap() -> None:
    chance = random.Random(3)

    class History:
        async def fetch(self, effect: FetchMessages) -> Recovered:
            await asyncio.sleep(0.01)
            if chance.random() < 0.5:
                raise ConnectionError("not now")
            return Recovered((said(2).message,))

    async def main() -> None:
        rooms = [f"room {number}" for number in range(50)]
        async with host_of(loader=History()) as host:
            for room in rooms:
                await host.enter("ada", room)
                await host.receive(room, said(1), cursor="c1")
                await host.disconnected(room)
            for room in rooms:
                await host.connected(room)
            for _ in range(20):
                await asyncio.sleep(1)
                if not any(host.gaps(room) for room in rooms):
                    break
            assert [room for room in rooms if set(contents(host, room)) != {"m1", "m2"} or host.gaps(room)] == []

    run(main)


def test_without_a_port_the_caller_answers() -> None:
    async def main() -> None:
        async with host_of() as host:
            await host.enter("ada", "rust")
            await host.receive("rust", said(1), cursor="c1")
            (fetch,) = [each for each in await host.disconnected("rust") if isinstance(each, FetchMessages)]
            await host.fail(fetch.request_id, "not now")
            (fetch,) = [each for each in await host.connected("rust") if isinstance(each, FetchMessages)]
            await host.complete(fetch.request_id, Recovered((said(2).message,)))
            assert set(contents(host)) == {"m1", "m2"}
            with pytest.raises(InvalidValue, match="beside a room's id"):
                await host.receive("rust")  # type: ignore[call-overload]

    run(main)


def test_a_port_that_answers_nonsense_has_failed() -> None:
    class Nonsense:
        async def fetch(self, effect: FetchMessages) -> Recovered:
            return "nonsense"  # type: ignore[return-value]

    async def main() -> None:
        async with host_of(loader=Nonsense()) as host:
            await host.enter("ada", "rust")
            await host.receive("rust", said(1), cursor="c1")
            await host.disconnected("rust")
            await asyncio.sleep(3)
            assert host.stats().requests <= 1
            assert len(host.gaps("rust")) == 1

    run(main)


def test_what_is_acknowledged_while_the_store_fails_and_returns_is_never_lost() -> None:
    async def main() -> None:
        store = Flaky()
        host = host_of(store)
        acknowledged: list[int] = []

        async def write(room_id: str, number: int) -> None:
            await host.publish(room_id, said(number))
            acknowledged.append(number)

        async with host, asyncio.TaskGroup() as group:
            for room in range(20):
                await host.enter("ada", f"room {room}")
            store.down = True
            for number in range(200):
                group.create_task(write(f"room {number % 20}", number))
            await asyncio.sleep(10)
            assert acknowledged == []
            assert store.attempts < 100  # paced, not hammered
            assert contents(host, "room 3")[:2] == ["m3", "m23"]  # usable from memory meanwhile
            assert {host.status(f"room {room}") for room in range(20)} == {Status.STALE}
            store.down = False
            await asyncio.sleep(2)
            assert len(acknowledged) == 200
            assert all(host.view(f"room {room}").durable == 10 for room in range(20))
            assert {host.status(f"room {room}") for room in range(20)} == {Status.READY}
            host.manager.check()
        kept = [entry.update.message.id for room in range(20) for entry in store.read(f"room {room}")]  # type: ignore[union-attr]
        assert sorted(kept) == sorted(f"m{number}" for number in range(200))

    run(main)


def test_a_store_that_fails_half_of_the_time_loses_nothing() -> None:
    async def main() -> None:
        store = Flaky()
        store.chance = 0.5
        async with host_of(store) as host:
            for room in range(10):
                await host.enter("ada", f"room {room}")
            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(host.publish(f"room {number % 10}", said(number)))
            assert all(host.view(f"room {room}").durable == 10 for room in range(10))
        assert store.closed == 1
        assert sum(len(store.read(f"room {room}")) for room in range(10)) == 100

    run(main)


def test_a_cancelled_publish_stands() -> None:
    async def main() -> None:
        store = Flaky()
        async with host_of(store) as host:
            await host.enter("ada", "rust")
            store.down = True
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(host.publish("rust", said(1)), 1)
            assert contents(host) == ["m1"]
            store.down = False
        assert [entry.seq for entry in store.read("rust")] == [1]

    run(main)


def test_a_room_that_cannot_be_loaded_says_so_and_is_loaded_later() -> None:
    async def main() -> None:
        store = Flaky()
        with SyncHost(store=store) as before:
            before.promote("rust")
            before.publish("rust", said(1))
        store.down = True
        async with host_of(store) as host:
            await host.enter("ada", "rust")
            assert host.status("rust") is Status.ERROR
            store.down = False
            await asyncio.sleep(2)
            assert host.status("rust") is Status.READY
            assert contents(host) == ["m1"]

    run(main)


def test_who_was_about_to_wait_when_a_host_was_closed_does_not() -> None:
    class Silent(Flaky):
        def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
            raise StoreUnavailable("store", "is down")

    async def main() -> None:
        host = host_of(Silent())
        await host.__aenter__()
        changes = host.changes()
        publishing = asyncio.ensure_future(host.publish("rust", said(1)))
        while (progress := host.manager.progress("rust")) is None or not progress.seq:
            await asyncio.sleep(0)  # the head is known now, and the publisher has not waited for the log yet
        with pytest.raises(StoreUnavailable, match="could not be saved"):
            await host.close()
        with pytest.raises(StoreUnavailable, match="closed meanwhile"):
            await asyncio.wait_for(publishing, 60)
        assert [change async for change in changes] == []

    run(main)


def test_closing_fails_while_the_store_does_and_can_be_done_again() -> None:
    async def main() -> None:
        store = Flaky()
        host = host_of(store)
        await host.__aenter__()
        await host.enter("ada", "rust")
        store.down = True
        publishing = asyncio.ensure_future(host.publish("rust", said(1)))
        await asyncio.sleep(1)
        with pytest.raises(StoreUnavailable, match="could not be saved"):
            await host.close()
        with pytest.raises(StoreUnavailable, match="closed meanwhile"):
            await publishing
        assert store.closed == 0
        assert len(asyncio.all_tasks()) == 1
        store.down = False
        await host.close()
        await host.close()
        assert store.closed == 1
        assert len(store.read("rust")) == 1
        with pytest.raises(InvalidValue, match="of no use after"):
            await host.enter("ada", "rust")

    run(main)


def test_a_store_whose_calls_hang_is_given_up_in_time() -> None:
    async def main() -> None:
        import threading

        gate = threading.Event()

        class Hanging(MemoryStore):
            def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
                gate.wait(10)
                return super().append(room_id, epoch, entries)

        store = Hanging()
        failed: list[SaveFailed] = []

        def observe(item: Left) -> None:
            if isinstance(item, SaveFailed):
                failed.append(item)
                gate.set()

        async with RoomHost(store=store, observe=observe, bounds=HostBounds(timeout_s=0.05)) as host:
            await host.enter("ada", "rust")
            await host.publish("rust", said(1))
            assert "no answer within 0.05 s" in failed[0].reason
            assert len(store.read("rust")) == 1

    asyncio.run(main())


def test_a_host_that_was_never_entered_is_of_no_use() -> None:
    async def main() -> None:
        host = host_of()
        with pytest.raises(InvalidValue, match="async with"):
            await host.enter("ada", "rust")

    run(main)


def test_interests_lapse_and_retries_happen_without_being_asked() -> None:
    async def main() -> None:
        async with host_of(idle_active_s=10, idle_background_s=20) as host:
            await host.enter("ada", "rust")
            await asyncio.sleep(12)
            assert host.tier("rust") is Tier.BACKGROUND
            await asyncio.sleep(12)
            assert host.tier("rust") is Tier.CACHED

    run(main)


def test_a_clock_that_stands_still_does_not_make_the_loop_spin() -> None:
    async def main() -> None:
        ticks = 0

        class Counting(RoomStateManager):
            def tick(self, *, now: float | None = None, limit: int = 1000) -> tuple[Left, ...]:
                nonlocal ticks
                ticks += 1
                return super().tick(now=0.0, limit=limit)

        manager = Counting(clock=lambda: 0.0, idle_active_s=1)
        async with RoomHost(manager, clock=lambda: 100.0) as host:
            await host.enter("ada", "rust", now=0.0)
            await asyncio.sleep(1)
            assert ticks <= 200

    run(main)


def test_changes_are_told_once_a_look() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host:
            changes = host.changes("rust")
            first: Any = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            await host.enter("ada", "rust")
            await host.enter("ada", "go")
            change = await first
            assert (change.room_id, "TierChanged" in change.kinds) == ("rust", True)
            for number in (1, 2):
                await host.publish("rust", said(number))
            change = await anext(changes)
            assert change.revision == host.view("rust").revision
            assert "message_added" in change.kinds
            rest: Any = asyncio.ensure_future(anext(changes, None))
            await asyncio.sleep(0)
        assert (await rest) is None
        assert [change async for change in changes] == []

    run(main)


def test_what_the_program_s_own_functions_raise_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(item: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with host_of(MemoryStore(), deliver=broken, observe=broken) as host:
            await host.enter("ada", "rust")
            await host.publish("rust", said(1))
            assert host.view("rust").durable == 1

    run(main)
    assert "the program's own function raised" in caplog.text


def test_a_rejected_verb_changes_nothing() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host:
            await host.enter("ada", "rust")
            before = (host.view("rust").revision, host.known(), host.stats())
            nonsense: Any = "nonsense"
            calls = [
                host.enter("", "rust"),
                host.promote("rust", Tier.CACHED),
                host.complete(999),
                host.publish("rust", nonsense),
            ]
            for call in calls:
                with pytest.raises(InvalidValue):
                    await call
            with pytest.raises(UnknownRoom):
                await host.leave("ada", "go")
            assert (host.view("rust").revision, host.known(), host.stats()) == before

    run(main)


def test_options_belong_to_a_manager_that_is_made_here() -> None:
    with pytest.raises(InvalidValue, match="max_bytes: belongs to the manager"):
        RoomHost(RoomStateManager(), max_bytes=1)
    manager = RoomStateManager()
    assert RoomHost(manager).manager is manager
    with pytest.raises(InvalidValue, match="timeout_s"):
        HostBounds(timeout_s=0)
    with pytest.raises(InvalidValue, match="max_bytes: must be at least 4096"):
        HostBounds(max_bytes=4095)
    assert roomstate.host.RoomHost is RoomHost
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        roomstate.host.Nothing  # noqa: B018


def test_a_conflict_is_resolved_and_time_passes_through_the_host_too() -> None:
    async def main() -> None:
        async with host_of(codec=SnapshotCodec(), idle_active_s=10) as host:
            changes = host.changes()
            first: Any = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            await host.enter("ada", "rust")
            await first
            with pytest.raises(ConflictError, match="is not open"):
                await host.resolve(7, "server")
            await host.tick(now=clock() + 20)
            assert (await anext(changes)).kinds == ("TierChanged",)
            assert host.tier("rust") is Tier.BACKGROUND
            await changes.aclose()  # type: ignore[attr-defined]

    run(main)
    with SyncHost() as host, pytest.raises(ConflictError, match="is not open"):
        host.resolve(7, "server")


def test_closing_gives_up_where_nothing_will_ever_be_due() -> None:
    class Timeless(RoomStateManager):
        def next_deadline(self) -> float | None:
            return None

    async def main() -> None:
        host = RoomHost(Timeless(durability="logged", clock=clock), store=MemoryStore(), clock=clock)
        await host.__aenter__()
        await host.enter("ada", "rust")
        with pytest.raises(StoreUnavailable, match="1 rooms could not be saved"):
            await host.close()

    run(main)


def test_both_hosts_have_the_same_verbs() -> None:
    def public(host: type) -> dict[str, list[str]]:
        names = [name for name in dir(host) if not name.startswith("_") and callable(getattr(host, name))]
        return {name: list(inspect.signature(getattr(host, name)).parameters) for name in names}

    sync, asynchronous = public(SyncHost), public(RoomHost)
    own = {name: asynchronous.pop(name) for name in ("changes", "confirmed", "connect", "loaded", "measures")}
    assert all(own.values())
    assert asynchronous == sync
    verbs = {name for name in public(RoomStateManager) if name not in READ_ELSEWHERE}
    assert verbs <= asynchronous.keys()


READ_ELSEWHERE = {"check", "find", "head", "image", "interest", "progress", "remembers", "since", "token", "weight"}


# -- a replica ---------------------------------------------------------------------------------------------------------


class Authority:
    """The other end of a transport: a manager of its own, and a link that is there or not."""

    def __init__(self) -> None:
        self.rooms = RoomStateManager(clock=clock)
        self.down = False
        self.calls: list[str] = []
        self.asked_at: list[float] = []
        self.under_way = self.most = 0

    async def _answer(self, name: str) -> None:
        self.calls.append(name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0.01)
        finally:
            self.under_way -= 1
        if self.down:
            raise ConnectionError("the link is down")

    async def request_recovery(self, effect: RequestRecovery) -> tuple[Any, ...]:
        self.asked_at.append(clock())
        await self._answer("recover")
        return (of_image(self.rooms.image(effect.room_id), clock()),)

    async def send(self, effect: SendToAuthority) -> Sent:
        await self._answer("send")
        echo = effect.echo
        self.rooms.publish(effect.room_id, MessageAdded(Message(echo.client_id, echo.user, echo.content)))
        return Sent(echo.client_id, self.rooms.token(effect.room_id).seq)

    async def open(self, effect: OpenStream) -> None:
        await self._answer("open " + effect.mode)

    async def close(self, effect: Any) -> None:
        await self._answer("close")


def test_a_replica_follows_its_authority_through_its_transport() -> None:
    async def main() -> None:
        authority = Authority()
        assert isinstance(authority, Transport)
        authority.rooms.enter("x", "rust")
        authority.rooms.publish("rust", said(1))
        async with host_of(transport=authority, role="replica") as host:
            await host.enter("ada", "rust")
            await asyncio.sleep(1)
            assert (host.status("rust"), contents(host)) == (Status.READY, ["m1"])
            epoch = authority.rooms.token("rust").epoch
            authority.rooms.publish("rust", said(2))
            await host.receive(of_update("rust", epoch, 1, 2, said(2), clock()))
            assert contents(host) == ["m1", "m2"]
            await host.send("rust", "hello", client_id="c1")
            assert [echo.client_id for echo in host.view("rust").pending] == ["c1"]
            await asyncio.sleep(1)
            await host.receive(of_update("rust", epoch, 2, 3, MessageAdded(Message("c1", "ada", "hello")), clock()))
            assert (contents(host), host.view("rust").pending) == (["m1", "m2", "c1"], ())
            await host.send("rust", "more", client_id="c2")
            await host.discard("rust", "c2")
        assert authority.calls[:2] == ["open realtime", "recover"]

    run(main)


def test_a_transport_that_flaps_is_asked_again_within_two_seconds_of_its_return() -> None:
    async def main() -> None:
        authority = Authority()
        rooms = [f"room {number}" for number in range(100)]
        for room in rooms:
            authority.rooms.promote(room)
            authority.rooms.publish(room, said(1))
        authority.down = True
        async with host_of(transport=authority, role="replica") as host:
            for room in rooms:
                await host.enter("ada", room)
            for _ in range(5):
                await asyncio.sleep(1.7)
                authority.down = not authority.down
            assert len(authority.calls) < 600
            authority.down = True
            await asyncio.sleep(10)
            authority.down = False
            await asyncio.sleep(2)
            assert [room for room in rooms if host.status(room) is not Status.READY] == []
        assert 1 < authority.most <= 8

    run(main)


def test_a_mass_reconnect_of_a_replica_is_spread_and_asks_once_for_each_room() -> None:
    async def main() -> None:
        authority, rooms = Authority(), [f"room {number}" for number in range(150)]
        for room in rooms:
            authority.rooms.promote(room)
            authority.rooms.publish(room, said(1))
        async with host_of(transport=authority, role="replica") as host:
            for room in rooms:
                await host.enter("ada", room)
            await asyncio.sleep(3)
            for room in rooms:
                await host.disconnected(room)
                authority.rooms.publish(room, said(2))
            assert {host.status(room) for room in rooms} == {Status.STALE}
            authority.calls.clear()
            authority.asked_at.clear()
            for room in rooms:
                await host.connected(room)
            await asyncio.sleep(2)
            assert {host.status(room) for room in rooms} == {Status.READY}
            assert authority.calls.count("recover") == len(rooms)
        times = authority.asked_at
        assert 0.1 < times[-1] - times[0] < 1
        assert max(sum(at <= each < at + 0.01 for each in times) for at in times) < len(rooms) / 4
        assert authority.most <= 8

    run(main)


def test_a_cold_start_loads_each_room_once_however_many_viewers_come_back() -> None:
    class Counting(MemoryStore):
        def load_snapshot(self, room_id: str, tier: Tier) -> bytes | None:
            loads[room_id] += 1
            return super().load_snapshot(room_id, tier)

        def close(self) -> None:
            pass  # it is opened again

    loads: Counter[str] = Counter()

    async def main() -> None:
        store, rooms = Counting(), [f"room {number}" for number in range(20)]
        tokens = {}
        async with host_of(store) as host:
            for room in rooms:
                await host.enter("ada", room)
                await host.publish(room, said(1))
                tokens[room] = host.manager.token(room)
                await host.publish(room, said(2))
        loads.clear()
        async with host_of(store) as host, AsyncExitStack() as stack:
            streams = []
            for number in range(300):
                viewer = await stack.enter_async_context(host.connect(f"v{number}"))
                room = rooms[number % len(rooms)]
                streams.append(await stack.enter_async_context(viewer.subscribe(room, since=tokens[room])))
            firsts = await asyncio.gather(*(anext(stream) for stream in streams))
            assert {decode(text).sequence_number for text in firsts} == {2}
        assert loads == Counter(dict.fromkeys(rooms, 1))

    run(main)


def test_a_host_is_entered_once() -> None:
    async def main() -> None:
        host = RoomHost(store=MemoryStore(), clock=clock)
        async with host:
            with pytest.raises(InvalidValue, match="was entered before"):
                await host.__aenter__()
            await host.publish("rust", said(1))
        with pytest.raises(InvalidValue, match="was entered before"):
            await host.__aenter__()

    run(main)
