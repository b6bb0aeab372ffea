from __future__ import annotations

import msgspec
import pytest

from roomstate import MessageEdited, RoomConfig, Status, Tier, User
from roomstate.holding.view import RoomView
from roomstate.updates import ModerationConfigChanged, PresenceChanged, ReactionAdded, RoomConfigChanged, UserJoined
from tests.holding.world import World, added, message


def test_a_view_is_of_one_moment() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    world.post("m1")
    view = world.rooms.view("rust")
    world.post("m2")
    world.settled("publish", "rust", MessageEdited("m1", "new"))
    world.settled("publish", "rust", ReactionAdded("m1", "bob", "+1"))
    assert [one.content for one in view.messages] == ["hi"]
    assert view.annotations == {}
    assert view.revision == (1, 0)
    with pytest.raises(AttributeError):
        view.durable = 9  # type: ignore[misc]


def test_what_each_tier_tells() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    for update in (
        UserJoined(User("bob")),
        PresenceChanged("bob", "online"),
        RoomConfigChanged(RoomConfig(emote_only=True)),
        ModerationConfigChanged({"level": 1}),
        added("m5"),
    ):
        world.settled("publish", "rust", update)
    active = world.rooms.view("rust")
    assert active.is_ready
    assert (active.members, active.members_complete, active.present) == ((User("bob"),), True, 1)
    assert (active.presence, active.moderation, active.config.emote_only) == ({"bob": "online"}, {"level": 1}, True)
    world.settled("follow", "v", "rust")
    background = world.rooms.view("rust")
    assert (background.tier, background.members, background.present) == (Tier.BACKGROUND, (), 1)
    assert background.config.emote_only
    world.settled("leave", "v", "rust")
    cached = world.rooms.view("rust")
    assert (cached.tier, cached.messages, cached.info.last_activity) == (Tier.CACHED, (), message("m5").timestamp)
    assert cached.info.user_count == 1
    assert cached.held_after == cached.durable == 4
    world.settled("demote", "rust")
    world.settled("enter", "w", "rust")
    assert world.rooms.view("rust").moderation == {"level": 1}


def test_not_loaded_yet_never_looks_like_no_messages() -> None:
    world = World()
    world.do("enter", "v", "rust")
    loading = world.rooms.view("rust")
    assert (loading.status, loading.is_ready, loading.position) == (Status.LOADING, False, None)
    world.host.settle()
    assert world.rooms.view("rust").is_ready


def test_a_room_at_rest_whose_log_is_written_to() -> None:
    world = World()
    world.do("publish", "rust", added("m1"))
    waiting = world.rooms.view("rust")
    assert (waiting.tier, waiting.position) == (Tier.UNLOADED, None)
    world.host.carry_out("rust")
    world.host.answer()
    numbered = world.rooms.view("rust")
    assert numbered.position is not None
    assert (numbered.tier, numbered.position.seq, numbered.durable, numbered.held_after) == (Tier.UNLOADED, 1, 0, 1)


def test_a_cached_room_whose_append_is_under_way() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.post("m1")
    world.settled("leave", "v", "rust")
    world.do("publish", "rust", added("m2"))
    view = world.rooms.view("rust")
    assert view.position is not None
    assert (view.tier, view.position.seq, view.durable) == (Tier.CACHED, 2, 1)


def test_without_a_log_nothing_is_known_before_the_window() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    world.post(*(f"m{number}" for number in range(1, 30)))
    view = world.rooms.view("rust")
    assert len(view.messages) == 10
    assert view.floor == view.held_after > 0


def test_a_view_has_a_default_for_all_but_its_name() -> None:
    fields = [field.name for field in msgspec.structs.fields(RoomView) if field.required]
    assert fields == ["room_id", "tier", "status"]
