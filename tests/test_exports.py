"""What is public is listed, sorted, documented and no more; the error tree as drawn is the real one."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

import roomstate
from roomstate import errors

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "reference"
MOST_NAMES = 40
PUBLIC_MODULES = ["effects", "errors", "updates"]

published = pytest.mark.skipif(not README.exists(), reason="no README yet: there is nothing that a user could import")


def all_names() -> list[str]:
    """The package's `__all__`, in its order."""
    names: list[str] = vars(roomstate)["__all__"]
    return names


def in_order(names: Iterable[str]) -> list[str]:
    """The order of every `__all__`, as `ruff check --fix` writes it: constants, classes, the rest."""
    return sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def public_module(name: str) -> ModuleType:
    """A public sub-module; skipped, not passed, while neither it nor a README exists."""
    try:
        return importlib.import_module(f"roomstate.{name}")
    except ModuleNotFoundError as missing:
        if missing.name != f"roomstate.{name}" or README.exists():
            raise
        pytest.skip(f"roomstate.{name} is not written yet")


def defined_in(module: ModuleType) -> set[str]:
    """The public classes and functions whose definition stands in a module."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def documented(text: str) -> set[str]:
    """The names that an autodoc directive documents as `roomstate.Name`; modules are not names."""
    directive = r"auto(?:class|data|exception|function|protocol):: roomstate\.(\w+)\s*$"
    return set(re.findall(directive, text, flags=re.MULTILINE))


def reference() -> str:
    """All pages of the reference as one text."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(REFERENCE.rglob("*.md")))


@published
def test_all_is_sorted_short_and_true() -> None:
    names = all_names()
    assert names == in_order(names)
    assert len(names) <= MOST_NAMES
    assert [name for name in names if not hasattr(roomstate, name)] == []


@published
def test_all_equals_the_documented_api() -> None:
    assert documented(reference()) == set(all_names()), "docs/reference/*.md and roomstate.__all__ differ"


@published
def test_nothing_public_is_left_out_of_all() -> None:
    ours = {
        name
        for name, value in vars(roomstate).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("roomstate")
    }
    assert ours <= set(all_names())


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_a_public_module_lists_what_it_defines(name: str) -> None:
    module = public_module(name)
    if "__all__" not in vars(module):
        assert defined_in(module) or not README.exists(), "a public module without a public name"
        return
    names = vars(module)["__all__"]
    assert list(names) == in_order(names)
    assert [name for name in names if not hasattr(module, name)] == []
    assert defined_in(module) <= set(names)


@published
@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_a_public_module_is_documented(name: str) -> None:
    assert f"automodule:: roomstate.{name}\n" in reference()


def parse_tree(docstring: str) -> dict[str, tuple[str | None, str]]:
    """The tree drawn in a docstring: name -> (parent, remark). Four columns are one level."""
    above: list[str] = []
    tree: dict[str, tuple[str | None, str]] = {}
    for line in docstring.splitlines():
        match = re.match(r"    ((?:[│ ] {3})*(?:[├└]── )?)([A-Z]\w*) {2,}(\S.*)$", line)
        if match:
            level = len(match[1]) // 4
            assert level <= len(above), f"{match[2]} hangs in the air"
            assert match[2] not in tree, f"{match[2]} stands twice"
            del above[level:]
            tree[match[2]] = (above[-1] if above else None, match[3])
            above.append(match[2])
    return tree


def class_tree(module: ModuleType) -> dict[str, str | None]:
    """The tree that the classes of a module form: name -> parent within the module."""
    classes = [getattr(module, name) for name in defined_in(module)]
    ours = {cls for cls in classes if inspect.isclass(cls) and issubclass(cls, BaseException)}
    return {cls.__name__: next((b.__name__ for b in cls.__bases__ if b in ours), None) for cls in ours}


def also(remark: str) -> set[str]:
    """The built-in classes that a remark promises: "(also a KeyError)"."""
    return set(re.findall(r"also an? (\w+)", remark))


def foreign_bases(cls: type[BaseException]) -> set[str]:
    """The built-in exceptions that a class of ours is too, apart from Exception itself."""
    return {base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"} - {"Exception"}


def test_the_error_docstring_is_the_tree() -> None:
    drawn = parse_tree(errors.__doc__ or "")
    assert {name: parent for name, (parent, _) in drawn.items()} == class_tree(errors)


def test_the_tree_says_which_built_in_errors_ours_are_too() -> None:
    for name, (_, remark) in parse_tree(errors.__doc__ or "").items():
        assert also(remark) == foreign_bases(getattr(errors, name)), name


def test_every_error_says_what_it_means_and_what_remains() -> None:
    assert [name for name in sorted(defined_in(errors)) if not vars(errors)[name].__doc__] == []


def test_a_wrong_tree_is_noticed() -> None:
    tree = parse_tree("    Root     all\n    ├── A  x (also a KeyError)\n    │   └── B  y\n    └── C  z")
    assert tree == {
        "Root": (None, "all"),
        "A": ("Root", "x (also a KeyError)"),
        "B": ("A", "y"),
        "C": ("Root", "z"),
    }
    assert also(tree["A"][1]) == {"KeyError"}
    with pytest.raises(AssertionError, match="hangs in the air"):
        parse_tree("    Root     all\n    │   └── B    y")
    fake = ModuleType("fake")
    root = type("Root", (Exception,), {"__module__": "fake"})
    vars(fake).update(Root=root, Child=type("Child", (root, KeyError), {"__module__": "fake"}))
    assert class_tree(fake) == {"Root": None, "Child": "Root"}
    assert foreign_bases(vars(fake)["Child"]) == {"KeyError"}


def test_documented_names_are_read_from_directives() -> None:
    text = ".. autoclass:: roomstate.Message\n   :members:\n.. automodule:: roomstate.updates\nroomstate.Other\n"
    assert documented(text) == {"Message"}
