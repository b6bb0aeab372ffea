from __future__ import annotations

import logging
from typing import Any, get_args

import pytest

from roomstate import RoomStateManager
from roomstate.effects import (
    ConflictOpened,
    ConflictResolved,
    Decision,
    EchoFailed,
    Event,
    Evicted,
    GapClosed,
    GapOpened,
    LoadHead,
    Misfit,
    Notified,
    Resynced,
    SaveFailed,
    StatusChanged,
    TierChanged,
)
from roomstate.export.logs import _EVENTS, EventLog
from roomstate.model import Notification, Status, Tier
from roomstate.position import Gap, Position
from tests.holding.world import START, World, added

GAP = Gap(4, 9)
DEBUG, INFO, WARNING = logging.DEBUG, logging.INFO, logging.WARNING
CASES: list[tuple[Event, int, str]] = [
    (TierChanged("r", Tier.CACHED, Tier.ACTIVE), DEBUG, "CACHED to ACTIVE"),
    (StatusChanged("r", Status.READY, Status.STALE), DEBUG, "STALE"),
    (StatusChanged("r", Status.LOADING, Status.ERROR, "disk full"), WARNING, "ERROR disk full"),
    (Notified(Notification("r", "ada", "mention", "m1", 1, START)), DEBUG, "mention"),
    (Evicted("r", "rooms", 900), DEBUG, "rooms, 900 bytes"),
    (Misfit("r", added("m1", content="secret"), "no"), DEBUG, "MessageAdded"),
    (GapOpened("r", GAP), INFO, "(4, 9]"),
    (GapClosed("r", GAP), INFO, "(4, 9] filled"),
    (GapClosed("r", GAP, filled=False), WARNING, "(4, 9] lost"),
    (Resynced("r", Position("e7", 12), "other epoch"), INFO, "other epoch"),
    (ConflictOpened("r", 3, ("config", "order"), 0.0), INFO, "3: config, order"),
    (ConflictResolved("r", 3, (Decision("config", "ServerWins", "server"),)), INFO, "3: config server"),
    (SaveFailed("r", "disk full", 5.0), WARNING, "disk full"),
    (EchoFailed("r", "c1", "refused", retryable=False), WARNING, "refused"),
]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(DEBUG, "roomstate")
    return caplog


@pytest.mark.parametrize(("event", "level", "detail"), CASES)
def test_each_event_is_one_record(records: pytest.LogCaptureFixture, event: Event, level: int, detail: str) -> None:
    EventLog()(event)
    (record,) = records.records
    found: Any = record
    assert (record.levelno, found.event, found.room, found.detail) == (level, type(event).__name__, "r", detail)
    assert record.getMessage().endswith(f": {detail}")


def test_every_kind_of_event_is_known() -> None:
    assert set(get_args(Event)) == set(_EVENTS) == {type(event) for event, _, _ in CASES}


def test_what_users_write_and_who_they_are_is_not_written(records: pytest.LogCaptureFixture) -> None:
    for event, _, _ in CASES:
        EventLog()(event)
    assert "secret" not in records.text
    assert "ada" not in records.text


def test_a_record_names_the_position(records: pytest.LogCaptureFixture) -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1", "m2")
    log = EventLog(world.rooms.progress)
    log(GapOpened("rust", GAP))
    log(GapOpened("elsewhere", GAP))
    log(Resynced("rust", Position("e7", 12), "other epoch"))
    found: list[Any] = records.records
    assert [record.position for record in found] == ["e1:2", "", "e7:12"]
    assert found[0].getMessage() == "GapOpened 'rust' at e1:2: (4, 9]"
    assert found[1].getMessage() == "GapOpened 'elsewhere': (4, 9]"


def test_names_from_outside_begin_no_line_of_their_own(records: pytest.LogCaptureFixture) -> None:
    EventLog()(SaveFailed("a\nroot: all is well", "disk\r\nfull", 5.0))
    assert len(records.records[0].getMessage().splitlines()) == 1


def test_effects_are_not_written(records: pytest.LogCaptureFixture) -> None:
    EventLog()(LoadHead("r", 1))
    assert records.records == []


def test_a_level_that_is_off_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(WARNING, "elsewhere")
    log = EventLog(logger=logging.getLogger("elsewhere"))
    for event, _, _ in CASES:
        log(event)
    assert {record.levelno for record in caplog.records} == {WARNING}
    assert {record.name for record in caplog.records} == {"elsewhere"}


def test_it_takes_whatever_a_manager_gives_out(records: pytest.LogCaptureFixture) -> None:
    rooms = RoomStateManager()
    log = EventLog(rooms.progress)
    for item in (*rooms.enter("v", "rust"), *rooms.publish("rust", added("m1"))):
        log(item)
    assert [record.getMessage().split(" at ")[0] for record in records.records] == ["TierChanged 'rust'"]
