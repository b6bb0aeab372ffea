"""The whole manager against naive dicts: every verb, a host that is late, fails and repeats itself, restarts, pressure.

After every step: `check()`, and that nothing which was accepted is lost, told twice, told early, out of order, counted
wrong, held against the interests, or over the budget without a reason.
"""

from __future__ import annotations

import random
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from roomstate import (
    Limits,
    Message,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    Notification,
    RoomCache,
    RoomConfig,
    RoomStateError,
    RoomStateManager,
    Status,
    Tier,
    User,
)
from roomstate.effects import Deliver, LogEntry, Misfit
from roomstate.residency.prediction import RecencyPredictor
from roomstate.residency.warming import Warmer
from roomstate.updates import (
    LOGGED,
    CountsChanged,
    ModerationConfigChanged,
    NotificationAdded,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    ReceiptRead,
    RoomConfigChanged,
    StreamStatusChanged,
    TypingChanged,
    Update,
    UserJoined,
    UserLeft,
    UserUpdated,
)
from tests.holding.world import START, Host, NaiveStore, Shelf, added, describe, update_ids

ROOMS = ("r0", "r1", "r2")
VIEWERS = {"v0": "ada", "v1": "ada", "v2": "bob", "v3": "cy"}
USERS = ("ada", "bob", "cy")
LIMITS = Limits(active_messages=8, background_messages=3, notifications=4, typing=2)

rooms = st.sampled_from(ROOMS)
viewers = st.sampled_from(tuple(VIEWERS))
users = st.sampled_from(USERS)
texts = st.sampled_from(("hi", "hello @ada", "@bob @cy", "é" * 5, "x" * 300))


class ManagerMachine(RuleBasedStateMachine):
    """One manager, one host, one naive store; ``durability`` and ``max_bytes`` are those of the subclass."""

    durability: ClassVar[Literal["none", "relaxed", "logged"]] = "none"
    max_bytes: ClassVar[int] = 1 << 24
    max_rooms: ClassVar[int] = 2

    @initialize()
    def begin(self) -> None:
        self.now = 1_000_000.0
        self.store = NaiveStore()
        self.epochs = 0
        self.names = 0
        self.accepted: dict[str, list[str]] = {}  # room -> ids of accepted messages, in order
        self.removed: dict[str, set[str]] = {}
        self.configs: dict[str, RoomConfig] = {}
        self.truth: dict[str, dict[int, Update]] = {}  # without a log: what this process has numbered
        self.truth_epoch: dict[str, str] = {}
        self.unsure: set[str] = set()  # rooms that a crash caught between a configuration and its snapshot
        self.taken_again: set[str] = set()  # rooms that took a message again which an eviction had made them forget
        self.predictor = RecencyPredictor()  # outlives the process, as a host's own may
        self.start()

    def start(self) -> None:
        run = random.Random(self.epochs)

        def new_epoch() -> str:
            self.epochs += 1
            return f"e{self.epochs}-{run.randrange(1000)}"

        self.manager = RoomStateManager(
            durability=self.durability,
            limits=LIMITS,
            cache=RoomCache(max_rooms=self.max_rooms),
            warmer=Warmer(self.predictor, least_chance=0.0, loads_per_s=1e6),
            clock=lambda: self.now,
            new_epoch=new_epoch,
            max_bytes=self.max_bytes,
            max_waiting=5,
            max_undurable_bytes=3000,
            max_read_states=2,
            moves_per_s=5,
            burst=20,
            idle_active_s=30,
            idle_background_s=90,
        )
        self.host = Host(self.manager, self.store)
        self.taken = 0  # updates that this manager has not refused
        self.counted: dict[tuple[str, ...], int] = {}  # what was counted or timed at the last step
        self.delivered: dict[str, list[tuple[str, int]]] = {}
        self.interests: dict[tuple[str, str], tuple[Tier, float]] = {}

    @property
    def clock(self) -> float:
        """The latest instant that the manager was told."""
        return self.manager._now

    # -- calling -----------------------------------------------------------------------------------------------------

    def call(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Call the manager; where it refuses, all is as before."""
        before = describe(self.manager)
        try:
            result = getattr(self.manager, verb)(*args, **kwargs, now=self.now)
        except RoomStateError as error:
            assert describe(self.manager) == before, f"{verb}{args} was refused, and has changed something"
            return error
        self.taken += verb == "publish"
        self.host.take(result[1] if verb == "demote" else result)
        return result

    # -- interests ---------------------------------------------------------------------------------------------------

    @rule(viewer=viewers, room=rooms, active=st.booleans())
    def look(self, viewer: str, room: str, active: bool) -> None:
        verb, tier = ("enter", Tier.ACTIVE) if active else ("follow", Tier.BACKGROUND)
        if not isinstance(self.call(verb, viewer, room, user=VIEWERS[viewer]), RoomStateError):
            self.interests[viewer, room] = (tier, self.clock)

    @rule(viewer=viewers, room=rooms)
    def leave(self, viewer: str, room: str) -> None:
        refused = isinstance(self.call("leave", viewer, room), RoomStateError)
        assert refused == (self.interests.pop((viewer, room), None) is None) or self.pressed

    @rule(viewer=viewers)
    def disconnect(self, viewer: str) -> None:
        self.call("disconnect", viewer)
        self.interests = {key: held for key, held in self.interests.items() if key[0] != viewer}

    @rule(room=rooms, tier=st.sampled_from(Tier))
    def promote(self, room: str, tier: Tier) -> None:
        self.call("promote", room, tier)

    @rule(room=rooms, tier=st.sampled_from(Tier), keep=st.booleans())
    def demote(self, room: str, tier: Tier, keep: bool) -> None:
        result = self.call("demote", room, tier, keep_notifications=keep)
        if not isinstance(result, RoomStateError):
            assert result[0] is self.manager.tier(room)

    @rule(viewer=viewers, wrong=st.booleans())
    def warm(self, viewer: str, wrong: bool) -> None:
        user = "nobody" if wrong else VIEWERS[viewer]
        refused = isinstance(self.call("warm", viewer, user=user), RoomStateError)
        assert refused == (wrong and bool(self.manager._house.interests.rooms_of(viewer)))

    # -- updates -----------------------------------------------------------------------------------------------------

    def publish(self, room: str, update: Update) -> None:
        head = self.seq(room)
        result = self.call("publish", room, update)
        if isinstance(result, RoomStateError) or any(isinstance(item, Misfit) for item in result):
            return
        if self.durability == "none" and type(update) in LOGGED:
            if self.seq(room) == head and self.manager._holdings[room].epoch == self.truth_epoch.get(room):
                return  # a repetition
            self.number(room, update)
        if isinstance(update, MessageAdded) and update.message.id not in self.accepted.setdefault(room, []):
            self.accepted[room].append(update.message.id)
        if isinstance(update, RoomConfigChanged):
            self.configs[room] = update.config
            self.unsure.discard(room)

    def number(self, room: str, update: Update) -> None:
        holding = self.manager._holdings[room]
        if holding.epoch != self.truth_epoch.get(room):
            self.truth_epoch[room] = holding.epoch
            self.configs.pop(room, None)
            if holding.seq == 1:
                self.truth[room] = {}
        self.truth.setdefault(room, {})[holding.seq] = update

    def seq(self, room: str) -> int:
        holding = self.manager._holdings.get(room)
        return holding.seq if holding is not None else 0

    @rule(room=rooms, user=users, text=texts, reply=st.booleans(), stamped=st.booleans())
    def post(self, room: str, user: str, text: str, reply: bool, stamped: bool) -> None:
        self.names += 1
        extra = {"reply_to": self.accepted[room][-1]} if reply and self.accepted.get(room) else {}
        update = added(f"m{self.names}", user, text, None, **extra)
        if not stamped:
            update = MessageAdded(Message(f"m{self.names}", user, text))
        self.publish(room, update)

    @rule(room=rooms, user=users, count=st.integers(2, 7))
    def post_many(self, room: str, user: str, count: int) -> None:
        for _ in range(count):
            self.names += 1
            self.publish(room, added(f"m{self.names}", user))

    @rule(room=rooms, data=st.data())
    def post_again(self, room: str, data: st.DataObject) -> None:
        known = self.accepted.get(room)
        if known:
            name = data.draw(st.sampled_from(known))
            self.call("publish", room, added(name, content=data.draw(texts)))
            if self.durability == "none":
                self.note_silently(room, name)

    def note_silently(self, room: str, name: str) -> None:
        """Without a log a room that was evicted, or is being loaded, takes a message again."""
        holding = self.manager._holdings.get(room)
        if holding is None or holding.room is None:
            return
        if holding.epoch != self.truth_epoch.get(room) or holding.seq not in self.truth.get(room, {}):
            seq = holding.room.timeline.seq_of(name)
            if seq is not None and seq == holding.seq:
                update = MessageAdded(holding.room.timeline.get(name))  # type: ignore[arg-type]
                self.removed.get(room, set()).discard(name)
                self.taken_again.add(room)
                self.number(room, update)

    @rule(room=rooms, data=st.data())
    def edit(self, room: str, data: st.DataObject) -> None:
        known = self.accepted.get(room)
        name = data.draw(st.sampled_from(known)) if known else "nobody"
        self.publish(room, MessageEdited(name, "edited " + data.draw(texts)))

    @rule(room=rooms, data=st.data())
    def remove(self, room: str, data: st.DataObject) -> None:
        known = self.accepted.get(room)
        if known:
            name = data.draw(st.sampled_from(known))
            held = len(self.all_updates(room))
            self.publish(room, MessageRemoved(name))
            if len(self.all_updates(room)) > held:
                self.removed.setdefault(room, set()).add(name)

    @rule(room=rooms, user=users, kind=st.integers(0, 12), data=st.data())
    def happen(self, room: str, user: str, kind: int, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.accepted.get(room, ()), "later"]))
        updates: list[Update] = [
            ReactionAdded(name, user, "+1"),
            ReactionRemoved(name, user, "+1"),
            UserJoined(User(user)),
            UserLeft(user),
            UserUpdated(User(user, username="U")),
            RoomConfigChanged(RoomConfig(slow_mode_duration=data.draw(st.integers(0, 99)))),
            ModerationConfigChanged({"level": 3}),
            StreamStatusChanged("live"),
            CountsChanged(user_count=5),
            PresenceChanged(user, "online"),
            TypingChanged(user, data.draw(st.sampled_from((0.0, 6.0)))),
            ReceiptRead(user, name),
            NotificationAdded(Notification(room, user, "source", name, 0, START)),
        ]
        self.publish(room, updates[kind])

    @rule(room=rooms, viewer=viewers, data=st.data())
    def read(self, room: str, viewer: str, data: st.DataObject) -> None:
        self.call("mark_read", viewer, room, data.draw(st.sampled_from([None, "later", *self.accepted.get(room, ())])))
        if (viewer, room) in self.interests and self.clock == self.now:
            self.touch(viewer, room)

    def touch(self, viewer: str, room: str) -> None:
        held = self.manager._house.interests.get(viewer, room)
        if held is not None:
            self.interests[viewer, room] = (self.interests[viewer, room][0], held.touched)

    @rule(room=rooms, viewer=viewers, state=st.sampled_from((None, {"draft": "x"}, float("nan"), {1, 2}, "y" * 70_000)))
    def keep_ui(self, room: str, viewer: str, state: Any) -> None:
        self.call("set_ui_state", viewer, room, state)

    @rule(room=rooms)
    def refuse_foreign(self, room: str) -> None:
        if self.durability != "none":
            assert isinstance(self.call("receive", room, added("x1")), RoomStateError)
            for verb in ("connected", "disconnected"):
                assert isinstance(self.call(verb, room), RoomStateError)

    @rule(room=rooms, kind=st.integers(0, 6))
    def misuse(self, room: str, kind: int) -> None:
        wrong: list[tuple[Any, ...]] = [
            ("publish", room, "no update"),
            ("publish", room, MessageAdded(added("").message)),
            ("publish", room, MessageEdited("", "x")),
            ("enter", "v0", room * 600),
            ("complete", 10**9, None),
            ("fail", -1, "never asked"),
            ("tick",),
        ]
        verb, *args = wrong[kind]
        result = self.call(verb, *args, **({"limit": 0} if verb == "tick" else {}))
        assert isinstance(result, RoomStateError)

    # -- the host ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.host.todo)
    @rule(data=st.data(), fate=st.sampled_from(("done", "done", "done", "refused", "lost")))
    def work(self, data: st.DataObject, fate: str) -> None:
        room = data.draw(st.sampled_from(list(self.host.todo)))
        if fate == "refused":
            self.host.refuse(room)
        else:
            self.host.carry_out(room, keep=fate == "done")

    @precondition(lambda self: self.host.answers)
    @rule(data=st.data(), repeat=st.booleans())
    def answer(self, data: st.DataObject, repeat: bool) -> None:
        at = data.draw(st.integers(0, len(self.host.answers) - 1))
        self.host.answer(at, repeat=repeat, now=self.now)

    @rule()
    def catch_up(self) -> None:
        self.host.settle(self.now)

    @rule(seconds=st.sampled_from((0.1, 1.0, 10.0, 35.0, 100.0, -3600.0, 4000.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.tick()

    def tick(self) -> None:
        self.call("tick")
        for key, (_, touched) in list(self.interests.items()):
            if touched + 90 <= self.clock:
                del self.interests[key]
            elif touched + 30 <= self.clock:
                self.interests[key] = (Tier.BACKGROUND, touched)
        due = self.manager.next_deadline()
        assert due is None or due > self.clock - 1  # the cache rounds up to a second

    @precondition(lambda self: self.durability != "none")
    @rule(finish=st.booleans())
    def restart(self, finish: bool) -> None:
        if finish:
            for room in list(self.host.todo):
                self.host.carry_out(room)
        self.start()
        for room in {**self.accepted, **self.configs}:
            self.accepted[room] = update_ids(self.log(room))
            configs = [e.update.config for e in self.log(room) if isinstance(e.update, RoomConfigChanged)]
            self.configs.pop(room, None)
            if configs:
                self.configs[room] = configs[-1]
            if self.is_unsaved(room):
                self.unsure.add(room)
            self.removed[room] = {e.update.message_id for e in self.log(room) if isinstance(e.update, MessageRemoved)}

    def is_unsaved(self, room: str) -> bool:
        """Whether only the log has the configuration, further back than a load reads: snapshots failed for so long."""
        shelf = self.store.rooms.get(room, Shelf())
        saved = max((image.position.seq for image in shelf.images.values()), default=0)
        read = max(shelf.log, default=0) - 2 * LIMITS.active_messages
        return any(
            isinstance(entry.update, RoomConfigChanged) for seq, entry in shelf.log.items() if saved < seq <= read
        )

    # -- what is true ------------------------------------------------------------------------------------------------

    @property
    def pressed(self) -> bool:
        return self.max_bytes < 1 << 24

    def log(self, room: str) -> list[LogEntry]:
        shelf = self.store.rooms.get(room)
        return [entry for _, entry in sorted(shelf.log.items())] if shelf is not None else []

    def all_updates(self, room: str) -> list[Any]:
        """Every logged update there is: in the log, on its way there, or waiting for a number."""
        holding = self.manager._holdings.get(room)
        if self.durability == "none":
            return list(self.truth.get(room, {}).items())
        entries = self.log(room)
        end = entries[-1].seq if entries else 0
        if holding is None:
            return entries
        return [*entries, *(entry for entry in holding.undurable if entry.seq > end), *holding.waiting]

    def numbered(self, room: str) -> dict[int, Update]:
        if self.durability == "none":
            return self.truth.get(room, {})
        return {entry.seq: entry.update for entry in self.all_updates(room) if isinstance(entry, LogEntry)}

    @invariant()
    def all_checks(self) -> None:
        self.manager.check()

    @invariant()
    def nothing_accepted_is_lost(self) -> None:
        if self.durability == "none":
            return
        for room, ids in self.accepted.items():
            there = list(dict.fromkeys(update_ids(self.all_updates(room))))
            assert [name for name in there if name in set(ids)] == ids, (room, ids, there)
            written = update_ids(self.log(room))
            assert len(written) == len(set(written))

    @invariant()
    def every_position_is_accounted_for(self) -> None:
        for holding in self.manager._house.live():
            room_id = holding.room_id
            view = self.manager.view(room_id)
            if view.position is None:
                continue
            numbered = self.numbered(room_id)
            held = dict.fromkeys((one.id for one in view.messages), True)
            dead = self.removed.get(room_id, set())
            shelf = self.store.rooms.get(room_id)
            if self.durability == "logged" and shelf is not None and shelf.log:
                assert view.position.epoch == shelf.epoch  # also after a restart
            for seq in range(view.held_after + 1, view.position.seq + 1):
                if any(seq in gap for gap in view.gaps):
                    continue
                update = numbered.get(seq)
                assert update is not None, (room_id, seq, "is nowhere")
                if isinstance(update, MessageAdded) and update.message.id not in dead:
                    first = next(at for at, one in numbered.items() if update_ids([one]) == [update.message.id])
                    assert update.message.id in held or first < seq, (room_id, seq, update, view)
            if self.durability != "none":
                end = shelf.end if shelf is not None else 0
                for seq in range(max(view.floor, end) + 1, view.held_after + 1):
                    assert seq in numbered, (room_id, seq, "has left memory before it was safe")
                assert view.durable <= end
            places = {update.message.id: at for at, update in numbered.items() if isinstance(update, MessageAdded)}
            order = [places[name] for name in held if name in places]
            assert order == sorted(order) or self.durability == "none"
            assert len(held) == len(view.messages)
            assert not dead & held.keys() or holding.kept is not None

    @invariant()
    def configurations_are_the_last(self) -> None:
        for holding in self.manager._house.live():
            room = holding.room_id
            if room not in self.unsure and holding.kept is None and not holding.waiting and holding.epoch:
                if self.durability == "none" and self.truth_epoch.get(room) != holding.epoch:
                    continue
                assert self.manager.view(room).config == self.configs.get(room, RoomConfig())

    @invariant()
    def members_are_those_who_joined(self) -> None:
        for holding in self.manager._house.live():
            view = self.manager.view(holding.room_id)
            if view.tier is not Tier.ACTIVE or holding.kept is not None or holding.waiting or not holding.epoch:
                continue
            there: dict[str, None] = {}
            for _, update in sorted(self.numbered(holding.room_id).items()):
                if isinstance(update, UserJoined):
                    there.setdefault(update.user.id)
                elif isinstance(update, UserLeft):
                    there.pop(update.user_id, None)
            if view.members_complete:
                assert [user.id for user in view.members] == list(there)
            elif self.durability != "none":
                shelf = self.store.rooms[holding.room_id]
                deep = shelf.images.get(Tier.ACTIVE)
                known = deep.position.seq if deep is not None and deep.members_complete else 0
                assert max(shelf.log, default=0) - known > 2 * LIMITS.active_messages, (
                    "a load reads so much, and knows them"
                )

    @invariant()
    def deliveries_are_in_order_and_not_early(self) -> None:
        for item in self.host.drain():
            if isinstance(item, Deliver) and item.seq:
                told = self.delivered.setdefault(item.room_id, [])
                same = [seq for epoch, seq in told if epoch == item.audience.epoch]
                assert item.seq > max(same, default=0), (item, told)
                told.append((item.audience.epoch, item.seq))
                assert item.audience.epoch
                if self.durability == "logged":
                    assert self.store.rooms[item.room_id].log[item.seq].update == item.update

    @invariant()
    def interests_are_as_asked_for(self) -> None:
        real = self.manager._house.interests
        if self.pressed:
            self.interests = {k: v for k, v in self.interests.items() if real.get(*k) is not None}
        for room in ROOMS:
            wanted = max([Tier.UNLOADED, *(tier for (_, r), (tier, _) in self.interests.items() if r == room)])
            assert real.wanted(room) is wanted, (room, self.interests)
            tier = self.manager.tier(room)
            assert tier >= wanted
            holding = self.manager._holdings.get(room)
            if holding is None:
                assert tier <= Tier.CACHED
            elif tier > max(wanted, holding.own, Tier.CACHED):
                assert not holding.idle or holding.saving is not None or holding.kept is not None

    @invariant()
    def the_budget_is_kept(self) -> None:
        house = self.manager._house
        assert house.undurable_bytes <= 3000
        if house.over > 0:
            assert not house.cache.bytes
            for holding in house.live():
                assert not house.movable(holding), holding.room_id

    @invariant()
    def unread_is_what_a_recount_says(self) -> None:
        house = self.manager._house
        for room in ROOMS:
            holding, reads = house.holdings.get(room), house.reads_of(room)
            if (
                room in self.taken_again
                or reads is None
                or (holding is not None and (not holding.idle or holding.kept is not None))
            ):
                continue
            numbered = self.numbered(room) if reads.head else {}  # what was read is forgotten: it counts anew
            seen: dict[str, tuple[int, str, str]] = {}
            for seq, update in sorted(numbered.items()):
                if isinstance(update, MessageAdded):
                    one = update.message
                    seen.setdefault(one.id, (seq, one.user, one.content))
            gone = self.removed.get(room, set())
            for user, marker in reads.markers.items():
                later = [
                    (author, text)
                    for name, (seq, author, text) in seen.items()
                    if seq > marker.seq and author != user and name not in gone
                ]
                told = self.manager.unread(user, room)
                assert told.messages.value <= len(later), (room, user, marker, told, later)
                if told.messages.exact:
                    assert told.messages.value == len(later), (room, user, marker, told, later)

    @invariant()
    def views_can_be_taken(self) -> None:
        for room in self.manager.known():
            view = self.manager.view(room)
            assert view.tier is self.manager.tier(room)
            assert view.status is self.manager.status(room)
            if view.tier is Tier.CACHED:
                assert view.status is Status.READY

    @invariant()
    def everything_is_counted_once(self) -> None:
        stats, house = self.manager.stats(), self.manager._house
        assert sum(stats.bytes.values()) == house.used
        assert stats.count("update") - stats.count("update", "message_added", "repeated") + stats.waiting == self.taken
        now = {**stats.counts, **{labels: took.count for labels, took in stats.times.items()}}
        assert all(now.get(labels, 0) >= count for labels, count in self.counted.items()), "a count went back"
        self.counted = now
        ups = [(old, new) for old in Tier for new in Tier if old < new >= Tier.BACKGROUND]
        risen = sum(took.count for labels, took in stats.times.items() if labels[0] == "promotion")
        rising = sum(holding.promotion is not None for holding in house.holdings.values())
        assert risen + rising == sum(stats.count("transition", old.name, new.name) for old, new in ups)
        assert rising <= stats.statuses[Status.LOADING] + stats.statuses[Status.ERROR] + stats.statuses[Status.STALE]


class Relaxed(ManagerMachine):
    durability = "relaxed"


class Logged(ManagerMachine):
    durability = "logged"


class PressedNone(ManagerMachine):
    max_bytes = 12_000


class PressedLogged(ManagerMachine):
    durability = "logged"
    max_bytes = 12_000


MACHINES = (ManagerMachine, Relaxed, Logged, PressedNone, PressedLogged)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_the_manager_is_what_dicts_say(machine: type[ManagerMachine]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=40, suppress_health_check=list(HealthCheck))
    )


@pytest.mark.long
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_the_manager_is_what_dicts_say_for_long(machine: type[ManagerMachine]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=280, stateful_step_count=80, suppress_health_check=list(HealthCheck))
    )


def test_a_configuration_that_had_no_seq_yet_does_not_outlive_a_crash() -> None:
    state = PressedLogged()
    state.begin()
    state.publish("r1", RoomConfigChanged(RoomConfig(slow_mode_duration=1)))
    state.restart(finish=False)
    state.promote("r1", Tier.BACKGROUND)
    state.catch_up()
    assert state.manager.view("r1").config == RoomConfig()
    state.configurations_are_the_last()


def test_a_room_may_be_packed_up_again_when_what_waited_for_its_load_was_a_repetition() -> None:
    state = PressedLogged()
    state.begin()
    state.post_many("r2", "ada", 3)
    state.catch_up()
    state.look("v0", "r2", active=False)
    state.call("publish", "r2", added("m1", "ada"))
    assert "r2" not in state.manager._house.by_cold
    state.catch_up()
    assert "r2" in state.manager._house.by_cold
