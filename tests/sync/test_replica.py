"""The bounds of what waits in a copy, in bytes: whatever an envelope carries. `tests/holding` has the rest."""

from __future__ import annotations

import pytest

from roomstate import Message, RoomConfig, Tier, User
from roomstate.room.passage import empty
from roomstate.room.states import Limits, LiveRoom
from roomstate.sync import envelope as wire
from roomstate.sync.payloads import AddedMessage, BulkSync, DeltaUpdate, EditedMessage, JoinedUser, Payload, StateUpdate
from roomstate.sync.replica import RoomReplica
from tests.sync.strategies import NOW, START

BIG = "x" * 300_000
MANY = [f"a member of some room {number}" for number in range(10_000)]
PAYLOADS: dict[str, Payload] = {
    "contents": DeltaUpdate(added_messages=(AddedMessage("m", "bob", BIG, START),)),
    "extras": DeltaUpdate(added_messages=(AddedMessage("m", "bob", "", START, (), {"a": [{"b": BIG}]}),)),
    "edits": DeltaUpdate(edited_messages=(EditedMessage("m", BIG),)),
    "bare ids": DeltaUpdate(removed_messages=tuple(MANY)),
    "members": DeltaUpdate(users_joined=tuple(JoinedUser(name) for name in MANY[:2000])),
    "presence": DeltaUpdate(presence=dict.fromkeys(MANY, "online")),
    "moderation": StateUpdate(moderation_config={"words": [BIG]}),
    "configuration": StateUpdate(room_config=RoomConfig(extra={"a": BIG})),
    "image": BulkSync(messages=(Message("m", "bob", BIG, START),), seqs=(1,)),
    "members of an image": BulkSync(users=tuple(map(User, MANY[:2000]))),
}


def told(seq: int, data: Payload) -> wire.Envelope:
    return wire.of_data("rust", "e1", seq - 1, seq, data, NOW)


def copy(head: int) -> LiveRoom:
    room = empty("rust", "e1", Tier.ACTIVE, Limits())
    room.head = head
    return room


@pytest.mark.parametrize("carried", PAYLOADS)
def test_what_waits_is_bounded_in_bytes_whatever_it_carries(carried: str) -> None:
    replica = RoomReplica()
    data = PAYLOADS[carried]
    waiting = next(count for count in range(20) if not replica.hold(told(10 + 2 * count, data)))
    assert 0 < waiting < 5, "each has some 300 kB at least, of 1 MiB"
    assert (len(replica), replica.bytes, replica.dropped) == (0, 0, waiting + 1)
    replica.check()


def test_what_is_kept_while_an_answer_is_on_its_way_has_the_same_bound() -> None:
    replica, room = RoomReplica(), copy(head=100)
    replica.asks(1, room, NOW)
    for seq in range(1, 100):
        replica.keep(told(seq, PAYLOADS["edits"]))
        replica.check()
    replica.adopted("e1", asked=True, fell_back=False, anew=False)
    assert [replica.next(copy(head)) for head in range(3)] == [told(seq, PAYLOADS["edits"]) for seq in (1, 2, 3)]
    assert len(replica) == replica.bytes == 0


def test_what_was_applied_already_goes_before_what_waits_where_there_is_no_room_for_both() -> None:
    replica, room = RoomReplica(), copy(head=3)
    replica.asks(1, room, NOW)
    for seq in (1, 2, 3):
        replica.keep(told(seq, PAYLOADS["edits"]))
    small = told(10, DeltaUpdate(edited_messages=(EditedMessage("m", "x"),)))
    assert replica.hold(told(20, PAYLOADS["edits"]))
    assert replica.hold(small)
    replica.adopted("e1", asked=True, fell_back=False, anew=False)
    replica.check()
    assert replica.dropped == 1
    assert [replica.next(copy(head)) for head in (0, 1, 2, 9)] == [
        *(told(seq, PAYLOADS["edits"]) for seq in (1, 2, 3)),
        small,
    ]
