"""Downloaded history of venues as a source; see `backtest.downloads`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backtest.downloads.series import Series, folder_of
from backtest.sources.asked import Asked, Found
from backtest.sources.collection import Collection
from backtest.sources.rows import NONE, CandleRows, TradeRows
from schemas.errors import ConfigurationError
from schemas.identity import split_key


def read_downloads(data_dir: Path, asked: Asked) -> Found:
    """What `kandle history download` has kept. Blocks.

    Raises:
        ConfigurationError: Quotes or books are asked for, which no venue tells, or nothing
            of a market was downloaded.
        ConflictError: A file is damaged.
    """
    refused = sorted(asked.kinds & {"quotes", "books"})
    if refused:
        raise ConfigurationError(
            f"venues tell no past {' and '.join(refused)}: they are in topics and captures"
        )
    collection = Collection(asked)
    for market in asked.markets:
        _check_known(data_dir, market, asked)
        if "candles" in asked.kinds:
            series = Series(folder_of(data_dir), market, "candles", asked.interval.name)
            columns = series.read(asked.since, asked.until)
            if columns and len(columns["open_time"]):
                prices = [columns[name] for name in ("open_time", "open", "high", "low", "close", "volume")]
                collection.add(market, CandleRows(*[*prices, np.zeros(len(prices[0]), np.int64)]))
        if "trades" in asked.kinds:
            series = Series(folder_of(data_dir), market, "trades")
            columns = series.read(asked.since, asked.until)
            if columns and len(columns["time"]):
                values = [columns[name] for name in ("time", "price", "size", "side", "id")]
                collection.add(market, TradeRows(*[*values, np.full(len(values[0]), NONE, np.int64)]))
    return collection.found()


def _check_known(data_dir: Path, market: str, asked: Asked) -> None:
    root = folder_of(data_dir)
    known = (Series(root, market, "candles", asked.interval.name), Series(root, market, "trades"))
    if not any(series.manifest().spans for series in known):
        venue, symbol = split_key(market)
        raise ConfigurationError(
            f"nothing of {market} was downloaded with the interval {asked.interval.name}: "
            f"kandle history download {venue} {symbol} --interval {asked.interval.name} --from TIME"
        )
