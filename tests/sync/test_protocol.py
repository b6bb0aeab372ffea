"""What the protocol's page shows is what the decoder reads and the schema allows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from roomstate.sync.envelope import Envelope, encode
from roomstate.sync.frames import AnyFrame, Request, decode_frame
from roomstate.sync.payloads import BulkSync, DeltaUpdate, StateUpdate
from roomstate.testing.vectors import Vector, load
from tests.sync.test_vectors import Player

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "protocol.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
FRAMES = [block for block in BLOCKS if '"steps"' not in block]
SCHEMA: Any = json.loads((REFERENCE / "protocol.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", FRAMES)
def test_an_example_is_a_frame_of_which_nothing_is_lost(block: str) -> None:
    frame = decode_frame(block)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(block))
    again = encode(frame).decode() if isinstance(frame, Envelope) else frame.to_json()
    assert decode_frame(again) == frame
    [(_, written)] = json.loads(block).items()
    known = set(frame.data.__struct_fields__) if isinstance(frame, Envelope) else set(frame.__struct_fields__)
    assert set(written.get("data", written)) <= known


def test_the_examples_show_every_frame_and_every_type() -> None:
    shown = [json.loads(block) for block in FRAMES]
    assert {name for each in shown for name in each} == set(AnyFrame.__struct_fields__)
    kinds = {each["room_state_sync"]["message_type"] for each in shown if "room_state_sync" in each}
    assert kinds == {"DELTA_UPDATE", "STATE_UPDATE", "BULK_SYNC", "HEARTBEAT"}


def test_the_example_of_everything_that_may_happen_has_everything() -> None:
    deltas = [frame.data for frame in map(decode_frame, FRAMES) if isinstance(frame, Envelope)]
    shown = max((data for data in deltas if isinstance(data, DeltaUpdate)), key=lambda data: len(data.logged()))
    assert all(getattr(shown, name) for name in shown.__struct_fields__)


def test_the_token_shown_is_the_one_that_is_asked_with() -> None:
    [request] = [frame for frame in map(decode_frame, FRAMES) if isinstance(frame, Request)]
    assert request.resume is not None
    assert (request.resume.epoch, request.resume.seq, request.resume.fingerprint) == ("5f3a", 42, "9c1e77aa")


@pytest.mark.parametrize("kind", [DeltaUpdate, StateUpdate, BulkSync])
def test_every_field_is_named(kind: type[Any]) -> None:
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in PAGE] == []


def test_the_vector_shown_is_one_and_passes() -> None:
    [block] = [block for block in BLOCKS if '"steps"' in block]
    vector = msgspec.json.decode(block, type=Vector)
    Player(stream=True).play(vector)
    assert vector.name in {each.name for each in load()}


def test_every_step_and_expectation_of_the_vectors_is_explained() -> None:
    section = PAGE.partition("## Conformance vectors")[2].partition("## In Python")[0]
    steps = [step for vector in load() for step in vector.steps]
    words = {verb for step in steps for verb in step}
    words |= {name for step in steps for name in step.get("expect", ())}
    assert [word for word in sorted(words) if f"`{word}`" not in section] == []
