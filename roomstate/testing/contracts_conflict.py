"""What every conflict strategy keeps; derive from it to test your own.

::

    class TestMyStrategy(StrategyContract):
        parts = ("moderation",)

        def strategy(self) -> ConflictStrategy:
            return MyStrategy()
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_type_hints

import msgspec
from msgspec import structs

from roomstate.image import RoomImage
from roomstate.model import Annotation, Marker, Message, Notification, RoomConfig, RoomInfo, User
from roomstate.position import Gap, Position
from roomstate.sync.conflict import (
    PARTS,
    Conflict,
    ConflictKind,
    ConflictPolicy,
    ConflictStrategy,
    UserChoice,
    detect,
)

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_TYPES = get_type_hints(RoomImage, include_extras=True)


def _message(seq: int, content: str) -> Message:
    return Message(f"m{seq}", f"user-{seq % 2}", content, _NOON)


def images() -> tuple[RoomImage, ...]:
    """Images of one room and one log: one that holds nothing, two that differ in everything, one of gaps alone."""
    empty = RoomImage(room_id="room", position=Position("e", 0))
    early = RoomImage(
        room_id="room",
        position=Position("e", 6),
        info=RoomInfo(user_count=1, last_activity=_NOON),
        config=RoomConfig(slow_mode_enabled=True, slow_mode_duration=3),
        moderation={"words": ["a"], "level": 1},
        messages=(_message(1, "one"), _message(2, "two"), _message(5, "five")),
        seqs=(1, 2, 5),
        ordinal=4,
        annotations={"m2": Annotation(reactions={"+": ("ada",)})},
        tombstones=("m3",),
        members=(User("ada"), User("bob", "Bob")),
        presence={"ada": "online", "bob": "away"},
        notifications=(Notification("room", "ada", "mention", "m2", 2, _NOON),),
        ui_state={"ada": {"tab": 1}},
        markers={"ada": Marker(5, 3)},
    )
    late = RoomImage(
        room_id="room",
        position=Position("e", 9),
        floor=1,
        held_after=1,
        info=RoomInfo(user_count=2, stream_status="live"),
        config=RoomConfig(emote_only=True),
        moderation={"level": 2},
        messages=(_message(2, "two, edited"), _message(8, "eight"), _message(9, "nine")),
        seqs=(2, 8, 9),
        ordinal=6,
        gaps=(Gap(5, 7),),
        members=(User("ada", "Ada", ("mod",)), User("cy")),
        members_complete=True,
        presence={"ada": "busy", "cy": "online"},
        notifications=(Notification("room", "cy", "reply", "m9", 9, _NOON),),
        ui_state={"cy": 2},
        markers={"ada": Marker(2, 2), "cy": Marker(9, 6)},
    )
    return empty, early, late, structs.replace(empty, position=Position("e", 9), gaps=(Gap(0, 9),))


class StrategyContract:
    """Derive, override `strategy`, and let pytest find the class. ``parts`` are those that the strategy is for."""

    parts: tuple[str, ...] = tuple(PARTS)

    def strategy(self) -> ConflictStrategy:
        raise NotImplementedError

    def conflicts(self) -> Iterator[Conflict]:
        """Every pair of the images, in both roles, with and without an ancestor."""
        made = images()
        for client in made:
            for server in made:
                for ancestor in (None, *made):
                    conflict = detect(client, server, ancestor)
                    if conflict is not None:
                        yield conflict

    def test_it_returns_the_fields_of_the_part_and_no_others(self) -> None:
        for conflict in self.conflicts():
            for part in self.parts:
                assert set(self.strategy().settle(part, conflict)) == set(PARTS[part]), part

    def test_it_returns_what_the_fields_may_have(self) -> None:
        for conflict in self.conflicts():
            for part in self.parts:
                for name, value in self.strategy().settle(part, conflict).items():
                    again: Any = msgspec.convert(msgspec.to_builtins(value), _TYPES[name])
                    assert again == value, name

    def test_the_same_question_has_the_same_answer(self) -> None:
        strategy = self.strategy()
        for conflict in self.conflicts():
            for part in self.parts:
                first = strategy.settle(part, conflict)
                assert strategy.settle(part, conflict) == first == self.strategy().settle(part, conflict), part

    def test_it_leaves_the_images_as_they_are(self) -> None:
        for conflict in self.conflicts():
            before = copy.deepcopy(conflict)
            for part in self.parts:
                self.strategy().settle(part, conflict)
                assert conflict == before, part

    def test_what_comes_out_is_sound_and_recorded(self) -> None:
        policy = ConflictPolicy(dict.fromkeys(self.parts, self.strategy()))
        for conflict in self.conflicts():
            for kind in ConflictKind:
                settled = policy.settle(structs.replace(conflict, kind=kind), 0.0)
                decided = [made.field for made in settled.decisions]
                assert len(decided) == len(set(decided))
                for name in _TYPES.keys() & {name for part in self.parts for name in PARTS[part]}:
                    ours, theirs = getattr(conflict.client, name), getattr(conflict.server, name)
                    assert ours == theirs or name in decided, name

    def test_nobody_is_asked_unless_it_is_a_choice(self) -> None:
        policy = ConflictPolicy(dict.fromkeys(self.parts, self.strategy()))
        pending = [each for conflict in self.conflicts() for each in policy.settle(conflict, 0.0).pending]
        assert bool(pending) == isinstance(self.strategy(), UserChoice)
