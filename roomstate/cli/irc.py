"""The logs of two IRC clients: irssi (a time on each line, the date now and then) and weechat (both, tabs).

Neither writes message ids: an id is ``stem:line number``, the same on every reading of the same file. The
room is the file's stem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any

from roomstate.cli.files import Source, lines
from roomstate.cli.logline import MAX_NAME_CHARS, MAX_TS, LogLine, ReadOptions
from roomstate.cli.tally import Tally
from roomstate.model import MAX_CONTENT

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BADGES = {"@": "op", "+": "voice", "%": "halfop", "&": "admin", "~": "owner"}
_NICK = rf"([@+%&~]?)([^\s>]{{1,{MAX_NAME_CHARS}}})"

_IRSSI_TIME = re.compile(r"\[?(?:(\d{4})-(\d\d)-(\d\d)[ T])?(\d\d):(\d\d)(?::(\d\d))?\]?(?= )", re.ASCII)
_IRSSI_DATE = re.compile(
    r"--- (?:Log opened|Log closed|Day changed) \S+ (\w{3}) +(\d{1,2})(?: \d\d:\d\d(?::\d\d)?)? (\d{4})",
    re.ASCII,
)
_IRSSI_SAID = re.compile(rf" < ?{_NICK}> ?(.*)", re.DOTALL)
_IRSSI_DONE = re.compile(rf" {{1,2}}\* {_NICK}(?: (.*))?$", re.DOTALL)
_IRSSI_SERVICE = re.compile(r" (?:-|===|>>>|!)")
_STEM_DATE = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)(?!\d)", re.ASCII)

_WEECHAT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:(Z)|([+-])(\d\d):?(\d\d))?\t([^\t]*)\t(.*)",
    re.ASCII | re.DOTALL,
)
_WEECHAT_SERVICE = frozenset({"-->", "<--", "--", "=!=", ""})
_WEECHAT_NICK = re.compile(_NICK + "$")


class _Unreadable(Exception):
    """Why a line is no message and no service line."""


class _Clock:
    """Local times of one log as epoch seconds. The hour that comes twice is told by time going back."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._last = 0.0

    def at(self, *fields: int, zone: tzinfo | None = None) -> float:
        moment = datetime(*fields, tzinfo=zone or self._zone)  # type: ignore[misc, arg-type]
        ts = moment.timestamp()
        if ts < self._last:
            ts = max(ts, moment.replace(fold=1).timestamp())
        if not 0 <= ts < MAX_TS:
            raise _Unreadable(f"the time {moment.isoformat()} is out of range")
        self._last = ts
        return ts


_Parse = Callable[[str], tuple[float, str, str, dict[str, Any]] | None]


def read_irssi(source: Source, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    """The messages and actions of an irssi log (also with ``[12:34]`` times, as ircd archives have them).

    The date comes from ``--- Log opened`` and ``--- Day changed`` lines, or from the file's own name.
    """
    return _read(source, options, tally, _Irssi(source.stem, options.tz).parse)


def read_weechat(source: Source, options: ReadOptions, tally: Tally) -> Iterator[LogLine]:
    """The messages and actions of a weechat log."""
    return _read(source, options, tally, partial(_weechat, _Clock(options.tz)))


def _read(source: Source, options: ReadOptions, tally: Tally, parse: _Parse) -> Iterator[LogLine]:
    for number, raw in lines(source, tally, options.max_line_bytes):
        try:
            found = parse(_text(raw, options.encoding))
        except (_Unreadable, ValueError, OverflowError) as error:
            tally.damage(source.where, number, str(error))
            continue
        if found is None:
            tally.skipped += 1
            continue
        ts, user, text, extra = found
        yield LogLine(ts, source.stem, user, text, f"{source.stem}:{number}", extra)


def _text(raw: bytes, encoding: str) -> str:
    if b"\0" in raw:
        raise _Unreadable("has a NUL byte")
    text = raw.decode(encoding)
    if len(text) > MAX_CONTENT:
        raise _Unreadable(f"has more than {MAX_CONTENT} characters")
    return text


class _Irssi:
    """Reads irssi lines in order; what it keeps from line to line is the date."""

    def __init__(self, stem: str, zone: tzinfo) -> None:
        self._clock = _Clock(zone)
        self._day = _day_of(stem)

    def parse(self, line: str) -> tuple[float, str, str, dict[str, Any]] | None:
        stamp = _IRSSI_TIME.match(line)
        if stamp is None:
            self._note(line)
            return None
        rest = line[stamp.end() :]
        said = _IRSSI_SAID.match(rest)
        done = said or _IRSSI_DONE.match(rest)
        if done is not None:
            return self._at(stamp), done[2], done[3] or "", _extra(done[1], action=said is None)
        if _IRSSI_SERVICE.match(rest):
            return None
        raise _Unreadable("is neither a message nor a service line")

    def _note(self, line: str) -> None:
        """A line without a time: the date, or another of irssi's own notes."""
        if found := _IRSSI_DATE.match(line):
            month, day, year = found.groups()
            if month not in _MONTHS:
                raise _Unreadable(f"the month {month!r} is not an English one")
            self._day = date(int(year), _MONTHS.index(month) + 1, int(day))
        elif not line.startswith(("--- ", "=== ")):
            raise _Unreadable("does not begin with a time")

    def _at(self, stamp: re.Match[str]) -> float:
        year, month, day, hour, minute, second = (int(part or 0) for part in stamp.groups())
        if year:
            self._day = date(year, month, day)
        if self._day is None:
            raise _Unreadable("comes before any line that gives the date")
        return self._clock.at(self._day.year, self._day.month, self._day.day, hour, minute, second)


def _day_of(stem: str) -> date | None:
    found = _STEM_DATE.search(stem)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _extra(prefix: str, *, action: bool) -> dict[str, Any]:
    extra: dict[str, Any] = {"badges": [_BADGES[prefix]]} if prefix else {}
    if action:
        extra["kind"] = "action"
    return extra


def _weechat(clock: _Clock, line: str) -> tuple[float, str, str, dict[str, Any]] | None:
    found = _WEECHAT.match(line)
    if found is None:
        raise _Unreadable("is not a time, a tab, a nick, a tab and a text")
    *_, prefix, text = found.groups()
    prefix = prefix.strip()
    if prefix in _WEECHAT_SERVICE:
        return None
    action = prefix == "*"
    if action:
        prefix, _, text = text.partition(" ")
    nick = _WEECHAT_NICK.match(prefix)
    if nick is None:
        raise _Unreadable("has no nick")
    return _weechat_time(clock, found), nick[2], text, _extra(nick[1], action=action)


def _weechat_time(clock: _Clock, found: re.Match[str]) -> float:
    fields = [int(part) for part in found.groups()[:6]]
    fraction, utc, sign, hours, minutes = found.groups()[6:11]
    zone: tzinfo | None = UTC if utc else None
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(offset if sign == "+" else -offset)
    return clock.at(*fields, zone=zone) + float(fraction or 0)
