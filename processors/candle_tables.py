"""The arrays of a candle builder and the names behind their indexes: made, grown, saved and loaded."""

import bisect
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from processors import candle_words as words
from processors.candle_batches import WaitingTrade
from processors.candle_rules import STATE_VERSION, CandleRules
from processors.candle_words import CandleState, Ints
from processors.snapshots import read_snapshot, write_snapshot
from processors.tables import aligned, grown
from processors.watermark import Watermarks
from schemas.errors import ValidationError
from schemas.identity import split_key

UNKNOWN_KEY, BAD_KEY = -1, -2
"""In place of the index of a symbol."""

_FIRST_CANDLES = 256
_FIRST_SYMBOLS = 8
_FIRST_RANGES = 4
_SHARED = ("venues", "sources", "breaks")
_SAVED = ("pool", "free", "symbols", "heads", "tails", "ranges", *_SHARED, "gaps", "counters")


class _Rest(msgspec.Struct, array_like=True):
    """What a snapshot holds besides the arrays."""

    keys: list[str]
    venues: list[str]
    sources: list[tuple[str, str]]
    waiting: list[WaitingTrade]
    ranges_used: int


class CandleTables:
    """State of one partition as the kernel sees it. Everything grows by need and in log order.

    Attributes:
        state: The arrays; replaced as a whole when one of them grows.
        keys: Market keys by the index of the symbol.
        names: Venue and symbol likewise.
        watermarks: Venues, sources and breaks.
    """

    def __init__(self, rules: CandleRules) -> None:
        self.rules = rules
        self.keys: list[str] = []
        self.names: list[tuple[str, str]] = []
        self._ids: dict[str, int] = {}
        self._sorted: list[bytes] = []
        self._ranges_used = 0
        counters = np.zeros(words.COUNTERS, np.int64)
        counters[words.FREE_LEVEL] = _FIRST_CANDLES
        self.watermarks = Watermarks(rules, counters)
        ends = np.full((2, _FIRST_SYMBOLS * len(rules.intervals)), -1, np.int64)
        pool = aligned(_FIRST_CANDLES, words.WORDS)
        self.state = CandleState(
            counters=counters,
            rules=np.array([rules.grace, rules.hold, rules.lead, rules.sweep], np.int64),
            intervals=np.array([(i.length, i.anchor) for i in rules.intervals], np.int64),
            symbols=np.full((_FIRST_SYMBOLS, words.SYMBOL_WORDS), -1, np.int64),
            ranks=np.zeros(_FIRST_SYMBOLS, np.int64),
            heads=ends[0],
            tails=ends[1],
            ranges=np.zeros((_FIRST_SYMBOLS * _FIRST_RANGES, 3), np.int64),
            pool=pool,
            values=pool.view(np.float64),
            free=np.arange(_FIRST_CANDLES, dtype=np.int64)[::-1].copy(),
            pending=np.zeros((_FIRST_CANDLES, 4), np.int64),
            due_slots=np.zeros(_FIRST_CANDLES, np.int64),
            due_keys=np.zeros(_FIRST_CANDLES, np.int64),
            venues=self.watermarks.venues,
            sources=self.watermarks.sources,
            breaks=self.watermarks.breaks,
            gaps=np.zeros((8, 3), np.int64),
            out=np.zeros((_FIRST_CANDLES, words.WORDS), np.int64),
            refused=np.zeros((_FIRST_CANDLES, 2), np.int64),
        )

    def replace(self, **arrays: Any) -> CandleState:
        """Put other arrays in the place of some."""
        self.state = self.state._replace(**arrays)
        return self.state

    def share(self) -> CandleState:
        """Hand the kernel the arrays of the watermarks: they may have grown."""
        marks = self.watermarks
        return self.replace(venues=marks.venues, sources=marks.sources, breaks=marks.breaks)

    def until_done(self, step: Callable[[], int]) -> None:
        """Repeat a step of the kernel until it needs no more memory."""
        while (need := step()) != words.DONE:
            self.grow(need)

    def symbol(self, key: str) -> int:
        """Index of a symbol, new ones included; `BAD_KEY` for a key that is none."""
        if key in self._ids:
            return self._ids[key]
        try:
            venue, name = split_key(key)
            text = key.encode()
        except (ValidationError, UnicodeEncodeError):
            return BAD_KEY
        index = self._ids[key] = len(self.keys)
        self.keys.append(key)
        self.names.append((venue, name))
        if index == len(self.state.symbols):
            self._grow_symbols()
        row = self.state.symbols[index]
        row[:] = 0
        row[words.VENUE] = self.watermarks.venue(venue)
        state = self.share()
        rank = bisect.bisect(self._sorted, text)
        self._sorted.insert(rank, text)
        ranks = state.ranks[:index]
        ranks[ranks >= rank] += 1
        state.ranks[index] = rank
        self._move_ranges(index, _FIRST_RANGES)
        return index

    def more_ranges(self, symbol: int) -> None:
        """Room for the id ranges of a symbol: forget those that no trade can come from, else double it."""
        state, shortest = self.state, self.rules.intervals[0]
        row = state.symbols[symbol]
        start, count = int(row[words.RANGE_START]), int(row[words.RANGE_COUNT])
        ranges = state.ranges[start : start + count]
        newest = ranges[:, 2]
        ends = newest - (newest - shortest.anchor) % shortest.length + shortest.length
        kept = ends + self.rules.grace + self.rules.hold > state.venues[row[words.VENUE], words.WATERMARK]
        kept[-1] = True  # the highest one: its end is in the symbol's row
        count = int(kept.sum())
        ranges[:count] = ranges[kept]
        row[words.RANGE_COUNT] = count
        if 2 * count > row[words.RANGE_SPACE]:
            self._move_ranges(symbol, 2 * int(row[words.RANGE_SPACE]))

    def _move_ranges(self, symbol: int, space: int) -> None:
        start = self._ranges_used
        self._ranges_used += space
        if self._ranges_used > len(self.state.ranges):
            self.replace(ranges=grown(self.state.ranges, self._ranges_used))
        ranges, row = self.state.ranges, self.state.symbols[symbol]
        old, count = int(row[words.RANGE_START]), int(row[words.RANGE_COUNT])
        ranges[start : start + count] = ranges[old : old + count]
        row[words.RANGE_START], row[words.RANGE_SPACE] = start, space

    def _grow_symbols(self) -> None:
        state, count = self.state, len(self.keys) - 1
        symbols = np.full((2 * count, words.SYMBOL_WORDS), -1, np.int64)
        symbols[:count] = state.symbols
        ends = np.full((2, 2 * len(state.heads)), -1, np.int64)
        ends[0, : len(state.heads)], ends[1, : len(state.tails)] = state.heads, state.tails
        self.replace(symbols=symbols, ranks=grown(state.ranks), heads=ends[0], tails=ends[1])

    def grow(self, need: int) -> None:
        """More room for candles, or for those that marks write."""
        state = self.state
        if need == words.NEED_OUT:
            level, pending = state.counters[[words.OUT_LEVEL, words.PENDING_LEVEL]].tolist()
            self.replace(out=grown(state.out, level + pending * len(self.rules.intervals)))
            return
        size = len(state.pool)
        level = int(state.counters[words.FREE_LEVEL])
        pool = aligned(2 * size, words.WORDS)
        pool[:size] = state.pool
        free = np.empty(2 * size, np.int64)
        free[:size] = np.arange(2 * size - 1, size - 1, -1)
        free[size : size + level] = state.free[:level]
        state.counters[words.FREE_LEVEL] = size + level
        self.replace(
            pool=pool,
            values=pool.view(np.float64),
            free=free,
            pending=grown(state.pending),
            due_slots=np.zeros(2 * size, np.int64),
            due_keys=np.zeros(2 * size, np.int64),
        )

    def save(self, waiting: list[WaitingTrade]) -> bytes:
        """A snapshot of everything, and of the trades that wait."""
        state = self.state
        counters = state.counters.copy()
        counters[[words.OUT_LEVEL, words.REFUSED_LEVEL, words.PENDING_LEVEL]] = 0
        free = state.free.copy()
        free[counters[words.FREE_LEVEL] :] = 0
        arrays = {name: getattr(state, name) for name in _SAVED} | {"counters": counters, "free": free}
        rest = _Rest(self.keys, *self.watermarks.names, waiting, self._ranges_used)
        return write_snapshot(STATE_VERSION, self.rules.digest, arrays, rest)

    @classmethod
    def load(cls, rules: CandleRules, snapshot: bytes) -> tuple["CandleTables", list[WaitingTrade]]:
        """What was saved.

        Raises:
            ForeignSnapshotError: It is of another version or of other rules, or damaged.
        """
        arrays, rest = read_snapshot(STATE_VERSION, rules.digest, _SAVED, _Rest, snapshot)
        tables = cls(rules)
        tables.keys = rest.keys
        tables.names = [split_key(key) for key in rest.keys]
        tables._ids = {key: index for index, key in enumerate(rest.keys)}
        order = sorted(range(len(rest.keys)), key=lambda index: rest.keys[index].encode())
        tables._sorted = [rest.keys[index].encode() for index in order]
        tables._ranges_used = rest.ranges_used
        ranks = np.zeros(len(arrays["symbols"]), np.int64)
        ranks[order] = np.arange(len(order))
        pool = aligned(len(arrays["pool"]), words.WORDS)
        pool[:] = arrays["pool"]
        pending = tables._pending(pool, arrays["symbols"])
        arrays["counters"][words.PENDING_LEVEL] = len(pending)
        tables.watermarks = Watermarks(rules, arrays["counters"])
        tables.watermarks.load((rest.venues, rest.sources), *(arrays[name] for name in _SHARED))
        tables.replace(
            **arrays
            | {
                "pool": pool,
                "values": pool.view(np.float64),
                "ranks": ranks,
                "pending": np.concatenate((pending, np.zeros((len(pool) - len(pending), 4), np.int64))),
                "due_slots": np.zeros(len(pool), np.int64),
                "due_keys": np.zeros(len(pool), np.int64),
            }
        )
        return tables, rest.waiting

    def _pending(self, pool: Ints, symbols: Ints) -> Ints:
        slots = np.flatnonzero(pool[:, words.FLAGS] & words.PENDING)
        owners, interval_ids = np.divmod(pool[slots, words.SERIES], len(self.rules.intervals))
        ends = pool[slots, words.OPEN_TIME] + self.state.intervals[interval_ids, 0]
        return np.stack((slots, ends + self.rules.grace, symbols[owners, words.VENUE], interval_ids), axis=1)
