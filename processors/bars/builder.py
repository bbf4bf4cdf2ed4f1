"""Bars that are full by what was traded: by a number of trades, by volume, by value. Pure.

Bars are counted anew from each midnight, UTC: a bar has a number within its session that no restart and no
other history changes. Trades wait until the watermark of their venue has passed them by the grace, and are
then taken in order of (event time, sequence), so that bars depend neither on the order of arrival nor on
batches. A trade that comes later than that is in no bar, as it would move the border of every later one: it
is counted and left out here. In the candles it is.

A trade that fills a bar to more than its threshold belongs to it as a whole. The last bar of a session is
closed, not full, once the watermark has passed midnight by the grace. When a feed ends, what waits is taken;
bars stay open, as the feed may come back within the session.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from processors.bars import kernel
from processors.bars.plan import KINDS, STATE_VERSION, BarPlan
from processors.candles.batches import Admitted, CandleRows, RowKind, average_price
from processors.candles.rules import CandleRules
from processors.candles.watermark import Watermarks
from processors.candles.words import (
    BREAKS,
    COUNTERS,
    ENDED,
    ENDED_AT,
    WATERMARK,
    Ints,
)
from processors.engine.snapshots import read_snapshot, write_snapshot
from processors.engine.tables import grown
from processors.intervals import INTERVALS
from schemas.errors import ValidationError
from schemas.identity import market_key, split_key
from schemas.records import Gap, TimeMark, TradeBar

_UNKNOWN, _LEFT_OUT = -1, -2
_SYMBOL, _TIME, _SEQUENCE, _SIDE, _PRICE, _SIZE = range(6)  # columns of waiting trades; the last two are bits
_FRONTIER = 6  # word of a venue: trades before it have been taken
_TRADES, _LATE, _BARS = 8, 9, 10  # counters
_ARRAYS = ("bars", "waiting", "venues", "sources", "breaks", "gaps", "counters")


class _Rest(msgspec.Struct, array_like=True):
    """What a snapshot holds besides the arrays."""

    keys: list[str]
    venues: list[str]
    sources: list[tuple[str, str]]


class BarCounts(msgspec.Struct, frozen=True):
    """What has happened in a partition since its first record; survives checkpoints.

    Attributes:
        trades: Taken or waiting.
        late: Left out, because later trades had been taken.
        bars: Closed.
    """

    trades: int
    late: int
    bars: int


class BarBook:
    """The open bars of one partition. Not safe for two threads at once.

    Args:
        plan: Which bars, and the grace.
    """

    def __init__(self, plan: BarPlan) -> None:
        self._plan = plan
        self._rules = CandleRules((INTERVALS["1d"],), plan.grace, hold=0)
        self._kinds = np.array([KINDS.index(spec.kind) for spec in plan.specs], np.int64)
        self._thresholds = np.array([spec.threshold for spec in plan.specs], np.float64)
        self._keys: list[str] = []
        self._ids: dict[str, int] = {}
        self._venues: Ints = np.zeros(8, np.int64)
        self._chosen = np.zeros((8, len(plan.specs)), np.bool_)
        self._bars: Ints = np.zeros((8 * len(plan.specs), kernel.WORDS), np.int64)
        self._gaps: Ints = np.zeros((0, 3), np.int64)
        self._waiting: list[Ints] = []
        self._counters: Ints = np.zeros(COUNTERS, np.int64)
        self._marks = Watermarks(self._rules, self._counters)
        self._reader_keys: Sequence[str] = ()
        self._known: Ints = np.empty(0, np.int64)

    @property
    def counts(self) -> BarCounts:
        """What has happened so far."""
        return BarCounts(*self._counters[[_TRADES, _LATE, _BARS]].tolist())

    def fold(self, rows: CandleRows, admitted: Sequence[Admitted] = ()) -> list[tuple[int, TradeBar]]:
        """Take one batch in.

        Args:
            rows: What follows in the log on what was folded before; trades that are in no candle are
                skipped rows.
            admitted: Trades of earlier batches that this one's marks have brought into candles.

        Returns:
            The bars that are closed, each with the row of the mark that closed it: by key, spec, session and
            number for each mark.
        """
        if self._reader_keys is not rows.keys:
            self._reader_keys, self._known = rows.keys, np.empty(0, np.int64)
        more = np.full(len(rows.keys) - len(self._known), _UNKNOWN, np.int64)
        self._known = np.concatenate((self._known, more))
        found: list[tuple[int, TradeBar]] = []
        start = 0
        for stop in sorted({*rows.marks, *rows.gaps}):
            self._take(rows, start, stop)
            start = stop + 1
            if stop in rows.gaps:
                self._take_gap(rows.gaps[stop])
                continue
            for mark_row, trade, key in admitted:
                if mark_row == stop and (symbol := self._symbol(key)) >= 0:
                    bits = np.array([trade.price, trade.size]).view(np.int64).tolist()
                    self._wait(np.array([[symbol, trade.time, trade.sequence, trade.side, *bits]], np.int64))
            found += [(stop, bar) for bar in self._take_mark(rows.marks[stop])]
        self._take(rows, start, len(rows))
        return found

    def _symbol(self, key: str) -> int:
        if key in self._ids:
            return self._ids[key]
        chosen = [spec.covers(key) for spec in self._plan.specs]
        try:
            venue, _ = split_key(key)
        except ValidationError:
            return _LEFT_OUT
        if not any(chosen):
            return _LEFT_OUT
        index = self._ids[key] = len(self._keys)
        self._keys.append(key)
        if index == len(self._venues):
            self._venues, self._chosen = grown(self._venues), grown(self._chosen)
            self._bars = grown(self._bars)
        self._venues[index], self._chosen[index] = self._marks.venue(venue), chosen
        return index

    def _take(self, rows: CandleRows, start: int, stop: int) -> None:
        """The trades of some rows begin to wait."""
        part = slice(start, stop)
        at = np.flatnonzero((rows.kinds[part] == RowKind.TRADE) & (rows.key_ids[part] >= 0)) + start
        key_ids = rows.key_ids[at]
        unknown = key_ids[self._known[key_ids] == _UNKNOWN]
        for key_id in dict.fromkeys(unknown.tolist()):
            self._known[key_id] = self._symbol(rows.keys[key_id])
        symbols = self._known[key_ids]
        at, symbols = at[symbols >= 0], symbols[symbols >= 0]
        if at.size:
            columns = (symbols, rows.times[at], rows.sequences[at], rows.sides[at])
            bits = (rows.prices[at].view(np.int64), rows.sizes[at].view(np.int64))
            self._wait(np.stack((*columns, *bits), axis=1))

    def _wait(self, trades: Ints) -> None:
        venues = self._marks.venues[self._venues[trades[:, _SYMBOL]]]
        late = trades[:, _TIME] < venues[:, _FRONTIER]
        self._counters[_LATE] += late.sum()
        self._counters[_TRADES] += len(trades) - late.sum()
        self._waiting.append(trades[~late])

    def _take_gap(self, gap: Gap) -> None:
        symbol = self._symbol(market_key(gap.venue, gap.symbol))
        if gap.status == "given_up" and symbol >= 0:
            span = (min(gap.from_time, gap.to_time), max(gap.from_time, gap.to_time))
            floors = self._marks.venues[self._venues[self._gaps[:, 0]], WATERMARK] - 2 * kernel.DAY
            kept = self._gaps[self._gaps[:, 2] >= floors]
            self._gaps = np.concatenate((kept, np.array([[symbol, *span]], np.int64)))

    def _take_mark(self, mark: TimeMark) -> list[TradeBar]:
        venue = self._marks.take(mark)
        row = self._marks.venues[venue]
        self._marks.advance(venue)
        waiting = np.concatenate((np.zeros((0, 6), np.int64), *self._waiting))
        mine = self._venues[waiting[:, _SYMBOL]] == venue
        frontier = int(row[WATERMARK]) - self._plan.grace + 1
        if row[ENDED]:
            frontier = max(frontier, int(row[ENDED_AT]), int(waiting[mine, _TIME].max(initial=-1)) + 1)
        row[_FRONTIER] = max(frontier, int(row[_FRONTIER]))
        ready = mine & (waiting[:, _TIME] < row[_FRONTIER])
        self._waiting = [waiting[~ready]]
        return self._records(np.concatenate((self._closed(waiting[ready]), self._ends(venue))))

    def _closed(self, trades: Ints) -> Ints:
        """Fold trades, in order; the bars that they close."""
        order = np.lexsort((trades[:, _SEQUENCE], trades[:, _TIME], trades[:, _SYMBOL]))
        trades = trades[order]
        numbers = np.ascontiguousarray(trades[:, [_PRICE, _SIZE]]).view(np.float64)
        columns = np.ascontiguousarray(trades[:, :_PRICE])
        out: Ints = np.zeros((max(64, len(trades) // 8), kernel.WORDS), np.int64)
        at = level = 0
        while at < len(trades):
            at, level = kernel.fold_bars(
                *(self._bars, self._bars.view(np.float64), self._kinds, self._thresholds, self._chosen),
                *(columns, numbers, out, at, level),
            )
            if at < len(trades):
                out = grown(out, level + 2 * len(self._kinds))
        return out[:level]

    def _ends(self, venue: int) -> Ints:
        """The last bars of sessions that are over."""
        count = len(self._keys) * len(self._kinds)
        bars = self._bars[:count]
        over = bars[:, kernel.SESSION] + kernel.DAY + self._plan.grace <= self._marks.venues[venue, WATERMARK]
        mine = np.repeat(self._venues[: len(self._keys)] == venue, len(self._kinds))
        rows = np.flatnonzero(mine & over & (bars[:, kernel.COUNT] > 0))
        out = bars[rows].copy()
        out[:, kernel.FULL], out[:, kernel.SERIES] = 0, rows
        bars[rows, kernel.COUNT] = 0
        return out

    def _records(self, rows: Ints) -> list[TradeBar]:
        if not len(rows):
            return []
        symbols, specs = np.divmod(rows[:, kernel.SERIES], len(self._kinds))
        ranks = np.argsort(np.argsort(np.array([key.encode() for key in self._keys])))
        by = (rows[:, kernel.NUMBER], rows[:, kernel.SESSION], specs, ranks[symbols])
        order = np.lexsort(by)
        self._counters[_BARS] += len(rows)
        values = rows.view(np.float64)
        return [
            self._record(rows[at].tolist(), values[at].tolist(), int(symbols[at]), int(specs[at]))
            for at in order.tolist()
        ]

    def _record(self, row: list[int], values: list[float], symbol: int, spec: int) -> TradeBar:
        venue, name = split_key(self._keys[symbol])
        volume, quote_volume = values[kernel.VOLUME], values[kernel.QUOTE_VOLUME]
        full = bool(row[kernel.FULL])
        session = row[kernel.SESSION]
        end = row[kernel.CLOSED] if full else session + kernel.DAY
        return TradeBar(
            venue,
            name,
            self._plan.specs[spec].kind,
            self._plan.specs[spec].threshold,
            session,
            row[kernel.NUMBER],
            row[kernel.OPENED],
            row[kernel.CLOSED],
            values[kernel.OPEN],
            values[kernel.HIGH],
            values[kernel.LOW],
            values[kernel.CLOSE],
            volume,
            quote_volume,
            values[kernel.TAKER_BUY_VOLUME],
            row[kernel.COUNT],
            None if row[kernel.FIRST_SEQUENCE] < 0 else row[kernel.FIRST_SEQUENCE],
            None if row[kernel.LAST_SEQUENCE] < 0 else row[kernel.LAST_SEQUENCE],
            average_price(quote_volume, volume, values[kernel.LOW], values[kernel.HIGH]),
            full,
            self._is_complete(symbol, session, end),
        )

    def _is_complete(self, symbol: int, session: int, end: int) -> bool:
        """Whether no trade of the session up to the end of a bar can be missing."""
        breaks = self._marks.breaks[: self._counters[BREAKS]]
        away = (breaks[:, 0] == self._venues[symbol]) & (breaks[:, 2] > session) & (breaks[:, 1] < end)
        missing = (self._gaps[:, 0] == symbol) & (self._gaps[:, 2] >= session) & (self._gaps[:, 1] <= end)
        return not (away.any() or missing.any())

    def snapshot(self) -> bytes:
        """The whole state; the same log up to here gives the same bytes, however it was cut into batches."""
        count = len(self._keys) * len(self._kinds)
        arrays = {
            "bars": self._bars[:count],
            "waiting": np.concatenate((np.zeros((0, 6), np.int64), *self._waiting)),
            "venues": self._marks.venues,
            "sources": self._marks.sources,
            "breaks": self._marks.breaks,
            "gaps": self._gaps,
            "counters": self._counters,
        }
        return write_snapshot(STATE_VERSION, self._plan.digest, arrays, _Rest(self._keys, *self._marks.names))

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or of other bars, or damaged; the state is
                unchanged.
        """
        arrays, rest = read_snapshot(STATE_VERSION, self._plan.digest, _ARRAYS, _Rest, snapshot)
        book = BarBook(self._plan)
        book._counters = arrays["counters"]
        book._marks = Watermarks(self._rules, book._counters)
        book._marks.load((rest.venues, rest.sources), *(arrays[name] for name in _ARRAYS[2:5]))
        for key in rest.keys:
            book._symbol(key)
        book._bars[: len(arrays["bars"])] = arrays["bars"]
        book._waiting, book._gaps = [arrays["waiting"]], arrays["gaps"]
        self.__dict__.update(book.__dict__)
