"""What is missing of a history: candles, numbers of trades, whole days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backtest.bars import DAY_US
from backtest.history import Quotes, Times, Trades
from backtest.sources.asked import ALWAYS, Asked, Found
from schemas.identity import market_key
from schemas.records import Gap, Micros

SHORTEST_EDGE: Final = 2
"""Candles that may be missing at the edges of what is asked for without a word: one may be forming."""


@dataclass(frozen=True, slots=True)
class Span:
    """Time of a market of which there are no rows.

    Attributes:
        market: `venue:symbol`.
        since: Where it begins, µs.
        until: Where it ends, µs, exclusive.
        what: Of which rows.
    """

    market: str
    since: Micros
    until: Micros
    what: str


def edges(found: Found, asked: Asked) -> Iterator[Span]:
    """Time at the beginning or the end of what was asked for that candles do not reach."""
    for bars in found.history.bars:
        slack = SHORTEST_EDGE * bars.length
        first, last = int(bars.open_times[0]), int(bars.open_times[-1]) + bars.length
        if asked.since and first - asked.since >= slack:
            yield Span(bars.market, asked.since, first, "candles")
        if asked.until != ALWAYS and asked.until - last >= slack:
            yield Span(bars.market, last, asked.until, "candles")


def missing_days(found: Found, asked: Asked) -> Iterator[Span]:
    """UTC days without a trade or a quote, neighbours together."""
    rows: tuple[Trades | Quotes, ...] = (*found.history.trades, *found.history.quotes)
    for each in rows:
        what = "trades" if isinstance(each, Trades) else "quotes"
        for first, last in _without(each.times, asked):
            yield Span(each.market, first * DAY_US, (last + 1) * DAY_US, what)


def _without(times: Times, asked: Asked) -> Iterator[tuple[int, int]]:
    held = np.unique(times // DAY_US)
    first = asked.since // DAY_US if asked.since else int(held[0])
    last = (asked.until - 1) // DAY_US if asked.until != ALWAYS else int(held[-1])
    days = np.setdiff1d(np.arange(first, last + 1), held)
    if len(days):
        for run in np.split(days, np.flatnonzero(np.diff(days) > 1) + 1):
            yield int(run[0]), int(run[-1])


def missing_trades(gaps: Sequence[Gap]) -> dict[str, tuple[int, int | None]]:
    """By market how many gaps there are, and how many trades they miss; None where that is not known."""
    found: dict[str, tuple[int, int | None]] = {}
    for gap in gaps:
        market = market_key(gap.venue, gap.symbol)
        count, trades = found.get(market, (0, 0))
        first, last = gap.first_sequence, gap.last_sequence
        known = trades is not None and first is not None and last is not None
        found[market] = (count + 1, trades + last - first + 1 if known else None)  # type: ignore[operator]
    return found
