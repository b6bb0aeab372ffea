"""What happens in a simulated world: events as plain values, drawn from a seed, or read from JSON.

An event holds all that it needs, so that any part of a schedule is a schedule too: that is what shrinking relies on.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Final, Literal

from msgspec import Struct, structs

from roomstate.errors import InvalidValue

__all__ = ["Event", "Options", "draw", "draw_options"]


class Options(Struct, frozen=True, omit_defaults=True):
    """What a world is like: how many replicas and rooms, and how its parts behave.

    ``answers``: whether what a replica has missed comes in one reply to its request, or frame by frame on its stream.
    ``leaky``: whether frames outlive their connection. ``quiet``: whether the authority can restart without its
    replicas noticing. ``failover``: whether its store may fall back to an earlier state. ``keeps``: whether a
    replica's snapshots outlive it. ``choices``: whether somebody may choose where a configuration differs. ``queue``:
    items that wait for a slow connection. ``active_messages`` and ``background_messages`` are what a room holds: few,
    so that windows overflow often. ``calm``: no trouble is drawn, of the network or of machines. Raises
    ``InvalidValue`` for a number below 1.
    """

    replicas: int = 3
    rooms: int = 2
    durability: Literal["none", "relaxed", "logged"] = "logged"
    answers: Literal["reply", "stream"] = "stream"
    leaky: bool = False
    quiet: bool = False
    failover: bool = False
    keeps: bool = True
    choices: bool = False
    queue: int = 16
    active_messages: int = 40
    background_messages: int = 10
    calm: bool = False

    def __post_init__(self) -> None:
        for name in ("replicas", "rooms", "queue", "active_messages", "background_messages"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"options.{name}", f"must be at least 1, got {getattr(self, name)}")


class Event(Struct, frozen=True, omit_defaults=True, gc=False):
    """Something happens ``wait`` seconds after the event before it.

    ``node`` is the replica concerned (0: the authority), ``room`` and ``user`` are numbers, ``name`` is the id of the
    message that is made or meant. ``number`` is whatever else the kind needs. ``dice`` sets the fates of all that
    follows from the event: what is lost, repeated and delayed.
    """

    kind: str
    wait: float = 0.0
    node: int = 0
    room: int = 0
    user: int = 0
    name: str = ""
    text: str = ""
    number: int = 0
    dice: int = 0


WEIGHTS: Final[dict[str, float]] = {
    # what is written to the log
    "post": 20.0,
    "say": 10.0,
    "edit": 5.0,
    "remove": 4.0,
    "react": 4.0,
    "unreact": 1.5,
    "repeat": 2.0,
    "config": 1.5,
    "moderate": 0.7,
    "join": 1.5,
    "part": 1.0,
    "rename": 1.0,
    "status": 0.5,
    "count": 0.7,
    "tell": 1.5,
    # what is not
    "presence": 3.0,
    "typing": 2.0,
    "receipt": 2.0,
    "notify": 0.7,
    # who looks where
    "enter": 5.0,
    "follow": 3.0,
    "leave": 3.0,
    "read": 2.0,
    "retry": 1.0,
    "discard": 0.2,
    # the network
    "beat": 6.0,
    "ping": 4.0,
    "cut": 0.7,
    "mend": 1.5,
    "hang_up": 0.8,
    "dial": 2.5,
    "weather": 1.0,
    "slow": 0.7,
    "brisk": 1.5,
    # the machines
    "crash": 0.25,
    "reboot": 0.5,
    "clock": 0.15,
    "disk": 0.3,
    "back_up": 0.3,
}
"""How often each kind of event is drawn, beside the others."""

_ROUGH: Final = ("cut", "hang_up", "weather", "slow", "crash", "reboot", "clock", "disk")
_CUMULATIVE: Final = list(accumulate(WEIGHTS.values()))
_KINDS: Final = list(WEIGHTS)
_TEXTS: Final = ("hi", "hi @u1", "@u2 and @u3", "ünïcødé 🙂", "a somewhat longer text that says little", "hi")
_USERS: Final = 6


def draw_options(seed: int) -> Options:
    """Return the world that a seed stands for."""
    chance = random.Random(f"options {seed}")
    drawn = Options(
        replicas=chance.choice((1, 2, 2, 3)),
        rooms=chance.choice((1, 1, 2, 3)),
        durability="none" if chance.random() < 0.25 else "logged",
        answers=chance.choice(("reply", "stream")),
        leaky=chance.random() < 0.3,
        quiet=chance.random() < 0.3,
        failover=chance.random() < 0.3,
        keeps=chance.random() < 0.7,
        choices=chance.random() < 0.3,
        queue=chance.choice((4, 16, 64)),
        active_messages=chance.choice((20, 40, 200)),
        background_messages=chance.choice((5, 10)),
    )
    # A frame of a log that is lost, which comes over no connection of its own, looks like one of the log of that epoch.
    return structs.replace(drawn, leaky=drawn.leaky and not drawn.failover)


def draw(seed: int, count: int, options: Options) -> tuple[Event, ...]:
    """Return ``count`` events of the world that ``options`` describes. About 5 µs an event."""
    chance = random.Random(seed)
    made: list[list[str]] = [["m0"] for _ in range(options.rooms)]
    kinds = chance.choices(_KINDS, cum_weights=_CUMULATIVE, k=count)
    return tuple(_event(chance, options, made, number, kind) for number, kind in enumerate(kinds, 1))


def _event(chance: random.Random, options: Options, made: list[list[str]], number: int, kind: str) -> Event:
    roll = chance.random
    room = int(roll() * options.rooms)
    if options.calm and kind in _ROUGH:
        kind = "beat"
    name = text = ""
    if kind in ("post", "say"):
        name, text = f"{kind[0]}{number}", _TEXTS[int(roll() * len(_TEXTS))]
        made[room].append(name)
    elif kind in ("edit", "remove", "react", "unreact", "repeat", "receipt", "notify", "read", "tell"):
        name, text = _target(chance, made[room], number), f"{kind} {number}"
    return Event(
        kind,
        wait=_wait(chance),
        node=1 + int(roll() * options.replicas),
        room=room,
        user=int(roll() * _USERS),
        name=name,
        text=text,
        number=int(roll() * 1000),
        dice=number,
    )


def _target(chance: random.Random, names: list[str], number: int) -> str:
    """A message that was made lately, mostly; or long ago, or only later, or never."""
    roll = chance.random()
    if roll < 0.03:
        return f"p{number + 1 + int(chance.random() * 20)}"
    if roll < 0.1:
        return names[int(chance.random() * len(names))]
    return names[-1 - min(len(names) - 1, int(chance.expovariate(0.2)))]


def _wait(chance: random.Random) -> float:
    roll = chance.random()
    if roll < 0.6:
        return 0.0 if roll < 0.2 else round(chance.random() * 0.1, 4)
    if roll < 0.99:
        return round(chance.random(), 3)
    return round(chance.random() * (30.0 if roll < 0.999 else 2500.0), 1)
