"""What a command shows: a progress line while it works, a table when it is done; with rich, or plainly.

Progress and notes go to standard error, tables to standard output, so that a pipe carries the result alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

HINT = "for a progress bar and framed tables: pip install 'roomstate[cli]'"

Advance = Callable[[int], None]


def has_rich() -> bool:
    """Whether the extra ``cli`` is installed."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


class Terminal:
    """Where a command writes. ``quiet`` leaves progress and hints out."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, quiet: bool = False) -> None:
        self.out: TextIO = out or sys.stdout
        self.err: TextIO = err or sys.stderr
        self._rich = has_rich()
        self._quiet = quiet
        if not self._rich and not quiet and self.err.isatty():
            self.note(HINT)

    def note(self, text: str) -> None:
        """One line on standard error; what a log or a file name says cannot steer the terminal."""
        print("".join(char if char.isprintable() else "\ufffd" for char in text), file=self.err)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Advance]:
        """Count ``what`` on a terminal until the block ends; elsewhere nothing is shown.

        Call the given function with how many more are done; it is cheap enough for every few hundred.
        """
        if self._quiet or not self.err.isatty():
            yield lambda count: None
        elif self._rich:
            with _rich_progress(self.err, what, total) as advance:
                yield advance
        else:
            with _plain_progress(self.err, what, total) as advance:
                yield advance

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of text; all columns but the first are set to the right."""
        if self._rich and self.out.isatty():
            _rich_table(self.out, title, head, rows)
        else:
            _plain_table(self.out, title, head, rows)


@contextmanager
def _rich_progress(err: TextIO, what: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=err), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _plain_progress(err: TextIO, what: str, total: int | None) -> Iterator[Advance]:
    done = 0
    of = f" of {total:,}" if total is not None else ""

    def advance(count: int) -> None:
        nonlocal done
        done += count
        print(f"\r{done:,}{of} {what}", end="", file=err, flush=True)

    try:
        yield advance
    finally:
        print("\r\x1b[K", end="", file=err, flush=True)


def _rich_table(out: TextIO, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(Text, row))  # Text: what a log says is never markup
    Console(file=out).print(table)


def _plain_table(out: TextIO, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(title, file=out)
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = row
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip(), file=out)
    print(file=out)
