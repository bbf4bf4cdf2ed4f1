"""What a run reads of its markets: candles, trades and quotes as columns, changes of books, funding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from backtest.bars import Bars
from schemas.records import BookUpdate, Instrument

Times = npt.NDArray[np.int64]
"""Event times, µs since the epoch, never falling."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trades:
    """The public trades of one market, in the order of the venue.

    Attributes:
        market: `venue:symbol`.
        times: int64[n], µs.
        prices: float64[n], quote currency per unit.
        sizes: float64[n], base units.
        sides: int8[n]: 1 where the taker bought, -1 where it sold, 0 where that is not known.
    """

    market: str
    times: Times
    prices: Numbers
    sizes: Numbers
    sides: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Quotes:
    """Best bids and asks of one market; a side that is empty is nan, with size 0.

    Attributes:
        market: `venue:symbol`.
        times: int64[n], µs.
        bids: float64[n], quote currency per unit; likewise asks.
        bid_sizes: float64[n], base units; likewise ask_sizes.
    """

    market: str
    times: Times
    bids: Numbers
    bid_sizes: Numbers
    asks: Numbers
    ask_sizes: Numbers

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Books:
    """Snapshots and changes of the book of one market, in order, from a snapshot on.

    Attributes:
        market: `venue:symbol`.
        times: int64[n]: event time, or that of receipt where the venue gives none, µs.
        updates: As they stand in the topic.
    """

    market: str
    times: Times
    updates: Sequence[BookUpdate]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Funding:
    """Funding of one perpetual.

    Attributes:
        market: `venue:symbol`.
        times: int64[n]: moments at which it is paid, µs.
        rates: float64[n]: part of the value of a position that its longs pay to its shorts then.
        marks: float64[n]: mark price at that moment; nan where only the last price is known.
    """

    market: str
    times: Times
    rates: Numbers
    marks: Numbers


@dataclass(frozen=True, slots=True)
class History:
    """All that a run reads; at most one row of each kind a market.

    Attributes:
        bars: Closed candles; of markets that have trades alone, the run folds them.
        trades: Public trades.
        quotes: Best bids and asks.
        books: Order books.
        funding: Of perpetuals.
        instruments: By `venue:symbol`: tick size, lot, minimum; a market without one has no limits.
    """

    bars: Sequence[Bars] = ()
    trades: Sequence[Trades] = ()
    quotes: Sequence[Quotes] = ()
    books: Sequence[Books] = ()
    funding: Sequence[Funding] = ()
    instruments: Mapping[str, Instrument] = field(default_factory=dict)

    @property
    def markets(self) -> tuple[str, ...]:
        """All that are read, in the order of their first mention."""
        rows: tuple[Bars | Trades | Quotes | Books, ...] = (
            *self.bars,
            *self.trades,
            *self.quotes,
            *self.books,
        )
        return tuple(dict.fromkeys(row.market for row in rows))
