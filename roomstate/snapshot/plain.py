"""Host values (extras, settings, interface state) as JSON, with what they will cost in memory known beforehand."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["encode_json", "json_cost"]


def _to_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


_ENCODER = msgspec.json.Encoder(enc_hook=_to_dict)


def encode_json(value: object) -> bytes:
    """JSON of a struct or of plain values. O(bytes). Raises ``TypeError`` for what JSON has no form for.

    >>> encode_json({"a": [1, None]})
    b'{"a":[1,null]}'
    """
    return _ENCODER.encode(value)


def json_cost(data: bytes) -> int:
    """Bytes of memory that decoding cannot exceed, from counting what opens and parts values. O(bytes).

    Two bytes of JSON can become an object of 64, so the length alone bounds nothing. Characters count four bytes
    and once more while they are copied; a string in a container 49 and the container's slot on top.
    """
    return (
        5 * len(data) + 250 * data.count(b"{") + 130 * data.count(b"[") + 220 * data.count(b":") + 80 * data.count(b",")
    )
