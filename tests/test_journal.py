"""The same journal gives the same state and outputs, whatever the hash seed."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roomstate import Limits, MessageRemoved, RoomCache, RoomConfig, RoomStateError, RoomStateManager, Tier, User
from roomstate.residency.prediction import RecencyPredictor
from roomstate.residency.warming import Warmer
from roomstate.testing.journal import VERBS, Recorder, replay
from roomstate.updates import PresenceChanged, ReactionAdded, RoomConfigChanged, TypingChanged, UserJoined
from tests.holding.world import Host, NaiveStore, added, describe

ROOT = Path(__file__).resolve().parent.parent


def manager(durability: Any) -> RoomStateManager:
    epochs = iter(range(10_000))
    return RoomStateManager(
        durability=durability,
        limits=Limits(active_messages=10, background_messages=3),
        cache=RoomCache(max_rooms=3),
        new_epoch=lambda: f"epoch {next(epochs)}",
        clock=lambda: pytest.fail("the manager's own clock was read"),
        max_bytes=40_000,
        moves_per_s=3,
        burst=30,
        warmer=Warmer(RecencyPredictor(), least_chance=0.0),
    )


def play(durability: str, calls: int = 400) -> tuple[Recorder, list[Any]]:
    """A seeded afternoon: every verb, and answers that are late, failed and repeated."""
    dice = random.Random(7)
    now = [1000.0]
    recorder = Recorder(manager(durability), clock=lambda: now[0])
    host = Host(recorder, NaiveStore())  # type: ignore[arg-type]
    outputs: list[Any] = []

    def call(verb: str, *args: Any, **kwargs: Any) -> None:
        try:
            result = getattr(recorder, verb)(*args, **kwargs)
        except RoomStateError as error:
            outputs.append(error)
            return
        outputs.append(result)
        host.take(result[1] if verb == "demote" else result)

    for number in range(calls):
        now[0] += dice.random() * 20
        room, viewer, user = f"room {dice.randrange(5)}", f"v{dice.randrange(4)}", f"u{dice.randrange(4)}"
        posted = added(f"m{number}", user, dice.choice(("hi", "hi @u1 @u2 @v3")))
        verbs: list[tuple[Any, ...]] = [
            ("enter", viewer, room),
            ("follow", viewer, room),
            ("leave", viewer, room),
            ("disconnect", viewer),
            ("warm", viewer),
            ("promote", room, dice.choice((Tier.ACTIVE, Tier.BACKGROUND))),
            ("demote", room),
            ("mark_read", viewer, room, dice.choice((None, f"m{number - 1}"))),
            ("set_ui_state", viewer, room, {"at": number}),
            ("tick",),
            *[("publish", room, posted)] * 6,
            ("publish", room, MessageRemoved(f"m{number - 2}")),
            ("publish", room, ReactionAdded(f"m{number - 1}", user, "+1")),
            ("publish", room, RoomConfigChanged(RoomConfig(slow_mode_duration=number))),
            ("publish", room, TypingChanged(user)),
            ("publish", room, PresenceChanged(user, "away")),
            ("publish", room, UserJoined(User(user))),
            ("receive", f"foreign {room}", posted),
            ("disconnected", f"foreign {room}"),
            ("connected", f"foreign {room}"),
            ("send", room, "refused: this is an authority"),
            ("discard", room, "nothing"),
            ("resolve", 1, "server"),
            ("complete", 0),
        ]
        call(*dice.choice(verbs))
        if host.todo and dice.random() < 0.7:
            chosen = dice.choice(sorted(host.todo))
            host.refuse(chosen) if dice.random() < 0.2 else host.carry_out(chosen)
        if host.answers and dice.random() < 0.7:
            host.answer(dice.randrange(len(host.answers)), repeat=dice.random() < 0.1)
    return recorder, outputs


def state(manager: RoomStateManager) -> str:
    """All that the manager holds and tells, as one digest."""
    told = [describe(manager.view(room)) for room in manager.known()]
    live = [describe(manager.image(room)) for room in manager.known() if manager.tier(room) >= Tier.BACKGROUND]
    whole = repr((told, live, describe(manager), describe(manager.stats())))
    return hashlib.sha256(whole.encode()).hexdigest()


@pytest.mark.parametrize("durability", ["none", "relaxed", "logged"])
def test_a_journal_replays_to_the_same_state_and_outputs(durability: str) -> None:
    recorder, outputs = play(durability)
    assert {call.verb for call in recorder.journal} == VERBS
    again = manager(durability)
    results = replay(recorder.journal, again)
    assert state(again) == state(recorder.manager)
    replayed = [result for call, result in zip(recorder.journal, results, strict=True) if call.verb not in {"fail"}]
    mine = iter([repr(result) for result in replayed])
    assert all(repr(output) in mine for output in outputs)  # in order: answers of the host lie between them


@pytest.mark.parametrize("durability", ["none", "logged"])
def test_the_hash_seed_does_not_show(durability: str) -> None:
    digests = {run(durability, seed) for seed in ("1", "2")}
    assert len(digests) == 1


def run(durability: str, seed: str) -> str:
    code = f"from tests.test_journal import play, state; r, _ = play({durability!r}); print(state(r.manager))"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_recorder_fills_in_the_time_and_passes_readings_through() -> None:
    recorder = Recorder(RoomStateManager(new_epoch=lambda: "e"), clock=lambda: 7.0)
    recorder.enter("ada", "rust")
    recorder.tick(now=9.0)
    assert [(call.verb, call.now) for call in recorder.journal] == [("enter", 7.0), ("tick", 9.0)]
    assert recorder.tier("rust") is Tier.ACTIVE
    assert len(recorder.journal) == 2


def test_a_call_that_was_refused_is_refused_again() -> None:
    recorder = Recorder(RoomStateManager(new_epoch=lambda: "e"), clock=lambda: 7.0)
    with pytest.raises(RoomStateError):
        recorder.leave("nobody", "rust")
    (error,) = replay(recorder.journal, RoomStateManager(new_epoch=lambda: "e"))
    assert isinstance(error, RoomStateError)
