"""Trials in the order of a figure, and how much of the best Sharpe ratio is luck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backtest.search.deflation import Deflation, deflated
from backtest.search.trials import Outcome

METRICS: Final[Mapping[str, int]] = {
    "sharpe": 1,
    "sortino": 1,
    "calmar": 1,
    "return": 1,
    "cagr": 1,
    "profit_factor": 1,
    "expectancy": 1,
    "win_rate": 1,
    "max_drawdown": -1,
    "volatility": -1,
    "under_water": -1,
}
"""Figures by which the best is chosen: 1: the highest; -1: the lowest."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Trials in the order of a figure.

    Attributes:
        metric: Which.
        best: Those that have it, the best first; of equal ones, the one that comes first in the search.
        undefined: Those that have been run and do not have it.
        failed: Those that have raised.
    """

    metric: str
    best: Sequence[Outcome]
    undefined: Sequence[Outcome]
    failed: Sequence[Outcome]

    @property
    def deflation(self) -> Deflation | None:
        """The highest Sharpe ratio of all trials against chance; None if no trial has one."""
        known = [each for each in (*self.best, *self.undefined) if each.moments is not None]
        sharpes = [each.moments.sharpe for each in known if each.moments]
        found = max(known, key=lambda each: _sharpe(each), default=None)
        if found is None or found.moments is None or found.moments.sharpe != found.moments.sharpe:
            return None
        return deflated(found.moments, sharpes)


def _sharpe(outcome: Outcome) -> float:
    ratio = outcome.moments.sharpe if outcome.moments else float("-inf")
    return ratio if ratio == ratio else float("-inf")


def ranking(found: Iterable[Outcome], metric: str) -> Ranking:
    """Put outcomes into the order of a metric of `METRICS`."""
    known: list[tuple[float, int, Outcome]] = []
    undefined, failed = [], []
    for each in found:
        if each.statistics is None:
            failed.append(each)
            continue
        value = each.figure(metric)
        if value is None:
            undefined.append(each)
        else:
            known.append((-METRICS[metric] * value, each.trial.number, each))
    known.sort(key=lambda row: row[:2])
    failed.sort(key=lambda each: each.trial.number)
    return Ranking(metric, [each for _, _, each in known], undefined, failed)
