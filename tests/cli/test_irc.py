"""irssi and weechat: their usual formats, their service lines, and lines that are neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.files import Source
from roomstate.cli.irc import read_irssi, read_weechat
from roomstate.cli.logline import MAX_NAME_CHARS, Encoding, LogLine, ReadOptions
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog
from roomstate.model import MAX_CONTENT

Reader = Callable[[Source, ReadOptions, Tally], Iterator[LogLine]]


def read(
    reader: Reader, raw: bytes, stem: str = "#rust", tz: tzinfo = UTC, encoding: Encoding = "utf-8"
) -> tuple[list[LogLine], Tally, list[str]]:
    seen: list[str] = []
    tally = Tally(lambda error: seen.append(str(error)))
    source = Source("a", stem, raw, iter([raw]))
    return list(reader(source, ReadOptions(tz=tz, encoding=encoding), tally)), tally, seen


def at(*fields: int) -> float:
    return datetime(*fields, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


IRSSI = b"""\
--- Log opened Wed Nov 17 12:30:01 2004
12:34 <@ada> hi <all>
12:34 < bob> hello
12:35:07 <+eve> with seconds
12:36 <dan> bare
12:36 <dan>
12:36  * bob waves
12:36  * @ada leaves without a word to say
12:37  * bob
12:37 -!- carl [~carl@example.org] has joined #rust
12:37 -!- ada changed the topic of #rust to: x
12:37 -NickServ(NickServ@services.)- a notice
--- Day changed Thu Nov 18 2004
00:00 <ada> tomorrow
--- Log closed Thu Nov 18 00:01:00 2004

--- Log opened Fri Nov 19 08:00:00 2004
[08:01] <ada> in brackets
[08:01] === carl [~carl@example.org] has quit
=== carl [~carl@example.org] has quit
2004-11-21 08:01:02 <ada> dated
"""


def test_irssi_as_it_is_written() -> None:
    found, tally, seen = read(read_irssi, IRSSI)
    assert seen == []
    assert found == [
        LogLine(at(2004, 11, 17, 12, 34), "#rust", "ada", "hi <all>", "#rust:2", {"badges": ["op"]}),
        LogLine(at(2004, 11, 17, 12, 34), "#rust", "bob", "hello", "#rust:3"),
        LogLine(at(2004, 11, 17, 12, 35, 7), "#rust", "eve", "with seconds", "#rust:4", {"badges": ["voice"]}),
        LogLine(at(2004, 11, 17, 12, 36), "#rust", "dan", "bare", "#rust:5"),
        LogLine(at(2004, 11, 17, 12, 36), "#rust", "dan", "", "#rust:6"),
        LogLine(at(2004, 11, 17, 12, 36), "#rust", "bob", "waves", "#rust:7", {"kind": "action"}),
        LogLine(
            *(at(2004, 11, 17, 12, 36), "#rust", "ada", "leaves without a word to say", "#rust:8"),
            {"badges": ["op"], "kind": "action"},
        ),
        LogLine(at(2004, 11, 17, 12, 37), "#rust", "bob", "", "#rust:9", {"kind": "action"}),
        LogLine(at(2004, 11, 18), "#rust", "ada", "tomorrow", "#rust:14"),
        LogLine(at(2004, 11, 19, 8, 1), "#rust", "ada", "in brackets", "#rust:18"),
        LogLine(at(2004, 11, 21, 8, 1, 2), "#rust", "ada", "dated", "#rust:21"),
    ]
    assert tally.skipped == 9


WEECHAT = (
    b"2024-01-02 03:04:05\t-->\tada (~ada@example.org) has joined #rust\n"
    b"2024-01-02 03:04:06\t@ada\thi\tall\n"
    b"2024-01-02 03:04:07\tbob\thello\n"
    b"2024-01-02 03:04:08\t *\tbob waves\n"
    b"2024-01-02 03:04:08\t *\t+bob\n"
    b"2024-01-02 03:04:09\t--\tMode #rust [+o ada] by ChanServ\n"
    b"2024-01-02 03:04:09\t=!=\tirc: cannot connect\n"
    b"2024-01-02 03:04:09\t\t****  Beginning of log  ****\n"
    b"2024-01-02T03:04:10.250Z\tbob\tfine\n"
    b"2024-01-02 03:04:10+0200\tbob\tearlier\n"
    b"2024-01-02 03:04:10-02:30\tbob\tlater\n"
    b"2024-01-02 03:04:10\t<--\tbob (~bob@example.org) has quit\n"
)


def test_weechat_as_it_is_written() -> None:
    found, tally, seen = read(read_weechat, WEECHAT)
    assert seen == []
    assert found == [
        LogLine(at(2024, 1, 2, 3, 4, 6), "#rust", "ada", "hi\tall", "#rust:2", {"badges": ["op"]}),
        LogLine(at(2024, 1, 2, 3, 4, 7), "#rust", "bob", "hello", "#rust:3"),
        LogLine(at(2024, 1, 2, 3, 4, 8), "#rust", "bob", "waves", "#rust:4", {"kind": "action"}),
        LogLine(*(at(2024, 1, 2, 3, 4, 8), "#rust", "bob", "", "#rust:5"), {"badges": ["voice"], "kind": "action"}),
        LogLine(at(2024, 1, 2, 3, 4, 10) + 0.25, "#rust", "bob", "fine", "#rust:9"),
        LogLine(at(2024, 1, 2, 1, 4, 10), "#rust", "bob", "earlier", "#rust:10"),
        LogLine(at(2024, 1, 2, 5, 34, 10), "#rust", "bob", "later", "#rust:11"),
    ]
    assert tally.skipped == 5


def test_an_archive_with_the_date_in_its_name_needs_no_log_opened_line() -> None:
    for stem in ("#rust.2004-11-15", "2004-11-15_03", "20041115"):
        assert read(read_irssi, b"12:34 <ada> hi\n", stem)[0][0].ts == at(2004, 11, 15, 12, 34)
    assert "gives the date" in read(read_irssi, b"12:34 <ada> hi\n", "2004-13-15")[2][0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"12:34 <ada> hi", "comes before any line that gives the date"),
        (b"--- Log opened Mer Nov 17 12:30:01 2004\n25:34 <ada> hi", "hour must be in 0..23"),
        (b"--- Day changed mer. d\xc3\xa9c 17 2004", "the month 'd"),
        (b"--- Day changed Wed Dez 17 2004", "the month 'Dez' is not an English one"),
        (b"--- Day changed Wed Feb 31 2004", "day"),
        (b"--- Day changed Wed Feb 01 0000", "year"),
        (b"hello", "does not begin with a time"),
        (b"12:34 what is this", "is neither a message nor a service line"),
        (b"12:34 <ada", "is neither a message nor a service line"),
        (b"12:34 <" + b"a" * (MAX_NAME_CHARS + 1) + b"> hi", "is neither a message nor a service line"),
        (b"1969-12-31 23:59 <ada> hi", "the time 1969-12-31T23:59:00+00:00 is out of range"),
        (b"2004-11-17 12:34 <ada> a\0b", "has a NUL byte"),
        (b"2004-11-17 12:34 <ada> \xe9", "'utf-8' codec can't decode"),
        (b"2004-11-17 12:34 <ada> " + b"x" * MAX_CONTENT, f"has more than {MAX_CONTENT} characters"),
    ],
)
def test_damaged_irssi_lines_say_why(line: bytes, reason: str) -> None:
    found, _, seen = read(read_irssi, line + b"\n")
    assert found == []
    if reason == "the month 'd":  # the é is a word character only beyond ASCII: the line is another note
        assert seen == []
    else:
        assert reason in seen[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "is not a time, a tab, a nick, a tab and a text"),
        (b"2024-01-02 03:04:05\tada", "is not a time, a tab"),
        (b"2024-13-02 03:04:05\tada\thi", "month must be in 1..12"),
        (b"2024-01-02 03:04:05\ta da\thi", "has no nick"),
        (b"2024-01-02 03:04:05\t *\t", "has no nick"),
        (b"2024-01-02 03:04:05+9900\tada\thi", "offset must be"),
        (b"1969-01-02 03:04:05\tada\thi", "is out of range"),
        (b"9999-12-31 23:59:59-05:00\tada\thi", "is out of range"),
        (b"0001-01-01 00:00:00+05:00\tada\thi", "out of range"),
    ],
)
def test_damaged_weechat_lines_say_why(line: bytes, reason: str) -> None:
    found, _, seen = read(read_weechat, line + b"\n")
    assert found == []
    assert reason in seen[0]


def test_old_logs_are_read_in_their_own_encoding() -> None:
    assert read(read_weechat, b"2024-01-02 03:04:05\tada\t\xe9\n", encoding="cp1252")[0][0].text == "\xe9"


def test_local_times_are_those_of_the_zone() -> None:
    found = read(read_weechat, b"2024-07-01 12:00:00\tada\thi\n", tz=ZoneInfo("Europe/Berlin"))[0]
    assert found[0].ts == at(2024, 7, 1, 10)


def test_the_hour_that_comes_twice_goes_on() -> None:
    raw = b"".join(b"2024-10-27 %s\tada\thi\n" % time for time in (b"02:10:00", b"02:50:00", b"02:20:00", b"03:00:00"))
    found = read(read_weechat, raw, tz=ZoneInfo("Europe/Berlin"))[0]
    assert [line.ts - found[0].ts for line in found] == [0, 2400, 4200, 6600]


def test_ids_are_the_same_on_every_reading() -> None:
    assert read(read_irssi, IRSSI)[0] == read(read_irssi, IRSSI)[0]


def test_stop_names_the_line() -> None:
    raw = IRSSI + b"nonsense\n"
    with pytest.raises(DamagedLog, match=r"^a:22: does not begin with a time$"):
        list(read_irssi(Source("a", "a", raw, iter([raw])), ReadOptions(), Tally()))


@pytest.mark.parametrize(("reader", "sample"), [(read_irssi, IRSSI), (read_weechat, WEECHAT)])
@given(st.data())
def test_no_change_of_a_log_makes_it_fail(reader: Reader, sample: bytes, data: st.DataObject) -> None:
    raw = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"9999", b"0000-00-00", b"\t", b"\xff", b"*", b"24:60"])
        )
    found, tally, seen = read(reader, bytes(raw), tz=ZoneInfo("America/New_York"))
    assert len({line.id for line in found}) == len(found)
    assert tally.damaged == len(seen)
    assert len(found) + tally.skipped + tally.damaged == sum(
        1 for line in bytes(raw).split(b"\n") if line.rstrip(b"\r")
    )
