from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from roomstate.errors import InvalidValue
from roomstate.model import PresenceState, User
from roomstate.room.roster import PER_MEMBER, Roster
from tests.room.strategies import people

MOST = 2
states: st.SearchStrategy[PresenceState] = st.sampled_from(["online", "away", "busy", "offline"])
names = st.sampled_from(["ada", "bob", "cy", "dee"])


class Naive(RuleBasedStateMachine):
    """A roster beside two dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster(complete=True, max_members=MOST)
        self.members: dict[str, User] = {}
        self.presence: dict[str, PresenceState] = {}
        self.complete = True

    @rule(user=people)
    def join(self, user: User) -> None:
        assert self.roster.join(user) is self.members.get(user.id)
        if user.id in self.members or len(self.members) < MOST:
            self.members[user.id] = user
        else:
            self.complete = False

    @rule(name=names)
    def leave(self, name: str) -> None:
        self.presence.pop(name, None)
        assert self.roster.leave(name) is self.members.pop(name, None)

    @rule(name=names, state=states)
    def set_presence(self, name: str, state: PresenceState) -> None:
        assert self.roster.set_presence(name, state) == self.presence.get(name)
        if state == "offline":
            self.presence.pop(name, None)
        elif name in self.presence or len(self.presence) < MOST:
            self.presence[name] = state

    @rule()
    def forget(self) -> None:
        self.roster.forget_members()
        self.members.clear()
        self.complete = False

    @invariant()
    def same(self) -> None:
        roster = self.roster
        roster.check()
        assert roster.members() == tuple(self.members.values())
        assert roster.presence == self.presence
        assert (len(roster), roster.present) == (len(self.members), len(self.presence))
        assert roster.complete == self.complete
        assert all((name in roster) == (name in self.members) for name in ("ada", "bob", "dee"))
        assert roster.get("ada") is self.members.get("ada")
        assert roster.bytes >= PER_MEMBER * len(self.members)


def test_a_roster_is_two_dicts() -> None:
    run_state_machine_as_test(Naive, settings=settings(max_examples=60))


def test_more_members_than_fit_make_it_incomplete() -> None:
    everybody = [User(f"user{number}") for number in range(3)]
    assert Roster.of(everybody, {"user1": "away"}, complete=True).complete
    roster = Roster(max_members=2, complete=True)
    for user in everybody:
        roster.join(user)
    assert (len(roster), roster.complete) == (2, False)


def test_what_a_member_brings_along_weighs() -> None:
    light, heavy = Roster(), Roster()
    light.join(User("ada"))
    heavy.join(User("ada", "Ada" * 99, ("mod",), "red", {"about": "x" * 999}))
    assert heavy.bytes - light.bytes > 1200
    heavy.join(User("ada"))
    assert heavy.bytes == light.bytes


@pytest.mark.parametrize("bad", [0, -1, 1.5, None])
def test_the_bound_is_a_whole_number_of_at_least_1(bad: Any) -> None:
    with pytest.raises(InvalidValue, match="max_members: must be an int of at least 1"):
        Roster(max_members=bad)
