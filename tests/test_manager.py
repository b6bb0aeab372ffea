"""The verbs of the manager that no other file is about: what they return, and what is readable when."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from roomstate import Limits, RoomStateManager, Status, Tier, Token
from roomstate.effects import Deliver, TierChanged
from roomstate.errors import UnknownRoom
from roomstate.room.digest import MessageDigest
from roomstate.sync.feed import Missing, SnapshotNeeded
from roomstate.updates import TypingChanged
from tests.holding.world import START, World, added, kinds


def test_the_target_in_the_words_of_a_user() -> None:
    rooms = RoomStateManager()
    rooms.enter("ada", "rust")
    effects = rooms.publish("rust", added("1", content="hi ada"))
    assert rooms.view("rust").messages[-1].content == "hi ada"
    assert kinds(list(effects)) == [Deliver]


def test_new_epochs_are_random() -> None:
    epochs = set()
    for _ in range(3):
        rooms = RoomStateManager()
        rooms.enter("ada", "rust")
        position = rooms.view("rust").position
        assert position is not None
        epochs.add(position.epoch)
    assert len(epochs) == 3


def test_one_deliver_carries_all_recipients() -> None:
    world = World("none")
    for number in range(5):
        world.settled("enter", f"v{number}", "rust")
    world.settled("follow", "w", "rust")
    for name in ("m1", "m2", "m3"):
        (deliver,) = world.do("publish", "rust", added(name))
        assert deliver.recipients == tuple(f"v{number}" for number in range(5))
        assert deliver.audience.withheld == ("w",)
        assert (deliver.room_id, deliver.audience.epoch) == ("rust", "e1")
    world.settled("disconnect", "v0")
    (deliver,) = world.do("publish", "rust", added("m4"))
    assert deliver.recipients == ("v1", "v2", "v3", "v4")


def test_a_room_that_nobody_looks_at_tells_nobody() -> None:
    world = World("none")
    world.settled("promote", "rust")
    for name in ("m1", "m2", "m3"):
        assert world.do("publish", "rust", added(name)) == []


def test_publishing_without_a_log_holds_a_room_for_as_long_as_things_happen() -> None:
    world = World("none")
    assert kinds(world.settled("publish", "rust", added("m1"))) == [TierChanged]
    assert world.rooms.tier("rust") is Tier.BACKGROUND
    world.now += 1799
    world.settled("tick")
    assert world.rooms.tier("rust") is Tier.BACKGROUND
    world.now += 1
    world.settled("tick")
    assert world.rooms.tier("rust") is Tier.CACHED


def test_the_tier_is_the_highest_of_the_interests() -> None:
    world = World("none")
    world.settled("follow", "v", "rust")
    world.settled("enter", "w", "rust")
    world.settled("promote", "rust", Tier.BACKGROUND)
    assert world.rooms.tier("rust") is Tier.ACTIVE
    world.settled("leave", "w", "rust")
    assert world.rooms.tier("rust") is Tier.BACKGROUND
    world.settled("leave", "v", "rust")
    assert world.rooms.tier("rust") is Tier.BACKGROUND
    world.settled("demote", "rust")
    assert world.rooms.tier("rust") is Tier.CACHED
    assert world.rooms.known() == ("rust",)
    assert world.rooms.status("rust") is Status.READY
    assert world.rooms.gaps("rust") == ()


def test_demoting_can_forget_notifications() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", content="@ada")
    world.settled("promote", "rust")
    world.settled("demote", "rust", keep_notifications=False)
    assert world.rooms.view("rust").notifications == ()


def test_the_clock_is_asked_once_where_no_time_is_given() -> None:
    asked = []

    def clock() -> float:
        asked.append(1)
        return 5.0

    rooms = RoomStateManager(clock=clock)
    rooms.enter("v", "rust")
    rooms.publish("rust", added("m1"))
    rooms.publish("rust", added("m2"))
    rooms.publish("rust", added("m3"), now=6.0)
    assert len(asked) == 3


def test_ticks_do_only_so_much_at_a_time() -> None:
    world = World("none")
    for number in range(5):
        world.settled("enter", "v", f"room {number}")
    world.now += 300
    world.settled("tick", limit=2)
    assert [world.rooms.tier(f"room {number}").name for number in range(5)].count("BACKGROUND") == 2
    world.settled("tick")
    assert {world.rooms.tier(f"room {number}") for number in range(5)} == {Tier.BACKGROUND}


def test_a_tick_does_only_so_many_retries_at_a_time() -> None:
    world = World()
    for number in range(5):
        world.do("publish", f"room {number}", added("m1"))
        world.host.refuse(f"room {number}")
        world.host.answer()
    world.now += 1
    assert len(world.do("tick", limit=2)) == 2
    assert len(world.do("tick")) == 3


def test_a_copy_catches_up_from_its_token_or_starts_again() -> None:
    world = World("logged")
    world.settled("enter", "v", "rust")
    world.post("m1")
    token = world.rooms.token("rust")
    world.post("m2")
    missing = world.rooms.since("rust", token.to_str())
    assert isinstance(missing, Missing)
    assert [entry.seq for entry in missing.entries] == [2]
    assert world.rooms.since("rust", "garbage") == SnapshotNeeded("malformed token")
    assert isinstance(world.rooms.since("rust", Token("other", 1)), SnapshotNeeded)
    world.do("publish", "rust", added("m3"))
    assert world.rooms.token("rust").seq == 2  # what is not durable is not told
    image = world.rooms.image("rust")
    assert [one.id for one in image.messages] == ["m1", "m2", "m3"]
    with pytest.raises(UnknownRoom):
        world.rooms.image("nowhere")


def test_how_far_a_room_has_come_is_told_at_little_cost() -> None:
    world = World("logged")
    assert world.rooms.progress("rust") is None
    assert world.rooms.durability == "logged"
    world.do("publish", "rust", added("m0"))
    progress = world.rooms.progress("rust")
    assert progress is not None
    assert (progress.epoch, progress.seq, progress.waiting) == ("", 0, 1)
    world.settled("enter", "v", "rust")
    world.post("m1")
    world.do("publish", "rust", added("m2"))
    world.do("publish", "rust", TypingChanged("ada", 5.0))
    progress, view = world.rooms.progress("rust"), world.rooms.view("rust")
    assert progress is not None
    assert view.position is not None
    assert (progress.epoch, progress.seq, progress.changes) == (view.position.epoch, *view.revision)
    assert (progress.ordinal, progress.told, progress.durable, progress.waiting) == (3, 2, 2, 0)
    found = world.rooms.find("rust", "m2")
    assert found is not None
    assert (found[0], found[1].id) == (3, "m2")
    assert world.rooms.find("rust", "m9") is None
    assert world.rooms.find("go", "m1") is None
    assert world.rooms.interest("v", "rust") is Tier.ACTIVE
    assert world.rooms.interest("w", "rust") is Tier.UNLOADED


def test_the_short_way_and_the_long_way_lead_to_the_same_room() -> None:
    short, long = World("none"), World("none")
    for world in (short, long):
        world.settled("enter", "v", "rust", user="ada")
    for number in range(1, 60):
        update = added(f"m{number}", ("ada", "bob", "çy")[number % 3], ("hi", "é", "@ada")[number % 3])
        short.settled("publish", "rust", update)
        long.rooms._holdings["rust"].plain = False
        long.settled("publish", "rust", update)
    assert short.rooms.view("rust").messages == long.rooms.view("rust").messages
    assert short.rooms.unread("ada", "rust") == long.rooms.unread("ada", "rust")
    assert short.rooms.view("rust").notifications == long.rooms.view("rust").notifications


@pytest.mark.parametrize("text", ["hi", "hi @ada"])
@pytest.mark.parametrize("digest", [None, MessageDigest])
def test_the_short_way_drops_what_is_over_the_bounds_and_accounts_for_it(text: str, digest: Any) -> None:
    rooms = RoomStateManager(limits=Limits(active_messages=20, digest=digest))
    rooms.enter("v", "rust", user="ada")
    holding = rooms._holdings["rust"]
    for number in range(200):
        rooms.publish("rust", added(f"m{number}", "bob", text))
        assert holding.room is not None
        assert len(holding.room.timeline.held) <= 24
    assert holding.plain
    assert holding.room is not None
    rooms._house.weigh_messages(holding, holding.room)
    accounted = holding.bytes
    rooms._house.weigh(holding)
    assert holding.bytes == accounted
    rooms.check()


def test_a_room_that_messages_come_to_is_not_cold() -> None:
    world = World("none", max_bytes=6500)
    world.now = START.timestamp()
    for room in ("busy", "quiet"):
        world.settled("follow", "v", room)
        world.post("m0", room=room)
        world.now += 1
    for number in (2, 3, 4):
        world.now += 1
        world.post(f"m{number}", room="busy")
    assert world.rooms._holdings["busy"].touched < world.rooms._holdings["quiet"].touched  # it says so itself
    world.settled("follow", "v", "third")
    assert world.rooms.tier("busy") is Tier.BACKGROUND
    assert world.rooms.tier("quiet") < Tier.BACKGROUND
    world.check()


def test_the_garbage_collector_finds_nothing_in_a_room() -> None:
    """What it walks, in pauses of the whole program, does not grow with the number of rooms."""
    rooms = RoomStateManager(max_rooms_per_viewer=1000)

    def tracked(count: int) -> int:
        for number in range(count):
            rooms.follow("v", f"room{number}", now=1000.0 + number)
            for name in ("m1", "m2"):
                rooms.publish(f"room{number}", added(name), now=1000.0 + number)
        gc.collect()
        return len(gc.get_objects())

    few = tracked(10)
    assert tracked(300) < few + 100


def test_ui_state_can_be_forgotten() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    world.settled("set_ui_state", "v", "rust", {"draft": "x"})
    assert world.rooms.view("rust").ui_state == {"v": {"draft": "x"}}
    world.settled("set_ui_state", "v", "rust", None)
    assert world.rooms.view("rust").ui_state == {}
