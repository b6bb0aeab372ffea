"""Each kind of bad input has one stated result, and changes nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from roomstate import Limits, Message, MessageAdded, MessageEdited, RoomConfig, RoomStateManager, Tier, User
from roomstate.effects import (
    Appended,
    Deliver,
    EchoFailed,
    FetchMessages,
    Head,
    Loaded,
    LoadSnapshot,
    LogEntry,
    Misfit,
    Recovered,
    SaveSnapshot,
    SendToAuthority,
    Sent,
    StatusChanged,
)
from roomstate.errors import (
    IllegalTransition,
    InvalidValue,
    OverBudget,
    RateLimited,
    RoomBusy,
    RoomStateError,
    TooManyRooms,
    UnknownRoom,
    UnknownViewer,
)
from roomstate.image import RoomImage
from roomstate.model import Echo, Marker, RoomInfo
from roomstate.position import Position
from roomstate.room.tiers import Signal, next_tier
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.updates import (
    CountsChanged,
    MessageRemoved,
    ModerationConfigChanged,
    RoomConfigChanged,
    TypingChanged,
    Update,
    UserJoined,
)
from tests.holding.world import START, Host, NaiveStore, added, describe

NAN, INF = float("nan"), float("inf")
LONG = "x" * 513


def manager(**options: Any) -> RoomStateManager:
    return RoomStateManager(**{"clock": lambda: 1000.0, "new_epoch": lambda: "e", **options})


@pytest.fixture
def rooms() -> RoomStateManager:
    made = manager()
    made.enter("v", "rust", user="ada")
    made.publish("rust", added("m1"))
    made.publish("rust", added("m2"))  # the second goes the short way
    return made


def refuses(rooms: RoomStateManager, error: type[RoomStateError], call: Callable[[], Any]) -> RoomStateError:
    """The error of a call that changes nothing."""
    before = describe(rooms)
    with pytest.raises(error) as caught:
        call()
    assert describe(rooms) == before
    assert caught.value.where
    assert caught.value.reason
    return caught.value


@pytest.mark.parametrize("verb", ["demote", "view", "status", "gaps", "token", "image", "disconnected", "connected"])
def test_an_unknown_room(rooms: RoomStateManager, verb: str) -> None:
    refuses(rooms, UnknownRoom, lambda: getattr(rooms, verb)("nowhere"))


def test_an_unknown_room_has_a_tier_and_unread_counts(rooms: RoomStateManager) -> None:
    assert rooms.tier("nowhere") is Tier.UNLOADED
    assert str(rooms.unread("ada", "nowhere").messages) == "0+"


def test_an_unknown_viewer(rooms: RoomStateManager) -> None:
    refuses(rooms, UnknownViewer, lambda: rooms.leave("nobody", "rust"))
    refuses(rooms, UnknownViewer, lambda: rooms.mark_read("nobody", "rust"))
    refuses(rooms, UnknownViewer, lambda: rooms.set_ui_state("nobody", "rust", {}))
    refuses(rooms, UnknownRoom, lambda: rooms.leave("v", "go"))
    refuses(rooms, UnknownRoom, lambda: rooms.mark_read("v", "go"))
    assert rooms.disconnect("nobody") == ()  # a connection that never looked may go


def test_an_illegal_transition(rooms: RoomStateManager) -> None:
    with pytest.raises(IllegalTransition, match="somebody looks at it"):
        next_tier(Tier.ACTIVE, Signal.PURGE, Tier.ACTIVE)
    refuses(rooms, InvalidValue, lambda: rooms.promote("rust", Tier.CACHED))
    refuses(rooms, InvalidValue, lambda: rooms.promote("rust", 3))  # type: ignore[arg-type]
    refuses(rooms, InvalidValue, lambda: rooms.demote("rust", "CACHED"))  # type: ignore[arg-type]
    rooms.follow("w", "go")
    refuses(rooms, InvalidValue, lambda: rooms.set_ui_state("w", "go", {}))


@pytest.mark.parametrize("value", [0, -1, NAN, INF, -INF, "5", None, True])
@pytest.mark.parametrize(
    "option",
    """
    max_bytes max_undurable_bytes max_waiting max_rooms_per_viewer max_viewers max_live_rooms max_read_states
    moves_per_s host_moves_per_s burst idle_active_s idle_background_s retry_s max_retry_s
    """.split(),
)
def test_a_bound_that_is_none(option: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=r"must be a finite number above 0"):
        manager(**{option: value})


def test_a_durability_that_there_is_not() -> None:
    with pytest.raises(InvalidValue, match="durability"):
        manager(durability="maybe")


@pytest.mark.parametrize("now", [NAN, INF, -INF, 1e300, -1e12, "soon", True])
def test_a_time_that_there_is_not(rooms: RoomStateManager, now: Any) -> None:
    for call in (
        lambda: rooms.publish("rust", added("m9"), now=now),
        lambda: rooms.enter("v", "rust", now=now),
        lambda: rooms.tick(now=now),
    ):
        refuses(rooms, InvalidValue, call)


@pytest.mark.parametrize("bad", ["", LONG, "\ud800", 5, None, b"x", ["x"]])
def test_an_id_that_is_none(rooms: RoomStateManager, bad: Any) -> None:
    message = added("m9")
    calls: list[Callable[[], Any]] = [
        lambda: rooms.enter(bad, "rust"),
        lambda: rooms.enter("v", bad),
        lambda: rooms.follow("w", bad),
        lambda: rooms.promote(bad),
        lambda: rooms.publish(bad, message),
        lambda: rooms.receive(bad, message),
        lambda: rooms.publish("rust", MessageAdded(Message(bad, "bob", "x", START))),
        lambda: rooms.publish("rust", MessageAdded(Message("m9", bad, "x", START))),
        lambda: rooms.publish("rust", UserJoined(User(bad))),
        lambda: rooms.publish("rust", MessageEdited(bad, "x")),
        lambda: rooms.view(bad),
        lambda: rooms.demote(bad),
    ]
    if bad is not None:
        calls.append(lambda: rooms.enter("w", "rust", user=bad))
        calls.append(lambda: rooms.mark_read("v", "rust", bad))
        calls.append(lambda: rooms.receive("irc", message, cursor=bad))
    for call in calls:
        refuses(rooms, InvalidValue, call)


@pytest.mark.parametrize("content", [b"bytes", ["a", "@list"], None, 5, "lone \ud800", "x" * (2**18 + 1)])
def test_content_that_is_no_text(rooms: RoomStateManager, content: Any) -> None:
    for room in ("rust", "new"):
        refuses(
            rooms,
            InvalidValue,
            partial(rooms.publish, room, MessageAdded(Message("m9", "bob", content, START))),
        )
        refuses(rooms, InvalidValue, partial(rooms.publish, room, MessageEdited("m1", content)))
    rooms.check()


def test_a_user_that_is_no_text_does_not_get_in_by_the_short_way(rooms: RoomStateManager) -> None:
    users: tuple[Any, ...] = (b"bob", 5, ["bob"], ("bob",))
    for user in users:
        refuses(rooms, InvalidValue, partial(rooms.publish, "rust", MessageAdded(Message("m9", user, "x", START))))


@pytest.mark.parametrize("extra", [{"a": object()}, 5, [1], {"a": "\ud800"}, {1: 2}, {"a": NAN}, {"a": b"x"}])
def test_extra_that_is_not_json(rooms: RoomStateManager, extra: Any) -> None:
    message = Message("m9", "bob", "x", START, extra=extra)
    refuses(rooms, InvalidValue, lambda: rooms.publish("rust", MessageAdded(message)))


@pytest.mark.parametrize("when", [datetime(2026, 1, 1), "now", 5, None])  # noqa: DTZ001
def test_a_timestamp_without_a_zone(rooms: RoomStateManager, when: Any) -> None:
    refuses(rooms, InvalidValue, lambda: rooms.publish("rust", MessageAdded(Message("m9", "bob", "x", when))))
    refuses(rooms, InvalidValue, lambda: rooms.receive("irc", MessageAdded(Message("m9", "bob", "x", when))))


def test_what_is_no_update(rooms: RoomStateManager) -> None:
    class NotOne:
        id = "m9"

    updates: tuple[Any, ...] = ("x", None, NotOne(), MessageAdded("x"), MessageAdded(None), MessageAdded(NotOne()))  # type: ignore[arg-type]
    for update in updates:
        refuses(rooms, InvalidValue, partial(rooms.publish, "rust", update))
    for broken in (
        RoomConfigChanged("x"),  # type: ignore[arg-type]
        RoomConfigChanged(RoomConfig(slow_mode_duration=-1)),
        ModerationConfigChanged(5),  # type: ignore[arg-type]
        UserJoined(5),  # type: ignore[arg-type]
        TypingChanged("ada", NAN),
        TypingChanged("ada", 301.0),
    ):
        refuses(rooms, InvalidValue, partial(rooms.publish, "rust", broken))
        refuses(rooms, InvalidValue, partial(rooms.publish, "at rest", broken))


def test_a_duplicate_id_with_other_content_is_told_and_changes_no_message(rooms: RoomStateManager) -> None:
    (misfit,) = rooms.publish("rust", added("m1", content="something else"))
    assert isinstance(misfit, Misfit)
    assert "other content" in misfit.reason
    assert rooms.publish("rust", added("m1")) == ()  # the same again is nothing new
    assert [message.content for message in rooms.view("rust").messages] == ["hi", "hi"]
    assert rooms.view("rust").position == Position("e", 2)


def test_a_clock_that_goes_back_an_hour_stands_still(rooms: RoomStateManager) -> None:
    rooms.enter("w", "go", now=5000.0)
    rooms.tick(now=1400.0)
    rooms.publish("rust", added("m3"), now=1400.0)
    rooms.publish("rust", added("m4"), now=1400.0)
    assert rooms.tier("go") is Tier.ACTIVE
    assert [item for item in rooms.tick(now=5299.0) if getattr(item, "room_id", "") == "go"] == []
    rooms.tick(now=5300.0)
    assert rooms.tier("go") is Tier.BACKGROUND
    rooms.check()


def test_the_outcome_of_an_unknown_request(rooms: RoomStateManager) -> None:
    ids: tuple[Any, ...] = (1, 0, -1, 10**9, "1", None, True)
    for request_id in ids:
        refuses(rooms, InvalidValue, partial(rooms.complete, request_id, None))
        refuses(rooms, InvalidValue, partial(rooms.fail, request_id, "x"))


def test_the_outcome_of_a_superseded_request_is_ignored() -> None:
    rooms = manager(durability="logged")
    first = rooms.follow("v", "rust")[-1]
    second = rooms.enter("v", "rust")[-1]
    assert isinstance(first, LoadSnapshot)
    assert isinstance(second, LoadSnapshot)
    before = describe(rooms.view("rust"))
    assert rooms.complete(first.request_id, Loaded()) == ()
    assert rooms.fail(first.request_id, "late") == ()
    assert describe(rooms.view("rust")) == before
    assert rooms.complete(second.request_id, Loaded()) != ()
    assert rooms.complete(second.request_id, Loaded()) == ()  # answered already


@pytest.mark.parametrize(
    "result",
    [
        None,
        Head(Position("e", 1)),
        Loaded(None, RoomImage(room_id="go", position=Position("e", 1))),
        Loaded(None, None, (LogEntry(1, 1, added("m1")), LogEntry(3, 2, added("m2")))),
        Loaded(None, None, (LogEntry(1, 1, added("")),)),
        Loaded(None, None, (LogEntry(1, 1, "x"),)),  # type: ignore[arg-type]
        Loaded(None, "x"),  # type: ignore[arg-type]
    ],
)
def test_a_result_that_is_no_answer(result: Any) -> None:
    rooms = manager(durability="logged")
    request_id = rooms.follow("v", "rust")[-1].request_id  # type: ignore[union-attr]
    refuses(rooms, InvalidValue, lambda: rooms.complete(request_id, result))
    rooms.complete(request_id, Loaded())  # the request was still open
    rooms.check()


IMAGE = RoomImage(room_id="rust", position=Position("e", 1), messages=(added("m1").message,), seqs=(1,), ordinal=1)
ECHO = Echo("c", "ada", "hi", 0.0)
WRONG: tuple[Any, ...] = (Position("e", "1"), Position(5, 1), Position("e", True), (1,), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "result",
    [
        *(Loaded(head) for head in ("x", Head("x"), *map(Head, WRONG), Head(Position("e", 1), "x"))),  # type: ignore[arg-type]
        *(Loaded(None, None, entries) for entries in (5, None, (5,), (LogEntry(1, 1, None),))),  # type: ignore[arg-type]
        Loaded(None, IMAGE, (LogEntry(1, 1, "x"),)),  # type: ignore[arg-type]  # the image has what it tells
        *(
            Loaded(None, structs.replace(IMAGE, **{name: value}))
            for name, values in {
                "position": WRONG,
                "markers": (None, (), {"ada": None}, {"ada": Marker(0, "x")}),  # type: ignore[arg-type]
                "pending": (None, ("x",), (structs.replace(ECHO, sent_at="x"),)),
                "info": (None, RoomInfo(user_count="x")),  # type: ignore[arg-type]
                "by_time": (None, 1),
                "cursor": (5,),
                "digest": (None, "x"),
                "messages": (("x",),),
            }.items()
            for value in values
        ),
    ],
)
def test_what_is_loaded_is_looked_at_before_anything_changes(result: Any) -> None:
    rooms = manager(durability="logged")
    request_id = rooms.follow("v", "rust", user="bob")[-1].request_id  # type: ignore[union-attr]
    refuses(rooms, InvalidValue, lambda: rooms.complete(request_id, result))
    rooms.complete(request_id, Loaded(Head(Position("e", 1), 1), IMAGE))  # the request was still open
    assert rooms.view("rust").position == Position("e", 1)
    rooms.check()


@pytest.mark.parametrize("head", ["x", *map(Head, ("x", *WRONG)), Head(Position("e", 1), "x")])  # type: ignore[arg-type]
def test_a_head_that_is_none(head: Any) -> None:
    rooms = manager(durability="logged")
    request_id = rooms.publish("rust", added("m1"))[-1].request_id  # type: ignore[union-attr]
    refuses(rooms, InvalidValue, lambda: rooms.complete(request_id, head))
    (append,) = rooms.complete(request_id, Head(Position("e", 1), 1))
    assert append.entries[0].seq == 2  # type: ignore[union-attr]
    rooms.check()


@pytest.mark.parametrize("fields", [("x",), (None,), (True,), (1, None), (1, 1)])
def test_an_append_that_is_confirmed_with_what_is_no_seq(fields: Any) -> None:
    rooms = manager(durability="logged")
    host = Host(rooms, NaiveStore())
    host.take(rooms.enter("v", "rust"))
    host.settle()
    request_id = rooms.publish("rust", added("m1"))[-1].request_id  # type: ignore[union-attr]
    refuses(rooms, InvalidValue, lambda: rooms.complete(request_id, Appended(*fields)))
    rooms.check()
    (told,) = rooms.complete(request_id, Appended(1))
    assert isinstance(told, Deliver)


@pytest.mark.parametrize("result", ["x", Sent(None), Sent("m9", "x"), Sent("m9", 1, 5), Sent("m9", 1, None)])  # type: ignore[arg-type]
def test_an_acknowledgement_that_is_none(result: Any) -> None:
    rooms = manager(role="replica")
    rooms.enter("v", "rust", user="ada")
    request_id = rooms.send("rust", "hi", user="ada", client_id="c")[-1].request_id  # type: ignore[union-attr]
    refuses(rooms, InvalidValue, lambda: rooms.complete(request_id, result))
    rooms.complete(request_id, Sent("m9", 1))
    assert rooms.view("rust").pending[0].message_id == "m9"


@pytest.mark.parametrize("seq", [0, 2, 99])
def test_an_append_that_confirms_what_was_not_asked(seq: int) -> None:
    rooms = manager(durability="logged")
    host = Host(rooms, NaiveStore())
    host.take(rooms.enter("v", "rust"))
    host.settle()
    (append,) = rooms.publish("rust", added("m1"))
    request_id = append.request_id  # type: ignore[union-attr]
    refuses(rooms, InvalidValue, lambda: rooms.complete(request_id, Appended(seq)))
    assert rooms.complete(request_id, Appended(1)) != ()


def test_recovered_messages_that_are_none() -> None:
    rooms = manager()
    rooms.receive("irc", added("m1"), cursor="m1")
    fetch = rooms.disconnected("irc")[-1]
    assert isinstance(fetch, FetchMessages)
    bad = Message("", "bob", "x", START)
    refuses(rooms, InvalidValue, lambda: rooms.complete(fetch.request_id, Recovered((added("m2").message, bad))))
    for broken in (Recovered(None), Recovered((), "x"), Recovered((), cursor=5)):  # type: ignore[arg-type]
        refuses(rooms, InvalidValue, partial(rooms.complete, fetch.request_id, broken))
    rooms.complete(fetch.request_id, Recovered((added("m2").message,)))
    assert [message.id for message in rooms.view("irc").messages] == ["m1", "m2"]


class Unreadable(Exception):
    def __str__(self) -> str:
        raise TypeError("no text")


def test_an_error_that_cannot_be_read_is_told_by_its_type() -> None:
    rooms = manager(durability="logged")
    load = rooms.enter("w", "go")[-1]
    assert isinstance(load, LoadSnapshot)
    told = rooms.fail(load.request_id, Unreadable())
    assert [each.reason for each in told if isinstance(each, StatusChanged)] == ["Unreadable"]
    assert rooms.fail(load.request_id, Unreadable()) == ()
    rooms.check()
    copy = manager(role="replica")
    copy.enter("v", "rust", user="ada")
    send = copy.send("rust", "hi", user="ada", client_id="c")[-1]
    assert isinstance(send, SendToAuthority)
    (failed,) = copy.fail(send.request_id, Unreadable())
    assert failed == EchoFailed("rust", "c", "Unreadable", True)
    copy.check()


def test_publishing_what_is_received_and_receiving_what_is_published(rooms: RoomStateManager) -> None:
    rooms.receive("irc", added("m1"))
    refuses(rooms, InvalidValue, lambda: rooms.publish("irc", added("m2")))
    refuses(rooms, InvalidValue, lambda: rooms.receive("rust", added("m9")))
    refuses(rooms, InvalidValue, lambda: rooms.disconnected("rust"))


def test_a_million_rooms_opened_by_one_viewer_are_bounded() -> None:
    rooms = manager(max_rooms_per_viewer=100, moves_per_s=10**9, burst=10**9)
    for number in range(100):
        rooms.enter("v", f"room {number}")
    refuses(rooms, TooManyRooms, lambda: rooms.enter("v", "one more"))
    for number in range(100, 1_000_100, 9_999):
        with pytest.raises(TooManyRooms):
            rooms.enter("v", f"room {number}")
    assert len(rooms.known()) == 100
    rooms.enter("w", "room 100")  # others are not affected


def test_too_many_viewers_and_rooms() -> None:
    rooms = manager(max_viewers=2, max_live_rooms=2)
    rooms.enter("v", "a")
    rooms.enter("w", "b")
    refuses(rooms, TooManyRooms, lambda: rooms.enter("x", "a"))
    refuses(rooms, TooManyRooms, lambda: rooms.enter("v", "c"))
    refuses(rooms, TooManyRooms, lambda: rooms.publish("c", added("m1")))
    refuses(rooms, TooManyRooms, lambda: rooms.promote("c"))
    refuses(rooms, TooManyRooms, lambda: rooms.receive("c", added("m1")))


def test_a_flood_of_moves_by_a_viewer_is_bounded_whatever_it_forgets() -> None:
    rooms = manager(moves_per_s=10, burst=20)

    def flood(seconds: int) -> int:
        done = 0
        for step in range(seconds * 1000):
            try:
                rooms.enter("v", "rust", now=1000.0 + step / 1000)
            except RateLimited:
                continue
            rooms.leave("v", "rust", now=1000.0 + step / 1000)
            done += 1
        return done

    assert flood(2) <= 20 + 2 * 10 + 1
    rooms.enter("w", "rust")  # others are not affected
    rooms.enter("v", "rust", now=1002.0)
    refuses(rooms, RateLimited, lambda: rooms.enter("v", "rust", now=1002.0))
    rooms.check()


def test_a_flood_of_promotions_by_the_host_is_bounded() -> None:
    rooms = manager(host_moves_per_s=10)
    done = 0
    for step in range(2000):
        try:
            rooms.promote("rust", now=1000.0 + step / 1000)
        except RateLimited:
            continue
        rooms.demote("rust", now=1000.0 + step / 1000)
        done += 1
    assert done <= 100 + 2 * 10 + 1
    rooms.promote("rust", now=1002.0)
    refuses(rooms, RateLimited, lambda: rooms.promote("rust", now=1002.0))
    rooms.promote("rust", now=1003.0)


def test_a_flood_does_not_cost_others() -> None:
    rooms = manager(moves_per_s=10, burst=20)
    rooms.enter("w", "go")

    def publishing(flooding: bool) -> float:
        took = 0.0
        for number in range(300):
            if flooding:
                for _ in range(5):
                    with contextlib.suppress(RateLimited):
                        rooms.enter("v", f"room {number}")
            name = f"{flooding}{number}"
            start = time.perf_counter()
            rooms.publish("go", added(name, at=number + 1000 * flooding))
            took += time.perf_counter() - start
        return took

    publishing(False)
    quiet, flooded = min(publishing(False) for _ in range(1)), publishing(True)
    assert flooded < 20 * quiet + 0.05


def test_a_busy_room_and_too_much_that_is_not_durable() -> None:
    rooms = manager(durability="logged", max_waiting=2, max_undurable_bytes=2000)
    rooms.publish("rust", added("m1"))
    rooms.publish("rust", added("m2"))
    refuses(rooms, RoomBusy, lambda: rooms.publish("rust", added("m3")))
    refuses(rooms, OverBudget, lambda: rooms.publish("go", added("m3", content="x" * 3000)))
    assert not isinstance(rooms.publish("rust", TypingChanged("ada")), RoomStateError)  # takes no seq: never refused
    rooms.check()


@pytest.mark.parametrize(
    "update",
    [
        added("m3", note="x" * 3000),
        MessageEdited("m1", "x" * 3000),
        MessageEdited("m1", "", extra={"note": "x" * 3000}),
        ModerationConfigChanged({"words": ["x" * 3000]}),
        RoomConfigChanged(RoomConfig(extra={"note": "x" * 3000})),
        UserJoined(User("ada", extra={"note": "x" * 3000})),
    ],
)
def test_what_is_not_durable_is_weighed_whatever_it_carries(update: Update) -> None:
    small, large = (manager(durability="logged", max_undurable_bytes=most) for most in (2000, 4000))
    refuses(small, OverBudget, lambda: small.publish("rust", update))
    large.publish("rust", update)
    assert 3000 < large.stats().undurable_bytes < 4000


def loading(**options: Any) -> tuple[RoomStateManager, LoadSnapshot, RoomImage]:
    """A manager without a log, whose one room is on its way back from the cache since "m2" was published."""
    rooms = manager(**options)
    rooms.enter("v", "rust")
    rooms.publish("rust", added("m1"))
    (save,) = (each for each in rooms.leave("v", "rust") if isinstance(each, SaveSnapshot))
    rooms.complete(save.request_id, SnapshotCodec().encode(save.image))
    assert rooms.tier("rust") is Tier.CACHED
    (load,) = (each for each in rooms.publish("rust", added("m2")) if isinstance(each, LoadSnapshot))
    return rooms, load, save.image


def test_what_waits_for_a_load_is_bounded_where_there_is_no_log() -> None:
    rooms, _, _ = loading(max_waiting=3)
    for name in ("m3", "m4"):
        rooms.publish("rust", added(name))
    refuses(rooms, RoomBusy, lambda: rooms.publish("rust", added("m5")))
    assert not isinstance(rooms.publish("rust", TypingChanged("ada")), RoomStateError)  # takes no seq: never refused
    rooms, load, image = loading(max_undurable_bytes=4000)
    rooms.publish("rust", MessageEdited("m2", "x" * 3000))
    refuses(rooms, OverBudget, lambda: rooms.publish("rust", MessageEdited("m2", "y" * 3000)))
    rooms.publish("go", added("m1"))  # another room's
    assert sum(rooms.stats().bytes.values()) > 9000
    rooms.complete(load.request_id, Loaded(image=image))
    assert rooms.view("rust").messages[-1].content == "x" * 3000
    rooms.publish("rust", MessageEdited("m2", "y"))
    assert sum(rooms.stats().bytes.values()) < 9000
    rooms.check()


def test_ui_state_is_bounded(rooms: RoomStateManager) -> None:
    refuses(rooms, InvalidValue, lambda: rooms.set_ui_state("v", "rust", "x" * 70_000))
    refuses(rooms, InvalidValue, lambda: rooms.set_ui_state("v", "rust", {1: object()}))
    refuses(rooms, InvalidValue, lambda: rooms.set_ui_state("v", "rust", {1: 2}))
    for number in range(1002):
        rooms.enter(f"w{number}", "rust")
        rooms.set_ui_state(f"w{number}", "rust", number)
    assert len(rooms.view("rust").ui_state) == 1000


def test_a_tick_of_nothing(rooms: RoomStateManager) -> None:
    limits: tuple[Any, ...] = (0, -1, 1.5, True)
    for limit in limits:
        refuses(rooms, InvalidValue, partial(rooms.tick, limit=limit))


def test_a_rule_that_raises_is_counted_and_loses_nothing() -> None:
    class Broken:
        kind = "broken"
        from roomstate.holding.notify import Trigger

        trigger = Trigger.ANYTHING

        def concerns(self, message: Any, members: Any) -> Any:
            raise TypeError("oops")

    rooms = manager(rules=[Broken()], limits=Limits())
    rooms.enter("v", "rust", user="ada")
    for name in ("m1", "m2"):
        rooms.publish("rust", added(name))
    assert len(rooms.view("rust").messages) == 2
    assert rooms.stats().count("rule", "failed") == 2


DEEP: dict[str, Any] = {"a": 1}
for _ in range(64):
    DEEP = {"a": DEEP}
EARLY = datetime.fromisoformat("0001-01-01T00:00:00+01:00")


@pytest.mark.parametrize(
    "update",
    [
        MessageAdded(Message("m3", "bob", "hi", START, (), DEEP)),
        MessageAdded(Message("m3", "bob", "hi", START, ("mod",) * 101)),
        MessageAdded(Message("m3", "bob", "hi", EARLY)),
        MessageEdited("m1", "ho", extra=DEEP),
        MessageEdited("m1", "ho", extra={"a": "x" * (1 << 18)}),
        MessageEdited("m1", "ho", edited_at=EARLY),
        MessageEdited("m1", "ho", timestamp=EARLY),
        MessageRemoved("m1", LONG),
        UserJoined(User("ada", extra=DEEP)),
        UserJoined(User("ada", badges=("mod",) * 101)),
        RoomConfigChanged(RoomConfig(extra=DEEP)),
        ModerationConfigChanged(DEEP),
        CountsChanged(user_count=2**53),
    ],
)
def test_what_could_not_be_told_to_others_is_not_published(rooms: RoomStateManager, update: Any) -> None:
    refuses(rooms, InvalidValue, lambda: rooms.publish("rust", update))
    refuses(rooms, InvalidValue, lambda: rooms.publish("unloaded", update))


def test_ui_state_is_no_deeper_than_can_be_told(rooms: RoomStateManager) -> None:
    refuses(rooms, InvalidValue, lambda: rooms.set_ui_state("v", "rust", DEEP))
    rooms.set_ui_state("v", "rust", DEEP["a"])
