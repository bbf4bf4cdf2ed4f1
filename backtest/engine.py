"""Runs a strategy over the past: what happens first fills orders, then the strategy is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.account import Account, ClosedTrade, Lot, Payment
from backtest.bars import Bars
from backtest.broker import Broker
from backtest.curve import curve_of
from backtest.history import History
from backtest.loop import Loop
from backtest.orders import Fill, Order
from backtest.strategy import Strategy
from backtest.terms import Fills, Terms

DIGITS: Final = 60
"""Of all arithmetic with money: products of prices, sizes and rates keep every digit."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run.

    Attributes:
        bars: The candles that it ran over: given, or made of trades, quotes or books.
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
        lots: What is still open at the end, by market, the oldest first.
        interest: All that was paid for what was borrowed to be sold.
        payments: All funding.
        filled_by: What the orders of each market were filled by.
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
    lots: Mapping[str, Sequence[Lot]]
    interest: Decimal
    payments: Sequence[Payment]
    filled_by: Mapping[str, Fills]


def run(strategy: Strategy, history: History | Sequence[Bars], terms: Terms) -> Run:
    """Run a strategy over what has happened in some markets, in the order in which it happened.

    The strategy is used up: a second run needs a fresh one.

    Args:
        strategy: Fresh.
        history: What there is of the markets, or candles alone.
        terms: Under what it trades.

    Raises:
        ConfigurationError: There is nothing to run over, a market comes twice, what orders are to be filled
            by is not there, or the strategy refuses.
        ValidationError: Rows are not in the order of their times.
    """
    with localcontext() as context:
        context.prec = DIGITS
        given = history if isinstance(history, History) else History(history)
        account = Account(terms.capital, terms.borrowing)
        broker = Broker(account, terms, given.instruments)
        loop = Loop(strategy, given, terms, broker)
        loop.play()
        broker.last.update((bars.market, float(bars.closes[-1])) for bars in loop.bars)
        curve = curve_of(loop.bars, loop.candle_ranks, loop.steps, broker.fills)
        return Run(
            loop.bars,
            terms,
            curve.times,
            curve.equity,
            curve.exposed,
            account.cash,
            broker.equity(),
            account.fees,
            broker.orders,
            broker.fills,
            account.trades,
            {market: tuple(each.lots) for market, each in account.positions.items() if each.lots},
            account.interest,
            account.payments,
            loop.filled_by,
        )
