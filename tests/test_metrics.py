from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from roomstate import MessageEdited, RoomStateManager, Stats, Status, Tier
from roomstate.effects import Recovered, RequestRecovery
from roomstate.metrics import BOUNDS, Histogram
from roomstate.sync.envelope import Envelope, of_image, of_missing
from roomstate.sync.feed import Missing
from roomstate.updates import ReceiptRead
from tests.holding.world import World, added, message


def promotion(world: World, *labels: str) -> Histogram:
    return world.rooms.stats().times["promotion", *labels]


def takes_the_short_way(world: World) -> bool:
    return world.rooms._holdings["rust"].plain


def test_stats_of_nothing() -> None:
    stats = RoomStateManager().stats()
    assert stats.hit_ratio == 0.0
    assert stats.rooms == dict.fromkeys(Tier, 0)
    assert stats.statuses == dict.fromkeys(Status, 0)
    assert (stats.counts, stats.times, stats.asked, stats.requests) == ({}, {}, {}, 0)
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
    world.settled("enter", "v", "rust")
    before = world.rooms.stats()
    kept = (before.count("transition"), dict(before.times))
    world.settled("leave", "v", "rust")
    world.settled("enter", "v", "rust")
    assert (before.count("transition"), dict(before.times)) == kept


def test_queues_are_counted_while_they_wait() -> None:
    world = World()
    world.do("publish", "rust", added("m1"))
    world.do("publish", "rust", added("m2"))
    stats = world.rooms.stats()
    assert (stats.waiting, stats.undurable, stats.asked) == (2, 0, {"head": 1})
    world.host.carry_out("rust")
    world.host.answer()
    stats = world.rooms.stats()
    assert (stats.waiting, stats.undurable, stats.asked, stats.requests) == (0, 2, {"append": 1}, 1)
    assert stats.undurable_bytes > 0


def test_messages_of_the_short_way_are_counted_too() -> None:
    """Nothing counts them as they come: the room's head does. Whatever interrupts the short way must not show."""
    world = World("none")
    taken = 0

    def post(count: int, room: str = "rust", **kwargs: Any) -> None:
        nonlocal taken
        for _ in range(count):
            taken += 1
            world.settled("publish", room, added(f"m{taken}", **kwargs))
            assert world.rooms.stats().count("update", "message_added", "applied") == taken
            world.check()

    world.settled("enter", "v", "rust", user="ada")
    post(5)
    assert takes_the_short_way(world)
    world.settled("publish", "rust", MessageEdited("m1", "edited"))
    world.settled("publish", "rust", added("m5"))
    post(3)
    world.settled("publish", "rust", ReceiptRead("ada", "later"))
    assert not takes_the_short_way(world)
    post(1)
    world.settled("follow", "w", "rust")
    post(2, content="@ada")
    world.settled("leave", "v", "rust")
    post(2)
    world.settled("leave", "w", "rust")
    assert world.rooms.tier("rust") is Tier.CACHED
    post(2, "go")
    post(2)
    stats = world.rooms.stats()
    assert stats.count("update", "message_edited", "applied") == 1
    assert stats.count("update", "message_added", "duplicate") == 1


def test_a_way_up_takes_until_the_room_is_filled() -> None:
    world = World()
    world.do("enter", "v", "rust")
    world.now += 0.2
    world.host.settle()
    assert promotion(world, "UNLOADED", "ACTIVE", "loaded").quantile(0.5) == 0.25
    assert world.rooms.stats().times["request", "load", "done"].count == 1
    world.post("m1")
    world.settled("enter", "w", "rust")
    assert promotion(world, "UNLOADED", "ACTIVE", "loaded").count == 1


def test_a_way_up_with_nothing_to_ask_for_is_at_once() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    world.settled("follow", "v", "rust")
    world.settled("enter", "v", "rust")
    assert promotion(world, "UNLOADED", "ACTIVE", "at_once").count == 1
    assert promotion(world, "BACKGROUND", "ACTIVE", "at_once").count == 1


def test_a_way_up_that_is_left_before_its_end() -> None:
    world = World()
    world.do("follow", "v", "rust")
    world.do("enter", "v", "rust")
    assert promotion(world, "UNLOADED", "BACKGROUND", "left").count == 1
    world.now += 1.0
    for _ in range(2):  # the first is not waited for any more
        world.host.refuse("rust")
        world.host.answer()
    assert world.rooms.status("rust") is Status.ERROR
    assert world.rooms.stats().times["request", "load", "failed"].sum == 1.0
    world.settled("leave", "v", "rust")
    assert promotion(world, "BACKGROUND", "ACTIVE", "failed").sum == 1.0
    assert world.rooms.stats().statuses == {**dict.fromkeys(Status, 0)}


def test_a_request_that_is_asked_anew_begins_anew() -> None:
    world = World()
    world.do("follow", "v", "rust")
    world.now += 5.0
    world.do("enter", "v", "rust")
    world.now += 1.0
    world.host.settle()
    assert world.rooms.stats().times["request", "load", "done"].sum == 1.0
    assert promotion(world, "UNLOADED", "BACKGROUND", "left").sum == 5.0


def test_gaps_are_counted_while_open_and_when_filled() -> None:
    world = World("none")
    world.settled("receive", "irc", added("m1"), cursor="1")
    (fetch,) = (each for each in world.do("disconnected", "irc") if hasattr(each, "request_id"))
    world.host.todo.clear()
    stats = world.rooms.stats()
    assert (stats.gaps, stats.count("gap", "opened"), stats.asked) == (1, 1, {"fetch": 1})
    assert stats.statuses[Status.STALE] == 1
    world.rooms.complete(fetch.request_id, Recovered((message("m2"),)))
    stats = world.rooms.stats()
    assert (stats.gaps, stats.count("gap", "filled"), stats.count("update", "message_added", "recovered")) == (0, 1, 1)


def test_recoveries_are_timed_by_what_came_of_them() -> None:
    authority, now = World("none"), 1000.0
    authority.settled("enter", "a", "rust")
    authority.post("m1")
    copy = RoomStateManager(role="replica", clock=lambda: now, jitter=lambda: 1.0)

    def asked(outputs: Sequence[Any]) -> RequestRecovery:
        (found,) = (each for each in outputs if isinstance(each, RequestRecovery))
        return found

    def answer(request: RequestRecovery, *envelopes: Envelope) -> tuple[Any, ...]:
        return copy.complete(request.request_id, envelopes)

    request = asked(copy.enter("v", "rust"))
    now += 0.2
    answer(request, of_image(authority.rooms.image("rust"), now))
    assert copy.stats().times["recovery", "image"].quantile(1.0) == 0.25
    assert copy.stats().times["promotion", "UNLOADED", "ACTIVE", "loaded"].sum == pytest.approx(0.2)
    assert copy.stats().count("envelope", "adopted") == 1
    request = asked(copy.connected("rust"))
    authority.post("m2")
    missing = authority.rooms.since("rust", copy.token("rust"))
    assert isinstance(missing, Missing)
    now += 0.4
    answer(request, *of_missing("rust", missing, now))
    assert copy.stats().times["recovery", "updates"].sum == pytest.approx(0.4)
    request = asked(copy.connected("rust"))
    answer(request)
    assert copy.stats().times["recovery", "nothing"].count == 1
    now += 1.0
    request = asked(copy.connected("rust"))
    copy.fail(request.request_id, "gone")
    assert copy.stats().times["recovery", "failed"].count == 1
    assert [view.id for view in copy.view("rust").messages] == ["m1", "m2"]


@pytest.mark.parametrize(("fails", "outcome"), [(False, "left"), (True, "failed")])
def test_a_copy_that_is_left_before_it_caught_up(fails: bool, outcome: str) -> None:
    copy = RoomStateManager(role="replica", clock=lambda: 1000.0, jitter=lambda: 1.0)
    (request,) = (each for each in copy.enter("v", "rust") if isinstance(each, RequestRecovery))
    if fails:
        copy.fail(request.request_id, "gone")
    copy.leave("v", "rust")
    copy.tick(now=9999.0)
    stats = copy.stats()
    ended = {labels: took.count for labels, took in stats.times.items() if labels[0] == "promotion"}
    assert ended == {("promotion", "UNLOADED", "ACTIVE", outcome): 1}
    assert stats.rooms[Tier.ACTIVE] == stats.rooms[Tier.BACKGROUND] == 0


@pytest.mark.parametrize(
    ("share", "bound"), [(0.0, BOUNDS[0]), (0.5, BOUNDS[1]), (0.8, BOUNDS[1]), (0.9, math.inf), (1.0, math.inf)]
)
def test_a_quantile_is_the_bound_that_so_many_lie_below(share: float, bound: float) -> None:
    counts = (0, 8, *[0] * (len(BOUNDS) - 2), 2)
    assert Histogram(counts, 1.0).quantile(share) == bound


def test_a_quantile_of_nothing_is_nothing() -> None:
    assert Histogram((0,) * (len(BOUNDS) + 1), 0.0).quantile(0.5) == 0.0
