"""Which room comes next: on an archive's events by stream and by topic, and on sessions of a web site.

Scored as the data's own reference is: predict, then learn; on the last 20 % of the switches (a switch is a message
in another room than the viewer's previous one); the current room is never predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, islice

from benchmarks.harness import (
    Figure,
    Timed,
    at_least,
    at_most,
    best_of,
    open_lines,
    peak_memory,
    shared_data,
)
from roomstate.cli.navigation import Visit, place, score
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.prediction import MarkovPredictor, Predictor, RecencyPredictor

EVENTS = "nav/lean-events.tsv.zst"
SESSIONS = "nav/msnbc.txt.zst"


def lean_events(by_topic: bool) -> list[Visit]:
    """The events of the archive with streams or topics as rooms; [] without the data."""
    path = shared_data(EVENTS)
    if path is None:
        return []
    names: dict[str, str] = {}
    with open_lines(path) as lines:
        fields = (line.split() for line in lines)
        rooms = ((ts, user, f"{stream}/{topic}" if by_topic else stream) for ts, user, topic, stream in fields)
        return [Visit(float(ts), user, names.setdefault(room, room)) for ts, user, room in rooms]


def sessions() -> list[Visit]:
    """Each session of the web site as one viewer's visits, a second apart; [] without the data."""
    path = shared_data(SESSIONS)
    if path is None:
        return []
    with open_lines(path) as lines:
        visits = [(f"session-{at}", page) for at, line in enumerate(lines) for page in line.split()]
    return [Visit(float(at), viewer, page) for at, (viewer, page) in enumerate(visits)]


def given(what: str, value: float, unit: str, baseline: float | None = None) -> Figure:
    """A figure for information."""
    ratio = value / baseline if baseline else None
    return Figure(what=what, value=value, unit=unit, baseline=baseline, ratio=ratio)


def archive(
    what: str, visits: list[Visit], make: Callable[[], Predictor], goals: tuple[float, float]
) -> Iterator[Figure]:
    """Top-1/3/5, calibration and cost of the default, beside the two plain predictors."""
    recency, markov = score(RecencyPredictor(), visits), score(MarkovPredictor(), visits)
    predictor = make()
    found = score(predictor, visits)
    best = max(recency.top1, markov.top1), max(recency.top3, markov.top3)
    yield given(f"{what}: own recency, top-1", recency.top1, "share")
    yield given(f"{what}: Markov with back-off, top-1", markov.top1, "share")
    yield at_least(f"{what}: the default, top-1 (beside the better one)", found.top1, goals[0], "share", best[0])
    yield at_least(f"{what}: the default, top-3", found.top3, goals[1], "share", best[1])
    yield given(f"{what}: the default, top-5", found.top5, "share")
    yield at_most(f"{what}: calibration, mean error by decile", found.error, 0.05, "share")
    yield at_most(f"{what}: one prediction, mean of 20 viewers", cost(predictor, visits), 100, "µs")


def cost(predictor: Predictor, visits: list[Visit]) -> float:
    """Microseconds for one prediction of the last 20 viewers: the least of 200 short rounds."""
    viewers = list(dict.fromkeys(viewer for _, viewer, _ in reversed(visits)))[:20]
    now, clock = visits[-1][0], count(1)

    def predict(_: None) -> None:
        later = now + next(clock)  # another time each round, or the last reading would be at hand
        for viewer in viewers:
            predictor.predict(viewer, later)

    return best_of(Timed(predict, lambda: None, items=len(viewers)), rounds=200) / 1000


def bytes_per_viewer(visits: list[Visit]) -> float:
    """What 1,000 viewers add to a predictor that knows their rooms, each with as long a trail as is kept."""
    rooms = list(dict.fromkeys(room for _, _, room in islice(visits, 20_000)))[:500]
    viewers = [f"viewer-{at}" for at in range(1000)]
    blend = BlendedPredictor(place=place)
    for at, room in enumerate(rooms * 3):
        blend.visited("first", room, float(at))
        blend.activity(room, f"user-{at % 50}", "message", float(at))

    def join() -> None:
        for at, viewer in enumerate(viewers):
            for turn in range(14):
                room = rooms[(37 * at + 11 * turn) % len(rooms)]
                blend.visited(viewer, room, 1e5 + at)
                blend.activity(room, viewer, "message", 1e5 + at)

    return peak_memory(join).held / len(viewers)


def run() -> Iterable[Figure]:
    """About four minutes. Figures whose data is absent are left out."""
    streams = lean_events(by_topic=False)
    if streams:
        yield from archive("streams", streams, BlendedPredictor, (0.46, 0.77))
        topics = lean_events(by_topic=True)
        yield from archive("topics", topics, partial(BlendedPredictor, place=place), (0.27, 0.44))
        without = score(BlendedPredictor(), topics)
        yield at_least("topics, their streams unknown: top-1", without.top1, 0.27, "share")
        yield at_least("topics, their streams unknown: top-3", without.top3, 0.44, "share")
        yield at_most("memory of a viewer", bytes_per_viewer(topics), 2000, "B")
    pages = sessions()
    for make in (RecencyPredictor, MarkovPredictor, BlendedPredictor):
        if pages:
            found = score(make(), pages, posts=False)
            yield given(f"web sessions: {make.__name__}, top-1", found.top1, "share")
            yield given(f"web sessions: {make.__name__}, top-3", found.top3, "share")
