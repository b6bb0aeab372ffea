"""Every case that replication is to get right, and every kind of bad input, by the name under which it is looked for.

Most have their test where the part is tested that gets them right; the tables say where. The rest are here.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from roomstate import Message, RoomStateManager, Status
from roomstate.effects import GapClosed, GapOpened, LoadSnapshot, Recovered
from roomstate.image import RoomImage
from roomstate.position import Gap, Position
from roomstate.sync import envelope as wire
from roomstate.sync.merge import merge_messages
from tests.holding.pair import ROOM, Pair
from tests.holding.test_following import hear, source
from tests.holding.world import World

TESTS = Path(__file__).resolve().parents[1]
HERE = "sync/test_named_cases.py"
FEED, REPLICA, CHECKING = "sync/test_feed.py", "holding/test_replicating.py", "sync/test_checking.py"

CASES = {
    "position already evicted": (FEED, "test_position_already_evicted_needs_a_snapshot"),
    "position ahead of the head": (FEED, "test_other_epoch_ahead_of_the_head_and_another_content_need_a_snapshot"),
    "same position and nothing new": (FEED, "test_same_position_and_nothing_new"),
    "missed count over the limit": (FEED, "test_missed_count_over_the_limit"),
    "publish during recovery delivered once": (REPLICA, "test_what_is_published_during_recovery_is_shown_once"),
    "gap not stored when everything in it is already known": (
        HERE,
        "test_a_gap_is_not_stored_when_everything_in_it_is_already_known",
    ),
    "a room that holds only a gap": (HERE, "test_a_room_that_holds_only_a_gap"),
    "reset while filling a gap": (REPLICA, "test_a_reset_while_a_gap_is_being_filled"),
    "simultaneous loads share one": (HERE, "test_simultaneous_loads_share_one"),
    "simultaneous recoveries share one": (REPLICA, "test_simultaneous_needs_share_one_request"),
    "an edit and its target in one batch": (REPLICA, "test_an_edit_and_its_target_in_one_batch"),
    "equal timestamps": (REPLICA, "test_equal_timestamps_keep_both_in_the_order_of_the_log"),
    "a changed timestamp moves the message": (
        "room/test_reduce.py",
        "test_a_new_time_moves_a_message_only_where_there_are_no_positions",
    ),
    "overlapping windows merge": (HERE, "test_overlapping_windows_merge"),
    "unread after a gap is at least": (REPLICA, "test_unread_after_a_hole_is_at_least"),
    "a receipt for a future message": (REPLICA, "test_a_receipt_for_a_message_to_come_waits_for_it"),
    "a removal that arrives before the message": (REPLICA, "test_a_removal_that_comes_before_its_message_buries_it"),
    "the same, of a source without numbers": (
        "holding/test_following.py",
        "test_a_removal_that_arrives_before_the_message",
    ),
    "leave and rejoin during a sync": (REPLICA, "test_leaving_and_coming_back_during_a_sync"),
    "an old clear after a newer set": (REPLICA, "test_an_old_clear_after_a_newer_set_does_not_undo_it"),
    "retry returning to the state before the error": (REPLICA, "test_a_retry_returns_to_the_state_before_the_error"),
}

BAD_INPUT = {
    "oversized": (CHECKING, "test_oversized_by_one_byte"),
    "deeply nested": (CHECKING, "test_deeply_nested"),
    "truncated": (CHECKING, "test_truncated"),
    "NaN": (CHECKING, "test_what_is_no_number"),
    "huge or negative numbers, numbers above 2^53": (CHECKING, "test_numbers_that_are_no_position"),
    "lone surrogates": (CHECKING, "test_lone_surrogates"),
    "invalid UTF-8": (CHECKING, "test_invalid_utf_8"),
    "duplicate keys": (CHECKING, "test_of_a_repeated_key_the_last_counts"),
    "wrong types": (CHECKING, "test_wrong_types"),
    "unknown types": (CHECKING, "test_unknown_types"),
    "missing fields": (CHECKING, "test_missing_fields"),
    "timestamps without zone or out of range": (CHECKING, "test_timestamps_without_zone_or_out_of_range"),
    "sequence numbers that go back": (CHECKING, "test_sequence_numbers_that_go_back"),
    "sequence numbers that leap by 2^50": (
        REPLICA,
        "test_an_update_that_leaps_is_not_believed_once_the_authority_has_answered",
    ),
    "floods of gaps": ("sync/test_hostile_peer.py", "test_a_flood_of_gaps_is_bounded_and_asks_seldom"),
    "floods of recovery requests": ("host/test_receiving.py", "test_a_flood_is_bounded_and_harms_nobody_else"),
    "a million distinct users in one room": (
        "sync/test_hostile_peer.py",
        "test_a_million_users_are_refused_or_counted_not_kept",
    ),
    "parked updates that never resolve": (
        "holding/test_following.py",
        "test_parked_updates_that_never_resolve_are_given_up_in_time",
    ),
    "one hostile peer never changes another room's state": (
        "sync/test_hostile_peer.py",
        "test_mutated_envelopes_change_no_other_room",
    ),
}


@cache
def named(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("case", [*CASES, *BAD_INPUT])
def test_every_case_has_its_test(case: str) -> None:
    path, name = (CASES | BAD_INPUT)[case]
    assert name in named(path)


# -- those that are here ---------------------------------------------------------------------------------------------


def test_a_gap_is_not_stored_when_everything_in_it_is_already_known() -> None:
    pair = Pair().ready("a", "b")
    told = pair.receive(pair.heartbeat())
    image, head = pair.image(), pair.authority.head(ROOM).position
    told += pair.receive(image, wire.of_withheld(ROOM, head.epoch, 0, head.seq, pair.now))
    assert told == []
    assert pair.replica.gaps(ROOM) == ()


def test_a_gap_whose_page_has_nothing_new_is_closed() -> None:
    world = World("none")
    hear(world, "m1", "m2")
    (fetch,) = (each for each in world.do("disconnected", "irc") if type(each).__name__ == "FetchMessages")
    source(world)
    told = world.do("complete", fetch.request_id, Recovered(tuple(world.store.sources["irc"])))
    assert [type(each) for each in told if isinstance(each, GapOpened | GapClosed)] == [GapClosed]
    assert world.ids("irc") == ["m1", "m2"]
    assert world.rooms.gaps("irc") == ()


def test_a_room_that_holds_only_a_gap() -> None:
    pair = Pair()
    pair.publish("a")
    gap = Gap(0, 1)
    image = RoomImage(room_id=ROOM, position=Position("e1", 1), ordinal=1, gaps=(gap,), members_complete=True)
    pair.enter()
    asked = pair.asked.pop()
    pair.receive(pair.carried(wire.of_image(image, pair.now, answers=asked.request_id)))
    view = pair.replica.view(ROOM)
    assert (view.messages, view.gaps, view.position) == ((), (gap,), Position("e1", 1))
    assert not pair.replica.unread("ada", ROOM).messages.exact
    pair.receive(pair.publish("b"))
    assert (pair.ids(), pair.replica.gaps(ROOM)) == (["b"], (gap,))
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))  # whoever looks asks for the whole
    pair.settle()
    pair.same()


def test_simultaneous_loads_share_one() -> None:
    rooms = RoomStateManager(durability="logged", clock=lambda: 1000.0)
    told = [*rooms.enter("v1", "rust"), *rooms.enter("v2", "rust"), *rooms.promote("rust")]
    assert [type(each) for each in told].count(LoadSnapshot) == 1
    assert rooms.status("rust") is Status.LOADING


def test_overlapping_windows_merge() -> None:
    a, b, c, d, e = (Message(name, "bob", name) for name in "abcde")
    for ours, theirs in (([a, b, c], [b, c, d, e]), ([b, c, d, e], [a, b, c])):
        messages, seqs = merge_messages(
            ours, [1 + "abcde".index(m.id) for m in ours], theirs, [1 + "abcde".index(m.id) for m in theirs]
        )
        assert [each.id for each in messages] == [*"abcde"]
        assert seqs == [1, 2, 3, 4, 5]
