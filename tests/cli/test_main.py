"""How a command ends: its status, one line for an error, no traceback for a closed pipe or Ctrl-C."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from roomstate.cli.main import main
from roomstate.errors import DamagedStore, InvalidValue, RoomStateError


class Ending:
    """A command that ends as it is told."""

    def __init__(self, end: BaseException | int) -> None:
        self.end = end

    def add_parser(self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        subparsers.add_parser("end").set_defaults(run=self.run)

    def run(self, args: argparse.Namespace) -> int:
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


@pytest.mark.parametrize("status", [0, 1])
def test_the_commands_status_is_the_processes(status: int) -> None:
    assert main([Ending(status)], ["end"]) == status


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidValue("a.log", "is empty"), 2), (DamagedStore("a.db", "is not one"), 1)]
)
def test_an_error_is_one_line(error: RoomStateError, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([Ending(error)], ["end"]) == status
    assert capsys.readouterr().err == f"roomstate: {error}\n"


def test_other_errors_are_bugs_and_show_where() -> None:
    with pytest.raises(ZeroDivisionError):
        main([Ending(ZeroDivisionError())], ["end"])


def test_ctrl_c_ends_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([Ending(KeyboardInterrupt())], ["end"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("argv", [[], ["other"], ["end", "--what"]])
def test_wrong_arguments_show_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([Ending(0)], argv)
    assert caught.value.code == 2
    assert "usage: roomstate" in capsys.readouterr().err


ENDLESS = """
import sys
from roomstate.cli.main import main

class Endless:
    def add_parser(self, subparsers):
        subparsers.add_parser("write").set_defaults(run=self.run)

    def run(self, args):
        while True:
            print("line")

sys.exit(main([Endless()], ["write"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pipes close otherwise there")
def test_a_closed_pipe_ends_quietly() -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{ENDLESS}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141
