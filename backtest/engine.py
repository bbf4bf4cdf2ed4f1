"""Runs a strategy over candles: each closed candle first fills orders, then is shown to the strategy."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from itertools import accumulate, repeat
from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.account import Account, ClosedTrade
from backtest.bars import Bars, ClosedCandle
from backtest.broker import Broker
from backtest.desk import SimulatedDesk
from backtest.matching.candles import CandleMatching
from backtest.orders import ZERO, Fill, Order
from backtest.strategy import Strategy
from backtest.terms import Terms
from schemas.errors import ConfigurationError

DIGITS: Final = 60
"""Of all arithmetic with money: products of prices, sizes and rates keep every digit."""


@dataclass(slots=True)
class Steps:
    """What the account held since when; three columns, a row for each candle with fills.

    Attributes:
        candles: Index of the candle in the order of the run.
        fills: How many fills there had been then.
        cash: Quote currency, after them.
    """

    candles: list[int] = field(default_factory=lambda: [0])
    fills: list[int] = field(default_factory=lambda: [0])
    cash: list[Decimal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run.

    Attributes:
        bars: What it ran over.
        terms: Under what.
        times: int64[n]: close times of the candles, µs, ascending.
        equity: float64[n]: cash and positions at each of these times, all at last known closes.
        exposed: bool[n]: whether anything was held then.
        cash: At the end.
        final_equity: Cash and positions at the last closes.
        fees: All that were paid.
        orders: All that were placed.
        fills: All that were executed.
        trades: All that were closed.
    """

    bars: Sequence[Bars]
    terms: Terms
    times: npt.NDArray[np.int64]
    equity: npt.NDArray[np.float64]
    exposed: npt.NDArray[np.bool_]
    cash: Decimal
    final_equity: Decimal
    fees: Decimal
    orders: Sequence[Order]
    fills: Sequence[Fill]
    trades: Sequence[ClosedTrade]


def run(strategy: Strategy, bars: Sequence[Bars], terms: Terms) -> Run:
    """Run a strategy over all candles of some markets, in the order of their closing.

    The strategy is used up: a second run needs a fresh one.

    Raises:
        ConfigurationError: There is no candle, a market comes twice, or the strategy refuses.
    """
    if not bars or not all(len(each) for each in bars):
        raise ConfigurationError("there are no candles to run over")
    if len({each.market for each in bars}) < len(bars):
        raise ConfigurationError("each market is given once")
    with localcontext() as context:
        context.prec = DIGITS
        account = Account(terms.capital)
        broker = Broker(account, terms)
        steps = _play(strategy, bars, account, broker)
        times, equity, exposed = _curve(bars, steps, broker.fills)
        return Run(
            bars,
            terms,
            times,
            equity,
            exposed,
            account.cash,
            broker.equity(),
            account.fees,
            broker.orders,
            broker.fills,
            account.trades,
        )


def _play(strategy: Strategy, bars: Sequence[Bars], account: Account, broker: Broker) -> Steps:
    """The loop. What is to come stands in its local variables alone, where no strategy looks."""
    desk = SimulatedDesk(account, broker, [each.market for each in bars])
    strategy.attach(desk)
    strategy.on_start()
    growing = {each.market: (_ahead(desk, each), desk.feeds[each.market]) for each in bars}
    steps = Steps(cash=[account.cash])
    on_candle, broker.listener = strategy.on_candle, strategy.on_fill
    matching = CandleMatching(broker)
    last, pending, fills = broker.last, broker.open, broker.fills
    for index, candle in enumerate(_candles(bars)):
        market = candle.market
        if pending:
            done = len(fills)
            matching.take(candle)
            if len(fills) > done:
                steps.candles.append(index)
                steps.fills.append(len(fills))
                steps.cash.append(account.cash)
        last[market] = candle.close
        desk.now = candle.close_time
        grow, feeds = growing[market]
        grow()
        for feed in feeds:
            feed.take(candle)
        on_candle(candle)
    strategy.on_stop()
    return steps


def _ahead(desk: SimulatedDesk, bars: Bars) -> Callable[[], object]:
    """Take over the lines whose indicators can be computed by columns; returns what lets them grow by one."""
    rows = []
    for feed in tuple(desk.feeds[bars.market]):
        columns = feed.indicator.over(bars)
        if columns is not None:
            desk.feeds[bars.market].remove(feed)
            rows.append(map(feed.line.add, columns[feed.output]))
    return zip(*rows, strict=True).__next__ if rows else repeat(None).__next__


def _candles(bars: Sequence[Bars]) -> Iterable[ClosedCandle]:
    if len(bars) == 1:
        return bars[0]
    return heapq.merge(*bars, key=lambda candle: (candle.close_time, candle.market))


def _curve(
    bars: Sequence[Bars], steps: Steps, fills: Sequence[Fill]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Times, equity and whether anything was held, after each candle in the order of the run."""
    closes = [np.asarray(each.open_times, np.int64) + each.length for each in bars]
    rank = {name: number for number, name in enumerate(sorted(each.market for each in bars))}
    owner = np.concatenate([np.full(len(each), rank[each.market]) for each in bars])
    order = slice(None) if len(bars) == 1 else np.lexsort((owner, np.concatenate(closes)))
    spans = np.diff(np.array([*steps.candles, len(owner)]))
    equity = np.repeat(np.array(steps.cash, np.float64), spans)
    exposed = np.zeros(len(owner), np.bool_)
    for each in bars:
        signed = (fill.signed_size if fill.market == each.market else ZERO for fill in fills)
        held = list(accumulate(signed, initial=ZERO))
        units = np.repeat(np.array([float(held[count]) for count in steps.fills]), spans)
        seen = np.cumsum(owner[order] == rank[each.market]) - 1
        last = np.asarray(each.closes, np.float64)[np.maximum(seen, 0)]
        equity = equity + np.where(seen >= 0, units * last, 0.0)
        exposed |= units != 0.0
    return np.concatenate(closes)[order], equity, exposed
