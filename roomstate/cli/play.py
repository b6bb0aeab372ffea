"""A chat log as a busy server would live it: authors turn to rooms, post, move on, and fall silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from time import perf_counter
from typing import Any, Final

from roomstate.cli.logline import LogLine
from roomstate.cli.watch import Watch
from roomstate.host.sync import Left, SyncHost
from roomstate.manager import RoomStateManager
from roomstate.model import EMPTY, Message, Tier
from roomstate.residency.cache import RoomCache
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.snapshot.frame import Level
from roomstate.store.base import RoomStore
from roomstate.updates import MessageAdded

__all__ = ["LogClock", "Player", "line_of", "manager_of", "message_of"]

IDLE_ACTIVE_S: Final = 300.0
"""Seconds after which an author who says nothing only follows the room; the manager's own default."""


class LogClock:
    """The time of the log: ``now`` in seconds since 1970, which never goes back."""

    def __init__(self) -> None:
        self.now: float = 0.0

    def __call__(self) -> float:
        """Return it, as a manager's ``clock`` does."""
        return self.now

    def advance(self, to: float) -> None:
        """Let it be ``to``, unless it is later already."""
        self.now = max(self.now, to)


def manager_of(clock: LogClock, cached_rooms: int, seed: int) -> RoomStateManager:
    """The manager that a log is played through: each message is told to others once the log on disk has it.

    Epochs follow from ``seed`` and their count, so that two runs write the same.
    """
    numbers = count(1)
    return RoomStateManager(
        durability="logged",
        cache=RoomCache(max_rooms=cached_rooms),
        clock=clock,
        new_epoch=lambda: f"replay-{seed}-{next(numbers)}",
        idle_active_s=IDLE_ACTIVE_S,
        # A log's clock is coarse, and what it tells has happened: nobody in it is refused for their pace.
        burst=10**9,
        max_rooms_per_viewer=10**6,
        max_viewers=10**7,
    )


def message_of(line: LogLine) -> Message:
    """A line as a message; its time to the millisecond, as rooms keep it at rest."""
    timestamp = datetime.fromtimestamp(round(line.ts * 1000) / 1000, UTC)
    extra: Mapping[str, Any] = line.extra or EMPTY
    badges = extra.get("badges", ())
    if badges:
        extra = {name: value for name, value in extra.items() if name != "badges"} or EMPTY
    return Message(line.id, line.user, line.text, timestamp, tuple(badges), extra)


def line_of(room: str, message: Message) -> LogLine:
    """The line that a message was made of."""
    extra = dict(message.extra)
    if message.badges:
        extra["badges"] = list(message.badges)
    return LogLine(message.timestamp.timestamp(), room, message.user, message.content, message.id, extra)


class Player:
    """Plays lines, in order, through ``manager`` and ``store``. Close ``host`` when done.

    Each author is a viewer. One who posts in another room than before, or has said nothing there for five minutes,
    enters it; the room that they come from they follow in the background, if they still looked at it. What they post
    is published, and read by them. Before each line, whatever falls due up to its time is done at its own time.
    """

    def __init__(self, manager: RoomStateManager, store: RoomStore, clock: LogClock, watch: Watch) -> None:
        codec = SnapshotCodec(Level.LOW)  # half the time of MEDIUM, for 4 % more bytes: a busy server's choice
        self.host: SyncHost = SyncHost(manager, store=store, codec=codec, deliver=watch.delivered)
        self._clock = clock
        self._watch = watch
        self._at: dict[str, tuple[str, float]] = {}  # viewer -> the room last posted in, and when

    @property
    def viewers(self) -> int:
        """How many different authors there were."""
        return len(self._at)

    def play(self, line: LogLine) -> None:
        """Let one message happen. O(log rooms), and what the store takes."""
        self._until(line.ts)
        self._clock.advance(line.ts)
        self._turn(line.user, line.room)
        self._do(lambda: self.host.publish(line.room, MessageAdded(message_of(line))))
        self.host.mark_read(line.user, line.room)

    def _until(self, ts: float) -> None:
        """Do what falls due up to ``ts``."""
        while (due := self.host.next_deadline()) is not None and due <= ts:
            self._clock.advance(due)
            self._do(self.host.tick)

    def _turn(self, viewer: str, room: str) -> None:
        now = self._clock.now
        before, since = self._at.get(viewer, ("", 0.0))
        self._at[viewer] = room, now
        looks = now - since < IDLE_ACTIVE_S
        if before == room and looks:
            return
        if before != room and before and looks:
            self._do(lambda: self.host.follow(viewer, before))
        self._watch.visited(room, self.host.tier(room) > Tier.UNLOADED, now)
        self._do(lambda: self.host.enter(viewer, room))

    def _do(self, verb: Callable[[], tuple[Left, ...]]) -> None:
        """Carry out a verb and let the watch see what came of it, and how long it took."""
        start = perf_counter()
        outputs = verb()
        self._watch.saw(outputs, self._clock.now, perf_counter() - start)
