"""The pages of the reference that are tables of the program are those that it would write now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
GENERATED = runpy.run_path(str(DOCS / "generate.py"))
PAGES = GENERATED["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_would_be_written_now(name: str) -> None:
    page = DOCS / "reference" / name
    assert page.read_text(encoding="utf-8") == PAGES[name](), "stale: run python docs/generate.py"


def test_every_page_that_says_it_is_generated_is() -> None:
    saying = {page.name for page in (DOCS / "reference").iterdir() if "python docs/generate.py" in page.read_text()}
    assert saying == set(PAGES)


def test_a_meaning_without_words_would_be_noticed() -> None:
    from roomstate.room.reduce import MEANINGS

    assert set(GENERATED["MEANS"]) == set(MEANINGS.values())


def test_pages_are_written_where_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GENERATED["main"].__globals__, "REFERENCE", tmp_path)
    GENERATED["main"]()
    assert {page.name: page.read_text(encoding="utf-8") for page in tmp_path.iterdir()} == {
        name: page() for name, page in PAGES.items()
    }
