"""A journal of a manager's calls: what a recorder wrote down replays to the same state, byte for byte.

>>> from roomstate import Message, MessageAdded, RoomStateManager
>>> recorder = Recorder(RoomStateManager(new_epoch=lambda: "e1"), clock=lambda: 5.0)
>>> _ = recorder.enter("ada", "rust")
>>> _ = recorder.publish("rust", MessageAdded(Message("1", "bob", "hi")))
>>> [call.verb for call in recorder.journal], recorder.journal[0].now
(['enter', 'publish'], 5.0)
>>> again = RoomStateManager(new_epoch=lambda: "e1")
>>> _ = replay(recorder.journal, again)
>>> again.view("rust").messages == recorder.view("rust").messages
True
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from roomstate.errors import RoomStateError
from roomstate.manager import RoomStateManager

__all__ = ["VERBS", "Call", "Recorder", "replay"]

VERBS: Final = frozenset(
    """
    enter follow leave disconnect promote demote publish receive disconnected connected send discard resolve complete
    fail tick mark_read set_ui_state warm
    """.split()
)
"""The verbs of `RoomStateManager` that change something: all that a journal holds."""


class Call(Struct, frozen=True):
    """One call of a verb, with the instant at which it took place. ``args`` are kept as given, not copied."""

    verb: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    now: float

    def make(self, manager: RoomStateManager) -> Any:
        """Make the call; return what it returned, or the `RoomStateError` that it raised."""
        try:
            return getattr(manager, self.verb)(*self.args, **self.kwargs, now=self.now)
        except RoomStateError as error:
            return error


class Recorder:
    """Stands before a manager and writes down each verb that is called, before it is; everything else passes through.

    ``now`` is filled in from ``clock`` where a call leaves it out: the manager's own clock is never asked. A replay
    needs a manager made with the same options, and a ``new_epoch`` and a ``jitter`` that give the same again. The
    journal has no bound: it is for tests and for finding faults.
    """

    def __init__(self, manager: RoomStateManager, clock: Callable[[], float] = time.time) -> None:
        self.manager = manager
        self.journal: list[Call] = []
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        if name not in VERBS:
            return getattr(self.manager, name)

        def record(*args: Any, now: float | None = None, **kwargs: Any) -> Any:
            at = self._clock() if now is None else now
            self.journal.append(Call(name, args, kwargs, at))
            return getattr(self.manager, name)(*args, **kwargs, now=at)

        return record


def replay(journal: Iterable[Call], manager: RoomStateManager) -> list[Any]:
    """Make the calls of a journal again; return what each returned, or the error that it raised. O(calls)."""
    return [call.make(manager) for call in journal]
