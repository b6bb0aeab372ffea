"""Which room comes next: on an archive's events by stream and by topic, and on sessions of a web site.

Scored as the data's own reference is: predict, then learn; on the last 20 % of the switches (a switch is a message
in another room than the viewer's previous one); the current room is never predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.prediction import MarkovPredictor, Prediction, Predictor, RecencyPredictor

EVENTS = "nav/lean-events.tsv.zst"
SESSIONS = "nav/msnbc.txt.zst"
SCORED = 0.2
Visit = tuple[float, str, str]  # time, viewer, room


class Score:
    """Hits by rank, and expected and observed hits by decile."""

    def __init__(self) -> None:
        self.switches = 0
        self.hits = [0] * 5
        self.deciles = [[0, 0.0, 0] for _ in range(10)]

    def add(self, predictions: Iterable[Prediction], room: str) -> None:
        self.switches += 1
        for rank, (predicted, chance) in enumerate(predictions):
            decile = self.deciles[min(9, int(10 * chance))]
            decile[0] += 1
            decile[1] += chance
            if predicted == room:
                decile[2] += 1
                self.hits[rank] += 1

    def top(self, count: int) -> float:
        return sum(self.hits[:count]) / self.switches

    def error(self) -> float:
        errors = [abs(expected - observed) / count for count, expected, observed in self.deciles if count]
        return sum(errors) / len(errors)


def lean_events(by_topic: bool) -> list[Visit]:
    """The events of the archive with streams or topics as rooms; [] without the data."""
    path = shared_data(EVENTS)
    if path is None:
        return []
    names: dict[str, str] = {}
    with open_lines(path) as lines:
        fields = (line.split() for line in lines)
        rooms = ((ts, user, f"{stream}/{topic}" if by_topic else stream) for ts, user, topic, stream in fields)
        return [(float(ts), user, names.setdefault(room, room)) for ts, user, room in rooms]


def sessions() -> list[Visit]:
    """Each session of the web site as one viewer's visits, a second apart; [] without the data."""
    path = shared_data(SESSIONS)
    if path is None:
        return []
    with open_lines(path) as lines:
        visits = [(f"session-{at}", page) for at, line in enumerate(lines) for page in line.split()]
    return [(float(at), viewer, page) for at, (viewer, page) in enumerate(visits)]


def switches(visits: list[Visit]) -> Iterator[bool]:
    """Whether each visit is a switch."""
    here: dict[str, str] = {}
    for _, viewer, room in visits:
        yield here.get(viewer, room) != room
        here[viewer] = room


def play(predictor: Predictor, visits: list[Visit], *, posts: bool = True) -> Score:
    """Predict each of the last switches, then tell the predictor what happened."""
    score, switched = Score(), list(switches(visits))
    unscored = int((1 - SCORED) * sum(switched))
    for (now, viewer, room), switch in zip(visits, switched, strict=True):
        unscored -= switch
        if switch and unscored < 0:
            score.add(predictor.predict(viewer, now), room)
        predictor.visited(viewer, room, now)
        if posts:
            predictor.activity(room, viewer, "message", now)
    return score


def given(what: str, value: float, unit: str, baseline: float | None = None) -> Figure:
    """A figure for information."""
    ratio = value / baseline if baseline else None
    return Figure(what=what, value=value, unit=unit, baseline=baseline, ratio=ratio)


def place(room: str) -> str:
    """The stream of a topic."""
    return room.partition("/")[0]


def archive(
    what: str, visits: list[Visit], make: Callable[[], Predictor], goals: tuple[float, float]
) -> Iterator[Figure]:
    """Top-1/3/5, calibration and cost of the default, beside the two plain predictors."""
    recency, markov = play(RecencyPredictor(), visits), play(MarkovPredictor(), visits)
    predictor = make()
    score = play(predictor, visits)
    best = max(recency.top(1), markov.top(1)), max(recency.top(3), markov.top(3))
    yield given(f"{what}: own recency, top-1", recency.top(1), "share")
    yield given(f"{what}: Markov with back-off, top-1", markov.top(1), "share")
    yield at_least(f"{what}: the default, top-1 (beside the better one)", score.top(1), goals[0], "share", best[0])
    yield at_least(f"{what}: the default, top-3", score.top(3), goals[1], "share", best[1])
    yield given(f"{what}: the default, top-5", score.top(5), "share")
    yield at_most(f"{what}: calibration, mean error by decile", score.error(), 0.05, "share")
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
        yield from archive("topics", topics, lambda: BlendedPredictor(place=place), (0.27, 0.44))
        without = play(BlendedPredictor(), topics)
        yield at_least("topics, their streams unknown: top-1", without.top(1), 0.27, "share")
        yield at_least("topics, their streams unknown: top-3", without.top(3), 0.44, "share")
        yield at_most("memory of a viewer", bytes_per_viewer(topics), 2000, "B")
    pages = sessions()
    for make in (RecencyPredictor, MarkovPredictor, BlendedPredictor):
        if pages:
            score = play(make(), pages, posts=False)
            yield given(f"web sessions: {make.__name__}, top-1", score.top(1), "share")
            yield given(f"web sessions: {make.__name__}, top-3", score.top(3), "share")
