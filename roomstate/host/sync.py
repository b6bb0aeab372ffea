"""A manager that carries out its own effects, one after the other, in the thread that calls it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, TypeAlias, overload

from roomstate.effects import Deliver, Effect, Event, FetchMessages, Recovered, SaveFailed
from roomstate.errors import InvalidValue, RoomStateError, StoreUnavailable
from roomstate.host.ports import STORING, Codec, codec_for, perform
from roomstate.host.readings import Readings
from roomstate.host.steady import Steady
from roomstate.manager import RoomStateManager
from roomstate.model import Tier
from roomstate.store.base import RoomStore
from roomstate.sync.envelope import Envelope
from roomstate.sync.strategies import Side
from roomstate.updates import Update

__all__ = ["Left", "SyncHost"]

Left: TypeAlias = Effect | Event
"""What a verb of the host returns: events, and those effects for which the host was given no port."""

Outputs: TypeAlias = tuple[Left, ...]

CLOSING_TRIES: Final = 8
"""How often the store may refuse something while `SyncHost.close` makes everything safe, before it gives up."""

CLOSING_STEP_S: Final = 3600.0
"""Seconds by which `SyncHost.close` runs the clock ahead in one step: more than any interest lasts by default."""

CLOSING_TICKS: Final = 200
"""Such steps without progress before it gives up; each lets up to 1000 interests lapse."""


class SyncHost(Readings):
    """Drives a `RoomStateManager` against a store: every verb of the manager, done to the end before it returns.

    ``store`` and ``codec`` carry out what is to be loaded, appended and saved (`host.ports.perform`); ``deliver`` is
    called with each `Deliver`, in order; ``fetch`` is called with each `FetchMessages` and returns what was missing,
    or raises. Effects without a port come back from the verb, in order, among its events; answer those that ask for
    something with `complete` or `fail`. What fails at the store is tried again by the manager at its own deadlines:
    call `tick` when `next_deadline` is due. Where ``clock`` is set back, time goes on at half its speed until that has
    caught up.

    Without a ``manager`` one is made of ``options`` (see `RoomStateManager`), with durability "logged" if there is a
    store. It belongs to one thread. ``deliver`` and ``fetch`` may call verbs: those return () at once, and what they
    bring comes back from the verb under way. What ``deliver`` raises goes to its caller; what was still to be done is
    done by the next verb.

    >>> from roomstate.store import MemoryStore
    >>> from roomstate.model import Message
    >>> from roomstate.updates import MessageAdded
    >>> told = []
    >>> with SyncHost(store=MemoryStore(), deliver=told.append) as host:
    ...     _ = host.enter("ada", "rust")
    ...     _ = host.publish("rust", MessageAdded(Message("1", "bob", "hi ada")))
    ...     print(host.view("rust").durable, told[0].recipients)
    1 ('ada',)
    """

    def __init__(
        self,
        manager: RoomStateManager | None = None,
        *,
        store: RoomStore | None = None,
        codec: Codec | None = None,
        deliver: Callable[[Deliver], object] | None = None,
        fetch: Callable[[FetchMessages], Recovered] | None = None,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        if manager is not None and options:
            raise InvalidValue(next(iter(options)), "belongs to the manager, which was given")
        options.setdefault("durability", "none" if store is None else "logged")
        made = manager if manager is not None else RoomStateManager(clock=Steady(clock), **options)
        self.manager: RoomStateManager = made
        self._store, self._codec = store, codec if codec is not None else codec_for(store)
        self._deliver, self._fetch = deliver, fetch
        self._todo: deque[Left] = deque()
        self._driving = False
        self._closed = False

    # -- driving -----------------------------------------------------------------------------------------------------

    def _drive(self, outputs: tuple[Left, ...]) -> Outputs:
        """Carry out effects until none is left; what is for the caller."""
        if not outputs and not self._todo:
            return ()
        self._todo.extend(outputs)
        if self._driving:
            return ()
        left: list[Left] = []
        self._driving = True
        try:
            while self._todo:
                self._carry_out(self._todo.popleft(), left)
        finally:
            self._driving = False
        return tuple(left)

    def _carry_out(self, item: Left, left: list[Left]) -> None:
        if isinstance(item, Deliver) and self._deliver is not None:
            self._deliver(item)
        elif isinstance(item, STORING):
            self._answer(item.request_id, lambda: perform(item, self._store, self._codec))
        elif isinstance(item, FetchMessages) and self._fetch is not None:
            fetch = self._fetch
            self._answer(item.request_id, lambda: fetch(item))
        else:
            left.append(item)

    def _answer(self, request_id: int, work: Callable[[], object]) -> None:
        """Whatever a store, a codec or a source raises, or answers that cannot be: the manager keeps what it holds."""
        try:
            result = work()
        except Exception as error:
            outputs = self.manager.fail(request_id, error)
        else:
            try:
                outputs = self.manager.complete(request_id, result)
            except RoomStateError as error:
                outputs = self.manager.fail(request_id, error)
        self._todo.extend(outputs)

    # -- the manager's verbs -----------------------------------------------------------------------------------------

    def enter(self, viewer: str, room_id: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """See `RoomStateManager.enter`; when it returns the room is as full as the store can make it."""
        return self._drive(self.manager.enter(viewer, room_id, user=user, now=now))

    def follow(self, viewer: str, room_id: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """See `RoomStateManager.follow`."""
        return self._drive(self.manager.follow(viewer, room_id, user=user, now=now))

    def leave(self, viewer: str, room_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.leave`."""
        return self._drive(self.manager.leave(viewer, room_id, now=now))

    def disconnect(self, viewer: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.disconnect`."""
        return self._drive(self.manager.disconnect(viewer, now=now))

    def promote(self, room_id: str, tier: Tier = Tier.ACTIVE, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.promote`."""
        return self._drive(self.manager.promote(room_id, tier, now=now))

    def demote(self, room_id: str, tier: Tier = Tier.UNLOADED, *, now: float | None = None) -> tuple[Tier, Outputs]:
        """See `RoomStateManager.demote`; the tier is the one reached after what had to be saved was saved."""
        _, outputs = self.manager.demote(room_id, tier, now=now)
        left = self._drive(outputs)
        return self.manager.tier(room_id), left

    def warm(self, viewer: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """See `RoomStateManager.warm`; when it returns the rooms are loaded. It may take as long as three loads."""
        return self._drive(self.manager.warm(viewer, user=user, now=now))

    def publish(self, room_id: str, update: Update, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.publish`; with durability "logged" the log has it when this returns, or is behind.

        ``view(room_id).durable`` says how far the log is safe, and `SaveFailed` among what is returned why it is not.
        """
        return self._drive(self.manager.publish(room_id, update, now=now))

    @overload
    def receive(self, source: Envelope, /, *, now: float | None = None) -> Outputs: ...

    @overload
    def receive(
        self, source: str, update: Update, /, *, cursor: str | None = None, now: float | None = None
    ) -> Outputs: ...

    def receive(
        self,
        source: Envelope | str,
        update: Update | None = None,
        /,
        *,
        cursor: str | None = None,
        now: float | None = None,
    ) -> Outputs:
        """See `RoomStateManager.receive`."""
        if isinstance(source, Envelope):
            return self._drive(self.manager.receive(source, now=now))
        if update is None:
            raise InvalidValue("update", "must be given beside a room's id")
        return self._drive(self.manager.receive(source, update, cursor=cursor, now=now))

    def send(
        self,
        room_id: str,
        content: str,
        *,
        user: str | None = None,
        client_id: str | None = None,
        extra: Mapping[str, Any] | None = None,
        now: float | None = None,
    ) -> Outputs:
        """See `RoomStateManager.send`."""
        sent = self.manager.send(room_id, content, user=user, client_id=client_id, extra=extra, now=now)
        return self._drive(sent)

    def discard(self, room_id: str, client_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.discard`."""
        return self._drive(self.manager.discard(room_id, client_id, now=now))

    def resolve(self, conflict_id: int, choice: Side | Mapping[str, Any], *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.resolve`."""
        return self._drive(self.manager.resolve(conflict_id, choice, now=now))

    def disconnected(self, room_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.disconnected`."""
        return self._drive(self.manager.disconnected(room_id, now=now))

    def connected(self, room_id: str, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.connected`."""
        return self._drive(self.manager.connected(room_id, now=now))

    def mark_read(
        self, viewer: str, room_id: str, message_id: str | None = None, *, now: float | None = None
    ) -> Outputs:
        """See `RoomStateManager.mark_read`."""
        return self._drive(self.manager.mark_read(viewer, room_id, message_id, now=now))

    def set_ui_state(self, viewer: str, room_id: str, state: Any, *, now: float | None = None) -> Outputs:
        """See `RoomStateManager.set_ui_state`."""
        return self._drive(self.manager.set_ui_state(viewer, room_id, state, now=now))

    def complete(self, request_id: int, result: object = None, *, now: float | None = None) -> Outputs:
        """Answer an effect that came back because the host has no port for it; see `RoomStateManager.complete`."""
        return self._drive(self.manager.complete(request_id, result, now=now))

    def fail(self, request_id: int, error: Exception | str, *, now: float | None = None) -> Outputs:
        """Say why such an effect could not be carried out; see `RoomStateManager.fail`."""
        return self._drive(self.manager.fail(request_id, error, now=now))

    def tick(self, *, now: float | None = None) -> Outputs:
        """Do what is due: lapses, retries, expiry. Call it when `next_deadline` is due."""
        return self._drive(self.manager.tick(now=now))

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Make durable what is not, save every room, then close the store. A second call does nothing.

        It lets every interest lapse by running the manager's clock ahead: what a log does not keep (read markers, UI
        state, notifications) is in the snapshots then, and the manager is of no further use. Raises `StoreUnavailable`
        where the store still refuses after ``CLOSING_TRIES`` tries: then it stays open, what is not safe stays in
        memory, and close can be called again.
        """
        if self._closed:
            return
        self._drive(())
        if self._store is not None:
            self._wind_down()
            live, undurable = self._unsafe()
            if live or undurable:
                raise StoreUnavailable(
                    "store", f"{live} rooms could not be saved, of which {undurable} bytes in no log"
                )
            self._store.close()
        self._closed = True

    def _unsafe(self) -> tuple[int, int]:
        """Rooms that are in memory only, in whole or in part, and bytes of updates that no log has."""
        stats = self.manager.stats()
        return stats.rooms[Tier.ACTIVE] + stats.rooms[Tier.BACKGROUND], stats.undurable_bytes

    def _wind_down(self) -> None:
        """Bring every room to rest."""
        for room_id in self.manager.known():
            self._drive(self.manager.demote(room_id, Tier.CACHED)[1])
        refused = idle = 0
        while any(before := self._progress()) and refused < CLOSING_TRIES and idle < CLOSING_TICKS:
            due = self.manager.next_deadline()
            if due is None:
                return
            left = self._drive(self.manager.tick(now=due + CLOSING_STEP_S))
            refused += any(isinstance(each, SaveFailed) for each in left)
            idle = 0 if self._progress() != before else idle + 1

    def _progress(self) -> tuple[int, int, int]:
        stats = self.manager.stats()
        return stats.rooms[Tier.ACTIVE], stats.rooms[Tier.BACKGROUND], stats.undurable_bytes

    def __enter__(self) -> SyncHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
