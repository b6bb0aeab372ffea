"""A chat server under load: real web sockets on loopback, 200 clients in 20 rooms, each side in processes of its own.

Roomstate's host is held against a bare dict of sets with `send_text` under the same server (uvicorn, Starlette), and
against python-socketio, broadcaster and Django Channels doing the same, where they are installed. Latency is from a
client's send to another client's socket, with both on one clock, at 5 messages a second in each room. Throughput is
deliveries for each CPU second of the server, which says the same on a busy machine as on a quiet one: with four
messages under way in each room, of one sender or of four, and, for information, with one, where roomstate's host has
nothing to tell together.

The servers take turns, and the figure is the median over the turns; every ratio is of figures of one turn.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import CHECKOUT, Figure, at_most

TURNS = 3
RIVALS = {
    "bare": "the bare server",
    "socketio": "python-socketio",
    "broadcaster": "broadcaster",
    "channels": "Django Channels, in-memory layer",
}
JOBS = {
    "throughput": "deliveries for each CPU second of the server",
    "several": "  the same with as many senders in each room, and one message of each",
    "single": "  the same with one message at a time in each room",
}
BUSY_S = 120.0  # longer than any job takes


def available(kind: str) -> bool:
    """Whether what a server is made of is installed."""
    needs = {"ours": "starlette", "bare": "starlette"}.get(kind, kind)
    return all(importlib.util.find_spec(name) for name in ("uvicorn", "websockets", needs))


@contextmanager
def serving(kind: str) -> Iterator[tuple[int, int]]:
    """A server's port and process id, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.load_servers", kind, str(port)], cwd=CHECKOUT)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def job(kind: str, name: str) -> dict[str, Any]:
    """What the clients of one server printed."""
    with serving(kind) as (port, pid):
        command = [sys.executable, "-m", "benchmarks.load_clients", kind, str(port), name, str(pid)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=BUSY_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{kind}, {name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def latencies() -> list[Figure]:
    """p50 and p99, beside the bare server's."""
    turns = [(job("ours", "latency"), job("bare", "latency")) for _ in range(TURNS)]
    made = []
    for name, limit in (("p50", 5.0), ("p99", 50.0)):
        value = statistics.median(ours[name] for ours, _ in turns)
        baseline = statistics.median(bare[name] for _, bare in turns)
        ratio = statistics.median(ours[name] / bare[name] for ours, bare in turns)
        what = f"publish to another client's socket, 200 clients in 20 rooms: {name}"
        made.append(at_most(what, value, limit, "ms"))
        made.append(Figure(what=f"  {name}, against the bare server", value=value, unit="ms", baseline=baseline,
                           ratio=ratio, goal="≤ 2×", met=ratio <= 2))  # fmt: skip
    return made


def throughputs(name: str, kinds: list[str]) -> list[Figure]:
    """Deliveries for each CPU second of the server in job ``name``, beside every other's."""
    turns = [{kind: job(kind, name)["per_cpu_s"] for kind in ["ours", *kinds]} for _ in range(TURNS)]
    value = statistics.median(turn["ours"] for turn in turns)
    made = []
    for kind in kinds:
        baseline = statistics.median(turn[kind] for turn in turns)
        ratio = statistics.median(turn["ours"] / turn[kind] for turn in turns)
        met = ratio >= 0.6 if kind == "bare" else ratio > 1
        goal = ("≥ 0.6×" if kind == "bare" else "> 1×") if name != "single" else ""
        what = f"{JOBS[name]}, against {RIVALS[kind]}"
        made.append(
            Figure(
                what=what, value=value, unit="/s", baseline=baseline, ratio=ratio, goal=goal, met=met if goal else None
            )
        )
    return made


def slow_client() -> list[Figure]:
    """What a client that does not read costs the others, and what it has in the end."""
    found = [job("ours", "slow") for _ in range(TURNS)]
    ratio = statistics.median(each["during"]["p99"] / each["before"]["p99"] for each in found)
    during = statistics.median(each["during"]["p99"] for each in found)
    before = statistics.median(each["before"]["p99"] for each in found)
    right = sum(each["right"] and each["resyncs"] > 0 for each in found)
    told = ", ".join(f"{each['told']} of {each['sent']}" for each in found)
    return [
        Figure(what="a client does not read while its room is flooded: the others' p99", value=during, unit="ms",
               baseline=before, ratio=ratio, goal="≤ 1.2×", met=ratio <= 1.2),
        Figure(what=f"  it ends with a resync and the right state (was told {told})", value=right, unit=f"of {TURNS}",
               goal=f"= {TURNS}", met=right == TURNS),
    ]  # fmt: skip


def run() -> list[Figure]:
    """All figures; none where there is no server to run."""
    if not available("ours"):
        return []
    rivals = [kind for kind in RIVALS if available(kind)]
    near = [kind for kind in rivals if kind in ("bare", "broadcaster")]
    throughput = [figure for name in JOBS for figure in throughputs(name, rivals if name == "throughput" else near)]
    return [*latencies(), *throughput, *slow_client()]
