"""The trades of a run as columns, as a page lists and draws them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtest.account import ClosedTrade, decimal_of
from backtest.engine import Run
from backtest.report.thinning import Series, candle_of
from backtest.statistics.drawdown import Floats

MOST_TRADES: Final = 5_000
"""Closed ones that are listed and drawn: the largest profits and the largest losses, half of them each."""
DIGITS: Final = 9
"""Of the numbers on a page."""


def trade_columns(run: Run, series: Series) -> dict[str, list[Any]]:
    """A row for each closed trade, in the order of closing, then one for each lot that is still open.

    An open one ends at the last close of its market, with the profit that closing it there would bring.
    """
    chosen = _chosen(np.array([float(trade.profit) for trade in run.trades]))
    still_open = _open_trades(run)
    trades = [*(run.trades[number] for number in chosen), *still_open]
    names = [each.market for each in run.bars]
    owner = np.array([names.index(trade.market) for trade in trades], np.int64)
    columns: dict[str, list[Any]] = {
        "number": [*(chosen + 1).tolist(), *(len(run.trades) + 1 + each for each in range(len(still_open)))],
        "open": [False] * len(chosen) + [True] * len(still_open),
        "market": owner.tolist(),
        "size": [float(trade.size) for trade in trades],
        "fee": [rounded(float(trade.fee)) for trade in trades],
        "profit": [rounded(float(trade.profit)) for trade in trades],
        "part": [round(trade.profit_part, 6) for trade in trades],
    }
    for end in ("entry", "exit"):
        times = np.array([getattr(trade, f"{end}_time") for trade in trades], np.int64)
        prices = np.array([float(getattr(trade, f"{end}_price")) for trade in trades])
        lies = times.copy()
        for number, bars in enumerate(run.bars):
            own = owner == number
            lies[own] = candle_of(bars, times[own], prices[own])
        columns |= {
            f"{end}_ms": (times // 1000).tolist(),
            f"{end}_price": prices.tolist(),
            f"{end}_step": series.step_of(lies).tolist(),
        }
    return columns


def _chosen(profits: Floats) -> npt.NDArray[np.intp]:
    """Which trades are listed, in their order."""
    if len(profits) <= MOST_TRADES:
        return np.arange(len(profits))
    order = np.argsort(profits, kind="stable")
    half = MOST_TRADES // 2
    return np.sort(np.concatenate((order[:half], order[-half:])))


def rounded(value: float) -> float:
    """A number with the digits that a page shows."""
    return float(f"{value:.{DIGITS}g}")


def _open_trades(run: Run) -> list[ClosedTrade]:
    """What is still held, as if it were closed at the last close of its market, without a fee."""
    found = []
    for bars in run.bars:
        price = decimal_of(float(bars.closes[-1]))
        end = bars.open_times[-1] + bars.length
        for lot in run.lots.get(bars.market, ()):
            profit = lot.size * (price - lot.price) - lot.fee
            found.append(ClosedTrade(bars.market, lot.size, lot.price, price, lot.time, end, lot.fee, profit))
    return found
