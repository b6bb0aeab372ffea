"""Every message of a replay, read back three ways: as the manager tells it, off the log alone, after a restart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from roomstate.cli.logline import LogLine
from roomstate.cli.play import line_of
from roomstate.cli.proof import Ledger, Verdict
from roomstate.effects import LogEntry
from roomstate.holding.view import RoomView
from roomstate.host.sync import SyncHost
from roomstate.model import Tier, as_message
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.store.base import PAGE, RoomStore
from roomstate.updates import MessageAdded

__all__ = ["READINGS", "live_views", "verdicts"]

READINGS = ("memory, then the log", "the log alone", "after a restart")
"""The three readings, in the order of `verdicts`."""


def live_views(host: SyncHost) -> Mapping[str, RoomView]:
    """What the host has in memory, room by room. Taken before the host is closed, which brings its rooms to rest."""
    return {room: host.view(room) for room in host.known() if host.tier(room) >= Tier.BACKGROUND}


def verdicts(ledger: Ledger, views: Mapping[str, RoomView], store: RoomStore) -> tuple[Verdict, Verdict, Verdict]:
    """Compare what was fed with each reading: ``views`` of the rooms in memory, and ``store``, open again to read.

    A manager says of a live room that messages after ``held_after`` are in memory, but for its gaps, and those up to
    it in the log: the first reading takes it at its word. The third asks a new manager for each room, which sees only
    what the store has: snapshots, and the log after them. Memory: the largest room.
    """
    told = logged = restarted = Verdict()
    codec = SnapshotCodec()
    for room in ledger.rooms():
        log = _Log(store, room)
        told += log.verdict(ledger, views.get(room))
        logged += log.verdict(ledger, None)
        with_new = SyncHost(store=store, codec=codec, clock=lambda: 0.0)  # never closed: the store is not its own
        with_new.enter("reader", room)
        restarted += log.verdict(ledger, with_new.view(room))
    return told, logged, restarted


class _Log:
    """One room's log as the store has it, whole in memory."""

    def __init__(self, store: RoomStore, room: str) -> None:
        self._room = room
        self.lines: list[LogLine] = []
        self.seqs: list[int] = []
        self._voids: list[int] = []
        head = store.head(room)
        upto = head.position.seq if head is not None else 0
        for after in range(0, upto, PAGE):
            self._take(store.read(room, after, min(after + PAGE, upto), PAGE))

    def _take(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            if isinstance(entry.update, MessageAdded):
                self.lines.append(line_of(self._room, as_message(entry.update.message)))
                self.seqs.append(entry.seq)
            else:
                self._voids.append(entry.seq)

    def verdict(self, ledger: Ledger, view: RoomView | None) -> Verdict:
        """What becomes of the room as ``view`` tells it; None: as the log alone does."""
        if view is None:
            return ledger.verdict(self._room, self.lines)
        return ledger.verdict(self._room, self._told(view), self._places(view))

    def _told(self, view: RoomView) -> Iterator[LogLine]:
        begin, end = bisect_right(self.seqs, view.floor), bisect_right(self.seqs, view.held_after)
        yield from self.lines[begin:end]
        for message in view.messages:
            yield line_of(self._room, as_message(message))

    def _places(self, view: RoomView) -> Sequence[tuple[int, int]]:
        """The view's gaps by messages counted from 0: a seq that holds nothing is none."""
        return [(self._place(gap.after), self._place(gap.upto)) for gap in view.gaps]

    def _place(self, seq: int) -> int:
        return seq - bisect_right(self._voids, seq)
