from __future__ import annotations

from pathlib import Path

import pytest

from roomstate.snapshot import Dictionary, SnapshotCodec
from roomstate.snapshot.header import VERSION
from tests.snapshot.golden import FOLDER, KINDS, image

FILES = sorted(FOLDER.glob("*.snapshot"))
CODEC = SnapshotCodec(dictionaries=[Dictionary(path.read_bytes()) for path in sorted(FOLDER.glob("*.dictionary"))])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_version_reads_as_it_was_written(path: Path) -> None:
    kind = path.stem.split("-")[1]
    assert CODEC.decode(path.read_bytes(), room_id=f"golden/{kind}") == image(kind, KINDS[kind])


def test_every_version_has_its_files() -> None:
    for version in range(1, VERSION + 1):
        assert sum(path.name.startswith(f"v{version}-") for path in FILES) >= 2 * len(KINDS)
