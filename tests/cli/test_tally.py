"""Counting, and the two policies for what cannot be read."""

from __future__ import annotations

import msgspec
import pytest

from roomstate.cli.tally import Tally, stop
from roomstate.errors import DamagedLog

INTS: msgspec.json.Decoder[list[int]] = msgspec.json.Decoder(list[int])


def test_stop_raises_what_it_is_told() -> None:
    with pytest.raises(DamagedLog, match="a:1: why"):
        stop(DamagedLog("a:1", "why"))


@pytest.mark.parametrize("raw", [b"", b"[1", b"[null]", b'["\xff"]', b"[" * 100_000])
def test_what_does_not_decode_is_damage_and_none(raw: bytes) -> None:
    seen: list[DamagedLog] = []
    tally = Tally(seen.append)
    assert tally.decode(INTS, raw, "a", 3) is None
    assert (tally.damaged, seen[0].where) == (1, "a:3")
    with pytest.raises(DamagedLog):
        Tally().decode(INTS, raw, "a", 3)


def test_what_decodes_is_returned_uncounted() -> None:
    tally = Tally()
    assert tally.decode(INTS, b"[1]", "a", 3) == [1]
    assert (tally.raw_bytes, tally.skipped, tally.damaged) == (0, 0, 0)
