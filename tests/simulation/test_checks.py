"""Each check fails where it must: a sound world, and then one thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from msgspec import structs

from roomstate import Message, MessageAdded, RoomConfig, User
from roomstate.position import Gap
from roomstate.testing.checks import Diverged, _fold, check_copies, check_healed
from roomstate.testing.happenings import happen
from roomstate.testing.schedule import Event, Options
from roomstate.testing.world import World, room_name
from roomstate.updates import (
    CountsChanged,
    MessageRemoved,
    ModerationConfigChanged,
    ReactionAdded,
    ReactionRemoved,
    RoomConfigChanged,
    StreamStatusChanged,
)

ROOM = room_name(0)


def world_of(*events: Event, **options: Any) -> World:
    """A calm world in which a viewer is in the one room, and this happens."""
    world = World(Options(replicas=1, rooms=1, calm=True, **options))
    happen(world, Event("enter", node=1))
    world.wait(1.0)
    for event in events:
        happen(world, event)
        world.wait(0.2)
    world.wait(2.0)
    return world


def posts(*names: str) -> tuple[Event, ...]:
    return tuple(Event("post", name=name, text=name) for name in names)


def book(world: World) -> Any:
    return world.ledger.current(ROOM)


def doctored(number: int, **fields: Any) -> Callable[[World], Any]:
    """Let an end's image say something else."""

    def change(world: World) -> Any:
        image = world.manager(number).image(ROOM)
        return mock.patch.object(world.manager(number), "image", return_value=structs.replace(image, **fields))

    return change


def test_a_sound_world_passes() -> None:
    world = world_of(*posts("p1", "p2", "p3"), Event("react", name="p1"), Event("remove", name="p2"))
    check_copies(world)
    check_healed(world)
    assert [message.id for message in world.manager(1).view(ROOM).messages] == ["p1", "p3"]


A, B = (Message(name, "u", name) for name in "ab")


@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        ("twice", {"messages": (A, A), "seqs": (1, 2)}),
        ("order", {"messages": (A, B), "seqs": (2, 1)}),
        ("misplaced", {"messages": (A, B), "seqs": (1, 2)}),
        ("missing", {"messages": (), "seqs": ()}),
    ],
)
def test_a_copy_that_shows_something_else_is_found_at_once(fault: str, fields: dict[str, Any]) -> None:
    world = world_of(*posts("p1", "p2"))
    with doctored(1, **fields)(world), pytest.raises(Diverged) as caught:
        check_copies(world)
    assert caught.value.fault == fault
    assert caught.value.where == f"replica 1, {ROOM}"


def test_a_copy_may_be_of_a_log_that_has_fallen_back_but_not_of_two_of_them() -> None:
    world = world_of(*posts("p1", "p2", "p3"))
    old = book(world)
    world.ledger.fall_back({ROOM: 2})
    check_copies(world)  # the replica has not heard of that
    book(world).write(3, MessageAdded(Message("x3", "u", "other")))
    book(world).write(4, MessageAdded(Message("x4", "u", "other")))
    check_copies(world)
    assert book(world).earlier == (old,)
    image = world.manager(1).image(ROOM)
    messages, position = (*image.messages, Message("x4", "u", "other")), structs.replace(image.position, seq=4)
    mixed = doctored(1, messages=messages, seqs=(*image.seqs, 4), position=position, fingerprint="")
    with mixed(world), pytest.raises(Diverged, match="misplaced"):
        check_copies(world)
    happen(world, Event("hang_up", node=1, number=1))  # STALE: it will ask which log it is of
    with mixed(world):
        check_copies(world)


def fallen_back(*, seq: int, name: str) -> World:
    """A world whose log has fallen back to 1 and gone on otherwise, with message ``name`` at ``seq``."""
    world = world_of(*posts("p1", "p2", "p3"))
    world.ledger.fall_back({ROOM: 1})
    for at in (2, 3):
        book(world).write(at, MessageAdded(Message(name if at == seq else f"x{at}", "u", name)))
    return world


@pytest.mark.parametrize(
    ("seq", "name", "alike"), [(3, "p3", True), (2, "p3", False), (2, "p2", False), (3, "y", False)]
)
def test_no_token_tells_two_logs_apart_that_are_alike_where_it_points(seq: int, name: str, alike: bool) -> None:
    world = fallen_back(seq=seq, name=name)
    image = world.manager(1).image(ROOM)
    messages = (*image.messages[:1], Message("z", "u", "of neither"), *image.messages[2:])
    with doctored(1, messages=messages, fingerprint="")(world):
        if alike:
            check_copies(world)
        else:
            with pytest.raises(Diverged):
                check_copies(world)
    assert world.deceived == ({(1, ROOM)} if alike else set())


def test_no_token_tells_messages_apart_that_were_removed() -> None:
    world = fallen_back(seq=2, name="x2")
    image = world.manager(1).image(ROOM)
    with doctored(1, messages=(*image.messages[:2], Message("z", "u", "of neither")))(world):
        with pytest.raises(Diverged):
            check_copies(world)
        for seq, name in ((4, "p3"), (5, "x3")):
            book(world).write(seq, MessageRemoved(name))
        check_copies(world)


def test_what_the_log_has_forgotten_may_come_again_as_a_new_message() -> None:
    world = world_of(*posts(*(f"p{number}" for number in range(6))), Event("react", name="p0"))
    log, head = book(world), len(book(world).updates)
    log.write(head + 1, log.updates[1])
    assert log.added["p0"] == 1
    with pytest.raises(Diverged, match="a message twice"):
        check_healed(world)
    del log.updates[head + 1]
    world.ledger.cut(ROOM, 2)
    log.write(head + 1, log.updates[1])
    assert log.added["p0"] == head + 1
    folded = _fold(log)
    assert [*folded.messages] == ["p1", "p2", "p3", "p4", "p5", "p0"]
    assert folded.reactions == {}


def test_a_gap_explains_what_is_missing() -> None:
    world = world_of(*posts("p1", "p2"))
    with doctored(1, messages=(), seqs=(), gaps=(Gap(0, 2),))(world):
        check_copies(world)


def found(world: World, *, settled: bool = True) -> str:
    with pytest.raises(Diverged) as caught:
        check_healed(world, settled=settled)
    return caught.value.fault


def test_a_message_that_was_removed_is_not_to_be_shown() -> None:
    world = world_of(*posts("p1", "p2"))
    book(world).removed["p1"] = 2
    assert found(world) == "removed"


def test_an_echo_is_not_to_be_shown_beside_its_message() -> None:
    world = world_of(*posts("p1"))
    world.ends[1].call("send", ROOM, "hi", user="u0", client_id="p1")
    assert found(world) == "twice"


def test_what_was_acknowledged_must_be_in_the_log() -> None:
    world = world_of(*posts("p1"))
    world.ledger.acknowledged[ROOM, "p9"] = None
    assert found(world) == "lost"
    book(world).removed["p9"] = 7  # it may have been removed before it came
    check_healed(world)


def test_the_log_must_not_have_a_message_twice() -> None:
    world = world_of(*posts("p1"))
    book(world).updates[9] = MessageAdded(Message("p1", "u", "p1"))
    assert found(world) == "twice"


@pytest.mark.parametrize(
    ("fault", "updates"),
    [
        ("messages", [MessageAdded(Message("p9", "u", "late"))]),
        ("reactions", [ReactionAdded("p1", "u9", "+1")]),
        ("config", [RoomConfigChanged(RoomConfig(emote_only=True))]),
        ("moderation", [ModerationConfigChanged({"level": 9})]),
        ("stream_status", [StreamStatusChanged("off")]),
    ],
)
def test_the_authority_must_be_what_its_log_says(fault: str, updates: list[Any]) -> None:
    world = world_of(*posts("p1"))
    with mock.patch("roomstate.testing.checks.check_copies"):
        for seq, update in enumerate(updates, 20):
            book(world).write(seq, update)
        assert found(world) == fault


def test_a_reaction_that_was_taken_back_is_gone_from_the_log_s_account_too() -> None:
    world = world_of(*posts("p1"), Event("react", name="p1"), Event("unreact", name="p1"), Event("count", number=3))
    book(world).write(20, ReactionAdded("p1", "u9", "+1"))
    book(world).write(21, ReactionAdded("p1", "u9", "+1"))
    book(world).write(22, ReactionRemoved("p1", "u9", "+1"))
    book(world).write(23, CountsChanged(5))
    check_healed(world)


def test_a_setting_that_a_crash_may_have_cost_is_not_asked_for() -> None:
    world = world_of(*posts("p1"))
    book(world).write(20, StreamStatusChanged("off"))
    world.ledger.unsure[ROOM, StreamStatusChanged] = 20
    check_healed(world)


def test_a_removal_before_its_message_may_be_forgotten_by_a_load_that_does_not_reach_back_to_it() -> None:
    world = world_of(*posts(*(f"p{number}" for number in range(20))))
    book(world).removed["p15"] = 5
    for after in (4, book(world).added["p15"]):
        book(world).read.add(after)
        with pytest.raises(Diverged, match="messages: authority"):
            check_healed(world)
    book(world).read.add(5)
    check_healed(world)


def test_copies_must_be_as_the_authority() -> None:
    world = world_of(*posts("p1", "p2"), Event("join", user=1))
    image = world.manager(0).image(ROOM)
    other: dict[str, dict[str, Any]] = {
        "position": {"position": structs.replace(image.position, seq=1)},
        "gaps": {"gaps": (Gap(1, 2),)},
        "config": {"config": RoomConfig(emote_only=True)},
        "user_count": {"info": structs.replace(image.info, user_count=99)},
        "members": {"members": (User("stranger"),)},
        "annotations": {"annotations": {"p1": mock.sentinel.note}},
        "short": {"held_after": 2, "messages": (), "seqs": ()},
    }
    for fault, fields in other.items():
        with (
            mock.patch("roomstate.testing.checks.check_copies"),
            doctored(1, **fields)(world),
        ):
            assert found(world) == fault


def test_a_copy_may_be_shorter_where_its_window_has_overflowed() -> None:
    world = world_of(*posts("p1", "p2", "p3"), active_messages=2)
    assert world.manager(1).image(ROOM).held_after == 1
    with doctored(0, held_after=0)(world), mock.patch("roomstate.testing.checks._check_authority"):
        check_healed(world)


def test_nothing_may_wait_in_the_end() -> None:
    world = world_of(*posts("p1"), Event("cut", node=1), Event("say", node=1, name="s1", text="hi"))
    assert found(world) == "pending"
    check_healed(world, settled=False)


def test_every_room_must_be_looked_at_in_the_end_and_before_that_need_not() -> None:
    world = world_of(*posts("p1"))
    happen(world, Event("leave", node=1))
    world.wait(3.0)
    check_healed(world, settled=False)
    happen(world, Event("follow", node=1))
    world.wait(3.0)
    with mock.patch.object(world.manager(0), "tier", return_value=world.manager(0).tier(ROOM)):
        assert found(world) == "tier"


def test_a_choice_whose_time_is_over_is_found() -> None:
    world = world_of(*posts("p1"))
    world.machines[1].choices[1] = world.now - 1.0
    assert found(world) == "conflict"
