"""The simulator itself: it replays, it shrinks, and it finds what is broken on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec import structs

from roomstate import RoomStateManager
from roomstate.errors import InvalidValue
from roomstate.testing.happenings import HAPPENINGS
from roomstate.testing.schedule import WEIGHTS, Event, Options, draw, draw_options
from roomstate.testing.simulator import Failed, Simulator, campaign

ROOT = Path(__file__).resolve().parents[2]


class Forgetful(RoomStateManager):
    """A replica that takes in no more than 20 envelopes: what a mistake in a host's wiring may amount to."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.taken = 0

    def receive(self, *args: Any, **kwargs: Any) -> Any:
        self.taken += 1
        return super().receive(*args, **kwargs) if self.taken <= 20 else ()


def test_every_kind_of_event_is_drawn_and_happens() -> None:
    assert WEIGHTS.keys() == HAPPENINGS.keys()
    drawn = {event.kind for event in draw(1, 5000, Options())}
    assert drawn == WEIGHTS.keys()


def test_a_calm_world_has_no_trouble() -> None:
    kinds = {event.kind for event in draw(1, 5000, Options(calm=True))}
    assert not kinds & {"cut", "hang_up", "weather", "slow", "crash", "reboot", "clock", "disk"}
    result = Simulator(3, events=300, options=Options(calm=True)).run()
    assert result.delivered > 300
    assert result.acknowledged > 10


def test_worlds_differ() -> None:
    options = [draw_options(seed) for seed in range(50)]
    assert {one.durability for one in options} == {"none", "logged"}
    assert {one.answers for one in options} == {"reply", "stream"}
    assert len({(one.leaky, one.quiet, one.failover, one.keeps) for one in options}) > 8


def test_a_run_replays() -> None:
    first = Simulator(7, events=500)
    again = Simulator.from_json(first.to_json())
    assert again.schedule == first.schedule
    assert first.run() == again.run() == Simulator(7, events=500).run()
    assert first.run().digest != Simulator(8, events=500).run().digest


def test_the_hash_seed_does_not_show() -> None:
    code = "from roomstate.testing.simulator import campaign; print([one.digest for one in campaign(range(4))])"
    assert len({run(code, seed) for seed in ("1", "2")}) == 1


def run(code: str, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_failure_names_its_seed_and_shrinks_to_a_few_events() -> None:
    with pytest.raises(Failed, match="seed 5, after") as caught:
        campaign([5], events=400, options=Options(replicas=1, rooms=1, calm=True), replica=Forgetful)
    small = caught.value.simulator
    assert len(small.schedule) < 60
    assert small.to_json() in str(caught.value)
    again = Simulator.from_json(small.to_json(), replica=Forgetful)
    assert again.fault() == caught.value.fault
    assert Simulator.from_json(small.to_json()).fault() is None


def test_a_failure_may_be_left_as_it_is() -> None:
    with pytest.raises(Failed) as caught:
        campaign([5], events=400, shrink=False, options=Options(replicas=1, rooms=1, calm=True), replica=Forgetful)
    assert len(caught.value.simulator.schedule) == 400


def test_what_does_not_fail_does_not_shrink() -> None:
    simulator = Simulator(1, events=50)
    assert simulator.shrink() is simulator


def test_a_world_without_events_is_refused() -> None:
    with pytest.raises(InvalidValue, match="events"):
        Simulator(events=0)


@pytest.mark.parametrize("name", ["replicas", "rooms", "queue", "active_messages", "background_messages"])
def test_a_world_has_at_least_one_of_each(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"options.{name}: must be at least 1, got 0"):
        structs.replace(Options(), **{name: 0})
    recipe = '{"seed":1,"options":{"' + name + '":-1},"events":[]}'
    with pytest.raises(ValueError, match=f"options.{name}: must be at least 1, got -1"):
        Simulator.from_json(recipe)


def test_an_event_that_an_end_refuses_is_counted() -> None:
    result = Simulator(options=Options(), schedule=[Event("leave", node=1)]).run()
    assert result.refused == 1


def test_choices_are_opened_and_closed_again() -> None:
    options = Options(choices=True, replicas=2, rooms=1)
    assert sum(Simulator(seed, events=600, options=options).run().conflicts for seed in range(3)) > 5


def test_a_choice_that_stays_open_is_found() -> None:
    options = Options(choices=True, replicas=1, rooms=1)
    with mock.patch("roomstate.holding.settling.Settling.expire"):
        faults = {Simulator(seed, events=600, options=options).fault() for seed in range(6)}
    assert "conflict" in faults
