from __future__ import annotations

import pytest

from roomstate import Tier
from roomstate.errors import InvalidValue, RateLimited, TooManyRooms, UnknownViewer
from roomstate.holding.interests import Allowance, Interests

A, B, U = Tier.ACTIVE, Tier.BACKGROUND, Tier.UNLOADED


def interests(max_rooms: int = 3, max_viewers: int = 3, moves_per_s: float = 1, burst: int = 100) -> Interests:
    return Interests(
        idle_active_s=300,
        idle_background_s=1800,
        max_rooms=max_rooms,
        max_viewers=max_viewers,
        moves_per_s=moves_per_s,
        burst=burst,
    )


def want(held: Interests, viewer: str, room: str, tier: Tier, now: float = 0.0, user: str | None = None) -> Tier | None:
    held.admit(viewer, room, user, now)
    old = held.set(viewer, room, tier, user, now)
    held.check()
    return old


def test_the_highest_interest_counts() -> None:
    held = interests()
    assert held.wanted("rust") is U
    assert want(held, "v", "rust", B) is None
    assert held.wanted("rust") is B
    assert want(held, "w", "rust", A) is None
    assert want(held, "v", "rust", A) is B
    assert (held.wanted("rust"), held.viewers_of("rust", A), held.viewers_of("rust", B)) == (A, ("v", "w"), ())
    assert held.drop("v", "rust") is A
    assert held.drop("v", "rust") is None
    assert held.drop("w", "rust") is A
    assert held.wanted("rust") is U
    assert len(held) == 0
    held.check()


def test_two_devices_of_one_user() -> None:
    held = interests()
    want(held, "v", "rust", A, user="ada")
    want(held, "w", "rust", B, user="ada")
    want(held, "w", "go", B)
    assert held.viewers_of_user("rust", "ada") == ("v", "w")
    assert held.viewers_of_user("go", "ada") == ("w",)
    assert held.rooms_of("w") == ("rust", "go")
    assert held.rooms_of("nobody") == ()
    assert held.user_of("v") == "ada"
    with pytest.raises(InvalidValue, match="connection of 'ada', not of 'bob'"):
        held.admit("v", "rust", "bob", 0.0)
    with pytest.raises(UnknownViewer):
        held.user_of("nobody")


def test_interests_lapse_from_looking_to_following_to_none() -> None:
    held = interests()
    want(held, "v", "rust", A)
    assert held.next_lapse() == 300
    assert held.lapse(299.0) is None
    assert held.lapse(300.0) == "rust"
    assert held.wanted("rust") is B
    assert held.next_lapse() == 1800
    assert held.lapse(1800.0) == "rust"
    assert held.wanted("rust") is U
    assert held.next_lapse() is None
    held.check()


def test_a_touched_interest_lapses_later() -> None:
    held = interests()
    want(held, "v", "rust", A)
    held.touch("v", "rust", 200.0)
    held.touch("v", "rust", 100.0)  # time does not go back
    held.touch("v", "go", 100.0)
    assert held.lapse(300.0) is None
    assert held.next_lapse() == 500
    assert held.lapse(2500.0) == "rust"
    assert held.lapse(2500.0) == "rust"  # so late that it lapses twice
    assert held.lapse(2500.0) is None


def test_bounds() -> None:
    held = interests(max_rooms=1, max_viewers=1)
    want(held, "v", "rust", A)
    with pytest.raises(TooManyRooms, match="holds 1 rooms"):
        held.admit("v", "go", None, 0.0)
    with pytest.raises(TooManyRooms, match="max_viewers"):
        held.admit("w", "rust", None, 0.0)
    held.admit("v", "rust", None, 0.0)
    for viewer, user in (("", None), ("v", "")):
        with pytest.raises(InvalidValue):
            held.admit(viewer, "rust", user, 0.0)


def test_the_rate_of_one_viewer_is_bounded_and_forgotten_only_when_it_is_whole() -> None:
    held = interests(burst=2, max_viewers=2)
    for _ in range(2):
        want(held, "v", "rust", A)
        held.drop("v", "rust")
    with pytest.raises(RateLimited, match="1 times a second"):
        held.admit("v", "rust", None, 0.5)
    want(held, "w", "rust", A, 0.5)
    want(held, "v", "rust", A, 1.0)
    with pytest.raises(RateLimited):
        held.admit("v", "go", None, 1.0)
    held.drop("v", "rust")
    held.drop("w", "rust")
    for number in range(5):
        want(held, f"x{number}", "rust", A, 100.0)
        held.drop(f"x{number}", "rust")
    held.check()


def test_an_allowance() -> None:
    allowance = Allowance(2.0, 3.0)
    for _ in range(3):
        allowance.spend(10.0)
    for now in (10.0, 9.0, 10.4):
        with pytest.raises(RateLimited, match="2 times a second"):
            allowance.spend(now)
    allowance.spend(10.5)
