"""Backtests over a few candles, with orders at named ones, for tests."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from backtest.account import Account
from backtest.bars import Bars, ClosedCandle
from backtest.costs import Costs
from backtest.engine import run
from backtest.orders import Fill
from backtest.strategy import Strategy
from backtest.terms import Terms

MARKET = "test:A/B"
MINUTE = 60_000_000
BEGAN = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z, µs, a Monday
Prices = tuple[float, float, float, float]
Act = Callable[[Any], object]


def bars_of(
    candles: Sequence[Prices], market: str = MARKET, length: int = MINUTE, began: int = BEGAN
) -> Bars:
    """Candles of open, high, low and close, one after the other."""
    opens, highs, lows, closes = (list(map(float, column)) for column in zip(*candles, strict=True))
    times = [began + length * number for number in range(len(candles))]
    return Bars(market, times, length, opens, highs, lows, closes, [1.0] * len(candles))


def flat(*prices: float) -> list[Prices]:
    """Candles that do not move."""
    return [(price,) * 4 for price in prices]


class _Scripted(Strategy):
    """Does what a test says at the close of each candle."""

    def play(self, acts: Mapping[int, Act], filled: Callable[[Any, Fill], object] | None = None) -> None:
        self.acts, self.filled = acts, filled
        self.orders: dict[int, Any] = {}
        self.seen: list[ClosedCandle] = []

    def on_candle(self, candle: ClosedCandle) -> None:
        number = len(self.seen)
        self.seen.append(candle)
        if number in self.acts:
            self.orders[number] = self.acts[number](self)

    def on_fill(self, fill: Fill) -> None:
        if self.filled is not None:
            self.filled(self, fill)


def terms_of(
    capital: object = 10_000,
    fee: object = 0,
    maker_fee: object = 0,
    slippage: object = 0,
    lot: object = 1,
    leverage: object = 1,
) -> Terms:
    """Terms from plain numbers or texts."""
    costs = Costs(Decimal(str(fee)), Decimal(str(maker_fee)), Decimal(str(slippage)))
    return Terms(Decimal(str(capital)), costs, Decimal(str(lot)), Decimal(str(leverage)))


def play(
    candles: Sequence[Prices] | Sequence[Bars],
    acts: Mapping[int, Act],
    terms: Terms | None = None,
    filled: Callable[[Any, Fill], object] | None = None,
) -> tuple[Any, Any]:
    """Run a script: what to do at the close of which candle; returns the run and the strategy."""
    strategy = _Scripted()
    strategy.play(acts, filled)
    bars = [each for each in candles if isinstance(each, Bars)]
    made = [each for each in candles if not isinstance(each, Bars)]
    return run(strategy, bars or [bars_of(made)], terms or terms_of()), strategy


def reconciled(account: Account, prices: Mapping[str, float]) -> bool:
    """Whether nothing has got lost: checked after every fill, to the last digit."""
    left = account.equity(prices)
    earned = account.realized + account.unrealized(prices) + account.funding
    return left == account.capital + earned - account.fees - account.interest
