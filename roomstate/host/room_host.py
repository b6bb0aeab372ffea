"""A manager on an asyncio event loop, with its store, its links and its viewers."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, overload

from roomstate.effects import AppendLog, Deliver
from roomstate.errors import InvalidValue, StoreUnavailable
from roomstate.host.bounds import HostBounds
from roomstate.host.connection import Authorize, Connection
from roomstate.host.driver import Driver, Left, Outputs
from roomstate.host.hub import Hub
from roomstate.host.measuring import measures
from roomstate.host.port import Port
from roomstate.host.ports import Codec, Loader, Transport
from roomstate.host.steady import Steady
from roomstate.host.sync import CLOSING_STEP_S, CLOSING_TICKS, CLOSING_TRIES
from roomstate.host.watching import Change
from roomstate.manager import RoomStateManager
from roomstate.metrics import Measure
from roomstate.model import Tier, check_id
from roomstate.store.base import RoomStore
from roomstate.sync.envelope import Envelope
from roomstate.sync.strategies import Side
from roomstate.updates import Update

__all__ = ["RoomHost"]


class RoomHost(Driver):
    """Drives a `RoomStateManager` on an asyncio event loop: ``async with RoomHost(...) as host``.

    Its verbs are the manager's, as coroutines: each does the manager's part at once, then waits as its docstring says.
    Cancelling one while it waits takes nothing back and leaves nothing behind. A verb that raises has changed nothing.
    They return events, and those effects for which there is no port; so does ``observe``, which is called with all of
    them, those too that come while nobody calls. What the store, the loader or the transport cannot do is told to the
    manager, which asks again; no port is asked more often than ``bounds`` say, and within 2 s of its return.

    ``store`` and ``codec`` are used off the event loop, on ``bounds.store_threads`` threads. ``loader`` fetches what a
    foreign room lacks (`Loader`), ``transport`` links a replica to its authority (`Transport`). ``deliver`` is called
    with each `Deliver`, for viewers that are not connected with `connect`. Without a ``manager`` one is made of
    ``options`` (see `RoomStateManager`), with durability "logged" if there is a store, and ``max_retry_s`` 1, so that
    what failed is tried again soon: the ports pace themselves. ``jitter`` gives numbers in [0, 1). Where
    ``clock`` is set back, time goes on at half its speed until that has caught up.

    Leaving the block closes the host, as `close` says.
    """

    def __init__(
        self,
        manager: RoomStateManager | None = None,
        *,
        store: RoomStore | None = None,
        loader: Loader | None = None,
        transport: Transport | None = None,
        codec: Codec | None = None,
        role: Literal["authority", "replica"] = "authority",
        deliver: Callable[[Deliver], object] | None = None,
        observe: Callable[[Left], object] | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        bounds: HostBounds | None = None,
        **options: Any,
    ) -> None:
        clock = Steady(clock)
        super().__init__(
            manager,
            store=store,
            loader=loader,
            transport=transport,
            codec=codec,
            role=role,
            deliver=deliver,
            observe=observe,
            clock=clock,
            jitter=jitter,
            bounds=bounds if bounds is not None else HostBounds(),
            options=options,
        )
        self._entered = self._closed = False
        self._hub = Hub(
            self.manager,
            self.bounds,
            carry=self._carry,
            loaded=self.loaded,
            confirmed=self.confirmed,
            clock=clock,
            jitter=jitter,
        )

    # -- viewers -----------------------------------------------------------------------------------------------------

    def connect(
        self,
        viewer: str,
        user: str | None = None,
        authorize: Authorize | None = None,
        *,
        badges: tuple[str, ...] = (),
    ) -> Connection:
        """Return a viewer's `Connection`, for ``async with``: a web socket, say, of ``user`` (by default itself).

        ``viewer`` must be unique among those connected. ``authorize(viewer, user, room_id, frame)`` says whether what a
        client wants may be done; it may be a coroutine function; without it, see `Connection.receive`. ``badges`` are
        put on the user's messages: a client cannot claim any. Entering raises ``InvalidValue`` for a viewer that is
        connected, and ``TooManyRooms`` where ``bounds.max_connections`` are.
        """
        check_id("viewer", viewer)
        check_id("user", viewer if user is None else user)
        return Connection(self._hub, viewer, viewer if user is None else user, authorize, badges)

    @property
    def counts(self) -> Mapping[tuple[str, ...], int]:
        """What has happened at connections, by labels.

        ``("frame", kind, outcome)`` with the outcome ``taken``, ``failed`` or the name of the error that it was
        answered with; ``("resync", "slow")`` for clients that read too slowly; ``("catch_up", kind of envelope)``;
        ``("renewal", "refused")``.
        """
        return self._hub.counts

    def measures(self) -> Iterator[Measure]:
        """Tell what waits at ports and for clients, and what was given: for `RoomStateCollector`. O(streams)."""
        return measures(self._ports, self._hub)

    def _deliver(self, item: Deliver) -> None:
        super()._deliver(item)
        self._hub.deliver(item)

    def _pushed(self, item: Left) -> bool:
        if isinstance(item, AppendLog):
            self._hub.appending(item)
        return super()._pushed(item)

    def _answered(self, effect: Any, result: object) -> None:
        super()._answered(effect, result)
        if isinstance(effect, AppendLog) and self.manager.durability == "logged":
            self._hub.appended(effect.room_id)

    def _after(self, room_id: str) -> None:
        super()._after(room_id)
        self._hub.changed(room_id)

    # -- interests ---------------------------------------------------------------------------------------------------

    async def enter(self, viewer: str, room_id: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """See `RoomStateManager.enter`; returns when what had to be loaded was, or could not be: `status` says which.

        A replica's room is LOADING until its authority answers, which is not waited for.
        """
        outputs = self._do(room_id, self.manager.enter, viewer, room_id, user=user, now=now)
        await self.loaded(room_id)
        return outputs

    async def follow(self, viewer: str, room_id: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """See `RoomStateManager.follow`; returns as `enter` does."""
        outputs = self._do(room_id, self.manager.follow, viewer, room_id, user=user, now=now)
        await self.loaded(room_id)
        return outputs

    async def leave(self, viewer: str, room_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.leave`. Does not wait."""
        return self._do(room_id, self.manager.leave, viewer, room_id, now=now)

    async def disconnect(self, viewer: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.disconnect`. Does not wait."""
        return self._do(None, self.manager.disconnect, viewer, now=now)

    async def promote(self, room_id: str, tier: Tier = Tier.ACTIVE, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.promote`; returns as `enter` does."""
        outputs = self._do(room_id, self.manager.promote, room_id, tier, now=now)
        await self.loaded(room_id)
        return outputs

    async def demote(
        self, room_id: str, tier: Tier = Tier.UNLOADED, *, now: float | None = None
    ) -> tuple[Tier, Outputs]:
        """See `RoomStateManager.demote`; the tier is the one reached after the store has answered what it was asked."""
        self._require_running()
        outputs = self._carry(self.manager.demote(room_id, tier, now=now)[1], room_id)
        await self._conditions.until(room_id, lambda: room_id not in self._storing)
        return self.manager.tier(room_id), outputs

    async def warm(self, viewer: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """See `RoomStateManager.warm`. Does not wait: what is expected is loaded behind what is asked for."""
        return self._do(None, self.manager.warm, viewer, user=user, now=now)

    # -- updates -----------------------------------------------------------------------------------------------------

    async def publish(self, room_id: str, update: Update, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.publish`; with durability "logged" the log has it when this returns.

        With "relaxed" the room's head is known, with "none" it does not wait. While the store does not answer it waits.
        Cancelled then, the update is in the room still, and on its way.
        """
        self._require_running()
        outputs = self._carry(self.manager.publish(room_id, update, now=now), room_id, _tag(update))
        await self.confirmed(room_id)
        return outputs

    @overload
    async def receive(self, source: Envelope, /, *, now: float | None = None) -> Outputs: ...

    @overload
    async def receive(
        self, source: str, update: Update, /, *, cursor: str | None = None, now: float | None = None
    ) -> Outputs: ...

    async def receive(
        self,
        source: Envelope | str,
        update: Update | None = None,
        /,
        *,
        cursor: str | None = None,
        now: float | None = None,
    ) -> Outputs:
        """See `RoomStateManager.receive`. Does not wait."""
        self._require_running()
        if isinstance(source, Envelope):
            return self._carry(self.manager.receive(source, now=now), source.room_id, source.message_type)
        if update is None:
            raise InvalidValue("update", "must be given beside a room's id")
        return self._carry(self.manager.receive(source, update, cursor=cursor, now=now), source, _tag(update))

    async def send(
        self,
        room_id: str,
        content: str,
        *,
        user: str | None = None,
        client_id: str | None = None,
        extra: Mapping[str, Any] | None = None,
        now: float | None = None,
    ) -> Outputs:
        """See `RoomStateManager.send`. Does not wait: ``view(room_id).pending`` has the message until it comes back."""
        self._require_running()
        outputs = self.manager.send(room_id, content, user=user, client_id=client_id, extra=extra, now=now)
        return self._carry(outputs, room_id, "send")

    async def discard(self, room_id: str, client_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.discard`. Does not wait."""
        self._require_running()
        return self._carry(self.manager.discard(room_id, client_id, now=now), room_id, "discard")

    async def resolve(self, conflict_id: int, choice: Side | Mapping[str, Any], *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.resolve`. Does not wait."""
        return self._do(None, self.manager.resolve, conflict_id, choice, now=now)

    async def disconnected(self, room_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.disconnected`. Does not wait."""
        return self._do(room_id, self.manager.disconnected, room_id, now=now)

    async def connected(self, room_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.connected`. Does not wait."""
        return self._do(room_id, self.manager.connected, room_id, now=now)

    async def mark_read(
        self, viewer: str, room_id: str, message_id: str | None = None, *, now: float | None = None
    ) -> Outputs:
        """See `RoomStateManager.mark_read`. Does not wait."""
        return self._do(room_id, self.manager.mark_read, viewer, room_id, message_id, now=now)

    async def set_ui_state(self, viewer: str, room_id: str, state: Any, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.set_ui_state`. Does not wait."""
        return self._do(room_id, self.manager.set_ui_state, viewer, room_id, state, now=now)

    async def complete(self, request_id: int, result: object = None, *, now: float | None = None) -> Outputs:
        """Answer an effect that came back because the host has no port for it; see `RoomStateManager.complete`."""
        return self._do(None, self.manager.complete, request_id, result, now=now)

    async def fail(self, request_id: int, error: Exception | str, *, now: float | None = None) -> Outputs:
        """Say why such an effect could not be carried out; see `RoomStateManager.fail`."""
        return self._do(None, self.manager.fail, request_id, error, now=now)

    async def tick(self, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.tick`: the host calls it by itself when it is due. Does not wait."""
        return self._do(None, self.manager.tick, now=now)

    def changes(self, room_id: str | None = None) -> AsyncIterator[Change]:
        """Iterate over what changes from the first step on, in one room or in all.

        What happens to a room before you look is one `Change`. It ends when the host is closed. Ask `view` for the room
        as it is.
        """
        return self._watchers.watch(room_id)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _do(self, room_id: str | None, verb: Callable[..., Outputs], *args: Any, **options: Any) -> Outputs:
        """Call a verb of the manager, and carry out what it asks for."""
        self._require_running()
        return self._carry(verb(*args, **options), room_id)

    # -- beginning and end -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> RoomHost:
        if self._entered:
            raise InvalidValue("host", "was entered before: make another, with a store that is open")
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        self._entered = True
        self._hub.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Make durable what is not, save every room, then close the store. A second call does nothing.

        Verbs raise from now on, what waits in them raises, and every iterator ends. It lets every interest lapse by
        running the manager's clock ahead, as `SyncHost.close` does. Raises `StoreUnavailable` where the store still
        refuses after some tries: it stays open then, what is not safe stays in memory, and close can be called again.
        Cancelled, it leaves no task, and what was not safe yet is lost with the process.
        """
        if self._closed:
            return
        self._hub.close()
        self._running = False
        self._stop_timer()
        self._watchers.close()
        self._conditions.end(lambda: StoreUnavailable("host", "was closed meanwhile"))
        try:
            if self._store is not None:
                await self._wind_down(self._storing)
                self._check_safe()
                await self._off_loop(self._store.close)
            self._closed = True
        finally:
            await self._end()

    async def _end(self) -> None:
        for port in self._ports:
            await port.stop()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _check_safe(self) -> None:
        active, background, undurable = self._progress()
        if active or background or undurable:
            live = active + background
            raise StoreUnavailable("store", f"{live} rooms could not be saved, of which {undurable} bytes in no log")

    async def _wind_down(self, store: Port[Any]) -> None:
        """Bring every room to rest."""
        store.start()
        for room_id in self.manager.known():
            self._carry(self.manager.demote(room_id, Tier.CACHED)[1])
        idle = 0
        while await store.idle(CLOSING_TRIES) and any(before := self._progress()) and idle < CLOSING_TICKS:
            due = self.manager.next_deadline()
            if due is None:
                return
            self._carry(self.manager.tick(now=due + CLOSING_STEP_S))
            await store.idle(CLOSING_TRIES)
            idle = 0 if self._progress() != before else idle + 1

    def _progress(self) -> tuple[int, int, int]:
        stats = self.manager.stats()
        return stats.rooms[Tier.ACTIVE], stats.rooms[Tier.BACKGROUND], stats.undurable_bytes


def _tag(update: object) -> str:
    """The kind of an update, as it is written."""
    return str(getattr(getattr(update, "__struct_config__", None), "tag", ""))
