"""The value that readers give, and rooms by topic."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.logline import LogLine, by_topic
from roomstate.model import MAX_ID

NAMES = st.text(alphabet="a/%2F5", max_size=6)


def line(room: str, topic: str | None) -> LogLine:
    return LogLine(0.0, room, "ada", "hi", "1", {} if topic is None else {"topic": topic})


@given(NAMES, st.none() | NAMES, NAMES, st.none() | NAMES)
def test_two_pairs_of_room_and_topic_never_share_a_name(a: str, x: str | None, b: str, y: str | None) -> None:
    assert (by_topic(line(a, x)).room == by_topic(line(b, y)).room) == ((a, x) == (b, y))


def test_a_line_without_a_topic_keeps_its_room() -> None:
    plain = line("rust", None)
    assert by_topic(plain) is plain


def test_a_name_that_no_room_may_have_is_cut_and_still_its_own() -> None:
    rooms = [by_topic(line("%" * 255, topic + "é" * 200)).room for topic in ("a", "b")]
    assert [len(room) for room in rooms] == [MAX_ID, MAX_ID]
    assert rooms[0] != rooms[1]
    assert len(by_topic(line("a" * 255, "b" * 255)).room) == 511


def test_lines_do_not_share_what_they_have_besides() -> None:
    assert LogLine(0.0, "a", "b", "c", "d").extra is not LogLine(0.0, "a", "b", "c", "d").extra
    assert msgspec.structs.asdict(LogLine(0.0, "a", "b", "c", "d"))["extra"] == {}
