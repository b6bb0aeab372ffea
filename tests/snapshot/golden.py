"""The golden snapshots: what every later version must still read. All of their text was written for this purpose.

``python -m tests.snapshot.golden`` writes those that are missing, and never changes one that is there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from roomstate.image import RoomImage
from roomstate.model import Annotation, Marker, Message, Notification, RoomConfig, RoomInfo, User
from roomstate.position import Gap, Position
from roomstate.snapshot import Dictionary, DictionaryTrainer, Level, SnapshotCodec

FOLDER = Path(__file__).resolve().parent.parent / "golden"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SAYINGS = (
    "Has anybody tried the new build?",
    "It works here, but the first start takes a while.",
    "@ada could you look at my patch when you have a minute?",
    "Sure, after lunch 🍜",
    "Привет! Кто сегодня дежурит?",
    "ありがとう、助かりました",
    "That test fails about once in fifty runs. A clock, I would bet.",
    "",
    "line one\nline two",
)


def messages(kind: str, count: int) -> tuple[Message, ...]:
    """Messages whose ids and times are of one kind: numbers to the minute, UUIDs to the microsecond, words."""
    forms: dict[str, Callable[[int], str]] = {
        "numbers": lambda n: str(9000 + 3 * n),
        "dates": lambda n: f"2024-05-{1 + n // 20:02d}-{n % 20}",
        "uuids": lambda n: str(uuid.UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)),
        "words": lambda n: f"${SAYINGS[n % 3][:4]}{n * 7919:x}:example\0org",
    }
    ids = forms[kind]
    step = {
        "numbers": timedelta(minutes=3),
        "dates": timedelta(seconds=11),
        "uuids": timedelta(milliseconds=7, microseconds=1),
        "words": timedelta(milliseconds=1234),
    }[kind]
    return tuple(
        Message(
            ids(n),
            ("ada", "bob", "Ζωή")[n * n % 3],
            SAYINGS[n * n % len(SAYINGS)] + ("\0" if kind == "words" else ""),
            NOON + n * step,
            ("mod", "vip") if n % 4 == 0 else (),
            {"reply_to": ids(n - 1), "big": 2**70} if n % 5 == 1 else {},
        )
        for n in range(count)
    )


def image(kind: str, count: int) -> RoomImage:
    """A room in which every field says something."""
    said = messages(kind, count)
    return RoomImage(
        room_id=f"golden/{kind}",
        position=Position("epoch-1", 500 + count),
        tier="BACKGROUND",
        floor=100,
        held_after=500,
        ordinal=620,
        taken_at=1714564800.25,
        info=RoomInfo(12, 2, "live", NOON, NOON - timedelta(days=1, microseconds=1)),
        config=RoomConfig(slow_mode_enabled=True, slow_mode_duration=5, extra={"topic": "builds"}),
        moderation={"words": ["spam"], "limits": {"links": 2}},
        messages=said,
        seqs=tuple(501 + n + (n > 10) for n in range(count)),
        annotations={each.id: Annotation(NOON, {"👍": ("ada", "bob")}) for each in said[:2] if "\0" not in each.id},
        tombstones=("gone-1", "gone-2"),
        gaps=(Gap(300, 320), Gap(511, 512, "cursor")),
        members=(User("ada", "Ada", ("mod",), "#fa0", {"pronouns": "she"}), User("bob")),
        members_complete=True,
        presence={"ada": "online", "bob": "away"},
        notifications=(Notification(f"golden/{kind}", "ada", "mention", said[0].id.strip("\0"), 501, NOON),),
        ui_state={"viewer": {"scroll": 0.5, "draft": None}},
        markers={"ada": Marker(505, 125, 1, (510, 511), True)},
        digest={"messages": 500},
    )


KINDS = {"numbers": 30, "dates": 60, "uuids": 12, "words": 9}


def dictionary() -> Dictionary:
    """A small dictionary of the sayings above."""
    trainer, codec = DictionaryTrainer(2048, 1 << 20), SnapshotCodec()
    for n in range(120):
        trainer.add(codec.payload(codec.encode(image(list(KINDS)[n % 4], 5 + n % 40))))
    return trainer.train()


def main() -> None:
    """Write the golden files of the present version that are missing."""
    FOLDER.mkdir(exist_ok=True)
    kept = FOLDER / "v1.dictionary"
    if not kept.exists():
        kept.write_bytes(dictionary().data)
    for level, known in ((Level.MEDIUM, None), (Level.HIGH, Dictionary(kept.read_bytes()))):
        codec = SnapshotCodec(level, known)
        for kind, count in KINDS.items():
            path = FOLDER / f"v1-{kind}{'-dictionary' if known else ''}.snapshot"
            if not path.exists():
                path.write_bytes(codec.encode(image(kind, count)))


if __name__ == "__main__":
    main()
