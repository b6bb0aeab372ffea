"""What clients send: whose it is, whether it may be, how it is acknowledged; and what hostile ones come to."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from roomstate.host import HostBounds
from roomstate.host.connection import Connection
from roomstate.host.receiving import stamped
from roomstate.model import UNSTAMPED, Message, RoomConfig, Tier, User
from roomstate.position import Token
from roomstate.room.states import Limits
from roomstate.store import MemoryStore
from roomstate.sync.envelope import decode, encode, of_update
from roomstate.sync.frames import MAX_NAMED, Ack, ErrorFrame, Frame, Interest, Request, Send, decode_frame
from roomstate.updates import (
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    ReceiptRead,
    RoomConfigChanged,
    TypingChanged,
    Update,
    UserJoined,
    UserLeft,
)
from tests.host.looping import START, run
from tests.host.test_room_host import Flaky
from tests.host.test_viewers import client_of, contents, host_of, said


def sending(update: Update, client_id: str = "c1", room_id: str = "rust") -> str:
    return Send(room_id, client_id, update).to_json()


async def refused(connection: Connection, raw: str | bytes) -> tuple[str, bool]:
    """The code of the error that a frame is answered with, and whether it may be tried again."""
    answer = await connection.receive(raw)
    assert isinstance(answer, ErrorFrame), answer
    assert isinstance(decode_frame(answer.to_json()), ErrorFrame)
    return answer.code, answer.retryable


@pytest.mark.parametrize("durability", ["none", "relaxed", "logged"])
def test_a_message_is_the_connection_s_user_s_and_acknowledged_at_its_position(durability: str) -> None:
    async def main() -> None:
        async with host_of(MemoryStore(), durability=durability) as host, client_of(host, user="ada") as (viewer, _):
            forged = Message("forged", "eve", "hi", Message("1", "2", "3").timestamp, badges=("moderator",))
            answer = await viewer.receive(sending(MessageAdded(forged)))
            epoch = host.manager.token("rust").epoch
            assert answer == Ack("rust", "c1", "c1", epoch, 1)
            (message,) = host.view("rust").messages
            assert (message.id, message.user, message.badges) == ("c1", "ada", ())  # type: ignore[attr-defined]
            assert message.timestamp.timestamp() == pytest.approx(START, abs=5)
            again = sending(MessageAdded(Message("x", "y", "hi")))
            assert await viewer.receive(again) == Ack("rust", "c1", "c1", epoch, 1)  # nothing changes
            assert await refused(viewer, sending(said(1))) == ("InvalidValue", False)  # another, under the same name
            assert await viewer.receive(sending(said(1), "c2")) == Ack("rust", "c2", "c2", epoch, 2)
            typing = await viewer.receive(sending(TypingChanged("eve", 5.0), "c3"))
            assert isinstance(typing, Ack)
            assert host.view("rust").typing == ("ada",)
            assert contents(host) == ["c1", "c2"]
            assert host.counts["frame", "send", "taken"] == 4

    run(main)


@pytest.mark.parametrize("durability", ["none", "relaxed", "logged"])
def test_a_message_that_is_sent_again_long_after_is_still_the_same(durability: str) -> None:
    """Its id has left the window, and the time at which it comes says nothing: that at which it was written does."""

    async def main() -> None:
        limits = Limits(active_messages=5, background_messages=3)
        made = host_of(MemoryStore(), durability=durability, limits=limits)
        async with made as host, client_of(host, user="ada") as (viewer, _):
            written = sending(MessageAdded(Message("c1", "ada", "hi", datetime.fromtimestamp(START, UTC))))
            first = await viewer.receive(written)
            assert isinstance(first, Ack)
            for number in range(50):
                await host.publish("rust", said(number))
            head = host.manager.head("rust")
            assert "c1" not in contents(host)
            await asyncio.sleep(60.0)
            again = await viewer.receive(written)
            assert isinstance(again, Ack)
            assert host.manager.head("rust") == head
            assert "c1" not in contents(host)

    run(main)


def test_an_acknowledgement_means_that_the_log_has_it() -> None:
    async def main() -> None:
        store = Flaky()
        async with host_of(store, bounds=HostBounds(ack_s=3)) as host, client_of(host) as (viewer, _):
            await asyncio.sleep(1)
            store.down = True
            assert await refused(viewer, sending(said(1))) == ("StoreUnavailable", True)
            again = asyncio.ensure_future(viewer.receive(sending(said(1))))
            await asyncio.sleep(1)
            assert not again.done()
            store.down = False
            assert await again == Ack("rust", "c1", "c1", host.manager.token("rust").epoch, 1)
            assert len(store.read("rust")) == 1

    run(main)


def test_a_message_to_a_room_at_rest_is_acknowledged_at_its_position() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host:
            await host.publish("go", said(1))
            async with host.connect("v1", authorize=lambda *about: True) as viewer:
                answer = await viewer.receive(sending(said(2), room_id="go"))
                assert isinstance(answer, Ack)
                assert answer.sequence_number == 2
                assert host.tier("go") < Tier.BACKGROUND

    run(main)


def test_a_client_may_do_what_is_its_own_in_its_rooms_and_no_more() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host, client_of(host, user="ada") as (viewer, _):
            await host.publish("rust", said(1, "eve"))
            await host.publish("rust", said(2, "ada"))
            allowed: list[Update] = [
                MessageEdited("m2", "better"),
                ReactionAdded("m1", "ada", "+1"),
                ReactionRemoved("m1", "ada", "+1"),
                PresenceChanged("ada", "away"),
                ReceiptRead("ada", "m1"),
                MessageRemoved("m2"),
            ]
            for update in allowed:
                assert isinstance(await viewer.receive(sending(update)), Ack), update
            forbidden: list[Update] = [
                MessageEdited("m1", "worse"),
                MessageRemoved("m1"),
                MessageRemoved("m9"),
                RoomConfigChanged(RoomConfig()),
                CountsChanged(1_000_000),
                UserJoined(User("ada")),
                UserLeft("eve"),
            ]
            for update in forbidden:
                assert await refused(viewer, sending(update)) == ("NotAllowed", False), update
            assert await refused(viewer, sending(said(1), room_id="go")) == ("NotAllowed", False)
            assert await refused(viewer, Interest("go", "ACTIVE").to_json()) == ("NotAllowed", False)
            assert await refused(viewer, Request("go").to_json()) == ("NotAllowed", False)
            assert "go" not in host.known()

    run(main)


@pytest.mark.parametrize("coroutine", [False, True])
def test_the_host_says_what_a_client_may_do(coroutine: bool) -> None:
    asked: list[tuple[str, str, str, Frame]] = []

    def authorize(viewer: str, user: str, room_id: str, frame: Frame) -> bool:
        asked.append((viewer, user, room_id, frame))
        return room_id != "secret"

    async def slowly(viewer: str, user: str, room_id: str, frame: Frame) -> bool:
        await asyncio.sleep(1)
        return authorize(viewer, user, room_id, frame)

    async def main() -> None:
        hook = slowly if coroutine else authorize
        async with host_of() as host, host.connect("v1", "ada", hook, badges=("mod",)) as viewer:
            async with viewer.subscribe() as stream:
                assert await viewer.receive(Interest("rust", "ACTIVE").to_json()) is None
                assert "rust" in stream
                assert await refused(viewer, Interest("secret", "ACTIVE").to_json()) == ("NotAllowed", False)
                config = RoomConfigChanged(RoomConfig(emote_only=True))
                assert isinstance(await viewer.receive(sending(config)), Ack)
                assert isinstance(await viewer.receive(sending(UserJoined(User("eve", "Eve", ("admin",))))), Ack)
                (member,) = host.view("rust").members
                assert (member.id, member.username, member.badges) == ("ada", "Eve", ("mod",))
                assert host.view("rust").config.emote_only
        viewer_id, user, room_id, frame = asked[-1]
        assert (viewer_id, user, room_id) == ("v1", "ada", "rust")
        assert isinstance(frame, Send)
        assert isinstance(frame.update, UserJoined)
        assert frame.update.user.id == "ada"

    run(main)


def test_a_hook_that_raises_refuses(caplog: pytest.LogCaptureFixture) -> None:
    def authorize(*about: Any) -> bool:
        raise ZeroDivisionError

    async def main() -> None:
        async with host_of() as host, host.connect("v1", authorize=authorize) as viewer:
            assert await refused(viewer, sending(said(1))) == ("StoreUnavailable", True)
            assert host.counts["frame", "send", "failed"] == 1
            assert host.known() == ()

    run(main)
    assert "a frame of v1 failed" in caplog.text


def test_rooms_are_brought_changed_and_left_as_the_client_asks() -> None:
    async def main() -> None:
        async with host_of() as host, host.connect("v1", "ada", lambda *about: True) as viewer:
            await viewer.receive(Interest("alone", "BACKGROUND").to_json())  # no stream: an interest, and no more
            assert host.manager.interest("v1", "alone") is Tier.BACKGROUND
            async with viewer.subscribe("rust") as stream:
                await host.publish("rust", said(1))
                token = host.manager.token("rust").to_str()
                await anext(stream)
                await viewer.receive(Interest("go", "BACKGROUND").to_json())
                assert decode(await anext(stream)).room_id == "go"
                await viewer.receive(Interest("go", "ACTIVE").to_json())
                assert host.manager.interest("v1", "go") is Tier.ACTIVE
                await host.publish("rust", said(2))
                await anext(stream)
                await viewer.receive(Interest("rust", "ACTIVE", token).to_json())
                again = decode(await anext(stream))
                assert (again.previous, again.sequence_number) == (1, 2)
                await viewer.receive(Interest("go", None).to_json())
                assert host.manager.interest("v1", "go") is Tier.UNLOADED
                assert list(viewer.rooms) == ["alone", "rust"]
                await viewer.receive(Request("rust", 7).to_json())
                image = decode(await anext(stream))
                assert (image.message_type, image.answers) == ("BULK_SYNC", 7)
                await viewer.receive(Request("rust", 8, token).to_json())
                missing = decode(await anext(stream))
                assert (missing.message_type, missing.answers, missing.previous) == ("DELTA_UPDATE", 8, 1)
                await host.publish("rust", said(3))
                assert decode(await anext(stream)).answers is None
                assert await refused(viewer, Request("alone", 1).to_json()) == ("NotAllowed", False)

    run(main)


def test_what_is_not_for_a_client_to_send_is_refused() -> None:
    async def main() -> None:
        async with host_of() as host, client_of(host) as (viewer, _):
            await asyncio.sleep(1)
            envelope = encode(of_update("rust", "e1", 0, 1, said(1), 0.0))
            bad: list[str | bytes] = [envelope, Ack("rust", "c", "c", "e", 1).to_json()]
            bad += ["", "{}", "[]", "null", "nonsense", b"\xff\xfe", "[" * 100_000, '{"room_state_send": {}}', "\ud800"]
            bad += [b'{"room_state_send": ' + b" " * (1 << 21) + b"1}"]
            codes = [await refused(viewer, raw) for raw in bad]
            assert {code for code, _ in codes} == {"Malformed", "Oversized"}
            assert not any(retryable for _, retryable in codes)
            assert await refused(viewer, 7) == ("InvalidValue", False)  # type: ignore[arg-type]
            assert contents(host) == []
            misfit = sending(MessageEdited("nothing", "x"))
            assert await refused(viewer, misfit) == ("NotAllowed", False)
        async with host_of() as host, host.connect("v1", authorize=lambda *about: True) as viewer:
            await viewer.follow("rust")
            assert await refused(viewer, sending(TypingChanged("ada", 5.0))) == ("InvalidValue", False)
        assert await refused(viewer, misfit) == ("InvalidValue", False)  # it is closed

    run(main)


def test_a_refusal_names_what_was_refused_where_that_is_cheap_to_read() -> None:
    async def named(raw: str, **bounds: Any) -> tuple[str, str | None, str | None]:
        async with host_of(bounds=HostBounds(frame_burst=1, **bounds)) as host, client_of(host) as (viewer, _):
            if not bounds:
                assert await viewer.receive(Interest("rust", "ACTIVE").to_json()) is None
            answer = await viewer.receive(raw)
            assert isinstance(answer, ErrorFrame)
            return answer.code, answer.room_id, answer.client_id

    async def main() -> None:
        assert await named(sending(said(1), "mine")) == ("RateLimited", "rust", "mine")
        assert await named(Interest("rust", None).to_json()) == ("RateLimited", "rust", None)
        assert await named(Request("rust", 7).to_json()) == ("RateLimited", "rust", None)
        assert await named("nonsense") == ("RateLimited", None, None)
        assert await named(sending(said(1, content="x" * MAX_NAMED))) == ("RateLimited", None, None)
        misfit = '{"room_state_send": {"room_id": "rust", "client_id": "mine", "update": {"kind": "unheard of"}}}'
        assert await named(misfit, timeout_s=1) == ("Malformed", "rust", "mine")
        assert await named(sending(said(1), "mine"), max_frame_bytes=10) == ("Oversized", "rust", "mine")

    run(main)


def test_a_flood_is_bounded_and_harms_nobody_else() -> None:
    async def main() -> None:
        async with (
            host_of() as host,
            client_of(host, viewer="evil") as (evil, _),
            client_of(host, viewer="v2") as (v2, _),
        ):
            answers = [await evil.receive(sending(said(n), f"c{n}")) for n in range(1000)]
            taken = sum(isinstance(answer, Ack) for answer in answers)
            assert taken == 200
            assert host.counts["frame", "frame", "RateLimited"] == 800
            assert isinstance(await v2.receive(sending(said(1), "mine")), Ack)
            await asyncio.sleep(2)
            assert isinstance(await evil.receive(sending(said(1), "later")), Ack)

    run(main)


def test_ten_thousand_rooms_are_too_many() -> None:
    async def main() -> None:
        bounds = HostBounds(frames_per_s=1e6, frame_burst=100_000)
        async with host_of(bounds=bounds, moves_per_s=1e6, burst=100_000) as host:
            async with host.connect("evil", authorize=lambda *about: True) as evil, evil.subscribe() as stream:
                answers = [await evil.receive(Interest(f"room {n}", "ACTIVE").to_json()) for n in range(10_000)]
                assert sum(answer is None for answer in answers) == 1000 == len(evil.rooms)
                assert {answer.code for answer in answers if isinstance(answer, ErrorFrame)} == {"TooManyRooms"}
                assert len(stream._parts) == 1000
                for number in range(10_000):  # and it never reads
                    await host.publish(f"room {number % 1000}", said(number))
                assert len(stream.queue) <= bounds.max_items + 100
                assert stream.queue.bytes <= bounds.max_bytes
            assert host._hub._channels == {}
            host.manager.check()

    run(main)


def test_images_asked_for_faster_than_they_are_read_are_one() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host, host.connect("evil") as evil, evil.subscribe("rust") as stream:
            await host.publish("rust", said(1))
            await anext(stream)
            for number in range(150):
                assert await evil.receive(Request("rust", number).to_json()) is None
            assert decode(await anext(stream)).answers == 149
            assert host.counts["catch_up", "bulk_sync"] == 2
            assert (len(stream.queue), len(stream._ready)) == (0, 0)

    run(main)


def test_one_who_reconnects_in_a_loop_leaves_nothing() -> None:
    async def main() -> None:
        async with host_of(MemoryStore()) as host:
            await host.publish("rust", said(1))
            old = Token("e0", 5, "00000000").to_str()
            for number in range(500):
                async with host.connect(f"v{number % 3}") as viewer, viewer.subscribe("rust", since=old) as stream:
                    if number % 2:
                        assert decode(await anext(stream)).message_type == "BULK_SYNC"
            assert host.stats().viewers == 0
            assert len(host._conditions) == 0
            assert (len(host._hub._connections), len(host._hub._channels)) == (0, 0)
            host.manager.check()

    run(main)


def test_a_token_of_another_room_or_viewer_grants_nothing() -> None:
    async def main() -> None:
        async with host_of() as host, host.connect("v1", "ada") as viewer, host.connect("v2", "eve") as other:
            await other.enter("secret")
            await host.publish("secret", said(1, "eve"))
            token = host.manager.token("secret").to_str()
            async with viewer.subscribe("rust", since=token) as stream:
                image = decode(await anext(stream))
                assert (image.room_id, image.message_type) == ("rust", "BULK_SYNC")
                assert await refused(viewer, Request("secret", 1, token).to_json()) == ("NotAllowed", False)
                assert await refused(viewer, Interest("secret", "ACTIVE", token).to_json()) == ("NotAllowed", False)

    run(main)


def test_an_image_has_of_private_things_only_its_viewer_s() -> None:
    async def main() -> None:
        async with host_of() as host, host.connect("v1", "ada") as viewer, host.connect("v2", "eve") as other:
            for each in (viewer, other):
                await each.enter("rust")
                await host.set_ui_state(each.viewer, "rust", {"of": each.viewer})
            await host.publish("rust", MessageAdded(Message("m1", "bob", "hi @ada @eve")))
            async with viewer.subscribe("rust") as stream:
                data = json.loads(await anext(stream))["room_state_sync"]["data"]
                assert list(data["markers"]) == ["ada"]
                assert data["ui_state"] == {"v1": {"of": "v1"}}
                assert {note["user"] for note in data["notifications"]} == {"ada"}

    run(main)


def test_stamping_leaves_what_is_nobody_s_as_it_is() -> None:
    assert stamped(CountsChanged(1), 0.0, client_id="c", user="ada") == CountsChanged(1)
    moved = MessageEdited("m1", "x", timestamp=Message("1", "2", "3", UNSTAMPED).timestamp)
    assert stamped(moved, 0.0, client_id="c", user="ada") == MessageEdited("m1", "x")
