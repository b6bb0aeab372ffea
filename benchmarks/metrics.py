"""What counting and timing cost: on taking messages in, and when they are read.

The baseline of the first part is the same program without them: every module of roomstate is loaded a second time in
this process, with the statements that count or time taken out of its source, and both take the same messages in turns.
What a message costs then is what `apply` measures. "Fresh" is the way that nearly all messages take, and nothing counts
there: how far its ratio is from 1 says how far to trust the others.

The second part reads a manager that holds 10,000 BACKGROUND rooms with a viewer each. A scrape is what a route of the
host does: `generate_latest`, in the thread of the loop, which does nothing else meanwhile.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from types import CodeType, ModuleType
from typing import Any, Literal

from prometheus_client import CollectorRegistry, generate_latest

from benchmarks import apply
from benchmarks.harness import Figure, at_most, best_of
from benchmarks.rooms import NOW, answer, collector_off, compared, decode, encoded, in_turns
from roomstate import MessageAdded, RoomStateManager
from roomstate.export.prometheus import RoomStateCollector

ROOMS = 10_000
BATCH = 20  # messages of a turn: short ones, of which few are interrupted on a machine that is shared
TURNS = 600
OURS = ("roomstate", "benchmarks.rooms", "benchmarks.apply", "benchmarks.others")
COUNTING = (".meter.took", ".meter.count", ".meter.promoted", ".given_up", ".filled")
Durability = Literal["none", "relaxed", "logged"]


class _Strip(ast.NodeTransformer):
    """Takes out what counts or times; ``found`` is how many statements that were."""

    def __init__(self) -> None:
        self.found = 0

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        target = node.target.value if isinstance(node.target, ast.Subscript) else node.target
        return self._out(node) if ast.unparse(target).endswith((".counts", ".applied", ".short")) else node

    def visit_While(self, node: ast.While) -> ast.stmt:
        if "begun" in ast.unparse(node.test):
            return self._out(node)
        self.generic_visit(node)
        return node

    def visit_For(self, node: ast.For) -> ast.stmt:
        if "COUNTED" in ast.unparse(node.body[0]):
            return self._out(node)
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        call = node.value
        counts = isinstance(call, ast.Call) and ast.unparse(call.func).endswith(COUNTING)
        return self._out(node) if counts else node

    def _out(self, node: ast.stmt) -> ast.stmt:
        self.found += 1
        return ast.copy_location(ast.Pass(), node)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from its source, stripped; never from its bytecode."""

    strip = _Strip()

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_data(self.path))
        return compile(ast.fix_missing_locations(self.strip.visit(tree)), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds our modules as ever, to be loaded stripped."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if not is_ours(fullname):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin)
        return spec


def is_ours(name: str) -> bool:
    return name.startswith(OURS)


def uncounted() -> ModuleType:
    """`benchmarks.apply` over a roomstate that neither counts nor times."""
    kept = {name: sys.modules.pop(name) for name in [*sys.modules] if is_ours(name)}
    finder, package = _Finder(), sys.modules["benchmarks"]
    before = dict(vars(package))
    sys.meta_path.insert(0, finder)
    try:
        found = importlib.import_module("benchmarks.apply")
        assert found.MessageAdded is not MessageAdded
        assert _Loader.strip.found >= 15, "nothing to speak of was taken out: the ratios would say nothing"
        return found
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        vars(package).update(before)


def taking_in(bare: ModuleType, durability: Durability, begin: bytes) -> list[tuple[float, float]]:
    """A batch for each side, decoded untimed, then taken in; each message has ``begin`` before its text."""
    lines = [line.replace(b'"content":"', b'"content":"' + begin) for line in encoded(BATCH * TURNS)]

    def prepare(turn: int) -> tuple[list[Any], list[Any]]:
        batch = lines[turn * BATCH : (turn + 1) * BATCH]
        return [decode(line) for line in batch], [bare.decode(line) for line in batch]

    with collector_off():
        return in_turns(apply.publisher(durability), bare.publisher(durability), prepare, TURNS, TURNS // 8)


def held(count: int) -> RoomStateManager:
    """A manager that holds so many rooms."""
    rooms = RoomStateManager(durability="logged", clock=lambda: NOW, new_epoch=lambda: "epoch")
    for number in range(count):
        answer(rooms, rooms.follow(f"viewer{number}", f"room{number}", now=NOW))
    return rooms


def overhead() -> Iterator[Figure]:
    bare = uncounted()
    cases: tuple[tuple[str, Durability, bytes], ...] = (
        ("publish one message, fresh", "none", b""),
        ("  one that mentions somebody", "none", b"@user7 "),
        ("  relaxed: told at once, append confirmed at once", "relaxed", b""),
        ("  logged: told when the append is confirmed, at once", "logged", b""),
    )
    for what, durability, begin in cases:
        pairs = taking_in(bare, durability, begin)
        yield compared(pairs, BATCH).figure(f"{what}, over uncounted", at_most=1.1)


def reading() -> Iterator[Figure]:
    rooms = held(ROOMS)
    registry = CollectorRegistry()
    registry.register(RoomStateCollector(rooms.stats))
    yield at_most(f"stats() of {ROOMS:,} rooms", best_of(rooms.stats, 20) / 1e6, 10.0, "ms")
    yield at_most(f"a scrape of {ROOMS:,} rooms", best_of(lambda: generate_latest(registry), 20) / 1e6, 10.0, "ms")
    size = len(generate_latest(registry))
    yield Figure(what="  the same, answered with", value=size / 1024, unit="KiB")


def run() -> Iterator[Figure]:
    yield from overhead()
    yield from reading()
