"""What must hold of a whole house after every call: asserted in tests."""

from __future__ import annotations

from roomstate.holding.house import House
from roomstate.holding.record import Holding
from roomstate.model import Tier
from roomstate.room.states import LiveRoom

__all__ = ["check"]


def check(house: House) -> None:
    """Assert every invariant; for tests. O(everything)."""
    house.interests.check()
    house.cache.check()
    house.due.check()
    house.by_cold.check()
    assert house.bytes == sum(holding.bytes for holding in house.holdings.values())
    assert house.leaving_bytes == sum(holding.leaving_bytes for holding in house.holdings.values())
    assert house.undurable_bytes == sum(holding.undurable_bytes for holding in house.holdings.values())
    assert house.resting_bytes == sum(reads.bytes for reads in house.resting.values())
    assert len(house.resting) <= house.bounds.max_read_states
    assert not house.resting.keys() & house.holdings.keys()
    assert house.conflicts == {key: held.room_id for held in house.holdings.values() for key in held.conflicts}
    warmed = {key: asked.room_id for key, asked in house.requests.items() if asked.kind == "warm"}
    assert all(key in warmed or asked.room_id in house.holdings for key, asked in house.requests.items())
    assert not house.holdings.keys() & warmed.values()
    assert warmed == (house.foresight.requests() if house.foresight is not None else {})
    for room_id, holding in house.holdings.items():
        assert holding.room_id == room_id
        _check_holding(house, holding)


def _check_holding(house: House, holding: Holding) -> None:
    holding.sync_reads().check()
    assert {*holding.asked} - {0} == {key for key, asked in house.requests.items() if asked.room_id == holding.room_id}
    seqs = [entry.seq for entry in holding.undurable]
    assert seqs == list(range(holding.seq - len(seqs) + 1, holding.seq + 1))
    assert holding.appending <= len(holding.undurable)
    assert len(holding.waiting) <= house.bounds.max_waiting
    assert holding.saving is not None or not (holding.save_id or holding.saving_bytes)
    parts = [pending.part for pending in holding.conflicts.values()]
    assert len(set(parts)) == len(parts)
    if holding.replica is not None:
        holding.replica.check()
    if holding.echoes is not None:
        holding.echoes.check()
    assert (holding.parking is not None) == (("parked", holding.room_id) in house.due)
    if holding.parking is not None:
        holding.parking.check()
    if holding.room is None:
        assert not holding.plain
    else:
        _check_live(house, holding, holding.room)


def _check_live(house: House, holding: Holding, room: LiveRoom) -> None:
    room.check()
    assert holding.room_id not in house.cache
    assert holding.head is None
    assert room.tier is holding.tier
    wanted = max(holding.own, house.interests.wanted(holding.room_id))
    assert holding.tier >= wanted
    assert holding.tier == max(wanted, Tier.BACKGROUND) or not holding.idle
    assert wanted >= Tier.BACKGROUND or holding.saving is not None or not holding.idle
    assert holding.load_id or holding.kept is None or ("load", holding.room_id) in house.due
    assert not holding.waiting or holding.head_id or holding.kept is not None or ("head", room.room_id) in house.due
    assert len(room.timeline) <= house.limits.messages(holding.tier)
    if holding.audience_known and holding.audience is not None:
        held = house.interests.viewers_of(holding.room_id, Tier.ACTIVE)
        assert holding.audience.recipients == held
        assert holding.audience.epoch == room.epoch
