"""Hostile input, by name: each ends in a typed error that says where, or is bounded; and the decoder's fuzz."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from roomstate.errors import InvalidValue, Malformed, Oversized, ProtocolError
from roomstate.model import MAX_CONTENT, MAX_DEPTH, MAX_EXTRA, check_kept, check_message
from roomstate.position import MAX_SEQ
from roomstate.room.roster import MAX_MEMBERS as ROSTER_MEMBERS
from roomstate.sync.checking import MAX_ENVELOPE
from roomstate.sync.envelope import decode
from roomstate.sync.frames import decode_frame
from roomstate.sync.payloads import MAX_ITEMS, MAX_MEMBERS, DeltaUpdate
from tests.sync.hostile import RAW, campaign, nested, survive

DATA = "room_state_sync.data"
BODY: dict[str, Any] = {"id": "m1", "user": "bob", "content": "hi", "timestamp": "2026-01-01T00:00:00Z"}


def envelope(data: object, kind: str = "DELTA_UPDATE", **fields: object) -> str:
    """An envelope as text; fields may be anything, None leaves one out."""
    inner = {"message_type": kind, "room_id": "rust", "timestamp": "2026-01-01T00:00:00Z", "sequence_number": 9}
    inner |= {"previous": 4, "data": data, **fields}
    return json.dumps({"room_state_sync": {key: value for key, value in inner.items() if value is not None}})


def added(**fields: object) -> str:
    return envelope({"added_messages": [{**BODY, **fields}]})


def refusal(raw: bytes | str, max_bytes: int = MAX_ENVELOPE) -> ProtocolError:
    """The error that both decoders raise."""
    with pytest.raises(ProtocolError) as by_frame:
        decode_frame(raw, max_bytes)
    with pytest.raises(ProtocolError) as alone:
        decode(raw, max_bytes)
    assert type(by_frame.value) is type(alone.value)
    return alone.value


def test_oversized_by_one_byte() -> None:
    raw = added()
    assert decode(raw, len(raw)).entries()
    assert str(refusal(raw, len(raw) - 1)) == f"envelope: must have at most {len(raw) - 1} bytes, got {len(raw)}"
    assert isinstance(refusal(raw.encode(), len(raw) - 1), Oversized)


def test_text_is_as_long_as_its_bytes() -> None:
    raw = '"' + "\u00fc" * 10 + '"'
    assert isinstance(refusal(raw, 15), Oversized)


def test_a_long_input_is_not_even_read() -> None:
    assert isinstance(refusal(b"\xff" * (MAX_ENVELOPE + 1)), Oversized)
    assert isinstance(refusal("\ud800" + "x" * MAX_ENVELOPE), ProtocolError)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"room_state_sync":' * 2000])
def test_deeply_nested(raw: bytes) -> None:
    assert isinstance(refusal(raw), ProtocolError)


def test_deeply_nested_where_the_schema_does_not_look() -> None:
    assert isinstance(
        refusal(envelope({"nobody_knows": None}).replace("null", "[" * 200_000 + "]" * 200_000)), Oversized
    )


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (lambda deep: added(extra={"a": deep}), f"{DATA}.added_messages.extra"),
        (lambda deep: envelope({"moderation_config": {"a": deep}}, "STATE_UPDATE"), f"{DATA}.moderation_config"),
        (lambda deep: envelope({"room_config": {"extra": {"a": deep}}}, "STATE_UPDATE"), f"{DATA}.room_config.extra"),
        (lambda deep: envelope({"users": [{"id": "a", "extra": {"a": deep}}]}, "BULK_SYNC"), f"{DATA}.users.extra"),
        (lambda deep: envelope({"messages": [{**BODY, "extra": {"a": deep}}]}, "BULK_SYNC"), f"{DATA}.messages.extra"),
        (lambda deep: envelope({"ui_state": {"v": deep}}, "BULK_SYNC"), f"{DATA}.ui_state"),
    ],
)
def test_a_hosts_own_fields_may_be_so_deep_and_no_deeper(raw: Callable[[Any], str], where: str) -> None:
    assert survive(raw(nested(MAX_DEPTH - 1)).encode())
    error = refusal(raw(nested(MAX_DEPTH)))
    assert (type(error), str(error)) == (Oversized, f"{where}: must be nested at most {MAX_DEPTH} deep")


def test_what_could_be_read_but_not_written_is_too_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    def deep(where: str, fields: object) -> None:
        raise RecursionError

    monkeypatch.setattr("roomstate.sync.checking.check_kept", deep)  # near the end of Python's own stack
    assert str(refusal(added(extra={"a": 1}))) == f"{DATA}.added_messages.extra: is nested too deeply"


def test_wide_is_not_deep() -> None:
    check_kept("extra", {"a": [[]] * 1000, "b": [{}] * 1000})


@pytest.mark.parametrize("cut", [0, 1, 10, -1, -2, -20])
def test_truncated(cut: int) -> None:
    assert isinstance(refusal(added()[:cut]), Malformed)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "1.", "0x10", "+1", "1" * 5000]
)
def test_what_is_no_number(number: str) -> None:
    assert isinstance(refusal(envelope({}, sequence_number=12345).replace("12345", number)), Malformed)
    assert isinstance(refusal(envelope({"typing": {"ada": 12345}}).replace("12345", number)), Malformed)
    assert isinstance(refusal(added(extra={"a": 12345}).replace("12345", number)), Malformed)


@pytest.mark.parametrize("number", [-1, 2**53, 2**63, 2**64, 10**40, 1.5, "1", True])
@pytest.mark.parametrize("field", ["sequence_number", "previous", "ordinal", "answers"])
def test_numbers_that_are_no_position(field: str, number: object) -> None:
    fields: dict[str, Any] = {field: number}
    error = refusal(envelope({}, **fields))
    assert (type(error), error.where) == (Malformed, f"room_state_sync.{field}")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"user_count": -1}, "STATE_UPDATE"),
        ({"user_count": 2**53}, "STATE_UPDATE"),
        ({"room_config": {"slow_mode_duration": 2**40}}, "STATE_UPDATE"),
        ({"epoch": "e1", "head": 2**53}, "HEARTBEAT"),
        ({"markers": {"ada": {"seq": -1, "ordinal": 0}}}, "BULK_SYNC"),
        ({"gaps": [{"after": 0, "upto": 2**60}]}, "BULK_SYNC"),
        ({"typing": {"ada": 301}}, "DELTA_UPDATE"),
        ({"typing": {"ada": -0.5}}, "DELTA_UPDATE"),
        ({"removed_messages": [{"id": "m1", "seq": -5}]}, "DELTA_UPDATE"),
    ],
)
def test_numbers_out_of_range(data: object, kind: str) -> None:
    assert refusal(envelope(data, kind)).where.startswith(DATA)


def test_a_hosts_own_large_numbers_are_kept_exactly() -> None:
    [(_, update)] = decode(added(extra={"snowflake": 2**63 + 1})).entries()
    assert update.message.extra == {"snowflake": 2**63 + 1}  # type: ignore[union-attr]


@pytest.mark.parametrize("text", [r"\ud800", r"\udfff", r"\ud800\u0041", r"\udc00\ud800"])
def test_lone_surrogates(text: str) -> None:
    for field in ("id", "user", "content"):
        assert isinstance(refusal(added(**{field: "SPOT"}).replace("SPOT", f"x{text}x")), Malformed)
    assert isinstance(refusal(added(extra={"SPOT": "SPOT"}).replace("SPOT", text)), Malformed)


def test_lone_surrogates_in_text_that_is_no_bytes() -> None:
    assert str(refusal(added(content="SPOT").replace("SPOT", "\ud800"))) == "envelope: is not UTF-8"


@pytest.mark.parametrize("byte", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_invalid_utf_8(byte: bytes) -> None:
    assert str(refusal(added(content="SPOT").encode().replace(b"SPOT", byte))) == "envelope: is not UTF-8"


def test_of_a_repeated_key_the_last_counts() -> None:
    raw = added().replace('"content": "hi"', '"content": "hi", "content": "ho"')
    [(_, update)] = decode(raw).entries()
    assert update.message.content == "ho"  # type: ignore[union-attr]
    twice = added().replace('"room_id": "rust"', '"room_id": "rust", "room_id": "go"')
    assert decode(twice).room_id == "go"


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ("null", "envelope"),
        ("[]", "envelope"),
        ('"x"', "envelope"),
        ('{"room_state_sync": 1}', "room_state_sync"),
        (envelope([]), DATA),
        (envelope({}, room_id=1), "room_state_sync.room_id"),
        (envelope({}, room_id=""), "room_state_sync.room_id"),
        (envelope({}, room_id="x" * 513), "room_state_sync.room_id"),
        (envelope({}, timestamp=0), "room_state_sync.timestamp"),
        (envelope({}, withheld=1), "room_state_sync.withheld"),
        (envelope({}, epoch="x" * 65), "room_state_sync.epoch"),
        (envelope({}, fingerprint="x" * 65), "room_state_sync.fingerprint"),
        (added(id=1), f"{DATA}.added_messages[0].id"),
        (added(content=None), f"{DATA}.added_messages[0].content"),
        (added(content="x" * (MAX_CONTENT + 1)), f"{DATA}.added_messages[0].content"),
        (added(user="x" * 513), f"{DATA}.added_messages[0].user"),
        (added(badges="mod"), f"{DATA}.added_messages[0].badges"),
        (added(badges=["x" * 513]), f"{DATA}.added_messages[0].badges[0]"),
        (added(extra=[]), f"{DATA}.added_messages[0].extra"),
        (envelope({"presence": {"ada": "asleep"}}), f"{DATA}.presence[...]"),
        (envelope({"reactions": [{"message_id": "m1", "user": "ada", "emoji": ""}]}), f"{DATA}.reactions[0].emoji"),
    ],
)
def test_wrong_types(raw: str, where: str) -> None:
    assert refusal(raw).where == where


@pytest.mark.parametrize("kind", ["", "delta_update", "DELTA", "SNAPSHOT", 4, None, "x" * 5000])
def test_unknown_types(kind: Any) -> None:
    error = refusal(envelope({}, kind))
    assert isinstance(error, Malformed)
    assert error.where.startswith("room_state_sync")
    assert len(error.reason) <= 200, "a peer's text is cut"


@pytest.mark.parametrize("field", ["message_type", "room_id", "timestamp", "sequence_number", "data"])
def test_missing_fields(field: str) -> None:
    fields: dict[str, Any] = {"kind" if field == "message_type" else field: None}
    error = refusal(envelope(**{"data": {}, **fields}))
    assert str(error) == f"room_state_sync: Object missing required field `{field}`"


@pytest.mark.parametrize("field", ["id", "user", "content", "timestamp"])
def test_missing_fields_of_a_message(field: str) -> None:
    body = {key: value for key, value in BODY.items() if key != field}
    for raw in (envelope({"added_messages": [body]}), envelope({"messages": [body]}, "BULK_SYNC")):
        error = refusal(raw)
        assert f"missing required field `{field}`" in error.reason
        assert error.where.startswith(f"{DATA}.")
    assert isinstance(refusal(envelope({"messages": [{**body, "extra": {"a": 1}}]}, "BULK_SYNC")), Malformed)


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T00:00:00",  # without zone
        "2026-01-01",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "0001-01-01T00:00:00+23:59",  # before year 1 in UTC
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_timestamps_without_zone_or_out_of_range(time: str) -> None:
    for raw in (
        envelope({}, timestamp=time),
        added(timestamp=time),
        envelope({"messages": [{**BODY, "timestamp": time}]}, "BULK_SYNC"),
        envelope({"edited_messages": [{"id": "m1", "content": "", "edited_at": time}]}),
        envelope({"annotations": {"m1": {"edited_at": time}}}, "BULK_SYNC"),
        envelope({"last_activity": time}, "BULK_SYNC"),
    ):
        error = refusal(raw)
        assert isinstance(error, Malformed)
        assert error.where.startswith("room_state_sync.")


def test_a_time_in_any_zone_is_kept() -> None:
    [(_, update)] = decode(added(timestamp="2026-01-01T01:00:00+01:00")).entries()
    assert update.message.timestamp == decode(added()).timestamp  # type: ignore[union-attr]


def test_sequence_numbers_that_go_back() -> None:
    error = refusal(envelope({}, previous=10))
    assert str(error) == "room_state_sync.previous: must be at most sequence_number, 9, got 10"


def test_sequence_numbers_that_leap_are_not_the_decoders_business() -> None:
    leap = decode(envelope({"added_messages": [BODY]}, sequence_number=2**50, previous=None))
    assert [seq for seq, _ in leap.entries()] == [2**50]
    wide = decode(envelope({"added_messages": [BODY]}, sequence_number=MAX_SEQ, previous=0))
    assert [seq for seq, _ in wide.entries()] == [MAX_SEQ]


@pytest.mark.parametrize("seq", [0, 3, 4, 10, 2**50])
def test_items_that_lie_outside_of_what_is_covered(seq: int) -> None:
    for name, item in (("added_messages", BODY), ("removed_messages", {"id": "a"}), ("users_left", {"id": "a"})):
        error = refusal(envelope({name: [{**item, "seq": seq}]}))
        assert str(error) == f"{DATA}.{name}: must lie in (4, 9], got seq {seq}"


@pytest.mark.parametrize(
    ("data", "kind"), [({"added_messages": ["m1"]}, "DELTA_UPDATE"), ({"user_count": 1}, "STATE_UPDATE")]
)
@pytest.mark.parametrize(
    ("fields", "why"),
    [({"withheld": True}, "where the span is withheld"), ({"previous": 9}, "where no position is covered")],
)
def test_what_takes_a_position_needs_one(data: object, kind: str, fields: dict[str, Any], why: str) -> None:
    assert refusal(envelope(data, kind, **fields)).reason == f"must hold nothing that takes a position {why}"
    assert decode(envelope({}, kind, **fields)).entries() == ()


@pytest.mark.parametrize("kind", ["DELTA_UPDATE", "BULK_SYNC"])
def test_no_word_about_another_room(kind: str) -> None:
    note = {
        "room_id": "go",
        "user": "ada",
        "kind": "mention",
        "message_id": "m1",
        "seq": 3,
        "timestamp": BODY["timestamp"],
    }
    error = refusal(envelope({"notifications": [note]}, kind))
    assert str(error) == f"{DATA}.notifications.room_id: must be the envelope's own"
    assert survive(envelope({"notifications": [{**note, "room_id": "rust"}]}, kind).encode())


def test_a_heartbeat_of_two_epochs() -> None:
    beat = {"epoch": "e1", "head": 9}
    assert decode(envelope(beat, "HEARTBEAT", epoch="e1")).epoch == decode(envelope(beat, "HEARTBEAT")).epoch == "e1"
    assert refusal(envelope(beat, "HEARTBEAT", epoch="e2")).where == f"{DATA}.epoch"


@pytest.mark.parametrize(
    ("image", "where"),
    [
        ({"messages": [BODY], "seqs": []}, "image.seqs"),
        ({"messages": [BODY, {**BODY, "id": "m2"}], "seqs": [8, 7]}, "image.seqs"),
        ({"messages": [BODY], "seqs": [10]}, "image.seqs"),
        ({"messages": [BODY], "seqs": [3], "held_after": 5}, "image.seqs"),
        ({"floor": 5, "held_after": 4}, "image"),
        ({"held_after": 10}, "image"),
        ({"gaps": [{"after": 4, "upto": 10}], "held_after": 0}, "image.gaps"),
        ({"gaps": [{"after": 4, "upto": 4}], "held_after": 0}, "image.gaps"),
    ],
)
def test_an_image_whose_parts_do_not_agree(image: object, where: str) -> None:
    assert refusal(envelope(image, "BULK_SYNC")).where == where


def test_too_many_items() -> None:
    assert survive(envelope({"added_messages": ["m"] * MAX_ITEMS}, sequence_number=MAX_SEQ).encode())
    for name in ("added_messages", "removed_messages", "users_left"):
        assert isinstance(refusal(envelope({name: ["m"] * (MAX_ITEMS + 1)})), Oversized)
    assert isinstance(refusal(envelope({"gaps": [{"after": 0, "upto": 0}] * (MAX_ITEMS + 1)}, "BULK_SYNC")), Oversized)


def test_a_million_distinct_users_in_one_room() -> None:
    assert MAX_MEMBERS == ROSTER_MEMBERS
    raw = envelope({"users": [{"id": str(n)} for n in range(1_000_000)]}, "BULK_SYNC")
    assert isinstance(refusal(raw), Oversized)
    assert isinstance(refusal(raw, len(raw)), Oversized)


def test_fields_that_are_too_large_to_keep() -> None:
    assert isinstance(refusal(added(extra={"a": "x" * MAX_EXTRA})), Oversized)
    [(_, update)] = decode(added(extra={"a": "x" * (MAX_EXTRA - 8)})).entries()
    check_message(update.message)  # type: ignore[union-attr]
    swollen = added(extra={"a": ["SPOT"] * 1}).replace('"SPOT"', ",".join(["1e15"] * 40_000))
    assert len(swollen) < MAX_EXTRA
    assert isinstance(refusal(swollen), Oversized), "what counts is how large it would be written"


@pytest.mark.parametrize("raw", [None, 7, ["x"], {"a": 1}])
def test_what_is_no_input_at_all_is_our_own_mistake(raw: Any) -> None:
    for read in (decode, decode_frame):
        with pytest.raises(InvalidValue, match="must be bytes or str"):
            read(raw)


def test_other_kinds_of_bytes_are_read() -> None:
    raw = added().encode()
    assert decode(bytearray(raw)) == decode(memoryview(raw)) == decode(raw)  # type: ignore[arg-type]


def test_unknown_fields_are_ignored() -> None:
    assert decode(envelope({"nobody": 1, "typing": {}}, unknown={"a": []})).data == DeltaUpdate()


# -- what it costs -----------------------------------------------------------------------------------------------------

PER_BYTE = 40
"""Bytes of memory that a byte of input may take for a moment: an empty list of 3 bytes takes 64 with its place."""

BOMBS: dict[str, Callable[[int], str]] = {
    "empty lists": lambda n: added(extra={"a": "SPOT"}).replace('"SPOT"', "[" + "[]," * (n // 3) + "[]]"),
    "empty objects": lambda n: added(extra={"a": "SPOT"}).replace('"SPOT"', "[" + "{}," * (n // 3) + "{}]"),
    "short keys": lambda n: added(extra={"a": "SPOT"}).replace(
        '"SPOT"', "{" + ",".join(f'"{key:x}":{{}}' for key in range(n // 11)) + "}"
    ),
    "ids": lambda n: envelope({"removed_messages": ["a"] * (n // 5)}),
    "members": lambda n: envelope({"users": [{"id": "a"}] * (n // 13)}, "BULK_SYNC"),
    "presence": lambda n: envelope({"presence": "SPOT"}).replace(
        '"SPOT"', "{" + ",".join(f'"{key:x}":"away"' for key in range(n // 16)) + "}"
    ),
    "reactions": lambda n: envelope({"annotations": {"m": {"reactions": {"+": ["a"] * (n // 5)}}}}, "BULK_SYNC"),
    "content": lambda n: added(content="\U0001f600" + "x" * (n - 1000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_input_takes_more_memory_than_its_size_allows(name: str) -> None:
    raw = BOMBS[name](1 << 20).encode()
    tracemalloc.start()
    try:
        survive(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PER_BYTE * len(raw)


# -- the fuzz ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", RAW)
def test_what_the_fuzz_begins_with_is_sound(raw: bytes) -> None:
    assert survive(raw)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
def test_only_our_errors_come_out_of_30_000_mutated_inputs(seed: int) -> None:
    read = campaign(seed, 30_000)
    assert 1000 < read < 29_000, "some are still read, or nothing behind the decoder was tried"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_only_our_errors_come_out_of_20_million_mutated_inputs(seed: int) -> None:
    assert campaign(seed, 200_000) > 1000
