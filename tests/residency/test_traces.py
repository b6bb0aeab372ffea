from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomstate.residency.traces import CALLS, HALVING_S, PACE_S, POSTERS, TRAIL, RoomTrace, Tally, ViewerTrace, mark


def room(number: int, place: int = 1) -> RoomTrace:
    return RoomTrace(f"room-{number}", number, place, 0.0)


def test_marks_are_the_same_everywhere_and_never_0() -> None:
    assert mark("123456789") == 0xCBF43926  # the check value of CRC-32
    assert mark("") == 1


@given(st.lists(st.integers(1, 9), min_size=1))
def test_a_tally_keeps_shares_of_a_whole_and_the_newest(ones: list[int]) -> None:
    tally = Tally(4, 0.9)
    for one in ones:
        tally.count(one)
        tally.check()
    shares = dict(tally.shares())
    assert ones[-1] in shares
    assert len(shares) <= 4
    assert abs(sum(shares.values()) - 1.0) < 1e-6


def test_an_empty_tally_has_no_shares() -> None:
    assert list(Tally(4, 0.9).shares()) == []


def test_pace_counts_doublings_of_the_last_week_and_fades() -> None:
    one = room(1)
    assert one.pace(0.0) == 0
    paces = []
    for at in range(16):
        one.posted(7, float(at))
        paces.append(one.pace(at / HALVING_S))
    assert paces == sorted(paces)
    assert paces[0] == 2
    assert paces[-1] in (5, 6)
    assert one.pace(PACE_S / HALVING_S) < paces[-1]
    assert one.pace(100.0 * PACE_S / HALVING_S) == 0


def test_posters_are_the_last_distinct_ones_and_the_starter_stays() -> None:
    one = room(1)
    for user in (5, 6, 5, 7, 8, 9):
        one.posted(user, 1.0)
    assert one.posters == (9, 8, 7, 5)
    assert len(one.posters) == POSTERS
    assert one.starter == 5
    assert one.messages == 6


@given(st.lists(st.integers(1, 20)))
def test_the_columns_of_a_viewer_move_together(numbers: list[int]) -> None:
    who, rooms = ViewerTrace(), {number: room(number) for number in range(1, 21)}
    last: dict[int, float] = {}
    for at, number in enumerate(numbers, 1):
        if who.rooms[0] != number:
            who.turned(rooms[number])
        who.stays(rooms[number], float(at))
        last[number] = float(at)
        who.check()
    expected = sorted(last, key=lambda number: -last[number])[:TRAIL]
    assert [number for number in who.rooms if number] == expected
    assert [at for at in who.at if at] == [last[number] for number in expected]


def test_own_messages_are_seen_and_counted_by_turn() -> None:
    who, one, other = ViewerTrace(), room(1), room(2)
    who.turned(one)
    who.stays(one, 0.0)
    for at in range(6):
        who.posted(one, 77, float(at))
        one.posted(77, float(at))
    assert who.turn[0] == 4
    assert who.seen[0] == one.messages == 6
    one.posted(88, 6.0)
    who.turned(other)
    who.stays(other, 7.0)
    who.posted(one, 77, 8.0)
    assert list(who.peers.shares()) == [(88, 1.0)]
    assert who.seen[1] == 8
    who.posted(room(3), 77, 9.0)  # a room that is not in the trail
    who.check()


def test_calls_are_the_last_few() -> None:
    who = ViewerTrace()
    for number in (1, 2, 1, 3, 4, 5):
        who.mentioned(number)
    assert list(who.called) == [5, 4, 3, 1]
    assert len(who.called) == CALLS
    who.stays(room(4), 0.0)
    assert list(who.called) == [5, 3, 1]
