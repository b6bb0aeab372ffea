from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from roomstate.errors import DamagedSnapshot, InvalidValue
from roomstate.image import RoomImage
from roomstate.model import Annotation, Message, RoomConfig, RoomInfo
from roomstate.position import Position
from roomstate.snapshot import Level, SnapshotCodec
from roomstate.snapshot import codec as codec_module
from tests.snapshot.strategies import images

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
CODEC = SnapshotCodec()


def room(count: int = 3, **fields: Any) -> RoomImage:
    messages = tuple(Message(f"m-{n}", f"user{n % 2}", f"text {n}", NOON + timedelta(seconds=n)) for n in range(count))
    given_fields: dict[str, Any] = {
        "room_id": "rust",
        "position": Position("e1", 10 + count),
        "messages": messages,
        "seqs": tuple(range(11, 11 + count)),
        "held_after": 10,
    }
    return RoomImage(**{**given_fields, **fields})


@given(images())
def test_a_decoded_image_equals_the_one_encoded(image: RoomImage) -> None:
    assert CODEC.decode(CODEC.encode(image)) == image


@given(images(), st.integers(0, 15))
def test_the_last_messages_are_those_of_a_full_decode(image: RoomImage, last: int) -> None:
    part = CODEC.decode(CODEC.encode(image), last=last)
    start = max(len(image.messages) - last, 0)
    assert part.messages == image.messages[start:]
    if image.seqs:
        assert part.seqs == image.seqs[start:]
    if start and image.seqs:
        assert part.held_after == max(image.held_after, image.seqs[start - 1])
    else:
        assert part.held_after == image.held_after
    assert set(part.annotations) <= set(image.annotations)


@given(images())
def test_the_header_tells_what_the_image_holds(image: RoomImage) -> None:
    data = CODEC.encode(image)
    header = CODEC.header(data, room_id=image.room_id)
    assert (header.room_id, header.position, header.tier) == (image.room_id, image.position, image.tier)
    assert (header.taken_at, header.info, header.digest) == (image.taken_at, image.info, image.digest)
    assert (header.messages, header.members) == (len(image.messages), len(image.members))
    assert header.authors == len({message.user for message in image.messages})
    assert (header.version, header.level, header.dictionary) == (1, "medium", 0)
    assert header.snapshot_bytes == len(data)
    assert header.payload_bytes > 0


def test_every_field_of_an_image_is_kept_by_name() -> None:
    kept = codec_module._HEADED | codec_module._IN_COLUMNS | {field.name for field in codec_module._REST}
    assert kept == {field.name for field in structs.fields(RoomImage)}


def test_every_field_of_the_info_is_in_the_header() -> None:
    info = RoomInfo(1, 2, "live", NOON, NOON)
    assert all(getattr(info, field.name) for field in structs.fields(RoomInfo))
    assert CODEC.header(CODEC.encode(room(info=info))).info == info


def test_annotations_go_with_their_messages() -> None:
    image = room(annotations={"m-0": Annotation(NOON), "m-2": Annotation(NOON)})
    assert list(CODEC.decode(CODEC.encode(image), last=1).annotations) == ["m-2"]


@pytest.mark.parametrize("level", Level)
def test_each_level_reads_the_same(level: Level) -> None:
    codec = SnapshotCodec(level)
    data = codec.encode(room())
    assert CODEC.decode(data) == room()
    assert CODEC.header(data).level == level.value


def test_encoding_is_the_same_every_time() -> None:
    assert CODEC.encode(room(500)) == SnapshotCodec().encode(room(500))


@attrs.frozen
class Own:
    """A host's own class of messages."""

    id: str
    user: str
    content: str
    timestamp: datetime
    extra: Mapping[str, Any]


def test_a_hosts_own_messages_are_written_as_messages() -> None:
    own = Own("1", "bob", "hi", NOON, MappingProxyType({"reply_to": "0"}))
    image = RoomImage(room_id="rust", position=Position("e1", 1), messages=(own,), seqs=(1,))
    decoded = CODEC.decode(CODEC.encode(image)).messages
    assert decoded == (Message("1", "bob", "hi", NOON, (), {"reply_to": "0"}),)


@pytest.mark.parametrize("whole", [timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(seconds=1)])
def test_times_are_exact_to_the_microsecond(whole: timedelta) -> None:
    times = [datetime(1, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC), NOON, NOON + whole * 7919 * 31]
    for chosen in (times, times[2:]):
        messages = tuple(Message(str(n), "bob", "", time) for n, time in enumerate(chosen))
        image = RoomImage(room_id="rust", position=Position("e1", 4), messages=messages)
        assert CODEC.decode(CODEC.encode(image)) == image


def test_equal_settings_have_equal_hashes() -> None:
    def hash_of(**fields: Any) -> str:
        return CODEC.header(CODEC.encode(room(**fields))).config_hash

    assert hash_of() == ""
    assert hash_of(moderation={"a": 1, "b": 2}) == hash_of(moderation={"b": 2, "a": 1})
    assert len({hash_of(), hash_of(config=RoomConfig(emote_only=True)), hash_of(moderation={"a": 1})}) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"seqs": (1,)},
        {"seqs": (1, 2, -3)},
        {"seqs": (1, 2, 2**53)},
        {"messages": (Message("1", "bob", "hi", NOON.replace(tzinfo=None)),), "seqs": (1,)},
        {"messages": (Message(1, "bob", "hi", NOON),), "seqs": (1,)},  # type: ignore[arg-type]
        {"messages": (Message("1", "bob", "hi", NOON, (), {"a": object()}),), "seqs": (1,)},
        {"messages": ("not a message",), "seqs": (1,)},
        {"messages": (Message("1", "bob", "hi", NOON, (), ["a"]),), "seqs": (1,)},  # type: ignore[arg-type]
        {"messages": (Message("1", "bob", "hi", NOON, (1,)),), "seqs": (1,)},  # type: ignore[arg-type]
        {"tombstones": (1,)},
        {"info": RoomInfo("12")},  # type: ignore[arg-type]
        {"ui_state": {"a": "\ud800"}},
        {"digest": {"a": object()}},
        {"digest": {"a": "x" * 70_000}},
        {"room_id": "\ud800"},
    ],
)
def test_what_no_image_holds_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as caught:
        CODEC.encode(room(**fields))
    assert caught.value.where.startswith("image")


def test_endless_nesting_is_refused() -> None:
    nested: dict[str, Any] = {}
    for _ in range(100_000):  # Python 3.13 goes deeper than 3.11
        nested = {"a": nested}
    with pytest.raises(InvalidValue, match="cannot be written"):
        CODEC.encode(room(ui_state=nested))


def test_an_image_that_could_not_be_decoded_within_the_bound_is_refused() -> None:
    small = SnapshotCodec(max_bytes=1 << 16)
    assert small.decode(small.encode(room(10))) == room(10)
    with pytest.raises(InvalidValue, match="max_bytes=65536"):
        small.encode(room(100))
    with pytest.raises(DamagedSnapshot, match="max_bytes=65536"):
        small.decode(CODEC.encode(room(100)))
    with pytest.raises(DamagedSnapshot, match="more than 65536"):
        small.decode(CODEC.encode(room(10_000)))


def test_bounds_are_checked() -> None:
    with pytest.raises(InvalidValue, match="max_bytes"):
        SnapshotCodec(max_bytes=1)
    with pytest.raises(InvalidValue, match="last"):
        CODEC.decode(CODEC.encode(room()), last=-1)


def test_a_snapshot_of_another_room_is_damage() -> None:
    data = CODEC.encode(room())
    assert CODEC.decode(data, room_id="rust") == room()
    for read in (CODEC.decode, CODEC.header):
        with pytest.raises(DamagedSnapshot, match="of the room 'rust', not 'go'"):
            read(data, room_id="go")


@pytest.mark.parametrize(
    "name", ["a\0b", "../../etc/passwd", "x" * 10_000, "".join(map(chr, range(0x20, 0x110000, 0x1000)))]
)
def test_any_name_of_a_room_and_of_a_user_survives(name: str) -> None:
    name = "".join(each for each in name if not "\ud800" <= each <= "\udfff")
    image = room(messages=(Message(name, name, name, NOON),), seqs=(1,), room_id=name)
    assert CODEC.decode(CODEC.encode(image), room_id=name) == image


def test_mappings_of_any_class_are_written() -> None:
    image = room(moderation=MappingProxyType({"words": MappingProxyType({"a": 1})}))
    assert CODEC.decode(CODEC.encode(image)).moderation == {"words": {"a": 1}}
