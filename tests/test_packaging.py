"""What is installed is what was built, is typed and imports little; the workflows run what they name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import roomstate

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = Path(next(iter(roomstate.__path__)))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HEAVY = ["asyncio", "sqlite3", "rich", "matplotlib", "prometheus_client", "roomstate.host", "roomstate.cli"]


@pytest.mark.skipif("ROOMSTATE_EXPECT_WHEEL" not in os.environ, reason="the checkout may be tested here")
def test_the_installed_package_is_what_is_tested() -> None:
    assert "site-packages" in PACKAGE.parts
    assert ROOT / "roomstate" != PACKAGE
    where = "import roomstate; print(*roomstate.__path__)"
    done = subprocess.run([sys.executable, "-c", where], cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == PACKAGE, "a subprocess would test something else"
    assert metadata.version("roomstate") == PROJECT["version"]


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import roomstate, sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COV")
    }  # it imports sqlite3
    environment["PYTHONPATH"] = str(PACKAGE.parent)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_dev_extra_holds_all_the_others() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"dev"}
    named = re.search(r"roomstate\[(.*)\]", PROJECT["optional-dependencies"]["dev"][0])
    assert named is not None
    assert set(named[1].split(",")) >= extras


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash_with_their_version_beside_it(workflow: Path) -> None:
    uses = re.findall(r"uses: *(.*)", workflow.read_text(encoding="utf-8"))
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use)] == []


def test_every_tested_python_is_declared() -> None:
    tested = set(re.findall(r"^ +(3\.\d+)$", (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"), re.M))
    prefix = "Programming Language :: Python :: 3."
    assert tested == {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if line.startswith(prefix)}
