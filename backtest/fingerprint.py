"""The hash of a run: the same one means the same strategy over the same data on the same terms."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec
import numpy as np

from backtest.bars import Bars
from backtest.history import History
from backtest.strategy import Strategy
from backtest.terms import Terms
from schemas.records import Instrument

VERSION: Final = "backtest 2"
"""To be raised when the rules of filling change: runs before and after cannot be compared."""


def fingerprint(strategy: Strategy, history: History | Sequence[Bars], terms: Terms) -> str:
    """64 hexadecimal digits over all rows, the strategy's source, its parameters and the terms."""
    read = history if isinstance(history, History) else History(history)
    found = hashlib.sha256()
    head = {
        "version": VERSION,
        "strategy": strategy.name,
        "source": _source(type(strategy)),
        "parameters": dict(strategy.parameters),
        "terms": _plain(terms),
        "instruments": {market: _limits(each) for market, each in sorted(read.instruments.items())},
    }
    found.update(msgspec.json.encode(head))
    for title, columns in _rows(read):
        found.update(msgspec.json.encode(title))
        for column in columns:
            found.update(column)
    return found.hexdigest()


def _rows(history: History) -> Iterator[tuple[tuple[object, ...], Iterator[bytes]]]:
    """Kind, market and number of the rows of each market, and the bytes of their columns."""
    for bars in history.bars:
        prices = (bars.opens, bars.highs, bars.lows, bars.closes, bars.volumes)
        yield ("candles", bars.market, bars.length, len(bars)), _bytes(bars.open_times, *prices)
    for trades in history.trades:
        columns = _bytes(trades.times, trades.prices, trades.sizes, trades.sides)
        yield ("trades", trades.market, len(trades)), columns
    for quotes in history.quotes:
        columns = _bytes(quotes.times, quotes.bids, quotes.bid_sizes, quotes.asks, quotes.ask_sizes)
        yield ("quotes", quotes.market, len(quotes)), columns
    for books in history.books:
        yield ("books", books.market, len(books)), map(msgspec.msgpack.encode, books.updates)
    for funding in history.funding:
        columns = _bytes(funding.times, funding.rates, funding.marks)
        yield ("funding", funding.market, len(funding.times)), columns


def _limits(instrument: Instrument) -> list[object]:
    """What a run heeds of an instrument; when the venue has said so does not matter."""
    steps = (instrument.tick_size, instrument.lot_size, instrument.min_notional, instrument.multiplier)
    return [instrument.kind, *steps]


def _bytes(times: Any, *columns: Any) -> Iterator[bytes]:
    yield np.asarray(times, "<i8").tobytes()
    for column in columns:
        # -0.0 is 0.0 to all arithmetic here.
        yield (np.asarray(column, "<f8") + 0.0).tobytes()


def _plain(value: Any) -> Any:
    """A value as JSON has it, equal for equal values: 1.0 and 1.00 are one amount."""
    match value:
        case Enum():
            return value.name
        case Decimal():
            return str(value.normalize() + 0)
        case msgspec.Struct():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case Mapping():
            return {
                str(key): _plain(each) for key, each in sorted(value.items(), key=lambda item: str(item[0]))
            }
        case str() | int() | float() | None:
            return value
        case set() | frozenset():
            return sorted(map(_plain, value), key=str)
        case Sequence():
            return [_plain(each) for each in value]
    if is_dataclass(value):
        told = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **told}
    raise TypeError(f"terms hold a {type(value).__name__}, of which no hash can be made")


def _source(kind: type[Strategy]) -> str:
    """Text of the module; of what has none, as a class made by hand, its name."""
    try:
        return inspect.getsource(sys.modules[kind.__module__])
    except (KeyError, OSError, TypeError):
        return kind.__qualname__
