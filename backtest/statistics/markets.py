"""What each market has added to a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from backtest.account import decimal_of
from backtest.bars import Bars
from backtest.engine import Run
from backtest.orders import ZERO, Fill
from backtest.statistics.figures import Figure, values_of
from backtest.statistics.trades import TradeFigures, trade_figures_of
from schemas.records import Micros


@dataclass(frozen=True, slots=True)
class MarketStatistics:
    """Figures of one market of a run; `MARKET_FIGURES` says what they mean.

    Attributes:
        market: `venue:symbol`.
        profit: Quote currency; those of all markets add up to what the equity has grown.
        traded: Quote currency.
        fees: Quote currency.
        funding: Quote currency, above 0 what was received.
        fills: How many.
        exposure: Part of the time.
        open_size: Units held at the end, below 0 for short.
        open_profit: Quote currency, its part of `profit`, without fees.
        buy_and_hold: Part.
        trades: Of its closed trades.
    """

    market: str
    profit: float
    traded: float
    fees: float
    funding: float
    fills: int
    exposure: float
    open_size: float
    open_profit: float
    buy_and_hold: float
    closed: TradeFigures


MARKET_FIGURES: Final[Sequence[Figure]] = (
    Figure(
        "profit",
        "profit",
        "money",
        "What it has added to the equity, costs deducted, valued at its last close.",
    ),
    Figure("open_profit", "open", "money", "Its part that is not realized, without fees."),
    Figure("trades", "trades", "count", "Lots that were closed.", "closed.count"),
    Figure("win_rate", "win rate", "part", "Part of them with a profit above 0.", "closed.win_rate"),
    Figure(
        "profit_factor",
        "profit factor",
        "ratio",
        "Sum of profits over sum of losses.",
        "closed.profit_factor",
    ),
    Figure("expectancy", "expectancy", "money", "Mean profit of a trade.", "closed.expectancy"),
    Figure("best_trade", "best trade", "part", "Highest profit over value at entry.", "closed.best"),
    Figure("worst_trade", "worst trade", "part", "Lowest profit over value at entry.", "closed.worst"),
    Figure("fills", "fills", "count", "Executions."),
    Figure("traded", "traded", "money", "Value of all fills."),
    Figure("fees", "fees", "money", "All that were paid there."),
    Figure("funding", "funding", "money", "Received less paid there."),
    Figure(
        "exposure",
        "exposure",
        "part",
        "Part of the time, from the first open to the last close, with a position.",
    ),
    Figure("buy_and_hold", "buy and hold", "part", "Last close over first open, less 1."),
)
"""What is told of each market."""


def statistics_by_market(run: Run) -> list[MarketStatistics]:
    """The figures of all markets, in the order of the run."""
    return [_statistics(run, each) for each in run.bars]


def market_figures_of(found: MarketStatistics) -> dict[str, Any]:
    """The figures of a market by their names in JSON; what is not defined is None."""
    return {"market": found.market, **values_of(MARKET_FIGURES, found)}


def _statistics(run: Run, bars: Bars) -> MarketStatistics:
    fills = [fill for fill in run.fills if fill.market == bars.market]
    trades = [trade for trade in run.trades if trade.market == bars.market]
    held = sum((fill.signed_size for fill in fills), ZERO)
    paid = sum((fill.signed_size * fill.price + fill.fee for fill in fills), ZERO)
    funding = sum((each.amount for each in run.payments if each.market == bars.market), ZERO)
    interest = sum((trade.interest for trade in trades), ZERO)
    last = float(bars.closes[-1])
    return MarketStatistics(
        market=bars.market,
        profit=float(held * decimal_of(last) - paid - interest + funding),
        traded=float(sum((fill.size * fill.price for fill in fills), ZERO)),
        fees=float(sum((fill.fee for fill in fills), ZERO)),
        funding=float(funding),
        fills=len(fills),
        exposure=_exposure(fills, bars.open_times[0], bars.open_times[-1] + bars.length),
        open_size=float(held),
        open_profit=float(
            sum((lot.size * (decimal_of(last) - lot.price) for lot in run.lots.get(bars.market, ())), ZERO)
        ),
        buy_and_hold=float(last / bars.opens[0] - 1),
        closed=trade_figures_of(
            np.array([float(trade.profit) for trade in trades]),
            np.array([trade.profit_part for trade in trades]),
        ),
    )


def _exposure(fills: Sequence[Fill], start: Micros, end: Micros) -> float:
    held, since, total = ZERO, start, 0
    for fill in fills:
        if held:
            total += fill.time - since
        held += fill.signed_size
        since = fill.time
    if held:
        total += end - since
    return total / (end - start)
