"""Candles of one partition, built from its trades, time marks and gaps in log order.

Pure: values in, values out, no clock and no I/O. The work is done by `kernel`; here are the rare
cases.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from processors.candles import words
from processors.candles.batches import (
    Admitted,
    CandleColumns,
    CandleCounts,
    CandleRows,
    Folded,
    LiveColumns,
    Refusal,
    Refused,
    WaitingTrade,
    rows_of,
)
from processors.candles.kernel import fold_rows, settle_venue, spoil_candles
from processors.candles.pages import CandlePages
from processors.candles.rules import CandleRules
from processors.candles.tables import BAD_KEY, UNKNOWN_KEY, CandleTables
from processors.candles.words import Ints
from processors.engine.pages import Page
from processors.engine.tables import grown
from schemas.identity import market_key
from schemas.records import Candle, Gap, TimeMark

MOST_WAITING = 1_024
"""Trades far ahead of their feed that may wait for the next mark; more of them are refused at once."""


class CandleBuilder:
    """Folds one partition into candles.

    Candles are written at marks, sorted by key, interval and open time. What is written does not depend on
    how the log was cut into batches. Not safe for two threads at once.

    Memory: 192 bytes a candle that is open or held (`CandleRules.hold`), some 200 bytes a symbol, and the id
    ranges of the trades that may still be folded.

    Args:
        rules: Intervals and times.
    """

    def __init__(self, rules: CandleRules) -> None:
        self.rules = rules
        self._tables = CandleTables(rules)
        self._keys: Sequence[str] = ()
        self._known: Ints = np.empty(0, np.int64)
        self._waiting: list[WaitingTrade] = []
        self._saved = CandlePages()
        self._refused: list[tuple[int, Refused]] = []
        self._admitted: list[Admitted] = []

    @property
    def counts(self) -> CandleCounts:
        """What has happened so far."""
        return CandleCounts(*self._tables.state.counters[words.TRADES : words.CONFLICTS + 1].tolist())

    @property
    def held(self) -> int:
        """Candles in memory, open ones and closed ones that can still be revised."""
        return int(self._tables.state.counters[words.HELD])

    def watermark(self, venue: str) -> int | None:
        """The watermark of a venue in this partition, microseconds; None before its first mark."""
        return self._tables.watermarks.watermark(venue)

    @property
    def watermarks(self) -> dict[str, int]:
        """Those of the venues that are fed now, microseconds."""
        return self._tables.watermarks.fed

    def pages(self) -> Iterable[Page]:
        """The state; the same log up to here gives the same pages, however it was cut into batches."""
        return self._saved.pages(self._tables, self._waiting)

    def load(self, pages: Mapping[str, bytes]) -> None:
        """Replace the state by what was saved.

        Raises:
            ForeignSnapshotError: It is of another version or of other rules, or damaged; the state is
                unchanged.
        """
        self._tables, self._waiting = self._saved.load(self.rules, pages)
        self._keys, self._known = (), np.empty(0, np.int64)

    def fold(self, rows: CandleRows) -> Folded:
        """Fold one batch.

        Args:
            rows: What follows in the log on what was folded before.

        Returns:
            The candles that its marks wrote and the trades that were refused, both in log order.
        """
        if self._keys is not rows.keys:
            self._keys, self._known = rows.keys, np.empty(0, np.int64)
        if len(self._known) < len(rows.keys):
            known = np.full(len(rows.keys), UNKNOWN_KEY, np.int64)
            known[: len(self._known)] = self._known
            self._known = known
        sources = np.full(len(rows), -1, np.int32)
        for row, mark in rows.marks.items():
            sources[row] = self._tables.watermarks.source(mark)
        counters = self._tables.state.counters
        counters[[words.OUT_LEVEL, words.LIVE_LEVEL, words.REFUSED_LEVEL]] = 0
        self._refused, self._admitted = [], []
        rows = replace(rows, kinds=rows.kinds.copy())
        self._run(rows, self._known, sources)
        tables = self._tables
        written = tables.state.out[: counters[words.OUT_LEVEL]].copy()
        live = tables.state.live[: counters[words.LIVE_LEVEL]].copy()
        self._refused.sort(key=lambda entry: entry[0])
        return Folded(
            CandleColumns(written, tables.keys, tables.names, self.rules.intervals),
            [refused for _, refused in self._refused],
            LiveColumns(live, tables.keys, tables.names, self.rules.intervals),
            rows.kinds,
            self._admitted,
        )

    def renumber(self, candles: Iterable[Candle]) -> None:
        """Take note of revisions that were written elsewhere: the next one of a held candle is newer.

        Args:
            candles: As they were written last; those that are held no longer are passed over.
        """
        tables, state = self._tables, self._tables.state
        places = {interval.name: place for place, interval in enumerate(self.rules.intervals)}
        for candle in candles:
            place, watermark = places.get(candle.interval), self.watermark(candle.venue)
            if place is None or watermark is None:
                continue
            if candle.close_time + self.rules.grace + self.rules.hold <= watermark:
                continue
            symbol = tables.symbol(market_key(candle.venue, candle.symbol))
            slot = int(state.heads[symbol * len(places) + place])
            while slot >= 0 and state.pool[slot, words.OPEN_TIME] > candle.open_time:
                slot = int(state.pool[slot, words.OLDER])
            if slot >= 0 and state.pool[slot, words.OPEN_TIME] == candle.open_time:
                state.pool[slot, words.REVISION] = candle.revision + 1
                state.touched[slot // words.SLAB] = 1

    def _run(self, rows: CandleRows, known: Ints, sources: npt.NDArray[np.int32]) -> None:
        """The kernel over all rows, with its stops; adds to what is refused."""
        tables = self._tables
        counters = tables.state.counters
        first = int(counters[words.REFUSED_LEVEL])
        if len(tables.state.refused) < first + len(rows):
            tables.replace(refused=grown(tables.state.refused, first + len(rows)))
        columns = (rows.kinds, rows.key_ids, rows.times, rows.prices, rows.sizes, rows.sides, rows.sequences)
        row = 0
        while True:
            row, need = fold_rows(tables.state, known, *columns, sources, row)
            if need == words.DONE:
                break
            if need == words.NEED_KEY:
                key_id = rows.key_ids[row]
                known[key_id] = tables.symbol(rows.keys[key_id])
            elif need == words.NEED_RANGES:
                tables.more_ranges(int(known[rows.key_ids[row]]))
            elif need in (words.NEED_CANDLES, words.NEED_OUT, words.NEED_LIVE):
                tables.grow(need)
            else:
                if need == words.AT_GAP:
                    self._take_gap(rows.gaps[row])
                elif need == words.AT_MARK:
                    self._take_mark(rows.marks[row], row)
                else:
                    self._wait(rows, row, int(known[rows.key_ids[row]]))
                row += 1
        for at, refusal in tables.state.refused[first : counters[words.REFUSED_LEVEL]].tolist():
            key_id = int(rows.key_ids[at])
            key = rows.keys[key_id] if key_id >= 0 else ""
            self._refused.append((at, Refused(int(rows.offsets[at]), key, Refusal(refusal), at)))
        counters[words.REFUSED_LEVEL] = first

    def _take_mark(self, mark: TimeMark, row: int) -> None:
        venue = self._tables.watermarks.take(mark)
        self._tables.share()
        if self._waiting:
            self._judge(venue, row)
        self._tables.until_done(lambda: settle_venue(self._tables.state, venue, row))

    def _take_gap(self, gap: Gap) -> None:
        tables = self._tables
        symbol = tables.symbol(market_key(gap.venue, gap.symbol))
        if gap.status != "given_up" or symbol == BAD_KEY:
            return
        state = tables.state
        held = state.gaps[: state.counters[words.GAPS]]
        reach = self.rules.grace + self.rules.hold + self.rules.intervals[-1].length
        watermarks = state.venues[state.symbols[held[:, 0], words.VENUE], words.WATERMARK]
        kept = held[:, 2] >= watermarks - reach
        np.subtract.at(state.symbols[:, words.GAP_COUNT], held[~kept, 0], 1)
        count = int(kept.sum())
        held[:count] = held[kept]
        if count == len(state.gaps):
            state = tables.replace(gaps=grown(state.gaps))
        opened, closed = min(gap.from_time, gap.to_time), max(gap.from_time, gap.to_time)
        spoil_candles(state, symbol, opened, closed)
        state.gaps[count] = (symbol, opened, closed)
        state.counters[words.GAPS] = count + 1
        state.symbols[symbol, words.GAP_COUNT] += 1

    def _wait(self, rows: CandleRows, row: int, symbol: int) -> None:
        """Keep a trade far ahead of its feed until the next mark of its venue."""
        tables = self._tables
        rows.kinds[row] = words.SKIP
        if len(self._waiting) >= MOST_WAITING:
            offset = int(rows.offsets[row])
            tables.state.counters[words.AHEAD_REFUSED] += 1
            self._refused.append((row, Refused(offset, tables.keys[symbol], Refusal.TOO_FAR_AHEAD, row)))
            return
        self._waiting.append(WaitingTrade.of(rows, row, symbol))
        tables.watermarks.ahead(int(tables.state.symbols[symbol, words.VENUE]), 1)

    def _judge(self, venue: int, mark_row: int) -> None:
        """Fold the waiting trades of a venue that its newest mark has come near to; refuse the others."""
        tables, state = self._tables, self._tables.state
        limit = int(state.venues[venue, words.NEWEST]) + self.rules.lead
        mine = [trade for trade in self._waiting if state.symbols[trade.symbol, words.VENUE] == venue]
        self._waiting = [t for t in self._waiting if state.symbols[t.symbol, words.VENUE] != venue]
        tables.watermarks.ahead(venue, -len(mine))
        near = [trade for trade in mine if trade.time <= limit]
        far = [trade for trade in mine if trade.time > limit]
        outer, self._refused = self._refused, []
        judged = rows_of(near, tables.keys)
        self._run(judged, np.arange(len(tables.keys)), np.full(len(near), -1, np.int32))
        self._admitted += [
            (mark_row, near[at], tables.keys[near[at].symbol])
            for at in np.flatnonzero(judged.kinds == words.TRADE).tolist()
        ]
        verdicts = [(near[at], refused.refusal) for at, refused in self._refused]
        verdicts += [(trade, Refusal.TOO_FAR_AHEAD) for trade in far]
        state.counters[words.AHEAD_REFUSED] += len(far)
        self._refused = outer + [
            (mark_row, Refused(trade.offset, tables.keys[trade.symbol], refusal, -1, trade.value))
            for trade, refusal in verdicts
        ]
