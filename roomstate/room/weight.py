"""What values hold in memory, in bytes: by estimate, and the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from sys import getsizeof
from typing import Any

from roomstate.model import Annotation

__all__ = ["annotation_bytes", "json_bytes", "text_bytes"]


def text_bytes(text: str) -> int:
    """Return the bytes that ``text`` takes once it was written as JSON: the same before and after. O(length).

    A text beyond ASCII keeps its UTF-8 when somebody asks for that, and ``__sizeof__`` grows: what is weighed before
    and taken off after would go below zero.
    """
    if text.isascii():
        return text.__sizeof__()
    return (text + " ").__sizeof__() + len(text.encode("utf-8", "surrogatepass"))


def json_bytes(value: object) -> int:
    """Return about how many bytes a JSON value holds. O(size). Keys are not counted: the decoder shares short ones.

    >>> json_bytes({"a": ["b"]}) > json_bytes({"a": []}) > json_bytes({})
    True
    """
    if isinstance(value, str):  # what there is most of comes first, and the slow question, Mapping, last
        return text_bytes(value)
    if isinstance(value, list | tuple):
        return getsizeof(value) + sum(map(json_bytes, value))
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
        fields: Mapping[Any, Any] = value
        return getsizeof(dict(fields)) + sum(map(json_bytes, fields.values()))
    return 24


def annotation_bytes(note: Annotation | None) -> int:
    """Return about how many bytes an annotation holds, with its place in a dict. O(reactions)."""
    if note is None:
        return 0
    return 300 + sum(150 + 64 * len(users) for users in note.reactions.values())
