"""``python -m roomstate replay``: play chat logs through a manager and a store on disk, and prove that all is there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import msgspec

from roomstate.cli.arguments import add_log_arguments, log_lines
from roomstate.cli.logline import LogLine
from roomstate.cli.play import LogClock, Player, manager_of
from roomstate.cli.proof import Ledger
from roomstate.cli.readback import live_views, verdicts
from roomstate.cli.report import Report
from roomstate.cli.terminal import Advance, Terminal
from roomstate.cli.watch import Watch, peak_memory
from roomstate.errors import InvalidValue
from roomstate.store.sqlite import SQLiteStore

__all__ = ["add_parser", "replay", "run"]

SAMPLE_EVERY = 500
"""Messages between two looks at what the tiers hold: one look costs about as much as ten messages."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "replay",
        help="play chat logs through a manager and a store on disk",
        description="Plays chat logs as a busy server would live them: each author is a viewer, rooms go up and "
        "down the tiers by the log's own time. Then reads every message back: status 1 unless all are there, once and "
        "in order.",
    )
    add_log_arguments(parser)
    parser.add_argument(
        "--cached-rooms", type=_positive, default=100, metavar="N", help="rooms in the cache (default 100)"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="play the first N messages only")
    parser.add_argument("--store", type=Path, metavar="PATH", help="a new file to keep (default: a temporary one)")
    parser.add_argument(
        "--synchronous",
        choices=("NORMAL", "FULL"),
        default="NORMAL",
        help="NORMAL: an append survives the end of the process; FULL: also a power cut, at one disk flush for each "
        "message (default NORMAL)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, and no table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and report; 1 unless the proof holds."""
    terminal = Terminal(quiet=args.json)
    report = replay(args, terminal)
    if args.json:
        print(json.dumps(report.to_json()), file=terminal.out)
    else:
        report.show(terminal)
    return 0 if report.holds else 1


def replay(args: argparse.Namespace, terminal: Terminal) -> Report:
    """Play what ``args`` names, and read it back. Raises `RoomStateError` for what cannot be read or written."""
    lines, tally = log_lines(args, terminal)
    with closing(lines), _path(args.store) as path:
        clock, ledger, watch = LogClock(), Ledger(), Watch()
        before, start, cpu = peak_memory(), perf_counter(), process_time()
        store = SQLiteStore(path, synchronous=args.synchronous)
        player = Player(manager_of(clock, args.cached_rooms, args.seed), store, clock, watch)
        with player.host, terminal.progress("messages", args.limit) as advance:
            messages, raw_bytes, began = _play(islice(lines, args.limit), player, ledger, watch, advance)
            views = live_views(player.host)
        played, cpu, peak = perf_counter(), process_time() - cpu, peak_memory()
        with SQLiteStore(path, readonly=True) as store:
            found = verdicts(ledger, views, store)
        return Report(
            messages=messages,
            rooms=len(ledger.rooms()),
            viewers=player.viewers,
            log_s=clock.now - began,
            play_s=played - start,
            play_cpu_s=cpu,
            proof_s=perf_counter() - played,
            raw_bytes=raw_bytes,
            store_bytes=path.stat().st_size,
            peak_bytes=peak,
            grown_bytes=peak - before if peak is not None and before is not None else None,
            cached_rooms=args.cached_rooms,
            synchronous=args.synchronous,
            room_s=watch.room_seconds(clock.now),
            watch=watch,
            tally=tally,
            verdicts=found,
        )


def _play(
    lines: Iterator[LogLine], player: Player, ledger: Ledger, watch: Watch, advance: Advance
) -> tuple[int, int, float]:
    """Play every line; how many, their bytes as NDJSON, and when the first was."""
    count = raw_bytes = 0
    began = None
    for count, line in enumerate(lines, 1):
        player.play(line)
        ledger.feed(line)
        raw_bytes += len(_ndjson(line)) + 1
        began = line.ts if began is None else began
        if count % SAMPLE_EVERY == 0:
            watch.sample(player.host.stats())
            advance(SAMPLE_EVERY)
    watch.sample(player.host.stats())
    return count, raw_bytes, began or 0.0


_ndjson = msgspec.json.Encoder().encode


@contextmanager
def _path(given: Path | None) -> Iterator[Path]:
    """The store's file: a new one, which goes away afterwards unless its path was given."""
    if given is None:
        with TemporaryDirectory(prefix="roomstate-") as folder:
            yield Path(folder, "replay.sqlite")
    elif given.exists():
        raise InvalidValue("--store", f"{given} exists already: name a new file")
    else:
        yield given


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return value
