"""Sound envelopes and frames of every kind, and what a hostile peer might make of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from roomstate.effects import Head
from roomstate.errors import RoomStateError
from roomstate.image import RoomImage
from roomstate.model import Annotation, Marker, Message, Notification, RoomConfig, RoomInfo, Tier, User
from roomstate.position import Gap, Position, Token
from roomstate.room.passage import empty, room_of
from roomstate.room.reduce import apply, check_update
from roomstate.room.states import Limits
from roomstate.sync.envelope import Envelope, decode, encode, of_data, of_heartbeat, of_image, of_update, of_withheld
from roomstate.sync.frames import Ack, ErrorFrame, Frame, Interest, Request, Send, decode_frame
from roomstate.sync.payloads import (
    AddedMessage,
    DeltaUpdate,
    EditedMessage,
    JoinedUser,
    LeftUser,
    Reaction,
    RemovedMessage,
    StateUpdate,
    UpdatedUser,
)
from roomstate.updates import MessageAdded, UserUpdated
from tests.sync.strategies import NOW, ROOM, START

HELLO = Message("m1", "bob", "hi \u00fc", START, ("mod",), {"reply_to": "m0", "deep": [{"er": [1, 2.5, None]}]})
IMAGE = RoomImage(
    room_id=ROOM,
    position=Position("e1", 9),
    floor=2,
    held_after=3,
    ordinal=7,
    info=RoomInfo(4, 1, "live", START, START),
    config=RoomConfig(True, 30, extra={"lang": "en"}),
    moderation={"words": ["x"]},
    messages=(HELLO, Message("m2", "ada", "", START)),
    seqs=(4, 8),
    annotations={"m1": Annotation(START, {"+1": ("ada", "bob")})},
    tombstones=("m7",),
    gaps=(Gap(4, 6, "cursor"),),
    members=(User("ada", "Ada", ("vip",), "#fff", {"k": 1}), User("bob")),
    members_complete=True,
    presence={"ada": "online"},
    notifications=(Notification(ROOM, "ada", "mention", "m1", 4, START),),
    ui_state={"v1": {"draft": "he"}},
    markers={"ada": Marker(4, 2, 1, (4,), True, 3)},
)
DELTA = DeltaUpdate(
    added_messages=(AddedMessage.of(HELLO, 3), "m8"),
    edited_messages=(EditedMessage("m1", "hello", START, {"k": [1]}, START, 4),),
    reactions=(Reaction("m1", "ada", "+1", False, 5), Reaction("m1", "ada", "+1", True)),
    removed_messages=(RemovedMessage("m1", "ada", 6), "m9"),
    users_joined=(JoinedUser("cyd", "Cyd", ("b",), "red", {"x": 1}, 7),),
    updated_users=(UpdatedUser("cyd", color="blue", seq=8),),
    users_left=(LeftUser("cyd", 9), "bob"),
    presence={"ada": "away"},
    typing={"ada": 2.5},
    receipts={"ada": "m1"},
    notifications=(Notification(ROOM, "ada", "mention", "m1", 4, START),),
)
STATE = StateUpdate(RoomConfig(emote_only=True), {"words": []}, 5, 1, "offline")

ENVELOPES: tuple[Envelope, ...] = (
    of_image(IMAGE, NOW, user="ada", viewer="v1", fingerprint="ff", answers=3),
    of_data(ROOM, "e1", 2, 9, DELTA, NOW, fingerprint="ff", ordinal=9, answers=3),
    of_data(ROOM, "e1", 9, 10, STATE, NOW, ordinal=9),
    of_update(ROOM, "e1", 4, 5, MessageAdded(HELLO), NOW),
    of_withheld(ROOM, "e1", 5, 9, NOW),
    of_heartbeat(ROOM, Head(Position("e1", 9), 9), NOW),
)
FRAMES: tuple[Frame, ...] = (
    Request(ROOM, 3, Token("e1", 3, "ff").to_str()),
    Interest(ROOM, "ACTIVE"),
    Interest(ROOM, None, "nonsense"),
    Send(ROOM, "c1", MessageAdded(HELLO)),
    Send(ROOM, "c2", UserUpdated(User("ada", "Ada", (), "", {"k": [1]}))),
    Ack(ROOM, "c1", "m1", "e1", 5),
    ErrorFrame("RoomBusy", "room 'rust'", "1000 updates wait", True, ROOM, "c1"),
)
RAW: tuple[bytes, ...] = (
    *map(encode, ENVELOPES),
    *(frame.to_json().encode() for frame in FRAMES if not isinstance(frame, Envelope)),
)

NASTY: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**53 - 1, 2**53, 2**64, 10**30, -(2**63), 0.5, 1e308),
    *("", "x", "\ud800", "\x00", "m1", "rust", "e2", "x" * 600, "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59"),
    *("9999-12-31T23:59:59-01:00", "2026-02-30T00:00:00Z", "DELTA_UPDATE", "HEARTBEAT", "NOPE", "message_added"),
    *([], {}, [[]], [None], ["m1"], {"": 0}, {"id": "m1"}, {"seq": 2**50}, {"user": {"id": "ada"}}, [0] * 40),
)
SCRAPS: tuple[bytes, ...] = (
    *(b"null", b"NaN", b"Infinity", b"1e999", b"-1", b"9007199254740993", b"1" * 40, b'"', b"\\u", b'"\\ud800"'),
    *(b"\xff", b"\xed\xa0\x80", b"\x00", b"[", b"]", b"{", b"}", b",", b":", b"[" * 50, b'{"a":' * 50, b"\\", b"true"),
    *(b'"seq":7', b'"previous":11', b'"withheld":true,', b'"epoch":"e9",', b"\xef\xbb\xbf", b"/**/", b"'", b"0.1e5"),
)


def nested(depth: int) -> Any:
    """A list in a list in a list..."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def bent(raw: bytes, chance: random.Random) -> bytes:
    """``raw`` with one to three bytes or runs of bytes changed, lost, doubled or put in."""
    for _ in range(chance.randrange(1, 4)):
        at, kind = chance.randrange(len(raw) + 1), chance.randrange(6)
        end = min(len(raw), at + chance.randrange(12))
        if kind == 0:
            raw = raw[:at] + bytes((chance.randrange(256),)) + raw[at + 1 :]
        elif kind == 1:
            raw = raw[:at] + raw[end:]
        elif kind == 2:
            raw = raw[:at] + chance.choice(SCRAPS) + raw[end:]
        elif kind == 3:
            raw = raw[:end] + raw[at:]
        elif kind == 4:
            raw = raw[:at] + chance.choice(SCRAPS) + raw[at:]
        else:
            raw = raw[:at]
    return raw


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    inside = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place for key, each in inside for place in [(value, key), *places(each)]]


def twisted(raw: bytes, chance: random.Random) -> bytes:
    """``raw`` with one or two values exchanged for others, dropped, renamed, or put in another's place."""
    value = json.loads(raw)
    for _ in range(chance.randrange(1, 3)):
        container, key = chance.choice(places(value) or [({"": 0}, "")])
        kind = chance.randrange(8)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, dict):
            container[chance.choice(WORDS)] = container[key]
        elif kind == 2:
            other, name = chance.choice(places(value) or [(container, key)])
            container[key] = json.loads(json.dumps(other[name]))
        else:
            container[key] = json.loads(json.dumps(chance.choice(NASTY)))
    return json.dumps(value).encode()


WORDS: tuple[str, ...] = tuple(
    sorted({key for raw in RAW for _, key in places(json.loads(raw)) if isinstance(key, str)} | {"kind", "nope"})
)


def survive(raw: bytes) -> bool:
    """Whether ``raw`` is read at all. What is read must be usable; only our own errors may come."""
    try:
        frame = decode_frame(raw)
    except RoomStateError as error:
        refusal = str(error)
    else:
        use(frame)
        return True
    assert len(refusal) < 1000, "a peer's text is cut"
    return False


def use(frame: Frame) -> None:
    """Do with a frame what a program does: write it again, and apply what it says."""
    if isinstance(frame, Envelope):
        assert decode(encode(frame)) == frame
        use_envelope(frame)
        return
    assert decode_frame(frame.to_json()) == frame
    if isinstance(frame, Send):
        check_update(frame.update)


def use_envelope(envelope: Envelope) -> None:
    """Apply what an envelope says to an empty room, or make the room that it describes."""
    if envelope.message_type == "BULK_SYNC":
        room_of(envelope.image(), Tier.ACTIVE, LIMITS).check()
        return
    room = empty(envelope.room_id, envelope.epoch, Tier.ACTIVE, LIMITS, head=envelope.previous)
    for seq, update in envelope.entries():
        check_update(update)
        apply(room, update, seq, NOW, LIMITS)
        room.head = max(room.head, seq)
    room.check()


LIMITS = Limits()
MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (bent, bent, twisted)


def campaign(seed: int, inputs: int) -> int:
    """Try so many mutated inputs; how many of them were still read."""
    chance = random.Random(seed)
    return sum(survive(chance.choice(MUTATIONS)(chance.choice(RAW), chance)) for _ in range(inputs))
