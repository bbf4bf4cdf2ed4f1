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
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Protocol, TypeAlias

from backtest.account import ClosedTrade
from backtest.bars import ClosedCandle
from backtest.book_view import BookView
from backtest.lines import Line
from backtest.orders import AT_MARKET, CLOSING, ONE, Conditions, Fill, Order, Side, TimeInForce
from backtest.ticks import QuoteTick, TradeTick
from backtest.timers import Timer, length_of
from processors.parameters import Parametrised, Period
from schemas.errors import ConfigurationError, ValidationError
from schemas.records import Micros, Signal

__all__ = ["ClosedCandle", "Line", "Period", "Strategy"]

Size: TypeAlias = int | float | Decimal
_NO_PRICES: Final = (None,) * 5


class Desk(Protocol):
    """What a strategy trades through: a simulated broker, and later a real one."""

    @property
    def markets(self) -> tuple[str, ...]:
        """All that it may trade."""

    def line(self, market: str, spec: str) -> Line:
        """The values of an indicator from now on."""

    def watch(self, market: str, spec: str) -> None:
        """Let a signal rule look at the candles from now on."""

    def timer(self, due: Micros | None, every: Micros) -> Timer:
        """A call at a time, or at each multiple of a length of time."""

    def place(
        self,
        market: str,
        side: Side,
        size: Decimal | None,
        part: Decimal | None,
        how: Conditions = AT_MARKET,
    ) -> Order:
        """Take an order of a size, or of a part of what is free."""

    def group(self, orders: Sequence[Order]) -> None:
        """Let orders cancel each other."""

    def target(self, market: str, size: Decimal | None, part: Decimal | None) -> Order | None:
        """Order at the market what is missing to a position of a size, or of a part of the equity."""

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

    @property
    def trades(self) -> Sequence[ClosedTrade]:
        """All that were closed so far, the newest last."""


class Strategy(Parametrised, ABC, kind="strategy", package="backtest.strategies"):
    """Decides what to trade. Override what it wants to hear of."""

    _desk: Desk | None = None

    def on_start(self) -> None:
        """Before the first event: ask for lines, set up what is to be remembered."""

    def on_trade(self, trade: TradeTick) -> None:
        """Others have traded."""

    def on_quote(self, quote: QuoteTick) -> None:
        """The best bid or the best ask has changed."""

    def on_book(self, book: BookView) -> None:
        """The book has changed; the same view at each call."""

    def on_candle(self, candle: ClosedCandle) -> None:
        """A candle has closed, and the lines of its market hold its values."""

    def on_indicator(self, market: str, spec: str, line: Line) -> None:
        """A line that was asked for has a new value, `line[0]`; after `on_candle`, not while it is nan."""

    def on_signal(self, signal: Signal) -> None:
        """A rule that is watched has fired at the candle that has just closed."""

    def on_timer(self, timer: Timer) -> None:
        """It is `timer.due`: after all that has happened up to then, that time included."""

    def on_fill(self, fill: Fill) -> None:
        """An order was executed, or a part of it."""

    def on_stop(self) -> None:
        """After the last event."""

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
        return self.desk.line(self._market(market, spec), spec)

    def watch(self, spec: str, market: str | None = None) -> None:
        """Hear of a signal rule by name, as `moving_average_crossover(10,30)`, in `on_signal`.

        Args:
            spec: As in the settings of the live rules.
            market: `venue:symbol`; the only one if none is named.

        Raises:
            ConfigurationError: There is no such rule, or which market is meant is not clear.
        """
        self.desk.watch(self._market(market, spec), spec)

    def every(self, length: str) -> Timer:
        """Have `on_timer` called at each multiple of a length of time, from now on.

        Args:
            length: As `30s`, `5m`, `1h`; counted from 1970-01-01T00:00:00Z.

        Raises:
            ValidationError: It is written otherwise.
        """
        return self.desk.timer(None, length_of(length))

    def at(self, time: Micros) -> Timer:
        """Have `on_timer` called once, at an event time, µs; at once if that is over.

        Raises:
            ValidationError: `on_timer` asks for what is over again and again: that would never end.
        """
        return self.desk.timer(time, 0)

    def _market(self, market: str | None, spec: str) -> str:
        markets = self.desk.markets
        if market is None and len(markets) > 1:
            raise ConfigurationError(f"{self.name} runs over {len(markets)} markets: name one for {spec}")
        return market or markets[0]

    def buy(
        self,
        market: str,
        size: Size | None = None,
        *,
        part: Size | None = None,
        limit: Size | None = None,
        stop: Size | None = None,
        take_profit: Size | None = None,
        trail: Size | None = None,
        trail_part: Size | None = None,
        time_in_force: TimeInForce = "gtc",
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order:
        """Buy units, or for a part of what is free: at the market, unless a price is named.

        Args:
            market: `venue:symbol`.
            size: Units of the base.
            part: Of what is free when it is filled, above 0 to 1: as many units as that buys. Without size
                and part, all of it.
            limit: Highest price; with `stop`, of what is bought from then on.
            stop: Price above the market from which on it becomes a market order.
            take_profit: Price below the market from which on it becomes a market order.
            trail: A stop that follows the lowest price at this distance, quote currency.
            trail_part: The same, the distance as a part of the lowest price.
            time_in_force: gtc: until it is cancelled; ioc: what is not filled at once expires; fok: so does
                all of it, if all cannot be filled at once.
            post_only: Refused if it would be filled as soon as it arrives; for limits.
            reduce_only: Whether it may only make a short position smaller.

        Raises:
            ValidationError: What is given contradicts itself.
        """
        prices = (limit, stop, take_profit, trail, trail_part)
        return self._place(market, "buy", size, part, prices, time_in_force, post_only, reduce_only)

    def sell(
        self,
        market: str,
        size: Size | None = None,
        *,
        part: Size | None = None,
        limit: Size | None = None,
        stop: Size | None = None,
        take_profit: Size | None = None,
        trail: Size | None = None,
        trail_part: Size | None = None,
        time_in_force: TimeInForce = "gtc",
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order:
        """As `buy`, the other way round; what is not held is sold short."""
        prices = (limit, stop, take_profit, trail, trail_part)
        return self._place(market, "sell", size, part, prices, time_in_force, post_only, reduce_only)

    def one_cancels_other(self, *orders: Order) -> None:
        """Let orders of one market cancel each other; what fills a part of one makes the others smaller.

        Raises:
            ValidationError: There are fewer than two, they are of several markets, or one is in a group.
        """
        self.desk.group(orders)

    def target(self, market: str, size: Size) -> Order | None:
        """Order at the market what is missing to a position; None if nothing is.

        Market orders on their way count as filled: asked for twice, it is ordered once. What the account
        cannot carry is cut off.

        Args:
            market: `venue:symbol`.
            size: Units; below 0 for short.
        """
        return self.desk.target(market, exact(size), None)

    def target_part(self, market: str, part: Size) -> Order | None:
        """As `target`, of a part of the equity at the last known prices: -0.5 is half of it, short."""
        return self.desk.target(market, None, exact(part))

    def close(self, market: str) -> Order | None:
        """Close a position at the market; None if there is none."""
        desk = self._desk or self.desk
        held = desk.size(market)
        if not held:
            return None
        side: Side = "sell" if held > 0 else "buy"
        return desk.place(market, side, abs(held), None, CLOSING)

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
        part: Size | None,
        prices: tuple[Size | None, ...],
        time_in_force: TimeInForce,
        post_only: bool,
        reduce_only: bool,
    ) -> Order:
        if prices == _NO_PRICES and time_in_force == "gtc" and not post_only:
            how = CLOSING if reduce_only else AT_MARKET
        else:
            named = (None if price is None else exact(price) for price in prices)
            limit, stop, take_profit, trail, trail_part = named
            how = Conditions(
                limit=limit,
                stop=stop,
                take_profit=take_profit,
                trail=trail,
                trail_part=trail_part,
                time_in_force=time_in_force,
                post_only=post_only,
                reduce_only=reduce_only,
            )
        desk = self._desk or self.desk
        if size is None:
            return desk.place(market, side, None, ONE if part is None else exact(part), how)
        return desk.place(market, side, exact(size), None if part is None else exact(part), how)


def exact(value: Size) -> Decimal:
    """A number as the decimal that was meant: 0.1 is 0.1.

    Raises:
        ValidationError: It is not finite.
    """
    found = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not found.is_finite():
        raise ValidationError(f"an order needs sizes and prices that are numbers, got {value}")
    return found
