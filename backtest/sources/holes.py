"""What is missing of a history: candles, numbers of trades, whole days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backtest.bars import DAY_US
from backtest.history import History, Quotes, Trades
from backtest.sources.asked import ALWAYS, Asked, Found
from schemas.identity import market_key
from schemas.records import Gap, Micros

SHORTEST_EDGE: Final = 2
"""Candles that may be missing at the edges of what is asked for without a word: one may be forming."""

QUIET_US: Final = 3_600_000_000
"""So long a market may be without a trade at those edges."""


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
    """Time at the beginning or the end of what was asked for that the rows do not reach."""
    for bars in found.history.bars:
        last = int(bars.open_times[-1]) + bars.length
        ends = (int(bars.open_times[0]), last, SHORTEST_EDGE * bars.length)
        yield from _edges(bars.market, "candles", ends, asked)
    for what, each in _moments(found.history):
        yield from _edges(each.market, what, (int(each.times[0]), int(each.times[-1]), QUIET_US), asked)


def _edges(market: str, what: str, ends: tuple[Micros, Micros, Micros], asked: Asked) -> Iterator[Span]:
    first, last, slack = ends
    if asked.since and first - asked.since >= slack:
        yield Span(market, asked.since, first, what)
    if asked.until != ALWAYS and asked.until - last >= slack:
        yield Span(market, last, asked.until, what)


def missing_days(found: Found) -> Iterator[Span]:
    """UTC days without a trade or a quote between those that have some, neighbours together."""
    for what, each in _moments(found.history):
        held = np.unique(each.times // DAY_US)
        days = np.setdiff1d(np.arange(held[0], held[-1]), held)
        if len(days):
            for run in np.split(days, np.flatnonzero(np.diff(days) > 1) + 1):
                yield Span(each.market, int(run[0]) * DAY_US, (int(run[-1]) + 1) * DAY_US, what)


def _moments(history: History) -> Iterator[tuple[str, Trades | Quotes]]:
    yield from (("trades", each) for each in history.trades)
    yield from (("quotes", each) for each in history.quotes)


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
