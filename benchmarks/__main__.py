"""``python -m benchmarks [NAME ...] [--json]``: run the benchmarks and print their figures."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import platform
import sys
from collections.abc import Iterator, Sequence

import attrs

import benchmarks
from benchmarks.harness import Figure

ORDER = (
    *("apply", "instructions", "memory", "transitions", "scale"),
    *("decode", "fanout", "merge", "recovery"),
    *("eviction", "prediction", "warming"),
    *("snapshot", "digest", "store"),
    *("load", "host", "metrics"),
)
NOT_BENCHMARKS = {"harness", "rooms", "others", "load_servers", "load_clients", "__main__"}


def known() -> list[str]:
    """The benchmarks that exist, in the order in which they are run."""
    found = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)} - NOT_BENCHMARKS
    return [name for name in ORDER if name in found] + sorted(found.difference(ORDER))


def figures(names: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """Run the named benchmarks; each figure comes as soon as it is measured."""
    for name in names:
        for figure in importlib.import_module(f"benchmarks.{name}").run():
            yield name, figure


def number(value: float | None) -> str:
    """Three significant digits, or a dash for "there is none"."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def row(figure: Figure) -> str:
    """One line of the table."""
    verdict = {True: "met", False: "NOT MET", None: ""}[figure.met]
    baseline = number(figure.baseline)
    ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}×"
    value = f"{number(figure.value)} {figure.unit}"
    return f"{figure.what:<72} {value:>16} {baseline:>12} {ratio:>9}  {figure.goal:<16} {verdict}".rstrip()


def print_table(names: Sequence[str]) -> None:
    """A heading for each benchmark, a line for each figure."""
    print(f"Python {platform.python_version()} on {platform.platform()}")
    heading = None
    for name, figure in figures(names):
        if name != heading:
            heading = name
            print(f"\n{name:<72} {'value':>16} {'baseline':>12} {'ratio':>9}  goal", flush=True)
        print(row(figure), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 however the figures turn out, since a busy machine is not a wrong program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of: {' '.join(known()) or '(none yet)'}")
    parser.add_argument("--json", action="store_true", help="print a list of objects, and nothing else")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in known()]
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; known: {', '.join(known()) or '(none yet)'}")
    names = options.names or known()
    if options.json:
        print(json.dumps([attrs.asdict(figure) for _, figure in figures(names)], indent=2, ensure_ascii=False))
    else:
        print_table(names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
