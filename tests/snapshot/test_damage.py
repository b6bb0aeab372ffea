"""Bytes that no codec wrote: a typed error, within the stated memory, whoever wrote them."""

from __future__ import annotations

import multiprocessing
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import DamagedSnapshot, NewerSnapshot, SnapshotError, UnknownDictionary
from roomstate.image import RoomImage
from roomstate.model import Message
from roomstate.position import Position
from roomstate.snapshot import Level, SnapshotCodec
from roomstate.snapshot import header as header_module
from roomstate.snapshot.codec import _Payload, _rest
from roomstate.snapshot.columns import Series, Strings, Table, pack_planes
from roomstate.snapshot.ids import NumberIds, UuidIds
from roomstate.snapshot.messages import MessageColumns
from roomstate.snapshot.plain import encode_json

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
CAP = 1 << 20
SLACK = 8 << 20
CODEC = SnapshotCodec(Level.LOW, max_bytes=CAP)


def room(count: int, room_id: str = "rust", seed: int = 0) -> RoomImage:
    draw = random.Random(seed)
    words = "the of kernel patch borrow checker says no and yes ünïcode 🎉 release tomorrow".split()
    return RoomImage(
        room_id=room_id,
        position=Position("e1", count),
        messages=tuple(
            Message(
                f"{room_id}-{n}",
                f"user{draw.randrange(7)}",
                " ".join(draw.choices(words, k=draw.randrange(1, 12))),
                NOON + timedelta(seconds=n * 7, microseconds=draw.randrange(2)),
                ("mod",) if n % 5 == 0 else (),
                {"reply_to": str(n)} if n % 3 == 0 else {},
            )
            for n in range(count)
        ),
        seqs=tuple(range(1, count + 1)),
        moderation={"words": ["a", "b"]},
        digest={"messages": 3},
    )


IMAGES = [room(0), room(1), room(40), room(40, "go", 1), room(120, "c", 2)]
SNAPSHOTS = [CODEC.encode(image) for image in IMAGES]


def forge(columns: MessageColumns, rest: bytes = b"{}", **changed: Any) -> bytes:
    """A snapshot whose checksums are right, whatever is in it."""
    return forge_payload(msgspec.msgpack.encode(_Payload(columns, rest)), messages=columns.items, **changed)


def forge_payload(payload: bytes, frame: bytes | None = None, **changed: Any) -> bytes:
    fields, _ = header_module.split(SNAPSHOTS[2])
    values = {"payload_bytes": len(payload), **changed}
    if frame is None:
        frame = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(payload)
    return header_module.join(msgspec.msgpack.encode(msgspec.structs.replace(fields, **values)), frame)


def columns(**changed: Any) -> MessageColumns:
    return msgspec.structs.replace(MessageColumns.pack(IMAGES[2].messages, IMAGES[2].seqs), **changed)


def test_a_forged_snapshot_is_a_snapshot() -> None:
    """What the tests below change is all that is wrong with theirs."""
    forged = forge(columns(), encode_json(_rest(IMAGES[2])))
    assert CODEC.decode(forged).messages == IMAGES[2].messages


def read_or_typed_error(data: bytes, read: Callable[[bytes], object] = CODEC.decode) -> object:
    try:
        return read(data)
    except SnapshotError:
        return None


def mutations(draw: random.Random) -> Iterator[bytes]:
    """Snapshots with bits flipped, bytes changed, cut, grown, spliced, blocks swapped or repeated."""
    while True:
        data = bytearray(draw.choice(SNAPSHOTS))
        at, to = draw.randrange(len(data)), draw.randrange(len(data))
        kind = draw.randrange(8)
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at] = draw.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[min(at, to) : max(at, to)]
        elif kind == 4:
            data += draw.randbytes(draw.randrange(1, 20))
        elif kind == 5:
            other = draw.choice(SNAPSHOTS)
            data[at:] = other[min(at, len(other)) :]
        elif kind == 6:
            data[at], data[to] = data[to], data[at]
        else:
            data[at:at] = data[min(at, to) : max(at, to)]
        yield bytes(data)


def fuzz_plain(rounds: int, seed: int) -> None:
    """No mutated snapshot reads as anything but the image that was written."""
    right = {msgspec.msgpack.encode(CODEC.decode(data)) for data in SNAPSHOTS}
    for _, data in zip(range(rounds), mutations(random.Random(seed)), strict=False):
        image = read_or_typed_error(data)
        assert image is None or data in SNAPSHOTS or msgspec.msgpack.encode(image) in right


def reseal(data: bytes, draw: random.Random) -> bytes:
    """Change payload or header below their checksums, and set the checksums right again."""
    fields, start = header_module.split(data)
    payload = bytearray(zstandard.ZstdDecompressor().decompress(data[start:]))
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(payload))
        kind = draw.randrange(4)
        if kind == 0:
            payload[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            payload[at] = draw.choice(b"\x00\x01\x7f\x80\x90\xa0\xc0\xc4\xca\xcf\xd3\xdf\xff{[")
        elif kind == 2:
            payload[at : at + draw.randrange(1, 9)] = b""
        else:
            payload[at:at] = draw.randbytes(draw.randrange(1, 9))
        payload = payload or bytearray(b"\0")
    return forge_payload(bytes(payload), messages=fields.messages)


def fuzz_sealed(rounds: int, seed: int) -> None:
    """Behind right checksums anything may be written, but what is read is an image or a typed error."""
    draw = random.Random(seed)
    for _ in range(rounds):
        image = read_or_typed_error(reseal(draw.choice(SNAPSHOTS), draw))
        assert image is None or isinstance(image, RoomImage)


def peak() -> int:
    """The most bytes that this process ever held, by what Linux says; not its parent's, as getrusage would tell."""
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def grown(fuzz: Callable[[int, int], None], rounds: int, seed: int) -> int:
    """Bytes by which the process's memory grew at its peak, that of zstd included; to be called in one of its own."""
    fuzz(max(rounds // 20, 100), seed + 1)
    before = peak()
    fuzz(rounds, seed)
    return peak() - before


def fuzz_within_memory(fuzz: Callable[[int, int], None], rounds: int, seed: int) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("its memory cannot be asked for")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(grown, fuzz, rounds, seed).result() <= CAP + SLACK


@pytest.mark.campaign
def test_mutated_snapshots_are_never_read_wrong_within_the_stated_memory() -> None:
    fuzz_within_memory(fuzz_plain, 180_000, 1)


@pytest.mark.campaign
def test_mutations_behind_right_checksums_give_typed_errors_within_the_stated_memory() -> None:
    fuzz_within_memory(fuzz_sealed, 20_000, 1)


def test_too_much_memory_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        fuzz_within_memory(greedy, 2000, 1)


def greedy(rounds: int, seed: int) -> None:
    """A reader that takes more memory than it may, but not at once."""
    if rounds > 1000:
        assert len(b"x" * (2 * (CAP + SLACK))) > CAP


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_ten_million_mutated_snapshots(seed: int) -> None:
    fuzz_within_memory(fuzz_plain, 900_000, 1000 + seed)
    fuzz_within_memory(fuzz_sealed, 100_000, 2000 + seed)


def test_every_bit_flip_is_damage_or_changes_nothing() -> None:
    """A compressed frame has some bits to spare; the checksum of its content says which."""
    data, harmless = SNAPSHOTS[2], 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        if image := read_or_typed_error(bytes(flipped)):
            harmless += 1
            assert image == IMAGES[2]
    assert harmless < 0.01 * 8 * len(data)


def test_every_cut_is_damage() -> None:
    for size in range(len(SNAPSHOTS[2])):
        for read in (CODEC.decode, CODEC.header):
            with pytest.raises(DamagedSnapshot):
                read(SNAPSHOTS[2][:size])


def test_a_header_is_read_without_its_frame() -> None:
    data = bytearray(SNAPSHOTS[2])
    _, start = header_module.split(SNAPSHOTS[2])
    data[start:-4] = bytes(len(data) - start - 4)
    assert CODEC.header(bytes(data)) == CODEC.header(SNAPSHOTS[2])
    with pytest.raises(DamagedSnapshot):
        CODEC.decode(bytes(data))


def test_two_snapshots_spliced_are_damage() -> None:
    _, mine = header_module.split(SNAPSHOTS[2])
    _, other = header_module.split(SNAPSHOTS[3])
    with pytest.raises(DamagedSnapshot, match="checksum of its header"):
        CODEC.header(SNAPSHOTS[2][:mine] + SNAPSHOTS[3][other:])


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_damage(data: bytes) -> None:
    for start in (b"", SNAPSHOTS[0][:13]):
        with pytest.raises(DamagedSnapshot):
            CODEC.decode(start + data)


def test_a_newer_version_is_not_damage() -> None:
    _, start = header_module.split(SNAPSHOTS[2])
    newer = b"\x02" + SNAPSHOTS[2][5:9]
    check = zlib.crc32(SNAPSHOTS[2][-4:], zlib.crc32(SNAPSHOTS[2][13:start], zlib.crc32(newer)))
    data = SNAPSHOTS[2][:4] + newer + check.to_bytes(4, "little") + SNAPSHOTS[2][13:]
    for read in (CODEC.decode, CODEC.header):
        with pytest.raises(NewerSnapshot, match="has version 2; this roomstate reads up to 1"):
            read(data)


def test_a_dictionary_that_is_not_at_hand_is_named() -> None:
    with pytest.raises(UnknownDictionary, match="0000007b"):
        CODEC.decode(forge(columns(), dictionary=123))


def frame_of(payload: bytes, **settings: Any) -> bytes:
    return zstandard.ZstdCompressor(level=1, **{"write_checksum": True, **settings}).compress(payload)


PLAIN = msgspec.msgpack.encode(_Payload(columns(), b"{}"))


FRAMES = {
    "no checksum, so flipped bits would be read": (frame_of(PLAIN, write_checksum=False), len(PLAIN)),
    "no declared size": (frame_of(PLAIN, write_content_size=False), len(PLAIN)),
    "another size than the header says": (frame_of(PLAIN), len(PLAIN) - 1),
    "a trailing byte, which zstandard accepts": (frame_of(PLAIN) + b"x", len(PLAIN)),
    "a trailing frame": (frame_of(PLAIN) + frame_of(b"more"), len(PLAIN)),
    "truncated, which a stream_reader does not notice": (frame_of(PLAIN)[:-5], len(PLAIN)),
    "a bomb that declares its size, which max_output_size ignores": (frame_of(bytes(16 * CAP)), 16 * CAP),
    "a bomb that the header belittles": (frame_of(bytes(16 * CAP)), len(PLAIN)),
    "a lying header of 13 bytes, a MemoryError": (b"\x28\xb5\x2f\xfd\xe4" + b"\xff" * 7 + b"\x7f", 2**53 - 1),
    "a lying header within the cap": (b"\x28\xb5\x2f\xfd\xe4" + CAP.to_bytes(8, "little"), CAP),
    "a window above the cap": (b"\x28\xb5\x2f\xfd\xc4\x70" + len(PLAIN).to_bytes(8, "little"), len(PLAIN)),
    "a skippable frame": (b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd", 4),
    "no frame": (b"none", 4),
}


@pytest.mark.parametrize(("frame", "stated"), FRAMES.values(), ids=FRAMES)
def test_frames_that_zstandard_would_accept_or_choke_on_are_damage(frame: bytes, stated: int) -> None:
    data = forge_payload(b"", frame, payload_bytes=stated)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedSnapshot):
            CODEC.decode(data)
        assert tracemalloc.get_traced_memory()[1] <= CAP + SLACK
    finally:
        tracemalloc.stop()


def test_memory_that_cannot_be_had_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, fields: object, payload: object, last: object) -> RoomImage:
        raise MemoryError

    monkeypatch.setattr(SnapshotCodec, "_unpack", refuse)
    with pytest.raises(DamagedSnapshot):
        CODEC.decode(SNAPSHOTS[2])


@pytest.mark.parametrize(
    "changed",
    [
        {"items": 41},
        {"items": -1},
        {"items": 2**62},
        {"seq_items": 7},
        {"seqs": Series(-5, 1)},
        {"seqs": Series(2**53, 1)},
        {"tick": 0},
        {"tick": 10**9},
        {"times": Series(2**63 - 1, 2**62)},
        {"times": Series(-(2**62), -(2**62))},
        {"times": Series(10**9, 0, pack_planes([2**63] * 39))},
        {"micros": b"x"},
        {"micros": pack_planes([2**63] * 40)},
        {"users": Table(Strings(b"a"), 2)},
        {"users": Table(Strings(b"a"), 41)},
        {"users": Table(Strings(b"a"), -1)},
        {"texts": Strings(b"\xff")},
        {"badges": b"[[0],[]]"},
        {"badges": b"[[99],[[]]]"},
        {"extras": b"[[-1],[{}]]"},
        {"extras": b'[[0],["x"]]'},
        {"extras": b"[" * 10_000},
    ],
)
def test_columns_that_nobody_packed_are_damage(changed: dict[str, Any]) -> None:
    with pytest.raises(DamagedSnapshot):
        CODEC.decode(forge(columns(**changed)))


def test_a_header_that_nobody_wrote_is_damage() -> None:
    for fields in (b"\x90", b"\xc1", b"\x91" * 5000, bytes(1 << 17)):
        with pytest.raises(DamagedSnapshot, match="header"):
            CODEC.header(header_module.join(fields, b"xxxx"))
    for digest in (b"{", b"[]", b"\xff", b"[" * 10_000):
        forged = forge(columns(), digest=digest)
        assert CODEC.header(forged).messages == 40  # it is read when it is asked for
        with pytest.raises(DamagedSnapshot, match="a digest that cannot be read"):
            _ = CODEC.header(forged).digest
        with pytest.raises(DamagedSnapshot, match="a digest that cannot be read"):
            CODEC.decode(forged)
    with pytest.raises(DamagedSnapshot, match="number of messages"):
        CODEC.decode(forge_payload(PLAIN, messages=39))


N = 1000
BOMBS = {
    "extras of empty objects": columns(extras=b"[[],[" + b",".join([b"{}"] * 40) + b"]]"),
    "values in one extra": columns(extras=b'[[0],[{"a":[' + b",".join([b"{}"] * 20_000) + b"]}]]"),
    "lists in one extra": columns(extras=b'[[0],[{"a":[' + b",".join([b"[]"] * 20_000) + b"]}]]"),
    "keys in one extra": columns(
        extras=b'[[0],[{"a":{' + b",".join(f'"{n}":1.5'.encode() for n in range(20_000)) + b"}}]]"
    ),
    "badges": columns(badges=b'[[0],[["' + b'","'.join([b"ab"] * 40_000) + b'"]]]'),
    "a wide text": columns(texts=Strings(b"\xf0\x9f\x8e\x89" + b"a" * 200_000 + b"\0" * 39)),
    "long prefixes": columns(ids=NumberIds(Table.pack(["x" * 50_000]), Series(1, 1))),
    "long wide prefixes": columns(ids=NumberIds(Table.pack(["x" * 10_000 + "🎉"]), Series(1, 1))),
    "many prefixes": columns(ids=NumberIds(Table.pack([f"{n}" * 100 + "\0" for n in range(40)]), Series(1, 1))),
    "many empty texts": columns(
        items=N,
        seq_items=0,
        seqs=Series(),
        ids=UuidIds(bytes(16 * N)),
        texts=Strings(b"\0" * (N - 1)),
        users=Table.pack(["a"] * N),
        times=Series(),
        micros=pack_planes([999] * N),
        badges=b"",
        extras=b"",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("cap", [1 << 17, 1 << 20, 1 << 22, 1 << 24])
def test_bombs_stay_within_the_stated_memory(name: str, cap: int) -> None:
    """Small caps refuse them, large ones read them: neither takes more than its cap says."""
    codec, data = SnapshotCodec(max_bytes=cap), forge(BOMBS[name])
    read_or_typed_error(data, codec.decode)  # what is made once and kept is not this snapshot's
    tracemalloc.start()
    try:
        read_or_typed_error(data, codec.decode)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= cap


def test_some_bombs_would_be_read_under_a_large_cap() -> None:
    """Else the test above would show nothing."""
    codec = SnapshotCodec(max_bytes=1 << 27)
    assert all(read_or_typed_error(forge(bomb), codec.decode) for bomb in BOMBS.values())


def test_threads_share_nothing() -> None:
    codec = SnapshotCodec()

    def same(seed: int) -> bool:
        image = room(60, f"room{seed}", seed)
        return all(codec.decode(codec.encode(image)) == image for _ in range(60))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, range(8)))
