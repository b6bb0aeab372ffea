"""The floors of the house, read from the imports: what may know what, and where the outside world begins.

The tables are the rule. A new top-level module is a value (the lowest floor) unless it is listed; a new
sub-package must be listed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import roomstate

VALUES, TOP = 0, 4
FLOORS = {
    "room": 1,
    "sync": 2,
    "snapshot": 2,
    "residency": 2,
    "holding": 3,  # the parts of the manager
    "metrics": 3,
    "manager": 3,
    "__init__": 3,  # the public names: no host, no store, so that `import roomstate` stays quick
    "store": TOP,
    "host": TOP,
    "export": TOP,
    "testing": TOP,
    "cli": TOP,
    "__main__": TOP,
}
STRANGERS = {"sync", "snapshot", "residency"}  # neighbours that do not import each other

# Below the top floor: clocks, randomness, files, processes, sockets and threads are handed in, never fetched.
OUTSIDE = set(
    """
    asyncio concurrent contextvars ctypes fcntl ftplib getpass glob http importlib mmap multiprocessing os pathlib
    platform queue random sched secrets select selectors shutil signal socket socketserver sqlite3 ssl subprocess
    tempfile threading time urllib uuid
    """.split()
)
CORE_PACKAGES = {"attr", "attrs", "msgspec", "sortedcontainers"}  # what the core may import from elsewhere
NOWHERE = {"dill", "cloudpickle", "imp", "jsonpickle", "marshal", "pickle", "shelve"}
ONLY_IN = {
    "zstandard": ("snapshot/", "cli/"),
    "asyncio": ("host/",),
    "sqlite3": ("store/", "cli/"),
    "rich": ("cli/",),
    "matplotlib": ("cli/", "export/"),
    "prometheus_client": ("export/",),
}
# file, import: why it may. Only the named attributes of the module may be used there.
ALLOWED = {
    ("manager.py", "time"): ({"time"}, "the default of RoomStateManager(clock=...)"),
    ("snapshot/frame.py", "threading"): ({"local"}, "a zstd context must not be shared by threads: one for each"),
    ("manager.py", "secrets"): ({"randbits", "token_hex"}, "the default source of new epochs"),
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS_BELOW_TOP = {"open", "print", "input", "breakpoint"}
CLOCK_METHODS = {"now", "utcnow", "today"}
LOGGERS = {"log", "_log", "logger", "_logger", "logging"}


def unit_of(path: str) -> str:
    """The room of the house that a file is in: `room/buffer.py` -> `room`, `errors.py` -> `errors`."""
    return path.split("/")[0].removesuffix(".py")


def floor_of(path: str) -> int | None:
    """A file's floor; None for a sub-package that the table does not know."""
    unit = unit_of(path)
    return FLOORS.get(unit, None if "/" in path else VALUES)


def imports(tree: ast.AST, files: Mapping[str, str], path: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, wherever it stands; `from roomstate import x` names the file x."""
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ["roomstate", *package][: len(package) + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{base}.{alias.name}".removeprefix("roomstate.").replace(".", "/")
                is_module = f"{inside}.py" in files or f"{inside}/__init__.py" in files
                yield node.lineno, f"{base}.{alias.name}" if is_module else base


def target_of(name: str, files: Mapping[str, str]) -> str:
    """The file that an import of our own names: `roomstate.room.buffer` -> `room/buffer.py`."""
    inside = name.removeprefix("roomstate").lstrip(".").replace(".", "/")
    return f"{inside}.py" if f"{inside}.py" in files else f"{inside}/__init__.py".lstrip("/")


def wrong_floor(path: str, target: str) -> str | None:
    """Why a file may not import another of ours; None where it may."""
    here, there = floor_of(path), floor_of(target)
    if here is None or there is None:
        return f"{unit_of(path if here is None else target)} is on no floor; list it"
    if there > here:
        return f"floor {here} imports {target} of floor {there}"
    if {unit_of(path), unit_of(target)} <= STRANGERS and unit_of(path) != unit_of(target):
        return f"{unit_of(path)} and {unit_of(target)} may not know each other"
    if unit_of(target) == "__init__" and here < TOP:
        return "the core imports where a name is defined, not the public front"
    return None


def wrong_outside(path: str, package: str) -> str | None:
    """Why a file may not import something that is not ours; None where it may."""
    if package in NOWHERE:
        return f"{package} is not used anywhere"
    if package in ONLY_IN and not path.startswith(ONLY_IN[package]):
        return f"{package} belongs in {' or '.join(ONLY_IN[package])}"
    if floor_of(path) == TOP or package in ONLY_IN or (path, package) in ALLOWED:
        return None
    if package in OUTSIDE:
        return f"{package} is the outside world; it is handed in from the top floor"
    if package not in sys.stdlib_module_names | CORE_PACKAGES:
        return f"{package} is not one of the core's packages"
    return None


def wrong_call(node: ast.Call, path: str) -> str | None:
    """Why a call may not stand in a file; None where it may."""
    function, below_top = node.func, floor_of(path) != TOP
    if isinstance(function, ast.Name):
        if function.id in FORBIDDEN_CALLS or (below_top and function.id in FORBIDDEN_CALLS_BELOW_TOP):
            return f"calls {function.id}()"
    elif isinstance(function, ast.Attribute) and below_top:
        owner = function.value.attr if isinstance(function.value, ast.Attribute) else function.value
        name = owner.id if isinstance(owner, ast.Name) else owner
        if name in {"datetime", "date"} and function.attr in CLOCK_METHODS:
            return f"reads a clock with {name}.{function.attr}()"
        if name in LOGGERS and function.attr == "info":
            return "logs at INFO"
    return None


def misused(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """Uses of an allowed module beyond what it is allowed for."""
    uses: list[tuple[int, str, set[str]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            uses.append((node.lineno, node.value.id, {node.attr}))
        elif isinstance(node, ast.ImportFrom) and node.module:
            uses.append((node.lineno, node.module, {alias.name for alias in node.names}))
    for line, module, used in uses:
        attributes, _ = ALLOWED.get((path, module), (used, ""))
        if not used <= attributes:
            yield line, f"uses {module} for more than {sorted(attributes)}"


def violations(files: Mapping[str, str]) -> list[str]:
    """Everything wrong with a package given as {path below roomstate/: source}."""
    found: list[tuple[str, int, str]] = []
    for path, source in files.items():
        tree = ast.parse(source)
        for line, name in imports(tree, files, path):
            package = name.split(".")[0]
            ours = package == "roomstate"
            why = wrong_floor(path, target_of(name, files)) if ours else wrong_outside(path, package)
            if why:
                found.append((path, line, why))
        calls = ((node.lineno, wrong_call(node, path)) for node in ast.walk(tree) if isinstance(node, ast.Call))
        found += [(path, line, why) for line, why in calls if why]
        found += [(path, line, why) for line, why in misused(tree, path)]
    return [f"{path}:{line}: {why}" for path, line, why in sorted(set(found))]


def package_files() -> dict[str, str]:
    """The package under test, as `violations` takes it."""
    root = Path(next(iter(roomstate.__path__)))
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}


def test_the_package_keeps_to_its_floors() -> None:
    assert violations(package_files()) == []


def test_every_allowance_has_its_reason() -> None:
    assert all(reason for _, reason in ALLOWED.values())


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        (
            "position.py",
            "from roomstate.room.buffer import CircularBuffer",
            "floor 0 imports room/buffer.py of floor 1",
        ),
        ("position.py", "from roomstate.room import buffer", "floor 0 imports room/buffer.py"),
        ("room/tiers.py", "from roomstate import manager", "floor 1 imports manager.py of floor 3"),
        ("room/tiers.py", "from .. import manager", "floor 1 imports manager.py"),
        ("room/tiers.py", "from ..sync.feed import RoomFeed", "floor 1 imports sync/feed.py"),
        ("room/tiers.py", "def f():\n    import roomstate.manager", "room/tiers.py:2: floor 1"),
        ("sync/feed.py", "import roomstate.residency.cache", "sync and residency may not know each other"),
        ("snapshot/codec.py", "from roomstate.sync.feed import RoomFeed", "snapshot and sync may not know"),
        (
            "manager.py",
            "from roomstate.store.memory import MemoryStore",
            "floor 3 imports store/memory.py of floor 4",
        ),
        ("__init__.py", "from roomstate.store.memory import MemoryStore", "floor 3 imports store/memory.py"),
        ("manager.py", "from roomstate import RoomStateManager", "where a name is defined"),
        ("attic/old.py", "from roomstate import errors", "attic is on no floor"),
        ("room/tiers.py", "import time", "time is the outside world"),
        ("room/tiers.py", "from os import path", "os is the outside world"),
        ("manager.py", "import random", "random is the outside world"),
        ("manager.py", "import time\ntime.sleep(1)", "manager.py:2: uses time for more than"),
        ("manager.py", "from time import time, sleep", "uses time for more than"),
        ("room/tiers.py", "import requests", "requests is not one of the core's packages"),
        ("room/tiers.py", "import zstandard", "zstandard belongs in snapshot/"),
        ("store/memory.py", "import asyncio", "asyncio belongs in host/"),
        ("store/memory.py", "import pickle", "pickle is not used anywhere"),
        ("store/memory.py", "eval('1')", "calls eval()"),
        ("room/tiers.py", "open('x')", "calls open()"),
        ("room/tiers.py", "from datetime import datetime\ndatetime.now()", "reads a clock"),
        ("room/tiers.py", "import datetime\ndatetime.datetime.now()", "reads a clock"),
        (
            "room/tiers.py",
            "import logging\nlogging.getLogger().debug('')\nlogging.info('')",
            ":3: logs at INFO",
        ),
    ],
)
def test_a_breach_is_found(path: str, source: str, complaint: str) -> None:
    house = dict.fromkeys(
        ["__init__.py", "errors.py", "manager.py", "room/buffer.py", "sync/feed.py", "residency/cache.py"], ""
    )
    found = violations({**house, "store/memory.py": "", path: source})
    assert len(found) == 1, found
    assert complaint in found[0]


def test_what_is_allowed_passes() -> None:
    house = {
        "__init__.py": "from roomstate.manager import RoomStateManager",
        "errors.py": "",
        "position.py": "import attrs\nfrom roomstate import errors\nfrom datetime import datetime, timezone",
        "room/__init__.py": "",
        "room/buffer.py": "from roomstate.position import Gap\nfrom . import roster\nfrom .. import errors",
        "room/roster.py": "import logging\nlogging.getLogger(__name__).debug('quietly')",
        "sync/feed.py": "from roomstate.room import buffer\nfrom roomstate.sync import replica",
        "sync/replica.py": "",
        "snapshot/frame.py": "import zstandard, msgspec",
        "manager.py": "import time\nfrom roomstate.sync.feed import RoomFeed\nCLOCK = time.time",
        "store/memory.py": "import os, threading\nfrom roomstate import RoomStateManager\nopen('x')",
        "host/aio.py": "import asyncio\nfrom roomstate.store.memory import MemoryStore",
        "cli/__main__.py": "import rich, zstandard\nprint('done')",
        "__main__.py": "from roomstate.cli import __main__",
    }
    assert violations(house) == []
