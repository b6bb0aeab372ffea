"""Pictures of a command's figures: PNG or SVG, if matplotlib is there (extra: plot)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from roomstate.errors import InvalidValue

__all__ = ["Line", "check", "draw"]


@attrs.frozen
class Line:
    """One line of a picture; ``dashed`` is for what the others are held against."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


def check(path: Path) -> None:
    """Raise `InvalidValue` unless a picture can be drawn there: before minutes of work, not after."""
    if path.suffix not in (".png", ".svg"):
        raise InvalidValue("--plot", f"must end in .png or .svg, got {path.name!r}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InvalidValue("--plot", "needs matplotlib: pip install 'roomstate[plot]'") from None


def draw(path: Path, lines: Sequence[Line], *, title: str, x: str, y: str, scale: str = "linear") -> None:
    """Draw lines with ``y`` in [0, 1]; ``scale`` is that of ``x``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for line in lines:
        axes.plot(line.x, line.y, "--" if line.dashed else "-", marker="o", label=line.label)
    axes.set(xscale=scale, xlabel=x, ylabel=y, title=title, ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(path)
    except OSError as error:
        raise InvalidValue("--plot", f"cannot be written: {error.strerror}") from error
