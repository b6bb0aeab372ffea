"""Chat logs of any known format as one stream of :class:`LogLine`; the format is told by the content."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path

from roomstate.cli import discord, irc, ndjson, slack
from roomstate.cli.files import Source, is_folder, open_source, shown, stem_of
from roomstate.cli.logline import Format, LogLine, ReadOptions, by_topic
from roomstate.cli.tally import Tally
from roomstate.errors import InvalidValue

MAX_PATHS = 256
"""Logs that one reading merges; each stays open until its end, and systems allow 1,024 files or more."""

_READERS: dict[str, Callable[[Source, ReadOptions, Tally], Iterator[LogLine]]] = {
    "ndjson": ndjson.read,
    "irssi": irc.read_irssi,
    "weechat": irc.read_weechat,
    "discord": discord.read,
}

# The first line that fits one of these names the format, so a damaged beginning does not hide it.
_SIGNS: tuple[tuple[re.Pattern[bytes], Format], ...] = (
    (re.compile(rb'\s*\{\s*"guild"\s*:'), "discord"),
    (re.compile(rb"\{.*\S"), "ndjson"),
    (re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S*\t"), "weechat"),
    (re.compile(rb"--- (?:Log opened|Day changed) "), "irssi"),
    (re.compile(rb"\[?(?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d(?::\d\d)?\]?  ?[<*-]"), "irssi"),
)


def read(paths: Sequence[str], options: ReadOptions, tally: Tally) -> Generator[LogLine, None, None]:
    """The messages of all logs, merged by time; each log keeps its own order.

    Opens every path at once, so a path that cannot be read raises :class:`InvalidValue` before the first
    message: one that is missing or forbidden, no regular file (``-`` is standard input), empty, or of no
    known format. Damaged lines go to ``tally``. Memory: one line of each log, and one decompression step.
    """
    if len(paths) > MAX_PATHS:
        raise InvalidValue("paths", f"at most {MAX_PATHS} logs can be read together, got {len(paths)}")
    for path, times in Counter(paths).items():
        if times > 1:
            raise InvalidValue(shown(path), "is given twice")
    shared = Counter(map(stem_of, paths))
    streams = [_read(path, _stem(path, shared), options, tally) for path in paths]
    return _merged(streams, options)


def _merged(streams: Sequence[Iterator[LogLine]], options: ReadOptions) -> Generator[LogLine, None, None]:
    """The messages of ``streams`` by time; whoever stops before the end closes it, and so the files."""
    merged = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=attrgetter("ts"))
    try:
        yield from map(by_topic, merged) if options.rooms_by == "topic" else merged
    finally:
        for stream in streams:
            if isinstance(stream, Generator):
                stream.close()


def _stem(path: str, shared: Counter[str]) -> str:
    """Two logs of the same name are two rooms: they are named by their whole paths."""
    stem = stem_of(path)
    return stem if shared[stem] == 1 else shown(str(Path(path).absolute()))[-200:]


def _read(path: str, stem: str, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    if path != "-" and is_folder(path):
        return _slack(path, options, tally)
    source = open_source(path, stem)
    if source.head.startswith(b"PK\x03\x04") and path != "-":
        return _slack(path, options, tally)
    kind = sniff(source) if options.format == "auto" else options.format
    if kind not in _READERS:
        raise InvalidValue(source.where, "is no Slack export: neither a folder nor a zip file")
    return _READERS[kind](source, options, tally)


def _slack(path: str, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    if options.format not in ("auto", "slack"):
        raise InvalidValue(shown(path), f"is a folder or a zip file, not one {options.format} log")
    with slack.opened(path) as export:
        if not export.days():
            raise InvalidValue(shown(path), "is no Slack export: it has no channel/YYYY-MM-DD.json")
    return slack.read(path, options, tally)


def sniff(source: Source) -> Format:
    """The format that the beginning of a log shows; raises :class:`InvalidValue` for an unknown one."""
    if not source.head.strip():
        raise InvalidValue(source.where, "is empty")
    if source.head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidValue(source.where, "is UTF-16; convert it to UTF-8 first")
    for text in chain((source.head,), source.head.splitlines()):
        for sign, kind in _SIGNS:
            if sign.match(text):
                return kind
    raise InvalidValue(source.where, "is in no known format; name one with --format")
