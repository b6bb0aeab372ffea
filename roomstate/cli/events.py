"""``simulate --events``: which room comes next, how well the chances are stated, and what warming saves."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from roomstate.cli import pictures
from roomstate.cli.arguments import log_lines
from roomstate.cli.files import is_folder, open_source
from roomstate.cli.navigation import (
    PREDICTORS,
    Ready,
    Scored,
    Side,
    Visit,
    events_of,
    is_events,
    play,
    score,
    visits_of,
)
from roomstate.cli.pictures import Line
from roomstate.cli.tally import Tally
from roomstate.cli.terminal import Terminal
from roomstate.errors import InvalidValue
from roomstate.residency.warming import Warmer

__all__ = ["run"]

ROOMS = 100
"""Rooms of the cache that is warmed, unless told: the default of `RoomCache`."""


class Warmed(msgspec.Struct, frozen=True):
    """A cache of ``rooms``: the shares of turns that were ready ``alone`` and ``warmed``, and what that took.

    ``saved_ms`` is the time that turns waited less, mean over all turns; ``of_way`` the part of the way from alone to
    all turns but those to a room that nobody was in before.
    """

    rooms: int
    turns: int
    alone: float
    warmed: float
    of_way: float
    loads_per_turn: float
    wasted_per_used: float
    saved_ms: float


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Read, play, show. Status 0."""
    visits, tally = _visits(args, terminal)
    rooms: Sequence[int] = args.rooms or (ROOMS,)
    with terminal.progress("events", (len(PREDICTORS) + 1) * len(visits)) as advance:
        scores = [score(make(), visits, name=name, tell=advance) for name, make in PREDICTORS.items()]
        predictor = next(iter(PREDICTORS.values()))()
        plain = [Side(size) for size in rooms]
        warm = [Side(size, warmer=Warmer(predictor)) for size in rooms]
        play(visits, predictor, [*plain, *warm], advance)
    fresh = _fresh(visits)
    found = [_warmed(one.value(), other.value(), fresh, args.load_ms) for one, other in zip(plain, warm, strict=True)]
    if args.csv is not None:
        _write_csv(args.csv, scores, found)
    if args.plot is not None:
        _draw(args.plot, scores)
    if args.json:
        print(json.dumps(_plain(visits, tally, scores, found)))
    else:
        _show(terminal, visits, scores, found, args.load_ms)
    return 0


def _visits(args: argparse.Namespace, terminal: Terminal) -> tuple[list[Visit], Tally]:
    """The events of the paths, or of a chat log, or of the synthetic day; in order of time."""
    sources = [open_source(path) for path in args.paths if path != "-" and not is_folder(path)]
    if sources and len(sources) == len(args.paths) and all(map(is_events, sources)):
        tally = Tally() if args.damaged == "stop" else Tally(lambda error: terminal.note(f"skipped {error}"))
        by_topic = args.rooms_by == "topic"
        found: Iterator[Visit] = (one for source in sources for one in events_of(source, tally, by_topic=by_topic))
    else:
        log, tally = log_lines(args, terminal)
        found = visits_of(log)
    same: dict[str, str] = {}  # one string for each name, however often it comes
    visits = [
        Visit(now, same.setdefault(user, user), same.setdefault(room, room))
        for now, user, room in islice(found, args.limit)
    ]
    if not visits:
        raise InvalidValue("paths", "have no event: a time, a user, a room and perhaps its place on each line")
    return sorted(visits, key=lambda visit: visit.now), tally


def _fresh(visits: Sequence[Visit]) -> int:
    """Rooms: the first turn to each goes where nothing could have been ready."""
    return len({visit.room for visit in visits})


def _warmed(alone: Ready, warmed: Ready, fresh: int, load_ms: float) -> Warmed:
    loads = warmed.loads
    assert loads is not None
    turns = max(1, warmed.turns)
    return Warmed(
        rooms=warmed.rooms,
        turns=warmed.turns,
        alone=alone.share,
        warmed=warmed.share,
        of_way=(warmed.ready - alone.ready) / max(1, turns - fresh - alone.ready),
        loads_per_turn=loads.planned / turns,
        wasted_per_used=loads.wasted / max(1, loads.used),
        saved_ms=load_ms * (warmed.ready - alone.ready) / turns,
    )


def _plain(
    visits: Sequence[Visit], tally: Tally, scores: Sequence[Scored], warmed: Sequence[Warmed]
) -> dict[str, object]:
    return {
        "events": len(visits),
        "rooms": _fresh(visits),
        "damaged": tally.damaged,
        "predictors": [{**msgspec.to_builtins(one), "calibration_error": one.error} for one in scores],
        "warming": msgspec.to_builtins(warmed),
    }


def _show(
    terminal: Terminal, visits: Sequence[Visit], scores: Sequence[Scored], warmed: Sequence[Warmed], load_ms: float
) -> None:
    first = scores[0]
    title = f"Next room: last {first.switches:,} switches of {len(visits):,} events in {_fresh(visits):,} rooms"
    rows = [(one.predictor, *(f"{share:.1%}" for share in (one.top1, one.top3, one.top5))) for one in scores]
    terminal.table(title, ("predictor", "top-1", "top-3", "top-5"), rows)
    deciles = [
        (
            f"{at / 10:.1f}-{at / 10 + 0.1:.1f}",
            f"{one.predictions:,}",
            *_shares(one.expected, one.observed, one.predictions),
        )
        for at, one in enumerate(first.deciles)
        if one.predictions
    ]
    chances = ("chance", "predictions", "expected hits", "observed hits")
    terminal.table(f"Calibration of {first.predictor}: mean error {first.error:.3f}", chances, deciles)
    heads = ("rooms", "ready alone", "warmed", "of the way", "loads a turn", "wasted for a used one", "saved a turn")
    table = [
        (
            f"{one.rooms:,}",
            *(f"{share:.1%}" for share in (one.alone, one.warmed, one.of_way)),
            f"{one.loads_per_turn:.3f}",
            f"{one.wasted_per_used:.2f}",
            f"{one.saved_ms:.3f} ms",
        )
        for one in warmed
    ]
    terminal.table(f"Turns that find their room ready; a load takes {load_ms:g} ms", heads, table)


def _shares(expected: float, observed: int, of: int) -> tuple[str, str]:
    return f"{expected / of:.1%}", f"{observed / of:.1%}"


def _draw(path: Path, scores: Sequence[Scored]) -> None:
    lines = [Line("as promised", [0.0, 1.0], [0.0, 1.0], dashed=True)]
    for one in scores:
        seen = [decile for decile in one.deciles if decile.predictions]
        expected, observed = [d.expected / d.predictions for d in seen], [d.observed / d.predictions for d in seen]
        lines.append(Line(f"{one.predictor}, top-1 {one.top1:.0%}", expected, observed))
    pictures.draw(path, lines, title="Calibration", x="chance that was predicted", y="share that came true")


def _write_csv(path: Path, scores: Sequence[Scored], warmed: Sequence[Warmed]) -> None:
    """One figure on each line."""
    rows: list[tuple[str, str, float]] = []
    for one in scores:
        rows += [(one.predictor, name, getattr(one, name)) for name in ("switches", "top1", "top3", "top5", "error")]
        for at, decile in enumerate(one.deciles):
            rows += [(one.predictor, f"{name} {at}", value) for name, value in msgspec.structs.asdict(decile).items()]
    for each in warmed:
        rows += [(f"{each.rooms} rooms", name, value) for name, value in msgspec.structs.asdict(each).items()]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("of", "figure", "value"))
            writer.writerows((of, figure, f"{value:.6g}") for of, figure, value in rows)
    except OSError as error:
        raise InvalidValue("--csv", f"cannot be written: {error.strerror}") from error
