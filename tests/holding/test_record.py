from __future__ import annotations

import sys
from collections import deque
from enum import Enum
from typing import Any

import pytest
from msgspec import Struct

from roomstate import RoomStateManager, Tier
from roomstate.holding.record import Holding
from roomstate.room.unread import ReadState
from tests.holding.world import World, added


def really_held(value: Any, seen: set[int]) -> int:
    """What an object and all that it alone refers to take, by a walk; shared values count once."""
    if value is None or isinstance(value, bool | Enum | type) or callable(value) or id(value) in seen:
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value) + (16 if not isinstance(value, Struct) and hasattr(value, "__dict__") else 0)
    if isinstance(value, dict):
        return size + sum(really_held(part, seen) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | deque | set):
        return size + sum(really_held(part, seen) for part in value)
    names = list(value.__struct_fields__) if isinstance(value, Struct) else []
    names += [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name[:2] != "__"]
    names += getattr(value, "__dict__", {})
    return size + sum(really_held(getattr(value, name, None), seen) for name in dict.fromkeys(names))


@pytest.mark.parametrize(("tier", "messages"), [(Tier.ACTIVE, 1000), (Tier.ACTIVE, 300), (Tier.BACKGROUND, 200)])
def test_memory_is_accounted_within_ten_percent(tier: Tier, messages: int) -> None:
    rooms = RoomStateManager(clock=lambda: 1000.0, new_epoch=lambda: "e")
    rooms.promote("rust", tier)
    users = [f"user {number}" for number in range(40)]
    for number in range(1, messages + 1):
        text = "a message of a length that people write, more or less: " + "bla " * (number % 20)
        rooms.publish("rust", added(f"message-{number:08}", users[number % 40], text))
    holding = rooms._holdings["rust"]
    rooms._house.weigh(holding)
    real = really_held(holding, {id(user) for user in users})
    assert abs(holding.bytes - real) <= 0.1 * real, (holding.bytes, real)


def test_what_a_manager_uses_is_the_sum_of_its_parts() -> None:
    world = World(max_read_states=1)
    for room in ("a", "b", "c"):
        world.settled("enter", "v", room)
        world.post("m1", room=room)
    house = world.rooms._house
    assert house.used == house.bytes + house.resting_bytes + house.cached_bytes
    assert house.resting_bytes == 0
    world.settled("disconnect", "v")
    assert house.bytes == 0
    assert len(house.resting) == 1  # the bound: what was read of the others is forgotten
    assert house.resting_bytes == next(iter(house.resting.values())).bytes
    assert str(world.rooms.unread("v", "a").messages) == "0+"
    assert str(world.rooms.unread("v", "c").messages) == "1"
    world.check()


def test_a_holding_knows_nothing_at_first() -> None:
    holding = Holding("rust", ReadState())
    assert (holding.seq, holding.epoch, holding.idle) == (0, "", True)
    assert holding.sync_reads() is holding.reads
