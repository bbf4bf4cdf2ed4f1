"""What buying at the start and holding would have come to: the capital in equal parts, without costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backtest.bars import Bars
from backtest.statistics.drawdown import Floats, Times


def buy_and_hold(bars: Sequence[Bars], times: Times, capital: float) -> Floats:
    """The equity of that, float64[n]: at each of the times, at the last closes.

    A part is cash until the first candle of its market opens, whose open it buys at.
    """
    share = capital / len(bars)
    curve = np.zeros(len(times))
    for each in bars:
        closes = np.asarray(each.closes, np.float64) * (share / each.opens[0])
        if len(bars) == 1 and len(closes) == len(times):
            return closes
        ends = np.asarray(each.open_times, np.int64) + each.length
        known = np.searchsorted(ends, times, "right")
        curve += np.concatenate(([share], closes))[known]
    return curve
