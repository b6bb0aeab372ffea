"""``replay``: a log goes in, tables or one JSON object come out, and the status is the proof's."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from roomstate.cli import replay
from roomstate.cli.main import main
from roomstate.cli.terminal import Terminal
from roomstate.effects import Appended, Head, LogEntry
from roomstate.position import Position
from roomstate.store.base import NOTHING
from roomstate.store.sqlite import SQLiteStore

CHAT = Path(__file__).resolve().parents[3] / "shared" / "data" / "chat"
LINES = [{"ts": 60.0 * n, "room": f"r{n % 3}", "user": f"u{n % 5}", "text": f"é {n}", "id": str(n)} for n in range(90)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "chat.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    return path


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = main([replay], ["replay", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_one_json_object_says_all(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = said([str(log)], capsys)
    assert status == 0
    assert (found["messages"], found["rooms"], found["viewers"]) == (90, 3, 5)
    assert found["holds"] is True
    assert [found[name] for name in ("lost", "duplicated", "out_of_order", "strange", "in_gaps", "repeated")] == [0] * 6
    assert {reading["found"] for reading in found["proof"].values()} == {90}
    assert len(found["proof"]) == 3
    assert 0.0 < found["hit_ratio"] < 1.0
    assert found["visits"]["all"]["visits"] == sum(
        found["visits"][name]["visits"] for name in ("low", "medium", "high")
    )
    assert sum(tier["share"] for tier in found["tiers"].values()) == pytest.approx(1.0, abs=1e-5)
    assert found["transitions"]["unloaded-active"]["count"] >= 3
    assert abs(found["raw_bytes"] - log.stat().st_size) < 0.1 * log.stat().st_size
    assert found["log_s"] == 89 * 60


def test_tables_end_with_the_proof(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([replay], ["replay", str(log)]) == 0
    out = capsys.readouterr().out
    for title in ("Replay", "Tiers", "Transitions", "Visits", "Proof"):
        assert f"{title}\n" in out
    assert out.endswith("Proven: every message is in memory, in the store or in a declared gap: "
                        "lost 0, duplicated 0, out of order 0\n")  # fmt: skip


def test_a_room_for_each_topic_and_few_cached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "topics.ndjson"
    lines = [{**line, "ts": 2000.0 * n, "topic": f"t{n % 30}", "badges": ["mod"]} for n, line in enumerate(LINES)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, found = said([str(path), "--rooms-by", "topic", "--cached-rooms", "1"], capsys)
    assert (status, found["rooms"], found["lost"], found["cached_rooms"]) == (0, 30, 0, 1)
    assert found["tiers"]["cached"]["max_rooms"] == 1


def test_repeated_ids_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "twice.ndjson"
    later = [{**line, "ts": 1e6 + line["ts"]} for line in LINES]  # type: ignore[operator]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*LINES, LINES[-1], *later, {**LINES[0], "id": "new"}]))
    status, found = said([str(path)], capsys)
    assert (status, found["messages"], found["repeated"], found["found"], found["lost"]) == (0, 182, 91, 91, 0)


def test_the_synthetic_day_is_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [said(["--limit", "800", "--seed", seed], capsys)[1] for seed in ("3", "3", "4")]
    measured = {"transitions", "play_s", "play_cpu_s", "proof_s", "peak_memory_bytes", "memory_growth_bytes"}
    same = [{name: value for name, value in run.items() if name not in measured} for run in runs]
    assert same[0] == same[1]
    assert same[0] != same[2]
    assert same[0]["messages"] == 800


def test_the_store_is_temporary_unless_its_path_is_given(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    said([str(log)], capsys)
    assert not any(folder.iterdir())
    kept = tmp_path / "kept.sqlite"
    _, found = said([str(log), "--store", str(kept), "--synchronous", "FULL"], capsys)
    assert kept.stat().st_size == found["store_bytes"]
    assert found["synchronous"] == "FULL"
    assert not any(folder.iterdir())
    assert main([replay], ["replay", str(log), "--store", str(kept)]) == 2
    assert "exists already" in capsys.readouterr().err


class Forgetful(SQLiteStore):
    """One that loses a message and has no checksum for that: it takes something else into its log."""

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        kept = [LogEntry(e.seq, e.ordinal, NOTHING) if (room_id, e.seq) == ("r0", 4) else e for e in entries]
        return super().append(room_id, epoch, kept)


class Short(SQLiteStore):
    """One that does not give the end of a log."""

    def head(self, room_id: str) -> Head | None:
        head = super().head(room_id)
        if head is None or room_id != "r0" or head.position.seq < 30:
            return head
        return Head(Position(head.position.epoch, head.position.seq - 1), head.ordinal - 1)


@pytest.mark.parametrize("store", [Forgetful, Short])
def test_a_store_that_loses_a_message_is_found(
    log: Path, store: type[SQLiteStore], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replay, "SQLiteStore", store)
    assert main([replay], ["replay", str(log)]) == 1
    assert (
        "DISPROVEN: every message is in memory, in the store or in a declared gap: "
        "lost 1, duplicated 0, out of order 0" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM log WHERE seq = 4 AND room = 1", "entries of its log are missing"),
        ("UPDATE room SET seq = seq - 1, logged = logged - 1 WHERE key = 2", "fails its checksum"),
        ("UPDATE log SET ordinal = ordinal + 1 WHERE seq = 4 AND room = 1", "checksum"),
    ],
)
def test_a_file_that_was_changed_is_told(
    log: Path, sql: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Changing(SQLiteStore):
        def close(self) -> None:
            super().close()
            with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
                assert changed or connection.execute(sql).rowcount == 1
            changed.append(True)

    changed: list[bool] = []
    monkeypatch.setattr(replay, "SQLiteStore", Changing)
    assert main([replay], ["replay", str(log)]) == 1
    assert told in capsys.readouterr().err


def test_damaged_lines_are_named_and_skipped_or_end_it(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.open("a") as file:
        file.write("{broken\n")
    assert main([replay], ["replay", str(log)]) == 0
    out, err = capsys.readouterr()
    assert f"{log}:91:" in err
    assert "damaged lines" in out
    assert main([replay], ["replay", str(log), "--damaged", "stop"]) == 1


@pytest.mark.parametrize("argument", ["--limit=0", "--limit=x", "--cached-rooms=-1"])
def test_counts_are_whole_and_above_zero(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([replay], ["replay", argument])
    assert "must be a whole number above 0" in capsys.readouterr().err


def test_a_log_without_a_message_is_nothing_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "quiet.log"
    path.write_text("--- Log opened Mon Jan 01 00:00:00 2024\n")
    status, found = said([str(path)], capsys)
    assert (status, found["messages"], found["hit_ratio"], found["raw_bytes"]) == (0, 0, 1.0, 0)
    assert main([replay], ["replay", str(path)]) == 0


def test_progress_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(replay, "SAMPLE_EVERY", 40)
    monkeypatch.setitem(sys.modules, "rich", None)
    err, out = Tty(), io.StringIO()
    arguments = argparse.ArgumentParser()
    replay.add_parser(arguments.add_subparsers())
    replay.replay(arguments.parse_args(["replay", str(log)]), Terminal(out, err))
    assert "80 messages" in err.getvalue()


def test_where_memory_cannot_be_measured_the_table_says_so(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replay, "peak_memory", lambda: None)
    assert main([replay], ["replay", str(log)]) == 0
    assert "not measured here" in capsys.readouterr().out


def command(*arguments: str) -> list[str]:
    """The program as a user starts it, on the package that is tested."""
    return [sys.executable, "-m", "roomstate", *arguments]


def test_the_program_runs(log: Path) -> None:
    done = subprocess.run(command("replay", str(log), "--json"), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["lost"] == 0
    helped = subprocess.run(command("--help"), capture_output=True, text=True, check=True)
    assert all(name in helped.stdout for name in ("replay", "simulate", "inspect"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are otherwise there")
def test_ctrl_c_ends_it_and_nothing_is_left(tmp_path: Path) -> None:
    # Coverage's tracer, where Ctrl-C finds it with its lock held, waits for that for ever: nothing is measured there.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COVERAGE_PROCESS_CONFIG": ""}
    with subprocess.Popen(
        command("replay", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        assert process.stdin is not None
        while not any(tmp_path.glob("*/*.sqlite")):
            process.stdin.write(b'{"ts": 1, "room": "r", "user": "u", "text": "hi", "id": "1"}\n' * 5000)
            process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert not any(tmp_path.iterdir())


REAL = ["ubuntu-irc", "dev-slack", "lean-zulip"]


@pytest.mark.parametrize("arguments", [*([name] for name in REAL), ["lean-zulip", "--rooms-by", "topic"]])
def test_real_chat_comes_back_whole(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = CHAT / f"{arguments[0]}.ndjson.zst"
    if not path.exists():
        pytest.skip("the shared data is not here")
    status, found = said([str(path), *arguments[1:], "--limit", "2000"], capsys)
    assert (status, found["lost"], found["duplicated"], found["out_of_order"]) == (0, 0, 0, 0)
    assert found["found"] + found["repeated"] == 2000
