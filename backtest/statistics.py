"""What a run amounts to, in figures; each is defined where it is computed.

Returns of days are taken from the equity at the last candle of each UTC day. A year has 365 of them where
candles lie on weekends, else 252.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, nan, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.account import ZERO
from backtest.bars import DAY_US
from backtest.engine import Run
from schemas.records import Micros

YEAR_US: Final = 365.25 * DAY_US
WEEKEND: Final = (2, 3)
"""Days since the epoch modulo 7 of Saturday and Sunday: 1970-01-01 was a Thursday."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of the equity below a peak.

    Attributes:
        depth: As a part of the peak, 0 or above.
        peak: When the peak was, µs.
        bottom: When it was deepest, µs.
        recovered: When the peak was reached again, µs; None if it was not.
    """

    depth: float
    peak: Micros
    bottom: Micros
    recovered: Micros | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a run; parts, not percent. nan where a figure is not defined, as a ratio of no trades.

    Attributes:
        start: Open time of the first candle, µs.
        end: Close time of the last one, µs.
        candles: Number of candles.
        final_equity: Cash and positions at the last close.
        total_return: Final equity over capital, less 1.
        cagr: The same, for a year: (final / capital) ** (1 / years) - 1.
        buy_and_hold: Of the first market: last close over first open, less 1; the mean of several markets.
        volatility: Standard deviation of the returns of days, for a year.
        sharpe: Mean of the returns of days over their standard deviation, for a year; no interest.
        sortino: The same, over the root mean square of the returns below 0.
        calmar: cagr over the depth of the drawdown.
        drawdown: The deepest one.
        longest_drawdown: Longest time below a peak, µs.
        under_water: Part of the candles at whose close the equity was below an earlier peak.
        exposure: Part of the candles at whose close something was held.
        turnover: Value of all fills over the mean equity.
        fees: Quote currency.
        trades: Lots that were closed.
        win_rate: Part of the trades with a profit above 0.
        profit_factor: Profits over losses, both above 0.
        expectancy: Mean profit of a trade, quote currency.
        best: Highest profit of a trade as a part of its value at entry.
        worst: The lowest.
    """

    start: Micros
    end: Micros
    candles: int
    final_equity: float
    total_return: float
    cagr: float
    buy_and_hold: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    drawdown: Drawdown
    longest_drawdown: Micros
    under_water: float
    exposure: float
    turnover: float
    fees: float
    trades: int
    win_rate: float
    profit_factor: float
    expectancy: float
    best: float
    worst: float


def statistics_of(run: Run) -> Statistics:
    """The figures of a run."""
    capital = float(run.terms.capital)
    equity, times = run.equity, run.times
    start = min(each.open_times[0] for each in run.bars)
    end = int(times[-1])
    final = float(run.final_equity)
    total = final / capital - 1
    years = (end - start) / YEAR_US
    cagr = _yearly(final / capital, years)
    ends = day_ends(times)
    days = daily_returns(equity[ends], capital)
    per_year = 365 if np.isin((times[ends] - 1) // DAY_US % 7, WEEKEND).any() else 252
    drawdown = deepest_drawdown(equity, times, capital, start)
    peaks = np.maximum.accumulate(np.concatenate(([capital], equity)))[1:]
    profits = np.array([float(trade.profit) for trade in run.trades])
    parts = profits / np.array([float(abs(trade.size) * trade.entry_price) for trade in run.trades])
    gains, losses = profits[profits > 0].sum(), -profits[profits < 0].sum()
    traded = float(sum((fill.size * fill.price for fill in run.fills), ZERO))
    deviation = float(days.std(ddof=1)) if days.size > 1 else nan
    downside = sqrt(float(np.mean(np.minimum(days, 0.0) ** 2))) if days.size else nan
    mean = float(days.mean()) if days.size else nan
    return Statistics(
        start=start,
        end=end,
        candles=len(times),
        final_equity=final,
        total_return=total,
        cagr=cagr,
        buy_and_hold=float(np.mean([each.closes[-1] / each.opens[0] - 1 for each in run.bars])),
        volatility=deviation * sqrt(per_year),
        sharpe=_ratio(mean, deviation) * sqrt(per_year),
        sortino=_ratio(mean, downside) * sqrt(per_year),
        calmar=_ratio(cagr, drawdown.depth),
        drawdown=drawdown,
        longest_drawdown=longest_drawdown(equity, times, capital, start),
        under_water=float(np.mean(equity < peaks)),
        exposure=float(np.mean(run.exposed)),
        turnover=_ratio(traded, float(equity.mean())),
        fees=float(run.fees),
        trades=len(run.trades),
        win_rate=float(np.mean(profits > 0)) if profits.size else nan,
        profit_factor=_ratio(float(gains), float(losses)),
        expectancy=float(profits.mean()) if profits.size else nan,
        best=float(parts.max()) if parts.size else nan,
        worst=float(parts.min()) if parts.size else nan,
    )


def day_ends(times: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Index of the last candle of each UTC day; one that closes at midnight belongs to the day that ends."""
    return np.append(np.flatnonzero(np.diff((times - 1) // DAY_US)), len(times) - 1)


def daily_returns(ends: Floats, capital: float) -> Floats:
    """Change of the equity from the end of each day to that of the next, as parts; first from the capital."""
    before = np.concatenate(([capital], ends[:-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = ends / before - 1.0
    return found[np.isfinite(found)]


def deepest_drawdown(equity: Floats, times: npt.NDArray[np.int64], capital: float, start: Micros) -> Drawdown:
    """The deepest fall; the capital at the start is the first peak."""
    curve = np.concatenate(([capital], equity))
    at = np.concatenate(([start], times))
    peaks = np.maximum.accumulate(curve)
    bottom = int(np.argmax((peaks - curve) / peaks))
    peak = int(np.argmax(curve[: bottom + 1]))
    after = np.flatnonzero(curve[bottom:] >= peaks[bottom])
    recovered = None if not after.size or not bottom else int(at[bottom + after[0]])
    depth = float((peaks[bottom] - curve[bottom]) / peaks[bottom])
    return Drawdown(depth, int(at[peak]), int(at[bottom]), recovered)


def longest_drawdown(equity: Floats, times: npt.NDArray[np.int64], capital: float, start: Micros) -> Micros:
    """Longest time from a peak until it is reached again, or until the end."""
    curve = np.concatenate(([capital], equity))
    at = np.concatenate(([start], times))
    at_peak = np.flatnonzero(curve >= np.maximum.accumulate(curve))
    ends = np.append(at_peak[1:], len(curve) - 1)
    spans = np.where(ends - at_peak > 1, at[ends] - at[at_peak], 0)
    if ends[-1] > at_peak[-1]:
        spans[-1] = at[-1] - at[at_peak[-1]]
    return int(spans.max())


def _yearly(growth: float, years: float) -> float:
    """A growth as one a year, less 1; nan where minutes would make it more than a double holds."""
    if growth <= 0.0:
        return -1.0
    power = log(growth) / years
    return exp(power) - 1 if power < 700.0 else nan


def _ratio(above: float, below: float) -> float:
    return above / below if below else nan
