"""Rooms of somebody else's authority, whose history is read page by page from opaque cursors, in worlds of their own.

A source says things, in an order of its own; a bot hears them while it is connected, some of them twice, and reads what
it has missed page by page: late, with failures, while new things come, across connections. In the end it holds what the
source has said last, and knows of no gap. As of Matrix's ``prev_batch`` or IRC's CHATHISTORY, nothing is numbered.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest

from roomstate import Limits, Message, MessageAdded, MessageRemoved, RoomStateManager, Status
from roomstate.effects import FetchMessages, Recovered
from roomstate.errors import StoreUnavailable
from roomstate.holding.following import Following
from roomstate.host.ports import STORING, perform
from roomstate.room.timeline import Timeline
from roomstate.store import MemoryStore
from roomstate.testing.ends import JsonCodec

ROOM = "irc"
LIMITS = Limits(active_messages=30, background_messages=8)
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


class Bot:
    """A source, a bot that follows it, and the line between them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = BEGUN.timestamp()
        self.page = self.chance.choice((1, 2, 5, 100))
        self.told_at_once = self.chance.random() < 0.5  # that the line is gone; else only when it is back
        self.said: list[Message] = []
        self.at: dict[str, int] = {}  # where in `said` a cursor points
        self.linked = True
        self.lost = False
        self.store = MemoryStore()
        self.rooms = RoomStateManager(
            limits=LIMITS, clock=lambda: self.now, jitter=self.chance.random, new_epoch=lambda: "e"
        )
        self.todo: list[Any] = []
        self.answers: list[tuple[int, Any]] = []  # on their way: what was said since is not in them
        self.removed: set[str] = set()
        self.hear(self.say())

    # -- the source --------------------------------------------------------------------------------------------------

    def say(self) -> Message:
        """Say something; neighbours share a time more often than not."""
        number = len(self.said)
        at = BEGUN + timedelta(seconds=number // 3)
        message = Message(f"m{self.chance.randrange(10**6)}-{number}", f"u{number % 5}", "hi", at)
        self.said.append(message)
        self.at[self.cursor(number + 1)] = number + 1
        return message

    def cursor(self, number: int) -> str:
        """Name the place before message ``number``, in a way that says nothing to anybody else."""
        return f"t{number * 7919 % 10007}_{number}"

    def hear(self, message: Message) -> None:
        cursor = self.cursor(self.said.index(message) + 1)
        self.take(self.rooms.receive(ROOM, MessageAdded(message), cursor=cursor))

    # -- the bot -----------------------------------------------------------------------------------------------------

    def take(self, outputs: tuple[Any, ...]) -> None:
        self.todo += [each for each in outputs if isinstance(each, (FetchMessages, *STORING))]

    def carry_out(self, *, fails: bool = False) -> None:
        """Do one of the things that are to be done; those of the disk in order."""
        effect = self.todo.pop(0)
        if fails:
            self.take(self.rooms.fail(effect.request_id, StoreUnavailable("source", "does not answer")))
        elif isinstance(effect, FetchMessages):
            start = self.at.get(effect.cursor or "", 0)
            stop = min(len(self.said), start + min(self.page, effect.limit))
            page = tuple(message for message in self.said[start:stop] if message.id not in self.removed)
            self.answers.append((effect.request_id, Recovered(page, stop < len(self.said), self.cursor(stop))))
        else:
            self.answers.append((effect.request_id, perform(effect, self.store, JsonCodec())))

    def answer(self) -> None:
        self.take(self.rooms.complete(*self.answers.pop(0)))

    def remove(self) -> None:
        """Take something back that was said lately, while the bot hears it: of what it misses no page would tell."""
        message = self.chance.choice(self.said[-20:])
        if self.linked and message.id not in self.removed:
            self.removed.add(message.id)
            self.take(self.rooms.receive(ROOM, MessageRemoved(message.id, message.user)))

    def cut(self) -> None:
        self.linked = False
        if self.told_at_once:
            self.take(self.rooms.disconnected(ROOM))

    def mend(self) -> None:
        self.linked = True
        if self.told_at_once:
            self.take(self.rooms.connected(ROOM))
        else:
            self.take(self.rooms.disconnected(ROOM))

    # -- what happens ------------------------------------------------------------------------------------------------

    def happen(self) -> None:
        roll = self.chance.random()
        if roll < 0.5:
            message = self.say()
            for _ in range(self.chance.choice((1, 1, 2)) if self.linked else 0):
                self.hear(message)
        elif roll < 0.6:
            self.cut() if self.linked else self.mend()
        elif roll < 0.75 and self.todo:
            self.carry_out(fails=self.chance.random() < 0.2)
        elif roll < 0.85 and self.answers:
            self.answer()
        elif roll < 0.9:
            self.take(self.rooms.enter("v", ROOM))
        elif roll < 0.93:
            self.take(self.rooms.follow("v", ROOM))
        elif roll < 0.97:
            self.remove()
        self.now += self.chance.random()
        self.take(self.rooms.tick())

    def heal(self) -> None:
        """Let the line hold and everything be carried out, and somebody look."""
        if not self.linked:
            self.mend()
        self.take(self.rooms.enter("v", ROOM))
        for _ in range(1000):
            while self.todo or self.answers:
                self.carry_out() if self.todo else self.answer()
            if self.rooms.status(ROOM) is Status.READY:
                break
            self.now += 10.0
            self.take(self.rooms.tick())

    def check(self) -> None:
        """The room holds the newest of what was said, as far back as it reaches, in order, each once, and no gap."""
        self.rooms.check()
        view = self.rooms.view(ROOM)
        assert (view.gaps, view.status) == ((), Status.READY)
        first = view.messages[0].timestamp  # of those at one time with the first, some may have left before
        held = [message.id for message in view.messages if message.timestamp > first]
        stays = [message for message in self.said if message.id not in self.removed]
        said = sorted(stays, key=lambda one: (one.timestamp, one.id))
        assert held == [message.id for message in said if message.timestamp > first]
        assert len(view.messages) >= min(len(said), LIMITS.background_messages - 3)


def play(seed: int, events: int = 300) -> Bot:
    bot = Bot(seed)
    for _ in range(events):
        bot.happen()
    bot.heal()
    bot.check()
    return bot


@pytest.mark.parametrize("start", range(0, 100, 25))
def test_a_bot_ends_with_what_its_source_has_said_last(start: int) -> None:
    for seed in range(start, start + 25):
        play(seed)


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, 10_000, 1000))
def test_a_bot_ends_with_what_its_source_has_said_last_for_long(start: int) -> None:
    for seed in range(start, start + 1000):
        play(seed)


def test_a_run_replays() -> None:
    first, second = play(7), play(7)
    assert first.rooms.image(ROOM) == second.rooms.image(ROOM)


def test_a_bot_that_believes_the_first_page_to_be_all_is_found_within_200_seeds() -> None:
    recovered = Following.recovered

    def content(self: Following, holding: Any, result: Recovered, now: float) -> None:
        recovered(self, holding, Recovered(result.messages, False, result.cursor), now)

    with mock.patch.object(Following, "recovered", content):
        assert found_within(200)


def test_a_bot_that_opens_no_gap_is_found_within_200_seeds() -> None:
    with mock.patch.object(Following, "_open", return_value=None):
        assert found_within(200)


def test_a_bot_that_forgets_what_was_removed_is_found_within_200_seeds() -> None:
    """A page that was on its way has what was taken back meanwhile: no number tells that it is old."""
    with mock.patch.object(Timeline, "bury", return_value=None):
        assert found_within(200)


def found_within(seeds: int) -> bool:
    for seed in range(seeds):
        try:
            play(seed)
        except (AssertionError, IndexError):
            return True
    return False
