"""The one thread that writes to a file: jobs that arrive while a commit is under way share the next one."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

from roomstate.errors import RoomStateError, StoreUnavailable
from roomstate.store.faults import translate

__all__ = ["MAX_GROUP", "Writer"]

T = TypeVar("T")

MAX_GROUP: Final = 256
"""Jobs in one commit. Jobs waiting are at most as many as the threads that call: each waits for its own."""


class _Job:
    """Work to be done inside a transaction, and what came of it. ``done`` is locked until it is settled."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Writer:
    """Runs jobs on one connection, in one thread, a group to a transaction.

    A job may raise one of our errors as long as it has written nothing: then only that job fails. What SQLite raises
    undoes the whole group, and each of its jobs fails with the same error.
    """

    def __init__(self, open_one: Callable[[], sqlite3.Connection], where: str) -> None:
        self._open_one, self._where = open_one, where
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self.commits = 0
        self._connection = open_one()
        self._thread = threading.Thread(target=self._work, name=f"roomstate {where}", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Have ``work`` done and committed; returns its result, or raises what it or the commit raised."""
        job = _Job(work)
        with self._lock:
            if self._closed:
                raise StoreUnavailable(self._where, "is closed")
            self._jobs.put(job)
        job.done.acquire()
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    def close(self) -> None:
        """Finish the jobs at hand, then end the thread and close the connection."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._gather()
            self._commit(group)
            for job in group:
                job.done.release()
            del group  # results belong to their callers
        with suppress(sqlite3.Error):
            self._connection.close()

    def _gather(self) -> tuple[list[_Job], bool]:
        """Wait for a job, and take the others that are there already; and whether more will come."""
        job = self._jobs.get()
        group: list[_Job] = []
        while job is not None:
            group.append(job)
            if len(group) == MAX_GROUP or self._jobs.empty():
                return group, True
            job = self._jobs.get()
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        if not group:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                self._try(job)
            self._connection.execute("COMMIT")
            self.commits += 1
        except BaseException as error:
            self._undo()
            for job in group:
                job.error = self._named(error)

    def _try(self, job: _Job) -> None:
        try:
            job.result = job.work(self._connection)
        except RoomStateError as error:
            job.error = error

    def _named(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        ours = translate(self._where, error)
        ours.__cause__ = error
        return ours

    def _undo(self) -> None:
        """End the transaction; where even that fails, start again with a new connection."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                self._connection.close()
            with suppress(sqlite3.Error, RoomStateError):
                self._connection = self._open_one()
