from __future__ import annotations

from roomstate import RoomCache, Status, Tier
from roomstate.effects import Evicted, SaveFailed, SaveSnapshot, TierChanged
from tests.holding.world import World, added, kinds


def test_demotion_of_an_undurable_room_waits() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.do("publish", "rust", added("m1"))
    assert kinds(world.do("leave", "v", "rust")) == []
    assert world.rooms.tier("rust") is Tier.ACTIVE
    assert world.ids() == ["m1"]
    world.host.settle()
    assert world.rooms.tier("rust") is Tier.CACHED
    moves = [(one.old, one.new) for one in world.host.drain() if isinstance(one, TierChanged)]
    assert moves == [(Tier.ACTIVE, Tier.BACKGROUND), (Tier.BACKGROUND, Tier.CACHED)]


def test_a_failed_save_is_tried_again_and_reported_and_the_room_stays_usable() -> None:
    world = World("none")
    world.settled("follow", "v", "rust")
    world.post("m1")
    world.do("leave", "v", "rust")
    for pause in (0.5, 1.0):
        world.host.refuse("rust", "full")
        world.host.answer()
        assert SaveFailed("rust", "full", world.now + pause) in world.host.drain()
        assert world.rooms.tier("rust") is Tier.BACKGROUND
        world.now += pause
        assert SaveSnapshot in kinds(world.do("tick"))
    world.do("publish", "rust", added("m2"))
    world.host.settle()
    assert world.rooms.tier("rust") is Tier.CACHED
    world.settled("enter", "v", "rust")
    assert world.ids() == ["m1", "m2"]
    world.check()


def test_the_image_of_what_left_an_active_room_is_saved_again_after_a_failure() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.do("set_ui_state", "v", "rust", "draft")
    world.post(*(f"m{number}" for number in range(1, 8)))
    world.do("follow", "v", "rust")
    assert len(world.ids()) == 3
    world.host.refuse("rust")
    world.host.answer()
    assert world.rooms._holdings["rust"].saving_bytes > 0
    world.now += 1
    world.settled("tick")
    assert len(world.store.rooms["rust"].images[Tier.ACTIVE].messages) == 7
    assert world.rooms._holdings["rust"].saving_bytes == 0
    world.settled("enter", "v", "rust")
    assert world.rooms.view("rust").ui_state == {"v": "draft"}


def test_a_promotion_while_a_save_is_in_flight_lets_the_save_matter_no_more() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.post("m1")
    save = world.do("leave", "v", "rust")[-1]
    world.do("enter", "v", "rust")
    assert world.rooms.tier("rust") is Tier.ACTIVE
    assert world.rooms.complete(save.request_id, b"late") == ()
    world.host.settle()
    assert world.rooms.tier("rust") is Tier.ACTIVE
    assert world.ids() == ["m1"]
    world.check()


def test_a_follower_who_comes_back_while_the_save_is_in_flight_keeps_the_room() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.post("m1")
    world.do("leave", "v", "rust")
    world.do("follow", "w", "rust")
    world.host.settle()
    assert world.rooms.tier("rust") is Tier.BACKGROUND
    assert world.ids() == ["m1"]
    world.check()


def test_without_a_log_what_came_during_the_save_is_saved_too() -> None:
    world = World("none")
    world.settled("follow", "v", "rust")
    world.post("m1")
    world.do("leave", "v", "rust")
    world.do("publish", "rust", added("m2"))
    outputs = world.settled("tick")
    assert SaveSnapshot in kinds(outputs)
    world.settled("enter", "v", "rust")
    assert world.ids() == ["m1", "m2"]


def test_eviction_is_told_and_purging_too() -> None:
    world = World(cache=RoomCache(max_rooms=1))
    for room in ("a", "b"):
        world.settled("follow", "v", room)
        world.post("m1", room=room)
        world.settled("leave", "v", room)
    assert sorted(world.rooms.tier(room) for room in ("a", "b")) == [Tier.UNLOADED, Tier.CACHED]
    held = next(room for room in ("a", "b") if world.rooms.tier(room) is Tier.CACHED)
    outputs = world.settled("demote", held)
    assert [one.reason for one in outputs if isinstance(one, Evicted)] == ["purged"]
    assert world.rooms.known() == ()
    world.settled("enter", "v", held)
    assert world.ids(held) == ["m1"]


def test_interests_lapse_from_active_to_background_to_rest() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1")
    for at, tier in ((1299, Tier.ACTIVE), (1300, Tier.BACKGROUND), (2799, Tier.BACKGROUND), (2800, Tier.CACHED)):
        world.now = float(at)
        world.settled("tick")
        assert world.rooms.tier("rust") is tier
        world.check()
    assert world.rooms.status("rust") is Status.READY
    world.now += 1801
    world.settled("tick")
    assert world.rooms.tier("rust") is Tier.UNLOADED  # its time in the cache is over


def test_the_hosts_own_interest_does_not_lapse() -> None:
    world = World()
    world.settled("promote", "rust", Tier.BACKGROUND)
    world.now += 10_000
    world.settled("tick")
    assert world.rooms.tier("rust") is Tier.BACKGROUND
    world.settled("promote", "rust")
    assert world.rooms.tier("rust") is Tier.ACTIVE
    tier, outputs = world.rooms.demote("rust", Tier.BACKGROUND)
    assert tier is Tier.BACKGROUND
    world.host.take(outputs)
    world.host.settle()
    world.settled("demote", "rust", Tier.CACHED)
    assert world.rooms.tier("rust") is Tier.CACHED
