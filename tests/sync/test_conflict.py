"""What becomes of two states of one room: the laws of merging, the defaults, and the record of it all."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from roomstate.image import RoomImage
from roomstate.model import RoomConfig, Tier
from roomstate.position import Gap, Position
from roomstate.room.passage import check_image
from roomstate.sync.conflict import Conflict, ConflictKind, ConflictPolicy, Settled, UserChoice, detect, resolve
from tests.room.strategies import message

NOW = 1000.0


def image(*seqs: int, head: int = 10, **fields: Any) -> RoomImage:
    """A room at position ``head`` of one log, with a message at each of the seqs."""
    messages = tuple(message(f"m{seq}", second=seq) for seq in seqs)
    return RoomImage(room_id="room", position=Position("e", head), messages=messages, seqs=seqs, **fields)


def settle(
    client: RoomImage, server: RoomImage, ancestor: RoomImage | None = None, policy: ConflictPolicy | None = None
) -> Settled:
    """What becomes of a conflict that is there."""
    conflict = detect(client, server, ancestor)
    assert conflict is not None
    settled = (policy or ConflictPolicy()).settle(conflict, NOW)
    check_image(settled.image)
    return settled


def test_two_windows_of_one_log_become_one() -> None:
    merged = settle(image(1, 2, 5, head=5), image(8, 9, head=9, held_after=7)).image
    assert merged.seqs == (1, 2, 5, 8, 9)
    assert [each.id for each in merged.messages] == ["m1", "m2", "m5", "m8", "m9"]
    assert merged.gaps == (Gap(5, 7),)
    assert (merged.position, merged.held_after) == (Position("e", 9), 0)


def test_what_the_server_holds_no_longer_was_removed() -> None:
    merged = settle(image(1, 2, 3, 7, head=9), image(3, 8, held_after=2)).image
    assert merged.seqs == (1, 2, 3)
    assert set(merged.tombstones) == {"m7", "m8"}


def test_the_kind_is_the_one_thing_that_differs() -> None:
    config = RoomConfig(emote_only=True)
    kinds = [
        (image(1), ConflictKind.MESSAGE_ORDER),
        (image(presence={"ada": "online"}), ConflictKind.USER_PRESENCE),
        (image(config=config), ConflictKind.ROOM_CONFIG),
        (image(1, config=config), ConflictKind.COMPLEX),
        (image(ui_state={"ada": 1}), ConflictKind.COMPLEX),
    ]
    for server, kind in kinds:
        conflict = detect(image(), server)
        assert conflict is not None
        assert conflict.kind is kind
    assert detect(image(taken_at=3.0, tier=Tier.BACKGROUND.name), image()) is None


def test_a_choice_is_pending_and_then_made() -> None:
    client, server = image(config=RoomConfig(emote_only=True)), image()
    settled = settle(client, server, policy=ConflictPolicy({"config": UserChoice(60)}))
    (pending,) = settled.pending
    assert settled.image.config == RoomConfig()
    assert settled.decisions[0].took == "pending"
    assert resolve(settled.image, pending, "client", NOW + 59).image.config == client.config
    given = resolve(settled.image, pending, {"config": {"slow_mode_duration": 5}}, NOW)
    assert given.image == structs.replace(server, config=RoomConfig(slow_mode_duration=5))


def test_a_conflict_can_be_named() -> None:
    client, server = image(1, config=RoomConfig(emote_only=True)), image(2)
    settled = ConflictPolicy().settle(Conflict(ConflictKind.ROOM_CONFIG, client, server), NOW)
    assert settled.image == structs.replace(client, config=server.config)
