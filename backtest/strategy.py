"""The contract of a strategy: one class that sees candles and asks for orders; it has no clock and no I/O.

    class SmaCross(Strategy):
        \"\"\"Long while the fast average stands above the slow one, short below.\"\"\"

        fast: Period = 10
        slow: Period = 30

        def on_start(self) -> None:
            self.fast_line = self.line(f"sma({self.fast})")
            self.slow_line = self.line(f"sma({self.slow})")

        def on_candle(self, candle: ClosedCandle) -> None:
            ...
            self.close(candle.market)
            self.buy(candle.market)

What it learns it learns by its methods being called, in the order of event time, and from lines, which end at
the candle it is called with. What is to come is nowhere that it could look.
"""

from __future__ import annotations

from abc import ABC
from decimal import Decimal
from typing import Protocol

from backtest.bars import ClosedCandle
from backtest.lines import Line
from backtest.orders import Fill, Order, OrderKind, Side
from processors.parameters import Parametrised, Period
from schemas.errors import ConfigurationError, ValidationError

__all__ = ["ClosedCandle", "Line", "Period", "Strategy"]

ALL = Decimal(1)
Size = int | float | Decimal


class Desk(Protocol):
    """What a strategy trades through: a simulated broker, and later a real one."""

    @property
    def markets(self) -> tuple[str, ...]:
        """All that it may trade."""

    def line(self, market: str, spec: str) -> Line:
        """The values of an indicator from now on."""

    def place(
        self,
        market: str,
        side: Side,
        size: Decimal | None,
        part: Decimal | None,
        kind: OrderKind,
        price: Decimal | None,
        reduce_only: bool,
    ) -> Order:
        """Take an order."""

    def cancel(self, order: Order) -> None:
        """Withdraw an order."""

    def size(self, market: str) -> Decimal:
        """Units held."""

    @property
    def cash(self) -> Decimal:
        """Quote currency that is not bound in positions."""

    @property
    def equity(self) -> Decimal:
        """Cash and positions at the last known prices."""


class Strategy(Parametrised, ABC, kind="strategy", package="backtest.strategies"):
    """Decides what to trade. Override what it wants to hear of."""

    _desk: Desk | None = None

    def on_start(self) -> None:
        """Before the first candle: ask for lines, set up what is to be remembered."""

    def on_candle(self, candle: ClosedCandle) -> None:
        """A candle has closed, and the lines of its market hold its values."""

    def on_fill(self, fill: Fill) -> None:
        """An order was executed."""

    def on_stop(self) -> None:
        """After the last candle."""

    def attach(self, desk: Desk) -> None:
        """Called by what runs the strategy, before `on_start`."""
        self._desk = desk

    @property
    def desk(self) -> Desk:
        """What it trades through.

        Raises:
            ConfigurationError: It does not run.
        """
        if self._desk is None:
            raise ConfigurationError(f"strategy {self.name} does not run yet: ask in on_start, not in start")
        return self._desk

    def line(self, spec: str, market: str | None = None) -> Line:
        """An indicator by name, as `sma(20)` or `macd(12,26,9).signal`; of the only market if none is named.

        Raises:
            ConfigurationError: There is no such indicator, or which market is meant is not clear.
        """
        markets = self.desk.markets
        if market is None and len(markets) > 1:
            raise ConfigurationError(f"{self.name} runs over {len(markets)} markets: name one for {spec}")
        return self.desk.line(market or markets[0], spec)

    def buy(
        self,
        market: str,
        size: Size | None = None,
        *,
        limit: Size | None = None,
        stop: Size | None = None,
        reduce_only: bool = False,
    ) -> Order:
        """Buy units, or for all that is free; at the market, at a limit or from a stop on.

        Args:
            market: `venue:symbol`.
            size: Units of the base; None: as many as what is free buys when it is filled.
            limit: Highest price.
            stop: Price from which on it becomes a market order.
            reduce_only: Whether it may only make a short position smaller.

        Raises:
            ValidationError: What is given contradicts itself.
        """
        return self._place(market, "buy", size, limit, stop, reduce_only)

    def sell(
        self,
        market: str,
        size: Size | None = None,
        *,
        limit: Size | None = None,
        stop: Size | None = None,
        reduce_only: bool = False,
    ) -> Order:
        """As `buy`, the other way round; what is not held is sold short."""
        return self._place(market, "sell", size, limit, stop, reduce_only)

    def close(self, market: str) -> Order | None:
        """Close a position at the market; None if there is none."""
        held = self.desk.size(market)
        if not held:
            return None
        side: Side = "sell" if held > 0 else "buy"
        return self.desk.place(market, side, abs(held), None, "market", None, True)

    def cancel(self, order: Order) -> None:
        """Withdraw an order, if it is still open."""
        self.desk.cancel(order)

    def position(self, market: str) -> Decimal:
        """Units held; below 0 for short."""
        return self.desk.size(market)

    def _place(
        self,
        market: str,
        side: Side,
        size: Size | None,
        limit: Size | None,
        stop: Size | None,
        reduce_only: bool,
    ) -> Order:
        kind: OrderKind = "market"
        price = None
        if limit is not None:
            kind, price = "limit", exact(limit)
        if stop is not None:
            if limit is not None:
                raise ValidationError("an order has a limit or a stop")
            kind, price = "stop", exact(stop)
        if size is not None:
            return self.desk.place(market, side, exact(size), None, kind, price, reduce_only)
        return self.desk.place(market, side, None, ALL, kind, price, reduce_only)


def exact(value: Size) -> Decimal:
    """A number as the decimal that was meant: 0.1 is 0.1.

    Raises:
        ValidationError: It is not finite.
    """
    found = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not found.is_finite():
        raise ValidationError(f"an order needs sizes and prices that are numbers, got {value}")
    return found
