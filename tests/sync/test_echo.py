"""Echoes: whatever comes back, in whichever order, what was sent is shown once at every moment, and is never lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue, RoomBusy
from roomstate.model import EMPTY, Echo, Message
from roomstate.sync.echo import Echoes

Source = Literal["own", "hinted", "foreign"]


def echo(client_id: str = "c1", content: str = "hello", **fields: Any) -> Echo:
    return Echo(client_id, "ada", content, 0.0, **fields)


def pending(*sent: str) -> Echoes:
    echoes = Echoes()
    for client_id in sent:
        echoes.add(echo(client_id))
    return echoes


def names(echoes: Echoes) -> list[str]:
    echoes.check()
    return [one.client_id for one in echoes]


class Screen:
    """What one user sees of a room: the messages that it holds, and the echoes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.echoes = Echoes()
        self.messages: set[str] = set()
        self.sent: list[str] = []
        self.known: set[str] = set()  # messages of which the client can know that they are its own

    def send(self) -> None:
        name = f"c{len(self.sent)}"
        self.sent.append(name)
        self.echoes.add(echo(name))

    def message_of(self, name: str) -> Message:
        extra: Mapping[str, Any] = {"client_id": name} if self.source == "hinted" else EMPTY
        return Message(name if self.source == "own" else f"m-{name}", "ada", "hello", extra=extra)

    def acknowledge(self, name: str) -> None:
        self.echoes.acknowledged(name, self.message_of(name).id, seq=1)
        self.known.add(name)

    def broadcast(self, name: str) -> None:
        message = self.message_of(name)
        self.messages.add(message.id)  # a room takes a message once
        self.echoes.arrived(message)
        if self.source != "foreign":
            self.known.add(name)

    def fail(self, name: str) -> None:
        self.echoes.failed(name, "timed out", True)

    def again(self, name: str) -> None:
        one = self.echoes.get(name)
        if one is not None and not one.message_id:
            assert self.echoes.retry(name, 1.0).failed == ""

    def restart(self, _: str) -> None:
        """The client is started again from its snapshot, which holds the messages and the echoes."""
        kept = tuple(self.echoes)
        self.echoes = Echoes()
        assert self.echoes.restore(kept) == ()
        for name in self.sent:
            if self.message_of(name).id in self.messages:
                self.echoes.arrived(self.message_of(name))

    def other(self, name: str) -> None:
        """Somebody else's message, with an extra that is no hint."""
        self.echoes.arrived(Message(f"o-{name}", "bob", "hi", extra={"client_id": [name]}))

    def check(self) -> None:
        self.echoes.check()
        for name in self.sent:
            arrived = self.message_of(name).id in self.messages
            shown = arrived + (name in self.echoes)
            assert shown >= 1, "lost"
            assert shown == 1 or name not in self.known, "shown twice"


ACTIONS = ("send", "acknowledge", "broadcast", "fail", "again", "restart", "other")


@given(
    st.sampled_from(["own", "hinted", "foreign"]),
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), max_size=40),
)
def test_what_was_sent_is_shown_once_at_every_moment(source: Source, actions: list[tuple[str, int]]) -> None:
    screen = Screen(source)
    for action, which in actions:
        if action == "send":
            screen.send()
        elif screen.sent:
            getattr(screen, action)(screen.sent[which % len(screen.sent)])
        screen.check()
    for name in screen.sent:
        screen.acknowledge(name)
        screen.broadcast(name)
    assert names(screen.echoes) == []


@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_the_order_is_that_of_sending(sent: list[str]) -> None:
    echoes = Echoes()
    model: list[str] = []
    for name in sent:
        if name in echoes:
            echoes.discard(name)
            model.remove(name)
        else:
            echoes.add(echo(name))
            echoes.failed(name, "no link", True)
            echoes.retry(name, 1.0)
            model.append(name)
        assert names(echoes) == model
    assert len(echoes) == len(model)


# -- what comes back -------------------------------------------------------------------------------------------------


def test_acknowledged_stays_shown_until_the_broadcast() -> None:
    echoes = pending("c1")
    assert echoes.acknowledged("c1", "m1", 4) is None
    assert [(one.message_id, one.seq) for one in echoes] == [("m1", 4)]
    gone = echoes.arrived(Message("m1", "somebody's bridge", "hello"))
    assert gone is not None
    assert gone.client_id == "c1"
    assert names(echoes) == []


def test_broadcast_first_then_acknowledged_is_gone_at_once() -> None:
    echoes = pending("c1")
    assert echoes.arrived(Message("m1", "ada", "hello")) is None
    assert names(echoes) == ["c1"]  # nobody could know
    gone = echoes.acknowledged("c1", "m1", 1)
    assert gone is not None
    assert gone.client_id == "c1"
    assert names(echoes) == []


def test_another_user_cannot_take_an_echo_away() -> None:
    echoes = pending("c1")
    echoes.arrived(Message("c1", "mallory", "hello"))
    echoes.arrived(Message("m1", "mallory", "hello", extra={"client_id": "c1"}))
    assert names(echoes) == ["c1"]


def test_two_echoes_that_became_one_message_are_shown_by_one() -> None:
    echoes = pending("c1", "c2")
    echoes.acknowledged("c1", "m1", 1)
    echoes.acknowledged("c2", "m1", 1)
    assert names(echoes) == ["c1"]


def test_the_first_acknowledgement_stands_and_an_unknown_one_is_ignored() -> None:
    echoes = pending("c1")
    echoes.acknowledged("c1", "m1", 1)
    assert echoes.acknowledged("c1", "m2", 2) is None
    assert echoes.acknowledged("c9", "m9", 9) is None
    assert [one.message_id for one in echoes] == ["m1"]


@pytest.mark.parametrize(("message_id", "seq"), [("", 1), ("m1", -1)])
def test_an_acknowledgement_that_is_none_changes_nothing(message_id: str, seq: int) -> None:
    echoes = pending("c1")
    with pytest.raises(InvalidValue):
        echoes.acknowledged("c1", message_id, seq)
    assert list(echoes) == [echo("c1")]


def test_an_acknowledgement_overrules_a_failure_and_no_failure_an_acknowledgement() -> None:
    echoes = pending("c1")
    failed = echoes.failed("c1", "", False)
    assert failed is not None
    assert (failed.failed, failed.retryable) == ("failed", False)
    echoes.acknowledged("c1", "m1", 1)
    assert echoes.failed("c1", "timed out", True) is None
    assert list(echoes) == [echo("c1", message_id="m1", seq=1)]
    assert echoes.failed("c9", "timed out", True) is None


def test_a_message_removed_before_it_was_seen_takes_its_echo_along() -> None:
    echoes = pending("c1", "c2", "c3")
    echoes.acknowledged("c1", "m1", 1)
    assert echoes.removed("m1") == echo("c1", message_id="m1", seq=1)
    assert echoes.removed("c2") == echo("c2")  # its id at our own authorities
    assert echoes.removed("m9") is None
    assert names(echoes) == ["c3"]


def test_what_is_complete_needs_no_echo_of_what_was_acknowledged_there() -> None:
    echoes = pending("c1", "c2", "c3")
    assert echoes.settled(10) == ()
    echoes.acknowledged("c1", "m1", 3)
    echoes.acknowledged("c2", "m2", 4)
    assert [one.client_id for one in echoes.settled(3)] == ["c1"]
    assert names(echoes) == ["c2", "c3"]


def test_a_source_without_seqs_settles_nothing() -> None:
    echoes = pending("c1")
    echoes.acknowledged("c1", "m1")
    assert echoes.settled(10) == ()


def test_a_new_epoch_knows_no_old_acknowledgement() -> None:
    echoes = pending("c1", "c2")
    echoes.acknowledged("c1", "m1", 3)
    echoes.reopen()
    assert list(echoes) == [echo("c1"), echo("c2")]
    assert echoes.arrived(Message("m1", "ada", "hello")) is None
    echoes.acknowledged("c1", "m1", 1)
    assert names(echoes) == ["c2"]


# -- what the client does --------------------------------------------------------------------------------------------


def test_retry_returns_to_the_state_before_the_error() -> None:
    echoes = pending("c1", "c2")
    echoes.failed("c1", "no link", True)
    sent_at = next(iter(echoes)).sent_at
    assert echoes.retry("c1", 9.0) == Echo("c1", "ada", "hello", sent_at, tried_at=9.0)
    assert names(echoes) == ["c1", "c2"]


def test_retry_is_refused_for_what_cannot_be_sent_again() -> None:
    echoes = pending("c1", "c2")
    echoes.acknowledged("c1", "m1", 1)
    echoes.failed("c2", "banned", False)
    before = list(echoes)
    for client_id, reason in (("c1", "is acknowledged as 'm1'"), ("c2", "banned"), ("c3", "is not pending")):
        with pytest.raises(InvalidValue, match=reason):
            echoes.retry(client_id, 1.0)
    assert list(echoes) == before


def test_discarded_is_not_shown_and_ignores_what_comes_later() -> None:
    echoes = pending("c1")
    assert echoes.discard("c1") == echo("c1")
    assert echoes.discard("c1") is None
    assert echoes.acknowledged("c1", "m1", 1) is None
    assert echoes.arrived(Message("m1", "ada", "hello")) is None
    assert names(echoes) == []


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (Echo("", "ada", "hi", 0.0), "echo.client_id"),
        (Echo("c2", "", "hi", 0.0), "message.user"),
        (Echo("c2", "ada", "\ud800", 0.0), "message.content"),
        (Echo("c2", "ada", "hi", 0.0, {"a": object()}), "message.extra"),
        (Echo("c2", "ada", "hi", float("nan")), "echo.sent_at"),
        (Echo("c1", "ada", "hi", 0.0), "echo.client_id"),
        (Echo("c2", "ada", "hi", 0.0, message_id="m2"), "echo.message_id"),
        (Echo("c2", "ada", "x" * 5000, 0.0), "echo"),
    ],
)
def test_what_is_no_echo_is_refused_and_changes_nothing(bad: Echo, where: str) -> None:
    echoes = Echoes(max_bytes=5000)
    echoes.add(echo("c1"))
    with pytest.raises(InvalidValue) as raised:
        echoes.add(bad)
    assert raised.value.where == where
    assert list(echoes) == [echo("c1")]


def test_echoes_are_bounded_by_count_and_by_bytes() -> None:
    few = Echoes(max_echoes=1)
    few.add(echo("c1"))
    small = Echoes(max_bytes=1500)
    small.add(echo("c1", "x" * 600))
    for echoes in (few, small):
        before = echoes.bytes
        with pytest.raises(RoomBusy):
            echoes.add(echo("c2", "x" * 600))
        assert names(echoes) == ["c1"]
        assert echoes.bytes == before
        echoes.discard("c1")
        echoes.add(echo("c2", "x" * 600))
        assert names(echoes) == ["c2"]


def test_what_was_seen_is_remembered_within_bounds_and_only_while_an_echo_waits() -> None:
    echoes = pending("c1")
    for n in range(1001):
        echoes.arrived(Message(f"m{n}", "bob", "hi"))
    assert echoes.acknowledged("c1", "m0", 1) is None  # 1,000 others have come since: `settled` will tell
    assert names(echoes) == ["c1"]
    assert [one.client_id for one in echoes.settled(1)] == ["c1"]
    echoes.check()


@pytest.mark.parametrize("bounds", [{"max_echoes": 0}, {"max_bytes": 0}])
def test_bounds_are_at_least_one(bounds: dict[str, int]) -> None:
    with pytest.raises(InvalidValue):
        Echoes(**bounds)


# -- snapshots -------------------------------------------------------------------------------------------------------


def test_what_is_restored_comes_before_what_was_sent_since() -> None:
    echoes = pending("c2", "c3")
    echoes.acknowledged("c2", "m2", 2)
    assert echoes.restore([echo("c1"), echo("c2", "older")]) == ()
    assert names(echoes) == ["c1", "c2", "c3"]
    assert echoes.get("c2") == echo("c2", message_id="m2", seq=2)


def test_a_restored_acknowledgement_still_finds_its_message() -> None:
    echoes = Echoes()
    assert echoes.restore([echo("c1", message_id="m1", seq=1), echo("c2", message_id="m1", seq=1)]) == (
        echo("c2", message_id="m1", seq=1),
    )
    echoes.arrived(Message("m1", "ada", "hello"))
    assert names(echoes) == []


def test_what_finds_no_room_is_given_back() -> None:
    echoes = Echoes(max_echoes=2)
    echoes.add(echo("c3"))
    assert echoes.restore([echo("c1"), echo("c2"), echo("c4")]) == (echo("c4"),)
    assert names(echoes) == ["c1", "c2", "c3"]
    with pytest.raises(RoomBusy):
        echoes.add(echo("c5"))
    echoes.check()


def test_an_unsound_echo_is_not_restored_nor_are_the_others() -> None:
    echoes = pending("c2")
    with pytest.raises(InvalidValue):
        echoes.restore([echo("c1"), Echo("c3", "", "hi", 0.0)])
    assert names(echoes) == ["c2"]


def test_clear_forgets_all() -> None:
    echoes = pending("c1")
    echoes.acknowledged("c1", "m1", 1)
    echoes.clear()
    assert (names(echoes), echoes.bytes) == ([], 0)
