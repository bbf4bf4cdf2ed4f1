"""Stretches of a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from backtest.bars import Bars
from backtest.history import Books, Funding, History, Quotes, Trades
from infra.order_book import OrderBook
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import Micros

Rows = TypeVar("Rows", Trades, Quotes, Books, Funding)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time.

    Attributes:
        start: µs since the epoch; what happens then belongs to it.
        end: The same; what happens then belongs to the next one.
    """

    start: Micros
    end: Micros


def window_of(history: History) -> Window:
    """From the first that a history holds to the last.

    Raises:
        ConfigurationError: It holds nothing.
    """
    starts = [int(bars.open_times[0]) for bars in history.bars if len(bars)]
    ends = [int(bars.open_times[-1]) + bars.length for bars in history.bars if len(bars)]
    for times in [each.times for rows in (history.trades, history.quotes, history.books) for each in rows]:
        if len(times):
            starts.append(int(times[0]))
            ends.append(int(times[-1]) + 1)
    if not starts:
        raise ConfigurationError("there is no data to run over")
    return Window(min(starts), max(ends))


def step_of(history: History) -> Micros:
    """Length of the longest candles, µs; a second where there are none."""
    return max((bars.length for bars in history.bars), default=1_000_000)


def cut(history: History, window: Window) -> History:
    """What of a history lies in a window: candles that open and close in it, events in it. Not copied."""
    return replace(
        history,
        bars=[_cut_bars(each, window) for each in history.bars],
        trades=_cut_rows(history.trades, window, ("prices", "sizes", "sides")),
        quotes=_cut_rows(history.quotes, window, ("bids", "bid_sizes", "asks", "ask_sizes")),
        books=[_cut_books(each, window) for each in history.books],
        funding=_cut_rows(history.funding, window, ("rates", "marks")),
    )


def _places(times: npt.NDArray[np.int64], start: Micros, end: Micros) -> slice:
    first, last = np.searchsorted(times, (start, end), "left")
    return slice(int(first), int(last))


def _cut_bars(bars: Bars, window: Window) -> Bars:
    times = np.asarray(bars.open_times, np.int64)
    found = _places(times, window.start, window.end - bars.length + 1)
    names = ("open_times", "opens", "highs", "lows", "closes", "volumes")
    columns: dict[str, Any] = {name: getattr(bars, name)[found] for name in names}
    return replace(bars, **columns)


def _cut_rows(rows: Sequence[Rows], window: Window, names: Sequence[str]) -> list[Rows]:
    cuts = []
    for each in rows:
        found = _places(each.times, window.start, window.end)
        columns: dict[str, Any] = {name: getattr(each, name)[found] for name in ("times", *names)}
        cuts.append(replace(each, **columns))
    return cuts


def _cut_books(books: Books, window: Window) -> Books:
    """What the book was at the start, as a snapshot, and its updates in the window."""
    found = _places(books.times, window.start, window.end)
    times, updates = books.times[found], books.updates[found]
    before = books.updates[: found.start]
    if not before:
        return replace(books, times=times, updates=updates)
    newest = max((place for place, each in enumerate(before) if each.kind == "snapshot"), default=0)
    book = OrderBook(*split_key(books.market))
    for each in before[newest:]:
        book.apply(each)
    held = book.snapshot(before[-1].last_sequence, window.start, window.start)
    return replace(books, times=np.concatenate(([window.start], times)), updates=[held, *updates])
