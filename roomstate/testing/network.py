"""A network that loses, repeats, delays and reorders what goes over it, on a clock of its own.

Nothing here is random by itself: every fate is drawn from `Dice` that are set anew for each event of a schedule, so
that an event which is left out of a replay changes nothing about the fates of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, TypeAlias

from msgspec import Struct

__all__ = ["CALM", "STORM", "Agenda", "Dice", "Frames", "Link", "Network", "Weather"]

Frames: TypeAlias = tuple[bytes, ...]
"""What is sent at a time: one frame, or several that belong together, such as the parts of an answer."""

_MULTIPLIER, _INCREMENT = 6364136223846793005, 1442695040888963407  # Knuth's MMIX; 0.1 µs a throw
_MASK = (1 << 64) - 1


class Dice:
    """Numbers that look random and follow from ``seed`` alone, cheap to set anew."""

    __slots__ = ("_state",)

    def __init__(self, seed: int = 0) -> None:
        self._state = 0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin anew. The same seed brings the same throws. O(1)."""
        self._state = ((seed ^ 0x9E3779B97F4A7C15) * _MULTIPLIER + _INCREMENT) & _MASK

    def roll(self) -> float:
        """Return a number in [0, 1). O(1)."""
        self._state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
        return (self._state >> 11) * 2.0**-53


class Weather(Struct, frozen=True):
    """How bad a link is: the shares of packets that it loses and repeats, and the most seconds that one takes.

    What takes longer than the next one arrives after it: a larger ``delay_s`` also reorders more.
    """

    lose: float = 0.0
    repeat: float = 0.0
    delay_s: float = 0.02


CALM: Final = Weather()
STORM: Final = Weather(lose=0.25, repeat=0.25, delay_s=2.0)


class Agenda:
    """What is to happen when: the one order of all things in a world. Ties keep the order in which they were set."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def set(self, at: float, what: Callable[[], None]) -> None:
        """Let ``what`` be called at ``at``. O(log n)."""
        self._count += 1
        heappush(self._heap, (at, self._count, what))

    def next(self) -> float:
        """Return when the next thing is due; infinity where there is none. O(1)."""
        return self._heap[0][0] if self._heap else float("inf")

    def pop(self) -> tuple[float, Callable[[], None]]:
        """Take out the next thing. O(log n)."""
        at, _, what = heappop(self._heap)
        return at, what


class Link(Struct, eq=False):
    """The way between the authority and one replica.

    ``number`` names the connection (0: there is none; both sides know). ``cut``: nothing passes, and nobody knows.
    """

    weather: Weather = CALM
    number: int = 0
    cut: bool = False


class Network:
    """Carries frames between the authority and its replicas, which are numbered from 1.

    ``deliver(replica, to_replica, frames)`` is called when a packet arrives. What was under way when a connection ended
    is lost, unless the network is ``leaky``: then it still arrives, as over a message bus.
    """

    __slots__ = ("_agenda", "_connections", "_deliver", "_dice", "leaky", "links")

    def __init__(
        self, replicas: int, agenda: Agenda, dice: Dice, deliver: Callable[[int, bool, Frames], None], leaky: bool
    ) -> None:
        self.links: dict[int, Link] = {replica: Link() for replica in range(1, replicas + 1)}
        self.leaky: bool = leaky
        self._agenda = agenda
        self._dice = dice
        self._deliver = deliver
        self._connections = 0

    def dial(self, replica: int) -> None:
        """Begin a new connection. O(1)."""
        self._connections += 1
        self.links[replica].number = self._connections

    def hang_up(self, replica: int) -> None:
        """End the connection. O(1)."""
        self.links[replica].number = 0

    def send(self, now: float, replica: int, to_replica: bool, frames: Frames) -> None:
        """Put a packet on its way; what becomes of it is up to the weather. O(log packets)."""
        link, roll = self.links[replica], self._dice.roll
        if not link.number or link.cut:
            return
        weather, number = link.weather, link.number
        if weather.lose and roll() < weather.lose:
            return
        copies = 2 if weather.repeat and roll() < weather.repeat else 1
        for _ in range(copies):
            arrives = now + 0.001 + roll() * roll() * weather.delay_s
            self._agenda.set(arrives, lambda: self._arrive(replica, to_replica, number, frames))

    def _arrive(self, replica: int, to_replica: bool, number: int, frames: Frames) -> None:
        link = self.links[replica]
        if not link.cut and link.number and (link.number == number or self.leaky):
            self._deliver(replica, to_replica, frames)
