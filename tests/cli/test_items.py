"""JSON documents cut into items: against a whole-document decoder, at every chunk size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.files import Source
from roomstate.cli.items import items
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog

Found = list[tuple[int, str, bytes]]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\{}[],:\n\u20ac', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.lists(VALUES, max_size=4) | st.dictionaries(st.text(alphabet="ab{", max_size=3), VALUES, max_size=4)


def cut(raw: bytes, size: int = 1 << 16, max_item_bytes: int = 1 << 16) -> tuple[Found, list[str]]:
    seen: list[str] = []
    tally = Tally(lambda error: seen.append(str(error)))
    chunks = iter([raw[at : at + size] for at in range(0, len(raw), size)])
    found = [tuple(item) for item in items(Source("a", "a", b"", chunks), tally, max_item_bytes)]
    return found, seen  # type: ignore[return-value]


def expected(document: Any) -> list[tuple[str, Any]]:
    if isinstance(document, list):
        return [("", item) for item in document]
    return [(key, item) for key, value in document.items() for item in (value if isinstance(value, list) else [value])]


@given(DOCUMENTS, st.integers(1, 40), st.sampled_from([None, 1]))
def test_items_are_those_of_the_whole_document(document: Any, size: int, indent: int | None) -> None:
    raw = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    found, seen = cut(raw, size)
    assert seen == []
    assert [(key, json.loads(item)) for _, key, item in found] == expected(document)


def test_an_item_knows_the_line_on_which_it_begins() -> None:
    found, _ = cut(b'{\n"a": 1,\n"b": [\n\n {"x":\n 1},\n 2\n]\n}\n', 3)
    assert [(line, key) for line, key, _ in found] == [(2, "a"), (5, "b"), (7, "b")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "a:1: the JSON document ends in the middle"),
        (b"17", "a:1: the JSON document ends in the middle"),
        (b'[\n{"a": 1}, \n{"a"', "a:2: the JSON document ends in the middle"),
        (b'["a', "a:1: the JSON document ends in the middle"),
        (b"[1] 2", "a:1: something follows the JSON document"),
        (b"[1] [2]", "a:1: something follows the JSON document"),
        (b"x [1]", "a:1: is not a JSON document"),
        (b"1, 2", "a:1: is not a JSON document"),
        (b"]", "a:1: is not a JSON document"),
        (b'{"a": x [1]}', "a:1: is not a JSON document"),
    ],
)
def test_a_document_that_cannot_be_cut_is_reported_once(raw: bytes, reason: str) -> None:
    for size in (1, 100):
        assert cut(raw, size)[1] == [reason]
    with pytest.raises(DamagedLog):
        list(items(Source("a", "a", b"", iter([raw])), Tally(), 100))


def test_items_before_the_damage_are_given() -> None:
    assert cut(b"[1, 2, 3")[0] == [(1, "", b"1"), (1, "", b"2")]


def test_an_item_over_the_bound_ends_the_document() -> None:
    for size in (10, 1000):
        found, seen = cut(b'[1, "' + b"x" * 300 + b'"]', size, 100)
        assert found == [(1, "", b"1")]
        assert seen == ["a:1: an item is longer than 100 bytes: not read further"]


@given(st.text(alphabet='{}[],:"\\ \n1', max_size=40).map(str.encode), st.integers(1, 9))
def test_no_text_makes_it_fail_otherwise(raw: bytes, size: int) -> None:
    assert cut(raw, size) == cut(raw)
