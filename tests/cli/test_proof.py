"""The ledger finds what is missing, changed, repeated or moved: against sequences damaged on purpose."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.logline import LogLine
from roomstate.cli.proof import Ledger, Verdict

COUNT = 12
LINES = [LogLine(float(number), "rust", "ada", f"text {number}", str(number)) for number in range(COUNT)]


def fed(*lines: LogLine) -> Ledger:
    ledger = Ledger()
    for line in lines or LINES:
        ledger.feed(line)
    return ledger


def test_what_comes_back_as_it_was_fed_is_proven() -> None:
    verdict = fed().verdict("rust", LINES)
    assert verdict == Verdict(fed=COUNT, found=COUNT)
    assert verdict.holds


@given(st.sets(st.integers(0, COUNT - 1), min_size=1))
def test_every_missing_message_is_lost_unless_a_gap_says_so(missing: set[int]) -> None:
    read_back = [line for number, line in enumerate(LINES) if number not in missing]
    verdict = fed().verdict("rust", read_back)
    assert verdict == Verdict(fed=COUNT, found=COUNT - len(missing), lost=len(missing))
    assert not verdict.holds
    half = fed().verdict("rust", read_back, [(0, 4), (4, 6)])
    assert (half.in_gaps, half.lost) == (len([n for n in missing if n < 6]), len([n for n in missing if n >= 6]))
    assert fed().verdict("rust", read_back, [(0, COUNT)]).holds


@given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5), st.data())
def test_every_repetition_is_counted(again: list[int], data: st.DataObject) -> None:
    read_back = list(LINES)
    for number in again:
        read_back.insert(data.draw(st.integers(read_back.index(LINES[number]) + 1, len(read_back))), LINES[number])
    verdict = fed().verdict("rust", read_back)
    assert (verdict.duplicated, verdict.lost, verdict.out_of_order) == (len(again), 0, 0)
    assert not verdict.holds


@given(st.permutations(LINES))
def test_any_order_but_the_fed_one_is_out_of_order(read_back: list[LogLine]) -> None:
    verdict = fed().verdict("rust", read_back)
    assert (verdict.out_of_order == 0) == (read_back == LINES) == verdict.holds
    assert verdict.lost == verdict.duplicated == 0


def test_one_message_moved_is_one_out_of_order() -> None:
    assert fed().verdict("rust", [*LINES[1:], LINES[0]]).out_of_order == 1


def test_a_change_of_any_field_is_a_loss_and_a_stranger() -> None:
    changes = {"ts": 3.5, "user": "bob", "text": "other", "id": "x", "extra": {"topic": "t"}}
    for field, value in changes.items():
        changed = msgspec.structs.replace(LINES[3], **{field: value})
        verdict = fed().verdict("rust", [*LINES[:3], changed, *LINES[4:]])
        assert (verdict.lost, verdict.strange, verdict.holds) == (1, 1, False), field


def test_times_are_compared_to_the_millisecond_and_extras_by_value() -> None:
    line = LogLine(1.23456, "rust", "ada", "hi", "1", {"a": 1, "b": 2})
    again = LogLine(1.235, "rust", "ada", "hi", "1", {"b": 2, "a": 1})
    assert fed(line).verdict("rust", [again]).holds


def test_an_id_that_comes_again_in_the_log_counts_once_and_first() -> None:
    other = msgspec.structs.replace(LINES[0], text="the second message with this id")
    ledger = fed(*LINES, other, LINES[3])
    assert ledger.verdict("rust", LINES) == Verdict(fed=COUNT, repeated=2, found=COUNT)
    assert not ledger.verdict("rust", [other, *LINES[1:]]).holds


def test_rooms_are_apart_and_verdicts_add_up() -> None:
    elsewhere = [msgspec.structs.replace(line, room="go") for line in LINES]
    ledger = fed(*LINES, *elsewhere)
    assert ledger.rooms() == ("rust", "go")
    total = ledger.verdict("rust", LINES) + ledger.verdict("go", elsewhere[2:])
    assert total == Verdict(fed=2 * COUNT, found=2 * COUNT - 2, lost=2)


def test_what_was_never_fed_is_strange() -> None:
    assert Ledger().verdict("rust", LINES) == Verdict(strange=COUNT)
    assert Ledger().verdict("rust", []).holds
