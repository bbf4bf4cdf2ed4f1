"""A run beside the stored result of the same measurement."""

from dataclasses import dataclass

from tests.bench.suite.bench import Bench, Figures, Ratio
from tests.bench.suite.results import Result


@dataclass(frozen=True, slots=True)
class Change:
    """One ratio in both; None where one of them does not have it."""

    ratio: Ratio
    stored: float | None
    now: float | None

    @property
    def share(self) -> float | None:
        """How much more than the stored one it is, as a share of that."""
        if self.stored is None or self.now is None:
            return None
        return self.now / self.stored - 1

    @property
    def is_worse(self) -> bool:
        """Worse by more than its tolerance: half as fast is as far away as twice as slow."""
        if self.stored is None or self.now is None:
            return False
        better, worse = (self.stored, self.now) if self.ratio.lower_is_better else (self.now, self.stored)
        return worse > better * (1 + self.ratio.tolerance)

    @property
    def is_lost(self) -> bool:
        """The stored result has it and the run has not: a peer was not there."""
        return self.stored is not None and self.now is None

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.now is None:
            return "not measured"
        if self.stored is None:
            return "new"
        return "WORSE" if self.is_worse else "as before"


def changes(bench: Bench, stored: Result | None, figures: Figures) -> list[Change]:
    """All ratios of a measurement, stored and now."""
    before = stored.figures if stored else {}
    return [Change(ratio, ratio.value(before), ratio.value(figures)) for ratio in bench.ratios]


def percent(share: float | None) -> str:
    """A change as a reader wants it."""
    return "" if share is None else f"{share:+.0%}"


def number(value: float | None) -> str:
    """Three digits; nothing where there is none."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
