"""Read markers against a recount of the whole room: every message, whoever wrote, removed or read it."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from roomstate.model import Count, Marker, Message, Unread
from roomstate.position import Gap
from roomstate.room import unread as module
from roomstate.room.unread import MAX_MENTIONS, ReadState
from tests.room.strategies import message

USERS = ("ada", "bob", "cy")
users = st.sampled_from(USERS)


class Recount(RuleBasedStateMachine):
    """``window`` newest messages are held; what has left is removed, if at all, without anybody knowing where."""

    window: ClassVar[int] = 1000

    def __init__(self) -> None:
        super().__init__()
        self.reads = ReadState()
        self.messages: list[tuple[int, str, frozenset[str]]] = []  # those not removed: seq, author, whom it mentions
        self.read_upto: dict[str, int] = {}
        self.ordinal = 0
        self.seq = 0

    @property
    def after(self) -> int:
        """The seq below which nothing is held."""
        return self.messages[-self.window][0] - 1 if len(self.messages) > self.window else 0

    @rule(user=users)
    def start(self, user: str) -> None:
        self.reads.start(user)
        self.read_upto.setdefault(user, self.seq)

    @rule(author=users, mentioned=st.frozensets(users), skip=st.integers(1, 3))
    def post(self, author: str, mentioned: frozenset[str], skip: int) -> None:
        self.seq += skip  # edits and reactions take seqs too
        self.ordinal += 1
        self.reads.head, self.reads.ordinal = self.seq, self.ordinal
        self.reads.posted(author)
        concerned = mentioned - {author}
        for user in sorted(concerned):
            self.reads.mentioned(user, self.seq)
        self.messages.append((self.seq, author, concerned))

    @rule(user=users, back=st.integers(0, 8))
    def read(self, user: str, back: int) -> None:
        """Receipts come in any order: older ones than the marker change nothing."""
        seq = max(0, self.seq - back)
        if user not in self.read_upto and seq < self.seq:
            return  # of mentions before the first marker nothing is known
        later = [message(f"m{at}", author) for at, author, _ in self.messages if at > max(seq, self.after)]
        moved = self.reads.read(user, seq, later, complete=seq >= self.after)
        assert moved == (seq > self.read_upto.get(user, -1))
        if moved:
            self.read_upto[user] = seq

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        held = [entry for entry in self.messages if entry[0] > self.after]
        if held:
            entry = data.draw(st.sampled_from(held))
            self.messages.remove(entry)
            self.reads.removed(entry[0], entry[1])

    @rule()
    def rest(self) -> None:
        """A room that is saved and comes back in another process counts as before."""
        restored = ReadState(self.seq, self.ordinal)
        restored.restore(self.reads.image())
        restored.restore(self.reads.image())
        self.reads = restored

    @rule()
    def rebase(self) -> None:
        """An image that is older than what is known changes nothing."""
        self.reads.restore({user: Marker(0, 0) for user in self.read_upto})

    @invariant()
    def same(self) -> None:
        self.reads.check()
        for user in USERS:
            found = self.reads.unread(user)
            if user not in self.read_upto:
                assert not found.messages.exact
                assert not found.mentions.exact
                continue
            upto = self.read_upto[user]
            wanted = sum(seq > upto and author != user for seq, author, _ in self.messages)
            mentions = sum(seq > upto and user in concerned for seq, _, concerned in self.messages)
            if found.messages.exact:
                assert (found.messages.value, found.mentions.value) == (wanted, mentions)
            else:
                assert self.window < 1000
                assert found.messages.value <= wanted


class Cut(Recount):
    window = 3


@pytest.mark.parametrize("machine", [Recount, Cut])
def test_counting_by_arithmetic_is_counting(machine: type[Recount]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40))


def read_state(messages: int = 0) -> ReadState:
    reads = ReadState()
    reads.start("ada")
    for seq in range(1, messages + 1):
        reads.head = reads.ordinal = seq
        reads.posted("bob")
    return reads


def test_a_gap_makes_the_count_at_least_until_it_closes() -> None:
    reads = read_state(4)
    assert reads.unread("ada", [Gap(4, 5)]) == Unread(Count(4, exact=False), Count(0, exact=False))
    assert reads.unread("ada") == Unread(Count(4), Count(0))
    reads.read("ada", 4)
    assert reads.unread("ada", [Gap(2, 4)]) == Unread(Count(0), Count(0))


def test_a_cut_log_makes_the_count_at_least_until_it_is_read_past() -> None:
    reads = read_state(4)
    reads.start("bob")
    reads.cut(3)
    assert not reads.unread("ada").messages.exact
    assert reads.unread("bob").messages.exact
    reads.read("ada", 4)
    assert reads.unread("ada").messages == Count(0)


def test_mentions_are_bounded_and_say_so_until_the_dropped_ones_are_read() -> None:
    reads = read_state()
    for seq in range(1, MAX_MENTIONS + 51):
        reads.head = reads.ordinal = seq
        reads.posted("bob")
        reads.mentioned("ada", seq)
        reads.mentioned("stranger", seq)
    reads.check()
    assert reads.unread("ada").mentions == Count(MAX_MENTIONS, exact=False)
    reads.removed(60, "bob")
    assert reads.unread("ada").mentions == Count(MAX_MENTIONS - 1, exact=False)
    reads.read("ada", 20, [message(f"m{seq}") for seq in range(21, MAX_MENTIONS + 51) if seq != 60])
    assert reads.unread("ada").mentions == Count(MAX_MENTIONS - 1, exact=False)
    reads.read("ada", 50, [message(f"m{seq}") for seq in range(51, MAX_MENTIONS + 51) if seq != 60])
    assert reads.unread("ada") == Unread(Count(99), Count(99))
    reads.mentioned("ada", 50)  # read already
    assert reads.unread("ada").mentions == Count(99)


def test_a_first_receipt_for_an_older_message_counts_messages_but_cannot_know_mentions() -> None:
    reads = ReadState(3, 3)
    assert reads.read("ada", 1, [message("m2", "bob"), message("m3", "ada")])
    assert reads.unread("ada") == Unread(Count(1), Count(0, exact=False))
    reads.read("ada", 3)
    assert reads.unread("ada") == Unread(Count(0), Count(0))


def test_receipts_wait_for_their_messages_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AWAITED", 3)
    reads = ReadState()
    kept = [reads.await_message(user, "m1") for user in ("ada", "bob", "ada")]
    kept += [reads.await_message("ada", "m2"), reads.await_message("ada", "m3")]
    assert kept == [True, True, True, True, False]
    assert reads.awaited == {"m2": ["ada"], "m3": ["ada"]}
    reads.check()
    for number in range(9):
        reads.await_message(f"user{number}", "m4")
        reads.check()
    assert reads.bytes >= 200


def test_markers_are_bounded_and_the_one_that_has_not_moved_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MARKERS", 2)
    reads = ReadState()
    for user in ("ada", "bob"):
        reads.start(user)
    reads.read("ada", 1)
    reads.start("cy")
    assert list(reads.markers) == ["ada", "cy"]
    reads.restore({"dee": Marker(0, 0), "cy": Marker(5, 5)})
    assert list(reads.markers) == ["ada", "cy"]
    assert reads.markers["cy"].seq == 5
    reads.read("dee", 1)
    assert list(reads.markers) == ["cy", "dee"]
    reads.check()


def test_an_image_does_not_change_with_what_comes_later() -> None:
    reads = read_state(2)
    image = reads.image()
    reads.posted("ada")
    assert image == {"ada": Marker(0, 0)}
    other = ReadState()
    other.restore(image)
    other.posted("ada")
    assert image == {"ada": Marker(0, 0)}


def test_what_is_not_exact_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="at least 0"):
        bool(ReadState().unread("ada").messages)
    assert isinstance(message(), Message)
