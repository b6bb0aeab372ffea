"""Updates as they rest: JSON that says its kind by name, and nothing that cannot be read back."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate import updates
from roomstate.effects import LogEntry
from roomstate.errors import DamagedStore, InvalidValue
from roomstate.model import Message, RoomConfig, User
from roomstate.store.base import NOTHING
from roomstate.store.rows import Row, checksum, decode, encode, nothing, seed_of, to_rows
from roomstate.testing.contracts_store import added, batch

AT = datetime(2024, 2, 29, 12, tzinfo=UTC)


@attrs.frozen
class Theirs:
    """A host's own message."""

    id: str
    user: str
    content: str
    timestamp: datetime
    extra: Any


LOGGED: tuple[updates.Update, ...] = (
    updates.MessageAdded(Message("1", "bob", "hi", AT, ("mod",), {"a": [1, None, 2.5]})),
    updates.MessageEdited("1", "ho", AT, {"b": {}}, AT + timedelta(hours=1)),
    updates.MessageRemoved("1", "ada"),
    updates.ReactionAdded("1", "bob", "\U0001f44d"),
    updates.ReactionRemoved("1", "bob", "\U0001f44d"),
    updates.UserJoined(User("bob", "Bob", ("mod",), "#fff", {"x": 1})),
    updates.UserLeft("bob"),
    updates.UserUpdated(User("bob")),
    updates.RoomConfigChanged(RoomConfig(True, 30)),
    updates.ModerationConfigChanged({"words": ["a", "b"]}),
    updates.StreamStatusChanged("live"),
    updates.CountsChanged(5, None),
)


def test_every_logged_update_comes_back() -> None:
    assert [type(update) for update in LOGGED] == list(updates.LOGGED)
    entries = [LogEntry(seq, 1, update) for seq, update in enumerate(LOGGED, 1)]
    assert [decode("a", row) for row in to_rows("a", entries)] == entries


def test_an_update_rests_as_json_with_its_kind_by_name() -> None:
    assert json.loads(encode(LOGGED[2])) == {"kind": "message_removed", "message_id": "1", "user": "ada"}


def test_a_host_s_own_message_rests_as_a_message() -> None:
    (row,) = to_rows("a", [LogEntry(1, 1, updates.MessageAdded(Theirs("1", "bob", "hi", AT, {"k": 1})))])
    assert row.message_id == "1"
    assert decode("a", row).update == updates.MessageAdded(Message("1", "bob", "hi", AT, (), {"k": 1}))


@pytest.mark.parametrize("mapping", [OrderedDict, MappingProxyType])
def test_any_mapping_may_be_an_extra(mapping: Any) -> None:
    update = updates.MessageAdded(Message("1", "bob", "hi", AT, (), mapping({"k": mapping({"deep": 1})})))
    assert json.loads(encode(update))["message"]["extra"] == {"k": {"deep": 1}}


@pytest.mark.parametrize("bad", [object(), {"k": {1: {2}, "x": object()}}, "\ud800", {"k": b"\xff"}.keys()])
def test_what_json_cannot_carry_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidValue, match="update: cannot be written as JSON"):
        encode(updates.MessageAdded(Message("1", "bob", "hi", AT, (), {"bad": bad})))


def test_nesting_without_end_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(InvalidValue):
        encode(updates.MessageAdded(Message("1", "bob", "hi", AT, (), endless)))


def test_a_time_of_another_zone_is_the_same_time() -> None:
    there = AT.astimezone(timezone(timedelta(hours=-5, minutes=-30)))
    (row,) = to_rows("a", [LogEntry(1, 1, updates.MessageAdded(Message("1", "bob", "hi", there)))])
    assert decode("a", row).update == updates.MessageAdded(Message("1", "bob", "hi", AT))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b'{"kind":"unheard_of"}', b'{"kind":"message_added"}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_update_is_damage_though_its_checksum_fits(data: bytes) -> None:
    with pytest.raises(DamagedStore, match="a: the log's entry at seq 3 is no update"):
        decode("a", Row(3, 3, None, data, checksum(seed_of("a"), 3, 3, data)))


def test_a_row_that_holds_nothing_reads_as_nothing() -> None:
    (row,) = to_rows("a", [added(1)])
    assert decode("a", nothing("a", row)) == LogEntry(1, 1, NOTHING)


@given(st.integers(0, 10_000), st.integers(0, 7), st.integers(0, 200))
def test_no_flipped_bit_is_read(at: int, bit: int, seq: int) -> None:
    (row,) = to_rows("a", [added(seq + 1)])
    assert row.data is not None
    data = bytearray(row.data)
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(DamagedStore):
        decode("a", row._replace(data=bytes(data)))
    with pytest.raises(DamagedStore):
        decode("a", row._replace(seq=row.seq ^ 1 << bit))
    with pytest.raises(DamagedStore):
        decode("a", row._replace(ordinal=row.ordinal ^ 1 << bit))
    for part in range(0, 48, 8):
        with pytest.raises(DamagedStore):
            decode("a", row._replace(crc=row.crc ^ 1 << bit + part))


def test_an_entry_of_another_room_is_damage() -> None:
    (row,) = to_rows("a", [added(1)])
    with pytest.raises(DamagedStore, match="b: the log's entry at seq 1 fails its checksum"):
        decode("b", row)


@pytest.mark.parametrize("field", Row._fields)
def test_a_value_of_another_kind_is_damage(field: str) -> None:
    (row,) = to_rows("a", [added(1)])
    for value in (None, 1.5, "1", b"1", 7):
        changed: dict[str, Any] = {field: value}
        with pytest.raises(DamagedStore):
            decode("a", row._replace(**changed))


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomstate.store.rows.MAX_BATCH", 5)
    assert len(to_rows("a", batch(1, 6))) == 5
    with pytest.raises(InvalidValue, match="must be 1 to 5 entries, got 6"):
        to_rows("a", batch(1, 7))
