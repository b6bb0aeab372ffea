"""A deterministic world of copies of rooms, in which everything goes wrong that can, and what must be true in the end.

One authority, some replicas, and a network that loses, repeats, reorders and delays; machines that crash, disks that
fail, clocks that jump by an hour. A seed says what happens. Afterwards the network heals, time passes, and every copy
is to be what the authority's room is, that what its log says, and nothing that was acknowledged is to be missing. What
fails is shrunk to a few events, as JSON that replays.

>>> Simulator(seed=1, events=200).run().events
200
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, json

from roomstate.errors import InvalidValue
from roomstate.manager import RoomStateManager
from roomstate.model import Tier
from roomstate.testing.checks import Diverged, check_copies, check_healed
from roomstate.testing.client import Client
from roomstate.testing.happenings import happen
from roomstate.testing.schedule import Event, Options, draw, draw_options
from roomstate.testing.server import Server
from roomstate.testing.world import MakeEnd, MakeManager, World, room_name

__all__ = ["Failed", "Result", "Simulator", "campaign"]

_CHECK_EACH = 25  # events between two checks of all copies
_CHECK_ALL_EACH = 500  # events between two checks of everything that the managers hold
_ROUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 35.0, 60.0)


class Result(Struct, frozen=True):
    """What came of a run: its ``digest`` (of every frame and every final state), and how much there was of it.

    ``refused`` counts events that an end refused with an error of roomstate's own, as is its right; ``acknowledged``
    the messages that clients were told are safe, and ``conflicts`` the choices that were open for a while. ``deceived``
    counts copies that were wrong for a while, or to the end, because a store had failed over within one epoch and no
    token can tell the lost log from the one that came: the only wrong that is no failure.
    """

    digest: str
    events: int
    delivered: int
    refused: int
    acknowledged: int
    conflicts: int
    deceived: int


class Failed(AssertionError):
    """A run ended in something that must not be: ``fault`` is one word for it, ``event`` the number of events done.

    ``simulator`` runs what has led there; `Simulator.shrink` makes it small.
    """

    def __init__(self, simulator: Simulator, event: int, fault: str, reason: str) -> None:
        super().__init__(f"seed {simulator.seed}, after {event} events: {reason}")
        self.simulator: Simulator = simulator
        self.event: int = event
        self.fault: str = fault


class Simulator:
    """A world of its own for every run, and what happens in it: ``events`` events, drawn from ``seed``.

    ``authority`` and ``replica`` make the managers, ``server`` and ``client`` the ends that drive them: by default
    those of roomstate. Put your own in their place to test them (`testing.ends.End`). ``options`` fixes what the world
    is like; None lets the seed say. ``schedule`` is played instead of one that is drawn. Raises ``InvalidValue`` for a
    count below 1.

    Nothing is random beside the seed, and no clock is read: `run` brings the same `Result` wherever and whenever it is
    called.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        events: int = 2000,
        options: Options | None = None,
        schedule: Sequence[Event] | None = None,
        authority: MakeManager = RoomStateManager,
        replica: MakeManager = RoomStateManager,
        server: MakeEnd = Server,
        client: MakeEnd = Client,
    ) -> None:
        if events < 1:
            raise InvalidValue("events", f"must be at least 1, got {events}")
        self.seed: int = seed
        self.options: Options = options if options is not None else draw_options(seed)
        self.schedule: tuple[Event, ...] = tuple(schedule) if schedule is not None else draw(seed, events, self.options)
        self._parts: dict[str, Any] = {"authority": authority, "replica": replica, "server": server, "client": client}

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """Play the schedule, heal, and check. O(events). Raises `Failed` where something is wrong."""
        done = 0
        try:
            world = World(self.options, **self._parts)
            for done, event in enumerate(self.schedule, 1):
                happen(world, event)
                if done % _CHECK_EACH == 0:
                    check_copies(world)
                if done % _CHECK_ALL_EACH == 0:
                    _check_managers(world)
            _heal(world)
        except Diverged as error:
            raise Failed(self, done, error.fault, str(error)) from error
        except Exception as error:  # whatever a host's own end raises is a fault too
            raise Failed(self, done, type(error).__name__, f"{type(error).__name__}: {error}") from error
        return Result(
            digest=_digest(world),
            events=len(self.schedule),
            delivered=world.delivered,
            refused=world.refused,
            acknowledged=len(world.ledger.acknowledged),
            conflicts=world.conflicts,
            deceived=len(world.deceived),
        )

    def with_schedule(self, schedule: Iterable[Event]) -> Simulator:
        """Return the same world with other events."""
        return Simulator(self.seed, options=self.options, schedule=tuple(schedule), **self._parts)

    # -- replaying ---------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the world and its events as JSON, for `from_json`. O(events)."""
        return json.encode(_Recipe(self.seed, self.options, self.schedule)).decode()

    @classmethod
    def from_json(cls, text: str | bytes, **parts: Any) -> Simulator:
        """Return what `to_json` wrote, with these ``parts`` (``replica=`` and so on). Raises ``ValueError``."""
        recipe = json.decode(text, type=_Recipe)
        return cls(recipe.seed, options=recipe.options, schedule=recipe.events, **parts)

    # -- shrinking ---------------------------------------------------------------------------------------------------

    def shrink(self, max_runs: int = 500) -> Simulator:
        """Return a simulator with as few of the events as still fail with the same fault; at most ``max_runs`` runs.

        Delta debugging: leaves out ever smaller parts, from the end. Of a schedule that does not fail nothing is left
        out.
        """
        fault = self.fault()
        if fault is None:
            return self
        return _Shrinking(self, fault, max_runs).run()

    def fault(self) -> str | None:
        """Run, and return in one word what is wrong; None where nothing is."""
        try:
            self.run()
        except Failed as failed:
            return failed.fault
        return None


class _Recipe(Struct, frozen=True):
    seed: int
    options: Options
    events: tuple[Event, ...]


class _Shrinking:
    """One search for a smaller schedule with the same fault."""

    def __init__(self, simulator: Simulator, fault: str, runs: int) -> None:
        self._best = simulator
        self._fault = fault
        self._runs = runs

    def run(self) -> Simulator:
        size = len(self._best.schedule)
        while size and self._runs > 0:
            size = size // 2 if not self._pass(max(1, size)) or size == 1 else min(size, len(self._best.schedule))
        return self._best

    def _pass(self, size: int) -> bool:
        """Leave out each part of ``size`` events that can be; whether any could."""
        shrunk, stop = False, len(self._best.schedule)
        while stop > 0 and self._runs > 0:
            start = max(0, stop - size)
            if self._try(self._best.schedule[:start] + self._best.schedule[stop:]):
                shrunk = True
            stop = start
        return shrunk

    def _try(self, schedule: tuple[Event, ...]) -> bool:
        self._runs -= 1
        smaller = self._best.with_schedule(schedule)
        if smaller.fault() != self._fault:
            return False
        self._best = smaller
        return True


# -- healing ---------------------------------------------------------------------------------------------------------


def _heal(world: World) -> None:
    """Let the network heal and time pass, and check: first what has healed by itself, then all, with users back."""
    world.calm()
    _pass_time(world)
    if not any(machine.behind_s for machine in world.machines):
        check_healed(world, settled=False)
    while behind := max(machine.behind_s for machine in world.machines):
        world.wait(min(behind + 0.001, 600.0))
    _everybody_looks(world)
    _pass_time(world)
    _everybody_looks(world)
    _send_again(world)
    _pass_time(world)
    check_healed(world)


def _pass_time(world: World) -> None:
    for seconds in _ROUNDS_S:
        for end in world.ends:
            end.beat()
        world.wait(seconds)


def _everybody_looks(world: World) -> None:
    for number in range(1, world.options.replicas + 1):
        for room in range(world.options.rooms):
            world.ends[number].call("enter", "v0", room_name(room), user="u0")


def _send_again(world: World) -> None:
    for end in world.ends[1:]:
        for room in range(world.options.rooms):
            for echo in end.manager.view(room_name(room)).pending:
                if echo.failed and echo.retryable:
                    end.call("send", room_name(room), echo.content, user=echo.user, client_id=echo.client_id)


def _check_managers(world: World) -> None:
    for end in world.ends:
        end.manager.check()


def _digest(world: World) -> str:
    """Return a checksum of every frame that was delivered, and of every room at every end."""
    whole = hashlib.sha256(f"{world.digest:08x} {world.delivered} {world.refused}".encode())
    for end in world.ends:
        for room_id in end.manager.known():
            if end.manager.tier(room_id) >= Tier.BACKGROUND:
                whole.update(json.encode(end.manager.image(room_id)))
    return whole.hexdigest()


# -- many ------------------------------------------------------------------------------------------------------------


def campaign(seeds: Iterable[int], *, shrink: bool = True, events: int = 2000, **parts: Any) -> tuple[Result, ...]:
    """Run a world for each seed; return what came of them. Raises `Failed` for the first that fails.

    It then names the seed and, with ``shrink``, has the smallest schedule that still fails as JSON, for
    `Simulator.from_json`.
    """
    return tuple(_run(Simulator(seed, events=events, **parts), shrink) for seed in seeds)


def _run(simulator: Simulator, shrink: bool) -> Result:
    try:
        return simulator.run()
    except Failed as failed:
        if not shrink:
            raise
        small = simulator.shrink()
        raise Failed(small, len(small.schedule), failed.fault, f"{failed}\n{small.to_json()}") from failed
