from __future__ import annotations

from typing import Any

import pytest

from roomstate import (
    Everything,
    Mentions,
    Message,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    Notification,
    Status,
    Tier,
    User,
)
from roomstate.effects import AppendLog, Deliver, LoadHead, Misfit, Notified, SaveFailed
from roomstate.updates import NotificationAdded, PresenceChanged, ReceiptRead, TypingChanged, UserJoined
from tests.holding.world import START, World, added, kinds, update_ids


def delivered(outputs: list[Any]) -> list[Deliver]:
    return [one for one in outputs if isinstance(one, Deliver)]


@pytest.mark.parametrize("durability", ["none", "relaxed", "logged"])
def test_when_an_update_is_told(durability: str) -> None:
    world = World(durability)
    world.settled("enter", "v", "rust")
    outputs = world.do("publish", "rust", added("m1"))
    assert bool(delivered(outputs)) is (durability != "logged")
    assert (AppendLog in kinds(outputs)) is (durability != "none")
    assert world.ids() == ["m1"]
    assert world.rooms.view("rust").durable == (durability == "none")
    world.host.settle()
    assert world.rooms.view("rust").durable == 1
    assert bool(delivered(world.host.drain())) is (durability == "logged")


def test_appends_go_one_at_a_time_and_take_along_what_came_meanwhile() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    assert AppendLog in kinds(world.do("publish", "rust", added("m1")))
    assert world.do("publish", "rust", added("m2")) == []
    assert world.do("publish", "rust", added("m3")) == []
    world.host.carry_out("rust")
    world.host.answer()
    (append,) = [one for one in world.host.drain() if isinstance(one, AppendLog)]
    assert update_ids(append.entries) == ["m2", "m3"]
    world.host.settle()
    assert [one.seq for one in delivered(world.host.drain())] == [2, 3]
    world.check()


def test_a_failed_append_is_tried_again_with_growing_pauses_in_order() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.do("publish", "rust", added("m1"))
    pauses = []
    for _ in range(8):
        world.host.refuse("rust")
        world.host.answer()
        (failed,) = [one for one in world.host.drain() if isinstance(one, SaveFailed)]
        pauses.append(failed.retry_at - world.now)
        world.now = failed.retry_at
        assert AppendLog in kinds(world.do("tick"))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    world.host.settle()
    world.post("m2")
    assert update_ids(world.store.rooms["rust"].log.values()) == ["m1", "m2"]
    world.do("publish", "rust", added("m3"))
    world.host.refuse("rust")
    world.host.answer()
    (failed,) = [one for one in world.host.drain() if isinstance(one, SaveFailed)]
    assert failed.retry_at - world.now == 0.5  # success begins anew
    world.check()


def test_a_room_is_stale_while_its_log_does_not_answer_and_usable_all_the_same() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.do("publish", "rust", added("m1"))
    world.host.refuse("rust")
    world.host.answer()
    assert world.rooms.status("rust") is Status.STALE
    world.do("publish", "rust", added("m2"))
    assert world.ids() == ["m1", "m2"]
    world.do("tick", now=world.rooms.next_deadline())
    world.host.settle()
    assert world.rooms.status("rust") is Status.READY
    assert world.rooms.view("rust").durable == 2
    world.check()


def test_a_room_that_is_being_loaded_stays_so_while_its_log_does_not_answer() -> None:
    world = World()
    world.settled("follow", "v", "rust")
    world.do("publish", "rust", added("m1"))
    world.do("enter", "v", "rust")
    assert world.rooms.status("rust") is Status.LOADING
    world.host.refuse("rust")
    world.host.answer()
    assert world.rooms.status("rust") in (Status.LOADING, Status.ERROR)


def test_a_room_at_rest_is_not_stale_where_its_append_fails() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.settled("leave", "v", "rust")
    assert world.rooms.tier("rust") is Tier.CACHED
    world.do("publish", "rust", added("m1"))
    world.host.refuse("rust")
    world.host.answer()
    assert (world.rooms.tier("rust"), world.rooms.status("rust")) == (Tier.CACHED, Status.READY)
    world.now += 60
    world.settled("tick")
    assert world.rooms.view("rust").durable == 1


def test_a_save_that_fails_does_not_hold_up_appends() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1")
    world.do("leave", "v", "rust")
    while world.host.todo:
        world.host.refuse("rust")
        world.host.answer()
    assert SaveFailed in kinds(world.host.drain())
    assert AppendLog in kinds(world.do("publish", "rust", added("m2")))


def test_an_append_that_happened_although_it_failed_is_repeated_harmlessly() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.do("publish", "rust", added("m1"))
    world.host.carry_out("rust", keep=False)
    world.host.answer()
    world.do("publish", "rust", added("m2"))
    world.now += 1
    world.settled("tick")
    assert update_ids(world.store.rooms["rust"].log.values()) == ["m1", "m2"]
    assert world.rooms.view("rust").durable == 2


def test_what_waits_for_a_number_is_numbered_in_order() -> None:
    world = World()
    assert kinds(world.do("publish", "rust", added("m1"))) == [LoadHead]
    assert world.do("publish", "rust", added("m2")) == []
    world.settled("tick")
    assert update_ids(world.store.rooms["rust"].log.values()) == ["m1", "m2"]


def test_ephemeral_updates_take_no_number_and_are_told_at_once() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    for update in (TypingChanged("bob"), PresenceChanged("bob", "online"), ReceiptRead("bob", "m1")):
        (deliver,) = delivered(world.do("publish", "rust", update))
        assert deliver.seq == 0
    assert world.rooms.view("rust").position.seq == 0  # type: ignore[union-attr]


def test_a_meaningless_update_is_told_and_counted_at_every_tier() -> None:
    world = World("none")
    world.settled("follow", "v", "rust")
    for room in ("rust", "at rest"):
        (misfit,) = world.do("publish", room, TypingChanged("bob"))
        assert isinstance(misfit, Misfit)
    assert world.rooms.stats().count("update", "typing_changed", "misfit") == 2
    world.settled("enter", "v", "rust")
    for number in range(100):
        world.do("publish", "rust", TypingChanged(f"u{number}"))
    assert kinds(world.do("publish", "rust", TypingChanged("one more"))) == [Misfit]
    assert "at rest" not in world.rooms.known()


def test_typing_expires_at_a_deadline() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    world.do("publish", "rust", TypingChanged("bob", 6.0))
    world.do("publish", "rust", TypingChanged("cy", 8.0))
    assert world.rooms.next_deadline() == 1006.0
    world.now = 1006.0
    (deliver,) = delivered(world.do("tick"))
    assert deliver.update == TypingChanged("bob", 0.0)
    assert world.rooms.view("rust").typing == ("cy",)
    world.settled("follow", "v", "rust")
    world.now = 1008.0
    assert delivered(world.do("tick")) == []


@pytest.mark.parametrize("tier", ["active", "background", "cached", "unloaded"])
def test_notifications_and_mentions_at_every_tier(tier: str) -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1")
    world.bring_down(tier)
    outputs = world.settled("publish", "rust", added("m2", content="hey @ada"))
    (note,) = [one.notification for one in outputs if isinstance(one, Notified)]
    assert (note.user, note.kind, note.message_id, note.seq) == ("ada", "mention", "m2", 2)
    told = [one for one in delivered(outputs) if isinstance(one.update, NotificationAdded)]
    assert [one.recipients for one in told] == ([("v",)] if tier in {"active", "background"} else [])
    unread = world.rooms.unread("ada", "rust")
    assert (str(unread.messages), str(unread.mentions)) == ("2", "1")
    if told:
        assert world.rooms.view("rust").notifications == (note,)


def test_a_notification_from_the_source_counts_as_a_mention() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    note = Notification("rust", "ada", "invite", "m1", 1, START)
    assert Notified(note) in world.do("publish", "rust", NotificationAdded(note))
    assert str(world.rooms.unread("ada", "rust").mentions) == "1"


def test_two_devices_of_one_user_agree() -> None:
    world = World("none")
    world.settled("enter", "phone", "rust", user="ada")
    world.settled("follow", "desk", "rust", user="ada")
    world.post("m1", "m2", "m3")
    world.post("m4", user="ada")
    assert str(world.rooms.unread("ada", "rust").messages) == "3"
    world.do("mark_read", "desk", "rust", "m2")
    assert str(world.rooms.unread("ada", "rust").messages) == "1"
    world.do("mark_read", "phone", "rust", "m1")  # late: it does not go back
    assert str(world.rooms.unread("ada", "rust").messages) == "1"
    world.do("mark_read", "phone", "rust")
    assert str(world.rooms.unread("ada", "rust").messages) == "0"


def test_receipts_late_out_of_order_and_for_a_message_not_seen_yet() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.do("publish", "rust", ReceiptRead("ada", "m4"))
    world.do("publish", "rust", ReceiptRead("ada", "m1"))
    assert str(world.rooms.unread("ada", "rust").messages) == "1"
    world.post("m3")
    assert str(world.rooms.unread("ada", "rust").messages) == "2"
    world.post("m4", "m5")
    assert str(world.rooms.unread("ada", "rust").messages) == "1"
    world.check()


def test_a_receipt_for_a_message_that_is_gone_changes_nothing() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.do("publish", "rust", MessageRemoved("m1"))
    world.do("publish", "rust", ReceiptRead("ada", "m1"))
    assert str(world.rooms.unread("ada", "rust").messages) == "1"


def test_receipts_beyond_the_bound_are_dropped_and_counted() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    for number in range(1002):
        world.do("mark_read", "v", "rust", f"later {number}")
    assert world.rooms.stats().count("receipt", "dropped") == 2


def test_every_message_can_concern_somebody() -> None:
    world = World("none", rules=[Everything(["ada"])])
    world.settled("enter", "v", "rust", user="ada")
    for name in ("m1", "m2"):
        assert Notified in kinds(world.do("publish", "rust", added(name)))


def test_a_message_without_a_time_is_stamped() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    world.do("publish", "rust", MessageAdded(Message("m1", "bob", "hi")))
    assert world.rooms.view("rust").messages[0].timestamp.timestamp() == 1000.0


class Mine:
    """A host's own message class."""

    def __init__(self, id: str, content: str = "hi") -> None:
        self.id, self.user, self.content, self.timestamp, self.extra = id, "bob", content, START, {"color": "red"}


def test_a_hosts_own_message_class_is_kept_and_made_again() -> None:
    world = World("none")
    world.settled("enter", "v", "rust")
    mine = [Mine("m1"), Mine("m2")]
    for one in mine:
        world.do("publish", "rust", MessageAdded(one))
    assert list(world.rooms.view("rust").messages) == mine
    world.do("publish", "rust", MessageEdited("m1", "new"))
    assert isinstance(world.rooms.view("rust").messages[0], Message)
    made = World(make_message=lambda one: Mine(one.id, one.content))
    made.settled("enter", "v", "rust")
    made.settled("publish", "rust", added("m1"))
    made.settled("publish", "rust", MessageEdited("m1", "new"))
    made.settled("leave", "v", "rust")
    made.settled("enter", "v", "rust")
    (again,) = made.rooms.view("rust").messages
    assert isinstance(again, Mine)
    assert (again.content, again.extra) == ("new", {"color": "red"})


def test_extra_survives_the_short_way_and_replies_notify() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", user="ada")
    world.post("m2", user="bob")
    outputs = world.do("publish", "rust", added("m3", "bob", "re", reply_to="m1"))
    assert [one.notification.kind for one in outputs if isinstance(one, Notified)] == ["reply"]
    assert world.rooms.view("rust").messages[-1].extra == {"reply_to": "m1"}


def test_rules_may_be_none() -> None:
    world = World(rules=[])
    world.settled("enter", "v", "rust", user="ada")
    assert Notified not in kinds(world.settled("publish", "rust", added("m1", content="@ada")))
    world = World("none", rules=[Mentions()])
    world.settled("promote", "rust")
    world.post("m1", "m2", content="@ada")  # nobody has a marker
    world.settled("publish", "rust", UserJoined(User("bob")))
    assert world.rooms.tier("rust") is Tier.ACTIVE


def test_a_receipt_for_a_room_at_rest_waits_for_its_message() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    world.settled("publish", "rust", ReceiptRead("ada", "m1"))
    world.settled("enter", "v", "rust", user="ada")
    assert str(world.rooms.unread("ada", "rust").messages) == "1"
