"""How much to trade: rules that a strategy asks before it enters a position.

They look at the desk alone, at its equity, its closed trades and its lines: what is simulated and what is
live is sized by the same code.

    class Mine(Strategy):
        sizing: SizingRule = "risk"
        amount: float = 0.01

        def on_start(self) -> None:
            self.sizer = Sizer(self, self.sizing, self.amount)

        def on_candle(self, candle: ClosedCandle) -> None:
            ...
            self.sizer.go(candle.market, "buy", candle.close, stop=0.97 * candle.close)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from backtest.account import ClosedTrade
from backtest.lines import Line
from backtest.orders import ZERO, Order, Side
from backtest.strategy import Size, Strategy, exact
from schemas.errors import ConfigurationError

SizingRule: TypeAlias = Literal["all", "fixed", "percent", "volatility", "kelly", "risk"]
"""What `amount` means:

- all: nothing; the position takes all that is free.
- fixed: units of the base.
- percent: the value of the position, as a part of the equity: 0.1 is 10 %.
- volatility: the part of the equity that a move of one average true range wins or loses.
- kelly: the part of the Kelly fraction of the closed trades that is taken: 0.5 is half Kelly.
- risk: the part of the equity that is lost if the position is left at its stop.
"""

LEAST_TRADES: Final = 20
"""Closed trades from which on they say something about the next one."""
FIRST_PART: Final = Decimal("0.1")
"""Part of the equity of a position before there are so many."""


class Sizer:
    """Sizes the positions of one strategy; made in its `on_start`.

    Sizes are not rounded: the desk cuts them to lots. What the account cannot carry is cut off by `go`.

    Args:
        strategy: Whose positions.
        rule: How they are sized.
        amount: See `SizingRule`; above 0.
        period: Of the average true range, candles.

    Raises:
        ConfigurationError: The amount is not above 0.
    """

    def __init__(self, strategy: Strategy, rule: SizingRule, amount: Size, period: int = 14) -> None:
        self._strategy, self._rule, self._amount = strategy, rule, exact(amount)
        if not self._amount > ZERO:
            raise ConfigurationError(f"sizing by {rule} takes an amount above 0, got {amount}")
        self._record = KellyRecord()
        self._ranges: dict[str, Line] = {}
        if rule == "volatility":
            self._ranges = {each: strategy.line(f"atr({period})", each) for each in strategy.desk.markets}

    def size(self, market: str, price: Size, stop: Size | None = None) -> Decimal | None:
        """Units of a position that is entered at about a price; None: all that is free.

        Args:
            market: `venue:symbol`.
            price: The last one, quote currency per unit.
            stop: Where the position is left if it goes wrong; sizing by risk needs it.

        Returns:
            0 where there is none to be had: no equity, no average true range yet, no distance to the stop, or
            trades that Kelly's rule would not repeat.

        Raises:
            ConfigurationError: Sizing by risk without a stop.
        """
        if self._rule == "all":
            return None
        if self._rule == "fixed":
            return self._amount
        value = max(ZERO, self._strategy.desk.equity) * self._amount
        if self._rule == "volatility":
            reach = self._ranges[market][0]
            return value / exact(reach) if reach > 0.0 else ZERO
        if self._rule == "risk":
            if stop is None:
                raise ConfigurationError(
                    f"{self._strategy.name} has no stop: size it by another rule than risk"
                )
            distance = abs(exact(price) - exact(stop))
            return value / distance if distance else ZERO
        if self._rule == "kelly":
            trades = self._strategy.desk.trades
            if len(trades) < LEAST_TRADES:
                value = max(ZERO, self._strategy.desk.equity) * FIRST_PART
            else:
                self._record.take(trades)
                value *= exact(self._record.fraction)
        return value / exact(price)

    def go(self, market: str, side: Side, price: Size, stop: Size | None = None) -> Order | None:
        """Hold a position of this size on this side, in place of what is held; at the market.

        Returns:
            The order; None where the size is 0, or is held already.
        """
        size = self.size(market, price, stop)
        if size is None:
            self._strategy.close(market)
            return self._strategy.buy(market) if side == "buy" else self._strategy.sell(market)
        if not size:
            self._strategy.close(market)
            return None
        return self._strategy.target(market, size if side == "buy" else -size)


class KellyRecord:
    """What the closed trades say of the next one, moved on with each of them."""

    def __init__(self) -> None:
        self._seen = self._wins = self._losses = 0
        self._won = self._lost = 0.0

    def take(self, trades: Sequence[ClosedTrade]) -> None:
        """Look at those that have been closed since the last call; all are given, the newest last."""
        for trade in trades[self._seen :]:
            part = trade.profit_part
            if part > 0.0:
                self._wins += 1
                self._won += part
            elif part < 0.0:
                self._losses += 1
                self._lost -= part
        self._seen = len(trades)

    @property
    def fraction(self) -> float:
        """The Kelly fraction as traders use it, 0 to 1: w - (1 - w) / r.

        w is the part of the trades that won, r the mean win over the mean loss, both as parts of the value at
        entry. It takes a loss for the loss of all that was staked, which is careful (J. L. Kelly, A New
        Interpretation of Information Rate, 1956).
        """
        if not self._wins:
            return 0.0
        if not self._losses:
            return 1.0
        won = self._wins / self._seen
        ratio = (self._won / self._wins) / (self._lost / self._losses)
        return min(1.0, max(0.0, won - (1.0 - won) / ratio))
