"""What goes into a candle builder and what comes out of it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from processors.candles import words
from processors.candles.words import Floats, Ints
from processors.intervals import Interval
from schemas.records import Candle, Gap, LiveCandle, TimeMark


class RowKind(IntEnum):
    """What a row of a batch is to the builder."""

    SKIP = words.SKIP
    TRADE = words.TRADE
    MARK = words.MARK
    GAP = words.GAP


class Refusal(IntEnum):
    """Why a trade is in no candle."""

    TOO_LATE = words.TOO_LATE
    TOO_FAR_AHEAD = words.TOO_FAR_AHEAD
    BAD_NUMBER = words.BAD_NUMBER
    BAD_KEY = words.BAD_KEY
    OTHER_VALUES = words.OTHER_VALUES

    @property
    def reason(self) -> str:
        """In words, for the headers of dead letters."""
        return _REASONS[self]


_REASONS = {
    Refusal.TOO_LATE: "too late: its candle is no longer held",
    Refusal.TOO_FAR_AHEAD: "too far ahead: its event time is ahead of the newest mark of its venue",
    Refusal.BAD_NUMBER: "price, size or event time is out of range",
    Refusal.BAD_KEY: "the key is not 'venue:symbol'",
    Refusal.OTHER_VALUES: "its sequence stood at an earlier trade that had other values",
}


def average_price(quote_volume: float, volume: float, low: float, high: float) -> float | None:
    """The volume-weighted average price; None where nothing was traded.

    Two rounded sums may give a quotient that lies a little outside of the prices; it is held within them.
    """
    return min(max(quote_volume / volume, low), high) if volume > 0.0 else None


def _no_value(_: int) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class CandleRows:
    """One batch of a partition, in log order; arrays are contiguous and of one length.

    Attributes:
        keys: Market keys by key id; the same list, growing, for all batches of a reader.
        kinds: `RowKind` of each row, int8.
        key_ids: Index into `keys`, int32; -1: null. Read of trades only.
        times: Event time of a trade, time of a mark, microseconds, int64.
        prices: Of trades, float64.
        sizes: Of trades, base units, float64.
        sides: Aggressor of trades as the index of the enum (1: buy), int64.
        sequences: Of trades, int64; -1: none.
        offsets: Kafka offsets, int64; only handed back with what is refused.
        marks: The time marks by row.
        gaps: The gaps by row.
        value: The value bytes of a row, for the few trades that wait for the next mark before they are
            judged.
    """

    keys: Sequence[str]
    kinds: npt.NDArray[np.int8]
    key_ids: npt.NDArray[np.int32]
    times: Ints
    prices: Floats
    sizes: Floats
    sides: Ints
    sequences: Ints
    offsets: Ints
    marks: Mapping[int, TimeMark] = field(default_factory=dict)
    gaps: Mapping[int, Gap] = field(default_factory=dict)
    value: Callable[[int], bytes] = _no_value

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Refused:
    """A trade that belongs to the dead letters.

    Attributes:
        offset: Where it stands in the partition.
        key: Its market key, empty if it has none.
        refusal: Why.
        row: Its row in this batch; -1: it came in an earlier one, `value` then holds its bytes.
        value: See row.
    """

    offset: int
    key: str
    refusal: Refusal
    row: int
    value: bytes = b""


class WaitingTrade(msgspec.Struct, frozen=True, array_like=True):
    """A trade far ahead of its feed: the next mark of its venue tells whether the feed was just quiet."""

    symbol: int
    time: int
    price: float
    size: float
    side: int
    sequence: int
    offset: int
    value: bytes

    @classmethod
    def of(cls, rows: CandleRows, row: int, symbol: int) -> Self:
        """The trade in a row of a batch; its symbol by whoever waits."""
        numbers = (rows.prices, rows.sizes, rows.sides, rows.sequences, rows.offsets)
        price, size, side, sequence, offset = (column[row].item() for column in numbers)
        return cls(symbol, int(rows.times[row]), price, size, side, sequence, offset, rows.value(row))


Admitted = tuple[int, WaitingTrade, str]
"""Row of the mark that has brought a waiting trade into its candle, the trade, its market key."""


_Shared: TypeAlias = tuple[str, str, str, int, int, float, float, float, float, float, float, float, int]
"""Venue to trade count: the fields that records of open and of closed candles begin with."""


class _Columns:
    """What the marks of one batch wrote, in the order of the log; one row a candle.

    Attributes:
        mark_rows: Row of the mark that wrote each candle: forward that mark after them.
        symbols: Index into `keys`.
        interval_ids: Index into `intervals`.
    """

    def __init__(
        self, rows: Ints, keys: Sequence[str], names: Sequence[tuple[str, str]], intervals: Sequence[Interval]
    ) -> None:
        self._rows = rows
        self._values: Floats = rows.view(np.float64)
        self.keys, self.names, self.intervals = keys, names, intervals
        self.symbols, self.interval_ids = np.divmod(rows[:, words.SERIES], len(intervals))
        self.mark_rows = rows[:, words.MARK_ROW]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def open_times(self) -> Ints:
        """Microseconds."""
        return self._rows[:, words.OPEN_TIME]

    @property
    def ends(self) -> Ints:
        """First time after each, microseconds."""
        lengths: Ints = np.array([each.length for each in self.intervals], np.int64)
        return self.open_times + lengths[self.interval_ids]

    @property
    def trade_counts(self) -> Ints:
        """Number of trades."""
        return self._rows[:, words.COUNT]

    @property
    def prices(self) -> Floats:
        """Open, high, low, close: float64[n, 4]."""
        return self._values[:, words.OPEN : words.CLOSE + 1]

    @property
    def volumes(self) -> Floats:
        """Volume, quote volume, taker-buy volume: float64[n, 3]."""
        return self._values[:, words.VOLUME : words.TAKER_BUY_VOLUME + 1 : 2]

    def _shared(self) -> Iterator[_Shared]:
        """What open and closed candles have in common, candle by candle."""
        columns = zip(
            self.symbols.tolist(),
            self.interval_ids.tolist(),
            self.open_times.tolist(),
            self.ends.tolist(),
            self.prices.tolist(),
            self.volumes.tolist(),
            self.trade_counts.tolist(),
            strict=True,
        )
        for symbol, interval_id, opened, ends, prices, volumes, count in columns:
            yield (
                *self.names[symbol],
                self.intervals[interval_id].name,
                opened,
                ends,
                *prices,
                *volumes,
                count,
            )


class CandleColumns(_Columns):
    """Candles that are closed, or revised."""

    @classmethod
    def joined(cls, parts: "Sequence[CandleColumns]", names: Collection[str]) -> Self:
        """The candles of some batches of one builder, sorted by key, interval and open time.

        Args:
            parts: At least one.
            names: The intervals to keep.
        """
        last = parts[-1]
        rows = np.concatenate([part._rows for part in parts])
        kept = np.array([interval.name in names for interval in last.intervals])
        whole = cls(rows, last.keys, last.names, last.intervals)
        ranks = np.argsort(np.argsort(np.array([key.encode() for key in last.keys])))
        order = np.lexsort((whole.open_times, whole.interval_ids, ranks[whole.symbols]))
        return cls(rows[order[kept[whole.interval_ids[order]]]], last.keys, last.names, last.intervals)

    @property
    def revisions(self) -> Ints:
        """0 when first closed."""
        return self._rows[:, words.REVISION]

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """False where trades may be missing."""
        return np.not_equal(self._rows[:, words.COMPLETE], 0)

    @property
    def sequences(self) -> Ints:
        """Lowest and highest sequence, -1 where the venue has none: int64[n, 2]."""
        return self._rows[:, words.FIRST_SEQUENCE : words.LAST_SEQUENCE + 1]

    def __iter__(self) -> Iterator[Candle]:
        own = zip(self.sequences.tolist(), self.revisions.tolist(), self.complete.tolist(), strict=True)
        for shared, ((first, last), revision, complete) in zip(self._shared(), own, strict=True):
            *_, high, low, _, volume, quote_volume, _, _ = shared
            yield Candle(
                *shared,
                None if first < 0 else first,
                None if last < 0 else last,
                revision,
                complete,
                average_price(quote_volume, volume, low, high),
            )


class LiveColumns(_Columns):
    """Candles that are open, as they stand at a mark."""

    @property
    def as_of(self) -> Ints:
        """The watermark of the venue, microseconds."""
        return self._rows[:, words.AS_OF]

    def __iter__(self) -> Iterator[LiveCandle]:
        for shared, as_of in zip(self._shared(), self.as_of.tolist(), strict=True):
            yield LiveCandle(*shared, as_of)


@dataclass(frozen=True, slots=True)
class Folded:
    """What one batch gave.

    Attributes:
        candles: Closed and revised.
        refused: Trades for the dead letters.
        live: Open candles that have changed.
        kinds: Those of the batch, but that trades in no candle are skipped.
        admitted: Trades of earlier batches that are in candles now.
    """

    candles: CandleColumns
    refused: Sequence[Refused]
    live: LiveColumns
    kinds: npt.NDArray[np.int8]
    admitted: Sequence[Admitted]


@dataclass(frozen=True, slots=True)
class CandleCounts:
    """What has happened in a partition since its first record; survives checkpoints.

    Attributes:
        trades: Folded into candles.
        repeats: Dropped because their sequence had been seen.
        late_applied: Of `trades`, those that came after their shortest candle was due.
        late_refused: Came when their candle was no longer held.
        ahead_refused: Were too far ahead of their feed.
        invalid: Had a bad number or key.
        candles: Written, revisions included.
        revisions: Of `candles`, those that had been written before.
        conflicts: Trades refused because their sequence had been seen with other values.
    """

    trades: int
    repeats: int
    late_applied: int
    late_refused: int
    ahead_refused: int
    invalid: int
    candles: int
    revisions: int
    conflicts: int


def rows_of(trades: Sequence[WaitingTrade], keys: Sequence[str]) -> CandleRows:
    """Waiting trades as a batch."""
    return CandleRows(
        keys=keys,
        kinds=np.full(len(trades), RowKind.TRADE, np.int8),
        key_ids=np.array([trade.symbol for trade in trades], np.int32),
        times=np.array([trade.time for trade in trades], np.int64),
        prices=np.array([trade.price for trade in trades], np.float64),
        sizes=np.array([trade.size for trade in trades], np.float64),
        sides=np.array([trade.side for trade in trades], np.int64),
        sequences=np.array([trade.sequence for trade in trades], np.int64),
        offsets=np.array([trade.offset for trade in trades], np.int64),
    )
