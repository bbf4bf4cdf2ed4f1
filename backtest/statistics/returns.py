"""Returns of days and months, and the ratios that are taken from them.

The return of a day is the equity at its last candle over that of the day before with candles, less 1; the
first day begins with the capital. Days are UTC; a candle that closes at midnight belongs to the day that
ends. A day that begins without equity, or with debts, has no return. A year has 365 days where candles lie
on weekends, else 252.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, nan, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.bars import DAY_US
from backtest.statistics.drawdown import Floats, Times
from schemas.records import Micros

YEAR_US: Final = 365.25 * DAY_US
ROUNDING: Final = 1e-14
"""A deviation of returns below this is the rounding of doubles: the returns are all the same."""
_WEEKEND: Final = (2, 3)
"""Days since the epoch modulo 7 of Saturday and Sunday: 1970-01-01 was a Thursday."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a run that have candles, oldest first.

    Attributes:
        last: intp[d]: index of the last candle of each.
        dates: int64[d]: days since the epoch.
        per_year: How many such days a year has, 365 or 252.
    """

    last: npt.NDArray[np.intp]
    dates: Times
    per_year: int


@dataclass(frozen=True, slots=True)
class Ratios:
    """What is taken from the returns of days; nan where there are too few, or all are the same.

    Attributes:
        volatility: Standard deviation (of a sample), for a year.
        sharpe: Mean over standard deviation, for a year, without interest.
        sortino: Mean over the root mean square of those below 0, for a year, without interest.
    """

    volatility: float
    sharpe: float
    sortino: float


def days_of(times: Times) -> Days:
    """The days in which candles close."""
    dates = (times - 1) // DAY_US
    last = np.append(np.flatnonzero(np.diff(dates)), len(times) - 1)
    found = dates[last]
    return Days(last, found, 365 if np.isin(found % 7, _WEEKEND).any() else 252)


def changes(ends: Floats, capital: float) -> Floats:
    """Returns between values that follow each other, the first from the capital; nan after 0 or less."""
    before = np.concatenate(([capital], ends[:-1]))
    found: Floats = np.full(len(ends), nan)
    np.divide(ends, before, out=found, where=before > 0.0)
    return found - 1.0


def months_of(dates: Times) -> tuple[npt.NDArray[np.intp], Times]:
    """Index of the last day of each month in which there are days, and its months since the epoch."""
    months = dates.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    return last, months[last]


def ratios_of(returns: Floats, per_year: int) -> Ratios:
    """The ratios of returns of days, none of them nan."""
    if returns.size < 2:
        return Ratios(nan, nan, nan)
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    downside = sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    yearly = sqrt(per_year)
    same = deviation < ROUNDING
    return Ratios(
        0.0 if same else deviation * yearly,
        nan if same else mean / deviation * yearly,
        mean / downside * yearly if downside > ROUNDING else nan,
    )


def alpha_beta(returns: Floats, benchmark: Floats, per_year: int) -> tuple[float, float]:
    """Of returns of days against those of the same days of a benchmark.

    Beta is their covariance over the benchmark's variance; alpha is what is left of the mean return, for a
    year: (mean - beta * mean of the benchmark) * days of a year. Both are nan where the benchmark is still.
    """
    if returns.size < 2:
        return nan, nan
    variance = float(benchmark.var())
    if variance < ROUNDING**2:
        return nan, nan
    mean, other = float(returns.mean()), float(benchmark.mean())
    beta = float(np.mean((returns - mean) * (benchmark - other))) / variance
    return (mean - beta * other) * per_year, beta


def yearly(growth: float, length: Micros) -> float:
    """A growth as one a year, less 1; nan where minutes would make it more than a double holds."""
    if growth <= 0.0:
        return -1.0
    power = log(growth) * YEAR_US / length
    return exp(power) - 1 if power < 700.0 else nan
