"""Parking: what waits for its message is given out in order, or is dropped in time; every outcome is counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.sync.parking import Parkable, Parking
from roomstate.updates import MessageEdited, ReactionAdded, ReactionRemoved

IDS = st.integers(0, 4).map("m{}".format)
UPDATES = st.one_of(
    st.builds(MessageEdited, IDS, st.text(max_size=30), extra=st.none() | st.just({"a": 1})),
    st.builds(ReactionAdded, IDS, st.just("ada"), st.just("+1")),
    st.builds(ReactionRemoved, IDS, st.just("ada"), st.just("+1")),
)
STEPS = st.lists(
    st.one_of(UPDATES, IDS, st.floats(0.0, 4.0)),  # park, claim, and time that passes
    max_size=60,
)


@given(STEPS, st.integers(1, 8), st.integers(600, 6000))
def test_nothing_waits_too_long_or_is_lost_without_being_counted(
    steps: list[Parkable | str | float], max_updates: int, max_bytes: int
) -> None:
    parking = Parking(max_updates, max_bytes, max_age_s=10.0)
    model: list[tuple[float, Parkable]] = []
    now, parked, refused = 0.0, 0, 0
    for step in steps:
        if isinstance(step, float):
            now += step
            late = [(since, update) for since, update in model if since + 10.0 <= now]
            assert parking.expire(now) == tuple(update for _, update in late)
            model = model[len(late) :]
        elif isinstance(step, str):
            claimed = tuple(update for _, update in model if update.message_id == step)
            assert (step in parking) == bool(claimed)
            assert parking.claim(step) == claimed
            model = [(since, update) for since, update in model if update.message_id != step]
        elif parking.park(step, now):
            model.append((now, step))
            parked += 1
        else:
            refused += 1
        parking.check()
        assert len(parking) == len(model)
        assert parking.deadline == (model[0][0] + 10.0 if model else None)
    assert parking.refused == refused
    assert parking.claimed + parking.expired + len(parking) == parked


def reaction(message_id: str, user: str = "ada") -> ReactionAdded:
    return ReactionAdded(message_id, user, "+1")


def test_beyond_the_count_nothing_is_taken_until_something_has_gone() -> None:
    parking = Parking(max_updates=2)
    assert parking.park(reaction("m1"), 0.0)
    assert parking.park(reaction("m2"), 0.0)
    assert not parking.park(reaction("m3"), 0.0)
    assert (parking.refused, len(parking)) == (1, 2)
    parking.claim("m1")
    assert parking.park(reaction("m3"), 0.0)


def test_beyond_the_bytes_nothing_is_taken() -> None:
    parking = Parking(max_bytes=3500)
    assert parking.park(MessageEdited("m1", "x" * 2000), 0.0)
    assert not parking.park(MessageEdited("m2", "x" * 2000), 0.0)
    assert not parking.park(MessageEdited("m3", "", extra={"a": "x" * 4000}), 0.0)
    assert parking.park(reaction("m2"), 0.0)
    assert parking.refused == 2


def test_parked_updates_that_never_resolve_make_room_when_their_time_is_over() -> None:
    parking = Parking(max_updates=1)
    assert parking.park(reaction("m1"), 0.0)
    assert not parking.park(reaction("m2"), 299.9)
    assert parking.deadline == 300.0
    assert parking.park(reaction("m2"), 300.0)
    assert (parking.expired, parking.refused, parking.claim("m1")) == (1, 1, ())


def test_an_empty_parking_holds_nothing() -> None:
    parking = Parking()
    parking.park(MessageEdited("m1", "ö" * 100), 0.0)
    assert parking.bytes > 300
    parking.claim("m1")
    assert (parking.bytes, len(parking), parking.deadline, parking.expire(1e9)) == (0, 0, None, ())


@pytest.mark.parametrize(
    "bounds", [{"max_updates": 0}, {"max_bytes": 0}, {"max_age_s": 0.0}, {"max_age_s": float("nan")}]
)
def test_bounds_are_above_zero(bounds: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(bounds))):
        Parking(**bounds)


def test_what_waits_for_one_message_expires_one_by_one() -> None:
    parking = Parking()
    parking.park(reaction("m1", "ada"), 0.0)
    parking.park(reaction("m1", "bob"), 1.0)
    assert parking.expire(300.0) == (reaction("m1", "ada"),)
    parking.check()
    assert parking.claim("m1") == (reaction("m1", "bob"),)
