"""Warming: rooms come into the cache before anybody asks, stay right there, and never disturb."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from roomstate import Keywords, Position, RoomCache, RoomInfo, Status, Tier
from roomstate.effects import Evicted, Head, LoadHead, LoadPacked, LoadSnapshot, Packed, TierChanged
from roomstate.errors import InvalidValue
from roomstate.residency.prediction import Prediction, RecencyPredictor
from roomstate.residency.warming import Warmer
from roomstate.room.states import CachedRoom
from tests.holding.world import World, added, kinds


class Told(RecencyPredictor):
    """Names the rooms that it is told to, in order; keeps what it hears."""

    def __init__(self, *rooms: Any) -> None:
        super().__init__()
        self.rooms = rooms
        self.heard: list[tuple[Any, ...]] = []

    def predict(self, viewer: str, now: float, limit: int = 5) -> tuple[Prediction, ...]:
        return tuple(Prediction(room, 0.5) for room in self.rooms)[:limit]

    def visited(self, viewer: str, room: str, now: float) -> None:
        self.heard.append(("visited", viewer, room, now))

    def activity(self, room: str, user: str, kind: Any, now: float) -> None:
        self.heard.append((kind, user, room, now))


class Broken(Told):
    def predict(self, viewer: str, now: float, limit: int = 5) -> tuple[Prediction, ...]:
        raise OSError("no model")

    def visited(self, viewer: str, room: str, now: float) -> None:
        raise KeyError(room)


def eager(*rooms: Any, predictor: Told | None = None, **bounds: Any) -> Warmer:
    """A warmer that loads whatever its predictor names."""
    return Warmer(predictor or Told(*rooms), least_chance=0.0, **bounds)


def with_store(*rooms: str, messages: int = 7) -> World:
    """A world that has come to rest: its store has these rooms, with a snapshot of each tier."""
    world = World()
    for room in rooms:
        world.settled("enter", "writer", room)
        world.post(*(f"m{number}" for number in range(messages)), room=room)
        world.settled("follow", "writer", room)
        world.settled("leave", "writer", room)
    return world


def after_restart(old: World, warmer: Warmer, **options: Any) -> World:
    world = World(store=old.store, warmer=warmer, **options)
    world.epochs = 50
    return world


def found(world: World) -> tuple[int, int, int]:
    stats = world.rooms.stats()
    return stats.count("warm", "used"), stats.count("warm", "wasted"), stats.count("warm", "failed")


def test_a_warmed_room_is_cached_and_opens_without_its_snapshot_being_read_again() -> None:
    world = after_restart(with_store("rust"), eager("rust"))
    outputs = world.settled("warm", "v", user="ada")
    assert kinds(outputs) == [LoadPacked, TierChanged]
    assert world.rooms.tier("rust") is Tier.CACHED
    view = world.rooms.view("rust")
    assert (view.position, view.status) == (Position("e1", 7), Status.READY)
    assert not world.rooms.unread("ada", "rust").messages.exact  # its markers lie in the store
    (load,) = [one for one in world.do("enter", "v", "rust", user="ada") if isinstance(one, LoadSnapshot)]
    assert load.packed is not None
    world.host.settle()
    assert world.ids() == [f"m{number}" for number in range(7)]
    assert world.rooms.status("rust") is Status.READY
    assert found(world) == (1, 0, 0)
    world.check()


def test_a_room_that_is_published_to_while_it_is_warm_shows_everything() -> None:
    world = after_restart(with_store("rust"), eager("rust"))
    world.settled("warm", "v")
    outputs = world.do("publish", "rust", added("m8"))
    assert LoadHead not in kinds(outputs)  # its record says where the log ends
    world.host.settle()
    assert world.rooms.tier("rust") is Tier.CACHED
    assert world.rooms.view("rust").position == Position("e1", 8)
    world.post("m9")
    world.settled("enter", "v", "rust")
    assert world.ids() == [f"m{number}" for number in (*range(7), 8, 9)]
    world.check()


def test_a_load_that_is_overtaken_by_a_publish_does_not_bring_back_an_old_head() -> None:
    world = after_restart(with_store("rust"), eager("rust"))
    world.do("warm", "v")
    world.host.carry_out("rust")  # the store has answered, nobody has heard it yet
    (answer,) = world.host.answers
    world.host.answers.clear()
    world.post("m8")
    world.host.answers.append(answer)
    world.host.settle()
    assert world.rooms.tier("rust") is Tier.UNLOADED
    assert found(world) == (0, 1, 0)
    world.post("m9")
    world.settled("enter", "v", "rust")
    assert world.ids() == [f"m{number}" for number in (*range(7), 8, 9)]
    assert [entry.seq for entry in world.store.rooms["rust"].log.values()] == list(range(1, 10))
    world.check()


def test_entering_a_room_while_it_is_being_warmed_counts_the_load_as_wasted() -> None:
    world = after_restart(with_store("rust"), eager("rust"))
    world.do("warm", "v")
    world.do("enter", "v", "rust")
    world.host.settle()
    assert len(world.ids()) == 7
    assert found(world) == (0, 1, 0)
    world.check()


def test_enter_warms_for_the_turn_after_and_follow_does_not() -> None:
    world = after_restart(with_store("rust", "go"), eager("go"))
    assert LoadPacked not in kinds(world.settled("follow", "v", "rust"))
    assert LoadPacked in kinds(world.settled("enter", "v", "rust"))
    assert LoadPacked not in kinds(world.settled("enter", "v", "rust"))  # no turn
    assert world.rooms.tier("go") is Tier.CACHED
    assert world.rooms.tier("rust") is Tier.ACTIVE
    world.settled("promote", "go", Tier.BACKGROUND)
    assert found(world) == (1, 0, 0)
    world.check()


def test_what_is_held_or_on_its_way_is_not_loaded() -> None:
    world = after_restart(with_store("rust", "go", "zig"), eager("rust", "go", "zig"))
    world.settled("enter", "v", "rust")
    assert world.rooms.tier("go") is Tier.CACHED
    assert kinds(world.do("warm", "v")) == []
    world = after_restart(with_store("rust"), eager("rust"))
    assert kinds(world.do("warm", "v")) == [LoadPacked]
    assert kinds(world.do("warm", "w")) == []


def test_a_failed_warm_never_disturbs_and_may_be_tried_again() -> None:
    world = after_restart(with_store("rust"), eager("rust"))
    world.do("warm", "v")
    world.host.refuse("rust")
    world.host.answer()
    assert world.host.drain() == []
    assert world.rooms.tier("rust") is Tier.UNLOADED
    assert world.rooms.next_deadline() is None
    assert found(world) == (0, 0, 1)
    world.settled("warm", "v")
    assert world.rooms.tier("rust") is Tier.CACHED
    world.check()


def test_a_room_that_the_store_does_not_know_fails_and_one_without_a_snapshot_is_known_by_its_head() -> None:
    world = World()
    world.post("m1")
    world = after_restart(world, eager("nowhere", "rust"))
    world.settled("warm", "v")
    assert world.rooms.known() == ("rust",)
    assert found(world) == (0, 0, 1)
    world.settled("enter", "v", "rust")
    assert world.ids() == ["m1"]
    world.check()


@pytest.mark.parametrize("durability", ["none", "relaxed"])
def test_the_epoch_of_a_warmed_room_is_the_one_that_its_log_goes_on_in(durability: str) -> None:
    world = World(durability, store=with_store("rust").store, warmer=eager("rust"))
    world.epochs = 50
    world.settled("warm", "v")
    if durability == "none":  # without a log there is nothing to load
        assert world.rooms.tier("rust") is Tier.UNLOADED
        return
    assert world.rooms.view("rust").position == Position("e51", 7)
    world.post("m8")
    assert world.store.rooms["rust"].epoch == "e51"
    world.settled("enter", "v", "rust")
    assert len(world.ids()) == 8
    world.check()


def test_nothing_is_loaded_while_memory_is_short() -> None:
    world = after_restart(with_store("rust"), eager("rust"), max_bytes=500)
    world.settled("enter", "v", "go")
    assert world.rooms.stats().requests == 0
    assert kinds(world.do("warm", "v")) == []


@pytest.mark.parametrize(
    ("role", "durability", "loads"),
    [
        ("authority", "relaxed", 1),
        ("authority", "none", 0),
        ("replica", "relaxed", 0),
        ("replica", "none", 0),
    ],
)
def test_a_replica_warms_nothing_and_neither_does_who_has_no_log(role: str, durability: str, loads: int) -> None:
    world = World(warmer=eager("rust"), role=role, durability=durability)
    assert kinds(world.do("warm", "v")) == [LoadPacked] * loads
    assert found(world) == (0, 0, 0)


def test_what_the_cache_lets_go_is_wasted() -> None:
    world = after_restart(with_store("rust"), eager("rust"), cache=RoomCache(max_rooms=1))
    world.settled("warm", "v")
    world.settled("demote", "rust")
    assert found(world) == (0, 1, 0)
    cache = RoomCache(max_rooms=1)
    cache.put("pinned", b"...", now=0.0, pinned=True)
    world = after_restart(with_store("rust"), eager("rust"), cache=cache)
    outputs = world.settled("warm", "v")
    assert kinds(outputs) == [LoadPacked, TierChanged, TierChanged, Evicted]
    assert found(world) == (0, 1, 0)
    world.check()


def test_an_old_deep_snapshot_serves_a_follower_too() -> None:
    old = with_store("rust")
    old.settled("follow", "writer", "rust")
    old.post(*(f"n{number}" for number in range(20)))
    old.settled("leave", "writer", "rust")
    for verb in ("follow", "enter"):
        world = after_restart(old, eager("rust"))
        world.settled("warm", "v")
        world.settled(verb, "v", "rust")
        assert world.ids()[-3:] == ["n17", "n18", "n19"]
        world.settled("leave", "v", "rust")
        assert world.rooms.tier("rust") is Tier.CACHED
        world.check()


def test_a_warmed_room_whose_load_fails_goes_back_to_what_it_was() -> None:
    world = after_restart(with_store("rust"), eager("rust"))
    world.settled("warm", "v")
    world.do("enter", "v", "rust")
    world.host.refuse("rust")
    world.host.answer()
    assert world.rooms.status("rust") is Status.ERROR
    world.settled("leave", "v", "rust")
    packed = world.rooms._house.cache.peek("rust")
    assert packed is not None
    assert CachedRoom.unpacked("rust", packed).full
    world.settled("enter", "v", "rust")
    assert len(world.ids()) == 7


def test_the_predictor_hears_of_users_and_never_of_a_connection() -> None:
    predictor = Told()
    world = World(warmer=eager(predictor=predictor))
    world.settled("enter", "phone", "rust", user="ada")
    world.settled("enter", "phone", "rust")
    world.post("m1", user="bob", content="hi @ada")
    world.post("m1", user="bob")  # a repetition
    at = world.now
    world.now += 5
    world.settled("mark_read", "phone", "rust")
    world.settled("follow", "phone", "go")
    world.settled("mark_read", "phone", "go")  # clears a badge
    assert predictor.heard == [
        ("visited", "ada", "rust", at),
        ("message", "bob", "rust", at),
        ("mention", "ada", "rust", at),
        ("visited", "ada", "rust", at + 5),
    ]


def test_without_a_log_the_short_way_of_publish_tells_the_predictor_too() -> None:
    predictor = Told()
    world = World("none", warmer=eager(predictor=predictor))
    world.settled("enter", "ada", "rust")
    world.post("m1", "m2", "m3", user="bob")
    world.post("m4", user="bob", content="@ada")
    assert [kind for kind, *_ in predictor.heard] == ["visited", *["message"] * 4, "mention"]
    world.check()


def test_only_who_was_called_is_likely_to_come() -> None:
    predictor = Told()
    world = World(warmer=eager(predictor=predictor), rules=(Keywords({"ada": ["hi"]}),))
    world.settled("enter", "ada", "rust")
    world.post("m1", user="bob")
    assert [kind for kind, *_ in predictor.heard] == ["visited", "message"]
    assert world.rooms.stats().count("notified") == 1


def test_what_a_predictor_raises_or_invents_disturbs_nobody() -> None:
    world = after_restart(with_store("rust"), eager(predictor=Broken()))
    world.settled("enter", "v", "rust")
    world.settled("warm", "v")
    assert len(world.ids()) == 7
    stats = world.rooms.stats()
    assert (stats.count("predictor", "failed", "KeyError"), stats.count("predictor", "failed", "OSError")) == (1, 2)
    world = after_restart(with_store("rust"), eager("x" * 5000, "rust"))
    world.settled("warm", "v")
    assert world.rooms.known() == ("rust",)
    assert found(world) == (0, 0, 1)
    for names in (("rust", "rust"), ("",), (7,)):
        world = after_restart(with_store("rust"), eager(*names))
        assert kinds(world.settled("warm", "v")) == []
        assert world.rooms.stats().count("predictor", "failed", "InvalidValue") == 1
        world.check()


def test_a_wrong_call_changes_nothing() -> None:
    world = World(warmer=eager("rust"))
    world.settled("enter", "v", "go", user="ada")
    for viewer, user in (("", None), (7, None), ("v", "bob"), ("w", "")):
        with pytest.raises(InvalidValue):
            world.rooms.warm(viewer, user=user)  # type: ignore[arg-type]
    assert World().do("warm", "v") == []  # no warmer, nothing to do


GOOD = Packed(Head(Position("e1", 7), 7), b"snapshot", 7, 5.0, RoomInfo())


@pytest.mark.parametrize(
    "wrong",
    [
        "packed",
        Packed(7),  # type: ignore[arg-type]
        structs.replace(GOOD, seq=8),
        structs.replace(GOOD, seq=-1),
        structs.replace(GOOD, seq="7"),
        structs.replace(GOOD, snapshot="text"),
        structs.replace(GOOD, info=3),
        structs.replace(GOOD, taken_at="now"),
        structs.replace(GOOD, info=RoomInfo(stream_status="x" * 70_000)),
        structs.replace(GOOD, head=Head(Position(7, 7), 7)),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_answer_leaves_the_request_open(wrong: Any) -> None:
    world = World(warmer=eager("rust"))
    (load,) = world.do("warm", "v")
    with pytest.raises(InvalidValue):
        world.rooms.complete(load.request_id, wrong)
    world.check()
    world.rooms.complete(load.request_id, GOOD)
    assert world.rooms.tier("rust") is Tier.CACHED
    world.check()
