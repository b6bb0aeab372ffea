"""The synchronous host: every verb done to the end, failures handed to the manager, nothing lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from roomstate.effects import Appended, Deliver, FetchMessages, Head, LogEntry, Recovered, SaveFailed, TierChanged
from roomstate.errors import InvalidValue, StoreFull, StoreUnavailable
from roomstate.holding.house import Output
from roomstate.host import SyncHost
from roomstate.manager import RoomStateManager
from roomstate.model import Count, Message, Status, Tier
from roomstate.residency.prediction import RecencyPredictor
from roomstate.residency.warming import Warmer
from roomstate.snapshot import SnapshotCodec
from roomstate.store import MemoryStore, SQLiteStore
from roomstate.sync.envelope import of_image
from roomstate.updates import MessageAdded


def said(number: int, user: str = "bob") -> MessageAdded:
    return MessageAdded(Message(f"m{number}", user, f"text {number}"))


class Clock:
    """A clock that is set by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Broken(MemoryStore):
    """A store that refuses as often as it is told to."""

    refusals = 0

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreFull("store", "there is no space")

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        self._refuse()
        return super().append(room_id, epoch, entries)

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        self._refuse()
        return super().save_snapshot(room_id, tier, head, data)

    def close(self) -> None:
        self.closed += 1

    closed = 0


def contents(host: SyncHost, room_id: str = "rust") -> list[str]:
    return [message.id for message in host.view(room_id).messages]


def test_a_room_outlives_its_process(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    with SyncHost(store=SQLiteStore(path)) as host:
        host.enter("ada", "rust")
        for number in range(1, 61):
            host.publish("rust", said(number))
        first = host.view("rust")
        assert (first.durable, first.status) == (60, Status.READY)
    with SyncHost(store=SQLiteStore(path)) as host:
        host.enter("ada", "rust")
        again = host.view("rust")
        assert again.status is Status.READY
        assert again.messages == first.messages
        assert again.position == first.position
        host.publish("rust", said(61))
        assert host.view("rust").durable == 61


def test_a_room_goes_down_and_comes_back(tmp_path: Path) -> None:
    with SyncHost(store=SQLiteStore(tmp_path / "rooms.db")) as host:
        host.enter("ada", "rust")
        for number in range(1, 101):
            host.publish("rust", said(number))
        before = host.view("rust")
        host.promote("rust", Tier.BACKGROUND)
        host.leave("ada", "rust")
        assert host.tier("rust") is Tier.BACKGROUND
        reached, _ = host.demote("rust", Tier.CACHED)
        assert reached is Tier.CACHED
        host.publish("rust", said(101))  # at rest: only its head is loaded
        assert host.demote("rust")[0] is Tier.UNLOADED
        host.follow("ada", "rust")
        host.enter("ada", "rust")
        assert host.view("rust").messages[:-1] == before.messages
        assert host.gaps("rust") == ()
        host.disconnect("ada")


def test_each_delivery_goes_to_its_port_in_order() -> None:
    told: list[Deliver] = []
    host = SyncHost(store=MemoryStore(), deliver=told.append)
    host.enter("ada", "rust", user="ada")
    host.enter("eve", "rust")
    for number in range(1, 4):
        host.publish("rust", said(number))
    assert [(each.seq, each.recipients) for each in told] == [(seq, ("ada", "eve")) for seq in (1, 2, 3)]


def test_what_has_no_port_comes_back() -> None:
    host = SyncHost()
    assert TierChanged("rust", Tier.UNLOADED, Tier.ACTIVE) in host.enter("ada", "rust")
    (delivered,) = [each for each in host.publish("rust", said(1)) if isinstance(each, Deliver)]
    assert delivered.seq == 1


def test_what_is_missing_is_fetched() -> None:
    asked: list[FetchMessages] = []

    def fetch(effect: FetchMessages) -> Recovered:
        asked.append(effect)
        return Recovered((said(2).message,))

    host = SyncHost(fetch=fetch)
    host.enter("ada", "rust")
    host.receive("rust", said(1), cursor="c1")
    host.disconnected("rust")
    host.connected("rust")
    assert asked[0].cursor == "c1"
    assert set(contents(host)) == {"m1", "m2"}


def test_without_a_port_the_caller_fetches() -> None:
    host = SyncHost()
    host.enter("ada", "rust")
    host.receive("rust", said(1), cursor="c1")
    (fetch,) = [each for each in host.disconnected("rust") if isinstance(each, FetchMessages)]
    host.fail(fetch.request_id, "not now")
    (fetch,) = [each for each in host.connected("rust") if isinstance(each, FetchMessages)]
    host.complete(fetch.request_id, Recovered((said(2).message,)))
    assert set(contents(host)) == {"m1", "m2"}


def test_a_refused_append_is_told_kept_and_tried_again() -> None:
    store, clock = Broken(), Clock()
    told: list[Deliver] = []
    host = SyncHost(store=store, clock=clock, deliver=told.append)
    host.enter("ada", "rust")
    store.refusals = 2
    (failed,) = [each for each in host.publish("rust", said(1)) if isinstance(each, SaveFailed)]
    assert "no space" in failed.reason
    assert (contents(host), host.view("rust").durable, told) == (["m1"], 0, [])
    for _ in range(2):
        clock.now = host.next_deadline() or 0
        host.tick()
    assert (host.view("rust").durable, len(told)) == (1, 1)
    assert store.read("rust")[0].seq == 1


def test_closing_makes_durable_what_is_not() -> None:
    store = Broken()
    host = SyncHost(store=store, clock=Clock())
    host.enter("ada", "rust")
    store.refusals = 3
    host.publish("rust", said(1))
    host.close()
    host.close()
    assert store.closed == 1
    assert len(store.read("rust")) == 1


def test_closing_says_what_cannot_be_made_durable_and_may_be_tried_again() -> None:
    store = Broken()
    host = SyncHost(store=store, clock=Clock())
    host.enter("ada", "rust")
    store.refusals = 1000
    host.publish("rust", said(1))
    with pytest.raises(StoreUnavailable, match="rooms could not be saved, of which"):
        host.close()
    assert store.closed == 0
    store.refusals = 0
    host.close()
    assert (store.closed, len(store.read("rust"))) == (1, 1)
    assert len(store.read("rust")) == 1


def test_a_host_without_a_store_closes_too() -> None:
    with SyncHost() as host:
        host.enter("ada", "rust")
        assert host.publish("rust", said(1)) != ()


def test_a_verb_within_a_verb_waits_for_it() -> None:
    order: list[int] = []

    def deliver(effect: Deliver) -> None:
        order.append(effect.seq)
        if effect.seq < 5:
            assert host.publish("rust", said(effect.seq + 1)) == ()

    host = SyncHost(store=MemoryStore(), deliver=deliver)
    host.enter("ada", "rust")
    host.publish("rust", said(1))
    assert order == [1, 2, 3, 4, 5]
    assert host.view("rust").durable == 5


def test_what_a_port_raises_loses_nothing() -> None:
    told: list[int] = []

    def deliver(effect: Deliver) -> None:
        if effect.seq == 1 and not told:
            told.append(0)
            raise ZeroDivisionError
        told.append(effect.seq)

    host = SyncHost(store=MemoryStore(), deliver=deliver)
    host.enter("ada", "rust")
    with pytest.raises(ZeroDivisionError):
        host.publish("rust", said(1))
    host.publish("rust", said(2))
    assert told == [0, 2]
    assert host.view("rust").durable == 2


@pytest.mark.parametrize(
    "wrong", [{"seqs": (3, 2, 1)}, {"seqs": (1, 2, 30)}, {"seqs": ()}, {"held_after": 9}, {"room_id": "go"}]
)
def test_a_snapshot_whose_positions_go_backwards_costs_its_room_only(wrong: dict[str, Any]) -> None:
    """And so does one that contradicts itself in other ways, or is of another room; the log is as it was."""
    clock, store = Clock(), MemoryStore()
    with SyncHost(store=store, clock=clock) as host:
        host.enter("ada", "rust")
        for number in (1, 2, 3):
            host.publish("rust", said(number))
        image = structs.replace(host.manager.image("rust"), **wrong)
    store = MemoryStore()
    store.append("rust", image.position.epoch, [LogEntry(seq, seq, said(seq)) for seq in (1, 2, 3)])
    store.save_snapshot("rust", Tier.ACTIVE, Head(image.position, 3), SnapshotCodec().encode(image))
    host = SyncHost(store=store, clock=clock)
    host.enter("ada", "rust")
    host.enter("ada", "c")
    assert (host.view("rust").status, host.view("c").status) == (Status.ERROR, Status.READY)
    assert len(store.read("rust")) == 3
    store.delete("rust")
    clock.now += 100
    host.tick()
    assert host.view("rust").status is Status.READY


def test_a_rejected_verb_changes_nothing() -> None:
    host = SyncHost(store=MemoryStore())
    host.enter("ada", "rust")
    before = (host.view("rust").revision, host.known(), host.stats())
    calls: list[Callable[[], object]] = [
        lambda: host.enter("", "rust"),
        lambda: host.promote("rust", Tier.CACHED),
        lambda: host.complete(999),
    ]
    for call in calls:
        with pytest.raises(InvalidValue):
            call()
    assert (host.view("rust").revision, host.known(), host.stats()) == before


def test_a_replica_sends_receives_and_forgets_through_its_host() -> None:
    authority = RoomStateManager()
    authority.enter("x", "rust")
    with SyncHost(role="replica") as host:
        host.enter("ada", "rust")
        host.receive(of_image(authority.image("rust"), 0.0))
        host.send("rust", "hello", client_id="c1")
        assert [echo.client_id for echo in host.view("rust").pending] == ["c1"]
        host.discard("rust", "c1")
        assert host.view("rust").pending == ()
        with pytest.raises(InvalidValue, match="beside a room's id"):
            host.receive("rust")  # type: ignore[call-overload]


def test_options_belong_to_a_manager_that_is_made_here() -> None:
    with pytest.raises(InvalidValue, match="max_bytes: belongs to the manager"):
        SyncHost(RoomStateManager(), max_bytes=1)
    manager = RoomStateManager()
    assert SyncHost(manager).manager is manager


def test_reading_passes_through() -> None:
    host = SyncHost(store=MemoryStore())
    host.enter("ada", "rust")
    host.publish("rust", said(1))
    host.mark_read("ada", "rust")
    host.set_ui_state("ada", "rust", {"draft": "hm"})
    host.publish("rust", said(2))
    assert host.unread("ada", "rust").messages.value == 1
    assert host.known() == ("rust",)
    assert host.status("rust") is Status.READY
    assert host.view("rust").ui_state == {"ada": {"draft": "hm"}}
    assert host.stats().viewers == 1


def test_a_message_that_only_the_log_remembers_is_not_told_twice(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    with SyncHost(store=SQLiteStore(path)) as host:
        host.promote("rust", Tier.BACKGROUND)
        for number in range(1, 101):
            host.publish("rust", said(number))
        host.demote("rust")
    told: list[Deliver] = []
    with SyncHost(store=SQLiteStore(path), deliver=told.append) as host:
        host.publish("rust", said(3))  # at rest: nobody but the log knows it
        host.enter("ada", "rust")
        host.publish("rust", said(101))
        assert [each.seq for each in told] == [102]
        assert contents(host).count("m3") <= 1
        assert contents(host)[-2:] == ["m100", "m101"]
        position = host.view("rust").position
        host.disconnect("ada")
    with SyncHost(store=SQLiteStore(path)) as host:
        host.enter("ada", "rust")
        assert host.view("rust").position == position
        assert contents(host)[-2:] == ["m100", "m101"]
        assert len(set(contents(host))) == len(contents(host))
        assert host.gaps("rust") == ()


def test_closing_saves_what_no_log_keeps(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    with SyncHost(store=SQLiteStore(path)) as host:
        for viewer in ("ada", "eve"):
            host.enter(viewer, "rust")
        host.promote("rust")
        host.promote("go", Tier.BACKGROUND)
        for number in range(1, 6):
            host.publish("rust", said(number))
        host.mark_read("ada", "rust", "m3")
        host.set_ui_state("ada", "rust", {"draft": "hm"})
        assert host.unread("ada", "rust").messages == Count(2)
    with SyncHost(store=SQLiteStore(path)) as host:
        host.enter("ada", "rust")
        assert host.unread("ada", "rust").messages == Count(2)
        assert host.view("rust").ui_state == {"ada": {"draft": "hm"}}


def test_closing_gives_up_on_a_room_that_cannot_go_to_rest() -> None:
    class Stuck(RoomStateManager):
        def tick(self, *, now: float | None = None, limit: int = 1000) -> tuple[Output, ...]:
            return ()

    host = SyncHost(Stuck(durability="logged", clock=Clock()), store=MemoryStore())
    host.enter("ada", "rust")
    with pytest.raises(StoreUnavailable, match="1 rooms could not be saved"):
        host.close()


def test_closing_gives_up_where_nothing_will_ever_be_due() -> None:
    class Timeless(RoomStateManager):
        def next_deadline(self) -> float | None:
            return None

    host = SyncHost(Timeless(durability="logged", clock=Clock()), store=MemoryStore())
    host.enter("ada", "rust")
    with pytest.raises(StoreUnavailable, match="1 rooms could not be saved"):
        host.close()


def test_a_warmed_room_is_at_hand(tmp_path: Path) -> None:
    path = tmp_path / "rooms.db"
    with SyncHost(store=SQLiteStore(path)) as host:
        host.enter("ada", "rust")
        host.publish("rust", said(1))
    predictor = RecencyPredictor()
    for at, room in enumerate(("rust", "go")):
        predictor.visited("ada", room, now=float(at))
    with SyncHost(store=SQLiteStore(path), warmer=Warmer(predictor, least_chance=0.0)) as host:
        host.warm("phone", user="ada")
        assert host.tier("rust") is Tier.CACHED
        host.publish("rust", said(2))
        host.enter("phone", "rust", user="ada")
        assert [message.id for message in host.view("rust").messages] == ["m1", "m2"]
        assert host.stats().count("warm", "used") == 1
