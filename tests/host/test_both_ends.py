"""Replicas and their authority, each with a host of its own, over links and a store that come and go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from roomstate.effects import CloseStream, OpenStream, RequestRecovery, SendToAuthority, Sent
from roomstate.errors import StoreUnavailable, UnknownRoom
from roomstate.host import HostBounds, RoomHost, SocketLink
from roomstate.host.connection import Connection
from roomstate.model import EMPTY, Message, RoomConfig, Status, Tier
from roomstate.sync.envelope import decode
from roomstate.sync.frames import Ack, Interest, Request, Send, decode_frame
from roomstate.updates import (
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    PresenceChanged,
    ReactionAdded,
    RoomConfigChanged,
    TypingChanged,
    Update,
)
from tests.host.looping import run
from tests.host.test_room_host import Flaky
from tests.host.test_viewers import host_of, reopened, said

ROOMS = [f"room {number}" for number in range(4)]
TIERS = {"realtime": "ACTIVE", "heartbeat": "BACKGROUND"}


class Link:
    """A replica's transport: one connection to the authority's host at a time, or none."""

    def __init__(self, authority: RoomHost, user: str) -> None:
        self.authority, self.user = authority, user
        self.replica: RoomHost = host_of(transport=self.port(), role="replica", jitter=random.Random(user).random)
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None
        self.acknowledged: set[str] = set()
        self.count = 0
        self.reads_in_s = 0.0

    def port(self) -> Any:
        """The replica's transport."""
        return self

    async def _frame(self, frame: Any) -> Any:
        if self.connection is None:
            raise ConnectionError("there is no link")
        connection = self.connection
        answer = await connection.receive(frame.to_json())
        if connection is not self.connection:
            raise ConnectionError("the link is gone")
        return answer

    async def open(self, effect: OpenStream) -> None:
        await self._frame(Interest(effect.room_id, TIERS[effect.mode]))  # type: ignore[arg-type]

    async def close(self, effect: CloseStream) -> None:
        await self._frame(Interest(effect.room_id, None))

    async def request_recovery(self, effect: RequestRecovery) -> tuple[Any, ...]:
        token = effect.token.to_str() if effect.token is not None else None
        await self._frame(Request(effect.room_id, effect.request_id, token))
        return ()

    async def send(self, effect: SendToAuthority) -> Sent:
        echo = effect.echo
        update = MessageAdded(Message(echo.client_id, echo.user, echo.content))
        answer = await self._frame(Send(effect.room_id, echo.client_id, update))
        if not isinstance(answer, Ack):
            raise ConnectionError(str(answer))
        self.acknowledged.add(answer.message_id)
        return Sent(answer.message_id, answer.sequence_number)

    async def _serve(self) -> None:
        """What the link brings, as long as it holds."""
        self.count += 1
        async with self.authority.connect(f"{self.user} {self.count}", self.user, lambda *about: True) as connection:
            async with connection.subscribe() as stream:
                self.connection = connection
                for room in self.replica.known():
                    tier = self.replica.tier(room)
                    if tier >= Tier.BACKGROUND:
                        await self._frame(Interest(room, tier.name))  # type: ignore[arg-type]
                        await self.replica.connected(room)
                async for text in stream:
                    await self.replica.receive(decode(text))
                    await asyncio.sleep(self.reads_in_s)

    async def send_again(self) -> None:
        """What a user does with a message that was not taken in time."""
        for room in ROOMS:
            for echo in self.replica.view(room).pending:
                waiting = [each.client_id for each in self.replica.view(room).pending if not each.message_id]
                if echo.client_id in waiting:  # it may have been acknowledged since
                    await self.replica.send(room, echo.content, client_id=echo.client_id, user=echo.user)

    def up(self) -> None:
        assert self.task is None
        self.task = asyncio.ensure_future(self._serve())

    async def down(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = self.connection = None
            for room in self.replica.known():
                if self.replica.tier(room) >= Tier.BACKGROUND:
                    await self.replica.disconnected(room)


class Wired(Link):
    """The same by a `SocketLink`: frames take their time, and those under way are lost with the connection."""

    latency_s = 0.0
    silent_s = 0.0
    wire: Wire | None = None

    def port(self) -> SocketLink:
        self.link = SocketLink()
        return self.link

    async def _serve(self) -> None:
        self.count += 1
        async with self.authority.connect(f"{self.user} {self.count}", self.user, lambda *about: True) as connection:
            async with connection.subscribe() as stream:
                wire = self.wire = Wire(self, connection)
                tasks = [asyncio.ensure_future(wire.answer()), asyncio.ensure_future(wire.bring(stream))]
                try:
                    await self.link.serve(wire, self.replica)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def down(self) -> None:
        if self.silent_s and self.wire is not None:
            self.wire.cut = True
            await asyncio.sleep(self.silent_s)
        await super().down()


class Wire:
    """A web socket between a `SocketLink` and a connection, with whatever is on its way."""

    def __init__(self, link: Wired, connection: Connection) -> None:
        self.link, self.connection = link, connection
        self.up: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self.down: asyncio.Queue[tuple[float, str]] = asyncio.Queue(16)  # then the server's end waits, as a socket does

    cut = False

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self.link.latency_s

    async def _arrived(self, way: asyncio.Queue[tuple[float, str]]) -> str:
        due, text = await way.get()
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        if self.cut:
            await asyncio.Event().wait()
        return text

    async def answer(self) -> None:
        """The server's reading end: one frame after the other."""
        while True:
            answer = await self.connection.receive(await self._arrived(self.up))
            if answer is not None:
                await self.down.put((self._due(), answer.to_json()))

    async def bring(self, stream: AsyncIterator[str]) -> None:
        """The server's writing end."""
        async for text in stream:
            await self.down.put((self._due(), text))

    async def send(self, text: str) -> None:
        self.up.put_nowait((self._due(), text))

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            text = await self._arrived(self.down)
            await asyncio.sleep(self.link.reads_in_s)
            if isinstance(frame := decode_frame(text), Ack):
                self.link.acknowledged.add(frame.message_id)
            yield text


def same(authority: RoomHost, link: Link, room: str) -> bool:
    """Whether a replica has all that its authority has of a room."""
    ours, theirs = authority.view(room), link.replica.view(room)
    if link.replica.status(room) is not Status.READY:
        return False
    seen = (theirs.position, theirs.messages, dict(theirs.annotations), theirs.config, theirs.pending, theirs.gaps)
    return seen == (ours.position, ours.messages, dict(ours.annotations), ours.config, (), ())


@pytest.mark.parametrize("seed", range(6))
def test_all_copies_agree_when_links_and_store_have_come_and_gone(seed: int) -> None:
    diverged, lost = campaign(seed)
    assert diverged == []
    assert lost == set()


ROUGH: dict[str, tuple[float, float, dict[str, Any]]] = {
    "quick": (0.0, 0.0, {}),
    "far away": (0.2, 0.0, {}),
    "silent before it is found dead": (0.02, 12.0, {}),
    "seldom a heartbeat, short times": (0.02, 0.0, {"heartbeat_s": 30, "ack_s": 1, "timeout_s": 2}),
    "few frames": (0.02, 1.0, {"frames_per_s": 5, "frame_burst": 8}),
}
"""Seconds a frame takes, seconds that a link is dead before either end knows, bounds of the authority's host."""


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("how", ROUGH)
def test_no_room_stays_behind_on_a_live_socket_link(how: str, seed: int) -> None:
    assert rough_campaign(how, seed) == ([], set())


def test_a_link_that_never_says_again_what_was_refused_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*about: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(SocketLink, "_show_again", never)
    assert any(rough_campaign("few frames", seed)[0] for seed in range(4))


def test_a_room_whose_opening_was_late_is_not_stale_until_a_heartbeat() -> None:
    assert rough_campaign("seldom a heartbeat, short times", 181) == ([], set())


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 402))
@pytest.mark.parametrize("how", ROUGH)
def test_no_room_stays_behind_on_a_live_socket_link_whatever_comes_and_goes(how: str, seed: int) -> None:
    assert rough_campaign(how, seed) == ([], set())


def rough_campaign(how: str, seed: int) -> tuple[list[str], set[str]]:
    """The same campaign over `SocketLink`; a connection of few frames needs longer to be up to date."""
    latency_s, silent_s, limits = ROUGH[how]
    kind = type("Rough", (Wired,), {"latency_s": latency_s, "silent_s": silent_s})
    return campaign(seed, kind, settle_s=60.0 if "frames_per_s" in limits else 4.0, limits=limits)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6, 406))
def test_all_copies_agree_whatever_comes_and_goes(seed: int) -> None:
    diverged, lost = campaign(seed)
    assert diverged == []
    assert lost == set()


def test_a_host_that_acknowledges_too_soon_is_found_out() -> None:
    assert any(campaign(seed, durability="relaxed")[1] for seed in range(20))


def campaign(
    seed: int, kind: type[Link] = Link, *, settle_s: float = 4.0, limits: Mapping[str, Any] = EMPTY, **options: Any
) -> tuple[list[str], set[str]]:
    """Three replicas and their authority go through 150 things that happen, and have 12 seconds more to agree.

    Returns what does not agree then, and which messages were acknowledged and are not in the log.
    """
    chance = random.Random(seed)

    async def main() -> tuple[list[str], set[str]]:
        store = Flaky()
        bounds = HostBounds(max_items=chance.choice([5, 256]), **{"heartbeat_s": 5, **limits})
        authority = await host_of(store, bounds=bounds, jitter=chance.random, **options).__aenter__()
        links = [kind(authority, name) for name in ("ada", "bob", "cy")]
        for link in links:
            await link.replica.__aenter__()
            link.up()
            for room in ROOMS:
                await link.replica.enter("me", room, user=link.user)
        await asyncio.sleep(2)
        others: set[asyncio.Task[Any]] = set()
        for number in range(150):
            if chance.random() < 0.02:
                await killed(authority, links)
                store = reopened(store)
                authority = await host_of(store, bounds=bounds, jitter=chance.random, **options).__aenter__()
                for link in links:
                    link.authority = authority
            if chance.random() < 0.2:
                room = chance.choice(ROOMS)
                known = [update.message.id for update in told(store, room)]
                others.add(asyncio.ensure_future(authority.publish(room, happening(chance, number, known))))
            await disturb(chance, store, links, number)
        store.down, store.chance = False, 0.0
        for link in links:
            link.reads_in_s = 0.0
            if link.task is None:
                link.up()
            for room in ROOMS:
                await link.replica.enter("me", room, user=link.user)
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(settle_s)
        if any(link.replica.view(room).pending for link in links for room in ROOMS):
            await asyncio.sleep(10)  # the authority's word that sending again does no harm comes after 10 s
            for link in links:
                await link.send_again()
            await asyncio.sleep(2)
        diverged = [f"{link.user}: {room}" for room in ROOMS for link in links if not same(authority, link, room)]
        held = {update.message.id for room in ROOMS for update in told(store, room)}
        for link in links:
            await link.down()
            await link.replica.close()
            link.replica.manager.check()
        authority.manager.check()
        await authority.close()
        return diverged, set().union(*(link.acknowledged for link in links)) - held

    return run(main)


async def killed(host: RoomHost, links: list[Link]) -> None:
    """Let the authority's process end, with whatever it was about."""
    for link in links:
        await link.down()
    host._running = False
    host._stop_timer()
    host._conditions.end(lambda: StoreUnavailable("host", "was killed"))
    if host._executor is not None:
        host._executor.shutdown(wait=True)
    await host._end()


async def disturb(chance: random.Random, store: Flaky, links: list[Link], number: int) -> None:
    """One thing that happens: mostly somebody writes."""
    link, what = chance.choice(links), chance.random()
    if what < 0.05:
        store.down = not store.down
    elif what < 0.08:
        store.chance = chance.choice([0.0, 0.5])
    elif what < 0.2 and link.task is None:
        link.up()
    elif what < 0.2:
        await link.down()
    elif what < 0.25:
        await link.replica.follow("me", chance.choice(ROOMS), user=link.user)
    elif what < 0.3:
        await link.replica.enter("me", chance.choice(ROOMS), user=link.user)
    elif what < 0.33:
        await link.replica.leave("me", room) if (room := chance.choice(ROOMS)) in joined(link) else None
    elif what < 0.36:
        link.reads_in_s = chance.choice([0.0, 0.0, 0.3])
    else:
        try:
            await link.replica.send(
                chance.choice(ROOMS), f"text {number}", client_id=f"{link.user} {number}", user=link.user
            )
        except UnknownRoom:
            return
    await asyncio.sleep(chance.choice([0.0, 0.01, 0.1, 1.0]))


def told(store: Flaky, room: str) -> list[MessageAdded]:
    """The messages that a room's log has."""
    return [entry.update for entry in store.read(room) if isinstance(entry.update, MessageAdded)]


def joined(link: Link) -> tuple[str, ...]:
    """The rooms that a replica's one viewer is in."""
    return tuple(room for room in ROOMS if link.replica.manager.interest("me", room) > Tier.UNLOADED)


def happening(chance: random.Random, number: int, known: list[str]) -> Update:
    """Something that the authority's own program does, to messages that it has: a removal would bury others."""
    some = chance.choice(known) if known else "none"
    things: list[Update] = [
        MessageEdited(some, f"edited {number}"),
        MessageRemoved(some),
        RoomConfigChanged(RoomConfig(slow_mode_duration=number)),
        CountsChanged(number),
        ReactionAdded(some, "eve", "+1"),
        TypingChanged("eve", 3.0),
        PresenceChanged("eve", "away"),
    ]
    return chance.choice(things)


def test_a_room_goes_down_and_up_with_its_replica_s_interest() -> None:
    async def main() -> None:
        async with host_of() as authority:
            link = Link(authority, "ada")
            async with link.replica:
                link.up()
                await link.replica.enter("me", "rust", user="ada")
                await asyncio.sleep(1)
                await authority.publish("rust", said(1))
                await link.replica.follow("me", "rust", user="ada")
                await asyncio.sleep(1)
                assert authority.manager.interest("ada 1", "rust") is Tier.BACKGROUND
                await authority.publish("rust", said(2))
                await asyncio.sleep(1)
                assert len(link.replica.view("rust").messages) == 1
                assert len(link.replica.gaps("rust")) == 1
                await link.replica.enter("me", "rust", user="ada")
                await asyncio.sleep(2)
                assert same(authority, link, "rust")
                await link.replica.leave("me", "rust")
                await asyncio.sleep(1)
                assert authority.manager.interest("ada 1", "rust") is Tier.UNLOADED
                await link.down()

    run(main)
