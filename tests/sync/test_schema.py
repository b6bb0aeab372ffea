"""The published schema and the decoder are of one mind: what is read fits the schema, what does not fit is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from roomstate.errors import ProtocolError
from roomstate.sync.frames import decode_frame
from roomstate.testing.vectors import load
from tests.sync.hostile import RAW, twisted

SCHEMA: Any = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "reference" / "protocol.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("raw", RAW)
def test_what_we_write_fits(raw: bytes) -> None:
    VALIDATOR.validate(json.loads(raw))


def test_every_vector_fits() -> None:
    for vector in load():
        for step in vector.steps:
            for inner in [step["receive"]] if "receive" in step else step.get("answer", []):
                VALIDATOR.validate({"room_state_sync": inner})


def test_a_message_of_an_image_has_its_time() -> None:
    raw = next(raw for raw in map(json.loads, RAW) if raw.get("room_state_sync", {}).get("data", {}).get("messages"))
    VALIDATOR.validate(raw)
    del raw["room_state_sync"]["data"]["messages"][0]["timestamp"]
    assert not VALIDATOR.is_valid(raw)
    with pytest.raises(ProtocolError, match="missing required field `timestamp`"):
        decode_frame(json.dumps(raw))


@pytest.mark.parametrize("seed", range(4))
def test_what_does_not_fit_is_refused(seed: int) -> None:
    chance = random.Random(seed)
    unfit = 0
    for _ in range(100):
        raw = twisted(chance.choice(RAW), chance)
        if not VALIDATOR.is_valid(json.loads(raw)):
            unfit += 1
            with pytest.raises(ProtocolError):
                decode_frame(raw)
    assert unfit > 20
