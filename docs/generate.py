"""Write the pages of the reference that are tables of the program: `python docs/generate.py`.

`tests/test_stale.py` fails when one of them is not what this would write.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from roomstate.effects import ANSWERS
from roomstate.export.families import FAMILIES
from roomstate.holding.counting import MAX_LABELS
from roomstate.host.measuring import FAMILIES as HOST_FAMILIES
from roomstate.metrics import BOUNDS
from roomstate.model import Tier
from roomstate.room import tiers
from roomstate.room.reduce import MEANINGS, Meaning
from roomstate.sync.frames import AnyFrame
from roomstate.updates import KINDS, LOGGED

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "This page is written by `python docs/generate.py`; a test fails when it is stale.\n\n"
MEANS = {
    Meaning.HELD: "it changes what the tier holds",
    Meaning.COUNTED: "only a number that the tier holds changes",
    Meaning.LOGGED: "it takes its seq and reaches the log; nothing of it is held here",
    Meaning.MISFIT: "it means nothing here: it is counted, and comes back as a `Misfit`",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def meanings() -> str:
    """What each kind of update means at each tier."""
    order = sorted(Tier, reverse=True)
    rows = (
        [f"`{kind.__name__}`", "yes" if kind in LOGGED else "no", *(MEANINGS[tier, kind].value for tier in order)]
        for kind in KINDS
    )
    words = "".join(f"- **{meaning.value}**: {why}.\n" for meaning, why in MEANS.items())
    return (
        "# What updates mean\n\n" + NOTE + "An update has a meaning at every tier. A logged one takes a seq of the "
        "room's log at each of them, so that it is there when the room is held again.\n\n"
        + table(["update", "logged", *(tier.name for tier in order)], rows)
        + "\n"
        + words
    )


def answers() -> str:
    """What each effect is answered with."""
    rows = (
        [f"`{effect.__name__}`", " or ".join("None" if kind is type(None) else f"`{kind.__name__}`" for kind in kinds)]
        for effect, kinds in ANSWERS.items()
    )
    return (
        "# What answers effects\n\n"
        + NOTE
        + "An effect with a `request_id` is answered once, by `complete(request_id, "
        "result)` or by `fail(request_id, error)`. The others ask for no answer. See [effects](effects.md).\n\n"
        + table(["effect", "`complete` takes"], rows)
    )


def metrics() -> str:
    """Every metric that is exported, and the module that counts."""
    families = (*FAMILIES, *HOST_FAMILIES)
    rows = (
        [
            f"`roomstate_{family.name}{'_total' if family.kind == 'counter' else ''}`",
            family.kind,
            ", ".join(f"`{label}`" for label in family.labels) or "-",
            family.help,
        ]
        for family in families
    )
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS)
    return (
        "# Metrics\n\n"
        + NOTE
        + "What `RoomStateCollector` tells Prometheus ([how to watch it](../how-to/watch-it.md)). Counters count since "
        "the manager was made. No label is a room, a viewer or a user. Where a host's own words can be labels, at most "
        f"{MAX_LABELS} are told apart; what is beyond counts as `other`. Histograms have buckets up to {bounds} and "
        "infinitely many seconds. What begins with `roomstate_host_` is a `RoomHost`'s own: `RoomHost.measures`.\n\n"
        + table(["name", "type", "labels", "meaning"], rows)
        + COLLECTOR
    )


COLLECTOR = """
```{eval-rst}
.. autoclass:: roomstate.export.prometheus.RoomStateCollector
   :members:

.. autodata:: roomstate.export.prometheus.Source
   :no-value:
```

## In a log

```{eval-rst}
.. autoclass:: roomstate.export.logs.EventLog
   :members:
```

## As values

`RoomStateManager.stats` gives the same numbers to a program, without any exporter.

```{eval-rst}
.. automodule:: roomstate.metrics
   :exclude-members: Stats
```
"""


def schema() -> str:
    """What goes over a connection, as JSON Schema made from the decoder's own types."""
    made = msgspec.json.schema(AnyFrame)
    top = made["$defs"].pop("AnyFrame")
    for name, each in made["$defs"].items():
        if name.endswith("Envelope"):
            del each["properties"]["previous"]["default"]  # which depends on `sequence_number`
    made["$defs"]["BulkSync"]["properties"]["messages"]["items"]["required"] = [
        "timestamp"
    ]  # a `send` may leave it out
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "This file is written by `python docs/generate.py`; a test fails when it is stale.",
        "title": "What goes over a connection of roomstate",
        "description": "An object with exactly one of these fields.",
        "type": "object",
        "properties": top["properties"],
        "oneOf": [{"required": [name]} for name in top["properties"]],
        "$defs": made["$defs"],
    }
    return json.dumps(ordered(made), indent=1) + "\n"


def ordered(value: Any, *, fields: bool = False) -> Any:
    """A schema that does not depend on msgspec's version or Python's; fields of an object stay in their order."""
    if isinstance(value, str):
        return inspect.cleandoc(value)  # a docstring is indented up to Python 3.12
    if isinstance(value, dict):
        items = value.items() if fields else sorted(value.items())
        return {name: ordered(each, fields=name == "properties") for name, each in items}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted(map(ordered, value), key=json.dumps)
    return value


PAGES: dict[str, Callable[[], str]] = {
    "protocol.schema.json": schema,
    "transitions.md": tiers.render,
    "meanings.md": meanings,
    "answers.md": answers,
    "metrics.md": metrics,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
