"""Captures as a source: frames of a venue, read as its feed reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from backtest.sources.asked import Asked, Found, Kind
from backtest.sources.collection import Collection
from backtest.sources.rows import NONE, CandleRows, FundingRows, QuoteRows, TradeRows
from producers.capture import CaptureReader
from producers.capture.reading import CaptureReading
from producers.exchange import Channel
from schemas.identity import market_key, split_key
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Gap,
    Quote,
    Trade,
)

CHANNELS: Final[dict[Kind, tuple[Channel, ...]]] = {
    "candles": ("candles",),
    "trades": ("trades",),
    "quotes": ("quotes",),
    "books": ("books",),
    "funding": ("derivatives",),
}
SIDES: Final = {"buy": 1, "sell": -1, "unknown": 0}


def markets_in(paths: Sequence[Path]) -> list[str]:
    """The markets that captures hold, in the order of their first frames. Reads them once.

    Raises:
        CaptureError: One cannot be read.
    """
    found: dict[str, None] = {}
    for path in paths:
        reader = CaptureReader(path)
        reading = CaptureReading(reader, reader.exchange())
        for symbol in reading.exchange.instruments:
            found[market_key(reading.exchange.venue, symbol)] = None
    return list(found)


def read_captures(paths: Sequence[Path], asked: Asked) -> Found:
    """What some captures hold; of a venue's own candles those that are closed.

    Raises:
        CaptureError: One is damaged, or of a venue that is not known.
    """
    collection = Collection(asked)
    channels = [channel for kind in asked.kinds for channel in CHANNELS[kind]]
    for path in paths:
        reader = CaptureReader(path)
        reading = CaptureReading(reader, reader.exchange(), channels)
        _take(reading, asked, collection)
        collection.add_instruments(
            instrument for instrument in reading.survey.listed.values() if instrument is not None
        )
    return collection.found()


def _take(reading: CaptureReading, asked: Asked, collection: Collection) -> None:
    wanted = frozenset(asked.markets)
    rows: dict[tuple[type[Any], str], list[tuple[Any, ...]]] = {}
    codes: dict[str, int] = {}
    for record in reading:
        kind = type(record)
        market = market_key(record.venue, record.symbol)
        if market not in wanted:
            continue
        if isinstance(record, BookUpdate):
            collection.add_books((record,))
            continue
        row = _row(record, asked, codes)
        if row is not None:
            rows.setdefault((kind, market), []).append(row)
    for (kind, market), values in rows.items():
        columns = _COLUMNS[kind](*zip(*values, strict=True))
        collection.add(market, columns)
        if isinstance(columns, TradeRows):
            collection.add_gaps(_gaps(reading, market, columns))


def _gaps(reading: CaptureReading, market: str, rows: TradeRows) -> Iterator[Gap]:
    """What the venue's numbers say is missing between the first and the last trade."""
    venue, symbol = split_key(market)
    ids = reading.tally.ids.get(symbol)
    order = np.argsort(rows.sequences)
    sequences, times = rows.sequences[order], rows.times[order]
    for start, stop in ids.missing if ids is not None else ():
        after = int(np.searchsorted(sequences, start))
        before = int(times[max(after - 1, 0)])
        until = int(times[min(after, len(times) - 1)])
        yield Gap(venue, symbol, "capture", "given_up", start, stop - 1, before, until, "not in the capture")


def _row(record: object, asked: Asked, codes: dict[str, int]) -> tuple[Any, ...] | None:
    """The values of a record in the order of the columns; None for what is not wanted."""
    match record:
        case Trade():
            number, code = record.sequence, NONE
            if number is None:
                number, code = NONE, codes.setdefault(record.trade_id, len(codes))
            return (record.event_time, record.price, record.size, SIDES[record.side], number, code)
        case Quote():
            time = record.receive_time if record.event_time is None else record.event_time
            prices = (_or_nan(record.bid), record.bid_size, _or_nan(record.ask), record.ask_size)
            return (time, *prices, NONE if record.sequence is None else record.sequence)
        case ExchangeCandle() if record.closed and record.interval == asked.interval.name:
            prices = (record.open, record.high, record.low, record.close)
            return (record.open_time, *prices, _or_nan(record.volume), record.receive_time)
        case DerivativeTicker():
            time = record.receive_time if record.event_time is None else record.event_time
            rate, mark = _or_nan(record.funding_rate), _or_nan(record.mark_price)
            return (time, rate, record.next_funding_time or 0, mark)
    return None


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _columns(kind: Callable[..., Any], types: str, *columns: Sequence[Any]) -> Any:
    return kind(*(np.array(column, type_) for column, type_ in zip(columns, types.split(), strict=True)))


_COLUMNS: Final[dict[type[Any], Callable[..., Any]]] = {
    Trade: partial(_columns, TradeRows, "i8 f8 f8 i1 i8 i8"),
    Quote: partial(_columns, QuoteRows, "i8 f8 f8 f8 f8 i8"),
    ExchangeCandle: partial(_columns, CandleRows, "i8 f8 f8 f8 f8 f8 i8"),
    DerivativeTicker: partial(_columns, FundingRows, "i8 f8 i8 f8"),
}
