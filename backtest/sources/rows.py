"""Rows of one market as a source has them, and how they become those of a run, whatever the source.

A source may hold a record twice, or in the order in which it came. Here rows are put in order of their time,
those of one time by the venue's numbers, and repeats are dropped: the same records give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from backtest.bars import Bars
from backtest.history import Books, Funding, Quotes, Trades
from schemas.records import BookUpdate, Micros

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
R = TypeVar("R", "TradeRows", "QuoteRows", "FundingRows")
NONE: Final = -1
"""Of a sequence or an id: there is none."""


class Rows:
    """Columns of one length."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All rows of one or more parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def take(self, chosen: npt.NDArray[np.bool_] | Ints) -> Self:
        """Some of them, by a mask or by their places."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(**{name: getattr(self, name)[chosen] for name in names})


@dataclass(frozen=True, slots=True)
class TradeRows(Rows):
    """Trades in the order of the source.

    Attributes:
        times: Event times, µs.
        prices, sizes: Quote currency per unit, base units.
        sides: int8: 1 where the taker bought, -1 where it sold, 0 where that is not known.
        sequences: The venue's numbers, `NONE` where there is none.
        ids: Of trades without a number, codes that are equal where ids are; else `NONE`.
    """

    times: Ints
    prices: Floats
    sizes: Floats
    sides: npt.NDArray[np.int8]
    sequences: Ints
    ids: Ints


@dataclass(frozen=True, slots=True)
class QuoteRows(Rows):
    """Quotes in the order of the source; a side that is empty is nan, with size 0.

    Attributes:
        times: Event times, or those of receipt where the venue gives none, µs.
        sequences: The venue's numbers, `NONE` where there is none.
    """

    times: Ints
    bids: Floats
    bid_sizes: Floats
    asks: Floats
    ask_sizes: Floats
    sequences: Ints


@dataclass(frozen=True, slots=True)
class CandleRows(Rows):
    """Candles of one interval; the highest revision of an open time is the one that holds."""

    open_times: Ints
    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats
    volumes: Floats
    revisions: Ints


@dataclass(frozen=True, slots=True)
class FundingRows(Rows):
    """What a venue has said of a perpetual.

    Attributes:
        times: When, µs.
        rates: Funding to come; nan where a message is silent.
        next_times: When it is paid, µs; 0 where a message is silent.
        marks: Mark prices; nan where a message is silent.
    """

    times: Ints
    rates: Floats
    next_times: Ints
    marks: Floats


def trades_of(market: str, rows: TradeRows, since: Micros, until: Micros) -> Trades:
    """Each trade once, in order, of a span of time."""
    rows = _within(rows, since, until)
    sequences = rows.sequences
    rises = np.diff(rows.times) >= 0
    if not (rises.all() and (np.diff(sequences) > 0).all() and (not len(sequences) or sequences[0] >= 0)):
        named = (sequences < 0) & (rows.ids >= 0)
        if named.any():
            unlike = np.where(named, rows.ids, -1 - np.arange(len(named)))
            rows = rows.take(np.sort(np.unique(unlike, return_index=True)[1]))
        rows = rows.take(np.lexsort((rows.sequences, rows.times)))
        same = (np.diff(rows.times) == 0) & (np.diff(rows.sequences) == 0) & (rows.sequences[1:] >= 0)
        if same.any():
            rows = rows.take(np.concatenate(([True], ~same)))
    return Trades(market, rows.times, rows.prices, rows.sizes, rows.sides)


def quotes_of(market: str, rows: QuoteRows, since: Micros, until: Micros) -> Quotes:
    """Quotes of a span of time, without those that are older than one before, by the venue's numbers."""
    rows = _within(rows, since, until)
    if len(rows.times):
        newest = np.maximum.accumulate(rows.sequences)
        rows = rows.take(np.concatenate(([True], rows.sequences[1:] > newest[:-1])) | (rows.sequences < 0))
        if (np.diff(rows.times) < 0).any():
            rows = rows.take(np.argsort(rows.times, kind="stable"))
    return Quotes(market, rows.times, rows.bids, rows.bid_sizes, rows.asks, rows.ask_sizes)


def bars_of(market: str, rows: CandleRows, length: Micros, since: Micros, until: Micros) -> Bars:
    """Candles that open and close in a span of time, each in its newest revision."""
    rows = rows.take((rows.open_times >= since) & (rows.open_times + length <= until))
    if len(rows.open_times):
        rows = rows.take(np.lexsort((rows.revisions, rows.open_times)))
        rows = rows.take(np.concatenate((np.diff(rows.open_times) > 0, [True])))
    columns = (rows.open_times, rows.opens, rows.highs, rows.lows, rows.closes, rows.volumes)
    times, *prices = (column.tolist() for column in columns)
    return Bars(market, times, length, *prices)


def books_of(market: str, updates: Sequence[BookUpdate], since: Micros, until: Micros) -> Books:
    """Updates of a span of time from a snapshot on, without repeats."""
    kept: list[BookUpdate] = []
    times: list[Micros] = []
    last = None
    for update in updates:
        time = update.receive_time if update.event_time is None else update.event_time
        if not since <= time < until or (not kept and update.kind != "snapshot"):
            continue
        number = update.last_sequence
        if update.kind == "delta" and number is not None and last is not None and number <= last:
            continue
        last = number
        kept.append(update)
        times.append(max(time, times[-1]) if times else time)
    return Books(market, np.array(times, np.int64), kept)


def funding_of(market: str, rows: FundingRows, since: Micros, until: Micros) -> Funding:
    """Payments of a span of time: the last rate that was told in it before each, at the last mark price."""
    rows = _within(rows, since, until)
    rows = rows.take(np.argsort(rows.times, kind="stable"))
    told = rows.take(~np.isnan(rows.rates) & (rows.next_times > rows.times))
    due = np.unique(told.next_times)
    # What is due after the last message may have been changed since.
    last = int(rows.times[-1]) if len(rows.times) else 0
    due = due[(due >= since) & (due < until) & (due <= last)]
    rates = [float(told.rates[told.next_times == time][-1]) for time in due.tolist()]
    marked = rows.take(~np.isnan(rows.marks))
    places = np.searchsorted(marked.times, due, side="right") - 1
    marks = [float(marked.marks[place]) if place >= 0 else float("nan") for place in places.tolist()]
    return Funding(market, due, np.array(rates, np.float64), np.array(marks, np.float64))


def _within(rows: R, since: Micros, until: Micros) -> R:
    inside = (rows.times >= since) & (rows.times < until)
    return rows if inside.all() else rows.take(inside)
