from __future__ import annotations

import pytest

from roomstate import MessageRemoved, Tier
from roomstate.effects import LogEntry
from roomstate.holding.marking import folded, vanished
from roomstate.model import Marker
from roomstate.room.unread import ReadState
from roomstate.updates import StreamStatusChanged
from tests.holding.world import Shelf, World, added


def unread(world: World, user: str = "ada") -> tuple[str, str]:
    found = world.rooms.unread(user, "rust")
    return str(found.messages), str(found.mentions)


def test_counts_survive_a_restart_with_what_was_posted_removed_and_mentioned_since() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")  # the markers are saved here
    world.post("m3", user="ada")
    world.post("m4", content="hey @ada")
    world.settled("enter", "w", "rust", user="bob")
    world.settled("publish", "rust", MessageRemoved("m1"))
    assert unread(world) == ("2", "1")
    again = World(store=world.store)
    again.settled("enter", "v", "rust", user="ada")
    assert unread(again) == ("2", "1")
    again.settled("mark_read", "v", "rust")
    assert unread(again) == ("0", "0")
    again.check()


def test_a_newcomer_counts_from_the_head_that_the_load_finds() -> None:
    world = World()
    world.post("m1", "m2")
    again = World(store=world.store)
    again.do("enter", "v", "rust", user="ada")
    assert unread(again) == ("0+", "0+")
    again.do("mark_read", "v", "rust")  # nothing is known yet: nothing to mark
    again.host.settle()
    assert unread(again) == ("0", "0")
    again.post("m3")
    assert unread(again) == ("1", "0")


def test_a_newcomer_to_a_room_whose_head_is_known_takes_the_marker_that_the_store_has() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1")
    world.settled("leave", "v", "rust")
    world.post("m2")
    again = World(store=world.store)
    again.do("publish", "rust", added("m3"))
    again.host.carry_out("rust")
    again.host.answer()  # the head is known now
    again.do("enter", "v", "rust", user="ada")
    assert unread(again)[0].endswith("+")
    again.host.settle()
    assert unread(again) == ("3", "0")
    again.check()


def test_a_log_that_is_cut_makes_counts_at_least() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1")
    world.settled("leave", "v", "rust")
    for number in range(2, 40):  # no snapshot was taken on the way: an import, or one whose saving failed
        world.store.rooms["rust"].log[number] = LogEntry(number, number, added(f"m{number}"))
    again = World(store=world.store)
    again.settled("follow", "v", "rust", user="ada")
    messages, _ = unread(again)
    assert messages.endswith("+")
    assert 0 < int(messages[:-1]) <= 39
    assert again.rooms.view("rust").held_after > 0


def test_counts_stay_exact_however_much_is_posted_while_the_room_rests() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1")
    world.settled("leave", "v", "rust")
    for number in range(2, 40):
        world.post(f"m{number}", content="@ada" if number == 3 else "hi")
    again = World(store=world.store)
    again.settled("follow", "v", "rust", user="ada")
    assert unread(again) == ("39", "1")


def test_entries_that_hold_nothing_are_not_counted() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1")
    world.settled("leave", "v", "rust")
    shelf: Shelf = world.store.rooms["rust"]
    shelf.log[2] = LogEntry(2, 2, StreamStatusChanged("live"))  # a repeated message's seq: counted, not there
    shelf.log[3] = LogEntry(3, 3, added("m1"))  # a log that does not look for repetitions
    shelf.log[4] = LogEntry(4, 4, added("m2"))
    shelf.log[5] = LogEntry(5, 4, MessageRemoved("m2"))
    shelf.log[6] = LogEntry(6, 4, MessageRemoved("m2"))
    shelf.log[7] = LogEntry(7, 4, MessageRemoved("never seen"))
    again = World(store=world.store)
    again.settled("enter", "v", "rust", user="ada")
    assert int(unread(again)[0].rstrip("+")) <= 1
    assert again.rooms._holdings["rust"].sync_reads().ordinal == 4


def test_a_removal_that_nobody_can_place_lowers_what_it_may_have_hit() -> None:
    reads = ReadState(5, 5)
    reads.markers = {"ada": Marker(1, 1, mentions=(3,)), "bob": Marker(4, 4)}
    vanished(reads, 3)
    assert (str(reads.unread("ada").messages), str(reads.unread("ada").mentions)) == ("3+", "0+")
    assert str(reads.unread("bob").messages) == "1"


def test_folded_markers_count_the_same_without_a_memory_of_removals() -> None:
    reads = ReadState(5, 5)
    reads.markers = {"ada": Marker(1, 1)}
    reads.removed(3, "bob")
    fresh = ReadState(5, 5)
    fresh.markers = folded(reads)
    assert fresh.unread("ada") == reads.unread("ada")


def test_a_message_removed_below_the_window_is_at_least() -> None:
    world = World("none")
    world.settled("enter", "v", "rust", user="ada")
    world.settled("follow", "v", "rust")
    world.post(*(f"m{number}" for number in range(1, 8)))
    assert unread(world) == ("7", "0")
    world.settled("publish", "rust", MessageRemoved("m1"))
    assert unread(world) == ("6+", "0+")
    world.settled("publish", "rust", MessageRemoved("m1"))  # again: known to be gone
    assert unread(world) == ("6+", "0+")
    assert world.rooms.tier("rust") is Tier.BACKGROUND


def test_receipts_that_waited_for_a_load_are_taken_when_it_comes() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2", "m3")
    world.settled("leave", "v", "rust")
    world.do("enter", "v", "rust", user="ada")
    world.do("mark_read", "v", "rust", "m2")
    assert unread(world) == ("3", "0")
    world.host.settle()
    assert unread(world) == ("1", "0")


def test_replies_since_the_snapshot_count_after_a_restart() -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", user="ada")
    world.settled("leave", "v", "rust")
    world.settled("publish", "rust", added("m2", "bob", "re", reply_to="m1"))
    world.settled("publish", "rust", added("m3", "bob", "re", reply_to="nothing"))
    again = World(store=world.store)
    again.settled("enter", "v", "rust", user="ada")
    assert unread(again) == ("2", "1")


def test_markers_from_a_snapshot_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.settled("enter", "w", "rust", user="bob")
    world.settled("disconnect", "v")
    world.settled("disconnect", "w")
    world.post("m1")
    monkeypatch.setattr("roomstate.holding.marking.MAX_MARKERS", 1)
    again = World(store=world.store)
    again.settled("enter", "x", "rust", user="cy")
    assert list(again.rooms._holdings["rust"].reads.markers) == ["cy"]
