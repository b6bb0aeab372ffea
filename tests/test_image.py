from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.image import RoomImage
from roomstate.model import Marker, Message, Tier
from roomstate.position import Position
from roomstate.room.passage import image_of
from roomstate.room.reduce import apply
from roomstate.updates import Update
from tests.room import strategies


@given(st.lists(strategies.updates, max_size=15))
def test_an_image_of_plain_messages_comes_back_from_json(given: list[Update]) -> None:
    live = strategies.room()
    for update in given:
        apply(live, update, live.head + 1, strategies.NOW, strategies.LIMITS)
    image = image_of(live, 1.5, {"ada": Marker(1, 2, 3, (4,), True, 1)})
    if all(isinstance(message, Message) for message in image.messages):
        assert msgspec.json.decode(msgspec.json.encode(image), type=RoomImage) == image


def test_an_image_needs_an_id_and_a_position_and_is_empty_by_default() -> None:
    with pytest.raises(TypeError):
        RoomImage()  # type: ignore[call-arg]
    image = RoomImage(room_id="rust", position=Position("e", 0))
    assert (image.tier, image.messages, image.members_complete, image.by_time) == (Tier.ACTIVE.name, (), False, False)
    assert msgspec.json.decode(msgspec.json.encode(image)) == {"room_id": "rust", "position": {"epoch": "e", "seq": 0}}


def test_an_image_from_outside_is_checked() -> None:
    with pytest.raises(msgspec.ValidationError, match="room_id"):
        msgspec.json.decode(b'{"room_id": "", "position": {"epoch": "e", "seq": 0}}', type=RoomImage)
