"""How much of the best Sharpe ratio of many trials is luck: the deflated Sharpe ratio.

Of many strategies without any merit the best one looks good. `expected_best` is the Sharpe ratio that the
best of N such trials has on average; `deflated` is the probability that the true ratio of the one that was
chosen is above that, given how many returns it has, how they lean and how fat their tails are.

(D. H. Bailey, M. Lopez de Prado: The Deflated Sharpe Ratio, Journal of Portfolio Management, 2014.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import e, nan, sqrt
from statistics import NormalDist, variance
from typing import Final

import numpy as np
import numpy.typing as npt

EULER: Final = 0.5772156649015329
"""The constant of Euler and Mascheroni."""
ROUNDING: Final = 1e-14
LEAST_RETURNS: Final = 10
"""Of which anything can be said: their moments are estimates as well."""
ASSUMPTIONS: Final = (
    "The Sharpe ratios of trials without merit are distributed normally, with the variance that was found.",
    "Trials count as independent; neighbours in a grid are not, which makes the expected best too high.",
    "Only the trials of this search are counted; earlier searches over the same data are not known here.",
    "Returns of days are independent of each other.",
)
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """Returns of the days of one run in four numbers.

    Attributes:
        count: Number of returns.
        sharpe: Mean over standard deviation of the sample, of a day; nan where they are all the same.
        skew: Third moment about the mean over the cube of the deviation, both of the population; 0: even.
        kurtosis: Fourth moment, likewise; 3: as of a normal distribution.
        per_year: Days with returns in a year.
    """

    count: int
    sharpe: float
    skew: float
    kurtosis: float
    per_year: int = 365


@dataclass(frozen=True, slots=True)
class Deflation:
    """The best of some trials against chance. All Sharpe ratios are of days.

    Attributes:
        trials: How many had a Sharpe ratio.
        sharpe: Of the best.
        variance: Of the ratios of all trials.
        expected_best: Ratio of the best of as many trials without merit, on average.
        probability: That the true ratio of the best is above it, 0 to 1; the deflated Sharpe ratio.
        yearly: What turns a ratio of days into one of a year.
    """

    trials: int
    sharpe: float
    variance: float
    expected_best: float
    probability: float
    yearly: float


def moments_of(returns: npt.NDArray[np.float64], per_year: int) -> Moments:
    """The moments of returns of days, none of them nan, of which a year has so many."""
    if returns.size < 2 or float(returns.std(ddof=1)) < ROUNDING:
        return Moments(int(returns.size), nan, nan, nan, per_year)
    away = returns - returns.mean()
    spread = float(np.mean(away**2))
    return Moments(
        int(returns.size),
        float(returns.mean() / returns.std(ddof=1)),
        float(np.mean(away**3)) / spread**1.5,
        float(np.mean(away**4)) / spread**2,
        per_year,
    )


def expected_best(spread: float, trials: int) -> float:
    """Mean ratio of the best of trials whose ratios have mean 0 and this variance; 0 of a single one."""
    if trials < 2:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * e))
    return sqrt(spread) * ((1.0 - EULER) * first + EULER * second)


def probability_above(found: Moments, ratio: float) -> float:
    """That the true Sharpe ratio is above `ratio`, given the one that was found; nan of too few returns."""
    spread = 1.0 - found.skew * found.sharpe + (found.kurtosis - 1.0) / 4.0 * found.sharpe**2
    if found.count < LEAST_RETURNS or not spread > 0.0:
        return nan
    return _NORMAL.cdf((found.sharpe - ratio) * sqrt((found.count - 1) / spread))


def deflated(best: Moments, sharpes: Sequence[float]) -> Deflation:
    """The best of some trials against chance.

    Args:
        best: Of the one with the highest Sharpe ratio.
        sharpes: Ratios of days of all trials, itself included; those that are nan are left out.
    """
    known = [each for each in sharpes if each == each]
    spread = variance(known) if len(known) > 1 else 0.0
    expected = expected_best(spread, len(known))
    return Deflation(
        len(known), best.sharpe, spread, expected, probability_above(best, expected), sqrt(best.per_year)
    )
