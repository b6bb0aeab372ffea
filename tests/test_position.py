from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue, Malformed
from roomstate.position import MAX_GAPS, MAX_SEQ, Gap, Position, Token, bounded

epochs = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
fingerprints = st.text("0123456789abcdef", max_size=64)


@given(epochs, st.integers(0, MAX_SEQ), fingerprints)
def test_a_token_comes_back_from_its_text(epoch: str, seq: int, fingerprint: str) -> None:
    token = Token(epoch, seq, fingerprint)
    text = token.to_str()
    assert len(text) <= 512
    assert text.isascii()
    assert Token.from_str(text) == token


@given(st.text(max_size=600) | st.text("AZaz09-_=", max_size=40))
def test_any_other_text_is_malformed(text: str) -> None:
    with contextlib.suppress(Malformed):
        token = Token.from_str(text)
        assert Token.from_str(token.to_str()) == token


@given(st.binary(max_size=80))
def test_any_bytes_in_a_tokens_clothes_are_malformed_or_a_token(raw: bytes) -> None:
    test_any_other_text_is_malformed.hypothesis.inner_test(base64.urlsafe_b64encode(raw).decode())  # type: ignore[attr-defined]


def encoded(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "must be a str, got NoneType"),
        (b"abc", "must be a str, got bytes"),
        ("x" * 513, "must have 0 to 512 characters, got 513"),
        ("é", "is not a token of roomstate"),
        ("!!!!", "is not a token of roomstate"),
        ("a", "is not a token of roomstate"),
        (encoded("no colons"), "is not a token of roomstate"),
        (encoded("x::e"), "has no epoch or no seq"),
        (encoded("1::"), "has no epoch or no seq"),
        (encoded("-1::e"), "has no epoch or no seq"),
        (encoded("٣::e"), "has no epoch or no seq"),
        (encoded(f"{MAX_SEQ + 1}::e"), f"must be at most {MAX_SEQ}, got {MAX_SEQ + 1}"),
        (encoded("1:é:e"), "must be ASCII without a colon"),
        (encoded("1::" + "e" * 65), "must have 0 to 64 characters, got 65"),
    ],
)
def test_what_is_wrong_with_a_token_is_told(text: Any, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        Token.from_str(text)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (("e" * 65, 1), "token.epoch"),
        (("\ud800", 1), "token.epoch"),
        ((None, 1), "token.epoch"),
        (("e", -1), "token.seq"),
        (("e", MAX_SEQ + 1), "token.seq"),
        (("e", 1.5), "token.seq"),
        (("e", 1, "a:b"), "token.fingerprint"),
        (("e", 1, "é"), "token.fingerprint"),
        (("e", 1, "x" * 65), "token.fingerprint"),
        (("e", 1, None), "token.fingerprint"),
    ],
)
def test_a_token_that_could_not_be_read_again_cannot_be_made(values: tuple[Any, ...], where: str) -> None:
    with pytest.raises(InvalidValue, match=where):
        Token(*values)


def test_positions_of_one_epoch_are_in_order() -> None:
    assert Position("e", 3) < Position("e", 4) <= Position("e", 4)
    assert Position("e", 3) == Position("e", 3) != Position("f", 3)
    assert len({Position("e", 3), Position("e", 3)}) == 1


@given(st.integers(0, 50), st.integers(1, 50), st.integers(-1, 120))
def test_a_gap_leaves_out_its_beginning_and_includes_its_end(after: int, length: int, seq: int) -> None:
    gap = Gap(after, after + length)
    assert len(gap) == length
    assert (seq in gap) == (seq in range(after + 1, after + length + 1))
    assert gap.cursor is None


def test_beyond_the_bound_the_oldest_gaps_become_one() -> None:
    gaps = tuple(Gap(2 * number, 2 * number + 1, f"c{number}") for number in range(MAX_GAPS + 3))
    assert bounded(gaps[3:]) == gaps[3:]
    assert bounded(gaps) == (Gap(0, 7, "c0"), *gaps[4:])
    assert len(bounded(gaps)) == MAX_GAPS
