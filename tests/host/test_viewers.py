"""What viewers get: first what they lack, then what happens, whole or withheld; and how little a slow one costs."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roomstate.errors import InvalidValue, TooManyRooms
from roomstate.host import HostBounds, RoomHost
from roomstate.host.connection import Connection
from roomstate.host.stream import Stream
from roomstate.manager import RoomStateManager
from roomstate.model import Message, RoomConfig, Tier
from roomstate.position import Token
from roomstate.store import MemoryStore
from roomstate.sync.envelope import Envelope, decode
from roomstate.sync.payloads import BulkSync
from roomstate.updates import (
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    PresenceChanged,
    RoomConfigChanged,
    TypingChanged,
    Update,
)
from tests.host.looping import clock, run
from tests.host.test_room_host import Flaky


def said(number: int, user: str = "bob", content: str = "") -> MessageAdded:
    return MessageAdded(Message(f"m{number}", user, content or f"text {number}"))


def host_of(store: MemoryStore | None = None, *, bounds: HostBounds | None = None, **options: Any) -> RoomHost:
    options.setdefault("jitter", random.Random(1).random)
    return RoomHost(store=store, clock=clock, bounds=bounds, **options)


class Client:
    """A client with a replica of its own, that reads a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rooms = RoomStateManager(role="replica", clock=clock)
        self.seen: list[Envelope] = []
        self.types: list[str] = []
        self.task: asyncio.Task[None] | None = None

    def take(self, text: str) -> Envelope:
        envelope = decode(text)
        self.seen.append(envelope)
        self.types.append(envelope.message_type)
        if self.rooms.tier(envelope.room_id) is Tier.UNLOADED:
            self.rooms.enter("me", envelope.room_id)
        self.rooms.receive(envelope)
        return envelope

    async def read(self) -> None:
        async for text in self.stream:
            self.take(text)

    async def next(self) -> Envelope:
        return self.take(await anext(self.stream))

    def start(self) -> None:
        self.task = asyncio.ensure_future(self.read())

    def token(self) -> Token:
        """What the client would show to be brought up."""
        last = [each for each in self.seen if each.sequence_number > each.previous or each.message_type == "BULK_SYNC"]
        return Token(last[-1].epoch, last[-1].sequence_number, last[-1].fingerprint)

    def contents(self, room_id: str = "rust") -> list[str]:
        return [message.id for message in self.rooms.view(room_id).messages]


@asynccontextmanager
async def client_of(
    host: RoomHost, room_id: str | None = "rust", viewer: str = "v1", user: str | None = None, **options: Any
) -> AsyncIterator[tuple[Connection, Client]]:
    """A client that reads as fast as it can, as long as the block lasts."""
    async with host.connect(viewer, user) as connection, connection.subscribe(room_id, **options) as stream:
        client = Client(stream)
        client.start()
        try:
            yield connection, client
        finally:
            stream.close()
            assert client.task is not None
            await client.task


def contents(host: RoomHost, room_id: str = "rust") -> list[str]:
    return [message.id for message in host.view(room_id).messages]


CHANGES: list[Update] = [
    said(1),
    said(2, "ada", "hi @bob"),
    MessageEdited("m1", "better"),
    CountsChanged(7, 2),
    said(3),
    MessageRemoved("m2", "ada"),
    RoomConfigChanged(RoomConfig(slow_mode_enabled=True, slow_mode_duration=5)),
    PresenceChanged("ada", "away"),
    TypingChanged("ada", 6.0),
]


@pytest.mark.parametrize("durability", ["none", "relaxed", "logged"])
def test_a_viewer_gets_an_image_and_then_what_happens(durability: str) -> None:
    async def main() -> None:
        async with host_of(MemoryStore(), durability=durability) as host:
            await host.publish("rust", said(0))
            async with client_of(host) as (_, client):
                await asyncio.sleep(1)
                for update in CHANGES:
                    await host.publish("rust", update)
                await asyncio.sleep(1)
                ours, theirs = host.view("rust"), client.rooms.view("rust")
                assert theirs.messages == ours.messages
                assert (theirs.position, theirs.config, theirs.typing) == (ours.position, ours.config, ("ada",))
                assert theirs.info.user_count == 7
                assert client.token() == host.manager.token("rust")
                assert client.types[0] == "BULK_SYNC"
                assert [each.previous for each in client.seen[2:]] == [
                    each.sequence_number for each in client.seen[1:-1]
                ]
                told = {each.ordinal for each in client.seen if each.sequence_number == ours.position.seq}  # type: ignore[union-attr]
                assert 4 in told
            assert host.tier("rust") < Tier.ACTIVE
            assert host.stats().viewers == 0

    run(main)


def test_one_who_comes_back_gets_what_was_missed_and_no_more() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host:
            await host.promote("rust")
            await host.publish("rust", said(1))
            token = host.manager.token("rust").to_str()
            await host.publish("rust", said(2))
            await host.publish("rust", MessageEdited("m1", "better"))
            async with client_of(host, since=token) as (_, client):
                await asyncio.sleep(1)
                assert client.types == ["DELTA_UPDATE"]
                assert (client.seen[0].previous, client.seen[0].sequence_number) == (1, 3)
            async with client_of(host, since=host.manager.token("rust")) as (_, client):
                await asyncio.sleep(1)
                assert (client.types, client.seen[0].sequence_number) == (["DELTA_UPDATE"], 3)
                assert client.seen[0].fingerprint == host.manager.token("rust").fingerprint
            for bad in ("nonsense", "", "MTpmOmU"):
                async with client_of(host, since=bad) as (_, client):
                    await asyncio.sleep(1)
                    assert client.types == ["BULK_SYNC"]

    run(main)


def test_an_image_tells_nothing_that_the_log_has_not_confirmed() -> None:
    async def main() -> None:
        store = Flaky()
        async with host_of(store) as host:
            await host.promote("rust")
            await host.publish("rust", said(1))
            store.down = True
            publishing = asyncio.ensure_future(host.publish("rust", said(2)))
            await asyncio.sleep(0)
            async with client_of(host, user="bob") as (_, client):
                await asyncio.sleep(3)
                assert (contents(host), client.contents()) == (["m1", "m2"], ["m1"])
                editing = asyncio.ensure_future(host.publish("rust", MessageEdited("m1", "better")))
                await asyncio.sleep(0)
                async with client_of(host, viewer="v2") as (_, late):
                    await asyncio.sleep(3)
                    assert late.seen == []  # an edit cannot be taken back
                    store.down = False
                    await asyncio.sleep(3)
                    assert late.contents() == client.contents() == ["m1", "m2"]
                    assert late.rooms.view("rust").messages == host.view("rust").messages
            await publishing
            await editing

    run(main)


def test_what_was_missed_is_not_told_as_an_edit_has_left_it_that_may_never_come_to_be() -> None:
    async def main() -> None:
        store = Flaky()
        async with host_of(store) as host:
            await host.promote("rust")
            await host.publish("rust", said(1))
            token = host.manager.token("rust")
            await host.publish("rust", said(2))
            store.down = True
            editing = asyncio.ensure_future(host.publish("rust", MessageEdited("m2", "better")))
            await asyncio.sleep(0)
            async with client_of(host, since=token) as (_, client):
                await asyncio.sleep(3)
                assert client.seen == []
                store.down = False
                await asyncio.sleep(3)
                assert [seq for seq, _ in client.seen[0].entries()] == [2, 3]
            await editing

    run(main)


def test_a_viewer_waits_for_the_store_but_not_for_what_is_in_memory() -> None:
    async def main() -> None:
        store = Flaky()
        async with host_of(store) as host:
            for number in range(1, 101):
                await host.publish("rust", said(number))
        store = reopened(store)
        async with host_of(store) as host:
            await host.follow("x", "rust")
            await host.enter("x", "here")
            await host.publish("rust", said(101))
            token = Token(host.manager.token("rust").epoch, 90)
            store.down = True
            async with client_of(host, "rust") as (_, client), client_of(host, "go", "v2") as (_, other):
                async with (
                    client_of(host, "here", "v3") as (_, here),
                    client_of(host, since=token, viewer="v4") as (_, back),
                ):
                    await asyncio.sleep(3)
                    assert (client.seen, other.seen) == ([], [])
                    assert here.types[0] == "BULK_SYNC"
                    assert (back.types[0], back.seen[0].sequence_number) == ("DELTA_UPDATE", 101)
                store.down = False
                await asyncio.sleep(3)
                assert len(client.contents()) == 101
                assert other.types[0] == client.types[0] == "BULK_SYNC"

    run(main)


def test_what_a_later_image_has_already_is_not_told_again() -> None:
    async def main() -> None:
        async with host_of() as host, host.connect("v1") as connection:
            async with (
                connection.subscribe("rust", tier=Tier.BACKGROUND) as stream,
                connection.subscribe("go") as other,
            ):
                client = Client(stream)
                await client.next()
                await host.publish("rust", said(1))
                await asyncio.sleep(1)
                stream.answer("rust", None, 7)
                await host.publish("rust", said(2))
                assert (await client.next()).sequence_number == 2
                client.start()
                await asyncio.sleep(1)
                await host.publish("rust", said(3))
                await asyncio.sleep(1)
                last = client.seen[-1]
                assert (last.previous, last.sequence_number, last.withheld) == (2, 3, True)
                stream.remove("go")  # it is the other's
                assert "go" in other
                stream.close()
                assert client.task is not None
                await client.task

    run(main)


def test_a_background_viewer_long_away_gets_an_image_in_brief() -> None:
    async def main() -> None:
        async with host_of() as host:
            await host.promote("rust")
            await host.publish("rust", said(0))
            token = host.manager.token("rust")
            for number in range(1, 52):
                await host.publish("rust", said(number))
                if number == 50:
                    async with client_of(host, since=token, tier=Tier.BACKGROUND) as (_, client):
                        await asyncio.sleep(1)
                        assert client.types == ["DELTA_UPDATE"]
            async with client_of(host, since=token, tier=Tier.BACKGROUND) as (_, client):
                await asyncio.sleep(1)
                assert (client.types, len(client.contents())) == (["BULK_SYNC"], 50)

    run(main)


def test_an_interest_that_may_not_be_renewed_yet_is_renewed_later() -> None:
    async def main() -> None:
        async with host_of(idle_active_s=50, idle_background_s=100, moves_per_s=0.01, burst=2) as host:
            async with host.connect("v1") as connection, connection.subscribe("rust") as stream:
                client = Client(stream)
                await client.next()
                await host.enter("v1", "rust", user="v1")
                await asyncio.sleep(151)
                assert host.manager.interest("v1", "rust") is Tier.UNLOADED
                stream.answer("rust", None, 1)
                await host.enter("v1", "go", user="v1")
                await host.publish("rust", said(1))
                client.start()
                await asyncio.sleep(10)
                assert host.counts["renewal", "refused"] > 0
                assert client.types == ["BULK_SYNC"]
                await asyncio.sleep(200)
                assert client.contents() == ["m1"]
                stream.close()
                assert client.task is not None
                await client.task

    run(main)


def reopened(store: MemoryStore) -> Flaky:
    """A store that has what another had, as after a restart."""
    again = Flaky()
    again._rooms = store._rooms
    return again


def test_a_background_viewer_hears_what_matters_and_that_there_is_more() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host:
            for number in range(1, 101):
                await host.publish("rust", said(number))
            async with client_of(host, user="bob", tier=Tier.BACKGROUND) as (viewer, client):
                await asyncio.sleep(1)
                assert len(client.contents()) == 50
                for number in range(101, 111):
                    await host.publish("rust", said(number, "eve"))
                await asyncio.sleep(1)
                assert [each.withheld for each in client.seen] == [False, True]
                assert (client.seen[1].previous, client.seen[1].sequence_number) == (100, 110)
                assert client.seen[1].ordinal == 110
                await host.publish("rust", said(111, "eve", "hi @bob"))
                await host.publish("rust", TypingChanged("eve", 5.0))
                await host.publish("rust", CountsChanged(9))
                await asyncio.sleep(1)
                assert client.types[2:] == ["DELTA_UPDATE", "DELTA_UPDATE", "STATE_UPDATE"]
                assert [each.withheld for each in client.seen[2:]] == [True, False, False]
                assert client.rooms.view("rust").info.user_count == 9
                assert client.rooms.view("rust").notifications[-1].message_id == "m111"
                assert client.token() == host.manager.token("rust")
                await viewer.enter("rust")
                await host.publish("rust", said(112))
                await asyncio.sleep(1)
                assert client.contents()[-1] == "m112"

    run(main)


def test_background_viewers_who_keep_up_share_one_encoding() -> None:
    async def main() -> None:
        async with (
            host_of() as host,
            client_of(host, viewer="v1", tier=Tier.BACKGROUND) as (_, one),
            client_of(host, viewer="v2", tier=Tier.BACKGROUND) as (_, two),
        ):
            await asyncio.sleep(1)
            for number in range(3):
                await host.publish("rust", said(number))
                await asyncio.sleep(1)
            assert one.seen[1:] == two.seen[1:]
            assert [(each.previous, each.sequence_number) for each in one.seen[1:]] == [(0, 1), (1, 2), (2, 3)]

    run(main)


def test_a_slow_viewer_is_brought_up_again_and_costs_the_others_nothing() -> None:
    async def main() -> None:
        bounds = HostBounds(max_items=10)
        async with host_of(MemoryStore(), bounds=bounds) as host, client_of(host, viewer="quick") as (_, quick):
            async with host.connect("slow") as connection, connection.subscribe("rust") as stream:
                slow = Client(stream)
                await slow.next()
                for number in range(1, 31):
                    await host.publish("rust", said(number))
                await asyncio.sleep(0.1)
                assert len(stream.queue) == 1
                assert len(quick.contents()) == 30
                await slow.next()
                assert slow.contents() == quick.contents() == contents(host)
                assert slow.types == ["BULK_SYNC", "DELTA_UPDATE"]
                for number in range(31, 1100):
                    await host.publish("rust", said(number))
                await slow.next()
                assert slow.types[-1] == "BULK_SYNC"
                await host.publish("rust", said(1100))
                await slow.next()
                assert slow.contents() == contents(host)
                assert host.counts["resync", "slow"] == 2

    run(main)


def test_a_slow_viewer_of_many_rooms_is_brought_up_in_each() -> None:
    async def main() -> None:
        rooms = [f"room {number}" for number in range(130)]
        async with host_of(bounds=HostBounds(max_items=130)) as host, host.connect("slow") as connection:
            async with connection.subscribe() as stream:
                slow = Client(stream)
                for room in rooms:
                    stream.add(room, Tier.BACKGROUND if room.endswith("7") else Tier.ACTIVE)
                    await slow.next()
                for number in range(4):
                    for room in rooms:
                        await host.publish(room, said(number))
                await asyncio.sleep(1)
                assert len(stream.queue) <= 230
                slow.start()
                await asyncio.sleep(1)
                for room in rooms:
                    assert slow.rooms.view(room).position == host.view(room).position, room
                stream.close()
                assert slow.task is not None
                await slow.task

    run(main)


def test_a_repeated_message_s_seq_is_a_hole_that_is_covered() -> None:
    async def main() -> None:
        store = Flaky()
        async with host_of(store) as host:
            await host.promote("rust", Tier.BACKGROUND)
            for number in range(1, 101):
                await host.publish("rust", said(number))
            await host.demote("rust")
        store = reopened(store)
        async with host_of(store) as host:
            await host.follow("x", "rust")
            async with client_of(host) as (_, client):
                await asyncio.sleep(1)
                assert client.token().seq == 100
                host.manager._holdings["rust"].room.timeline.withdraw("m3")  # type: ignore[union-attr]
                for number in (101, 3, 102):
                    await host.publish("rust", said(number))
                await asyncio.sleep(1)
                ends = [(each.previous, each.sequence_number) for each in client.seen[1:]]
                assert ends == [(100, 101), (101, 102), (102, 103)]
                assert client.seen[2].entries() == ()
                assert client.contents()[-2:] == ["m101", "m102"]
                assert client.token() == host.manager.token("rust")

    run(main)


def test_heartbeats_tell_the_head_and_keep_interests_alive() -> None:
    async def main() -> None:
        async with host_of(MemoryStore(), idle_active_s=100, idle_background_s=200) as host:
            await host.publish("rust", said(1))
            async with client_of(host) as (_, client), host.connect("dead") as dead, dead.subscribe("rust"):
                await asyncio.sleep(1000)
                assert host.manager.interest("v1", "rust") is Tier.ACTIVE
                assert host.manager.interest("dead", "rust") is Tier.UNLOADED
                beats = [each for each in client.seen if each.message_type == "HEARTBEAT"]
                assert 30 <= len(beats) <= 35
                assert (beats[-1].sequence_number, beats[-1].data.ordinal) == (1, 1)  # type: ignore[union-attr]
                assert len(host._hub._beats) == 1
            assert len(host._hub._beats) == 0

    run(main)


def test_one_who_reads_again_after_a_long_time_is_brought_up() -> None:
    async def main() -> None:
        host = host_of(MemoryStore(), idle_active_s=50, idle_background_s=100)
        async with host, host.connect("v1") as connection:
            async with connection.subscribe("rust") as stream:
                client = Client(stream)
                await client.next()
                await asyncio.sleep(500)
                assert host.manager.interest("v1", "rust") is Tier.UNLOADED
                assert host.tier("rust") is Tier.CACHED
                for number in range(5):
                    await host.publish("rust", said(number))
                client.start()
                await asyncio.sleep(40)
                assert client.contents() == contents(host) == [f"m{number}" for number in range(5)]
                await host.publish("rust", said(5))
                await asyncio.sleep(1)
                assert client.contents()[-1] == "m5"
                stream.close()
                assert client.task is not None
                await client.task

    run(main)


def test_a_stream_brings_rooms_that_come_and_go() -> None:
    async def main() -> None:
        async with host_of() as host, client_of(host, "rust") as (connection, client):
            stream = client.stream
            await connection.enter("go")
            await connection.follow("zig")
            assert all(room in stream for room in ("rust", "go", "zig"))
            await host.publish("go", said(1))
            await asyncio.sleep(1)
            assert client.contents("go") == ["m1"]
            await connection.leave("go")
            assert "go" not in stream
            await host.publish("go", said(2))
            await asyncio.sleep(1)
            assert client.contents("go") == ["m1"]
            assert host.manager.interest("v1", "go") is Tier.UNLOADED
            await connection.leave("nowhere")
            with pytest.raises(InvalidValue, match="another stream of 'v1' brings it"):
                async with connection.subscribe("rust"):
                    pass
            async with connection.subscribe("ada") as second:
                assert ("ada" in second, "ada" in stream) == (True, False)
            assert host.manager.interest("v1", "ada") is Tier.UNLOADED
            assert list(connection.rooms) == ["rust", "zig", "ada"]

    run(main)


def test_leaving_the_block_releases_everything() -> None:
    async def main() -> None:
        async with host_of(max_rooms_per_viewer=2) as host:
            async with host.connect("v1", "ada") as connection:
                await connection.enter("a")
                with pytest.raises(InvalidValue, match="connected already"):
                    async with host.connect("v1"):
                        pass
                async with connection.subscribe("b") as stream:
                    waiting = asyncio.ensure_future(_rest(stream))
                    await asyncio.sleep(0)
                    with pytest.raises(TooManyRooms):
                        stream.add("c")
                    assert host.stats().viewers == 1
                    assert "c" not in stream
            assert host.stats().viewers == 0
            assert len(await waiting) == 1
            hub = host._hub
            assert (len(hub._channels), len(hub._connections), len(hub._stuck)) == (0, 0, 0)
            with pytest.raises(InvalidValue, match="is not connected"):
                await connection.enter("a")
            with pytest.raises(InvalidValue, match="stream: is closed"):
                stream.add("a")
            with pytest.raises(InvalidValue, match="is not connected"):
                async with connection.subscribe("a"):
                    pass
            connection.close()
            stream.close()

    run(main)


async def _rest(stream: Stream) -> list[str]:
    return [text async for text in stream]


def test_the_number_of_connections_is_bounded_and_they_end_with_the_host() -> None:
    async def main() -> None:
        async with host_of(bounds=HostBounds(max_connections=1)) as host:
            connection = host.connect("v1")
            await connection.__aenter__()
            with pytest.raises(TooManyRooms, match="1 viewers are connected already"):
                async with host.connect("v2"):
                    pass
            stream = connection.subscribe("rust")
            await stream.__aenter__()
            reading = asyncio.ensure_future(_rest(stream))
            await asyncio.sleep(1)
        assert len(await reading) == 1
        with pytest.raises(InvalidValue, match="of no use after"):
            async with host.connect("v1"):
                pass
        with pytest.raises(InvalidValue, match="viewer"):
            host.connect("")

    run(main)


def test_messages_of_one_turn_of_the_loop_are_told_together() -> None:
    async def main() -> None:
        async with host_of() as host, client_of(host) as (_, client), client_of(host, viewer="v2") as (leaving, other):
            await asyncio.sleep(1)
            for number in (1, 2, 3):
                await host.publish("rust", said(number))
            await host.publish("rust", MessageEdited("m2", "better"))  # what is no message keeps its place
            await host.publish("rust", said(4))
            await host.publish("rust", said(5))
            await leaving.leave("rust")
            await host.publish("rust", said(6))
            await asyncio.sleep(0.1)
            spans = [(each.previous, each.sequence_number) for each in client.seen[1:]]
            assert spans == [(0, 3), (3, 4), (4, 6), (6, 7)]
            assert [each.ordinal for each in client.seen[1:]] == [3, 3, 5, 6]
            assert client.token() == host.manager.token("rust")
            assert client.contents() == contents(host)
            assert client.rooms.view("rust").messages[1].content == "better"
            assert other.types == ["BULK_SYNC"], "who has left is given nothing more"

    run(main)


def test_messages_are_told_together_only_as_long_as_they_are_small() -> None:
    async def main() -> None:
        async with host_of() as host, client_of(host) as (_, client):
            await asyncio.sleep(1)
            for number in range(40):
                await host.publish("rust", said(number, content="x" * (10_000 if number == 20 else 100)))
            await asyncio.sleep(0.1)
            sizes = [each.sequence_number - each.previous for each in client.seen[1:]]
            assert sum(sizes) == 40
            assert len(sizes) < 10
            assert (20, 21) in [(each.previous, each.sequence_number) for each in client.seen], "a long one goes alone"
            assert client.contents() == contents(host)

    run(main)


def test_one_who_comes_while_messages_wait_to_be_told_gets_each_once() -> None:
    async def main() -> None:
        async with host_of() as host, client_of(host) as (_, client):
            await asyncio.sleep(1)
            await host.publish("rust", said(1))
            async with host.connect("late") as connection, connection.subscribe("rust") as stream:
                await host.publish("rust", said(2))
                late = Client(stream)
                await late.next()
                await host.publish("rust", said(3))
                await late.next()
                assert (late.types, late.contents()) == (["BULK_SYNC", "DELTA_UPDATE"], contents(host))
            await asyncio.sleep(0.1)
            assert client.contents() == contents(host)

    run(main)


def test_an_update_that_cannot_be_written_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Own:
        id, user, timestamp = "m1", "bob", Message("1", "2", "3").timestamp
        content = "hi"

        def __init__(self) -> None:
            self.extra: dict[str, Any] = {}

    async def main() -> None:
        async with host_of() as host, client_of(host) as (_, client):
            await asyncio.sleep(1)
            own = Own()
            publish = host.manager.publish

            def spoiling(*args: Any, **options: Any) -> Any:
                outputs = publish(*args, **options)
                own.extra = {"x": object()}
                return outputs

            await host.publish("rust", said(0))
            host.manager.publish = spoiling  # type: ignore[method-assign]
            await host.publish("rust", MessageAdded(own))
            host.manager.publish = publish  # type: ignore[method-assign]
            await host.publish("rust", said(2))
            await host.publish("rust", said(3))
            await asyncio.sleep(1)
            assert client.types == ["BULK_SYNC"] + 3 * ["DELTA_UPDATE"], "none is told beyond the hole with others"
            assert client.contents() == ["m0", "m2", "m3"]

    run(main)
    assert "could not be written" in caplog.text


def test_each_text_is_one_envelope_in_json() -> None:
    async def main() -> None:
        async with host_of() as host, host.connect("v1") as connection, connection.subscribe("rust") as stream:
            outer = json.loads(await anext(stream))
            assert outer["room_state_sync"]["message_type"] == "BULK_SYNC"
            assert isinstance(decode(json.dumps(outer)).data, BulkSync)

    run(main)


def test_a_stream_is_entered_once_and_before_it_is_iterated_over() -> None:
    async def main() -> None:
        async with host_of() as host, host.connect("v1", "ada") as viewer:
            stream = viewer.subscribe("rust")
            with pytest.raises(InvalidValue, match="stream: must be entered"):
                await anext(stream)
            async with stream:
                with pytest.raises(InvalidValue, match="stream: is entered already"):
                    await stream.__aenter__()
                assert "BULK_SYNC" in await anext(stream)
            assert not viewer.streams
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    run(main)
