from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from roomstate.effects import Head
from roomstate.errors import DamagedSnapshot
from roomstate.model import Notification, RoomInfo, Tier
from roomstate.position import Gap, Position
from roomstate.room.states import ActiveRoom, BackgroundRoom, CachedRoom, LiveRoom, UnloadedRoom
from tests.room.strategies import LIMITS, LIVE, START, message, room

CACHED = CachedRoom(
    "room", Head(Position("e", 7), 3), RoomInfo(user_count=2, last_activity=START), 5, 1.5, b"bytes", by_time=True
)


def test_each_state_has_its_tier() -> None:
    states = (UnloadedRoom, CachedRoom, BackgroundRoom, ActiveRoom)
    assert [state.tier for state in states] == list(Tier)


@given(st.text(max_size=64), st.integers(0, 2**53), st.binary(max_size=99), st.booleans())
def test_a_cached_room_is_its_packed_bytes(epoch: str, seq: int, snapshot: bytes, by_time: bool) -> None:
    epoch = epoch.encode(errors="replace").decode()
    cached = CachedRoom("room", Head(Position(epoch, seq), seq), RoomInfo(), seq, 0.5, snapshot, by_time)
    back = CachedRoom.unpacked("room", cached.packed())
    assert structs.astuple(back) == structs.astuple(cached)
    assert back.in_store == (snapshot == b"")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\0",
        b"\xff\xff{",
        CACHED.packed()[:20],
        b"\0\x02[]",
        b'\0\x06"\xff\xff\xff\xff"',
        b"\x0f\xa0" + b"[" * 4000,
    ],
)
def test_damaged_bytes_are_a_typed_error(damaged: bytes) -> None:
    with pytest.raises(DamagedSnapshot, match="room: its cached record cannot be read"):
        CachedRoom.unpacked("room", damaged)


@given(st.integers(0, len(CACHED.packed()) - 1), st.integers(0, 255))
def test_no_changed_byte_is_anything_but_a_room_or_a_typed_error(at: int, byte: int) -> None:
    packed = bytearray(CACHED.packed())
    packed[at] = byte
    with contextlib.suppress(DamagedSnapshot):
        CachedRoom.unpacked("room", bytes(packed))


@pytest.mark.parametrize("tier", LIVE, ids=str)
def test_what_a_room_holds_weighs(tier: Tier) -> None:
    live = room(tier)
    sizes = [live.bytes]
    live.timeline.append(message(content="x" * 100), 1)
    sizes.append(live.bytes)
    live.note(Notification("room", "ada", "mention", "m1", 1, START), LIMITS)
    sizes.append(live.bytes)
    live.roster.set_presence("ada", "away")
    sizes.append(live.bytes)
    if isinstance(live, ActiveRoom):
        live.moderation = {"words": ["x" * 500]}
        sizes.append(live.bytes)
        assert sizes[-1] - sizes[-2] > 500
    assert sizes == sorted(set(sizes))


def test_a_rooms_position_and_reach() -> None:
    live = room(head=4)
    assert (live.position, live.held_after, live.floor, live.present) == (Position("epoch", 4), 4, 4, 0)
    live.check()


@pytest.mark.parametrize("wrong", [{"gaps": (Gap(2, 9),)}, {"gaps": (Gap(2, 3), Gap(1, 2))}, {"floor": 9}], ids=str)
def test_check_finds_what_cannot_be(wrong: dict[str, object]) -> None:
    live: LiveRoom = room(head=4)
    live.floor = 0
    for name, value in wrong.items():
        setattr(live, name, value)
    with pytest.raises(AssertionError):
        live.check()
