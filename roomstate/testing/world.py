"""A simulated world: one authority, some replicas, the network between them, and all that it runs on."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from roomstate.effects import ConflictOpened, ConflictResolved, Event
from roomstate.manager import RoomStateManager
from roomstate.model import Message
from roomstate.room.states import Limits
from roomstate.store.memory import MemoryStore
from roomstate.sync.conflict import ConflictPolicy, UserChoice
from roomstate.sync.frames import Ack, decode_frame
from roomstate.testing.client import Client
from roomstate.testing.ends import End
from roomstate.testing.ledger import Ledger, LedgerStore, Witness
from roomstate.testing.network import CALM, STORM, Agenda, Dice, Frames, Network, Weather
from roomstate.testing.schedule import Options
from roomstate.testing.server import Server

__all__ = ["AUTHORITY", "WEATHERS", "MakeEnd", "MakeManager", "World", "room_name"]

AUTHORITY: Final = "authority"
"""What replicas call their only peer; `peer_name` is what the authority calls them."""

START: Final = 1_767_225_600.0  # 2026-01-01 in UTC
_HOUR: Final = 3600.0
_ACK: Final = b'{"room_state_ack"'
_TICK_S: Final = 0.05  # the least between two ticks of one machine: what an event loop's timer grants
WEATHERS: Final = (CALM, CALM, Weather(delay_s=0.5), Weather(0.05, 0.05, 0.2), Weather(0.0, 0.3, 3.0), STORM)


MakeManager: TypeAlias = Callable[..., RoomStateManager]
"""Makes the manager of one end from its settings: `RoomStateManager` itself, or what a test puts in its place."""

MakeEnd: TypeAlias = Callable[..., End]
"""Makes one end, given its manager, its `Outside` and a store or None, ``reply=`` and, for an authority, ``queue=``."""


def peer_name(replica: int) -> str:
    """Return what the authority calls a replica."""
    return f"r{replica}"


def room_name(room: int) -> str:
    """Return the id of a room."""
    return f"room {room}"


_CHOICES: Final = ConflictPolicy(dict.fromkeys(("config", "moderation"), UserChoice(expires_s=30.0)))


class Machine:
    """What one end runs on: its clock, its disk, and its place in the network. 0 is the authority."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.number: int = number
        self.offset: float = 0.0
        self.newest: float = 0.0  # the latest that its clock has shown
        self.life: int = 0
        self.rough_until: float = 0.0
        self.ticked: float = 0.0
        self.due: float = float("inf")  # when it is to tick, in the world's time
        self.choices: dict[int, float] = {}  # conflicts that somebody may decide, and when that is over
        self.asked: bool = True  # whether its clock was asked since `due` was found: then something may have changed

    def now(self) -> float:
        """See `Outside`."""
        self.asked = True
        shown = self._world.now + self.offset
        self.newest = max(self.newest, shown)
        return shown

    @property
    def behind_s(self) -> float:
        """Seconds until the clock shows again what it has shown once."""
        return max(0.0, self.newest - self._world.now - self.offset)

    def send(self, peer: str, frames: Frames) -> None:
        """See `Outside`."""
        replica = self.number or int(peer[1:])
        self._world.network.send(self._world.now, replica, self.number == 0, frames)

    def takes(self, peer: str) -> bool:
        """See `Outside`."""
        return int(peer[1:]) not in self._world.slow

    def later(self, work: Callable[[], None]) -> None:
        """See `Outside`."""
        world, life = self._world, self.life
        takes_s = 0.001 + world.dice.roll() ** 4 * (0.5 if world.now < self.rough_until else 0.05)

        def in_this_life() -> None:
            if self.life == life:
                work()

        world.agenda.set(world.now + takes_s, in_this_life)

    def heard(self, event: Event) -> None:
        """See `Outside`."""
        if isinstance(event, ConflictOpened):
            self._world.conflicts += 1
            self.choices[event.conflict_id] = event.expires_at
        elif isinstance(event, ConflictResolved):
            self.choices.pop(event.conflict_id, None)

    def disk_fails(self) -> bool:
        """See `Outside`."""
        return self._world.now < self.rough_until and self._world.dice.roll() < 0.3


class World:
    """One authority and its replicas. `testing.happenings` lets events happen in it; `wait` lets time pass.

    ``machines[0]`` and ``ends[0]`` are the authority's, the others those of the replicas. ``digest`` is a checksum of
    everything that was delivered: two runs of one schedule have the same.
    """

    def __init__(
        self,
        options: Options,
        *,
        authority: MakeManager = RoomStateManager,
        replica: MakeManager = RoomStateManager,
        server: MakeEnd = Server,
        client: MakeEnd = Client,
    ) -> None:
        self.options: Options = options
        self.now: float = START
        self.agenda: Agenda = Agenda()
        self.dice: Dice = Dice()
        self.ledger: Ledger = Ledger()
        self.network: Network = Network(options.replicas, self.agenda, self.dice, self._arrived, options.leaky)
        self.slow: set[int] = set()
        self.written: dict[str, Message] = {}  # what was posted at the authority, by id
        self.delivered: int = 0
        self.refused: int = 0
        self.conflicts: int = 0
        self.deceived: set[tuple[int, str]] = set()  # copies, as replica and room, that the checks let be
        self.digest: int = 0
        self._make = {0: (authority, server), 1: (replica, client)}
        self._epochs = 0
        self._store = LedgerStore(self.ledger)
        self._backup: Any = None
        self._shelves: dict[int, MemoryStore] = {}
        self.machines: list[Machine] = [Machine(self, number) for number in range(options.replicas + 1)]
        self.ends: list[End] = []
        for machine in self.machines:
            self.ends.append(self._end(machine))
        self._pin()
        for number in range(1, options.replicas + 1):
            self.dial(number)

    # -- machines ----------------------------------------------------------------------------------------------------

    def _end(self, machine: Machine) -> End:
        """Start a machine's end anew, on what its disk has kept."""
        machine.life += 1
        machine.choices.clear()
        number, options = machine.number, self.options
        reply = options.answers == "reply"
        make_manager, make_end = self._make[min(number, 1)]
        settings: dict[str, Any] = {
            "limits": Limits(options.active_messages, options.background_messages),
            "new_epoch": self._new_epoch,
            "clock": machine.now,
            "moves_per_s": 1000.0,
            "burst": 10_000,
            "max_read_states": 1000,
        }
        if number:
            settings |= {"role": "replica", "jitter": Dice(1000 * number + machine.life).roll}
            settings["durability"] = "relaxed" if options.keeps else "none"
            if options.choices:
                settings["conflicts"] = _CHOICES
            shelf = self._shelves.setdefault(number, MemoryStore())
            return make_end(make_manager(**settings), machine, shelf, reply=reply)
        manager = make_manager(durability=options.durability, **settings)
        if options.durability == "none":
            return make_end(Witness(manager, self.ledger), machine, None, queue=options.queue, reply=reply)
        return make_end(manager, machine, self._store, queue=options.queue, reply=reply)

    def _pin(self) -> None:
        """Let an authority without a log keep its rooms in memory: of what leaves that it remembers nothing."""
        if self.options.durability == "none":
            for room in range(self.options.rooms):
                self.ends[0].call("promote", room_name(room))

    def _new_epoch(self) -> str:
        self._epochs += 1
        return f"e{self._epochs}"

    def manager(self, number: int) -> RoomStateManager:
        """Return the manager of an end."""
        return self.ends[number].manager

    # -- time --------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass, with all that is due in it, in order."""
        until = self.now + seconds
        while True:
            machine, at = self._next_tick()
            due = self.agenda.next()
            if min(at, due) > until:
                break
            if due <= at:
                self.now, work = max(self.now, due), self.agenda.pop()[1]
                work()
            else:
                self.now = machine.ticked = max(self.now, at)
                self.ends[machine.number].call("tick")
        self.now = until

    def _next_tick(self) -> tuple[Machine, float]:
        best = self.machines[0]
        for machine in self.machines:
            if machine.asked:
                self._find_due(machine)
            if machine.due < best.due:
                best = machine
        return best, best.due

    def _find_due(self, machine: Machine) -> None:
        deadline = self.ends[machine.number].manager.next_deadline()
        at = float("inf") if deadline is None else deadline - machine.offset
        machine.due, machine.asked = max(at, machine.ticked + _TICK_S), False

    # -- the network -------------------------------------------------------------------------------------------------

    def _arrived(self, replica: int, to_replica: bool, frames: Frames) -> None:
        self.delivered += 1
        for raw in frames:
            self.digest = zlib.crc32(raw, self.digest)
            if to_replica and raw.startswith(_ACK):
                self._promised(raw)
        if to_replica:
            self.ends[replica].received(AUTHORITY, frames)
        else:
            self.ends[0].received(peer_name(replica), frames)

    def _promised(self, raw: bytes) -> None:
        ack = decode_frame(raw)
        assert isinstance(ack, Ack)
        if self.ledger.epochs.get(ack.room_id) == ack.epoch:  # else the log that it speaks of is gone
            self.ledger.promise(ack.room_id, ack.message_id)

    def dial(self, replica: int) -> None:
        """Connect a replica, if it is not."""
        if not self.network.links[replica].number:
            self.network.dial(replica)
            self.ends[0].opened(peer_name(replica))
            self.ends[replica].opened(AUTHORITY)

    def hang_up(self, replica: int, *, told: bool = True) -> None:
        """End a replica's connection; ``told``: the authority notices too."""
        if self.network.links[replica].number:
            self.network.hang_up(replica)
            if told:
                self.ends[0].closed(peer_name(replica))
            self.ends[replica].closed(AUTHORITY)

    # -- trouble -----------------------------------------------------------------------------------------------------

    def crash(self, number: int, *, told: bool = True) -> None:
        """Stop a machine and start it again; what only its memory held is gone. ``told``: its peers notice."""
        machine, peers = self.machines[number], [number] if number else list(self.network.links)
        machine.life += 1
        for replica in peers if told else ():
            if self.network.links[replica].number:
                self.network.hang_up(replica)
                if number:
                    self.ends[0].closed(peer_name(replica))
                else:
                    self.ends[replica].closed(AUTHORITY)
        self.ends[number] = self._end(machine)
        if number == 0 and self.options.durability == "none":
            self.ledger.lose()
            self._pin()
        elif number == 0:
            self.ledger.crash()

    def lose_store(self) -> None:
        """Let the authority's disk be lost with all that is on it; to be followed by `crash`."""
        self._store = LedgerStore(self.ledger)
        self._backup = None
        self.ledger.lose()

    def lose_shelf(self, replica: int) -> None:
        """Let a replica's own snapshots be lost; to be followed by `crash`."""
        self._shelves.pop(replica, None)

    def back_up(self) -> None:
        """Keep a copy of the authority's store, to `fall_back` to."""
        self._backup = self._store.copy()

    def truncate(self, room_id: str, keep: int) -> None:
        """Let the authority's log forget all but the last ``keep`` entries of a room, as far as a snapshot has them."""
        self.ledger.cut(room_id, self._store.truncate(room_id, max(0, self._head(room_id) - keep)))

    def fall_back(self) -> None:
        """Let the authority's store be as it was when it was last backed up, if it was; to be followed by `crash`."""
        if self._backup is None:
            return
        self._store = self._backup
        self._backup = self._store.copy()
        self.ledger.fall_back({room_id: self._head(room_id) for room_id in self.ledger.epochs})

    def _head(self, room_id: str) -> int:
        head = self._store.head(room_id)
        return head.position.seq if head is not None else 0

    # -- healing -----------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """Let nothing go wrong from now on: every link is up, every disk works, nobody is slow."""
        self.slow.clear()
        for machine in self.machines:
            machine.rough_until = self.now
        for replica, link in self.network.links.items():
            link.weather, link.cut = CALM, False
            self.dial(replica)
