"""Going up: what is held shows at once, what comes meanwhile is kept, what fails leaves things as they were."""

from __future__ import annotations

import pytest

from roomstate import MessageEdited, MessageRemoved, RoomCache, RoomConfig, RoomStateManager, Status, Tier
from roomstate.effects import (
    Appended,
    AppendLog,
    Deliver,
    Head,
    Loaded,
    LoadHead,
    LoadSnapshot,
    LogEntry,
    SaveFailed,
    SaveSnapshot,
    StatusChanged,
    TierChanged,
)
from roomstate.image import RoomImage
from roomstate.model import User
from roomstate.position import Position, Token
from roomstate.sync.feed import Missing
from roomstate.updates import ModerationConfigChanged, ReactionAdded, RoomConfigChanged, TypingChanged, UserJoined
from tests.holding.world import LIMITS, NaiveStore, Shelf, World, added, kinds, message, update_ids


def test_updates_that_arrive_while_a_load_is_in_flight_are_kept_and_merged() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    assert world.rooms.tier("rust") is Tier.CACHED
    world.do("enter", "v", "rust")
    world.do("publish", "rust", added("m3"))
    world.do("publish", "rust", MessageEdited("m1", "changed"))
    assert world.ids() == ["m3"]
    assert world.rooms.status("rust") is Status.LOADING
    world.host.settle()
    assert world.ids() == ["m1", "m2", "m3"]
    assert world.rooms.view("rust").messages[0].content == "changed"
    assert world.rooms.status("rust") is Status.READY
    world.check()


def test_a_load_that_completes_while_appends_are_in_flight_has_each_message_once() -> None:
    world = World()
    world.post("m1", "m2")
    world.do("enter", "v", "rust")
    world.do("publish", "rust", added("m3"))
    world.host.carry_out("rust")  # the load reads before the append
    if world.host.todo:
        world.host.carry_out("rust")
    while world.host.answers:
        world.host.answer(len(world.host.answers) - 1)  # the append is confirmed first
    world.host.settle()
    assert world.ids() == ["m1", "m2", "m3"]
    assert world.rooms.view("rust").durable == 3
    world.check()


def test_the_same_load_asked_for_twice_is_one_fetch() -> None:
    world = World()
    world.post("m1")
    first = world.do("enter", "v", "rust")
    second = world.do("enter", "w", "rust")
    assert LoadSnapshot in kinds(first)
    assert LoadSnapshot not in kinds(second)
    third = world.do("promote", "rust", Tier.BACKGROUND)
    assert LoadSnapshot not in kinds(third)
    world.host.settle()
    assert sum(isinstance(effect, LoadSnapshot) for effect in world.store.done) == 1


def test_a_higher_tier_supersedes_a_load_under_way() -> None:
    world = World()
    world.post("m1")
    first = world.do("follow", "v", "rust")[-1]
    world.do("enter", "v", "rust")
    world.host.settle()
    assert world.rooms.complete(first.request_id, Loaded()) == ()
    assert world.ids() == ["m1"]


def test_a_failed_promotion_leaves_the_old_contents_and_is_tried_again() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.post("m1", "m2", "m3", "m4", "m5")
    assert world.ids() == ["m3", "m4", "m5"]
    world.do("enter", "v", "rust")
    world.host.refuse("rust", "disk on fire")
    world.host.answer()
    (status,) = [one for one in world.host.drain() if isinstance(one, StatusChanged)]
    assert (status.new, status.reason) == (Status.ERROR, "disk on fire")
    assert world.ids() == ["m3", "m4", "m5"]
    world.post("m6")
    assert world.ids()[-1] == "m6"
    at = world.rooms.next_deadline()
    assert at == 1000.5
    world.now = at
    world.settled("tick")
    assert world.rooms.status("rust") is Status.READY
    assert world.ids() == ["m1", "m2", "m3", "m4", "m5", "m6"]
    world.check()


def test_what_is_kept_while_loads_fail_is_bounded_and_comes_from_the_log() -> None:
    before = World()
    before.settled("follow", "v", "rust")
    before.post("m1")
    before.settled("publish", "rust", RoomConfigChanged(RoomConfig(slow_mode_duration=5)))
    world = World(store=before.store, max_undurable_bytes=20_000)
    world.do("publish", "rust", added("m2"))
    world.host.carry_out("rust")
    world.host.answer()  # the head: all that is known of the room while m2 is on its way to the log
    world.do("enter", "v", "rust")
    world.host.carry_out("rust")
    world.host.answer()
    world.host.refuse("rust", "the snapshot cannot be read")
    world.host.answer()
    world.settled("publish", "rust", RoomConfigChanged(RoomConfig(slow_mode_duration=9)))
    peak = 0
    for number in range(400):
        world.settled("publish", "rust", added(f"n{number}", content="x" * 100))
        peak = max(peak, len(world.rooms._holdings["rust"].kept or ()))
        assert world.rooms.status("rust") is Status.ERROR
        world.check()
    assert 20 < peak < 100
    world.now = world.rooms.next_deadline() or 0
    world.settled("tick")
    assert world.rooms.status("rust") is Status.READY
    assert world.ids() == [f"n{number}" for number in range(390, 400)]
    assert world.rooms.view("rust").config.slow_mode_duration == 9
    world.check()


def test_a_load_that_was_read_before_what_was_left_to_the_log_fails_and_is_repeated() -> None:
    world = World(max_undurable_bytes=5_000)
    world.settled("follow", "v", "rust")
    world.post("m1")
    world.do("enter", "v", "rust")
    world.host.carry_out("rust")  # the load is read here, and answered after
    read = world.host.answers.pop()
    world.post(*(f"n{number}" for number in range(50)), content="x" * 100)
    world.host.answers.append(read)
    world.host.settle()
    assert world.rooms.status("rust") is Status.ERROR
    world.now = world.rooms.next_deadline() or 0
    world.settled("tick")
    assert world.rooms.status("rust") is Status.READY
    assert world.ids() == [f"n{number}" for number in range(40, 50)]
    world.check()


def test_what_was_never_loaded_is_never_saved() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post(*(f"m{n}" for n in range(1, 9)))
    world.settled("leave", "v", "rust")
    saved = dict(world.store.rooms["rust"].images)
    world.do("enter", "v", "rust")
    world.host.refuse("rust")
    world.host.answer()
    outputs = world.settled("leave", "v", "rust")
    assert SaveSnapshot not in kinds(outputs)
    assert world.rooms.tier("rust") is Tier.CACHED
    assert world.store.rooms["rust"].images == saved
    world.settled("enter", "v", "rust")
    assert world.ids() == [f"m{n}" for n in range(1, 9)]
    world.check()


def test_a_room_that_was_never_found_goes_back_to_nothing() -> None:
    world = World()
    world.do("enter", "v", "rust")
    world.host.refuse("rust")
    world.host.answer()
    outputs = world.settled("leave", "v", "rust")
    assert world.rooms.tier("rust") is Tier.UNLOADED
    assert [(one.old, one.new) for one in outputs if isinstance(one, TierChanged)][-1][1] is Tier.UNLOADED
    assert world.rooms.next_deadline() is None
    world.check()


def test_a_room_known_only_from_its_head_goes_to_rest_without_a_snapshot() -> None:
    world = World()
    world.post("m1")
    world.do("publish", "rust", added("m2"))
    world.host.carry_out("rust")
    world.host.answer()  # the head is known, the append is on its way
    world.do("follow", "v", "rust")
    assert world.ids() == ["m2"]
    while world.host.todo:
        effect = world.host.todo["rust"][0]
        (world.host.refuse if isinstance(effect, LoadSnapshot) else world.host.carry_out)("rust")
        world.host.answer()
    world.settled("leave", "v", "rust")
    assert world.rooms.tier("rust") is Tier.CACHED
    assert world.rooms.view("rust").info.last_activity == message("m2").timestamp
    world.settled("enter", "v", "rust")
    assert world.ids() == ["m1", "m2"]
    world.check()


def test_publishing_to_an_unloaded_room_loads_only_its_head() -> None:
    world = World()
    outputs = world.settled("publish", "rust", added("m1"))
    assert [type(one) for one in outputs if not isinstance(one, TierChanged)] == [LoadHead, AppendLog]
    assert world.rooms.tier("rust") is Tier.UNLOADED
    assert update_ids(world.store.rooms["rust"].log.values()) == ["m1"]
    assert world.rooms.known() == ()


def test_publishing_to_a_cached_room_asks_for_nothing_but_the_append() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1")
    world.settled("leave", "v", "rust")
    assert kinds(world.settled("publish", "rust", added("m2"))) == [AppendLog]
    view = world.rooms.view("rust")
    assert (view.tier, view.position, view.durable) == (Tier.CACHED, Position("e1", 2), 2)
    assert view.info.last_activity == message("m2").timestamp
    world.settled("enter", "v", "rust")
    assert world.ids() == ["m1", "m2"]


def test_promoting_a_room_whose_head_is_asked_for_numbers_what_waits() -> None:
    world = World()
    world.do("publish", "rust", added("m1"))
    world.do("enter", "v", "rust")
    world.host.settle()
    assert world.ids() == ["m1"]
    assert world.rooms.view("rust").durable == 1
    world.check()


@pytest.mark.parametrize("tier", ["active", "background", "cached", "unloaded"])
def test_a_configuration_applies_at_every_tier(tier: str) -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1")
    world.bring_down(tier)
    assert world.rooms.tier("rust").name == tier.upper()
    config = RoomConfig(slow_mode_enabled=True)
    world.settled("publish", "rust", RoomConfigChanged(config))
    world.settled("publish", "rust", ModerationConfigChanged({"level": 2}))
    for number in range(2, 90):  # more than a load asks for
        world.post(f"m{number}")
    world.settled("disconnect", "v")
    again = World(store=world.store)
    again.settled("enter", "w", "rust")
    assert again.rooms.view("rust").config == config
    again.check()


@pytest.mark.parametrize("tier", ["active", "background", "cached", "unloaded"])
def test_however_long_a_room_is_written_to_its_log_beyond_the_snapshot_stays_short(tier: str) -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.settled("publish", "rust", UserJoined(User("ada")))
    world.bring_down(tier)
    for number in range(90):
        world.post(f"m{number}")
        shelf = world.store.rooms["rust"]
        saved = max((image.position.seq for image in shelf.images.values()), default=0)
        assert max(shelf.log) - saved < LIMITS.active_messages
    assert world.rooms.tier("rust").name == tier.upper() or tier == "unloaded"
    again = World(store=world.store)  # as after a crash: nobody was asked to go down
    again.settled("enter", "w", "rust")
    assert again.ids() == world.ids()[-10:] if tier == "active" else again.ids()
    assert [user.id for user in again.rooms.view("rust").members] == ["ada"]
    again.check()


@pytest.mark.parametrize("more", [1, 15])
def test_a_brief_promotion_takes_nothing_from_the_next_whole_one(more: int) -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.settled("publish", "rust", UserJoined(User("ada")))
    world.post(*(f"m{number}" for number in range(8)))
    world.settled("disconnect", "v")
    world.post("n1", "n2")  # the room is promoted from a brief snapshot now
    world.settled("promote", "rust", load_history=False, load_users=False)
    world.post(*(f"o{number}" for number in range(more)))
    world.settled("demote", "rust")
    world.settled("enter", "v", "rust")
    assert len(world.ids()) == 10
    assert [user.id for user in world.rooms.view("rust").members] == ["ada"]
    world.check()


def test_who_looks_at_a_room_that_was_only_followed_sees_what_the_log_has() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.settled("publish", "rust", UserJoined(User("ada")))
    world.settled("publish", "rust", RoomConfigChanged(RoomConfig(emote_only=True)))
    world.post(*(f"m{number}" for number in range(8)))
    world.settled("disconnect", "v")
    world.post("m8")
    assert world.rooms.tier("rust") is Tier.CACHED
    world.settled("enter", "v", "rust")
    assert world.ids() == [f"m{number}" for number in range(9)]
    assert world.rooms.view("rust").config.emote_only
    assert [user.id for user in world.rooms.view("rust").members] == ["ada"]
    assert world.rooms.view("rust").members_complete
    world.check()


def test_a_setting_told_to_a_room_at_rest_hides_no_member() -> None:
    world = World()
    world.settled("publish", "rust", UserJoined(User("ada")))
    world.settled("publish", "rust", RoomConfigChanged(RoomConfig(emote_only=True)))  # its snapshot is a brief one
    world.settled("enter", "v", "rust")
    assert [user.id for user in world.rooms.view("rust").members] == ["ada"]
    for number in range(30):
        world.post(f"m{number}")
    assert world.rooms.view("rust").members_complete
    world.check()


def test_a_snapshot_that_is_owed_waits_until_the_log_has_all_that_it_would_hold() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post(*(f"m{number}" for number in range(9)))
    world.do("publish", "rust", added("m9"))
    assert SaveSnapshot not in kinds(world.do("publish", "rust", added("m10")))
    world.host.carry_out("rust")
    world.host.answer()  # m9 is in the log, m10 on its way
    assert SaveSnapshot not in kinds(world.host.drain())
    world.host.settle()
    (saved,) = [one for one in world.host.drain() if isinstance(one, SaveSnapshot)]
    assert saved.image.position.seq == 11
    world.check()


def test_a_restart_goes_on_in_the_same_epoch_only_where_everything_is_logged() -> None:
    for durability, same in (("logged", True), ("relaxed", False)):
        first = World(durability)
        first.post("m1")
        second = World(durability, first.store)
        second.epochs = 10
        second.settled("enter", "v", "rust")
        position = second.rooms.view("rust").position
        assert position is not None
        assert (position.epoch == "e1") is same
        second.post("m2")
        assert second.ids() == ["m1", "m2"]
        assert second.store.rooms["rust"].end == 2


def test_relaxed_numbers_all_rooms_of_a_run_in_one_epoch() -> None:
    world = World("relaxed")
    for _ in range(2):
        world.settled("enter", "v", "rust")
        world.settled("leave", "v", "rust")
        world.settled("demote", "rust")
    world.settled("enter", "v", "rust")
    world.settled("enter", "v", "go")
    assert {world.rooms.view(room).position.epoch for room in ("rust", "go")} == {"e1"}  # type: ignore[union-attr]


def test_an_image_newer_than_the_log_is_gone_on_from() -> None:
    store = NaiveStore()
    shelf = store.rooms["rust"] = Shelf()
    shelf.epoch = "old"
    image = RoomImage(
        room_id="rust", position=Position("old", 5), ordinal=1, held_after=0, messages=(message("m1"),), seqs=(1,)
    )
    shelf.images[Tier.ACTIVE] = image
    world = World(store=store)
    world.settled("enter", "v", "rust")
    view = world.rooms.view("rust")
    assert (view.position, view.durable) == (Position("old", 5), 5)
    world.post("m2")
    assert world.ids() == ["m1", "m2"]
    assert store.rooms["rust"].log[6].ordinal == 2
    world.check()


def test_a_load_that_ends_before_what_is_known_is_a_failure() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    effect = world.do("enter", "v", "rust")[-1]
    world.host.todo.clear()
    world.host.take(world.rooms.complete(effect.request_id, Loaded(Head(Position("e1", 1), 1), None, ())))
    assert world.rooms.status("rust") is Status.ERROR
    assert world.rooms.view("rust").position == Position("e1", 2)
    world.now += 1
    world.settled("tick")
    assert world.ids() == ["m1", "m2"]


def test_a_late_head_does_not_disturb_a_room_that_was_loaded_meanwhile() -> None:
    world = World()
    head = world.do("publish", "rust", added("m1"))[0]
    world.do("enter", "v", "rust")
    world.host.settle()
    assert world.rooms.complete(head.request_id, Head(Position("e9", 70), 70)) == ()
    assert world.rooms.view("rust").position == Position("e1", 1)


def test_a_head_that_cannot_be_found_is_asked_for_again_and_nothing_is_lost() -> None:
    world = World()
    world.do("publish", "rust", added("m1"))
    world.host.refuse("rust")
    world.host.answer()
    assert SaveFailed in kinds(world.host.drain())
    assert kinds(world.do("publish", "rust", added("m2"))) == []
    world.now += 1
    world.settled("tick")
    assert update_ids(world.store.rooms["rust"].log.values()) == ["m1", "m2"]
    world.check()


def test_what_only_the_live_room_knows_survives_a_load() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1")
    world.settled("leave", "v", "rust")
    world.do("enter", "v", "rust")
    world.do("publish", "rust", TypingChanged("ada"))
    world.do("set_ui_state", "v", "rust", {"draft": "x"})
    world.host.settle()
    view = world.rooms.view("rust")
    assert view.typing == ("ada",)
    assert view.ui_state == {"v": {"draft": "x"}}


def test_going_up_twice_from_what_is_held_shows_it_at_once() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.post("m1", "m2", "m3", "m4")
    world.do("enter", "v", "rust")
    assert world.ids() == ["m2", "m3", "m4"]
    world.host.settle()
    assert world.ids() == ["m1", "m2", "m3", "m4"]


def test_without_a_log_a_room_that_was_evicted_counts_on_in_a_new_epoch() -> None:
    world = World("none", cache=RoomCache(max_rooms=1))
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    world.settled("demote", "rust")
    assert world.rooms.tier("rust") is Tier.UNLOADED
    world.post("m3")
    assert world.rooms.view("rust").position == Position("e2", 3)
    assert world.rooms.view("rust").floor == 2
    assert str(world.rooms.unread("ada", "rust").messages) == "3"
    world.check()


def test_a_message_that_comes_again_during_a_load_without_a_log_is_held_once() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    world.do("enter", "v", "rust", user="ada")
    world.do("publish", "rust", added("m1"))
    world.host.settle()
    assert world.ids() == ["m1", "m2"]
    assert str(world.rooms.unread("ada", "rust").messages) == "2"
    world.check()


def test_pressure_lets_following_lapse_and_leaves_those_who_look() -> None:
    world = World(max_bytes=12_000)
    world.settled("enter", "v", "looked at")
    world.settled("follow", "w", "followed")
    world.post(*(f"m{n}" for n in range(9)), room="looked at", content="x" * 900)
    assert world.rooms.tier("looked at") is Tier.ACTIVE
    assert world.rooms.tier("followed") <= Tier.CACHED
    assert world.rooms.stats().count("signal", "PRESSURE") == 1
    world.check()


def test_pressure_shrinks_the_cache_first_and_asks_once_for_each_room() -> None:
    world = World(max_bytes=20_000)
    for room in ("a", "b", "c"):
        world.settled("follow", "v", room)
        world.now += 1
    assert all(world.rooms.tier(room) is Tier.BACKGROUND for room in ("a", "b", "c"))
    world.do("enter", "w", "big")
    world.host.settle()
    for number in range(9):
        world.do("publish", "big", added(f"m{number}", content="x" * 900))
        world.host.settle()
    assert world.rooms.tier("a") <= Tier.CACHED  # the coldest
    world.check()


def test_lookups_are_counted_once_with_how_often_the_room_is_asked_for() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.settled("leave", "v", "rust")
    world.settled("enter", "v", "rust")
    world.settled("promote", "rust")
    stats = world.rooms.stats()
    assert stats.count("lookup") == 3
    assert stats.count("lookup", "miss") == 1
    assert stats.hit_ratio == pytest.approx(2 / 3)


def test_entries_in_flight_that_the_log_had_already_are_taken_back() -> None:
    world = World()
    world.post("m1")
    world.settled("enter", "v", "rust", user="ada")
    for number in range(2, 6):
        world.post(f"m{number}")
    world.settled("leave", "v", "rust")
    world.do("enter", "v", "rust", user="ada")
    outputs = world.do("publish", "rust", added("m1"))  # not known here yet: it takes a seq
    world.host.settle()
    assert world.ids() == ["m1", "m2", "m3", "m4", "m5"]
    assert not any(isinstance(one, Deliver) for one in [*outputs, *world.host.drain()])
    assert world.rooms.stats().count("update", "message_added", "repeated") == 1
    assert str(world.rooms.unread("ada", "rust").messages) == "4"
    world.post("m6")
    assert world.store.rooms["rust"].log[7] == LogEntry(7, 7, added("m6"))
    world.check()


def test_a_repetition_confirmed_by_the_log_is_withdrawn() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    (append,) = world.do("publish", "rust", added("m1"))
    world.host.todo.clear()
    world.host.take(world.rooms.complete(append.request_id, Appended(1, (1,))))
    assert world.ids() == []
    assert str(world.rooms.unread("ada", "rust").messages) == "0"
    assert not any(isinstance(one, Deliver) for one in world.host.drain())
    world.check()


def test_a_repetition_that_the_log_notices_during_a_load_does_not_come_back_with_what_was_kept() -> None:
    """Found by the simulator: seed 7739."""
    before = World()
    before.post("old", *(f"m{number}" for number in range(40)))
    world = World(store=before.store)
    world.settled("follow", "v", "rust")
    world.do("enter", "v", "rust")
    world.host.carry_out("rust")  # the load has read the log, and not answered yet
    world.do("publish", "rust", added("old"))
    world.do("publish", "rust", added("new"))
    while world.host.todo:
        world.host.carry_out("rust")
    while world.host.answers:
        world.host.answer(len(world.host.answers) - 1)  # the appends are confirmed first
    world.host.settle()
    assert "old" not in world.ids()
    assert world.ids()[-2:] == ["m39", "new"]
    assert world.rooms.view("rust").position == Position("e1", 43)
    world.check()


def test_removals_and_reactions_at_rest_reach_the_room() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    world.settled("publish", "rust", MessageRemoved("m1"))
    world.settled("publish", "rust", ReactionAdded("m2", "bob", "+1"))
    assert str(world.rooms.unread("ada", "rust").messages) == "1+"
    world.settled("enter", "v", "rust", user="ada")
    assert world.ids() == ["m2"]
    assert world.rooms.view("rust").annotations["m2"].reactions == {"+1": ("bob",)}


def test_the_log_may_say_of_anything_that_it_had_it() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    (append,) = world.do("publish", "rust", ReactionAdded("m1", "bob", "+1"))
    assert world.rooms.complete(append.request_id, Appended(1, (1,))) == ()
    world.check()


def test_pressure_leaves_what_is_pinned_and_what_is_on_its_way_to_the_log() -> None:
    cache = RoomCache()
    world = World(cache=cache, max_bytes=9000)
    world.settled("follow", "v", "pinned")
    world.settled("leave", "v", "pinned")
    cache.pin("pinned")
    world.settled("follow", "v", "busy")
    world.do("publish", "busy", added("m1"))
    world.do("promote", "big")
    world.host.todo.pop("big")
    world.now += 1
    world.do("publish", "busy", added("m2", content="x" * 9000))
    assert world.rooms.tier("pinned") is Tier.CACHED
    assert world.rooms.tier("busy") is Tier.BACKGROUND
    world.host.settle()
    assert world.rooms.tier("busy") <= Tier.CACHED
    assert world.rooms.tier("pinned") is Tier.CACHED
    world.check()


def test_what_a_room_at_rest_was_told_is_missing_to_copies_of_before() -> None:
    rooms = RoomStateManager(durability="logged", clock=lambda: 1000.0)
    (asked,) = rooms.publish("rust", RoomConfigChanged(RoomConfig(emote_only=True)))
    assert isinstance(asked, LoadHead)
    outputs = rooms.complete(asked.request_id, Head(Position("e1", 5), 5))
    appends = [each for each in outputs if isinstance(each, AppendLog)]
    loads = [each for each in outputs if isinstance(each, LoadSnapshot)]
    rooms.fail(loads[0].request_id, "not now")
    rooms.complete(appends[0].request_id, Appended(6))
    missing = rooms.since("rust", Token("e1", 5))
    assert isinstance(missing, Missing)
    assert [entry.seq for entry in missing.entries] == [6]
