"""Authors turn to rooms, post, move on and fall silent; rooms follow them up and down the tiers, by the log's time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.logline import LogLine
from roomstate.cli.play import LogClock, Player, line_of, manager_of, message_of
from roomstate.cli.watch import Watch
from roomstate.model import Tier
from roomstate.residency.ttl import Frequency
from roomstate.store import MemoryStore


class Stage:
    """A player, and what it is to play."""

    def __init__(self, cached_rooms: int = 100) -> None:
        self.clock, self.watch, self.store = LogClock(), Watch(), MemoryStore()
        self.player = Player(manager_of(self.clock, cached_rooms, 7), self.store, self.clock, self.watch)
        self.host = self.player.host
        self.said = 0

    def say(self, ts: float, room: str, user: str = "ada") -> None:
        self.said += 1
        self.player.play(LogLine(ts, room, user, "hi", str(self.said)))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_who_posts_looks_at_the_room_and_has_read_it(stage: Stage) -> None:
    stage.say(0.0, "rust")
    stage.say(1.0, "rust", "bob")
    view = stage.host.view("rust")
    assert (view.tier, view.durable, [message.user for message in view.messages]) == (Tier.ACTIVE, 2, ["ada", "bob"])
    assert stage.host.unread("ada", "rust").messages.value == 1
    assert stage.host.unread("bob", "rust").messages.value == 0
    assert stage.player.viewers == 2


def test_who_moves_on_follows_the_room_that_they_left(stage: Stage) -> None:
    stage.say(0.0, "rust")
    stage.say(1.0, "go")
    assert (stage.host.tier("rust"), stage.host.tier("go")) == (Tier.BACKGROUND, Tier.ACTIVE)


def test_a_room_that_was_forgotten_long_ago_is_not_followed_by_moving_on(stage: Stage) -> None:
    stage.say(0.0, "rust")
    stage.say(10_000.0, "go")
    assert stage.host.tier("rust") is Tier.UNLOADED


@pytest.mark.parametrize(
    ("after", "tier"),
    [(299, Tier.ACTIVE), (300, Tier.BACKGROUND), (1799, Tier.BACKGROUND), (1800, Tier.CACHED), (3601, Tier.UNLOADED)],
)
def test_a_silent_room_goes_down_at_the_logs_own_time(stage: Stage, after: float, tier: Tier) -> None:
    stage.say(1000.0, "rust")
    stage.say(1000.0 + after, "go", "bob")
    assert stage.host.tier("rust") is tier


def test_time_in_each_tier_is_the_logs_not_the_next_messages(stage: Stage) -> None:
    stage.say(1000.0, "rust")
    stage.say(9000.0, "go", "bob")
    room_s = stage.watch.room_seconds(9000.0)
    assert (room_s[Tier.ACTIVE], room_s[Tier.BACKGROUND], room_s[Tier.CACHED]) == (300.0, 1500.0, 1800.0)
    assert sum(room_s.values()) == 8000.0


def test_who_was_silent_for_long_turns_to_the_room_anew(stage: Stage) -> None:
    for ts in (0.0, 299.0, 598.0, 1000.0):
        stage.say(ts, "rust")
    assert stage.watch.visits[Frequency.LOW].visits == 2
    assert stage.host.tier("rust") is Tier.ACTIVE


def test_a_room_comes_back_with_all_that_it_had() -> None:
    stage = Stage(cached_rooms=1)
    for number, room in enumerate(("rust", "go", "zig", "rust")):
        stage.say(number * 1900.0, room)
    assert [message.id for message in stage.host.view("rust").messages] == ["1", "4"]
    assert {(old.name, new.name) for old, new in stage.watch.transitions} >= {
        ("UNLOADED", "ACTIVE"), ("ACTIVE", "BACKGROUND"), ("BACKGROUND", "CACHED"), ("CACHED", "UNLOADED")
    }  # fmt: skip


def test_a_log_that_steps_back_in_time_is_played_all_the_same(stage: Stage) -> None:
    stage.say(5000.0, "rust")
    stage.say(10.0, "rust")
    assert stage.clock.now == 5000.0
    assert len(stage.host.view("rust").messages) == 2


def test_nobody_is_refused_for_their_pace(stage: Stage) -> None:
    for number in range(1500):
        stage.say(0.0, f"room-{number}")
    assert len(stage.host.known()) == 1500


def test_two_runs_have_the_same_epochs() -> None:
    positions = []
    for _ in range(2):
        stage = Stage()
        stage.say(0.0, "rust")
        positions.append(stage.host.view("rust").position)
    assert positions[0] == positions[1]


JSON = st.recursive(st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3), st.lists, max_leaves=3)
EXTRA = st.dictionaries(st.sampled_from(["topic", "kind"]), JSON)


@given(st.integers(0, 253_402_300_798_999), EXTRA, st.none() | st.lists(st.text(max_size=3)))
def test_a_line_survives_being_a_message(ms: int, extra: dict[str, object], badges: list[str] | None) -> None:
    if badges is not None:
        extra["badges"] = badges
    line = LogLine(ms / 1000, "rust", "ada", "hi", "1", extra)
    message = message_of(line)
    back = line_of("rust", message)
    assert round(back.ts * 1000) == ms
    assert (back.user, back.text, back.id, back.extra) == (line.user, line.text, line.id, line.extra)
    assert list(message.badges) == (badges or [])
