"""Tables and progress: with rich and without, on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from roomstate.cli import terminal
from roomstate.cli.terminal import HINT, Terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)


TABLE = ("Tiers", ("tier", "rooms"), (("ACTIVE", "3"), ("[bold]CACHED", "1,200")))


def test_a_table_in_a_pipe_is_plain() -> None:
    out = io.StringIO()
    Terminal(out, io.StringIO()).table(*TABLE)
    assert out.getvalue().splitlines() == [
        "Tiers",
        "tier          rooms",
        "------------  -----",
        "ACTIVE            3",
        "[bold]CACHED  1,200",
        "",
    ]


def test_a_table_on_a_terminal_has_a_frame_and_no_markup_of_its_own() -> None:
    out = Tty()
    Terminal(out, io.StringIO()).table(*TABLE)
    assert "\u2501" in out.getvalue()
    assert "[bold]CACHED" in out.getvalue()


@pytest.mark.usefixtures("no_rich")
def test_without_rich_a_terminal_gets_one_hint_and_plain_tables() -> None:
    out, err = Tty(), Tty()
    shown = Terminal(out, err)
    shown.table(*TABLE)
    assert err.getvalue() == HINT + "\n"
    assert out.getvalue().startswith("Tiers\ntier ")


@pytest.mark.usefixtures("no_rich")
def test_no_hint_in_a_pipe_or_when_quiet() -> None:
    for err, quiet in ((io.StringIO(), False), (Tty(), True)):
        Terminal(io.StringIO(), err, quiet=quiet)
        assert err.getvalue() == ""


@pytest.mark.usefixtures("no_rich")
@pytest.mark.parametrize(("total", "shown"), [(None, "\r7 messages"), (12_000, "\r7 of 12,000 messages")])
def test_plain_progress_counts_up_and_clears_its_line(total: int | None, shown: str) -> None:
    err = Tty()
    with Terminal(io.StringIO(), err).progress("messages", total) as advance:
        advance(3)
        advance(4)
    assert shown in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")


def test_rich_progress_is_shown_on_a_terminal() -> None:
    err = Tty()
    with Terminal(io.StringIO(), err).progress("messages", 10) as advance:
        advance(10)
    assert "10 messages" in err.getvalue()


@pytest.mark.parametrize(("err", "quiet"), [(io.StringIO(), False), (Tty(), True)])
def test_no_progress_in_a_pipe_or_when_quiet(err: io.StringIO, quiet: bool) -> None:
    with Terminal(io.StringIO(), err, quiet=quiet).progress("messages") as advance:
        advance(1)
    assert err.getvalue() == ""


def test_a_note_cannot_steer_the_terminal() -> None:
    err = io.StringIO()
    Terminal(io.StringIO(), err).note("a\x1b[2Jb\nc")
    assert err.getvalue() == "a\ufffd[2Jb\ufffdc\n"


def test_the_defaults_are_the_standard_streams(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Terminal()
    shown.table(*TABLE)
    shown.note("note")
    captured = capsys.readouterr()
    assert captured.out.startswith("Tiers")
    assert captured.err == "note\n"
    assert terminal.has_rich()
