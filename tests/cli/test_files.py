"""Opening, decompressing and cutting: bounded whatever the file says of itself."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli import files
from roomstate.cli.files import Source, inflated, is_folder, lines, open_source, raw_chunks, source_of, stem_of
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog, InvalidValue


def source(*chunks: bytes) -> Source:
    return source_of(iter(chunks), "a.log", "a")


def skipping() -> tuple[Tally, list[str]]:
    seen: list[str] = []
    return Tally(lambda error: seen.append(str(error))), seen


def read(max_line_bytes: int, *chunks: bytes) -> tuple[list[tuple[int, bytes]], list[str]]:
    tally, seen = skipping()
    return list(lines(source(*chunks), tally, max_line_bytes)), seen


def test_lines_are_numbered_from_one_and_blank_ones_keep_their_number() -> None:
    assert read(10, b"a\r\n\nb\n", b"c")[0] == [(1, b"a"), (3, b"b"), (4, b"c")]


def test_a_line_over_the_bound_is_damaged_and_the_next_one_is_read() -> None:
    found, seen = read(3, b"aaa\nbb", b"bb", b"bb\ncc\ndddd")
    assert found == [(1, b"aaa"), (3, b"cc")]
    assert seen == ["a.log:2: longer than 3 bytes", "a.log:4: longer than 3 bytes"]


def test_a_whole_line_over_the_bound_within_one_chunk() -> None:
    assert read(3, b"aaaa\nb\n") == ([(2, b"b")], ["a.log:1: longer than 3 bytes"])


def test_of_a_hundred_megabyte_line_only_the_bound_is_held() -> None:
    def zeros() -> Iterator[bytes]:
        for _ in range(1600):
            yield b"0" * files.CHUNK_BYTES
        yield b"\nend\n"

    tally, seen = skipping()
    assert list(lines(Source("a.log", "a", b"", zeros()), tally, 1 << 20)) == [(2, b"end")]
    assert seen == ["a.log:1: longer than 1048576 bytes"]
    assert tally.raw_bytes == 1600 * files.CHUNK_BYTES + 5


@given(
    st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").rstrip(b"\r")), max_size=8),
    st.integers(1, 9),
)
def test_lines_do_not_depend_on_where_the_chunks_end(texts: list[bytes], size: int) -> None:
    raw = b"".join(text + b"\n" for text in texts)
    tally, seen = skipping()
    chunks = iter([raw[at : at + size] for at in range(0, len(raw), size)])
    assert list(lines(Source("a", "a", b"", chunks), tally, 100)) == [
        (number, text) for number, text in enumerate(texts, 1) if text
    ]
    assert not seen
    assert tally.raw_bytes == len(raw)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress, bytes])
@pytest.mark.parametrize("size", [1, 3, 1 << 16])
def test_compression_is_told_by_the_content_and_members_follow_each_other(compress: object, size: int) -> None:
    assert callable(compress)
    raw = compress(b"first\n" * 2000) + compress(b"second\n")
    chunks = iter([raw[at : at + size] for at in range(0, len(raw), size)])
    assert b"".join(inflated(chunks, "a")) == b"first\n" * 2000 + b"second\n"


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_truncated_compressed_data_is_damage_after_the_lines_before_it(compress: object) -> None:
    assert callable(compress)
    raw = compress(os.urandom(1 << 17).hex("\n").encode())
    tally, seen = skipping()
    found = list(lines(source_of(iter([raw[:-40000]]), "a.gz", "a"), tally, 1 << 20))
    assert len(found) > 1000
    assert seen == [f"a.gz:{len(found) + 1}: the compressed data ends in the middle"]


def test_damaged_compressed_data_is_damage() -> None:
    assert read(100, b"\x1f\x8b" + b"x" * 50)[1][0].startswith("a.log:1: the compressed data is damaged: ")
    assert "is damaged" in read(100, b"\x28\xb5\x2f\xfd" + b"\xff" * 50)[1][0]


def test_a_zstd_frame_may_not_ask_for_more_memory_than_the_zstd_command_gives() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = writer.compress(b"x") + writer.flush()
    assert "memory" in read(100, raw)[1][0]


def test_a_bomb_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "EXPANSION_FREE_BYTES", 1 << 20)
    raw = zstandard.ZstdCompressor().compress(b"\n" * (256 << 20))
    assert len(raw) < 20_000
    tally, seen = skipping()
    assert list(lines(source(raw), tally, 100)) == []
    assert "expands more than 1000 times" in seen[0]
    assert tally.raw_bytes < 32 << 20


def test_stop_is_the_default_policy() -> None:
    with pytest.raises(DamagedLog, match=r"^a\.log:1: longer than 1 bytes$"):
        list(lines(source(b"abc\n"), Tally(), 1))


def test_a_byte_order_mark_is_no_text() -> None:
    assert read(100, b"\xef\xbb\xbfa\n")[0] == [(1, b"a")]
    assert source(b"\xef\xbb\xbfa\n").head == b"a\n"


def test_a_folder_that_cannot_be_seen_is_none(tmp_path: Path) -> None:
    assert is_folder(str(tmp_path))
    assert not is_folder("x" * 5000)


@pytest.mark.parametrize("name", ["missing", "a\0b"])
def test_a_path_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidValue):
        open_source(str(tmp_path / name))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs")
def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidValue, match="use - to read standard input"):
        open_source(str(tmp_path / "fifo"))


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue):
        open_source(str(tmp_path))


def test_standard_input_is_a_log_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    opened = open_source("-")
    assert (opened.stem, b"".join(opened.chunks)) == ("stdin", b"a\nb\n")


class Failing(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_an_error_while_reading_is_damage_at_the_line_reached() -> None:
    file: BinaryIO = Failing(b"a\nb\n")
    tally, seen = skipping()
    assert list(lines(source_of(raw_chunks(file, "a"), "a", "a"), tally, 9)) == [(1, b"a"), (2, b"b")]
    assert seen == ["a:3: cannot be read: Input/output error"]


def test_stems_lose_their_endings_and_bytes_that_are_no_text() -> None:
    assert stem_of("x/2004-11-15.ubuntu.ndjson.zst") == "2004-11-15.ubuntu"
    assert stem_of(os.fsdecode(b"\xff.log")) == "\ufffd"
    assert stem_of("/") == "log"
