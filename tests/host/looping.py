"""An event loop whose time is made: sleeping costs nothing, and what works in a thread is waited for."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

START = 1_000_000.0
MOST_S = 100_000.0
"""Time after which whoever is waited for will not come: timers alone go on."""


class _Selector(selectors.DefaultSelector):
    """Where the loop would sleep, its time goes on."""

    loop: FakeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.busy:
            return super().select(0.5)
        if timeout is None:
            raise RuntimeError("nothing will ever happen")
        self.loop.now += timeout
        if self.loop.now > MOST_S:
            raise RuntimeError(f"nothing but timers has gone on until {self.loop.now:.0f} s")
        return []


class FakeLoop(asyncio.SelectorEventLoop):
    """Runs on time of its own: `clock` is that time, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self.busy += 1
        future.add_done_callback(self._less_busy)
        return future

    def _less_busy(self, future: Any) -> None:
        self.busy -= 1


def _uvloop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
    return loop


LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(_uvloop, id="uvloop")]
"""Real loops: what is parametrised by them takes its time, and says that a host depends on none of them."""


def run_on(new_loop: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, T], most_s: float = 30.0) -> T:
    """Run a coroutine on a loop of that kind, in at most so many seconds; no task may be left."""

    async def checked() -> T:
        async with asyncio.timeout(most_s):
            result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(checked())


def clock() -> float:
    """The time on the running loop, as a wall clock."""
    return START + asyncio.get_running_loop().time()


def run(main: Callable[[], Coroutine[Any, Any, T]], *, left: int = 0) -> T:
    """Run a coroutine on a `FakeLoop`; no task may be left but ``left``."""

    async def checked() -> T:
        try:
            return await main()
        finally:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            assert len(tasks) == left, tasks

    with asyncio.Runner(loop_factory=FakeLoop) as runner:
        return runner.run(checked())


class CancelAt:
    """Awaits a coroutine, and cancels the task that does so at its n-th pause. ``pauses`` says how many there were."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int) -> None:
        self.coroutine = coroutine
        self.at = at
        self.pauses = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self.coroutine.__await__()
        task = asyncio.current_task()
        assert task is not None
        send: Callable[[], Any] = lambda: next(inner)  # noqa: E731
        while True:
            try:
                pause = send()
            except StopIteration as end:
                return end.value
            self.pauses += 1
            if self.pauses == self.at:
                task.cancel()
            try:
                got = yield pause
            except BaseException as error:
                caught = error
                send = lambda: inner.throw(caught)  # noqa: E731, B023
            else:
                send = lambda: inner.send(got)  # noqa: E731, B023
