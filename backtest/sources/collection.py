"""Collects what a source reads, market by market, and makes the history of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from backtest.history import History
from backtest.sources.asked import Asked, Found
from backtest.sources.rows import (
    CandleRows,
    FundingRows,
    QuoteRows,
    TradeRows,
    bars_of,
    books_of,
    funding_of,
    quotes_of,
    trades_of,
)
from schemas.identity import market_key
from schemas.records import BookUpdate, Gap, Instrument


class Collection:
    """Rows as they come; those of markets that are not asked for are passed over.

    Args:
        asked: What is wanted.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._trades: dict[str, list[TradeRows]] = defaultdict(list)
        self._quotes: dict[str, list[QuoteRows]] = defaultdict(list)
        self._candles: dict[str, list[CandleRows]] = defaultdict(list)
        self._books: dict[str, list[BookUpdate]] = defaultdict(list)
        self._funding: dict[str, list[FundingRows]] = defaultdict(list)
        self._gaps: list[Gap] = []
        self._instruments: dict[str, Instrument] = {}

    def add(self, market: str, rows: TradeRows | QuoteRows | CandleRows | FundingRows) -> None:
        """Take rows of a market, in the order of the source."""
        if market not in self._asked.markets:
            return
        match rows:
            case TradeRows():
                self._trades[market].append(rows)
            case QuoteRows():
                self._quotes[market].append(rows)
            case CandleRows():
                self._candles[market].append(rows)
            case FundingRows():
                self._funding[market].append(rows)

    def add_books(self, updates: Iterable[BookUpdate]) -> None:
        """Take updates of books, in the order of the source."""
        for update in updates:
            self._books[market_key(update.venue, update.symbol)].append(update)

    def add_gaps(self, gaps: Iterable[Gap]) -> None:
        """Take what was told of missing trades, in the order of the source."""
        self._gaps.extend(gaps)

    def add_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Take what venues list; a later one outweighs an earlier one."""
        for instrument in instruments:
            self._instruments[market_key(instrument.venue, instrument.symbol)] = instrument

    def found(self) -> Found:
        """What there is, markets in the order in which they were asked for."""
        asked = self._asked
        markets, since, until = asked.markets, asked.since, asked.until
        bars = [
            bars_of(market, CandleRows.joined(self._candles[market]), asked.interval.length, since, until)
            for market in markets
            if self._candles[market]
        ]
        trades = [
            trades_of(market, TradeRows.joined(self._trades[market]), since, until)
            for market in markets
            if self._trades[market]
        ]
        quotes = [
            quotes_of(market, QuoteRows.joined(self._quotes[market]), since, until)
            for market in markets
            if self._quotes[market]
        ]
        books = [books_of(market, self._books[market], since, until) for market in markets]
        funding = [
            funding_of(market, FundingRows.joined(self._funding[market]), since, until)
            for market in markets
            if self._funding[market]
        ]
        history = History(
            [each for each in bars if len(each)],
            [each for each in trades if len(each)],
            [each for each in quotes if len(each)],
            [each for each in books if len(each)],
            [each for each in funding if len(each.times)],
            {market: self._instruments[market] for market in markets if market in self._instruments},
        )
        return Found(history, _open(self._gaps, asked))


def _open(gaps: Iterable[Gap], asked: Asked) -> list[Gap]:
    """What is still missing of the markets and the time: a gap that was filled is none."""
    found: dict[tuple[str, int | None, int], Gap] = {}
    for gap in gaps:
        market = market_key(gap.venue, gap.symbol)
        if market not in asked.markets or gap.to_time < asked.since or gap.from_time >= asked.until:
            continue
        key = (market, gap.first_sequence, gap.from_time)
        if gap.status == "filled":
            found.pop(key, None)
        else:
            found[key] = gap
    return sorted(found.values(), key=lambda gap: (gap.venue, gap.symbol, gap.from_time))
