"""The arrays of a candle builder and the names behind their indexes: made, grown and linked."""

import bisect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from processors.candles import words
from processors.candles.links import link_slabs
from processors.candles.rules import CandleRules
from processors.candles.watermark import Watermarks
from processors.candles.words import CandleState, Ints
from processors.engine.tables import aligned, grown
from schemas.errors import ValidationError
from schemas.identity import split_key

UNKNOWN_KEY, BAD_KEY = -1, -2
"""In place of the index of a symbol."""

_FIRST_CANDLES = 2 * words.SLAB
_FIRST_SYMBOLS = 8
_FIRST_RANGES = 4


class CandleTables:
    """State of one partition as the kernel sees it. Everything grows by need and in log order.

    Attributes:
        state: The arrays; replaced as a whole when one of them grows.
        keys: Market keys by the index of the symbol.
        names: Venue and symbol likewise.
        watermarks: Venues, sources and breaks.
        ranges_used: Rows of the id ranges that have been given to symbols.
    """

    def __init__(self, rules: CandleRules) -> None:
        self.rules = rules
        self.keys: list[str] = []
        self.names: list[tuple[str, str]] = []
        self._ids: dict[str, int] = {}
        self._sorted: list[bytes] = []
        self.ranges_used = 0
        counters = np.zeros(words.COUNTERS, np.int64)
        slabs = np.zeros(len(rules.intervals) + 1, np.int64)
        slabs[-1] = _FIRST_CANDLES // words.SLAB
        self.watermarks = Watermarks(rules, counters)
        ends = np.full((2, _FIRST_SYMBOLS * len(rules.intervals)), -1, np.int64)
        pool = aligned(_FIRST_CANDLES, words.WORDS)
        live = np.zeros((_FIRST_CANDLES, words.WORDS), np.int64)
        self.state = CandleState(
            counters=counters,
            rules=np.array([rules.grace, rules.hold, rules.lead, rules.sweep, rules.carry], np.int64),
            intervals=np.array([(i.length, i.anchor) for i in rules.intervals], np.int64),
            symbols=np.full((_FIRST_SYMBOLS, words.SYMBOL_WORDS), -1, np.int64),
            ranks=np.zeros(_FIRST_SYMBOLS, np.int64),
            next_empty=np.full(_FIRST_SYMBOLS, words.NONE, np.int64),
            last_closes=np.zeros(_FIRST_SYMBOLS, np.float64),
            digests=np.zeros((words.MEMORY, 2), np.int64),
            places=np.zeros(words.MEMORY, np.int64),
            heads=ends[0],
            tails=ends[1],
            ranges=np.zeros((_FIRST_SYMBOLS * _FIRST_RANGES, 3), np.int64),
            pool=pool,
            values=pool.view(np.float64),
            slabs=slabs,
            alive=np.zeros(_FIRST_CANDLES // words.SLAB, np.int64),
            touched=np.zeros(_FIRST_CANDLES // words.SLAB, np.int64),
            pending=np.zeros((_FIRST_CANDLES, 4), np.int64),
            due_slots=np.zeros(_FIRST_CANDLES, np.int64),
            due_keys=np.zeros(_FIRST_CANDLES, np.int64),
            venues=self.watermarks.venues,
            sources=self.watermarks.sources,
            breaks=self.watermarks.breaks,
            gaps=np.zeros((8, 3), np.int64),
            out=np.zeros((_FIRST_CANDLES, words.WORDS), np.int64),
            live_ids=np.array([rules.intervals.index(each) for each in rules.live], np.int64),
            live=live,
            live_values=live.view(np.float64),
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
        start = self.ranges_used
        self.ranges_used += space
        if self.ranges_used > len(self.state.ranges):
            self.replace(ranges=grown(self.state.ranges, self.ranges_used))
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
        next_empty = np.full(2 * count, words.NONE, np.int64)
        next_empty[:count] = state.next_empty
        self.replace(
            symbols=symbols,
            ranks=grown(state.ranks),
            next_empty=next_empty,
            last_closes=grown(state.last_closes),
            heads=ends[0],
            tails=ends[1],
        )

    def grow(self, need: int) -> None:
        """More room for candles, or for those that marks write."""
        state = self.state
        if need == words.NEED_OUT:
            level, pending = state.counters[[words.OUT_LEVEL, words.PENDING_LEVEL]].tolist()
            self.replace(out=grown(state.out, level + pending * len(self.rules.intervals)))
            return
        if need == words.NEED_LIVE:
            live = grown(state.live)
            room = max(len(live), len(state.due_keys))
            due = np.zeros((2, room), np.int64)
            self.replace(live=live, live_values=live.view(np.float64), due_slots=due[0], due_keys=due[1])
            return
        size = len(state.pool)
        room = max(2 * size, len(state.due_keys))
        pool = aligned(2 * size, words.WORDS)
        pool[:size] = state.pool
        state.slabs[-1] += len(state.alive)
        self.replace(
            pool=pool,
            values=pool.view(np.float64),
            alive=grown(state.alive),
            touched=grown(state.touched),
            pending=grown(state.pending),
            due_slots=np.zeros(room, np.int64),
            due_keys=np.zeros(room, np.int64),
        )

    def name(self, keys: Sequence[str], count: int) -> None:
        """Take over the symbols of a checkpoint, `count` of them; their rows are loaded beside.

        Raises:
            ValueError: There are more, or fewer.
        """
        if len(keys) != count:
            raise ValueError(f"expected {count} keys, got {len(keys)}")
        self.keys = list(keys)
        self.names = [split_key(key) for key in keys]
        self._ids = {key: index for index, key in enumerate(keys)}
        order = sorted(range(len(keys)), key=lambda index: keys[index].encode())
        self._sorted = [keys[index].encode() for index in order]
        ranks = np.zeros(len(self.state.symbols), np.int64)
        ranks[order] = np.arange(len(order))
        self.replace(ranks=ranks)

    def link(self, slabs: Ints) -> None:
        """Find what is there in a pool just loaded.

        Args:
            slabs: Those that were loaded, the one with the oldest candles first.
        """
        state = self.state
        link_slabs(state, slabs)
        filled = state.slabs[:-1][state.slabs[:-1] > 0]
        np.add.at(state.alive, (filled - 1) // words.SLAB, 1)
        state.slabs[-1] = np.count_nonzero(state.alive == 0)
