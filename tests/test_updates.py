from __future__ import annotations

import typing

import msgspec
import pytest
from hypothesis import given

from roomstate import updates as module
from roomstate.model import as_message
from roomstate.updates import ABOUT_MESSAGES, EPHEMERAL, KINDS, LOGGED, SETTINGS, MessageAdded, Update
from tests.room import strategies

decode = msgspec.json.Decoder(Update).decode


def test_the_union_the_kinds_and_the_module_agree() -> None:
    assert set(typing.get_args(Update)) == set(KINDS)
    assert (*LOGGED, *EPHEMERAL) == KINDS
    assert len(set(KINDS)) == len(KINDS) == 16
    assert set(SETTINGS) < set(LOGGED)
    assert set(ABOUT_MESSAGES) < set(LOGGED)
    groups = ("ABOUT_MESSAGES", "EPHEMERAL", "KINDS", "LOGGED", "SETTINGS", "Update")
    assert {getattr(module, name) for name in module.__all__ if name not in groups} == set(KINDS)


@given(strategies.updates)
def test_an_update_comes_back_from_json_with_its_kind(update: Update) -> None:
    if isinstance(update, MessageAdded):
        update = MessageAdded(as_message(update.message))
    encoded = msgspec.json.encode(update)
    assert msgspec.json.decode(encoded)["kind"] == type(update).__struct_config__.tag
    assert decode(encoded) == update


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_is_called_as_its_class_is(kind: type[msgspec.Struct]) -> None:
    words = str(kind.__struct_config__.tag).split("_")
    assert "".join(word.capitalize() for word in words) == kind.__name__
    assert kind.__doc__
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize(
    "hostile",
    [
        b"{}",
        b"[]",
        b'{"kind": "nothing"}',
        b'{"kind": "message_removed"}',
        b'{"kind": "message_removed", "message_id": ""}',
        b'{"kind": "message_removed", "message_id": 1}',
        b'{"kind": "typing_changed", "user_id": "ada", "expires_s": 301}',
        b'{"kind": "typing_changed", "user_id": "ada", "expires_s": NaN}',
        b'{"kind": "presence_changed", "user_id": "ada", "state": "asleep"}',
        b'{"kind": "counts_changed", "user_count": -1}',
        b'{"kind": "message_edited", "message_id": "1", "content": "x", "timestamp": "2026-01-01T00:00:00"}',
        b'{"kind": "message_added", "message": {"id": "1", "user": "bob"}}',
    ],
)
def test_nonsense_is_not_an_update(hostile: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(hostile)
