from __future__ import annotations

import re
import typing

import msgspec
import pytest

from roomstate import effects as module
from roomstate.effects import ANSWERS, Audience, Deliver, Effect, Event, FetchMessages, LogEntry, Notified
from roomstate.model import Message, Notification
from roomstate.position import Gap
from roomstate.updates import MessageAdded, MessageRemoved
from tests.room.strategies import START

EFFECTS: tuple[type[msgspec.Struct], ...] = typing.get_args(Effect)
EVENTS: tuple[type[msgspec.Struct], ...] = typing.get_args(Event)


def test_effects_and_events_are_two_unions_of_frozen_values_with_a_room() -> None:
    assert not set(EFFECTS) & set(EVENTS)
    for kind in (*EFFECTS, *EVENTS):
        assert kind.__name__ in module.__all__
        assert kind.__struct_config__.frozen
        assert kind.__doc__
        assert "room_id" in kind.__struct_fields__ or isinstance(vars(kind)["room_id"], property)


def test_the_table_of_answers_has_every_effect_that_is_answered() -> None:
    table = set(re.findall(r"^`(\w+)`  ", module.__doc__ or "", re.MULTILINE))
    assert table == {kind.__name__ for kind in EFFECTS if "request_id" in kind.__struct_fields__}
    assert table == {kind.__name__ for kind in ANSWERS}
    for effect, kinds in ANSWERS.items():
        line = re.search(rf"^`{effect.__name__}` .*$", module.__doc__ or "", re.MULTILINE)
        assert line is not None
        assert all(kind.__name__.removesuffix("Type") in line[0] for kind in kinds)


def test_what_is_read_off_others_says_so() -> None:
    deliver = Deliver(Audience("rust", "e", ("v1",), ("v2",)), MessageRemoved("1"), 3)
    assert (deliver.room_id, deliver.recipients) == ("rust", ("v1",))
    assert Notified(Notification("rust", "ada", "mention", "1", 1, START)).room_id == "rust"
    assert FetchMessages("rust", 1, Gap(1, 2, "c"), 9).cursor == "c"


@pytest.mark.parametrize("update", [MessageAdded(Message("1", "bob", "hi", START)), MessageRemoved("1")])
def test_a_log_entry_comes_back_from_json(update: MessageAdded | MessageRemoved) -> None:
    entry = LogEntry(3, 2, update)
    assert msgspec.json.decode(msgspec.json.encode(entry), type=LogEntry) == entry
