"""What the documentation shows is run: docstrings, the README and every page below docs/.

In a page, a ```python block with prompts is a doctest, one without is executed; the blocks of a page share
names, in order. A block that cannot run here (it needs a server, a token, a network) says so on the line
before it, ``<!-- not run: why -->``, and is compiled only.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import roomstate

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S.*-->\s*\Z")
OPTIONS = doctest.ELLIPSIS
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest"
MAIN_COMMAND = "python3 -m venv .venv && .venv/bin/pip install -q '.[cli]' && .venv/bin/python -m roomstate replay"


def pages() -> list[Path]:
    """The README, if it is there, and the pages of the documentation."""
    found = (page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts)
    return [*([README] if README.exists() else []), *found]


def modules() -> list[str]:
    """Every module of the package that can be imported without running a program."""
    found = pkgutil.walk_packages(roomstate.__path__, "roomstate.", onerror=reraise)
    return ["roomstate", *(module.name for module in found if not module.name.endswith(".__main__"))]


def reraise(name: str) -> None:
    """A module that cannot be imported has examples that cannot be right."""
    raise


def blocks(text: str, language: str) -> Iterator[tuple[int, str, bool]]:
    """Line number, body and "may it run?" of each fenced block of a language."""
    for match in BLOCK.finditer(text):
        if match["language"] == language:
            line = text.count("\n", 0, match.start("body")) + 1
            body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
            yield line, body, not NOT_RUN.search(text[: match.start()])


def run_page(text: str, name: str) -> int:
    """Run a page's Python blocks in one namespace; how many were run. A wrong example raises."""
    names: dict[str, Any] = {"__name__": "__main__"}
    runner = doctest.DebugRunner(optionflags=OPTIONS)
    ran = 0
    for line, body, runs in blocks(text, "python"):
        if not runs:
            compile(body, f"{name}:{line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        elif ">>>" in body:
            test = doctest.DocTestParser().get_doctest(body, names, name, name, line - 1)
            runner.run(test, clear_globs=False)
            names = test.globs
        else:
            exec(compile("\n" * (line - 1) + body, name, "exec", dont_inherit=True), names)  # noqa: S102
        ran += runs
    return ran


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.failed == 0


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_examples(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(encoding="utf-8"), str(page))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_the_readme_has_its_two_commands_and_runs_an_example() -> None:
    text = README.read_text(encoding="utf-8")
    commands = [body.strip() for _, body, _ in blocks(text, "sh")]
    assert TEST_COMMAND in commands
    assert MAIN_COMMAND in commands
    assert run_page(text, str(README)) > 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\n>>> 1 + 1\n3\n```\n", doctest.DocTestFailure),
        ("```python\n>>> 1 / 0\n2\n```\n", doctest.UnexpectedException),
        ("```python\nassert 1 == 2\n```\n", AssertionError),
        ("```python\nx = 1\n```\ntext\n```python\n>>> x\n2\n```\n", doctest.DocTestFailure),
        ("<!-- not run: no server -->\n```python\nasync with\n```\n", SyntaxError),
        ("<!-- not run: -->\n```python\nassert False\n```\n", AssertionError),
    ],
)
def test_a_wrong_example_is_found(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run_page(text, "page")


def test_right_examples_pass_and_are_counted() -> None:
    text = """
```python
x = 1
```
- in a list:

  ```python
  >>> x
  1
  >>> y = x + 1
  ```

<!-- not run: needs a server -->
```python
async with connect() as link:
    await link.send(x)
```
```sh
exit 1
```
```python
assert y == 2
```
"""
    assert run_page(text, "page") == 3
