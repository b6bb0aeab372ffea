"""Conformance vectors: what a replica in any language is told, and what it must then show and ask for.

They are JSON files beside this module; `docs/reference/protocol.md` says what their steps mean. `load` reads them.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

__all__ = ["Vector", "load"]


class Vector(Struct, frozen=True, forbid_unknown_fields=True):
    """One case: ``steps`` are what happens to a new replica, in order; each is an object of one field.

    ``why`` says which rule of the protocol it is about.
    """

    name: str
    why: str
    steps: tuple[dict[str, Any], ...]


_decode = Decoder(tuple[Vector, ...]).decode


def load() -> tuple[Vector, ...]:
    """Return all vectors, by file and in the order in which they stand there.

    >>> sorted({step for vector in load() for each in vector.steps for step in each})
    ['answer', 'disconnect', 'enter', 'expect', 'receive', 'reconnect', 'wait_ms']
    """
    found = sorted((path.name, path) for path in files(__package__).iterdir() if path.name.endswith(".json"))
    return tuple(vector for _, path in found for vector in _decode(path.read_bytes()))
