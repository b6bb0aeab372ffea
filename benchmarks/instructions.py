"""`apply` in instructions of the processor, which a busy machine does not change. Needs valgrind, and a minute or two.

As there, 50 messages are decoded and then taken in, the room owns them, and frees those that it drops. What is counted
is the difference between many turns and few, less that of a program which only decodes.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from benchmarks.apply import BATCH, Appender, publisher
from benchmarks.harness import CHECKOUT, Figure
from benchmarks.rooms import decode, encoded
from roomstate import MessageAdded

FEW, MANY = 10, 80  # turns


def side(name: str) -> Callable[[list[MessageAdded]], object]:
    if name == "nothing":
        return len
    return publisher() if name == "ours" else Appender()


def play(name: str, turns: int) -> None:
    """What is run under valgrind."""
    lines, take = encoded(BATCH * MANY), side(name)
    gc.collect()
    gc.disable()
    for turn in range(turns):
        take([decode(line) for line in lines[turn * BATCH : (turn + 1) * BATCH]])


def counted(name: str, turns: int, compiled: str) -> int:
    """The instructions of a whole program that plays so many turns."""
    command = [sys.executable, "-m", "benchmarks.instructions", name, str(turns)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONHASHSEED": "0", "PYTHONPATH": str(CHECKOUT)}
    subprocess.run(command, check=True, env=environment, cwd=CHECKOUT)  # leaves bytecode, which is then there
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]
    said = subprocess.run(valgrind, check=True, env=environment, cwd=CHECKOUT, capture_output=True, text=True).stderr
    found = re.search(r"Collected : (\d+)", said)
    assert found is not None, said
    return int(found[1])


def per_message(name: str, compiled: str) -> float:
    return (counted(name, MANY, compiled) - counted(name, FEW, compiled)) / ((MANY - FEW) * BATCH)


def run() -> Iterator[Figure]:
    if shutil.which("valgrind") is None:
        print("skipped: no valgrind", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as compiled:
        nothing, ours, bare = (per_message(name, compiled) for name in ("nothing", "ours", "bare"))
    ours, bare = ours - nothing, bare - nothing
    yield Figure(what="publish one message, fresh: instructions", value=ours, unit="", baseline=bare, ratio=ours / bare)


if __name__ == "__main__":
    play(sys.argv[1], int(sys.argv[2]))
