from __future__ import annotations

import json
import sys

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roomstate.model import EMPTY, Annotation, Message
from roomstate.room.weight import annotation_bytes, json_bytes, struct_bytes, text_bytes
from roomstate.updates import MessageAdded


@given(st.text())
def test_a_text_weighs_the_same_before_and_after_it_is_written(text: str) -> None:
    text = "".join(text)
    before = text_bytes(text)
    msgspec.json.encode(text.encode("utf-8", "replace").decode())
    assert text_bytes(text) == before >= len(text)


def test_a_text_beyond_ascii_weighs_its_utf8_too() -> None:
    text = "é" * 100
    before = sys.getsizeof(text)
    msgspec.json.encode(text)
    assert sys.getsizeof(text) > before
    assert abs(text_bytes(text) - sys.getsizeof(text)) < 10


def test_json_weighs_all_that_is_in_it() -> None:
    plain = json.loads('{"a": ["text", 1, 1.5, null, true], "b": {"c": "more"}}')
    parts = sys.getsizeof(plain) + sys.getsizeof(plain["a"]) + sys.getsizeof(plain["b"])
    assert json_bytes(plain) == parts + text_bytes("text") + text_bytes("more") + 4 * 24
    assert json_bytes(EMPTY) == sys.getsizeof({})


def test_a_struct_weighs_what_is_in_its_structs_too() -> None:
    bare, full = Message("m", "bob", ""), Message("m", "bob", "a text", extra={"a": ["more"]})
    assert struct_bytes(full) - struct_bytes(bare) == text_bytes("a text") + json_bytes({"a": ["more"]})
    added = MessageAdded(full)
    assert struct_bytes(added) == sys.getsizeof(added) + struct_bytes(full)
    assert json_bytes({"a": [full]}) - json_bytes({"a": [None]}) == struct_bytes(full) - 24


def test_json_weighs_long_keys_as_texts() -> None:
    short, long = "k" * 32, "k" * 1000
    assert json_bytes({short: 1}) == json_bytes({"k": 1})
    assert json_bytes({long: {long: 1}}) == json_bytes({"k": {"k": 1}}) + 2 * text_bytes(long)


def test_an_annotation_weighs_who_reacted() -> None:
    assert annotation_bytes(None) == 0
    bare, two = Annotation(), Annotation(reactions={"+": ("ada", "bob")})
    assert annotation_bytes(two) - annotation_bytes(bare) == 150 + 2 * 64
