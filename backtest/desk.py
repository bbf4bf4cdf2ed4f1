"""The desk of a backtest: all that a strategy can reach; it knows what has happened, and nothing more."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from decimal import Decimal
from math import nan

from backtest.account import Account, ClosedTrade
from backtest.bars import ClosedCandle
from backtest.broker import Broker
from backtest.lines import Line
from backtest.orders import AT_MARKET, Conditions, Order, Side
from backtest.targets import order_to
from backtest.timers import Timer, Timers
from backtest.watches import Watch
from processors.indicator import Indicator
from schemas.errors import ConfigurationError
from schemas.records import Micros


class Feed:
    """An indicator, and the line of one of its outputs.

    Args:
        spec: As `sma(20)`, or `macd(12,26,9).signal`; without a name the first output is meant.

    Raises:
        ConfigurationError: There is no such indicator or output.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        name, dot, output = spec.rpartition(".")
        if not dot or not output.isidentifier():
            name, output = spec, ""
        self.indicator = Indicator.create(name)
        outputs = self.indicator.outputs or (self.indicator.name,)
        self.output = output or outputs[0]
        if self.output not in outputs:
            raise ConfigurationError(f"{spec}: {self.indicator.name} has {', '.join(outputs)}")
        self.line = Line()

    def take(self, candle: ClosedCandle) -> None:
        """Let the line grow by the value at a candle."""
        values = self.indicator.update(candle)
        self.line.add(nan if values is None else values.get(self.output, nan))


class SimulatedDesk:
    """See `backtest.strategy.Desk`.

    Args:
        account: Of the run.
        broker: Of the run.
        markets: All that may be traded.
        latency: After which the withdrawal of an order reaches its market, µs.
    """

    def __init__(self, account: Account, broker: Broker, markets: Sequence[str], latency: Micros = 0) -> None:
        self.now: Micros = 0
        """Time of the newest event, µs; kept by the engine."""
        self.feeds: dict[str, list[Feed]] = {market: [] for market in markets}
        """What grows candle by candle, by market."""
        self.lines: dict[str, list[tuple[str, Line]]] = {market: [] for market in markets}
        """All lines that were asked for, by market."""
        self.watches: dict[str, list[Watch]] = {market: [] for market in markets}
        """The rules that are watched, by market."""
        self.timers = Timers()
        self.withdrawals: deque[tuple[Micros, Order]] = deque()
        """Orders that are withdrawn, and when that reaches their market, µs; the first one first."""
        self.closed: dict[str, Micros] = {}
        """Of each market whose candles fill its orders: when the newest that was looked at has closed, µs."""
        self.late: defaultdict[str, list[tuple[Micros, Order]]] = defaultdict(list)
        """Withdrawals that hold from the first candle on that opens then or later, by market."""
        self._latency = latency
        self._lines: dict[tuple[str, str], Line] = {}
        self._account, self._broker = account, broker

    @property
    def markets(self) -> tuple[str, ...]:
        """See `Desk`."""
        return tuple(self.feeds)

    def line(self, market: str, spec: str) -> Line:
        """See `Desk`."""
        self._check(market)
        known = self._lines.get((market, spec))
        if known is None:
            feed = Feed(spec)
            self.feeds[market].append(feed)
            known = self._lines[market, spec] = feed.line
            self.lines[market].append((spec, known))
        return known

    def watch(self, market: str, spec: str) -> None:
        """See `Desk`."""
        self._check(market)
        self.watches[market].append(Watch(spec))

    def timer(self, due: Micros | None, every: Micros) -> Timer:
        """See `Desk`."""
        if due is not None:
            return self.timers.once(due, self.now)
        return self.timers.add(Timer((self.now // every + 1) * every, every))

    def place(
        self,
        market: str,
        side: Side,
        size: Decimal | None,
        part: Decimal | None,
        how: Conditions = AT_MARKET,
    ) -> Order:
        """See `Desk`."""
        if market not in self.feeds:
            self._check(market)
        return self._broker.place(market, side, self.now, size, part, how)

    def group(self, orders: Sequence[Order]) -> None:
        """See `Desk`."""
        self._broker.group(orders)

    def target(self, market: str, size: Decimal | None, part: Decimal | None) -> Order | None:
        """See `Desk`."""
        self._check(market)
        return order_to(self._broker, market, size, part, self.now)

    def cancel(self, order: Order) -> None:
        """See `Desk`."""
        if self._latency:
            self.withdrawals.append((self.now + self._latency, order))
        elif order.placed < self.now and self.closed.get(order.market, self.now) < self.now:
            # A candle may be open there that fills it at a price from before: for that it is too late.
            self.late[order.market].append((self.now, order))
        else:
            self._broker.cancel(order)

    def size(self, market: str) -> Decimal:
        """See `Desk`."""
        return self._account.size(market)

    @property
    def cash(self) -> Decimal:
        """See `Desk`."""
        return self._account.cash

    @property
    def equity(self) -> Decimal:
        """See `Desk`."""
        return self._broker.equity()

    @property
    def trades(self) -> Sequence[ClosedTrade]:
        """See `Desk`."""
        return self._account.trades

    def _check(self, market: str) -> None:
        if market not in self.feeds:
            raise ConfigurationError(f"there is no market {market} here; there are {', '.join(self.markets)}")
