"""What a hostile peer says of one room, well-formed or not, changes nothing in another, and is bounded."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from msgspec import structs

from roomstate import Message, RoomStateManager
from roomstate.effects import RequestRecovery
from roomstate.errors import RoomStateError
from roomstate.position import Position
from roomstate.sync.envelope import decode, of_image, of_update
from roomstate.sync.replica import MAX_EARLY
from roomstate.updates import MessageAdded
from tests.sync.hostile import IMAGE, MUTATIONS, RAW
from tests.sync.strategies import NOW, START


class Victim:
    """A replica that looks at two rooms, one of which has a hostile authority."""

    def __init__(self) -> None:
        self.now = NOW
        self.asked: dict[str, int] = {}
        self.requests = 0
        self.replica = RoomStateManager(
            role="replica", clock=lambda: self.now, jitter=lambda: 0.5, idle_active_s=1e6, idle_background_s=1e7
        )
        for room in ("go", "rust"):
            self.note(self.replica.enter("viewer", room, user="ada"))
            image = structs.replace(IMAGE, room_id=room, notifications=(), gaps=())
            self.note(self.replica.receive(of_image(image, NOW, answers=self.asked[room])))

    def note(self, outputs: tuple[Any, ...]) -> None:
        for each in outputs:
            if isinstance(each, RequestRecovery):
                self.asked[each.room_id] = each.request_id
                self.requests += each.room_id == "rust"

    def hear(self, raw: bytes) -> None:
        with contextlib.suppress(RoomStateError):
            self.note(self.replica.receive(decode(raw)))

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.note(self.replica.tick())

    def other(self) -> tuple[Any, ...]:
        view = self.replica.view("go")
        return (view.position, view.messages, view.members, view.presence, view.config, view.gaps, view.status)


@pytest.mark.parametrize("seed", range(5))
def test_mutated_envelopes_change_no_other_room(seed: int) -> None:
    victim, chance = Victim(), random.Random(seed)
    before = victim.other()
    for number in range(20_000):
        victim.hear(chance.choice(MUTATIONS)(chance.choice(RAW), chance))
        if number % 50 == 0:
            victim.later(chance.choice((0.0, 0.6, 11.0)))
            victim.replica.check()
            assert victim.other() == before
    assert victim.replica.view("rust").position != Position("e1", 9), "some were taken in"


def test_a_flood_of_gaps_is_bounded_and_asks_seldom() -> None:
    victim = Victim()
    for number in range(5000):
        message = Message(f"m{number + 100}", "bob", "x" * 100, START)
        seq = 100 + 2 * number
        victim.note(victim.replica.receive(of_update("rust", "e1", seq - 1, seq, MessageAdded(message), NOW)))
        victim.later(0.01)
    victim.replica.check()  # which knows the bounds in bytes
    assert victim.replica.view("rust").position == Position("e1", 9)
    assert len(victim.replica.view("rust").gaps) <= 2 * MAX_EARLY
    assert victim.requests < 60, "in fifty seconds: one at a time, and each given ten seconds or a pause"


@pytest.mark.campaign
def test_a_million_users_are_refused_or_counted_not_kept() -> None:
    victim = Victim()
    for start in range(0, 1_000_000, 10_000):
        seq = victim.replica.view("rust").position.seq  # type: ignore[union-attr]
        users = ",".join(f'{{"id":"u{number}"}}' for number in range(start, start + 10_000))
        raw = (
            '{"room_state_sync":{"message_type":"DELTA_UPDATE","room_id":"rust","timestamp":"2026-01-01T00:00:00Z","epoch":'
            f'"e1","previous":{seq},"sequence_number":{seq + 1},"data":{{"users_joined":[{users}]}}}}}}'
        )
        victim.hear(raw.encode())
    view = victim.replica.view("rust")
    assert len(view.members) == 50_000
    assert not view.members_complete
