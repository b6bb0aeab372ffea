"""The campaign: hundreds of worlds in every run of the suite, ten thousand in the long one; and what it finds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

import roomstate
from roomstate.position import Token
from roomstate.room.states import LiveRoom
from roomstate.room.timeline import Timeline
from roomstate.sync.feed import RoomFeed
from roomstate.sync.replica import RoomReplica
from roomstate.testing.simulator import Failed, Simulator
from tests.simulation.broken import BROKEN, replica_with

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(str(roomstate.__file__)).parent
CHUNK = 100


def run(seeds: range) -> None:
    """Run a world for each seed twice, in processes with different hash seeds: the same must come of it."""
    running = [begin(seeds, hash_seed) for hash_seed in ("0", "1")]
    told = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], "".join(told)
    results, again = (text.splitlines() for text in told)
    assert len(results) == len(seeds)
    assert results == again


def begin(seeds: range, hash_seed: str) -> subprocess.Popen[str]:
    code = f"from roomstate.testing.simulator import campaign; print(*campaign({seeds!r}), sep='\\n')"
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""}  # it would take twice as long
    environment = {**os.environ, **unmeasured, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.campaign
@pytest.mark.parametrize("start", range(0, 300, CHUNK))
def test_copies_end_as_the_authority_and_every_run_replays(start: int) -> None:
    run(range(start, start + CHUNK))


@pytest.mark.long
@pytest.mark.parametrize("start", range(0, 10_000, CHUNK))
def test_copies_end_as_the_authority_and_every_run_replays_for_long(start: int, request: pytest.FixtureRequest) -> None:
    """Pytest's cache remembers what has passed on this very code: a run that was interrupted goes on where it was."""
    cache, key = request.config.cache, f"roomstate/campaign/{fingerprint()}"
    assert cache is not None
    passed: list[int] = cache.get(key, [])
    if start in passed:
        pytest.skip("has passed on this code")
    run(range(start, start + CHUNK))
    cache.set(key, sorted([*passed, start]))


def fingerprint() -> str:
    """A digest of the package's code."""
    whole = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


# -- what it finds ---------------------------------------------------------------------------------------------------


def first_found(simulators: Iterable[Simulator]) -> int:
    for simulator in simulators:
        try:
            simulator.run()
        except Failed:
            return simulator.seed
    pytest.fail("the campaign has found nothing")


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_a_broken_replica_is_found_within_200_seeds(part: type) -> None:
    assert first_found(Simulator(seed, replica=replica_with(part)) for seed in range(200)) < 200


def test_an_authority_that_believes_every_fingerprint_is_found_within_200_seeds() -> None:
    """A store that fails over to an earlier state gives out the same numbers again, in the same epoch."""
    with mock.patch.object(RoomFeed, "_matches", return_value=True):
        assert first_found(Simulator(seed) for seed in range(200)) < 200


def test_a_replica_without_fingerprints_is_found_within_200_seeds() -> None:
    with mock.patch.object(RoomReplica, "token", _without_fingerprint):
        assert first_found(Simulator(seed) for seed in range(200)) < 200


def _without_fingerprint(replica: RoomReplica, room: LiveRoom) -> Token | None:
    return Token(room.epoch, room.head) if room.epoch else None


def test_copies_that_forget_what_was_removed_are_found_within_200_seeds() -> None:
    """A replica is protected by positions too, an authority only by its tombstones: here both have none."""
    with mock.patch.object(Timeline, "bury", return_value=None):
        assert first_found(Simulator(seed) for seed in range(200)) < 200
