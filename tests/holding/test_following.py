from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate import Gap, MessageEdited, MessageRemoved, Status, Tier, position
from roomstate.effects import Deliver, FetchMessages, GapClosed, GapOpened, Misfit, Recovered
from roomstate.errors import InvalidValue, UnknownRoom
from roomstate.updates import ReactionAdded, ReactionRemoved, Update
from tests.holding.world import START, World, added, kinds, message


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


def test_what_was_said_after_a_history_was_fetched_and_before_the_link_was_back_is_asked_for_too() -> None:
    world = World("none")
    world.settled("enter", "v", "irc")
    hear(world, "m1")
    source(world, "m2")
    world.settled("disconnected", "irc")  # the source's history can be read although its stream is down
    assert world.ids("irc") == ["m1", "m2"]
    source(world, "m3")
    outputs = world.do("connected", "irc")
    fetch = outputs[-1]
    assert isinstance(fetch, FetchMessages)
    assert fetch.cursor == "m2"
    hear(world, "m4")
    world.host.settle()
    assert world.ids("irc") == ["m1", "m2", "m3", "m4"]
    assert world.rooms.gaps("irc") == ()
    assert world.rooms.status("irc") is Status.READY
    assert FetchMessages not in kinds(world.do("connected", "irc"))  # the link was not missed
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


def test_a_page_from_before_what_has_left_the_window_does_not_hide_that_it_has() -> None:
    """Found by the simulated sources: on the way down the window let go of what came after the gap."""
    world = World("none")
    world.settled("enter", "v", "irc", user="ada")
    hear(world, "m01")
    world.do("disconnected", "irc")
    source(world, "m02", "m03")
    hear(world, "m04", "m05", "m06", "m07", "m08")
    world.do("follow", "v", "irc")  # three messages stay
    world.do("enter", "v", "irc")
    world.host.settle()
    assert world.ids("irc") == ["m06", "m07", "m08"]
    assert world.rooms.gaps("irc") == ()
    world.check()


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
    monkeypatch.setattr(position, "MAX_GAPS", 2)
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


# -- what comes before its message -----------------------------------------------------------------------------------


def edit(name: str, content: str = "edited") -> MessageEdited:
    return MessageEdited(name, content, START)


def tell(world: World, *updates: Update) -> tuple[Any, ...]:
    return tuple(each for update in updates for each in world.do("receive", "irc", update))


def contents(world: World) -> dict[str, str]:
    world.check()
    return {one.id: one.content for one in world.rooms.view("irc").messages}


def count(world: World, outcome: str, kind: str = "message_edited") -> int:
    return world.rooms.stats().count("update", kind, outcome)


def test_an_edit_and_its_target_in_one_batch_whichever_is_first() -> None:
    world = World("none")
    tell(world, edit("m1"), added("m1"), added("m2"), edit("m2"))
    assert contents(world) == {"m1": "edited", "m2": "edited"}
    assert (count(world, "parked"), count(world, "applied")) == (1, 2)


def test_what_waits_is_told_after_its_message_in_the_order_in_which_it_came() -> None:
    world = World("none")
    world.settled("enter", "v", "irc", user="ada")
    early = (edit("m1", "once"), ReactionAdded("m1", "eve", "+1"), edit("m1", "twice"))
    assert not [each for each in tell(world, *early) if isinstance(each, Deliver)]
    told = [each for each in tell(world, added("m1")) if isinstance(each, Deliver)]
    assert [each.update for each in told] == [added("m1"), *early]
    assert [each.seq for each in told] == [1, 2, 3, 4]
    assert contents(world) == {"m1": "twice"}


def test_an_edit_of_a_message_that_a_fetched_page_brings() -> None:
    world = World("none")
    hear(world, "m1")
    source(world, "m2", "m3")
    world.do("disconnected", "irc")
    tell(world, edit("m2"), ReactionRemoved("m3", "eve", "+1"))
    assert contents(world) == {"m1": "hi"}
    world.host.settle()
    assert contents(world) == {"m1": "hi", "m2": "edited", "m3": "hi"}
    assert count(world, "applied", "reaction_removed") == 1


def test_a_removal_that_arrives_before_the_message() -> None:
    world = World("none")
    hear(world, "m1")
    outputs = tell(world, edit("m2"), MessageRemoved("m2"), added("m2"))
    assert contents(world) == {"m1": "hi"}
    assert Misfit("irc", edit("m2"), "message 'm2' was removed") in outputs
    assert count(world, "misfit") == 1
    tell(world, edit("m2"))  # known to be removed: nothing to wait for
    assert count(world, "parked") == 1


def test_parked_updates_that_never_resolve_are_given_up_in_time() -> None:
    world = World("none")
    hear(world, "m1")
    tell(world, edit("m2"))
    world.now += 299.0
    tell(world, edit("m3"))
    assert world.rooms.next_deadline() == world.now + 1.0
    world.now += 1.0
    assert world.do("tick") == [Misfit("irc", edit("m2"), "its message did not come within 300 s")]
    world.now += 299.0
    assert [each.update for each in world.do("tick") if isinstance(each, Misfit)] == [edit("m3")]
    tell(world, added("m2"), added("m3"))
    assert contents(world) == {"m1": "hi", "m2": "hi", "m3": "hi"}


def test_a_flood_of_updates_without_messages_is_bounded_and_costs_other_rooms_nothing() -> None:
    world = World("none")
    hear(world, "m1")
    world.do("receive", "other", edit("m1"))
    outputs = tell(world, *(edit(f"x{n}") for n in range(1100)))
    refused = [each for each in outputs if isinstance(each, Misfit)]
    assert len(refused) == 100
    assert "1000 updates" in refused[0].reason
    world.do("receive", "other", added("m1"))
    assert world.rooms.view("other").messages[0].content == "edited"
    world.check()


def test_an_edit_too_large_to_be_kept_at_all_is_a_misfit() -> None:
    world = World("none")
    outputs = tell(world, edit("m1", "\N{PILE OF POO}" * 200_000))
    assert [type(each) for each in outputs if isinstance(each, Misfit)] == [Misfit]
    world.check()


def test_what_makes_no_sound_message_is_a_misfit_once_that_is_here() -> None:
    world = World("none")
    large = {"b": "x" * 200_000}
    outputs = tell(world, MessageEdited("m1", "edited", START, extra=large), added("m1", a="x" * 200_000))
    assert [each.reason[:13] for each in outputs if isinstance(each, Misfit)] == ["message.extra"]
    assert contents(world) == {"m1": "hi"}


def test_a_room_that_leaves_memory_gives_up_what_waited() -> None:
    world = World("none")
    hear(world, "m1")
    tell(world, edit("m2"))
    outputs: list[Any] = []
    for _ in range(5):
        world.now += 200.0
        outputs += world.do("demote", "irc", Tier.UNLOADED) if world.rooms.tier("irc") > Tier.UNLOADED else ()
        world.host.settle()
        outputs += world.host.drain()
    assert [each.update for each in outputs if isinstance(each, Misfit)] == [edit("m2")]
    world.check()


def test_an_edit_of_a_message_that_a_load_brings() -> None:
    world = World("none")
    hear(world, *(f"m{n}" for n in range(1, 4)))
    world.do("demote", "irc", Tier.CACHED)
    world.host.settle()
    assert world.rooms.tier("irc") is Tier.CACHED
    tell(world, edit("m2"), edit("m9"))  # while it is loaded
    world.host.settle()
    assert contents(world) == {"m1": "hi", "m2": "edited", "m3": "hi"}


@given(
    st.permutations([("m1", 0), ("m1", 1), ("m1", 2), ("m2", 0), ("m2", 1), ("m3", 0), ("m3", 9)]), st.integers(0, 7)
)
def test_whatever_comes_before_its_message_the_room_ends_the_same(order: list[tuple[str, int]], fetched: int) -> None:
    """0 is the message, 9 its removal, another number an edit. From ``fetched`` on, messages come with a page."""
    world = World("none")
    world.settled("enter", "v", "irc", user="ada")
    hear(world, "m0")
    last: dict[str, str] = {}
    for place, (name, number) in enumerate(order):
        if number == 0 and place >= fetched:
            source(world, name)
        elif number == 0:
            hear(world, name)
        else:
            tell(world, MessageRemoved(name) if number == 9 else edit(name, f"edit {number}"))
            last[name] = f"edit {number}"
    world.do("disconnected", "irc")
    world.host.settle()
    assert contents(world) == {"m0": "hi", "m1": last["m1"], "m2": last["m2"]}


def test_what_is_refused_does_not_move_the_cursor() -> None:
    world = World("none")
    hear(world, "m1")
    half = "x" * 150_000
    world.do("receive", "irc", MessageEdited("m1", "b", extra={"one": half}), cursor="c2")
    with pytest.raises(InvalidValue, match="message"):  # with what it has already it is too much
        world.rooms.receive("irc", MessageEdited("m1", "b", extra={"two": half}), cursor="c3")
    world.do("disconnected", "irc")
    assert world.rooms.gaps("irc")[0].cursor == "c2"
    world.check()


@pytest.mark.parametrize("cursor", [5, "\ud800", "x" * 513])
def test_a_page_whose_cursor_is_none_changes_nothing(cursor: Any) -> None:
    world = World("none")
    hear(world, "m1")
    fetch = world.rooms.disconnected("irc")[-1]
    assert isinstance(fetch, FetchMessages)
    for limited in (True, False):
        with pytest.raises(InvalidValue, match="cursor"):
            world.rooms.complete(fetch.request_id, Recovered((message("m2"),), limited, cursor))
    assert (world.ids("irc"), world.rooms.gaps("irc")) == (["m1"], (Gap(1, 2, "m1"),))
    world.rooms.complete(fetch.request_id, Recovered((message("m2"),), cursor="c2"))
    assert (world.ids("irc"), world.rooms.gaps("irc")) == (["m1", "m2"], ())
    world.check()


@pytest.mark.parametrize("heard", [(), ("m2",)])
def test_a_source_may_speak_first_in_a_room_that_was_left_empty(heard: tuple[str, ...]) -> None:
    world = World("none")
    world.settled("enter", "v", "irc", user="ada")
    world.settled("leave", "v", "irc")
    assert world.rooms.tier("irc") is Tier.CACHED
    hear(world, "m1")
    if heard:
        world.do("disconnected", "irc")
        hear(world, *heard)
    world.host.settle()  # the load of what was left brings an image without anything
    hear(world, "m3")
    assert world.ids("irc") == ["m1", *heard, "m3"]
    world.settled("disconnected", "irc")
    world.settled("connected", "irc")
    world.settled("enter", "v", "irc", user="ada")
    assert not world.rooms.view("irc").members_complete
    world.check()


def at_rest(world: World) -> None:
    world.settled("enter", "v", "irc", user="ada")
    hear(world, "m1")
    world.settled("leave", "v", "irc")
    world.host.take(world.rooms.demote("irc")[1])
    world.host.settle()
    assert world.rooms.tier("irc") is Tier.CACHED


@pytest.mark.parametrize("order", ["load", "hear", "connected", "twice", "entered"])
def test_what_was_missed_while_a_room_was_at_rest_is_a_gap_from_its_own_cursor(order: str) -> None:
    world = World("none")
    at_rest(world)
    source(world, "m2")
    if order == "entered":
        world.do("enter", "v", "irc")  # being loaded, it is not known yet whose it is
    world.do("disconnected", "irc")
    if order == "hear":
        hear(world, "m3")
    elif order == "connected":
        world.do("connected", "irc")
    elif order == "twice":
        world.do("disconnected", "irc")
    world.host.settle()
    assert GapOpened in kinds(world.host.drain())
    assert world.ids("irc") == ["m1", "m2", *(["m3"] if order == "hear" else [])]
    world.settled("connected", "irc")
    assert (world.rooms.status("irc"), world.rooms.gaps("irc")) == (Status.READY, ())
    world.check()


@pytest.mark.parametrize("bound", [{"max_waiting": 3}, {"max_undurable_bytes": 1000}])
def test_what_comes_in_a_flood_while_a_room_is_being_loaded_is_a_gap(bound: dict[str, int]) -> None:
    world = World("none", None, **bound)
    at_rest(world)
    heard = [f"m{n}" for n in range(2, 10)]
    world.do("enter", "v", "irc")
    for name in heard:
        world.do("receive", "irc", added(name), cursor=name)
    assert 0 < world.rooms.stats().counts["update", "message_added", "missed"] < len(heard)
    source(world, *heard)
    world.host.settle()
    assert GapOpened in kinds(world.host.drain())
    assert world.ids("irc") == ["m1", *heard]
    assert (world.rooms.status("irc"), world.rooms.gaps("irc")) == (Status.READY, ())
    world.check()


def test_pages_that_come_while_a_room_is_being_loaded_wait_for_that_beyond_the_bound() -> None:
    world = World("none", max_waiting=2)
    at_rest(world)
    world.do("enter", "v", "irc")
    hear(world, "m9")
    fetch = world.do("disconnected", "irc")[-1]
    assert isinstance(fetch, FetchMessages)
    page = tuple(added(name).message for name in ("m2", "m3"))
    assert not any(
        isinstance(each, FetchMessages)
        for each in world.do("complete", fetch.request_id, Recovered(page, limited=True))
    )
    source(world, "m4")
    world.host.settle()
    assert world.ids("irc") == ["m1", "m2", "m3", "m4", "m9"]
    assert (world.rooms.status("irc"), world.rooms.gaps("irc")) == (Status.READY, ())
    world.check()


def test_every_known_room_may_be_told_that_its_source_was_not_heard() -> None:
    world = World("none")
    at_rest(world)
    world.host.take(world.rooms.demote("irc")[1])
    world.host.settle()
    assert world.rooms.tier("irc") is Tier.UNLOADED
    assert world.rooms.disconnected("irc") == (), "its read markers are all that is known"
    world.rooms.publish("own", added("m1"))
    world.host.take(world.rooms.demote("own")[1])
    world.host.settle()
    world.settled("disconnected", "own")  # numbered here: there is nothing to miss
    assert (world.rooms.status("own"), world.rooms.gaps("own")) == (Status.READY, ())
    world.settled("enter", "v", "silent")
    for verb in ("disconnected", "connected"):
        assert not world.settled(verb, "silent"), "nothing was received for it yet"
    assert (world.rooms.status("silent"), world.rooms.gaps("silent")) == (Status.READY, ())
    world.settled("receive", "silent", added("m2"))
    with pytest.raises(UnknownRoom):
        world.rooms.disconnected("never")
    world.check()
