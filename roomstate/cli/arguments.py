"""The arguments that say which logs to read and how; every command that reads logs takes the same ones."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from datetime import UTC
from typing import get_args
from zoneinfo import ZoneInfo

from roomstate.cli.logline import Encoding, Format, LogLine, ReadOptions
from roomstate.cli.logs import read
from roomstate.cli.synthetic import generate
from roomstate.cli.tally import Tally, stop
from roomstate.cli.terminal import Terminal
from roomstate.errors import DamagedLog

SHOWN_DAMAGE = 20
"""Damaged lines that are named one by one; the others are counted only, lest they bury the result."""


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH ... and the options that say how to read them."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="chat logs, merged by time: NDJSON, irssi, weechat, DiscordChatExporter JSON (each plain, .gz or "
        ".zst), a Slack export (folder or zip); - is standard input; without any, a synthetic day",
    )
    parser.add_argument("--format", choices=get_args(Format), default="auto", help="default: by content")
    parser.add_argument(
        "--damaged", choices=("skip", "stop"), default="skip", help="what to do about a line that cannot be read"
    )
    parser.add_argument("--tz", type=_zone, default=UTC, metavar="ZONE", help="of irssi and weechat times")
    parser.add_argument("--encoding", choices=get_args(Encoding), default="utf-8", help="of irssi and weechat logs")
    parser.add_argument(
        "--rooms-by", choices=("room", "topic"), default="room", help="topic: each topic is a room of its own"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic day (default 0)")


def log_lines(args: argparse.Namespace, terminal: Terminal) -> tuple[Generator[LogLine, None, None], Tally]:
    """The messages that the arguments ask for, and the tally of reading them.

    Raises what :func:`roomstate.cli.logs.read` raises; damage is named on the terminal, or ends the reading.
    """
    tally = Tally(stop if args.damaged == "stop" else _Reporter(terminal).report)
    if not args.paths:
        return generate(args.seed), tally
    options = ReadOptions(args.format, args.tz, args.encoding, args.rooms_by)
    return read(args.paths, options, tally), tally


class _Reporter:
    """Names the first damaged lines."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._left = SHOWN_DAMAGE

    def report(self, error: DamagedLog) -> None:
        if self._left:
            self._terminal.note(f"skipped {error}")
            self._left -= 1
            if not self._left:
                self._terminal.note("further damaged lines are counted only")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"no such time zone: {name!r}") from None
