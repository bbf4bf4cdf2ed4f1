"""The equity of a run over time, computed from its fills once it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from backtest.bars import Bars
from backtest.matching.moments import Moment
from backtest.orders import ZERO, Fill


@dataclass(slots=True)
class Steps:
    """What the account held since when; three columns, a row for each change.

    Attributes:
        moments: Of the event that has changed it.
        fills: How many fills there had been after it.
        cash: Quote currency, after it.
    """

    moments: list[Moment]
    fills: list[int] = field(default_factory=lambda: [0])
    cash: list[Decimal] = field(default_factory=list)

    def add(self, moment: Moment, fills: int, cash: Decimal) -> None:
        """Take a change."""
        self.moments.append(moment)
        self.fills.append(fills)
        self.cash.append(cash)


@dataclass(frozen=True, slots=True)
class Curve:
    """Samples at the close of each candle; those of one time by market.

    Attributes:
        times: int64[n], µs.
        equity: float64[n]: cash and positions, all at last known closes.
        exposed: bool[n]: whether anything was held.
    """

    times: npt.NDArray[np.int64]
    equity: npt.NDArray[np.float64]
    exposed: npt.NDArray[np.bool_]


def curve_of(bars: Sequence[Bars], ranks: Sequence[int], steps: Steps, fills: Sequence[Fill]) -> Curve:
    """Draw the curve.

    Args:
        bars: Of each market.
        ranks: Of the closing of each market's candles among the events of one time.
        steps: Of the account.
        fills: All of the run, in order.
    """
    closes = [np.asarray(each.open_times, np.int64) + each.length for each in bars]
    owner = np.concatenate(
        [np.full(len(each), rank, np.int64) for each, rank in zip(bars, ranks, strict=True)]
    )
    times = np.concatenate(closes)
    if len(bars) > 1:
        order = np.lexsort((owner, times))
        times, owner = times[order], owner[order]
    shown = _shown(times, owner, steps.moments)
    spans = np.diff(np.append(shown, len(times)))
    equity = np.repeat(np.array(steps.cash, np.float64), spans)
    exposed = np.zeros(len(times), np.bool_)
    for each, rank in zip(bars, ranks, strict=True):
        signed = (fill.signed_size if fill.market == each.market else ZERO for fill in fills)
        held = list(accumulate(signed, initial=ZERO))
        # Turning a decimal into a double is dear, and between two positions there is none.
        sizes = (held[count] for count in steps.fills)
        units = np.repeat(np.array([float(size) if size else 0.0 for size in sizes]), spans)
        seen = np.cumsum(owner == rank) - 1
        last = np.asarray(each.closes, np.float64)[np.maximum(seen, 0)]
        equity = equity + np.where(seen >= 0, units * last, 0.0)
        exposed |= units != 0.0
    return Curve(times, equity, exposed)


def _shown(
    times: npt.NDArray[np.int64], owner: npt.NDArray[np.int64], moments: Sequence[Moment]
) -> npt.NDArray[np.int64]:
    """The first sample that shows each step: the first that is not before its moment."""
    when, rank = np.array(moments, np.int64).T
    spread = max(int(owner.max()), int(rank.max())) + 2
    first = np.searchsorted(times, when)
    among = np.append(times, times[-1] + 1)[first] == when  # samples of the same time: ranks decide
    apart = np.all(times[1:] > times[:-1])
    place = np.arange(len(times)) if apart else np.searchsorted(times, times)
    shown: npt.NDArray[np.int64] = np.searchsorted(
        place * spread + owner + 1, first * spread + np.where(among, rank + 1, 0)
    )
    return shown
