"""A manager and its ports on one event loop: what it asks for is carried out, what fails is tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, TypeAlias

from roomstate.effects import (
    ANSWERS,
    CloseStream,
    Deliver,
    Effect,
    Event,
    FetchMessages,
    OpenStream,
    RequestRecovery,
    SendToAuthority,
)
from roomstate.errors import InvalidValue, RoomStateError
from roomstate.host.backoff import Backoff
from roomstate.host.bounds import HostBounds
from roomstate.host.conditions import Conditions
from roomstate.host.port import Port
from roomstate.host.ports import (
    LINKING,
    STORING,
    Codec,
    LinkingEffect,
    Loader,
    StoringEffect,
    Transport,
    codec_for,
    perform,
)
from roomstate.host.readings import Readings
from roomstate.host.watching import Watchers
from roomstate.manager import RoomStateManager
from roomstate.model import Status
from roomstate.store.base import RoomStore

__all__ = ["Driver", "Left", "Outputs"]

Left: TypeAlias = Effect | Event
"""What a verb of the host returns: events, and those effects for which the host was given no port."""

Outputs: TypeAlias = tuple[Left, ...]
Observer: TypeAlias = Callable[[Left], object]

MAX_SLEEP_S: Final = 1.0
"""Seconds after which a deadline is looked at again, whatever the clock did meanwhile."""

MIN_SLEEP_S: Final = 0.005
"""Seconds between two ticks: a clock that stands still does not make the loop spin."""

_log: Final = logging.getLogger("roomstate")


class Driver(Readings):
    """What `RoomHost` is built on: see there. Everything here is synchronous: what must wait runs at a port."""

    def __init__(
        self,
        manager: RoomStateManager | None,
        *,
        store: RoomStore | None,
        loader: Loader | None,
        transport: Transport | None,
        codec: Codec | None,
        role: Literal["authority", "replica"],
        deliver: Callable[[Deliver], object] | None,
        observe: Observer | None,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        bounds: HostBounds,
        options: dict[str, Any],
    ) -> None:
        if manager is not None and options:
            raise InvalidValue(next(iter(options)), "belongs to the manager, which was given")
        options.setdefault("durability", "none" if store is None else "relaxed" if role == "replica" else "logged")
        options = {"max_retry_s": 1.0, "jitter": jitter, **options}
        made = manager if manager is not None else RoomStateManager(role=role, clock=clock, **options)
        self.manager: RoomStateManager = made
        self.role: Literal["authority", "replica"] = role
        self.bounds: HostBounds = bounds
        self._store, self._codec, self._clock, self._jitter = store, codec, clock, jitter
        self._loader, self._transport = loader, transport
        self._own_deliver, self._observe = deliver, observe
        self._conditions = Conditions()
        self._watchers = Watchers(self._revision)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._executor: ThreadPoolExecutor | None = None
        self._running = False
        self._crowd = 0  # the most that were under way or waited at the link since they were few
        self._storing = self._port("store", self._at_store, bounds.store_threads)
        self._fetching = self._port("loader", self._at_loader, bounds.parallel)
        self._linking = self._port("transport", self._at_transport, bounds.parallel)

    def _port(self, name: str, work: Callable[[Any], Any], parallel: int) -> Port[Any]:
        backoff = Backoff(0.05, self.bounds.retry_s, self._jitter)
        return Port(name, work, self._answered, parallel=parallel, timeout_s=self.bounds.timeout_s, backoff=backoff)

    @property
    def _ports(self) -> tuple[Port[Any], ...]:
        return (self._storing, self._fetching, self._linking)

    # -- ports -------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        if self._codec is None:
            self._codec = await self._off_loop(codec_for, self._store)
        self._running = True
        self._set_timer()

    async def _off_loop(self, function: Callable[..., Any], *args: object) -> Any:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.bounds.store_threads, thread_name_prefix="roomstate store")
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

    async def _at_store(self, effect: StoringEffect) -> object:
        return await self._off_loop(perform, effect, self._store, self._codec)

    async def _at_loader(self, effect: FetchMessages) -> object:
        assert self._loader is not None
        return await self._loader.fetch(effect)

    async def _at_transport(self, effect: LinkingEffect) -> object:
        transport = self._transport
        assert transport is not None
        if isinstance(effect, RequestRecovery):
            await self._spread()
            return await transport.request_recovery(effect)
        if isinstance(effect, OpenStream):
            await transport.open(effect)
        elif isinstance(effect, CloseStream):
            await transport.close(effect)
        else:
            self._check_newest(effect)
            return await transport.send(effect)
        return None

    def _check_newest(self, effect: SendToAuthority) -> None:
        """Leave out what is to be sent again behind this: it would come before what was written earlier."""
        for each in self._linking.waiting(effect.room_id):
            if isinstance(each, SendToAuthority) and each.echo.client_id == effect.echo.client_id:
                raise InvalidValue("send", f"{each.echo.client_id!r} is sent again later")

    async def _spread(self) -> None:
        """Where many rooms recover at once, after an authority's restart, come at times of our own.

        However many rooms there are, all of them together take about ``retry_s`` / 4 longer for it.
        """
        many, most = len(self._linking), self.bounds.parallel
        self._crowd = max(self._crowd, many) if many > most else 0
        if self._crowd:
            await asyncio.sleep(self._jitter() * self.bounds.retry_s / 2 * most / self._crowd)

    def _answered(self, effect: Any, result: object) -> None:
        """Give the manager what an effect came to."""
        if isinstance(effect, OpenStream | CloseStream):
            self._streamed(effect, result)
            return
        if isinstance(effect, RequestRecovery) and result == ():
            return  # what answers it comes by `receive`; the manager asks again where it does not
        manager = self.manager
        try:
            if isinstance(result, Exception):
                outputs = manager.fail(effect.request_id, result)
            else:
                outputs = manager.complete(effect.request_id, result)
        except RoomStateError as error:  # a port answered with something else than what it was asked for
            outputs = manager.fail(effect.request_id, error)
        self._carry(outputs, effect.room_id)

    def _streamed(self, effect: OpenStream | CloseStream, result: object) -> None:
        """Open again what could not be opened, unless something newer was asked for."""
        newer = any(isinstance(each, OpenStream | CloseStream) for each in self._linking.waiting(effect.room_id))
        if isinstance(result, Exception) and isinstance(effect, OpenStream) and not newer:
            self._linking.push(effect)

    # -- carrying out ------------------------------------------------------------------------------------------------

    def _carry(self, outputs: Outputs, room_id: str | None = None, kind: str = "") -> Outputs:
        """Hand effects to their ports, in order; return what is left for the caller. O(outputs)."""
        left: list[Left] = []
        timely = kind != "message_added"  # a message alone sets no deadline
        rooms = {} if room_id is None else {room_id: None}
        for item in outputs:
            rooms[item.room_id] = None
            if isinstance(item, Deliver):
                self._deliver(item)
                continue
            timely = True
            if not self._pushed(item):
                left.append(item)
        if self._watchers:
            self._note(room_id, kind, outputs)
        for each in rooms:
            self._after(each)
        for item in left:
            self._guarded(self._observe, item)
        if timely:
            self._set_timer()
        return tuple(left)

    def _pushed(self, item: Left) -> bool:
        """Hand an effect to its port, if it has one."""
        if isinstance(item, STORING):
            self._storing.push(item)
        elif isinstance(item, FetchMessages) and self._loader is not None:
            self._fetching.push(item)
        elif isinstance(item, LINKING) and self._transport is not None:
            self._linking.push(item)
        else:
            return False
        return True

    def _deliver(self, item: Deliver) -> None:
        """Give an update to its audience."""
        self._guarded(self._own_deliver, item)

    def _after(self, room_id: str) -> None:
        """Look at whatever waits for something of a room that may have changed."""
        self._conditions.look(room_id)

    def _note(self, room_id: str | None, kind: str, outputs: Outputs) -> None:
        """Tell those who watch that rooms have changed, and how."""
        if room_id is not None:
            self._watchers.note(room_id, (kind,) if kind else ())
        for item in outputs:
            if isinstance(item, Deliver):
                self._watchers.note(item.room_id, (str(item.update.__struct_config__.tag),))
            elif type(item) not in ANSWERS:
                self._watchers.note(item.room_id, (type(item).__name__,))

    def _guarded(self, call: Callable[[Any], object] | None, item: Left) -> None:
        """Call the program's own function; what it raises is logged, and stops nothing here."""
        if call is not None:
            try:
                call(item)
            except Exception:
                _log.exception("the program's own function raised", extra={"room": item.room_id})

    def _revision(self, room_id: str) -> tuple[int, int]:
        progress = self.manager.progress(room_id)
        return (progress.seq, progress.changes) if progress is not None else (0, 0)

    def _require_running(self) -> None:
        if not self._running:
            raise InvalidValue("host", "must be entered with async with, and is of no use after")

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def loaded(self, room_id: str) -> None:
        """Wait until what was asked of the store for a room has come, or has failed: its status then says so.

        A replica's room is LOADING until its authority answers, which is not waited for.
        """
        if self.role == "authority":
            await self._conditions.until(room_id, lambda: not self._loading(room_id))

    def _loading(self, room_id: str) -> bool:
        held = self.manager.progress(room_id) is not None
        return held and self.manager.status(room_id) is Status.LOADING

    async def confirmed(self, room_id: str) -> None:
        """Wait until all that a room has been told by now has its place, and with "logged" until the log has it."""
        await self._conditions.until(room_id, lambda: not self._unnumbered(room_id))
        progress = self.manager.progress(room_id)
        if progress is not None and self.manager.durability == "logged":
            seq = progress.seq
            await self._conditions.until(room_id, lambda: self._safe(room_id, seq))

    def _unnumbered(self, room_id: str) -> bool:
        progress = self.manager.progress(room_id)
        return progress is not None and progress.waiting > 0

    def _safe(self, room_id: str, seq: int) -> bool:
        progress = self.manager.progress(room_id)
        return progress is None or progress.durable >= seq

    # -- time --------------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """See to it that `tick` is called when it is due."""
        due = self.manager.next_deadline() if self._running else None
        if due is None or due >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        delay = min(max(due - self._clock(), MIN_SLEEP_S), MAX_SLEEP_S)
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._carry(self.manager.tick())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, float("inf")
