"""``python -m roomstate simulate``: how many rooms to keep, from your own traffic."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from roomstate.cli import events, pictures
from roomstate.cli.arguments import add_log_arguments, log_lines
from roomstate.cli.curves import OPTIMUM, POLICIES, Point, capacities, hit_ratio, keys_of, turns_of
from roomstate.cli.files import open_source
from roomstate.cli.pictures import Line
from roomstate.cli.tally import Tally
from roomstate.cli.terminal import Terminal
from roomstate.errors import InvalidValue

__all__ = ["add_parser", "run"]

LIMIT = 200_000
"""Accesses of a trace that are taken, unless told: half a minute for all policies."""

ROOM_BYTES = 3000
"""Bytes of a packed room: 50 real messages take 2,400 to 3,400."""

LOAD_MS = 5.0
"""How long a room takes from a store on a disk: `python -m benchmarks store` found 2 to 9 ms for the slowest of 100."""

INDEX_BYTES = 320
"""What the cache itself takes for each room, at most."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "simulate",
        help="show how many rooms are worth keeping",
        description="Replays accesses to rooms through every eviction policy at several capacities, and shows the "
        "hit ratio beside the best that is possible, and the memory it costs. With --events, says instead how well the "
        "next room of each user can be predicted, and how much sooner rooms are ready if they are loaded before.",
    )
    add_log_arguments(parser)
    parser.add_argument("--keys", action="store_true", help="the paths are traces: a key on each line, in access order")
    parser.add_argument(
        "--events",
        action="store_true",
        help="predict and warm: the paths are chat logs, or events (time, user, room and perhaps its place, with tabs)",
    )
    parser.add_argument(
        "--rooms", type=_counts, metavar="N,N,...", help="capacities to try (default: seven; 100 to warm)"
    )
    parser.add_argument("--limit", type=_count, default=LIMIT, metavar="N", help=f"accesses to take (default {LIMIT})")
    parser.add_argument(
        "--room-bytes", type=_count, default=ROOM_BYTES, metavar="N", help=f"of a packed room (default {ROOM_BYTES})"
    )
    parser.add_argument(
        "--load-ms", type=_milliseconds, default=LOAD_MS, metavar="MS", help=f"of one load (default {LOAD_MS:g})"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves: .png or .svg (extra: plot)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and no table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, simulate, show. Status 0."""
    terminal = Terminal(quiet=args.json)
    if args.plot is not None:
        pictures.check(args.plot)
    if args.events:
        return events.run(args, terminal)
    keys, tally = _accesses(args, terminal)
    distinct = len(set(keys))
    rooms = args.rooms or capacities(distinct)
    points = _simulate(keys, rooms, terminal)
    if args.csv is not None:
        _write_csv(args.csv, points, args.room_bytes)
    if args.plot is not None:
        _draw(args.plot, points, f"{len(keys):,} accesses to {distinct:,} rooms")
    if args.json:
        found = {"accesses": len(keys), "distinct": distinct, "damaged": tally.damaged, "points": points}
        print(json.dumps(msgspec.to_builtins(found)))
    else:
        _show(terminal, points, rooms, f"{len(keys):,} accesses to {distinct:,} rooms", args.room_bytes)
    return 0


def _accesses(args: argparse.Namespace, terminal: Terminal) -> tuple[list[str], Tally]:
    if args.keys:
        tally = Tally(lambda error: terminal.note(f"skipped {error}"))
        if args.damaged == "stop":
            tally = Tally()
        found: Iterable[str] = (key for path in args.paths for key in keys_of(open_source(path), tally))
    else:
        log, tally = log_lines(args, terminal)
        found = turns_of(log)
    same: dict[str, str] = {}  # one string for each key, however often it comes
    keys = [same.setdefault(key, key) for key in islice(found, args.limit)]
    if not keys:
        raise InvalidValue("paths", "have no access to any room; with --keys, a trace has a key on each line")
    return keys, tally


def _simulate(keys: Sequence[str], rooms: Sequence[int], terminal: Terminal) -> list[Point]:
    policies = (OPTIMUM, *POLICIES)
    points: list[Point] = []
    with terminal.progress("accesses", len(policies) * len(rooms) * len(keys)) as advance:
        for size in rooms:
            for policy in policies:
                points.append(Point(policy, size, hit_ratio(policy, keys, size)))
                advance(len(keys))
    return points


def _show(terminal: Terminal, points: Sequence[Point], rooms: Sequence[int], title: str, room_bytes: int) -> None:
    ratios = {(point.policy, point.rooms): f"{point.hit_ratio:.1%}" for point in points}
    policies = list(dict.fromkeys(point.policy for point in points))
    table = [
        (f"{size:,}", f"{size * (room_bytes + INDEX_BYTES) / 2**20:,.1f}", *(ratios[one, size] for one in policies))
        for size in rooms
    ]
    terminal.table(f"Hit ratio: {title}", ("rooms", "MiB", *policies), table)


def _write_csv(path: Path, points: Sequence[Point], room_bytes: int) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("policy", "rooms", "bytes", "hit_ratio"))
            for point in points:
                size = point.rooms * (room_bytes + INDEX_BYTES)
                writer.writerow((point.policy, point.rooms, size, f"{point.hit_ratio:.6f}"))
    except OSError as error:
        raise InvalidValue("--csv", f"cannot be written: {error.strerror}") from error


def _draw(path: Path, points: Sequence[Point], title: str) -> None:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.policy, []).append(point)
    lines = [
        Line(policy, [one.rooms for one in mine], [one.hit_ratio for one in mine], dashed=policy == OPTIMUM)
        for policy, mine in found.items()
    ]
    pictures.draw(path, lines, title=title, x="rooms kept", y="hit ratio", scale="log")


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a number of at least 1, got {text!r}")
    return value


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"must be a number of milliseconds, got {text!r}")
    return value


def _counts(text: str) -> list[int]:
    return sorted({_count(part) for part in text.split(",")})
