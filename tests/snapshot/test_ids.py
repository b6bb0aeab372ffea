from __future__ import annotations

import pytest
from hypothesis import given

from roomstate.snapshot.columns import Series, Strings, Table
from roomstate.snapshot.ids import Ids, NumberIds, TextIds, UuidIds, pack_ids
from tests.snapshot.strategies import id_lists

UUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


@given(id_lists)
def test_every_id_comes_back(ids: list[str]) -> None:
    packed = pack_ids(ids)
    assert packed.unpack(len(ids)) == ids
    assert packed.memory_cost(len(ids)) >= 0


@pytest.mark.parametrize(
    ("ids", "form"),
    [
        ([], TextIds),
        ([UUID, UUID], UuidIds),
        ([UUID.upper(), UUID], TextIds),
        ([UUID[:-1] + "g"] * 2, TextIds),
        ([UUID.replace("-", "0")[:-1] + "x"] * 2, TextIds),
        (["338717704", "338718378"], NumberIds),
        (["irc-7", "irc-8", "irc-0"], NumberIds),
        (["irc-007", "irc-008", "irc-000"], NumberIds),
        ([f"2004-11-{15 + n // 8}_03-{n}" for n in range(16)], NumberIds),
        (["9" * 19, "8" * 19], TextIds),
        (["$abc", "$def"], TextIds),
        (["a1", "b2", "c3"], TextIds),
        (["٣٤", "١"], TextIds),  # noqa: RUF001 - digits, but not those of int()
    ],
)
def test_each_kind_has_its_form(ids: list[str], form: type) -> None:
    packed = pack_ids(ids)
    assert type(packed) is form
    assert packed.unpack(len(ids)) == ids


@pytest.mark.parametrize(
    "ids",
    [
        UuidIds(b"x" * 17),
        NumberIds(Table.pack([""]), Series(-5, 1)),
        NumberIds(Table.pack([""]), Series(10**18, 1)),
        TextIds(Strings(b"a")),
    ],
)
def test_what_nobody_packed_is_refused(ids: Ids) -> None:
    with pytest.raises(ValueError, match=r"."):
        ids.unpack(2)
