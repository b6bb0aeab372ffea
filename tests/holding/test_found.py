"""What the simulator has found, in as few steps as show it."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from roomstate import Limits, MessageEdited, MessageRemoved, RoomConfig, Tier
from roomstate.effects import (
    AppendLog,
    EchoFailed,
    GapOpened,
    Loaded,
    LoadHead,
    LoadSnapshot,
    RequestRecovery,
    SaveSnapshot,
    SendToAuthority,
    Sent,
)
from roomstate.host.catching_up import brief
from roomstate.model import User
from roomstate.position import Gap
from roomstate.sync import envelope as wire
from roomstate.sync.feed import Missing, SnapshotNeeded
from roomstate.updates import ModerationConfigChanged, RoomConfigChanged, StreamStatusChanged, UserJoined
from tests.holding.pair import ROOM, Pair
from tests.holding.world import World, added

SLOW = RoomConfig(slow_mode_duration=9)
SMALL = Limits(active_messages=40, background_messages=3)


# -- the authority ---------------------------------------------------------------------------------------------------


def test_moderation_set_while_a_room_rests_is_there_when_somebody_enters() -> None:
    world = World()
    world.settled("publish", "rust", ModerationConfigChanged({"level": 1}))
    world.settled("enter", "v", "rust")
    assert world.rooms.view("rust").moderation == {"level": 1}


def test_a_stream_status_told_to_a_room_at_rest_is_not_lost_behind_a_long_log() -> None:
    world = World()
    world.settled("publish", "rust", StreamStatusChanged("live"))
    for number in range(50):
        world.settled("publish", "rust", added(f"m{number}"))
    world.settled("follow", "v", "rust")
    assert world.rooms.view("rust").info.stream_status == "live"


def test_a_removal_is_remembered_when_a_room_is_loaded_anew_for_a_higher_tier() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.settled("publish", "rust", MessageRemoved("late"))
    for number in range(50):
        world.settled("publish", "rust", added(f"m{number}"))
    world.settled("enter", "v", "rust")
    world.settled("publish", "rust", added("late"))
    assert "late" not in [message.id for message in world.rooms.view("rust").messages]


def test_an_edit_without_a_time_gets_one_that_is_the_same_for_every_copy() -> None:
    pair = Pair().ready("a")
    told = pair.publish(MessageEdited("a", "better"))
    pair.now += 5.0
    pair.receive(told)
    pair.same()
    assert pair.replica.view(ROOM).annotations["a"].edited_at is not None


# -- images and gaps -------------------------------------------------------------------------------------------------


def withheld(pair: Pair, name: str) -> wire.Envelope:
    told = pair.publish(name)
    return wire.of_withheld(ROOM, told.epoch, told.previous, told.sequence_number, pair.now)


def test_a_gap_that_has_left_the_window_is_not_saved_and_leaves_unread_open() -> None:
    pair = Pair(replica={"limits": SMALL})
    pair.publish("a")
    pair.take(pair.replica.follow("ada", ROOM))
    pair.settle()
    pair.replica.mark_read("ada", ROOM)
    pair.receive(withheld(pair, "b"), *(pair.publish(name) for name in "cdef"))
    image = pair.replica.image(ROOM)
    assert (image.floor, image.gaps, image.markers["ada"].cut) == (3, (), True)
    assert not pair.replica.unread("ada", ROOM).messages.exact


def test_going_down_drops_gaps_that_the_smaller_window_does_not_reach() -> None:
    pair = Pair(replica={"limits": SMALL}).ready("a")
    pair.receive(withheld(pair, "b"), withheld(pair, "c"), *(pair.publish(name) for name in "defg"))
    pair.take(pair.replica.follow("ada", ROOM))
    assert pair.replica.gaps(ROOM) == ()
    assert pair.replica.view(ROOM).floor == 4


def test_a_room_that_somebody_looks_at_asks_for_what_was_withheld() -> None:
    pair = Pair().ready("a")
    pair.receive(withheld(pair, "b"), pair.publish("c"))
    assert pair.asked == []
    pair.later(1.0)
    assert [asked.token for asked in pair.asked] == [None]
    pair.settle()
    pair.same()
    pair.later(20.0)
    assert pair.asked == []


def brief_answer(pair: Pair) -> wire.Envelope:
    """The image that an authority gives to somebody who only follows the room."""
    image = brief(pair.authority.image(ROOM), 1)
    return pair.carried(wire.of_image(image, pair.now, answers=pair.asked.pop(0).request_id))


def test_whoever_begins_to_look_while_an_image_for_a_follower_is_asked_for_gets_the_whole() -> None:
    pair = Pair()
    for update in ("a", "b", UserJoined(User("u1"))):
        pair.publish(update)
    pair.take(pair.replica.follow("ada", ROOM))
    pair.enter()
    assert [asked.token for asked in pair.asked] == [None, None]  # the second stands in for the first
    pair.receive(brief_answer(pair), pair.publish("c"))
    pair.receive(pair.publish(UserJoined(User("u1", username="Una"))))
    pair.settle()
    pair.same()
    assert pair.replica.view(ROOM).info.user_count == pair.authority.view(ROOM).info.user_count == 1


def test_what_comes_between_an_image_for_a_follower_and_the_whole_one_is_not_lost() -> None:
    pair = Pair()
    pair.publish("a")
    pair.publish("b")
    pair.take(pair.replica.follow("ada", ROOM))
    pair.enter()
    short, asked = brief_answer(pair), pair.asked.pop()
    whole = pair.answer(asked)
    pair.receive(short, pair.publish("c"))
    pair.take(pair.replica.complete(asked.request_id, whole))
    pair.same()


def test_a_late_image_for_a_follower_does_not_take_the_place_of_the_whole() -> None:
    pair = Pair()
    for update in ("a", "b", UserJoined(User("u1"))):
        pair.publish(update)
    pair.take(pair.replica.follow("ada", ROOM))
    asked = pair.asked.pop()
    pair.enter()
    pair.settle()
    pair.publish("c")
    pair.asked.append(asked)
    pair.receive(brief_answer(pair))
    assert pair.ids() == ["a", "b"]
    assert pair.replica.view(ROOM).members_complete
    pair.later(0.6)
    assert [asked.token is not None for asked in pair.asked] == [True]
    pair.settle()
    pair.same()


def test_a_room_that_is_followed_does_not_ask_for_what_was_withheld() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.follow("ada", ROOM))
    pair.receive(withheld(pair, "b"))
    pair.later(1.0)
    assert pair.asked == []
    assert pair.replica.view(ROOM).is_ready


def test_an_image_is_not_put_together_with_a_copy_that_has_gaps() -> None:
    pair = Pair(replica={"limits": SMALL}).ready("a")
    pair.take(pair.replica.follow("ada", ROOM))
    pair.receive(*(withheld(pair, name) for name in "bcd"))
    pair.publish("e")
    pair.take(pair.replica.enter("ada", ROOM))
    pair.settle()
    pair.same()
    assert pair.ids() == ["a", "b", "c", "d", "e"]


# -- an authority that falls back ------------------------------------------------------------------------------------


def fallen(pair: Pair, *ids: str) -> None:
    """Let the authority have lost its log, and have come to hold ``ids`` in the same epoch."""
    pair.epochs -= 1
    pair.restart()
    for name in ids:
        pair.publish(name)


def test_an_authority_that_has_fallen_back_is_believed() -> None:
    pair = Pair().ready("a", "b", "c")
    fallen(pair, "a", "x")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    pair.settle()
    pair.same()
    assert pair.ids() == ["a", "x"]


def test_what_waited_over_a_lost_link_is_not_joined_to_the_answer() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    pair.receive(pair.publish("c"))
    fallen(pair, "a", "x")
    pair.take(pair.replica.disconnected(ROOM))
    told = pair.take(pair.replica.connected(ROOM))
    assert [each.gap for each in told if isinstance(each, GapOpened)] == [Gap(1, 3)]
    pair.settle()
    pair.receive(pair.publish("y"))
    pair.same()
    assert pair.ids() == ["a", "x", "y"]


def test_a_lost_answer_is_asked_for_from_where_the_copy_was_when_its_link_came_back() -> None:
    pair = Pair().ready("a", "b")
    fallen(pair, "a", "x")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    first = pair.asked.pop()  # its answer is lost
    pair.receive(pair.publish("y"))
    pair.later(10.0)
    pair.later(1.0)
    assert [asked.token for asked in pair.asked] == [first.token]
    pair.settle()
    pair.same()
    assert pair.ids() == ["a", "x", "y"]
    pair.receive(pair.heartbeat())
    pair.take(pair.replica.connected(ROOM))
    assert pair.asked.pop().token == pair.authority.token(ROOM)


def test_what_was_acknowledged_is_sent_again_where_the_authority_has_lost_it() -> None:
    pair = Pair().ready("a")
    (sent,) = sends(pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1")))
    pair.take(pair.replica.complete(sent.request_id, Sent("c1", 5)))
    fallen(pair)
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    (again,) = sends(pair.settle())
    assert again.echo.client_id == "c1"
    assert again.echo.sent_at == sent.echo.sent_at
    pair.receive(pair.publish(added("c1", "ada", "hello")))
    assert pair.replica.view(ROOM).pending == ()


def sends(outputs: list[Any]) -> list[SendToAuthority]:
    return [each for each in outputs if isinstance(each, SendToAuthority)]


def test_what_waited_over_a_link_that_is_gone_is_not_joined_to_what_comes_over_the_next() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    pair.receive(pair.publish("c"))  # of the log that is about to be lost; b is not here
    fallen(pair, "a", "b", "x")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    token = pair.asked[0].token
    assert token is not None
    found = pair.authority.since(ROOM, token)
    assert isinstance(found, Missing)
    for entry in found.entries:  # the answer comes piece by piece
        pair.receive(pair.carried(wire.of_update(ROOM, "e1", entry.seq - 1, entry.seq, entry.update, pair.now)))
    pair.settle()
    pair.same()
    assert pair.ids() == ["a", "b", "x"]


def test_an_image_that_answers_a_token_and_was_overtaken_by_the_stream_is_taken() -> None:
    pair = Pair().ready("a", "b")
    fallen(pair, "a", "x")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    asked = pair.asked.pop()
    answer = pair.answer(asked)  # an image: what lies at the token's seq is another message
    pair.receive(pair.publish("y"))  # it joins by its numbers
    assert pair.ids() == ["a", "b", "y"]
    pair.take(pair.replica.complete(asked.request_id, answer))
    pair.same()
    assert pair.ids() == ["a", "x", "y"]


def test_an_image_that_answers_a_token_and_was_overtaken_over_the_same_link_is_taken_too() -> None:
    pair = Pair().ready("a", "b")
    fallen(pair, "a", "x")
    late = pair.publish("y")
    pair.receive(pair.heartbeat())
    pair.later(0.6)
    asked = pair.asked.pop()
    answer = pair.answer(asked)
    pair.receive(late, pair.publish("z"))
    pair.take(pair.replica.complete(asked.request_id, answer))
    pair.same()
    assert pair.ids() == ["a", "x", "y", "z"]


def test_what_joins_by_its_numbers_over_a_new_link_does_not_hide_that_the_token_is_wrong() -> None:
    pair = Pair().ready("a", "b")
    fallen(pair, "a", "x")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    pair.asked.clear()  # the question is lost
    pair.receive(pair.publish("y"))
    pair.later(11.0)
    pair.later(1.0)
    assert [asked.token is not None and asked.token.seq == 2 for asked in pair.asked] == [True]
    pair.settle()
    pair.same()
    assert pair.ids() == ["a", "x", "y"]


def test_a_token_of_what_a_store_has_lost_is_refused_at_the_position_of_a_snapshot_too() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1", "m2")
    token = world.rooms.token("rust")
    world.settled("leave", "v", "rust")
    world.settled("enter", "v", "rust")  # all that is left of m2's entry is what the snapshot says of it
    for name in ("m1", "m2"):
        world.settled("publish", "rust", MessageRemoved(name))
    assert isinstance(world.rooms.since("rust", token), Missing)
    assert world.rooms.since("rust", structs.replace(token, fingerprint="beef")) == SnapshotNeeded(
        "fingerprint differs"
    )


def test_a_copy_whose_window_has_overflowed_resumes_from_its_token() -> None:
    pair = Pair(replica={"limits": SMALL}, limits=SMALL).ready(*(f"m{number}" for number in range(60)))
    pair.take(pair.replica.disconnected(ROOM))
    pair.publish("new")
    pair.take(pair.replica.connected(ROOM))
    assert [asked.token is not None for asked in pair.asked] == [True]
    pair.settle()
    pair.same()


def test_what_waited_from_before_the_question_is_not_joined_to_the_answer() -> None:
    pair = Pair().ready("a", "b", "c")
    pair.publish("d")
    early = pair.publish("e")  # of the log that is about to be lost
    pair.receive(early)
    fallen(pair, "a", "x", "y", "z")
    pair.later(1.0)
    asked = pair.asked.pop()
    assert asked.token is not None
    pair.take(pair.replica.complete(asked.request_id, pair.answer(asked)))
    pair.same()
    assert pair.ids() == ["a", "x", "y", "z"]


def test_what_waited_from_before_the_question_is_told_from_what_came_after_it_while_the_clock_stands_still() -> None:
    """A clock that was set back stands, to the manager, until it is again where it was."""
    pair = Pair()
    pair.publish("a")
    pair.enter()
    pair.receive(pair.publish("b"))  # of the log that is about to be lost; nothing is held here that it joins
    fallen(pair, "a")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    asked = pair.asked.pop()
    answer = pair.answer(asked)
    pair.receive(pair.publish("x"))  # after the question, and before its answer comes
    pair.take(pair.replica.complete(asked.request_id, answer))
    pair.same()
    assert pair.ids() == ["a", "x"]


# -- the link, and the store -----------------------------------------------------------------------------------------


def test_a_link_that_comes_back_asks_again_what_was_asked_over_the_old_one() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter()
    pair.asked.clear()  # it was never heard
    pair.take(pair.replica.connected(ROOM))
    assert len(pair.asked) == 1
    pair.settle()
    pair.same()


def test_a_snapshot_of_another_epoch_is_no_copy_of_this_one_but_what_was_sent_from_it_is_sent_again() -> None:
    pair = Pair(replica={"durability": "relaxed"})
    pair.publish("a")
    load = next(each for each in pair.enter() if isinstance(each, LoadSnapshot))
    pair.take(pair.replica.complete(load.request_id, Loaded()))
    pair.settle()
    pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1"))
    old = pair.replica.image(ROOM)
    pair.restart()
    pair.publish("x")
    pair.receive(pair.heartbeat())
    pair.settle()
    pair.take(pair.replica.complete(next(iter(pair.replica._house.requests)), Sent("c1", 0)))
    pair.take(pair.replica.discard(ROOM, "c1"))
    save = next(each for each in pair.take(pair.replica.leave("ada", ROOM)) if isinstance(each, SaveSnapshot))
    pair.take(pair.replica.complete(save.request_id, b"cannot be told from"))
    assert pair.replica.tier(ROOM) is Tier.CACHED
    load = next(each for each in pair.enter() if isinstance(each, LoadSnapshot))
    told = pair.take(pair.replica.complete(load.request_id, Loaded(None, structs.replace(old, taken_at=2000.0))))
    assert [each.token for each in told if isinstance(each, RequestRecovery)] == [None]
    pair.settle()
    pair.same()
    assert [echo.client_id for echo in pair.replica.view(ROOM).pending] == ["c1"]
    assert pair.replica.gaps(ROOM) == ()
    assert Gap(0, 1) not in pair.replica.view(ROOM).gaps


# -- more of the authority -------------------------------------------------------------------------------------------


def refused(world: World, verb: str, *args: Any) -> None:
    """Call a verb; the store appends, and does nothing else."""
    world.do(verb, *args)
    while world.host.todo or world.host.answers:
        while world.host.answers:
            world.host.answer(now=world.now)
        for room_id in list(world.host.todo):
            if isinstance(world.host.todo[room_id][0], AppendLog | LoadHead):
                world.host.carry_out(room_id)
            else:
                world.host.refuse(room_id)


def test_a_setting_that_no_snapshot_has_keeps_a_room_that_cannot_be_loaded() -> None:
    world = World()
    world.settled("publish", "rust", added("m1"))
    refused(world, "publish", "rust", ModerationConfigChanged({"level": 1}))
    world.rooms.check()
    for number in range(2, 50):
        world.settled("publish", "rust", added(f"m{number}"))
    world.settled("enter", "v", "rust")
    assert world.rooms.view("rust").moderation == {"level": 1}


def test_a_setting_told_while_a_load_fails_outlasts_a_log_longer_than_a_load_reads() -> None:
    world = World()
    world.settled("publish", "rust", added("m1"))
    refused(world, "enter", "v", "rust")
    for update in (StreamStatusChanged("live"), ModerationConfigChanged({"level": 1}), RoomConfigChanged(SLOW)):
        refused(world, "publish", "rust", update)
    for number in range(2, 50):
        refused(world, "publish", "rust", added(f"m{number}"))
    world.now += 60.0
    world.settled("tick")
    view = world.rooms.view("rust")
    assert view.is_ready
    assert (view.info.stream_status, view.moderation, view.config) == ("live", {"level": 1}, SLOW)


def test_a_setting_is_kept_on_the_way_up_before_its_snapshot_is_safe() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    refused(world, "publish", "rust", StreamStatusChanged("live"))
    for number in range(50):
        refused(world, "publish", "rust", added(f"m{number}"))
    world.settled("enter", "v", "rust")
    assert world.rooms.view("rust").info.stream_status == "live"


# -- acknowledgements ------------------------------------------------------------------------------------------------


def test_an_acknowledgement_of_a_log_that_is_over_is_not_believed() -> None:
    pair = Pair().ready("a")
    (sent,) = sends(pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1")))
    told = pair.take(pair.replica.complete(sent.request_id, Sent("c1", 7, "another")))
    assert [each.retryable for each in told if isinstance(each, EchoFailed)] == [True]
    assert pair.replica.view(ROOM).pending[0].message_id == ""
    (asked,) = pair.asked  # which log is it?
    assert asked.token is not None
    pair.settle()
    assert len(sends(pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1")))) == 1


def test_what_was_acknowledged_before_the_first_image_is_sent_again_if_that_does_not_have_it() -> None:
    pair = Pair()
    pair.enter()
    (sent,) = sends(pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1")))
    pair.take(pair.replica.complete(sent.request_id, Sent("c1", 1, "e0")))
    assert [each.echo.client_id for each in sends(pair.settle())] == ["c1"]


def test_what_was_acknowledged_beyond_the_end_of_the_log_is_sent_again() -> None:
    pair = Pair().ready("a")
    (sent,) = sends(pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1")))
    pair.take(pair.replica.complete(sent.request_id, Sent("c1", 2, "e1")))
    pair.take(pair.replica.disconnected(ROOM))  # and the authority loses its last entry before it is heard
    pair.take(pair.replica.connected(ROOM))
    (again,) = sends(pair.settle())
    assert again.echo.client_id == "c1"
    pair.take(pair.replica.complete(again.request_id, Sent("c1", 2, "e1")))
    pair.receive(pair.publish(added("c1", "ada", "hello")))
    assert pair.replica.view(ROOM).pending == ()
    pair.same()


def test_what_a_copy_lacks_is_not_told_while_a_removal_of_it_may_yet_be_lost() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.settled("publish", "rust", added("m1"))
    before = world.rooms.token("rust")
    world.settled("publish", "rust", added("m2"))
    world.do("publish", "rust", MessageRemoved("m2"))  # it is held, and not in the log
    assert world.rooms.since("rust", before) == SnapshotNeeded("not durable yet")
    world.host.settle()
    missing = world.rooms.since("rust", before)
    assert isinstance(missing, Missing)
    assert [entry.update for entry in missing.entries] == [MessageRemoved("m2")]
