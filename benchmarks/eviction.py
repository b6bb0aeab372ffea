"""Which rooms stay: the default policy beside eight others on real traces, and what it costs.

Shares are of the hits of Belady's optimum (which may leave a newcomer out), at 0.1, 1 and 10 % of a trace's
distinct keys (10 at least), over its first million accesses, cold misses counted. The other policies are the
plainest form of each that we could write; cachetools and theine are the published packages.

``EVICTION_LIMIT=100000`` cuts the traces shorter, for a quick look.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import os
import random
import sys
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.harness import (
    Comparison,
    Figure,
    Timed,
    at_least,
    at_most,
    compare,
    open_lines,
    peak_memory,
    shared_data,
)
from roomstate.residency.cache import RoomCache
from roomstate.residency.eviction import ScoredPolicy
from roomstate.residency.scorers import WeightedScorer

TRACES = (
    *("arc-oltp", "cache2k-orm-busy", "cache2k-web07", "cdn-adaptsize", "chat-lean-topic-visits"),
    *("lirs-2_pools", "lirs-multi3", "lirs-sprite"),
)
LIMIT = int(os.environ.get("EVICTION_LIMIT", "1000000"))
MILLION = 1_000_000
Keys = Sequence[str]


def read(name: str) -> list[str]:
    """The first accesses of a shared trace; empty if it is not there."""
    path = shared_data(f"cache/{name}.txt.zst")
    if path is None:
        return []
    numbers: dict[str, str] = {}  # one string for each key, as a host has it
    with open_lines(path) as lines:
        tokens = itertools.chain.from_iterable(line.split() for line in lines)
        return [numbers.setdefault(one, f"room-{one}") for one in itertools.islice(tokens, LIMIT)]


# --- the other policies: keys in order, a capacity, hits out ---------------------------------------------------


def belady(keys: Keys, size: int) -> int:
    never, later, following = len(keys), dict[str, int](), [0] * len(keys)
    for at in range(len(keys) - 1, -1, -1):
        following[at] = later.get(keys[at], never)
        later[keys[at]] = at
    held, heap, hits = dict[str, int](), list[tuple[int, str]](), 0
    for key, then in zip(keys, following, strict=True):
        if held.pop(key, None) is not None:
            hits += 1
        if then == never:
            continue
        if len(held) >= size:
            if -heap[0][0] <= then:
                continue
            del held[heapq.heappop(heap)[1]]
        held[key] = then
        heapq.heappush(heap, (-then, key))
    return hits


def lru(keys: Keys, size: int) -> int:
    held, hits = OrderedDict[str, None](), 0
    for key in keys:
        if key in held:
            hits += 1
            held.move_to_end(key)
            continue
        if len(held) >= size:
            held.popitem(last=False)
        held[key] = None
    return hits


def fifo(keys: Keys, size: int) -> int:
    held, order, hits = set[str](), deque[str](), 0
    for key in keys:
        if key in held:
            hits += 1
            continue
        if len(held) >= size:
            held.remove(order.popleft())
        held.add(key)
        order.append(key)
    return hits


def lfu(keys: Keys, size: int) -> int:
    counts, by_count, least, hits = dict[str, int](), defaultdict[int, OrderedDict[str, None]](OrderedDict), 1, 0
    for key in keys:
        count = counts.get(key, 0)
        if count:
            hits += 1
            del by_count[count][key]
            least += count == least and not by_count[count]
        else:
            if len(counts) >= size:
                del counts[by_count[least].popitem(last=False)[0]]
            least = 1
        counts[key] = count + 1
        by_count[count + 1][key] = None
    return hits


def sieve(keys: Keys, size: int) -> int:
    newer, older, visited = dict[str, str](), dict[str, str](), dict[str, bool]()
    head = tail = hand = ""
    hits = 0
    for key in keys:
        if key in visited:
            hits += 1
            visited[key] = True
            continue
        if len(visited) >= size:
            hand = hand or tail
            while visited[hand]:
                visited[hand] = False
                hand = newer[hand] or tail
            up, down = newer.pop(hand), older.pop(hand)
            if up:
                older[up] = down
            if down:
                newer[down] = up
            head, tail = (head if up else down), (tail if down else up)
            del visited[hand]
            hand = up
        older[key], newer[key], visited[key] = head, "", False
        if head:
            newer[head] = key
        head, tail = key, tail or key
    return hits


def s3_fifo(keys: Keys, size: int) -> int:
    small, main, ghosts = deque[str](), deque[str](), OrderedDict[str, None]()
    part, uses, hits = max(1, size // 10), dict[str, int](), 0
    for key in keys:
        if key in uses:
            hits += 1
            uses[key] = min(3, uses[key] + 1)
            continue
        while len(uses) >= size:
            if len(small) >= part or not main:
                one = small.popleft()
                if uses[one] > 1:
                    uses[one] = 0
                    main.append(one)
                    continue
                del uses[one]
                ghosts[one] = None
                if len(ghosts) > size - part:
                    ghosts.popitem(last=False)
            else:
                one = main.popleft()
                if uses[one]:
                    uses[one] -= 1
                    main.append(one)
                else:
                    del uses[one]
        (main if ghosts.pop(key, key) is None else small).append(key)
        uses[key] = 0
    return hits


def arc(keys: Keys, size: int) -> int:
    once, often, was_once, was_often = (OrderedDict[str, None]() for _ in range(4))
    share, hits = 0.0, 0

    def make_room(of_often: bool) -> None:
        if once and (len(once) > share or (of_often and len(once) == int(share)) or not often):
            was_once[once.popitem(last=False)[0]] = None
        else:
            was_often[often.popitem(last=False)[0]] = None

    for key in keys:
        if key in once or key in often:
            hits += 1
            once.pop(key, None)
            often.pop(key, None)
            often[key] = None
        elif key in was_once or key in was_often:
            again = key in was_often
            if again:
                share = max(0.0, share - max(1.0, len(was_once) / len(was_often)))
            else:
                share = min(float(size), share + max(1.0, len(was_often) / len(was_once)))
            make_room(again)
            (was_often if again else was_once).pop(key)
            often[key] = None
        else:
            if len(once) + len(was_once) == size:
                if len(once) < size:
                    was_once.popitem(last=False)
                    make_room(False)
                else:
                    once.popitem(last=False)
            elif len(once) + len(often) + len(was_once) + len(was_often) >= size:
                if len(once) + len(often) + len(was_once) + len(was_often) == 2 * size:
                    was_often.popitem(last=False)
                make_room(False)
            once[key] = None
    return hits


def w_tinylfu(keys: Keys, size: int) -> int:
    window, probation, protected = (OrderedDict[str, None]() for _ in range(3))
    first = max(1, size // 100)
    rest, seen, hits, counts = size - first, 0, 0, dict[str, int]()
    for key in keys:
        counts[key] = min(15, counts.get(key, 0) + 1)
        seen += 1
        if seen >= 10 * size:
            seen, counts = seen // 2, {one: count // 2 for one, count in counts.items() if count > 1}
        if key in window:
            hits += 1
            window.move_to_end(key)
        elif key in probation or key in protected:
            hits += 1
            probation.pop(key, None)
            protected.pop(key, None)
            protected[key] = None
            if len(protected) > rest * 8 // 10:
                probation[protected.popitem(last=False)[0]] = None
        else:
            window[key] = None
            if len(window) > first:
                one = window.popitem(last=False)[0]
                source = probation or protected
                if len(probation) + len(protected) < rest:
                    probation[one] = None
                elif source and counts.get(one, 0) > counts.get(next(iter(source)), 0):
                    source.popitem(last=False)
                    probation[one] = None
    return hits


def cachetools_lru(keys: Keys, size: int) -> int:
    import cachetools

    cache: Any = cachetools.LRUCache(size)
    hits = 0
    for key in keys:
        if cache.get(key) is None:
            cache[key] = key
        else:
            hits += 1
    return hits


def theine(keys: Keys, size: int) -> int:
    import theine

    cache: Any = theine.Cache(size)
    hits = 0
    for key in keys:
        if cache.get(key)[1]:
            hits += 1
        else:
            cache.set(key, key)
    cache.close()
    return hits


def ours(keys: Keys, size: int, **arguments: Any) -> int:
    cache = RoomCache(max_rooms=size, ttl=None, **arguments)
    for now, key in enumerate(keys):
        if cache.get(key, now) is None:
            cache.put(key, b"packed", now=now)
    return cache.stats().hits


def specification(keys: Keys, size: int) -> int:
    return ours(keys, size, policy=ScoredPolicy(WeightedScorer()), batch_fraction=0.2)


RIVALS: dict[str, Callable[[Keys, int], int]] = {
    "LRU": lru,
    "LFU": lfu,
    "FIFO": fifo,
    "SIEVE": sieve,
    "S3-FIFO": s3_fifo,
    "ARC": arc,
    "W-TinyLFU": w_tinylfu,
    "cachetools LRUCache": cachetools_lru,
    "theine": theine,
}


# --- figures ---------------------------------------------------------------------------------------------------


def installed(names: Sequence[str]) -> dict[str, Callable[[Keys, int], int]]:
    """The rivals that can run here: the two packages are no dependency."""
    found = {}
    for name in names:
        try:
            RIVALS[name](["a", "b", "a"], 10)
        except ImportError:
            print(f"skipped: {name} is not installed", file=sys.stderr)
        else:
            found[name] = RIVALS[name]
    return found


def share_figures() -> Iterator[Figure]:
    """The default and its rivals on every pair of trace and capacity."""
    rivals = installed(list(RIVALS))
    shares = defaultdict[str, list[float]](list)
    under_lru, under_best = [0.0], [0.0]
    for name in TRACES:
        keys = read(name)
        for part in (0.001, 0.01, 0.1) if keys else ():
            size = max(10, int(len(set(keys)) * part))
            best = belady(keys, size)
            hits = {rival: run(keys, size) for rival, run in rivals.items()}
            hits["the default"] = ours(keys, size)
            for policy, count in hits.items():
                shares[policy].append(count / best)
            mine, most = hits.pop("the default"), max(hits.values())
            under_lru.append((hits["LRU"] - mine) / len(keys))
            under_best.append((most - mine) / len(keys))
            yield Figure(
                what=f"{name} at {size} rooms: share of the optimum, beside the best other",
                value=mine / best,
                unit="",
                baseline=most / best,
                ratio=mine / most,
            )
    if not shares:
        return
    means = {policy: sum(values) / len(values) for policy, values in shares.items()}
    mean = means.pop("the default")
    note = "" if LIMIT >= MILLION else f", first {LIMIT} accesses only"
    yield at_least(f"the default, mean over {len(shares['LRU'])} pairs{note}", mean, 0.77, "")
    for policy, other in means.items():
        figure = Figure(what=f"{policy}, mean: below the default", value=other, unit="", baseline=mean)
        yield Figure(**{**_fields(figure), "ratio": other / mean, "goal": "< 1×", "met": other < mean})
    yield at_most("below LRU's hit ratio, worst pair", max(under_lru), 0.01, "")
    yield at_most("below the best other's hit ratio, worst pair", max(under_best), 0.04, "")


def _fields(figure: Figure) -> dict[str, Any]:
    return {name: getattr(figure, name) for name in ("what", "value", "unit", "baseline")}


def in_turns(run: Callable[[Keys, int], int], other: Callable[[Keys, int], int], keys: Keys, size: int) -> Comparison:
    """Time of one access (a look-up, and the storing if it missed), in turns with another cache."""
    one = Timed(lambda _: run(keys, size), lambda: None, items=len(keys))
    return compare(one, Timed(lambda _: other(keys, size), lambda: None, items=len(keys)), rounds=7)


def time_figures() -> Iterator[Figure]:
    """The whole cache with the default policy, in turns with theine and cachetools."""
    rivals = installed(["theine", "cachetools LRUCache"])
    for name, size in (("chat-lean-topic-visits", 555), ("arc-oltp", 1868), ("arc-oltp", 18688)):
        keys = read(name)[:100_000]
        for rival, run in rivals.items() if keys else ():
            limit = 2.0 if rival == "theine" else None
            turns = in_turns(ours, run, keys, size)
            yield turns.figure(f"an access, {name} at {size}, beside {rival}", at_most=limit)


def million_figures() -> Iterator[Figure]:
    """A million rooms: what the index weighs, and what it costs the collector."""
    body = b"." * 100

    def fill() -> RoomCache:
        cache = RoomCache(max_rooms=MILLION, max_bytes=1 << 40)
        for number in range(MILLION + MILLION // 20):  # the last ones push out others, and leave ghosts behind
            cache.put(f"room-{number:06}", bytes(body[:99]), now=number * 0.001)
            cache.get(f"room-{number:06}", number * 0.001)
        return cache

    memory = peak_memory(fill)
    held = memory.held / MILLION - 99
    yield at_most("a million rooms: bytes for each beyond its packed bytes", held, 320, "B")
    pauses = []
    for _ in range(5):
        start = time.thread_time()  # the collector's own time: what else the machine does is not its pause
        gc.collect()
        pauses.append((time.thread_time() - start) * 1e3)
    yield at_most("a million rooms: longest of 5 full collections", max(pauses), 50, "ms")
    table = memory.result.policy._ghosts  # type: ignore[attr-defined]
    yield at_most("a million rooms: memory of those that left, for each held", 10 * table.size / MILLION, 32, "B")


def weighted_figures() -> Iterator[Figure]:
    """Look-ups and evictions by the specification's scorer, in caches of a thousand and of a million."""

    def work(size: int) -> Timed[int]:
        cache = RoomCache(max_rooms=size, max_bytes=1 << 40, policy=ScoredPolicy(WeightedScorer()), ttl=None)
        for number in range(size):
            cache.put(f"room-{number}", b".", now=float(number))
        fresh, chance = itertools.count(size), random.Random(1)

        def run(_: int) -> None:
            for _ in range(5000):
                number = next(fresh)
                cache.get(f"room-{number - 1 - chance.randrange(size)}", float(number))
                cache.put(f"room-{number}", b".", now=float(number))

        return Timed(run, lambda: 0, items=10_000)

    turns = compare(work(MILLION), work(1000), rounds=9)
    yield turns.figure("WeightedScorer: an operation among a million rooms, beside a thousand", at_most=2.0)


def run() -> Iterator[Figure]:
    """All of it; four minutes or so."""
    yield from share_figures()
    yield from time_figures()
    yield from weighted_figures()
    yield from million_figures()
