"""Figures of closed trades, from their profits in the order of closing."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from backtest.statistics.drawdown import Floats


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """Figures of some trades; nan where they are not defined, as of none.

    Attributes:
        count: How many there are.
        win_rate: Part of them with a profit above 0.
        profit_factor: Sum of profits over sum of losses, both above 0; nan without a loss.
        expectancy: Mean profit, quote currency.
        average_win: Mean of the profits above 0, quote currency.
        average_loss: Mean of those below 0, quote currency, below 0.
        best: Highest profit as a part of the value at entry; likewise worst.
        wins_in_a_row: Most of them; likewise losses_in_a_row.
    """

    count: int
    win_rate: float
    profit_factor: float
    expectancy: float
    average_win: float
    average_loss: float
    best: float
    worst: float
    wins_in_a_row: int
    losses_in_a_row: int


def trade_figures_of(profits: Floats, parts: Floats) -> TradeFigures:
    """The figures of trades.

    Args:
        profits: float64[n], quote currency, fees deducted.
        parts: float64[n]: each as a part of the trade's value at entry.
    """
    if not profits.size:
        return TradeFigures(0, nan, nan, nan, nan, nan, nan, nan, 0, 0)
    won, lost = profits > 0.0, profits < 0.0
    wins, losses = profits[won], profits[lost]
    return TradeFigures(
        count=len(profits),
        win_rate=len(wins) / len(profits),
        profit_factor=float(wins.sum() / -losses.sum()) if losses.size else nan,
        expectancy=float(profits.mean()),
        average_win=float(wins.mean()) if wins.size else nan,
        average_loss=float(losses.mean()) if losses.size else nan,
        best=float(parts.max()),
        worst=float(parts.min()),
        wins_in_a_row=most_in_a_row(won),
        losses_in_a_row=most_in_a_row(lost),
    )


def most_in_a_row(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """Length of the longest run of true values."""
    breaks = np.flatnonzero(np.concatenate(([True], ~flags, [True])))
    return int(np.diff(breaks).max()) - 1
