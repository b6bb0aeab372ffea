"""The means of measuring: figures, fair comparisons, memory, and where the shared data lies.

A time on its own says little on a shared machine. What is reported is a ratio: both sides run in one process,
in turns (A B A B ...), so that what slows one slows the other. The garbage collector runs before each
turn and is off during it; ``gc_on=True`` leaves it on, for figures that are about its pauses.
"""

from __future__ import annotations

import gc
import gzip
import io
import json
import math
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import attrs
import zstandard

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parent.parent


@attrs.frozen(kw_only=True)
class Figure:
    """One measured value, beside what it is held against.

    ``ratio`` is value / baseline unless the benchmark says otherwise in ``what``. ``goal`` is for people
    (``"≤ 4.5"``), ``met`` says whether the figure reaches it; None means that it is given for information.
    """

    what: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


@attrs.frozen
class Timed(Generic[T]):
    """Something to time whose preparation is not timed: ``run(prepare())`` handles ``items`` items."""

    run: Callable[[T], object]
    prepare: Callable[[], T]
    items: int = 1


@attrs.frozen
class Comparison:
    """Two things timed in turns; times are nanoseconds per item.

    ``ratio`` is the median over the rounds of A's time over B's time in the same round, and
    ``[low, high]`` holds the middle half of those ratios: its width says how far to trust the median.
    """

    value: float
    baseline: float
    ratio: float
    low: float
    high: float
    best: float
    best_baseline: float

    def figure(self, what: str, *, at_most: float | None = None, unit: str = "ns") -> Figure:
        """This comparison as a figure whose goal is a ratio of ``at_most`` (None: for information)."""
        return Figure(
            what=f"{what} (middle half {self.low:.2f}-{self.high:.2f})",
            value=self.value,
            unit=unit,
            baseline=self.baseline,
            ratio=self.ratio,
            goal="" if at_most is None else f"≤ {at_most:g}×",
            met=None if at_most is None else self.ratio <= at_most,
        )


def at_most(what: str, value: float, limit: float, unit: str, baseline: float | None = None) -> Figure:
    """A figure that is good when ``value <= limit``; the ratio is to ``baseline`` where there is one."""
    return Figure(
        what=what,
        value=value,
        unit=unit,
        baseline=baseline,
        ratio=value / baseline if baseline else None,
        goal=f"≤ {limit:g} {unit}",
        met=value <= limit,
    )


def at_least(what: str, value: float, limit: float, unit: str, baseline: float | None = None) -> Figure:
    """A figure that is good when ``value >= limit``; the ratio is to ``baseline`` where there is one."""
    return Figure(
        what=what,
        value=value,
        unit=unit,
        baseline=baseline,
        ratio=value / baseline if baseline else None,
        goal=f"≥ {limit:g} {unit}",
        met=value >= limit,
    )


@contextmanager
def quiet_gc(*, gc_on: bool = False) -> Iterator[None]:
    """Collect, then keep the collector off inside the block (or on, as it was, with ``gc_on``)."""
    gc.collect()
    was_on = gc.isenabled()
    if not gc_on:
        gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def once(work: Callable[[], object] | Timed[Any], *, gc_on: bool = False) -> float:
    """Nanoseconds per item of one run; preparation is not timed."""
    timed = work if isinstance(work, Timed) else Timed(lambda _: work(), lambda: None)
    prepared = timed.prepare()
    with quiet_gc(gc_on=gc_on):
        start = time.perf_counter_ns()
        timed.run(prepared)
        return (time.perf_counter_ns() - start) / timed.items


def best_of(work: Callable[[], object] | Timed[Any], rounds: int = 5, *, gc_on: bool = False) -> float:
    """The least nanoseconds per item over ``rounds`` runs: the one that was disturbed least."""
    return min(once(work, gc_on=gc_on) for _ in range(rounds))


def compare(
    work: Callable[[], object] | Timed[Any],
    baseline: Callable[[], object] | Timed[Any],
    rounds: int = 15,
    *,
    gc_on: bool = False,
) -> Comparison:
    """Time ``work`` and ``baseline`` in turns, after one untimed turn of each; at least two rounds.

    A turn ought to last a millisecond or more: let ``items`` and the callables loop over many items.
    """
    once(work), once(baseline)
    pairs = [(once(work, gc_on=gc_on), once(baseline, gc_on=gc_on)) for _ in range(max(rounds, 2))]
    values, baselines = [value for value, _ in pairs], [base for _, base in pairs]
    low, middle, high = statistics.quantiles([value / base for value, base in pairs], n=4)
    return Comparison(
        value=statistics.median(values),
        baseline=statistics.median(baselines),
        ratio=middle,
        low=low,
        high=high,
        best=min(values),
        best_baseline=min(baselines),
    )


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile: ``share`` in [0, 1] of the values are at or below it."""
    ordered = sorted(values)
    rank = math.ceil(round(share * len(ordered), 9))  # rounded: 0.07 * 100 is a little more than 7
    return ordered[max(rank, 1) - 1]


@attrs.frozen
class Memory(Generic[T]):
    """``result`` is what a callable built, ``held`` the bytes it still holds, ``peak`` the most it took."""

    result: T
    held: int
    peak: int


def peak_memory(work: Callable[[], T]) -> Memory[T]:
    """Run once under tracemalloc; bytes are net of what was there before.

    Tracing slows the work several times over, so what is measured here is never timed too.
    """
    gc.collect()
    nested = tracemalloc.is_tracing()
    if not nested:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = work()
        peak = tracemalloc.get_traced_memory()[1]
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        if not nested:
            tracemalloc.stop()
    return Memory(result, held - before, peak - before)


def shared_data(name: str) -> Path | None:
    """Where a shared data file lies (``"chat/lean-zulip.ndjson.zst"``); if absent None, and a line on stderr.

    Looked for in ``$ROOMSTATE_DATA`` if that is set, else in ``../shared/data`` beside the checkout.
    """
    root = Path(os.environ.get("ROOMSTATE_DATA") or CHECKOUT.parent / "shared" / "data")
    path = root / name
    if path.is_file():
        return path
    print(f"skipped: no {name} in {root}", file=sys.stderr)
    return None


@contextmanager
def open_lines(path: Path) -> Iterator[IO[str]]:
    """A text file's lines as UTF-8; plain, ``.gz`` or ``.zst``."""
    with path.open("rb") as raw:
        if path.suffix == ".zst":
            stream: Any = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        elif path.suffix == ".gz":
            stream = gzip.GzipFile(fileobj=raw)
        else:
            stream = raw
        with io.TextIOWrapper(stream, encoding="utf-8") as text:
            yield text


def read_ndjson(path: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one for each line; the first ``limit`` of them."""
    with open_lines(path) as lines:
        for number, line in enumerate(lines):
            if limit is not None and number >= limit:
                return
            yield json.loads(line)
