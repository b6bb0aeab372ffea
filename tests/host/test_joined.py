"""New messages that are told together."""

from __future__ import annotations

import pytest

from roomstate.errors import InvalidValue
from roomstate.host.joined import MAX_JOINED, Joined
from roomstate.model import Message
from roomstate.sync.envelope import decode, encode, of_update
from roomstate.sync.subscribers import SLOT
from roomstate.updates import MessageAdded


def said(number: int, content: str = "hi") -> MessageAdded:
    return MessageAdded(Message(f"m{number}", "bob", content))


def test_one_is_told_as_ever() -> None:
    joined = Joined("e1", 4)
    assert joined.join(said(7), 7, 5)
    alone = of_update("rust", "e1", 4, 7, said(7), 60.0, ordinal=5)
    assert encode(joined.envelope("rust", 60.0)) == encode(alone)


def test_each_has_its_place() -> None:
    joined = Joined("e1", 4)
    assert all(joined.join(said(seq), seq, seq - 2) for seq in (5, 6, 7))
    told = decode(encode(joined.envelope("rust", 60.0)))
    assert told.entries() == tuple((seq, said(seq)) for seq in (5, 6, 7))
    assert (told.previous, told.sequence_number, told.ordinal) == (4, 7, 5)
    assert told.fingerprint == of_update("rust", "e1", 6, 7, said(7), 60.0).fingerprint


def test_what_does_not_adjoin_is_not_taken() -> None:
    joined = Joined("e1", 4)
    assert joined.join(said(5), 5, 1)
    assert not joined.join(said(7), 7, 2)
    behind_a_hole = Joined("e1", 3)
    assert behind_a_hole.join(said(5), 5, 1)
    assert not behind_a_hole.join(said(6), 6, 2), "two that lie on three positions would both lie on the last"


def test_what_is_taken_is_bounded_but_for_the_first() -> None:
    joined = Joined("e1", 0)
    taken = [joined.join(said(seq, "x" * 500), seq, seq) for seq in range(1, 10)]
    assert taken == sorted(taken, reverse=True)
    assert 1 < sum(taken) < 9
    assert joined.size <= MAX_JOINED
    assert len(encode(joined.envelope("rust", 60.0))) <= SLOT
    assert Joined("e1", 0).join(said(1, "x" * 10_000), 1, 1)


def test_one_that_cannot_be_written_changes_nothing() -> None:
    class Own:
        id, user, content, timestamp = "m6", "bob", "hi", Message("1", "2", "3").timestamp

        def __init__(self) -> None:
            self.extra = {"x": object()}

    joined = Joined("e1", 4)
    joined.join(said(5), 5, 1)
    before = encode(joined.envelope("rust", 60.0))
    with pytest.raises(InvalidValue, match="message"):
        joined.join(MessageAdded(Own()), 6, 2)
    assert encode(joined.envelope("rust", 60.0)) == before
