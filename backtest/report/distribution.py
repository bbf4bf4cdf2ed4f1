"""How often returns of which size came: bins of round widths, and the table of months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any, Final

import numpy as np

from backtest.engine import Run
from backtest.statistics.drawdown import Floats
from backtest.statistics.returns import changes, days_of, months_of

MOST_BINS: Final = 48
_ROUND: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts of values by bins, one of which begins at 0.

    Attributes:
        first: Left edge of the first bin.
        width: Of a bin.
        counts: How many values lie in each; its left edge belongs to a bin.
        mean: Of the values.
        median: Of the values.
    """

    first: float
    width: float
    counts: Sequence[int]
    mean: float
    median: float


@dataclass(frozen=True, slots=True)
class YearOfMonths:
    """Returns of the months of a year, None for those without candles.

    Attributes:
        year: UTC.
        months: Twelve parts, January first.
        total: Return of the year.
    """

    year: int
    months: Sequence[float | None]
    total: float | None


def distribution_of(values: Floats) -> Distribution | None:
    """Bins of a round width; None of no values.

    The width is twice the interquartile range over the cube root of the count (Freedman and Diaconis), or
    more where that would make more than `MOST_BINS`, rounded up.
    """
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    quarter, median, three = (float(value) for value in np.percentile(values, (25, 50, 75)))
    width = max(2 * (three - quarter) / len(values) ** (1 / 3), (high - low) / (MOST_BINS - 2))
    width = _round_up(width if width > 0.0 else max(abs(high), 1e-4) / 10)
    places = np.floor(values / width).astype(np.int64)
    first = int(places.min())
    counts = np.bincount(places - first)
    return Distribution(first * width, width, counts.tolist(), float(values.mean()), median)


def daily_returns(run: Run) -> Floats:
    """Returns of the days of a run that have one."""
    returns = changes(run.equity[days_of(run.times).last], float(run.terms.capital))
    return returns[~np.isnan(returns)]


def calendar_of(run: Run) -> list[YearOfMonths]:
    """Returns of months, year by year."""
    days = days_of(run.times)
    ends = run.equity[days.last]
    last, months = months_of(days.dates)
    capital = float(run.terms.capital)
    of_month = dict(zip(months.tolist(), map(_known, changes(ends[last], capital)), strict=True))
    of_year = months // 12
    last_of_year = np.append(np.flatnonzero(np.diff(of_year)), len(of_year) - 1)
    totals = map(_known, changes(ends[last][last_of_year], capital))
    return [
        YearOfMonths(1970 + year, [of_month.get(12 * year + month) for month in range(12)], total)
        for year, total in zip(of_year[last_of_year].tolist(), totals, strict=True)
    ]


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _round_up(width: float) -> float:
    power = 10.0 ** floor(log10(width))
    share = width / power
    return next(each for each in _ROUND if each >= min(share, 10.0) - 1e-9) * power
