"""Candles of a table of trades, as they are printed."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kandle.times import format_time
from kandle.trade_file.table import TradeTable
from kandle.trade_file.values import Ints

Id = int | str | None

_NO_ID = 1 << 62


def candle_rows(
    trades: TradeTable, intervals: Sequence[str], *, carry: bool = False
) -> Iterator[dict[str, Any]]:
    """One mapping a candle, by market, interval and open time.

    Args:
        trades: At least one.
        intervals: Names.
        carry: Whether intervals without trades have candles.

    Raises:
        ConfigurationError: An interval is unknown, or they do not fit each other.
    """
    # Loading the kernel takes a second: not before the file has been read without fault.
    from processors.candles.past import past_candles

    candles = past_candles(
        *(trades.times, trades.prices, trades.sizes, trades.sides, trades.symbols, intervals), carry=carry
    )
    numbers = np.array([int(name) for _, name in candles.names])[candles.symbols]
    firsts, lasts = _outer_ids(trades, numbers, candles.sequences)
    labels = _labels(trades.markets)
    for candle, number, first, last in zip(candles, numbers.tolist(), firsts, lasts, strict=True):
        yield {
            "time": format_time(candle.open_time),
            "close_time": format_time(candle.close_time),
            **labels[number],
            "interval": candle.interval,
            "open": candle.open,
            "high": candle.high,
            "low": candle.low,
            "close": candle.close,
            "volume": candle.volume,
            "quote_volume": candle.quote_volume,
            "vwap": candle.vwap,
            "trade_count": candle.trade_count,
            "taker_buy_volume": candle.taker_buy_volume,
            "first_trade_id": first,
            "last_trade_id": last,
            "complete": candle.complete,
        }


def _labels(markets: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Venue and symbol of each market, as far as any has one."""
    has_venue, has_symbol = (any(market[at] for market in markets) for at in (0, 1))
    return [
        ({"venue": venue} if has_venue else {}) | ({"symbol": symbol} if has_symbol else {})
        for venue, symbol in markets
    ]


def _outer_ids(trades: TradeTable, symbols: Ints, places: Ints) -> tuple[list[Id], list[Id]]:
    """Lowest and highest id of each candle, where ids are texts those of its first and last trade.

    Args:
        trades: All of them.
        symbols: Of the candles.
        places: First and last trade of each candle among those of its symbol; -1: it has none.
    """
    order = np.argsort(trades.symbols, kind="stable")
    starts = np.searchsorted(trades.symbols[order], symbols)
    held = np.flatnonzero(places[:, 0] >= 0)
    bounds = places[held] + starts[held, None]
    ids = np.append(trades.ids[order], -1)
    if trades.id_texts is not None:
        texts = trades.id_texts
        found = [[texts[at] if at >= 0 else None for at in ids[bound].tolist()] for bound in bounds.T]
    else:
        edges = np.stack((bounds[:, 0], bounds[:, 1] + 1), axis=1).ravel()
        lowest = np.minimum.reduceat(np.where(ids < 0, _NO_ID, ids), edges)[::2]
        highest = np.maximum.reduceat(ids, edges)[::2]
        found = [[at if 0 <= at < _NO_ID else None for at in column.tolist()] for column in (lowest, highest)]
    outer: list[list[Id]] = [[None] * len(places), [None] * len(places)]
    for filled, column in zip(outer, found, strict=True):
        for at, value in zip(held.tolist(), column, strict=True):
            filled[at] = value
    return outer[0], outer[1]
