"""Each of the three readings finds what is wrong with what it reads; and only declared gaps excuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from roomstate.cli.logline import LogLine
from roomstate.cli.play import LogClock, Player, manager_of, message_of
from roomstate.cli.proof import Ledger, Verdict
from roomstate.cli.readback import live_views, verdicts
from roomstate.cli.watch import Watch
from roomstate.effects import LogEntry
from roomstate.holding.view import RoomView
from roomstate.host import SyncHost
from roomstate.model import Tier
from roomstate.position import Gap
from roomstate.store import MemoryStore
from roomstate.updates import MessageAdded

Entries = tuple[LogEntry, ...]
COUNT = 60


class Faulty(MemoryStore):
    """A store whose log reads otherwise than it was written, once it is told how."""

    fault: Callable[[Entries], Entries] | None = None

    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = 1000) -> Entries:
        entries = super().read(room_id, after, upto, limit)
        return self.fault(entries) if self.fault else entries


class Played:
    """A room that was played: nothing of it is in memory, or its newest 50 messages."""

    def __init__(self, *, live: bool, repeat: bool = False) -> None:
        clock = LogClock()
        self.store, self.ledger = Faulty(), Ledger()
        player = Player(manager_of(clock, 1, 0), self.store, clock, Watch())
        self.host: SyncHost = player.host
        for line in self.lines(live, repeat):
            player.play(line)
            self.ledger.feed(line)

    @staticmethod
    def lines(live: bool, repeat: bool) -> Iterator[LogLine]:
        for number in range(COUNT):
            yield LogLine(1.0, "rust", "ada", f"text {number}", str(number))
        if repeat:
            yield LogLine(20_000.0, "rust", "ada", "text 0", "0")
            yield LogLine(20_000.0, "rust", "ada", "last", "last")
        yield LogLine(20_301.0 if live else 90_000.0, "go", "bob", "hi", "1")

    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        return verdicts(self.ledger, live_views(self.host), self.store)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("repeat", [False, True])
def test_what_is_whole_reads_whole(live: bool, repeat: bool) -> None:
    played = Played(live=live, repeat=repeat)
    total = COUNT + 1 + repeat
    assert played.host.tier("rust") is (Tier.BACKGROUND if live and repeat else Tier.UNLOADED)
    assert set(played.verdicts()) == {Verdict(fed=total, found=total, repeated=int(repeat))}


def drop(entries: Entries) -> Entries:
    return tuple(entry for entry in entries if entry.seq != 5)


def again(entries: Entries) -> Entries:
    return tuple(copy for entry in entries for copy in ([entry, entry] if entry.seq == 5 else [entry]))


def swap(entries: Entries) -> Entries:
    return (*entries[:4], entries[5], entries[4], *entries[6:]) if len(entries) > 6 else entries


def change(entries: Entries) -> Entries:
    return tuple(
        LogEntry(entry.seq, entry.ordinal, entries[0].update) if entry.seq == 5 else entry for entry in entries
    )


@pytest.mark.parametrize(
    ("fault", "count"), [(drop, "lost"), (again, "duplicated"), (swap, "out_of_order"), (change, "duplicated")]
)
@pytest.mark.parametrize("live", [False, True])
def test_a_log_that_is_not_as_it_was_fed_is_found(fault: Callable[[Entries], Entries], count: str, live: bool) -> None:
    played = Played(live=live, repeat=True)
    played.store.fault = fault
    told, logged, _ = played.verdicts()
    assert not logged.holds
    assert getattr(logged, count) == 1
    assert told == logged  # seq 5 lies before what memory holds


class Forgetful(SyncHost):
    """A host whose views lack the newest message, and may say so."""

    gaps_told: tuple[Gap, ...] = ()

    def view(self, room_id: str) -> RoomView:
        view = super().view(room_id)
        return structs.replace(view, messages=view.messages[:-1], gaps=self.gaps_told)


@pytest.mark.parametrize("admits", [False, True])
def test_a_message_missing_in_memory_is_lost_unless_a_gap_says_so(admits: bool) -> None:
    lines = [LogLine(1.0, "rust", "ada", "hi", name) for name in "abac"]
    ledger, store = Ledger(), MemoryStore()
    for line in lines:
        ledger.feed(line)
    store.append("rust", "e", [LogEntry(n, n, MessageAdded(message_of(line))) for n, line in enumerate(lines, 1)])
    host = Forgetful(store=store, clock=lambda: 1.0)
    host.enter("ada", "rust")
    host.gaps_told = (Gap(3, 4),) if admits else ()  # "c" lies at seq 4 and is the third: seq 3 holds nothing
    told, logged, restarted = verdicts(ledger, live_views(host), store)
    assert (told.in_gaps, told.lost, told.repeated) == ((1, 0, 1) if admits else (0, 1, 1))
    assert (told.holds, logged.holds, restarted.holds) == (admits, True, True)


def test_a_room_that_the_store_never_heard_of_is_lost() -> None:
    played = Played(live=False)
    played.ledger.feed(LogLine(0.0, "zig", "ada", "hi", "1"))
    assert [verdict.lost for verdict in played.verdicts()] == [1, 1, 1]
