from __future__ import annotations

from roomstate import RoomStateManager, Stats, Tier
from tests.holding.test_tiering import World


def test_stats_of_nothing() -> None:
    stats = RoomStateManager().stats()
    assert stats.hit_ratio == 0.0
    assert stats.rooms == dict.fromkeys(Tier, 0)
    assert stats.count("transition") == 0


def test_stats_count_what_was_done() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1", "m2")
    world.settled("enter", "w", "go")
    world.settled("leave", "v", "rust")
    stats = world.rooms.stats()
    assert isinstance(stats, Stats)
    assert (stats.rooms[Tier.ACTIVE], stats.rooms[Tier.CACHED], stats.viewers) == (1, 1, 1)
    assert stats.bytes[Tier.ACTIVE] > 0 < stats.bytes[Tier.CACHED]
    assert stats.count("update", "message_added", "applied") == 2
    assert stats.count("transition", "UNLOADED", "ACTIVE") == 2
    assert stats.count("transition", "BACKGROUND", "CACHED") == 1
    assert stats.count("signal", "LEAVE") == 1
    assert (stats.requests, stats.undurable_bytes) == (0, 0)
    world.settled("enter", "v", "rust")
    assert world.rooms.stats().hit_ratio == 1 / 3


def test_a_reading_does_not_change_with_the_manager() -> None:
    world = World()
    before = world.rooms.stats()
    world.settled("enter", "v", "rust")
    assert before.count("transition") == 0
