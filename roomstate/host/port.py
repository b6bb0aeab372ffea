"""Where the work of one kind goes out: a store, a source, a link to an authority."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from roomstate.errors import StoreUnavailable
from roomstate.host.backoff import Backoff
from roomstate.host.lanes import Lanes

__all__ = ["Port", "Work"]

_log: Final = logging.getLogger("roomstate")


class Work(Protocol):
    """An effect: work for one room."""

    @property
    def room_id(self) -> str:
        """The room."""
        ...


W = TypeVar("W", bound=Work)


class Port(Generic[W]):
    """Carries out work: that of one room in order and one at a time, at most ``parallel`` rooms at once.

    ``work`` does it; ``answer`` is called with the result, or with the exception that says why there is none: whatever
    ``work`` raised, or a ``TimeoutError`` after ``timeout_s``. A port that does not answer (`StoreUnavailable`,
    ``OSError``) is tried with one piece of work at a time, after pauses that ``backoff`` gives, until one succeeds;
    the rest waits in order meanwhile. A piece of work is given to ``work`` once: trying it again is for whoever asked.

    It belongs to one event loop. Nothing runs while there is nothing to do.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[W], Awaitable[object]],
        answer: Callable[[W, object], None],
        *,
        parallel: int,
        timeout_s: float,
        backoff: Backoff,
    ) -> None:
        self.name: str = name
        self.parallel: int = parallel
        self.timeout_s: float = timeout_s
        self._work, self._answer, self._backoff = work, answer, backoff
        self._lanes: Lanes[W] = Lanes()
        self._tasks: dict[asyncio.Task[None], W] = {}
        self._pause: asyncio.TimerHandle | None = None
        self._stopped = False
        self._most_failures = sys.maxsize
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """How much work is under way or waits."""
        return len(self._lanes) + len(self._tasks)

    def __contains__(self, room_id: object) -> bool:
        """Whether a room has work under way or waiting."""
        return room_id in self._lanes

    @property
    def down(self) -> bool:
        """Whether the last work found that the port does not answer."""
        return self._backoff.failures > 0

    def waiting(self, room_id: str) -> tuple[W, ...]:
        """Return what waits for a room and has not begun."""
        return self._lanes.waiting(room_id)

    def push(self, work: W) -> None:
        """Take work on. O(1)."""
        self._lanes.push(work.room_id, work)
        self._idle.clear()
        self._begin()

    async def idle(self, most_failures: int = sys.maxsize) -> bool:
        """Wait until nothing is under way and nothing waits: True; or until so many failures in a row: False."""
        self._most_failures = most_failures
        self._look()
        await self._idle.wait()
        return not len(self)

    def _look(self) -> None:
        """Say whether those who wait in `idle` may go."""
        if not len(self) or self._backoff.failures >= self._most_failures:
            self._idle.set()
        else:
            self._idle.clear()

    def _begin(self) -> None:
        """Begin as much as may begin now."""
        most = 0 if self._stopped or self._pause is not None else 1 if self.down else self.parallel
        while len(self._tasks) < most and (work := self._lanes.take()) is not None:
            task = asyncio.get_running_loop().create_task(self._run(work), name=f"roomstate {self.name} {work.room_id}")
            self._tasks[task] = work

    async def _run(self, work: W) -> None:
        result = await self._result(work)  # cancelled here, `stop` puts the work back
        task = asyncio.current_task()
        if task in self._tasks:  # else it was to be cancelled, and would not be
            del self._tasks[task]
            self._ended(work, result)

    def _ended(self, work: W, result: object) -> None:
        self._lanes.done(work.room_id)
        self._pace(result)
        try:
            self._answer(work, result)
        finally:  # whatever that raises is the event loop's to tell, and holds up no other work
            self._begin()
            self._look()

    async def _result(self, work: W) -> object:
        """Return what the work came to: its result, or why there is none."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._work(work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # we are to stop; else somebody below was, and this work is merely lost
            return StoreUnavailable(self.name, "the work was cancelled")
        except TimeoutError as error:
            return TimeoutError(str(error) or f"{self.name}: no answer within {self.timeout_s:g} s")
        except Exception as error:  # whatever a port raises: the manager keeps what it holds
            return error

    def _pace(self, result: object) -> None:
        """Slow down while the port does not answer, and say so once."""
        if isinstance(result, StoreUnavailable | OSError):
            if not self.down:
                _log.warning("%s does not answer: %s", self.name, result)
            if self._pause is None:
                delay = self._backoff.failed()
                self._pause = asyncio.get_running_loop().call_later(delay, self._resume)
        elif not isinstance(result, Exception) and self._backoff.succeeded():
            _log.warning("%s answers again", self.name)

    def _resume(self) -> None:
        self._pause = None
        self._begin()

    async def stop(self) -> None:
        """Cancel what is under way: when it returns no task is left, and what is not done waits for `start`."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        tasks, self._tasks = self._tasks, {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for work in tasks.values():
            self._lanes.back(work.room_id, work)

    def start(self) -> None:
        """Go on after `stop`, with new hope."""
        self._stopped = False
        self._backoff.succeeded()
        self._begin()
