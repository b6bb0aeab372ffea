from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from roomstate import (
    Limits,
    Message,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    RoomConfig,
    RoomStateManager,
    Status,
    Tier,
)
from roomstate.effects import (
    ConflictResolved,
    GapClosed,
    GapOpened,
    Head,
    Loaded,
    LoadSnapshot,
    LogEntry,
    OpenStream,
    RequestRecovery,
    Resynced,
    SendToAuthority,
    Sent,
)
from roomstate.errors import ConflictError, InvalidValue, Malformed, RoomBusy, StoreBusy, UnknownRoom
from roomstate.model import Echo, Notification, User
from roomstate.position import Gap, Position
from roomstate.snapshot import SnapshotCodec
from roomstate.sync import envelope as wire
from roomstate.sync.conflict import (
    ClientWins,
    Conflict,
    ConflictPolicy,
    ConflictStrategy,
    Merge,
    ServerWins,
    UserChoice,
)
from roomstate.sync.payloads import DeltaUpdate
from roomstate.sync.replica import MAX_EARLY
from roomstate.updates import (
    NotificationAdded,
    PresenceChanged,
    ReactionAdded,
    ReceiptRead,
    RoomConfigChanged,
    TypingChanged,
    UserJoined,
)
from tests.holding.pair import ROOM, Pair, kinds

# -- joining ---------------------------------------------------------


def test_entering_shows_loading_opens_a_stream_and_asks_for_an_image() -> None:
    pair = Pair()
    pair.publish("a")
    told = pair.enter()
    assert kinds(told) == ["TierChanged", "OpenStream", "StatusChanged", "RequestRecovery"]
    assert told[1] == OpenStream(ROOM, "realtime")
    assert pair.asked[0].token is None
    assert pair.replica.status(ROOM) is Status.LOADING
    assert pair.replica.view(ROOM).position is None
    pair.settle()
    pair.same()


def test_updates_of_every_kind_are_applied_in_order() -> None:
    pair = Pair().ready("a", "b")
    for update in (
        MessageAdded(Message("c", "cy", "third")),
        MessageEdited("a", "first", edited_at=datetime(2026, 1, 1, tzinfo=UTC)),
        ReactionAdded("b", "cy", "+1"),
        MessageRemoved("b"),
        UserJoined(User("cy", "Cy")),
        RoomConfigChanged(RoomConfig(slow_mode_enabled=True)),
        PresenceChanged("cy", "away"),
        TypingChanged("cy"),
    ):
        pair.receive(pair.publish(update))
    pair.now = pair.authority.view(ROOM).info.last_config_update.timestamp()  # type: ignore[union-attr]
    pair.same()
    assert pair.replica.view(ROOM).typing == ("cy",)
    assert pair.ids() == ["a", "c"]


def test_a_copy_that_went_on_unanswered_over_a_link_that_is_gone_asks_for_an_image() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))  # it asks from here, and nobody answers
    first = pair.asked[-1]
    pair.receive(pair.publish("b"))
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))  # what it holds may be of a log that was lost each time
    assert (first.token is None, pair.asked[-1].token is None) == (False, True)
    pair.settle()
    pair.same()


def test_a_message_that_has_left_the_window_and_comes_again_is_where_the_log_has_it() -> None:
    limits = Limits(active_messages=3, background_messages=1)
    pair = Pair(replica={"limits": limits}, limits=limits).ready("a", "b", "c", "d", "e", "f")
    assert pair.replica.view(ROOM).messages[0].id == "d"
    position = pair.replica.view(ROOM).position
    assert position is not None
    again = MessageAdded(Message("a", "bob", "says a"))
    pair.receive(wire.of_update(ROOM, position.epoch, position.seq, position.seq + 1, again, pair.now))
    assert pair.ids() == ["e", "f", "a"]
    pair.replica.check()


def test_a_message_that_the_log_has_twice_is_shown_once_and_takes_its_echo_along() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.send(ROOM, "says a", user="bob", client_id="a"))
    epoch = pair.authority.token(ROOM).epoch
    for seq, content in ((2, "says a"), (3, "says another thing")):
        again = MessageAdded(Message("a", "bob", content))
        outputs = pair.receive(wire.of_update(ROOM, epoch, seq - 1, seq, again, pair.now))
        assert kinds(outputs) == ([] if seq == 2 else ["Misfit"])
        assert pair.replica.view(ROOM).position == Position(epoch, seq)
    assert pair.ids() == ["a"]
    assert pair.replica.view(ROOM).pending == ()
    assert pair.replica.stats().count("update", "message_added", "duplicate") == 1
    pair.replica.check()


def test_a_repetition_changes_nothing() -> None:
    pair = Pair().ready("a")
    told = pair.publish("b")
    pair.receive(told)
    before = pair.replica.view(ROOM)
    assert pair.receive(told, told) == []
    assert pair.replica.view(ROOM).revision == before.revision
    assert pair.replica.stats().counts["envelope", "duplicate"] == 2


def test_what_is_early_waits_for_what_lies_before_it() -> None:
    pair = Pair().ready("a")
    b, c, d = (pair.publish(each) for each in "bcd")
    assert pair.receive(d, c) == []
    assert pair.replica.gaps(ROOM) == (Gap(1, 2),)
    pair.receive(b)
    assert pair.ids() == ["a", "b", "c", "d"]
    pair.same()
    pair.later(1.0)
    assert not pair.asked


def test_a_lost_update_is_asked_for_after_half_a_second_and_all_of_it_comes() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    pair.receive(pair.publish("c"))
    assert pair.later(0.4) == []
    told = pair.later(0.2)
    assert kinds(told) == ["StatusChanged", "GapOpened", "RequestRecovery"]
    assert (GapOpened(ROOM, Gap(1, 3)) in told) or (GapOpened(ROOM, Gap(1, 2)) in told)
    assert pair.asked[0].token is not None
    assert pair.asked[0].token.seq == 1
    told = pair.settle()
    assert any(isinstance(each, GapClosed) and each.filled for each in told)
    pair.same()


def test_a_heartbeat_tells_of_a_lost_tail() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    assert pair.receive(pair.heartbeat()) == []
    assert pair.replica.gaps(ROOM) == (Gap(1, 2),)
    pair.later(0.6)
    pair.settle()
    pair.same()
    assert pair.receive(pair.heartbeat()) == []


def test_what_is_published_during_recovery_is_shown_once() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    pair.receive(pair.publish("c"))
    pair.later(0.6)
    pair.receive(pair.publish("d"))
    answer = pair.answer(pair.asked.pop())
    e = pair.publish("e")
    pair.receive(e)
    pair.receive(*answer, *answer)
    assert pair.ids() == ["a", "b", "c", "d", "e"]
    pair.same()


def test_overlapping_envelopes_are_applied_from_where_they_are_new() -> None:
    pair = Pair().ready("a")
    token = pair.authority.token(ROOM)
    first = pair.publish("b")
    pair.receive(first)
    pair.publish("c")
    found = pair.authority.since(ROOM, token)
    assert not isinstance(found, str)
    pair.receive(*map(pair.carried, wire.of_missing(ROOM, found, pair.now)))  # type: ignore[arg-type]
    pair.same()
    assert pair.replica.stats().count("update", "message_added", "duplicate") == 0


def test_an_edit_and_its_target_in_one_batch() -> None:
    pair = Pair().ready("a")
    token = pair.authority.token(ROOM)
    pair.publish("b")
    pair.publish(MessageEdited("b", "edited"))
    pair.publish(MessageRemoved("a"))
    found = pair.authority.since(ROOM, token)
    (batch,) = wire.of_missing(ROOM, found, pair.now)  # type: ignore[arg-type]
    pair.receive(pair.carried(batch))
    assert [message.content for message in pair.replica.view(ROOM).messages] == ["edited"]
    assert pair.replica.view(ROOM).position == Position("e1", 4)


def test_equal_timestamps_keep_both_in_the_order_of_the_log() -> None:
    pair = Pair().ready()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for each in ("b", "a", "c"):
        pair.receive(pair.publish(MessageAdded(Message(each, "bob", "same time", at))))
    assert pair.ids() == ["b", "a", "c"]
    pair.same()


def test_a_removal_that_comes_before_its_message_buries_it() -> None:
    pair = Pair().ready("a")
    added = pair.publish("b")
    removed = pair.publish(MessageRemoved("b"))
    pair.receive(removed, added)
    pair.same()
    assert pair.ids() == ["a"]
    again = structs.replace(added, previous=3, sequence_number=4)  # the same message once more
    pair.receive(again)
    assert pair.ids() == ["a"]


def test_bare_ids_are_asked_for_at_once() -> None:
    pair = Pair().ready("a")
    told = pair.publish("b")
    bare = structs.replace(told, data=DeltaUpdate(added_messages=("b",)))
    pair.receive(bare)
    pair.later(0.6)
    pair.settle()
    pair.same()


def test_a_patch_of_a_user_keeps_what_it_does_not_name() -> None:
    pair = Pair().ready()
    pair.receive(pair.publish(UserJoined(User("cy", "Cy", color="red"))))
    patch = wire.decode(
        '{"room_state_sync": {"message_type": "DELTA_UPDATE", "room_id": "rust", "timestamp": "2026-01-01T00:00:00Z",'
        '"epoch": "e1", "previous": 1, "sequence_number": 2, '
        '"data": {"updated_users": [{"id": "cy", "username": "Cyd"}]}}}'
    )
    pair.receive(patch)
    assert pair.replica.view(ROOM).members == (User("cy", "Cyd", color="red"),)


# -- other epochs, images ---------------------------------------------------------


def test_another_epoch_is_never_merged_only_replaced_by_an_image() -> None:
    pair = Pair().ready("a", "b")
    pair.restart()
    told = pair.receive(pair.publish("x"))
    assert [type(each) for each in told if isinstance(each, RequestRecovery)] == [RequestRecovery]
    assert pair.ids() == ["a", "b"]
    told = pair.settle()
    assert Resynced(ROOM, Position("e2", 1), "other epoch") in told
    assert pair.ids() == ["x"]
    pair.same()


def test_a_late_image_of_an_old_epoch_does_not_bring_it_back() -> None:
    pair = Pair().ready("a", "b")
    old = pair.image()
    pair.restart()
    pair.receive(pair.publish("x"))
    pair.settle()
    pair.receive(old)
    assert pair.ids() == ["x"]
    pair.settle()
    pair.same()


def test_presence_of_a_new_epoch_is_newer_than_that_of_the_old_one() -> None:
    pair = Pair().ready(*(f"m{at}" for at in range(20)))
    pair.receive(pair.publish(UserJoined(User("cy"))), pair.publish(PresenceChanged("cy", "away")))
    pair.restart()
    pair.publish(UserJoined(User("cy")))
    pair.receive(pair.heartbeat())
    pair.settle()
    pair.receive(pair.publish(PresenceChanged("cy", "busy")))
    assert pair.replica.view(ROOM).presence == {"cy": "busy"}
    pair.same()


@pytest.mark.parametrize("kind", ["delta", "state", "image"])
@pytest.mark.parametrize("held", [False, True])
def test_an_envelope_that_names_no_log_is_refused(kind: str, held: bool) -> None:
    pair = Pair()
    if held:
        pair.ready("a")
    else:
        pair.enter()
    told = {"delta": pair.publish("b"), "image": pair.image(), "state": pair.publish(RoomConfigChanged(RoomConfig()))}
    nameless = structs.replace(told[kind], epoch="")
    before = pair.ids()
    with pytest.raises(Malformed, match="epoch: must be given"):
        pair.replica.receive(nameless)
    assert pair.ids() == before
    pair.replica.check()
    for asked in pair.asked:
        pair.take(pair.replica.complete(asked.request_id, (structs.replace(nameless, answers=asked.request_id),)))
        assert pair.ids() == before
    pair.asked.clear()
    pair.receive(pair.heartbeat())
    pair.later(60)
    pair.settle()
    pair.same()


def test_an_empty_room_that_is_looked_at_while_it_asks_for_less_asks_for_the_whole() -> None:
    pair = Pair()
    pair.take(pair.replica.follow("ada", ROOM))
    pair.settle()
    pair.publish(UserJoined(User("cy")))
    for at in range(80):
        pair.publish(f"m{at}")
    pair.receive(pair.heartbeat())
    pair.later(0.5)
    (brief,) = pair.asked
    assert brief.token is not None
    pair.enter()
    whole = pair.asked[-1]
    assert (len(pair.asked), whole.token) == (2, None)
    few = pair.authority.image(ROOM)
    few = structs.replace(
        few,
        messages=few.messages[-50:],
        seqs=few.seqs[-50:],
        held_after=few.seqs[-51],
        members=(),
        members_complete=False,
    )
    pair.receive(pair.carried(wire.of_image(few, pair.now, answers=brief.request_id)))
    pair.settle()
    pair.same()
    assert len(pair.ids()) == 80


def test_updates_of_a_new_epoch_wait_for_its_image() -> None:
    pair = Pair().ready("a", "b")
    pair.restart()
    first = pair.publish("x")
    pair.receive(first)
    asked = pair.asked.pop()
    answer = pair.answer(asked)
    pair.receive(pair.publish("y"))
    pair.take(pair.replica.complete(asked.request_id, answer))
    pair.same()
    assert pair.ids() == ["x", "y"]


def test_an_image_that_is_older_than_what_is_held_is_not_taken() -> None:
    pair = Pair().ready("a")
    old = pair.image()
    pair.receive(pair.publish("b"))
    pair.receive(old)
    assert pair.ids() == ["a", "b"]


def test_an_image_asked_for_and_overtaken_by_the_stream_loses_nothing() -> None:
    pair = Pair().ready(*(f"m{i}" for i in range(60)))
    pair.take(pair.replica.follow("ada", ROOM))
    pair.take(pair.replica.enter("ada", ROOM))
    asked = pair.asked.pop()
    answer = pair.answer(asked)
    pair.receive(pair.publish("x"), pair.publish("y"))
    pair.receive(*answer)
    pair.same()
    assert len(pair.ids()) == 62


def test_too_much_missed_is_an_image() -> None:
    pair = Pair().ready("a")
    for at in range(1200):
        pair.publish(f"m{at}")
    pair.receive(pair.heartbeat())
    pair.later(0.6)
    told = pair.settle()
    assert any(isinstance(each, Resynced) and each.reason == "too much was missed" for each in told)
    pair.same()


def test_a_reset_while_a_gap_is_being_filled() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    pair.receive(pair.publish("c"))
    pair.later(0.6)
    asked = pair.asked.pop()
    late = pair.answer(asked)
    pair.restart()
    pair.receive(pair.publish("x"))
    pair.receive(*late)  # an answer from before the restart
    pair.settle()
    pair.later(1.0)
    pair.receive(pair.heartbeat())
    pair.later(1.0)
    pair.settle()
    pair.same()


# -- asking ---------------------------------------------------------


def test_simultaneous_needs_share_one_request() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter("ada")
    pair.enter("bob")
    pair.receive(pair.publish("b"), pair.heartbeat())
    assert len(pair.asked) == 1
    pair.settle()
    pair.same()


def test_a_request_that_fails_is_asked_again_later_and_later() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter()
    waits = []
    for _ in range(8):
        pair.take(pair.replica.fail(pair.asked.pop().request_id, "down"))
        assert pair.replica.status(ROOM) is Status.ERROR
        due = pair.replica.next_deadline()
        assert due is not None
        waits.append(due - pair.now)
        pair.later(waits[-1] + 0.001)
    assert waits == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0], abs=0.01)
    pair.settle()
    pair.same()


def test_a_request_that_nobody_answers_is_given_up() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter()
    late = pair.asked.pop()
    answer = pair.answer(late)
    pair.later(10.1)
    assert pair.replica.status(ROOM) is Status.ERROR
    pair.later(0.5)
    assert len(pair.asked) == 1
    assert pair.take(pair.replica.complete(late.request_id, answer)) == []
    pair.settle()
    pair.same()


def test_an_answer_that_does_not_help_does_not_make_a_storm() -> None:
    pair = Pair().ready("a")
    lie = structs.replace(pair.heartbeat(), data=structs.replace(pair.heartbeat().data, head=2**50))
    pair.receive(lie)
    asked = 0
    for _ in range(1000):
        pair.later(0.1)
        asked += len(pair.asked)
        pair.settle()
        pair.receive(lie)
    assert asked < 20
    pair.receive(pair.publish("b"))
    assert pair.ids() == ["a", "b"]


def test_an_update_that_leaps_is_not_believed_once_the_authority_has_answered() -> None:
    pair = Pair().ready("a")
    told = pair.publish("b")
    pair.receive(structs.replace(told, previous=2**50, sequence_number=2**50 + 1))
    pair.later(0.6)
    pair.settle()
    pair.same()


def test_a_flood_of_gaps_is_bounded() -> None:
    pair = Pair().ready("a")
    told = pair.publish("b")
    for at in range(2 * MAX_EARLY):
        leap = structs.replace(told, previous=10 + 2 * at, sequence_number=11 + 2 * at)
        pair.asked += [each for each in pair.replica.receive(leap) if isinstance(each, RequestRecovery)]
    assert len(pair.asked) == 1
    pair.settle()
    pair.later(1.0)
    pair.settle()
    pair.same()
    assert pair.replica.stats().counts["envelope", "dropped"] == 2 * MAX_EARLY


def test_an_acknowledgement_during_a_load_asks_for_nothing_before_the_store_has_answered() -> None:
    pair = Pair(replica={"durability": "relaxed"})
    pair.publish("a")
    kept = structs.replace(pair.authority.image(ROOM), fingerprint=pair.authority.token(ROOM).fingerprint)
    load = next(each for each in pair.enter() if isinstance(each, LoadSnapshot))
    told = pair.take(pair.replica.send(ROOM, "hello", user="ada", client_id="c1"))
    sent = next(each for each in told if isinstance(each, SendToAuthority))
    pair.publish(MessageAdded(Message("c1", "ada", "hello")))
    pair.take(pair.replica.complete(sent.request_id, Sent("c1", 2, "e1")))
    assert pair.asked == []
    assert [echo.client_id for echo in pair.replica.view(ROOM).pending] == ["c1"]
    pair.take(pair.replica.complete(load.request_id, Loaded(Head(kept.position, kept.ordinal), kept)))
    assert pair.ids() == ["a"]
    assert [echo.client_id for echo in pair.replica.view(ROOM).pending] == ["c1"]
    pair.settle()
    assert pair.ids() == ["a", "c1"]
    assert pair.replica.view(ROOM).pending == ()


def test_what_is_late_of_another_log_does_not_leave_the_room_loading() -> None:
    pair = Pair().ready("a")
    late = pair.publish("b")
    pair.receive(late)
    for seq in (8, 9):  # the second comes after the question that the first has led to
        pair.receive(structs.replace(late, epoch="old", previous=seq, sequence_number=seq + 1))
    for _ in range(10):
        pair.settle()
        pair.later(5.0)
    pair.same()
    assert pair.asked == []


def test_an_answer_that_contradicts_itself_counts_as_none() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter()
    asked = pair.asked.pop()
    image = pair.image()
    broken = structs.replace(image, data=structs.replace(image.data, seqs=(5,)))
    pair.take(pair.replica.complete(asked.request_id, (broken,)))
    assert pair.replica.status(ROOM) is Status.ERROR
    pair.later(1.0)
    pair.settle()
    pair.same()


def test_an_answer_of_another_room_is_refused_and_the_request_stays_open() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter()
    asked = pair.asked[0]
    other = structs.replace(pair.image(), room_id="python")
    for wrong in ((other,), ("no envelope",)):
        with pytest.raises(InvalidValue, match="envelopes of room 'rust'"):
            pair.replica.complete(asked.request_id, wrong)
    pair.settle()
    pair.same()


# -- the link ---------------------------------------------------------


def test_a_lost_link_is_stale_and_comes_back_with_what_was_missed() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.disconnected(ROOM))
    assert pair.replica.status(ROOM) is Status.STALE
    assert pair.ids() == ["a"]
    pair.publish("b")
    assert not pair.asked
    pair.take(pair.replica.connected(ROOM))
    assert pair.replica.status(ROOM) is Status.LOADING
    pair.settle()
    pair.same()


def test_a_retry_returns_to_the_state_before_the_error() -> None:
    pair = Pair().ready("a")
    before = pair.replica.view(ROOM)
    pair.take(pair.replica.connected(ROOM))
    pair.take(pair.replica.fail(pair.asked.pop().request_id, StoreBusy("x", "y")))
    assert pair.replica.status(ROOM) is Status.ERROR
    assert pair.replica.view(ROOM).messages == before.messages
    pair.later(1.0)
    pair.settle()
    assert pair.replica.view(ROOM).messages == before.messages
    assert pair.replica.status(ROOM) is Status.READY


def test_leaving_and_coming_back_during_a_sync() -> None:
    pair = Pair()
    pair.publish("a")
    pair.enter()
    late = pair.asked.pop()
    answer = pair.answer(late)
    pair.take(pair.replica.leave("ada", ROOM))
    assert pair.replica.tier(ROOM) is Tier.UNLOADED
    assert pair.take(pair.replica.receive(answer[0])) == []
    pair.enter()
    pair.receive(*answer)
    pair.settle()
    pair.same()


# -- what is withheld ---------------------------------------------------------


def withheld(pair: Pair, *ids: str) -> wire.Envelope:
    before = pair.authority.head(ROOM).position.seq
    for each in ids:
        pair.publish(each)
    head = pair.authority.head(ROOM)
    return pair.carried(
        wire.of_withheld(ROOM, head.position.epoch, before, head.position.seq, pair.now, ordinal=head.ordinal)
    )


def test_what_is_withheld_is_a_gap_that_entering_fills() -> None:
    pair = Pair()
    pair.publish("a")
    pair.take(pair.replica.follow("ada", ROOM))
    pair.settle()
    told = pair.receive(withheld(pair, "b", "c"))
    assert told == [GapOpened(ROOM, Gap(1, 3))]
    pair.receive(withheld(pair, "d"))
    assert pair.replica.gaps(ROOM) == (Gap(1, 4),)
    unread = pair.replica.unread("ada", ROOM)
    assert (unread.messages.value, unread.messages.exact) == (3, False)
    pair.enter()
    told = pair.settle()
    assert any(isinstance(each, GapClosed) for each in told)
    pair.same()
    assert pair.ids() == ["a", "b", "c", "d"]


def test_unread_after_a_hole_is_at_least() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.follow("ada", ROOM))
    for at in range(1200):
        pair.publish(f"m{at}")
    pair.receive(pair.heartbeat())
    pair.later(0.6)
    pair.settle()
    unread = pair.replica.unread("ada", ROOM).messages
    assert not unread.exact
    assert 0 < unread.value <= 1200


def test_the_authority_s_own_count_stands_for_the_user_that_it_tells_of() -> None:
    pair = Pair()
    pair.authority.follow("ada-phone", ROOM, user="ada")
    for each in "abc":
        pair.publish(MessageAdded(Message(each, "bob", "hi @ada")))
    pair.take(pair.replica.enter("v", ROOM, user="ada"))
    asked = pair.asked.pop()
    pair.take(pair.replica.complete(asked.request_id, (pair.image(user="ada"),)))
    mine, theirs = pair.replica.unread("ada", ROOM), pair.authority.unread("ada", ROOM)
    assert mine == theirs
    pair.receive(pair.publish(MessageAdded(Message("d", "bob", "again @ada"))))
    assert pair.replica.unread("ada", ROOM) == pair.authority.unread("ada", ROOM)


# -- ephemeral ---------------------------------------------------------


def test_an_old_clear_after_a_newer_set_does_not_undo_it() -> None:
    pair = Pair().ready("a")
    gone = pair.publish(PresenceChanged("cy", "offline"))
    pair.receive(pair.publish("b"))
    pair.receive(pair.publish(PresenceChanged("cy", "online")))
    pair.receive(gone)
    assert pair.replica.view(ROOM).presence == {"cy": "online"}


def test_a_receipt_for_a_message_to_come_waits_for_it() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.enter("v2", ROOM, user="cy"))
    message = pair.publish("b")
    receipt = wire.of_update(ROOM, "e1", 1, 1, ReceiptRead("cy", "b"), pair.now)
    pair.receive(pair.carried(receipt))
    pair.receive(message)
    assert pair.replica.unread("cy", ROOM).messages.value == 0


def test_a_notification_of_the_authority_s_is_told() -> None:
    pair = Pair().ready("a")
    note = Notification(ROOM, "ada", "mention", "zz", 1, datetime(2026, 1, 1, tzinfo=UTC))
    told = pair.receive(pair.carried(wire.of_update(ROOM, "e1", 1, 1, NotificationAdded(note), pair.now)))
    assert "Notified" in kinds(told)


def test_an_ephemeral_update_from_ahead_tells_of_what_is_missing() -> None:
    pair = Pair().ready("a")
    pair.publish("b")
    pair.receive(pair.publish(PresenceChanged("cy", "online")))
    pair.later(0.6)
    pair.settle()
    assert pair.ids() == ["a", "b"]


# -- at rest ---------------------------------------------------------


def saved(told: list[Any]) -> Any:
    return next(each for each in told if type(each).__name__ == "SaveSnapshot")


def test_a_room_that_rests_resumes_from_its_token() -> None:
    pair = Pair().ready("a", "b")
    codec: dict[bytes, Any] = {}
    save = saved(pair.take(pair.replica.leave("ada", ROOM)))
    codec[b"1"] = save.image
    told = pair.take(pair.replica.complete(save.request_id, b"1"))
    assert "CloseStream" in kinds(told)
    assert pair.replica.tier(ROOM) is Tier.CACHED
    pair.publish("c")
    assert pair.take(pair.replica.receive(pair.publish("d"))) == []
    assert pair.replica.stats().counts["envelope", "not held"] == 1
    told = pair.take(pair.replica.follow("ada", ROOM))
    load = next(each for each in told if type(each).__name__ == "LoadSnapshot")
    pair.receive(pair.publish("e"))
    pair.take(pair.replica.complete(load.request_id, Loaded(None, codec[load.packed])))
    asked = pair.asked[0]
    assert asked.token is not None
    assert (asked.token.seq, bool(asked.token.fingerprint)) == (2, True)
    pair.settle()
    assert pair.ids() == ["a", "b", "c", "d", "e"]


def test_a_snapshot_that_cannot_be_read_is_replaced_by_the_authority_s_image() -> None:
    pair = Pair().ready("a", "b")
    save = saved(pair.take(pair.replica.leave("ada", ROOM)))
    pair.take(pair.replica.complete(save.request_id, b"1"))
    told = pair.enter()
    load = next(each for each in told if type(each).__name__ == "LoadSnapshot")
    pair.take(pair.replica.fail(load.request_id, "damaged"))
    assert pair.asked[0].token is None
    pair.settle()
    pair.same()


def test_what_comes_while_the_store_is_asked_is_accounted_for() -> None:
    pair = Pair(replica={"durability": "relaxed"})
    pair.publish("a")
    pair.enter()
    before = pair.replica.stats().bytes[Tier.ACTIVE]
    pair.receive(pair.publish(MessageAdded(Message("b", "bob", "x" * 5000))))
    assert 5000 < pair.replica.stats().bytes[Tier.ACTIVE] - before < 6000


def test_a_replica_with_a_store_asks_it_first() -> None:
    pair = Pair(replica={"durability": "relaxed"})
    pair.publish("a")
    told = pair.enter()
    load = next(each for each in told if type(each).__name__ == "LoadSnapshot")
    assert not pair.asked
    pair.take(pair.replica.complete(load.request_id, Loaded()))
    assert pair.asked[0].token is None
    pair.settle()
    pair.same()


def test_a_room_of_which_nothing_was_heard_leaves_without_a_trace() -> None:
    pair = Pair()
    pair.enter()
    pair.take(pair.replica.leave("ada", ROOM))
    assert pair.replica.tier(ROOM) is Tier.UNLOADED
    assert pair.replica.known() == ()


# -- refusals ---------------------------------------------------------


def test_each_role_has_its_own_verbs() -> None:
    pair = Pair().ready("a")
    told = pair.publish("b")
    with pytest.raises(InvalidValue, match="role"):
        pair.authority.receive(told)
    with pytest.raises(InvalidValue, match="role"):
        pair.authority.send(ROOM, "hi")
    with pytest.raises(InvalidValue, match="role"):
        pair.replica.publish(ROOM, MessageAdded(Message("x", "ada", "hi")))
    with pytest.raises(InvalidValue, match="update"):
        pair.replica.receive(ROOM, MessageAdded(Message("x", "ada", "hi")))
    for options in ({"role": "other"}, {"role": "replica", "durability": "logged"}):
        with pytest.raises(InvalidValue, match="role"):
            RoomStateManager(**options)  # type: ignore[arg-type]


def test_an_envelope_that_contradicts_itself_changes_nothing() -> None:
    pair = Pair().ready("a")
    image = pair.image()
    broken = structs.replace(image, sequence_number=9, data=structs.replace(image.data, seqs=(50,)))
    before = pair.replica.view(ROOM)
    with pytest.raises(Malformed):
        pair.replica.receive(broken)
    assert pair.replica.view(ROOM).revision == before.revision


# -- local echo ---------------------------------------------------------


def pending(pair: Pair) -> list[str]:
    return [echo.client_id for echo in pair.replica.view(ROOM).pending]


def sent(told: list[Any]) -> Any:
    return next(each for each in told if type(each).__name__ == "SendToAuthority")


@pytest.mark.parametrize("acknowledged_first", [True, False])
def test_what_is_sent_is_shown_and_replaced_whichever_comes_first(acknowledged_first: bool) -> None:
    pair = Pair().ready("a")
    effect = sent(pair.take(pair.replica.send(ROOM, "hello", client_id="c1")))
    assert pending(pair) == ["c1"]
    told = pair.publish(MessageAdded(Message("m9", "ada", "hello")))
    steps = [
        lambda: pair.take(pair.replica.complete(effect.request_id, Sent("m9", told.sequence_number))),
        lambda: pair.receive(told),
    ]
    steps[not acknowledged_first]()
    assert pending(pair) == ["c1"]
    steps[acknowledged_first]()
    assert pending(pair) == []
    assert pair.ids() == ["a", "m9"]


def test_an_acknowledgement_whose_broadcast_was_lost_is_noticed() -> None:
    pair = Pair().ready("a")
    effect = sent(pair.take(pair.replica.send(ROOM, "hello", client_id="c1")))
    told = pair.publish(MessageAdded(Message("c1", "ada", "hello")))
    pair.take(pair.replica.complete(effect.request_id, Sent("c1", told.sequence_number)))
    pair.later(0.6)
    pair.settle()
    assert pending(pair) == []
    pair.same()


def test_a_refusal_is_told_and_says_whether_to_try_again() -> None:
    pair = Pair().ready("a")
    for error, retryable in ((StoreBusy("x", "y"), True), (InvalidValue("x", "y"), False)):
        name = f"c{retryable}"
        effect = sent(pair.take(pair.replica.send(ROOM, "hello", client_id=name)))
        told = pair.take(pair.replica.fail(effect.request_id, error))
        (failed,) = [each for each in told if type(each).__name__ == "EchoFailed"]
        assert (failed.client_id, failed.retryable) == (name, retryable)
    assert sent(pair.take(pair.replica.send(ROOM, "hello", client_id="cTrue"))).echo.failed == ""
    with pytest.raises(InvalidValue, match="cannot be sent again"):
        pair.replica.send(ROOM, "hello", client_id="cFalse")
    pair.take(pair.replica.discard(ROOM, "cFalse"))
    assert pending(pair) == ["cTrue"]


def test_what_nobody_acknowledges_fails_in_time() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.send(ROOM, "hello", client_id="c1"))
    told = pair.later(31.0)
    assert "EchoFailed" in kinds(told)
    assert pending(pair) == ["c1"]
    pair.take(pair.replica.discard(ROOM, "c1"))
    assert pending(pair) == []


def test_what_was_sent_offline_goes_out_when_the_link_is_back_even_in_another_epoch() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.send(ROOM, "hello", client_id="c1"))
    pair.restart()
    pair.publish("x")
    told = pair.take(pair.replica.connected(ROOM))
    assert sent(told).echo.client_id == "c1"
    pair.settle()
    assert pending(pair) == ["c1"]
    pair.receive(pair.publish(MessageAdded(Message("c1", "ada", "hello"))))
    assert pending(pair) == []
    pair.same()


def test_what_was_sent_survives_rest_and_restart() -> None:
    pair = Pair(replica={"durability": "relaxed"})
    pair.publish("a")
    load = next(each for each in pair.enter() if type(each).__name__ == "LoadSnapshot")
    pair.take(pair.replica.complete(load.request_id, Loaded()))
    pair.settle()
    effect = sent(pair.take(pair.replica.send(ROOM, "hello", client_id="c1")))
    pair.take(pair.replica.fail(effect.request_id, "no network"))
    save = saved(pair.take(pair.replica.leave("ada", ROOM)))
    assert [echo.client_id for echo in save.image.pending] == ["c1"]
    pair.replica = RoomStateManager(role="replica", durability="relaxed", clock=pair.clock, new_epoch=lambda: "n")
    load = next(each for each in pair.enter() if type(each).__name__ == "LoadSnapshot")
    told = pair.take(pair.replica.complete(load.request_id, Loaded(None, save.image)))
    assert sent(told).echo.client_id == "c1"
    pair.settle()
    assert pending(pair) == ["c1"]
    pair.receive(pair.publish(MessageAdded(Message("c1", "ada", "hello"))))
    assert pending(pair) == []


def test_what_was_sent_before_a_restart_is_kept_beside_what_is_sent_during_the_load() -> None:
    pair = Pair(replica={"durability": "relaxed"})
    load = next(each for each in pair.enter() if type(each).__name__ == "LoadSnapshot")
    pair.take(pair.replica.complete(load.request_id, Loaded()))
    pair.settle()
    for at in range(100):
        pair.take(pair.replica.send(ROOM, "hello", client_id=f"old{at}"))
    image = pair.replica.image(ROOM)
    crowded = structs.replace(image, pending=(*image.pending, Echo("more", "ada", "hello", 0.0)))
    pair.replica = RoomStateManager(role="replica", durability="relaxed", clock=pair.clock, new_epoch=lambda: "n")
    load = next(each for each in pair.enter() if type(each).__name__ == "LoadSnapshot")
    pair.take(pair.replica.send(ROOM, "hello", client_id="new"))
    told = pair.take(pair.replica.complete(load.request_id, Loaded(None, crowded)))
    assert pending(pair) == [*(f"old{at}" for at in range(100)), "new"]
    (failed,) = [each for each in told if type(each).__name__ == "EchoFailed"]
    assert (failed.client_id, failed.retryable) == ("more", True)


@pytest.mark.parametrize("gone", ["discarded", "arrived"])
def test_what_is_pending_no_more_keeps_no_room(gone: str) -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.send(ROOM, "hello", client_id="c1"))
    effect = sent(pair.take(pair.replica.send(ROOM, "hello", client_id="c2")))
    if gone == "discarded":
        pair.take(pair.replica.discard(ROOM, "c1"))
    else:
        pair.receive(pair.publish(MessageAdded(Message("c1", "ada", "hello"))))
    told = pair.publish(MessageAdded(Message("c2", "ada", "hello")))
    pair.receive(told)
    pair.take(pair.replica.complete(effect.request_id, Sent("c2", told.sequence_number)))
    assert pending(pair) == []
    assert saved(pair.take(pair.replica.leave("ada", ROOM))).room_id == ROOM
    assert pair.replica.tier(ROOM) is Tier.BACKGROUND  # on its way to rest


def test_what_is_sent_and_discarded_again_and_again_is_not_kept() -> None:
    pair = Pair().ready("a")
    before = sum(pair.replica.stats().asked.values())
    for at in range(1000):
        pair.take(pair.replica.send(ROOM, "hello", client_id=f"c{at}"))
        pair.take(pair.replica.discard(ROOM, f"c{at}"))
    assert sum(pair.replica.stats().asked.values()) == before


def test_nobody_takes_another_s_pending_message_away() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.enter("v2", ROOM, user="cy"))
    pair.take(pair.replica.send(ROOM, "ada's", user="ada", client_id="c1"))
    with pytest.raises(InvalidValue, match="'c1' is pending already, of 'ada'"):
        pair.replica.send(ROOM, "cy's", user="cy", client_id="c1")
    pair.receive(pair.publish("c1"))  # bob's
    assert pending(pair) == ["c1"]
    pair.receive(pair.publish(MessageRemoved("c1")))
    assert pending(pair) == ["c1"]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("x" * 100_000, "x" * 1000), ("bad \udcff", "bad ?"), ("", "failed")],
    ids=["long", "odd", "none"],
)
def test_of_the_reason_of_a_failure_so_much_is_kept_as_a_snapshot_can_hold(reason: str, kept: str) -> None:
    pair = Pair().ready("a")
    effect = sent(pair.take(pair.replica.send(ROOM, "hello", client_id="c1")))
    told = pair.take(pair.replica.fail(effect.request_id, RuntimeError(reason)))
    (failed,) = [each for each in told if type(each).__name__ == "EchoFailed"]
    assert failed.reason == pair.replica.view(ROOM).pending[0].failed == kept
    codec = SnapshotCodec()
    assert codec.decode(codec.encode(pair.replica.image(ROOM))).pending[0].failed == kept


def test_what_cannot_be_sent_is_refused_and_changes_nothing() -> None:
    pair = Pair().ready("a")
    with pytest.raises(UnknownRoom):
        pair.replica.send("python", "hi")
    with pytest.raises(InvalidValue, match="content"):
        pair.replica.send(ROOM, "x" * 2**20)
    with pytest.raises(InvalidValue, match="extra"):
        pair.replica.send(ROOM, "x", extra={"a": object()})
    pair.take(pair.replica.enter("v2", ROOM, user="cy"))
    with pytest.raises(InvalidValue, match="2 users"):
        pair.replica.send(ROOM, "hi")
    for at in range(100):
        pair.take(pair.replica.send(ROOM, "hi", user="cy", client_id=f"c{at}"))
    with pytest.raises(RoomBusy):
        pair.replica.send(ROOM, "hi", user="cy")
    assert len(pending(pair)) == 100
    pair.replica.check()


# -- conflicts ---------------------------------------------------------


def choosing(pair: Pair, mine: RoomConfig, theirs: RoomConfig) -> Any:
    """Let the replica hold one configuration and the authority's image bring another; return what was opened."""
    pair.receive(pair.publish(RoomConfigChanged(mine)))
    pair.restart()
    pair.publish(RoomConfigChanged(theirs))
    pair.receive(pair.heartbeat())
    return next(each for each in pair.settle() if type(each).__name__ == "ConflictOpened")


def test_a_conflict_is_settled_by_the_policy_and_somebody_may_still_choose() -> None:
    pair = Pair(replica={"conflicts": ConflictPolicy({"config": UserChoice(expires_s=60)})}).ready("a")
    opened = choosing(pair, RoomConfig(emote_only=True), RoomConfig(slow_mode_enabled=True))
    assert opened.fields == ("config",)
    assert pair.replica.view(ROOM).config == RoomConfig(slow_mode_enabled=True)
    (told,) = pair.take(pair.replica.resolve(opened.conflict_id, "client"))
    assert isinstance(told, ConflictResolved)
    assert told.decisions[0].took == "client"
    assert pair.replica.view(ROOM).config == RoomConfig(emote_only=True)
    unopened: tuple[Any, ...] = (opened.conflict_id, 0, None, "1", [], {})
    for conflict_id in unopened:
        with pytest.raises(ConflictError, match="not open"):
            pair.replica.resolve(conflict_id, "server")


def test_a_choice_leaves_who_is_typing() -> None:
    pair = Pair(replica={"conflicts": ConflictPolicy({"config": UserChoice(expires_s=60)})}).ready("a")
    opened = choosing(pair, RoomConfig(emote_only=True), RoomConfig(slow_mode_enabled=True))
    pair.receive(pair.publish(TypingChanged("bob", 30.0)))
    pair.take(pair.replica.resolve(opened.conflict_id, "client"))
    assert pair.replica.view(ROOM).typing == ("bob",)
    assert pair.later(31.0)
    assert pair.replica.view(ROOM).typing == ()


def test_a_choice_that_nobody_makes_leaves_the_default_and_a_record() -> None:
    pair = Pair(replica={"conflicts": ConflictPolicy({"config": UserChoice(expires_s=60)})}).ready("a")
    opened = choosing(pair, RoomConfig(emote_only=True), RoomConfig(slow_mode_enabled=True))
    with pytest.raises(ConflictError):
        pair.replica.resolve(opened.conflict_id, "neither")  # type: ignore[arg-type]
    told = pair.later(61.0)
    assert [each.conflict_id for each in told if isinstance(each, ConflictResolved)] == [opened.conflict_id]
    assert pair.replica.view(ROOM).config == RoomConfig(slow_mode_enabled=True)


def test_a_newer_conflict_over_the_same_closes_the_older_and_leaving_closes_all() -> None:
    pair = Pair(replica={"conflicts": ConflictPolicy({"config": UserChoice(expires_s=60)})}).ready("a")
    first = choosing(pair, RoomConfig(emote_only=True), RoomConfig(slow_mode_enabled=True))
    second = choosing(pair, RoomConfig(follower_only=True), RoomConfig(subscriber_only=True))
    assert [each.conflict_id for each in pair.outputs if isinstance(each, ConflictResolved)] == [first.conflict_id]
    save = saved(pair.take(pair.replica.leave("ada", ROOM)))
    told = pair.take(pair.replica.complete(save.request_id, b"1"))
    assert [each.conflict_id for each in told if isinstance(each, ConflictResolved)] == [second.conflict_id]


def test_a_client_s_own_part_is_kept_and_told() -> None:
    pair = Pair(replica={"conflicts": ConflictPolicy({"config": ClientWins()})}).ready("a")
    pair.take(pair.replica.set_ui_state("ada", ROOM, {"draft": "hi"}))
    pair.receive(pair.publish(RoomConfigChanged(RoomConfig(emote_only=True))))
    pair.restart()
    pair.receive(pair.heartbeat())
    told = [each for each in pair.settle() if isinstance(each, ConflictResolved)]
    assert [made.field for each in told for made in each.decisions] == ["config"]
    view = pair.replica.view(ROOM)
    assert (view.config.emote_only, view.ui_state) == (True, {"ada": {"draft": "hi"}})


class Broken:
    """A host's own strategy that fails until it is mended."""

    given: Any = None

    def settle(self, part: str, conflict: Conflict, /) -> Any:
        return self.given


def test_a_strategy_that_fails_leaves_the_room_as_it_was_and_it_asks_again() -> None:
    broken = Broken()
    pair = Pair(replica={"conflicts": ConflictPolicy({"config": broken})}).ready("a")
    pair.restart()
    pair.publish(RoomConfigChanged(RoomConfig(emote_only=True)))
    pair.receive(pair.heartbeat())
    before = pair.replica.view(ROOM).messages
    (asked,) = pair.asked
    with pytest.raises(ConflictError, match="strategy Broken"):
        pair.replica.receive(pair.answer(asked)[0])
    pair.replica.check()
    assert kinds(pair.settle()) == ["StatusChanged"]
    view = pair.replica.view(ROOM)
    assert (view.status, view.messages) == (Status.ERROR, before)
    broken.given = {"config": RoomConfig(follower_only=True)}
    pair.later(31.0)
    pair.settle()
    view = pair.replica.view(ROOM)
    assert (view.status, view.messages, view.config.follower_only) == (Status.READY, (), True)


@pytest.mark.parametrize("strategy", [None, Merge(), ClientWins(), ServerWins()], ids=lambda each: type(each).__name__)
def test_what_comes_while_an_image_is_on_its_way_is_not_lost(strategy: ConflictStrategy | None) -> None:
    pair = Pair(replica={"conflicts": ConflictPolicy({"messages": strategy} if strategy else {})})
    pair.publish("a")
    pair.take(pair.replica.follow("ada", ROOM))
    pair.settle()
    pair.enter()
    (asked,) = pair.asked
    answer = pair.answer(asked)
    for update in (MessageEdited("a", "edited"), RoomConfigChanged(RoomConfig(emote_only=True)), "b"):
        pair.receive(pair.publish(update))
    pair.asked.clear()
    pair.take(pair.replica.complete(asked.request_id, answer))
    pair.settle()
    pair.same()


POLICIES = [ConflictPolicy(), ConflictPolicy({"messages": Merge()})]


@pytest.mark.parametrize("policy", POLICIES, ids=["the log's", "merged"])
def test_of_a_copy_that_is_ahead_only_what_the_authority_has_stays_where_that_fell_back(policy: ConflictPolicy) -> None:
    pair = Pair(replica={"conflicts": policy}).ready("a", "b")
    earlier = pair.image()
    for each in "cd":
        pair.receive(pair.publish(each))
    pair.take(pair.replica.disconnected(ROOM))
    pair.take(pair.replica.connected(ROOM))
    pair.receive(structs.replace(earlier, answers=pair.asked[-1].request_id))
    assert (pair.ids(), pair.replica.gaps(ROOM)) == (["a", "b"], ())
    pair.replica.check()


@pytest.mark.parametrize("policy", POLICIES, ids=["the log's", "merged"])
def test_of_a_copy_that_was_behind_only_what_the_authority_vouches_for_stays(policy: ConflictPolicy) -> None:
    replica = {"limits": Limits(active_messages=100), "conflicts": policy}
    pair = Pair(limits=Limits(active_messages=10), replica=replica)
    for each in range(10):
        pair.publish(f"m{each}")
    pair.enter()
    pair.settle()
    for each in range(10, 20):
        pair.receive(pair.publish(f"m{each}"))
    assert len(pair.ids()) == 20
    pair.publish(MessageEdited("m12", "edited"))
    for each in range(20, 26):
        pair.publish(f"m{each}")
    pair.receive(pair.image())
    assert pair.ids() == [message.id for message in pair.authority.view(ROOM).messages]
    pair.same()


# -- promotion without all that goes with it ---------------------------


def test_a_room_that_does_not_connect_neither_listens_nor_asks_until_it_is_connected() -> None:
    pair = Pair()
    pair.publish("a")
    told = pair.take(pair.replica.promote(ROOM, connect=False))
    assert kinds(told) == ["TierChanged"]
    told = pair.take(pair.replica.connected(ROOM))
    assert OpenStream(ROOM, "realtime") in told
    pair.settle()
    pair.same()


def test_whoever_enters_a_room_that_is_not_connected_connects_it() -> None:
    pair = Pair()
    pair.publish("a")
    pair.take(pair.replica.promote(ROOM, load_history=False, load_users=False, connect=False))
    assert OpenStream(ROOM, "realtime") in pair.enter()
    pair.settle()
    pair.same()


def test_without_history_and_users_a_replica_asks_for_no_image_again() -> None:
    pair = Pair().ready("a", "b")
    save = saved(pair.take(pair.replica.leave("ada", ROOM)))
    pair.take(pair.replica.complete(save.request_id, b"1"))
    told = pair.take(pair.replica.promote(ROOM, load_history=False, load_users=False))
    load = next(each for each in told if type(each).__name__ == "LoadSnapshot")
    assert load.tier is Tier.BACKGROUND
    pair.take(pair.replica.complete(load.request_id, Loaded(None, save.image)))
    assert pair.asked[-1].token is not None
    pair.settle()
    pair.enter()
    pair.later(1.0)  # the last answer had brought nothing new
    assert [each.token for each in pair.asked] == [None]  # who looks wants everything
    pair.settle()
    pair.same()


def test_a_brief_promotion_loads_what_background_holds_and_the_next_one_the_rest() -> None:
    rooms = RoomStateManager(durability="logged", clock=lambda: 1000.0)
    told = rooms.promote(ROOM, load_history=False, load_users=False)
    load = next(each for each in told if isinstance(each, LoadSnapshot))
    assert (load.tier, load.limit) == (Tier.BACKGROUND, 2000)  # of the log after the snapshot: seldom so much
    entries = tuple(LogEntry(seq, seq, MessageAdded(Message(f"m{seq}", "bob", "hi"))) for seq in range(51, 101))
    rooms.complete(load.request_id, Loaded(Head(Position("e1", 100), 100), None, entries))
    assert rooms.status(ROOM) is Status.READY
    told = rooms.promote(ROOM)
    again = next(each for each in told if isinstance(each, LoadSnapshot))
    assert (again.tier, again.limit) == (Tier.ACTIVE, 2000)
    rooms.check()


def test_a_heartbeat_says_that_the_link_is_back_where_nobody_else_does() -> None:
    pair = Pair().ready("a")
    pair.take(pair.replica.disconnected(ROOM))
    pair.publish("b")
    pair.receive(pair.heartbeat())
    assert pair.replica.status(ROOM) is Status.LOADING
    pair.settle()
    pair.same()
