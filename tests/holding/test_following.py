from __future__ import annotations

import pytest

from roomstate import Gap, MessageEdited, MessageRemoved, Status, Tier
from roomstate.effects import FetchMessages, GapClosed, GapOpened, Recovered
from roomstate.errors import InvalidValue
from roomstate.holding import following
from tests.holding.test_tiering import World, kinds
from tests.holding.world import added, message


def source(world: World, *names: str, room: str = "irc") -> None:
    """What somebody else's authority has said."""
    world.store.sources.setdefault(room, []).extend(message(name) for name in names)


def hear(world: World, *names: str, room: str = "irc") -> None:
    source(world, *names, room=room)
    for name in names:
        world.do("receive", room, added(name), cursor=name)


def test_messages_are_ordered_by_time_and_repetitions_are_harmless() -> None:
    world = World("none")
    hear(world, "m2", "m1", "m3", "m2")
    assert world.ids("irc") == ["m1", "m2", "m3"]
    assert world.rooms.tier("irc") is Tier.BACKGROUND
    world.check()


def test_a_lost_link_opens_a_gap_and_pages_close_it() -> None:
    world = World("none")
    world.settled("enter", "v", "irc", user="ada")
    hear(world, "m1")
    source(world, "m2", "m3", "m4")
    outputs = world.do("disconnected", "irc")
    assert GapOpened in kinds(outputs)
    assert world.rooms.status("irc") is Status.STALE
    assert world.rooms.gaps("irc") == (Gap(1, 2, "m1"),)
    fetch = outputs[-1]
    assert isinstance(fetch, FetchMessages)
    assert fetch.cursor == "m1"
    assert not world.rooms.unread("ada", "irc").messages.exact
    hear(world, "m5")  # while the gap is open
    world.host.settle()
    assert world.ids("irc") == ["m1", "m2", "m3", "m4", "m5"]
    assert world.rooms.gaps("irc") == ()
    assert world.rooms.status("irc") is Status.READY
    assert GapClosed in kinds(world.host.drain())
    assert str(world.rooms.unread("ada", "irc").messages) == "5"
    world.check()


def test_a_gap_that_is_still_open_there_is_not_opened_twice() -> None:
    world = World("none")
    hear(world, "m1")
    first = world.do("disconnected", "irc")[-1]
    outputs = world.do("disconnected", "irc")
    assert kinds(outputs) == [FetchMessages]
    assert world.rooms.complete(first.request_id, Recovered(())) == ()  # superseded
    assert FetchMessages in kinds(world.do("connected", "irc"))
    world.host.settle()
    assert world.rooms.gaps("irc") == ()
    world.do("connected", "irc")
    assert world.rooms.status("irc") is Status.READY


def test_a_gap_that_cannot_be_filled_is_told_and_counts_stay_at_least() -> None:
    world = World("none")
    world.settled("enter", "v", "irc", user="ada")
    hear(world, "m1")
    fetch = world.do("disconnected", "irc")[-1]
    closed = world.rooms.complete(fetch.request_id, Recovered((), limited=True))
    assert GapClosed("irc", Gap(1, 2, "m1"), filled=False) in closed
    assert str(world.rooms.unread("ada", "irc").messages) == "1+"


def test_a_failed_fetch_is_tried_again() -> None:
    world = World("none")
    hear(world, "m1")
    source(world, "m2")
    world.do("disconnected", "irc")
    world.host.refuse("irc")
    world.host.answer()
    assert world.rooms.status("irc") is Status.STALE
    assert world.rooms.next_deadline() == 1000.5
    world.now = 1000.5
    world.settled("tick")
    assert world.ids("irc") == ["m1", "m2"]
    world.check()


def test_gaps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_MAX_GAPS", 2)
    world = World("none")
    for number in range(1, 5):
        hear(world, f"m{number}")
        world.do("disconnected", "irc")
    assert world.rooms.gaps("irc") == (Gap(1, 6, "m1"), Gap(7, 8, "m4"))
    world.check()


def test_a_foreign_room_comes_back_from_rest_as_it_was() -> None:
    world = World("none")
    world.settled("enter", "v", "irc")
    hear(world, "m1", "m3")
    source(world, "m4")
    world.do("disconnected", "irc")
    world.do("leave", "v", "irc")
    world.now += 1800
    world.do("tick")
    save = world.host.todo["irc"][-1]
    world.host.take(world.rooms.complete(save.request_id, world.store.perform(save)))
    world.host.todo.clear()
    assert world.rooms.tier("irc") is Tier.CACHED
    world.do("enter", "v", "irc")
    world.do("receive", "irc", added("m2"))
    world.do("disconnected", "irc")
    world.host.settle()
    assert world.ids("irc") == ["m1", "m2", "m3", "m4"]
    assert world.rooms.gaps("irc") == ()
    assert world.rooms.status("irc") is Status.READY
    hear(world, "m5")
    assert world.ids("irc")[-1] == "m5"
    world.check()


def test_edits_and_removals_of_a_foreign_source() -> None:
    world = World("none")
    hear(world, "m1", "m2")
    world.do("receive", "irc", MessageEdited("m1", "new"))
    world.do("receive", "irc", MessageRemoved("m2"))
    world.do("receive", "irc", added("m2"))
    (one,) = world.rooms.view("irc").messages
    assert one.content == "new"


def test_a_room_is_foreign_or_ones_own() -> None:
    world = World("none")
    world.post("m1")
    for verb in ("connected", "disconnected"):
        with pytest.raises(InvalidValue, match="no foreign source"):
            world.do(verb, "rust")
    world.settled("enter", "v", "irc")
    hear(world, "m1")  # nothing was published yet
    assert not world.rooms.view("irc").members_complete
    with pytest.raises(InvalidValue, match="received, not published"):
        world.do("publish", "irc", added("m2"))


def test_a_gap_may_be_filled_while_the_room_is_being_loaded() -> None:
    world = World("none")
    hear(world, "m1")
    world.now += 1800
    world.settled("tick")
    assert world.rooms.tier("irc") is Tier.CACHED
    source(world, "m2")
    world.do("receive", "irc", added("m3"), cursor="m3")
    source(world, "m3", "m4")
    load = world.host.todo["irc"].popleft()
    fetch = world.do("disconnected", "irc")[-1]
    world.host.todo.clear()
    world.host.take(world.rooms.complete(fetch.request_id, Recovered((message("m4"),))))
    world.do("connected", "irc")
    assert world.rooms.status("irc") is Status.LOADING
    world.host.take(world.rooms.complete(load.request_id, world.store.perform(load)))
    assert world.ids("irc") == ["m1", "m3", "m4"]
    assert world.rooms.status("irc") is Status.READY
    world.check()
