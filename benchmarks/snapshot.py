"""Snapshots of real rooms against the same messages as JSON, compressed: how small, how fast, how much of it at once.

Each archive is cut in two by time, room by room: dictionaries are trained on the earlier four fifths, snapshots made of
windows drawn from the rest. The JSON is the wire format's own form of the messages (id, user, content, timestamp), as
compact as it gets where sizes are compared, as ``json.dumps`` makes it where times are.
"""

from __future__ import annotations

import json
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import zstandard
from msgspec import structs

from benchmarks.harness import Comparison, Figure, Timed, at_most, compare, read_ndjson, shared_data
from roomstate.image import RoomImage
from roomstate.model import Message, RoomInfo
from roomstate.position import Position
from roomstate.room.digest import MessageDigest
from roomstate.snapshot import Dictionary, DictionaryTrainer, Level, SnapshotCodec

ARCHIVES = ("ubuntu-irc", "dev-slack", "lean-zulip")
WINDOWS = {50: 40, 1000: 8}  # messages in a snapshot: how many of them from each archive
EARLIER = 0.8


@attrs.frozen
class Archive:
    """One archive: what dictionaries are trained on, and what is measured."""

    name: str
    earlier: list[list[Message]]
    later: dict[int, list[RoomImage]]


def image_of(room_id: str, messages: Sequence[Message]) -> RoomImage:
    """A room whose last messages these are."""
    count, last = len(messages), messages[-1].timestamp
    return RoomImage(
        room_id=room_id,
        position=Position("e81b5c0a", 5000 + count),
        floor=100,
        held_after=5000,
        ordinal=4900 + count,
        taken_at=last.timestamp() + 60,
        info=RoomInfo(user_count=120, last_activity=last),
        messages=tuple(messages),
        seqs=tuple(range(5001, 5001 + count)),
    )


def load(name: str) -> Archive | None:
    """An archive, cut and drawn from; None if it is not there."""
    path = shared_data(f"chat/{name}.ndjson.zst")
    if path is None:
        return None
    rooms: dict[str, list[Message]] = defaultdict(list)
    for line in read_ndjson(path):
        time = datetime.fromtimestamp(line["ts"], UTC)
        rooms[line["room"]].append(Message(line["id"], line["user"], line["text"], time))
    draw, total = random.Random(7), sum(map(len, rooms.values()))
    later: dict[int, list[RoomImage]] = {size: [] for size in WINDOWS}
    earlier = []
    for room_id, messages in sorted(rooms.items()):
        cut = int(len(messages) * EARLIER)
        earlier.append(messages[:cut])
        for size, windows in WINDOWS.items():
            starts = range(cut, len(messages) - size)
            for start in draw.sample(starts, min(len(starts), round(windows * len(messages) / total))):
                later[size].append(image_of(room_id, messages[start : start + size]))
    return Archive(name, earlier, later)


def trained(archive: Archive, size_bytes: int) -> Dictionary:
    """A dictionary of the earlier days: snapshots of 50 messages, as if taken one after the other."""
    trainer, codec = DictionaryTrainer(size_bytes), SnapshotCodec(Level.LOW)
    windows = [each[at : at + 50] for each in archive.earlier for at in range(0, len(each) - 50, 50)]
    random.Random(7).shuffle(windows)
    for window in windows:
        trainer.add(codec.payload(codec.encode(image_of("room", window))))
    return trainer.train()


def as_wire(image: RoomImage) -> list[dict[str, str]]:
    """The messages as the wire format's JSON has them."""
    return [
        {"id": each.id, "user": each.user, "content": each.content, "timestamp": f"{each.timestamp:%Y-%m-%dT%H:%M:%SZ}"}
        for each in image.messages
    ]


def share(codec: SnapshotCodec, images: Sequence[RoomImage]) -> float:
    """Mean size of the snapshots over the mean size of compact JSON + zstd level 19."""
    best = zstandard.ZstdCompressor(level=19)
    compact = (json.dumps(as_wire(image), ensure_ascii=False, separators=(",", ":")).encode() for image in images)
    return sum(len(codec.encode(image)) for image in images) / sum(len(best.compress(each)) for each in compact)


def mean_share(
    archives: Sequence[Archive], size: int, level: Level, dictionaries: Sequence[Dictionary | None]
) -> float:
    """The mean of `share` over the archives, each counting the same."""
    pairs = zip(archives, dictionaries, strict=True)
    return statistics.mean(share(SnapshotCodec(level, own), archive.later[size]) for archive, own in pairs)


def sizes(archives: Sequence[Archive]) -> Iterator[Figure]:
    """How small."""
    goals = {50: 0.65, 1000: 0.74}
    none = [None for _ in archives]
    one, four = ([trained(each, size << 20) for each in archives] for size in (1, 4))
    for size, goal in goals.items():
        what = f"{size} messages, HIGH, dictionary of 1 MiB: share of JSON + zstd 19"
        yield at_most(what, mean_share(archives, size, Level.HIGH, one), goal, "")
        for level, own, named in (
            (Level.HIGH, four, "of 4 MiB"),
            (Level.MEDIUM, one, "of 1 MiB"),
            (Level.LOW, one, "of 1 MiB"),
            (Level.HIGH, none, "none"),
            (Level.MEDIUM, none, "none"),
        ):
            value = mean_share(archives, size, level, own)
            yield Figure(what=f"{size} messages, {level.name}, dictionary {named}: the same", value=value, unit="")


def timed(images: Sequence[RoomImage], codec: SnapshotCodec) -> tuple[Comparison, Comparison]:
    """Encoding and decoding, against ``json.dumps`` + zstd level 3 and ``json.loads`` + decompress."""
    plain = [as_wire(image) for image in images]
    fast, reader = zstandard.ZstdCompressor(level=3), zstandard.ZstdDecompressor()
    packed = [fast.compress(json.dumps(each).encode()) for each in plain]
    snapshots = [codec.encode(image) for image in images]
    repeat = range(max(1, 4000 // sum(len(image.messages) for image in images)))
    items = len(repeat) * len(images)

    def each_of(work: Callable[[Any], object], given: Sequence[Any]) -> Timed[None]:
        return Timed(lambda _: [work(each) for _ in repeat for each in given], lambda: None, items)

    encode = compare(
        each_of(codec.encode, images), each_of(lambda each: fast.compress(json.dumps(each).encode()), plain)
    )
    decode = compare(
        each_of(codec.decode, snapshots), each_of(lambda each: json.loads(reader.decompress(each)), packed)
    )
    return encode, decode


def times(archives: Sequence[Archive]) -> Iterator[Figure]:
    """How fast."""
    none, one = [None for _ in archives], [trained(each, 1 << 20) for each in archives]
    for size in WINDOWS:
        yield from turns(archives, size, "the default codec", Level.MEDIUM, none, {"encode": 3.0, "decode": 1.0})
        yield from turns(archives, size, "LOW", Level.LOW, none, {})
        yield from turns(archives, size, "MEDIUM, dictionary of 1 MiB", Level.MEDIUM, one, {})
        yield from turns(archives, size, "HIGH, dictionary of 1 MiB", Level.HIGH, one, {})


def turns(
    archives: Sequence[Archive],
    size: int,
    what: str,
    level: Level,
    dictionaries: Sequence[Dictionary | None],
    limits: dict[str, float],
) -> Iterator[Figure]:
    """Means over the archives of `timed`, and those of each."""
    pairs = zip(archives, dictionaries, strict=True)
    both = [timed(archive.later[size], SnapshotCodec(level, own)) for archive, own in pairs]
    for at, verb in enumerate(("encode", "decode")):
        ratio, limit = statistics.mean(each[at].ratio for each in both), limits.get(verb)
        yield Figure(
            what=f"{verb} {size} messages, {what} ({', '.join(f'{each[at].ratio:.2f}' for each in both)})",
            value=statistics.mean(each[at].value for each in both),
            unit="ns",
            baseline=statistics.mean(each[at].baseline for each in both),
            ratio=ratio,
            goal="" if limit is None else f"≤ {limit:g}×",
            met=None if limit is None else ratio <= limit,
        )


def taken(work: Callable[[bytes], object], snapshots: list[bytes], turns: int = 1) -> Timed[None]:
    """Reading snapshots one after the other, each dropped before the next."""

    def read(_: None) -> None:
        for each in snapshots * turns:
            work(each)

    return Timed(read, lambda: None, turns * len(snapshots))


def parts(archives: Sequence[Archive]) -> Iterator[Figure]:
    """How much of it at once."""
    codec = SnapshotCodec()
    snapshots: list[bytes] = []
    for archive in archives:
        digest = MessageDigest()
        digest.add(message for room in archive.earlier for message in room[:5000])
        whole = [structs.replace(image, digest=digest.to_plain()) for image in archive.later[1000]]
        snapshots += [codec.encode(image) for image in whole]
    everything = taken(codec.decode, snapshots)
    for what, work in (
        ("the header of 1,000 messages", codec.header),
        ("the header and the digest in it, read", lambda data: codec.header(data).digest),
    ):
        yield compare(taken(work, snapshots, 50), everything).figure(f"{what}, against all of it", at_most=0.05)
    few = compare(taken(lambda data: codec.decode(data, last=50), snapshots), everything)
    yield few.figure("the last 50 of 1,000 messages, against all of it")
    digests = [codec.header(each).digest for each in snapshots]
    yield Figure(
        what="a digest of 5,000 messages of each room, as it stands in the header",
        value=statistics.mean(len(json.dumps(each, separators=(",", ":"))) for each in digests),
        unit="bytes",
    )


def run() -> Iterator[Figure]:
    archives = [archive for archive in map(load, ARCHIVES) if archive is not None]
    if not archives:
        return
    yield from parts(archives)
    yield from times(archives)
    yield from sizes(archives)
