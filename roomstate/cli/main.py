"""The command line: one parser, one way to end.

Status 0: done, and what was to be proven holds. 1: it does not hold, or something at rest cannot be read or
written. 2: the arguments are wrong. 130 and 141: ended by Ctrl-C, and by a closed pipe, as the shell has it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from roomstate.cli.terminal import Terminal
from roomstate.errors import RoomStateError, UsageError


class Command(Protocol):
    """A module of ``roomstate.cli`` that is a subcommand."""

    def add_parser(self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the subcommand, with ``run`` as the default of its argument ``run``. Imports nothing heavy."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit status."""


def main(commands: Sequence[Command], argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (default: the process's own) names; returns the exit status.

    Errors of roomstate become one line on standard error, never a traceback.
    """
    try:
        args = _parser(commands).parse_args(argv)
        status: int = args.run(args)
        sys.stdout.flush()
    except RoomStateError as error:
        Terminal(quiet=True).note(f"roomstate: {error}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _abandon_stdout()
        return 141
    return status


def _parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("roomstate", description="The state of many chat rooms, held in tiers.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        command.add_parser(subparsers)
    return parser


def _abandon_stdout() -> None:
    """Nobody reads any more: let the interpreter's own last flush go nowhere, without complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
