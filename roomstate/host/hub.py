"""Rooms and those who listen to them: deliveries, catching up, heartbeats."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from roomstate.effects import AppendLog, Deliver, Misfit
from roomstate.errors import CapacityError, InvalidValue, RoomStateError, StoreUnavailable, TooManyRooms
from roomstate.holding.deadlines import Deadlines
from roomstate.holding.view import Progress
from roomstate.host.bounds import HostBounds
from roomstate.host.catching_up import caught_up
from roomstate.host.channel import Channel
from roomstate.host.driver import Outputs
from roomstate.host.listening import Listener, Member
from roomstate.manager import RoomStateManager
from roomstate.model import Tier
from roomstate.position import Token
from roomstate.sync.envelope import Envelope
from roomstate.sync.frames import Ack
from roomstate.sync.subscribers import Withheld
from roomstate.updates import Update

__all__ = ["Hub"]

_log: Final = logging.getLogger("roomstate")


class Hub:
    """The channels and connections of a host. Everything here but `take` is synchronous.

    ``carry`` carries out what a verb of ``manager`` asks for; ``loaded`` and ``confirmed`` wait for a room's load, and
    for its log.
    """

    def __init__(
        self,
        manager: RoomStateManager,
        bounds: HostBounds,
        *,
        carry: Callable[..., Outputs],
        loaded: Callable[[str], Awaitable[None]],
        confirmed: Callable[[str], Awaitable[None]],
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.manager: RoomStateManager = manager
        self.bounds: HostBounds = bounds
        self.loaded: Callable[[str], Awaitable[None]] = loaded
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.given: int = 0  # what streams that have ended gave
        self.now: Callable[[], float] = clock
        self._carry, self._confirmed, self._jitter = carry, confirmed, jitter
        self._channels: dict[str, Channel] = {}
        self._connections: dict[str, Member] = {}
        self._stuck: dict[str, dict[Listener, None]] = {}  # streams that a room keeps waiting
        self._numbers: dict[tuple[str, str], int] = {}  # messages whose seq somebody waits for
        self._beats: Deadlines[str] = Deadlines()
        self._beat_timer: asyncio.TimerHandle | None = None
        self._open = False

    # -- connections -------------------------------------------------------------------------------------------------

    def admit(self, connection: Member) -> None:
        """Take a connection on. Raises ``InvalidValue`` for a viewer that is connected, ``TooManyRooms``."""
        viewer, most = connection.viewer, self.bounds.max_connections
        if not self._open:
            raise InvalidValue("host", "must be entered with async with, and is of no use after")
        if viewer in self._connections:
            raise InvalidValue("viewer", f"{viewer!r} is connected already")
        if len(self._connections) >= most:
            raise TooManyRooms("max_connections", f"{most} viewers are connected already")
        self._connections[viewer] = connection
        _log.debug("%s connects as %s", viewer, connection.user, extra={"viewer": viewer})

    def dismiss(self, connection: Member) -> None:
        """Let a connection go, with every interest of its viewer."""
        del self._connections[connection.viewer]
        self._carry(self.manager.disconnect(connection.viewer))
        _log.debug("%s is gone", connection.viewer, extra={"viewer": connection.viewer})

    def open(self) -> None:
        """Begin to take connections on."""
        self._open = True

    def close(self) -> None:
        """End every connection, and take no more on."""
        self._open = False
        for connection in tuple(self._connections.values()):
            connection.close()

    @property
    def connections(self) -> Collection[Member]:
        """Return who is connected."""
        return self._connections.values()

    def count(self, *labels: str) -> None:
        """Count something that happened at a connection."""
        self.counts[labels] += 1

    # -- listening ---------------------------------------------------------------------------------------------------

    def listen(self, stream: Listener, room_id: str, tier: Tier) -> None:
        """Let a stream hear of a room, and its viewer be interested. Raises what the manager does; nothing is changed
        then.
        """
        channel = self._channels.get(room_id)
        if channel is not None and channel.streams.get(stream.viewer, stream) is not stream:
            raise InvalidValue(f"room {room_id!r}", f"another stream of {stream.viewer!r} brings it")
        self.interest(stream.viewer, stream.user, room_id, tier)
        if channel is None:
            channel = self._channels[room_id] = Channel(room_id, self.bounds.withheld_s, self.now)
            self._beats.set(room_id, self._time() + self._jitter() * self.bounds.heartbeat_s)
            self._set_beat()
        channel.attach(stream)

    def interest(self, viewer: str, user: str, room_id: str, tier: Tier) -> None:
        """Let a viewer look at a room or follow it. Raises what the manager does."""
        if room_id in self._channels:
            self._channels[room_id].flush()
        verb = self.manager.enter if tier is Tier.ACTIVE else self.manager.follow
        self._carry(verb(viewer, room_id, user=user), room_id)

    def unlisten(self, stream: Listener, room_id: str) -> None:
        """Let a stream hear of a room no more."""
        stuck = self._stuck.get(room_id, {})
        stuck.pop(stream, None)
        if not stuck:
            self._stuck.pop(room_id, None)
        channel = self._channels[room_id]
        channel.detach(stream.viewer)
        if not channel.streams:
            del self._channels[room_id]
            self._beats.clear(room_id)
            if not self._channels:
                self._set_beat()

    def forsake(self, viewer: str, room_id: str) -> None:
        """End a viewer's interest in a room, if it has one."""
        if self.manager.interest(viewer, room_id) is not Tier.UNLOADED:
            self._carry(self.manager.leave(viewer, room_id), room_id)

    # -- catching up -------------------------------------------------------------------------------------------------

    def catch_up(
        self, stream: Listener, room_id: str, tier: Tier, token: Token | str | None, answers: int | None
    ) -> tuple[Envelope, ...]:
        """Return what a viewer's copy lacks; () where that cannot be said now: `await_room` then."""
        if self.manager.interest(stream.viewer, room_id) < tier and not self._again(stream, room_id, tier):
            return ()
        channel = self._channels[room_id]
        channel.flush()
        envelopes = caught_up(
            self.manager,
            room_id,
            token,
            viewer=stream.viewer,
            user=stream.user,
            tier=tier,
            now=self.now(),
            answers=answers,
        )
        if envelopes:
            seq = envelopes[-1].sequence_number
            channel.begin(seq)
            about = {"viewer": stream.viewer, "room": room_id, "position": seq}
            _log.debug("%s is brought up to %d in %s", stream.viewer, seq, room_id, extra=about)
            self.count("catch_up", envelopes[-1].message_type.lower())
        return envelopes

    def _again(self, stream: Listener, room_id: str, tier: Tier) -> bool:
        """Renew an interest; False where that is refused for now."""
        try:
            self.interest(stream.viewer, stream.user, room_id, tier)
        except CapacityError:
            self.count("renewal", "refused")
            return False
        return True

    def renew(self, stream: Listener, room_id: str, tier: Tier) -> bool:
        """Renew a viewer's interest in a room; True where it had lapsed."""
        lapsed = self.manager.interest(stream.viewer, room_id) < tier
        return self._again(stream, room_id, tier) and lapsed

    def await_room(self, stream: Listener, room_id: str) -> None:
        """Let the stream look again when the room has changed."""
        self._stuck.setdefault(room_id, {})[stream] = None

    def withheld(self, span: Withheld) -> str:
        """Return a span as text."""
        return self._channels[span.room_id].withheld(span)

    # -- what happens ------------------------------------------------------------------------------------------------

    def deliver(self, item: Deliver) -> None:
        """Give an update to those who listen to its room; see `Channel`. O(listeners)."""
        channel = self._channels.get(item.room_id)
        if channel is None:
            return
        try:
            channel.deliver(item, self._ordinal(channel, item))
        except RoomStateError:  # a host's own message class: what it holds now cannot be written
            _log.exception("an update could not be written", extra={"room": item.room_id, "position": item.seq})

    def _ordinal(self, channel: Channel, item: Deliver) -> int | None:
        """Return how many messages the room had up to a delivery, where that is known."""
        if not item.seq:
            return None
        ordinal = channel.ordinals.pop(item.seq, None)
        if ordinal is None:
            progress = self.manager.progress(item.room_id)
            ordinal = progress.ordinal if progress is not None and progress.seq == item.seq else None
        return ordinal

    def appending(self, item: AppendLog) -> None:
        """Keep of an append what is asked for when it is confirmed. O(entries)."""
        channel = self._channels.get(item.room_id)
        if channel is not None:
            channel.ordinals = {entry.seq: entry.ordinal for entry in item.entries}
        if self._numbers:
            for entry in item.entries:
                key = (item.room_id, getattr(getattr(entry.update, "message", None), "id", ""))
                if key in self._numbers:
                    self._numbers[key] = entry.seq

    def appended(self, room_id: str) -> None:
        """Take note that the log has answered: a message that it had before is told to nobody, but its seq is. O(1)."""
        channel, progress = self._channels.get(room_id), self.manager.progress(room_id)
        if channel is not None and progress is not None and self.manager.tier(room_id) >= Tier.BACKGROUND:
            head = self.manager.head(room_id)
            channel.cover(head.position.epoch, head.position.seq, head.ordinal)

    def changed(self, room_id: str) -> None:
        """Let the streams that a room keeps waiting look again. O(those)."""
        for stream in self._stuck.pop(room_id, ()):
            stream.look(room_id)

    async def take(self, room_id: str, client_id: str, update: Update, *, again: bool = False) -> Ack:
        """Publish what a client has sent, if not ``again``; return its acknowledgement when it is taken.

        Raises what `RoomStateManager.publish` does, ``InvalidValue`` for what has no meaning in the room, and
        ``StoreUnavailable`` where the log does not confirm it in time: it is in the room then, and on its way.
        """
        key = (room_id, client_id)
        self._numbers.setdefault(key, 0)
        try:
            outputs = self.manager.publish(room_id, update) if not again else ()
            self._carry(outputs, room_id, str(update.__struct_config__.tag))
            for item in outputs:
                if isinstance(item, Deliver) and item.seq and item.update is update:  # all are told already
                    return Ack(room_id, client_id, client_id, item.audience.epoch, item.seq)
                if isinstance(item, Misfit):
                    raise InvalidValue(f"room {room_id!r}", item.reason)
            progress = self.manager.progress(room_id)
            if progress is not None and (progress.waiting or progress.told < progress.seq):
                async with asyncio.timeout(self.bounds.ack_s):
                    await self._confirmed(room_id)
                progress = self.manager.progress(room_id)
            return self._ack(room_id, client_id, progress)
        except TimeoutError:
            raise StoreUnavailable("store", "has not confirmed it in time") from None
        finally:
            self._numbers.pop(key, None)

    def _ack(self, room_id: str, client_id: str, progress: Progress | None) -> Ack:
        found = self.manager.find(room_id, client_id)
        seq = self._numbers.get((room_id, client_id), 0) if found is None else found[0]
        if progress is not None:
            seq = seq or progress.told
        epoch = progress.epoch if progress is not None else ""
        return Ack(room_id, client_id, client_id, epoch, seq)

    # -- heartbeats --------------------------------------------------------------------------------------------------

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _set_beat(self) -> None:
        due = self._beats.next()
        if self._beat_timer is not None:
            self._beat_timer.cancel()
            self._beat_timer = None
        if due is not None:
            self._beat_timer = asyncio.get_running_loop().call_at(due, self._beat)

    def _beat(self) -> None:
        """Say in each room that is due where its log ends, and renew the interest of those who listen."""
        while (room_id := self._beats.pop(self._time())) is not None:
            self._beats.set(room_id, self._time() + self.bounds.heartbeat_s)
            channel = self._channels[room_id]
            for stream in tuple(channel.streams.values()):
                stream.beat(room_id)
            progress = self.manager.progress(room_id)
            if progress is not None and progress.epoch and self.manager.tier(room_id) >= Tier.BACKGROUND:
                channel.heartbeat(self.manager.head(room_id))
        self._set_beat()
