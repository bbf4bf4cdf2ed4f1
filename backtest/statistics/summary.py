"""The figures of a whole run, computed; `figures` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from backtest.account import decimal_of
from backtest.engine import Run
from backtest.orders import ZERO
from backtest.statistics.benchmark import buy_and_hold
from backtest.statistics.drawdown import Drawdown, falls_of
from backtest.statistics.returns import (
    alpha_beta,
    changes,
    days_of,
    months_of,
    ratios_of,
    yearly,
)
from backtest.statistics.trades import TradeFigures, trade_figures_of
from schemas.records import Micros


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a run; parts, not percent. nan where a figure is not defined, as a ratio of no trades.

    What each means is said in `backtest.statistics.figures`, under the same name.
    """

    start: Micros
    end: Micros
    candles: int
    final_equity: float
    open_profit: float
    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    drawdown: Drawdown
    longest_drawdown_s: float
    under_water: float
    best_day: float
    worst_day: float
    best_month: float
    worst_month: float
    exposure: float
    turnover: float
    fees: float
    funding: float
    interest: float
    liquidations: int
    closed: TradeFigures
    buy_and_hold: float
    buy_and_hold_max_drawdown: float
    alpha: float
    beta: float

    @property
    def trades(self) -> int:
        """How many were closed."""
        return self.closed.count

    @property
    def drawdown_s(self) -> float:
        """Length of the deepest drawdown, seconds."""
        return self.drawdown.length / 1_000_000


def statistics_of(run: Run) -> Statistics:
    """The figures of a run; 13 ms over 100,000 candles with 4,000 trades, a twentieth of the run."""
    capital = float(run.terms.capital)
    equity, times = run.equity, run.times
    start, end = int(min(each.open_times[0] for each in run.bars)), int(times[-1])
    final = float(run.final_equity)
    cagr = yearly(final / capital, end - start)
    falls = falls_of(equity, times, capital, start)

    days = days_of(times)
    ends = equity[days.last]
    daily = changes(ends, capital)
    known = ~np.isnan(daily)
    ratios = ratios_of(daily[known], days.per_year)
    monthly = changes(ends[months_of(days.dates)[0]], capital)

    held = buy_and_hold(run.bars, times, capital)
    held_daily = changes(held[days.last], capital)
    alpha, beta = alpha_beta(daily[known], held_daily[known], days.per_year)

    profits = np.array([float(trade.profit) for trade in run.trades])
    values = np.array([abs(float(trade.size)) * float(trade.entry_price) for trade in run.trades])
    traded = float(sum((fill.size * fill.price for fill in run.fills), ZERO))
    mean_equity = float(equity.mean())
    return Statistics(
        start=start,
        end=end,
        candles=len(times),
        final_equity=final,
        open_profit=_open_profit(run),
        total_return=final / capital - 1,
        cagr=cagr,
        volatility=ratios.volatility,
        sharpe=ratios.sharpe,
        sortino=ratios.sortino,
        calmar=cagr / falls.deepest.depth if falls.deepest.depth else nan,
        drawdown=falls.deepest,
        longest_drawdown_s=falls.longest / 1_000_000,
        under_water=falls.under_water,
        best_day=_highest(daily),
        worst_day=-_highest(-daily),
        best_month=_highest(monthly),
        worst_month=-_highest(-monthly),
        exposure=float(np.mean(run.exposed)),
        turnover=traded / mean_equity if mean_equity > 0.0 else nan,
        fees=float(run.fees),
        funding=float(sum((payment.amount for payment in run.payments), ZERO)),
        interest=float(run.interest),
        liquidations=sum(fill.order.kind == "liquidation" for fill in run.fills),
        closed=trade_figures_of(profits, profits / values),
        buy_and_hold=float(held[-1] / capital - 1),
        buy_and_hold_max_drawdown=falls_of(held, times, capital, start).deepest.depth,
        alpha=alpha,
        beta=beta,
    )


def _open_profit(run: Run) -> float:
    """What the open positions would win at the last closes."""
    total = ZERO
    for bars in run.bars:
        last = decimal_of(float(bars.closes[-1]))
        for lot in run.lots.get(bars.market, ()):
            total += lot.size * (last - lot.price)
    return float(total)


def _highest(returns: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The highest that is known; nan of none."""
    return float(np.nanmax(returns)) if not np.isnan(returns).all() else nan
