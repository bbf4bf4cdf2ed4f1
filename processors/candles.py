"""Candles of one partition, built from its trades, time marks and gaps in log order.

Pure: values in, values out, no clock and no I/O. The work is done by `candle_kernel`; here are the rare cases.
"""

import bisect
from collections.abc import Sequence

import msgspec
import numpy as np

from processors import candle_words as words
from processors.candle_batches import (
    CandleColumns,
    CandleCounts,
    CandleRows,
    Folded,
    Refusal,
    Refused,
    WaitingTrade,
    rows_of,
)
from processors.candle_kernel import fold_rows, settle_venue, spoil_candles
from processors.candle_rules import STATE_VERSION, CandleRules
from processors.candle_words import CandleState, Ints
from processors.snapshots import read_snapshot, write_snapshot
from processors.tables import aligned, grown
from processors.watermark import Watermarks
from schemas.errors import ValidationError
from schemas.identity import market_key, split_key
from schemas.records import Gap, TimeMark

MOST_WAITING = 1_024
"""Trades far ahead of their feed that may wait for the next mark; more of them are refused at once."""
_FIRST_CANDLES = 256
_FIRST_RANGES = 4
_UNKNOWN, _BAD = -1, -2


_SHARED = ("venues", "sources", "breaks")
_SAVED = ("pool", "free", "symbols", "heads", "tails", "ranges", *_SHARED, "gaps", "counters")


class _Rest(msgspec.Struct, array_like=True):
    keys: list[str]
    venues: list[str]
    sources: list[tuple[str, str]]
    waiting: list[WaitingTrade]
    ranges_used: int


class CandleBuilder:
    """Folds one partition into candles.

    Candles are written at marks, sorted by key, interval and open time. What is written does not depend on how the
    log was cut into batches. Not safe for two threads at once.

    Memory: 192 bytes a candle that is open or held (`CandleRules.hold`), some 130 bytes a symbol, and the id ranges
    of the trades that may still be folded.

    Args:
        rules: Intervals and times.
    """

    def __init__(self, rules: CandleRules) -> None:
        self.rules = rules
        count = len(rules.intervals)
        self.keys: list[str] = []
        """Market keys by the index of the symbol."""
        self._names: list[tuple[str, str]] = []
        self._ids: dict[str, int] = {}
        self._sorted: list[bytes] = []
        self._table: Sequence[str] = ()
        self._known: Ints = np.empty(0, np.int64)
        self._waiting: list[WaitingTrade] = []
        self._refused: list[tuple[int, Refused]] = []
        self._ranges_used = 0
        counters = np.zeros(words.COUNTERS, np.int64)
        self._watermarks = Watermarks(rules, counters)
        self._state = CandleState(
            counters=counters,
            rules=np.array([rules.grace, rules.hold, rules.lead, rules.sweep], np.int64),
            intervals=np.array([(i.length, i.anchor) for i in rules.intervals], np.int64),
            symbols=np.full((8, words.SYMBOL_WORDS), -1, np.int64),
            ranks=np.zeros(8, np.int64),
            heads=np.full(8 * count, -1, np.int64),
            tails=np.full(8 * count, -1, np.int64),
            ranges=np.zeros((8 * _FIRST_RANGES, 3), np.int64),
            pool=(pool := aligned(_FIRST_CANDLES, words.WORDS)),
            values=pool.view(np.float64),
            free=np.arange(_FIRST_CANDLES, dtype=np.int64)[::-1].copy(),
            pending=np.zeros((_FIRST_CANDLES, 4), np.int64),
            venues=self._watermarks.venues,
            sources=self._watermarks.sources,
            breaks=self._watermarks.breaks,
            gaps=np.zeros((8, 3), np.int64),
            out=np.zeros((_FIRST_CANDLES, words.WORDS), np.int64),
            refused=np.zeros((_FIRST_CANDLES, 2), np.int64),
        )
        counters[words.FREE_LEVEL] = _FIRST_CANDLES

    @property
    def counts(self) -> CandleCounts:
        """What has happened so far."""
        return CandleCounts(*self._state.counters[words.TRADES : words.REVISIONS + 1].tolist())

    @property
    def held(self) -> int:
        """Candles in memory, open ones and closed ones that can still be revised."""
        return len(self._state.pool) - int(self._state.counters[words.FREE_LEVEL])

    def watermark(self, venue: str) -> int | None:
        """The watermark of a venue in this partition, microseconds; None before its first mark."""
        return self._watermarks.watermark(venue)

    def fold(self, rows: CandleRows) -> Folded:
        """Fold one batch.

        Args:
            rows: What follows in the log on what was folded before.

        Returns:
            The candles that its marks wrote and the trades that were refused, both in log order.
        """
        if self._table is not rows.keys:
            self._table, self._known = rows.keys, np.empty(0, np.int64)
        if len(self._known) < len(rows.keys):
            known = np.full(len(rows.keys), _UNKNOWN, np.int64)
            known[: len(self._known)] = self._known
            self._known = known
        sources = np.full(len(rows), -1, np.int32)
        for row, mark in rows.marks.items():
            sources[row] = self._watermarks.source(mark)
        counters = self._state.counters
        counters[words.OUT_LEVEL] = 0
        self._refused = []
        self._run(rows, self._known, sources)
        count = int(counters[words.OUT_LEVEL])
        candles = CandleColumns(self._state.out[:count].copy(), self.keys, self._names, self.rules.intervals)
        self._refused.sort(key=lambda entry: entry[0])
        return Folded(candles, [refused for _, refused in self._refused])

    def _run(
        self, rows: CandleRows, known: Ints, sources: np.ndarray[tuple[int], np.dtype[np.int32]]
    ) -> None:
        counters = self._state.counters
        counters[words.REFUSED_LEVEL] = 0
        if len(self._state.refused) < len(rows):
            self._state = self._state._replace(refused=np.zeros((2 * len(rows), 2), np.int64))
        row = 0
        while True:
            row, need = fold_rows(
                self._state,
                known,
                rows.kinds,
                rows.key_ids,
                rows.times,
                rows.prices,
                rows.sizes,
                rows.sides,
                rows.sequences,
                sources,
                row,
            )
            if need == words.DONE:
                break
            match need:
                case words.NEED_KEY:
                    key_id = rows.key_ids[row]
                    known[key_id] = self._symbol(rows.keys[key_id])
                case words.NEED_RANGES:
                    self._more_ranges(int(known[rows.key_ids[row]]))
                case words.AT_GAP:
                    self._take_gap(rows.gaps[row])
                    row += 1
                case words.AT_MARK:
                    self._take_mark(rows.marks[row], row)
                    row += 1
                case words.AT_AHEAD:
                    self._wait(rows, row, int(known[rows.key_ids[row]]))
                    row += 1
                case _:
                    self._grow(need)
        for at, refusal in self._state.refused[: counters[words.REFUSED_LEVEL]].tolist():
            key_id = rows.key_ids[at]
            key = rows.keys[key_id] if key_id >= 0 else ""
            self._refused.append((at, Refused(int(rows.offsets[at]), key, Refusal(refusal), at)))

    # -- symbols

    def _symbol(self, key: str) -> int:
        """Index of a symbol, new ones included; `_BAD` for a key that is none."""
        if key in self._ids:
            return self._ids[key]
        try:
            venue, name = split_key(key)
            text = key.encode()
        except (ValidationError, UnicodeEncodeError):
            return _BAD
        index = self._ids[key] = len(self.keys)
        self.keys.append(key)
        self._names.append((venue, name))
        state, count = self._state, len(self.rules.intervals)
        if index == len(state.symbols):
            size = 2 * index
            symbols = np.full((size, words.SYMBOL_WORDS), -1, np.int64)
            symbols[:index] = state.symbols
            ends = np.full((2, size * count), -1, np.int64)
            ends[0, : index * count], ends[1, : index * count] = state.heads, state.tails
            self._state = state = state._replace(
                symbols=symbols, ranks=grown(state.ranks), heads=ends[0], tails=ends[1]
            )
        state.symbols[index] = 0
        state.symbols[index, words.VENUE] = self._watermarks.venue(venue)
        self._share()
        rank = bisect.bisect(self._sorted, text)
        self._sorted.insert(rank, text)
        ranks = state.ranks[:index]
        ranks[ranks >= rank] += 1
        state.ranks[index] = rank
        self._room_for_ranges(index, _FIRST_RANGES)
        return index

    def _more_ranges(self, symbol: int) -> None:
        """Room for the id ranges of a symbol: forget those that no trade can come from, else double it."""
        state = self._state
        row = state.symbols[symbol]
        start, count, space = (int(row[w]) for w in (words.RANGE_START, words.RANGE_COUNT, words.RANGE_SPACE))
        ranges = state.ranges[start : start + count]
        opened = self.rules.intervals[0].open_time(ranges[:, 2])  # type: ignore[arg-type]
        reach = self.rules.intervals[0].length + self.rules.grace + self.rules.hold
        kept = opened + reach > state.venues[row[words.VENUE], words.WATERMARK]
        kept[-1] = True  # the highest one: its end is in the symbol's row
        count = int(kept.sum())
        ranges[:count] = ranges[kept]
        row[words.RANGE_COUNT] = count
        if 2 * count > space:
            self._room_for_ranges(symbol, 2 * space)

    def _room_for_ranges(self, symbol: int, space: int) -> None:
        start = self._ranges_used
        self._ranges_used += space
        if self._ranges_used > len(self._state.ranges):
            self._state = self._state._replace(ranges=grown(self._state.ranges, self._ranges_used))
        ranges = self._state.ranges
        row = self._state.symbols[symbol]
        old, count = int(row[words.RANGE_START]), int(row[words.RANGE_COUNT])
        ranges[start : start + count] = ranges[old : old + count]
        row[words.RANGE_START], row[words.RANGE_SPACE] = start, space

    # -- marks and gaps

    def _share(self) -> None:
        """Hand the kernel the arrays of the watermarks: they may have grown."""
        marks = self._watermarks
        self._state = self._state._replace(venues=marks.venues, sources=marks.sources, breaks=marks.breaks)

    def _take_mark(self, mark: TimeMark, row: int) -> None:
        venue = self._watermarks.take(mark)
        self._share()
        if self._waiting:
            self._judge(venue, row)
        while (need := settle_venue(self._state, venue, row)) != words.DONE:
            self._grow(need)

    def _take_gap(self, gap: Gap) -> None:
        if gap.status != "given_up":
            return
        symbol = self._symbol(market_key(gap.venue, gap.symbol))
        if symbol == _BAD:
            return
        counters = self._state.counters
        count = int(counters[words.GAPS])
        held = self._state.gaps[:count]
        reach = self.rules.grace + self.rules.hold + self.rules.intervals[-1].length
        venues = self._state.symbols[held[:, 0], words.VENUE]
        kept = held[:, 2] >= self._state.venues[venues, words.WATERMARK] - reach
        gone = held[~kept][:, 0]
        np.subtract.at(self._state.symbols[:, words.GAP_COUNT], gone, 1)
        count = int(kept.sum())
        held[:count] = held[kept]
        if count == len(self._state.gaps):
            self._state = self._state._replace(gaps=grown(self._state.gaps))
        opened, closed = min(gap.from_time, gap.to_time), max(gap.from_time, gap.to_time)
        spoil_candles(self._state, symbol, opened, closed)
        self._state.gaps[count] = (symbol, opened, closed)
        counters[words.GAPS] = count + 1
        self._state.symbols[symbol, words.GAP_COUNT] += 1

    # -- trades far ahead of their feed

    def _wait(self, rows: CandleRows, row: int, symbol: int) -> None:
        offset = int(rows.offsets[row])
        if len(self._waiting) >= MOST_WAITING:
            self._state.counters[words.AHEAD_REFUSED] += 1
            self._refused.append((row, Refused(offset, self.keys[symbol], Refusal.TOO_FAR_AHEAD, row)))
            return
        numbers = (
            float(rows.prices[row]),
            float(rows.sizes[row]),
            int(rows.sides[row]),
            int(rows.sequences[row]),
        )
        self._waiting.append(WaitingTrade(symbol, int(rows.times[row]), *numbers, offset, rows.value(row)))
        self._watermarks.ahead(int(self._state.symbols[symbol, words.VENUE]), 1)

    def _judge(self, venue: int, mark_row: int) -> None:
        """Fold the waiting trades of a venue that its newest mark has come near to; refuse the others."""
        state = self._state
        limit = int(state.venues[venue, words.NEWEST]) + self.rules.lead
        mine = [trade for trade in self._waiting if state.symbols[trade.symbol, words.VENUE] == venue]
        self._waiting = [
            trade for trade in self._waiting if state.symbols[trade.symbol, words.VENUE] != venue
        ]
        self._watermarks.ahead(venue, -len(mine))
        near = [trade for trade in mine if trade.time <= limit]
        far = [trade for trade in mine if trade.time > limit]
        outer, self._refused = self._refused, []
        levels = state.refused[: state.counters[words.REFUSED_LEVEL]].copy()
        self._run(rows_of(near, self.keys), np.arange(len(self.keys)), np.full(len(near), -1, np.int32))
        self._state.refused[: len(levels)] = levels
        self._state.counters[words.REFUSED_LEVEL] = len(levels)
        verdicts = [(near[at], refused.refusal) for at, refused in self._refused]
        verdicts += [(trade, Refusal.TOO_FAR_AHEAD) for trade in far]
        self._state.counters[words.AHEAD_REFUSED] += len(far)
        self._refused = outer + [
            (mark_row, Refused(trade.offset, self.keys[trade.symbol], refusal, -1, trade.value))
            for trade, refusal in verdicts
        ]

    # -- snapshots

    def snapshot(self) -> bytes:
        """The whole state; the same log up to here gives the same bytes, however it was cut into batches."""
        state = self._state
        counters = state.counters.copy()
        counters[[words.OUT_LEVEL, words.REFUSED_LEVEL, words.PENDING_LEVEL]] = 0
        free = state.free.copy()
        free[counters[words.FREE_LEVEL] :] = 0
        arrays = {name: getattr(state, name) for name in _SAVED} | {"counters": counters, "free": free}
        rest = _Rest(self.keys, *self._watermarks.names, self._waiting, self._ranges_used)
        return write_snapshot(STATE_VERSION, self.rules.digest, arrays, rest)

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or of other rules, or damaged; the state is unchanged.
        """
        arrays, rest = read_snapshot(STATE_VERSION, self.rules.digest, _SAVED, _Rest, snapshot)
        count = len(rest.keys)
        self.keys[:], self._names[:] = rest.keys, map(split_key, rest.keys)
        self._ids = {key: index for index, key in enumerate(rest.keys)}
        order = sorted(range(count), key=lambda index: rest.keys[index].encode())
        self._sorted = [rest.keys[index].encode() for index in order]
        self._table, self._known = (), np.empty(0, np.int64)
        self._waiting, self._ranges_used = rest.waiting, rest.ranges_used
        pool = aligned(len(arrays["pool"]), words.WORDS)
        pool[:] = arrays["pool"]
        ranks = np.zeros(len(arrays["symbols"]), np.int64)
        ranks[order] = np.arange(count)
        pending = np.zeros((len(pool), 4), np.int64)
        slots = np.flatnonzero(pool[:, words.FLAGS] & words.PENDING)
        symbols, interval_ids = np.divmod(pool[slots, words.SERIES], len(self.rules.intervals))
        pending[: len(slots), 0] = slots
        lengths = self._state.intervals[interval_ids, 0]
        pending[: len(slots), 1] = pool[slots, words.OPEN_TIME] + lengths + self.rules.grace
        pending[: len(slots), 2] = arrays["symbols"][symbols, words.VENUE]
        pending[: len(slots), 3] = interval_ids
        arrays["counters"][words.PENDING_LEVEL] = len(slots)
        self._watermarks = Watermarks(self.rules, arrays["counters"])
        self._watermarks.load((rest.venues, rest.sources), *(arrays[name] for name in _SHARED))
        arrays["pool"] = pool
        self._state = self._state._replace(
            **arrays, ranks=ranks, pending=pending, values=pool.view(np.float64)
        )

    # -- memory

    def _grow(self, need: int) -> None:
        state = self._state
        if need == words.NEED_OUT:
            # Large enough for anything that one mark can write.
            level, pending = state.counters[[words.OUT_LEVEL, words.PENDING_LEVEL]].tolist()
            most = level + pending * len(self.rules.intervals)
            self._state = state._replace(out=grown(state.out, most))
            return
        size = len(state.pool)
        pool = aligned(2 * size, words.WORDS)
        pool[:size] = state.pool
        free = np.empty(2 * size, np.int64)
        level = int(state.counters[words.FREE_LEVEL])
        free[:size] = np.arange(2 * size - 1, size - 1, -1)
        free[size : size + level] = state.free[:level]
        state.counters[words.FREE_LEVEL] = size + level
        self._state = state._replace(
            pool=pool, values=pool.view(np.float64), free=free, pending=grown(state.pending)
        )
