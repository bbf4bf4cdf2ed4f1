"""Stops and targets on candles of a share, held against backtesting.py 0.6.6.

The rule there, with `commission=0.0004` and `cash=10000`:

    def next(self):
        i, c = len(self.data) - 1, float(self.data.Close[-1])
        if i % 12 == 5 and not self.position and not self.orders:
            side, enter = (1, self.buy) if i // 12 % 2 else (-1, self.sell)
            enter(size=10, sl=round(c * (1 - side * 0.03), 2), tp=round(c * (1 + side * 0.03), 2))

It takes 37 trades and ends with 9,775.10422. Both take the stop first where a candle reaches stop and target,
and fill a target that lies behind the open at the open.
"""

import csv
import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from backtest.bars import DAY_US, Bars, ClosedCandle
from backtest.engine import run
from backtest.strategy import Strategy
from tests.backtest_runs import terms_of


class _Brackets(Strategy):
    """Enters every twelfth day, and leaves three percent higher or lower."""

    def on_start(self) -> None:
        self.number = -1

    def on_candle(self, candle: ClosedCandle) -> None:
        self.number += 1
        market, close = candle.market, candle.close
        if self.number % 12 == 5 and not self.position(market):
            side, enter, leave = (
                (1, self.buy, self.sell) if self.number // 12 % 2 else (-1, self.sell, self.buy)
            )
            enter(market, 10)
            self.one_cancels_other(
                leave(market, 10, stop=round(close * (1 - side * 0.03), 2), reduce_only=True),
                leave(market, 10, limit=round(close * (1 + side * 0.03), 2), reduce_only=True),
            )


def test_brackets_on_daily_candles_of_a_share_come_to_what_backtesting_py_says(captures: Path) -> None:
    with (captures / "equities" / "aapl_daily.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [
        int(dt.datetime.fromisoformat(row["Date"]).replace(tzinfo=dt.UTC).timestamp()) * 1_000_000
        for row in rows
    ]
    columns = [
        [float(row[f"AAPL.{name}"]) for row in rows] for name in ("Open", "High", "Low", "Close", "Volume")
    ]
    found = run(
        _Brackets(),
        [Bars("file:AAPL", times, DAY_US, *columns)],
        terms_of(fee="0.0004", maker_fee="0.0004"),
    )
    assert len(found.trades) == 37
    assert float(found.final_equity) == pytest.approx(9_775.10422, abs=0.000001)
    # Two that enter behind their target, by a gap, leave at the same open.
    same = [trade for trade in found.trades if trade.entry_time == trade.exit_time]
    assert [trade.entry_price for trade in same] == [Decimal("116.900002"), Decimal("92.910004")]
