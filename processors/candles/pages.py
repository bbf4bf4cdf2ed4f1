"""The pages of a candle builder: slabs of the pool, symbols, id ranges, names, and the small rest.

Of the pool only slabs that have been touched since they were saved are encoded. Word by word instead of
candle by candle they pack far better, to about a fifth. Which candles are there, and how they are linked, is
not saved: it follows from what is in them and from the last sweep of their venues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from processors.candles import words
from processors.candles.batches import WaitingTrade
from processors.candles.rules import STATE_VERSION, CandleRules
from processors.candles.sequence_memory import places_of_digests
from processors.candles.tables import CandleTables
from processors.candles.watermark import Watermarks
from processors.candles.words import SLAB, WORDS, CandleState, Ints
from processors.engine.pages import Page
from processors.engine.snapshots import ForeignSnapshotError, read_snapshot, write_snapshot
from processors.engine.tables import aligned

SYMBOLS_A_PAGE: Final = 2_048
RANGES_A_PAGE: Final = 8_192
DIGESTS_A_PAGE: Final = 1_024

_ARRAYS: Final = ("counters", "slabs", "venues", "sources", "breaks", "gaps")
_SAVED_WORDS: Final = [word for word in range(WORDS) if word not in (words.NEWER, words.OLDER)]
_LEVELS: Final = [words.PENDING_LEVEL, words.OUT_LEVEL, words.REFUSED_LEVEL, words.LIVE_LEVEL]


class _Rest(msgspec.Struct, array_like=True):
    """What the page `rest` holds besides arrays."""

    symbols: int
    venues: list[str]
    sources: list[tuple[str, str]]
    waiting: list[WaitingTrade]
    ranges_used: int


class CandlePages:
    """What of one builder's tables is saved, and what has been."""

    def __init__(self) -> None:
        self._named = 0
        """Symbols on the page of their names."""
        self._remembered = 0
        """Trades on the pages of digests, those that were there once included."""

    def pages(self, tables: CandleTables, waiting: list[WaitingTrade]) -> Iterator[Page]:
        """All pages of the tables and of the trades that wait; see `pages.Paged`."""
        state = tables.state
        yield Page("rest", partial(_rest, tables, waiting))
        yield Page("keys", partial(self._keys, tables), len(tables.keys) != self._named)
        for name, table, used, rows in (
            ("symbols", state.symbols, len(tables.keys), SYMBOLS_A_PAGE),
            ("ranges", state.ranges, tables.ranges_used, RANGES_A_PAGE),
            ("empties", _empties(state), len(tables.keys) if tables.rules.carry else 0, SYMBOLS_A_PAGE),
        ):
            for number, start in enumerate(range(0, used, rows)):
                yield Page(f"{name}.{number}", table[start : min(start + rows, used)].tobytes)
        yield from self._digests(state)
        for slab in np.flatnonzero(state.alive).tolist():
            yield Page(f"pool.{slab}", partial(_slab, state, slab), bool(state.touched[slab]))

    def load(self, rules: CandleRules, pages: Mapping[str, bytes]) -> tuple[CandleTables, list[WaitingTrade]]:
        """What was saved.

        Raises:
            ForeignSnapshotError: It is of another version or of other rules, or damaged.
        """
        try:
            arrays, rest = read_snapshot(STATE_VERSION, rules.digest, _ARRAYS, _Rest, pages["rest"])
            keys = msgspec.msgpack.decode(pages["keys"], type=list[str])
            slabs = [int(name.removeprefix("pool.")) for name in pages if name.startswith("pool.")]
            tables = _tables(rules, pages, 1 + max(slabs, default=0), arrays, rest)
            tables.name(keys, rest.symbols)
            times = [_read_slab(tables.state, slab, pages[f"pool.{slab}"]) for slab in slabs]
            tables.link(np.array([slab for _, slab in sorted(zip(times, slabs, strict=True))], np.int64))
        except (KeyError, IndexError, ValueError, msgspec.MsgspecError) as error:
            raise ForeignSnapshotError(
                f"the pages of candles are damaged: {error!r}; rebuild the state from the log"
            ) from error
        self._named = len(keys)
        self._remembered = int(arrays["counters"][words.REMEMBERED])
        return tables, rest.waiting

    def _digests(self, state: CandleState) -> Iterator[Page]:
        """Pages that are filled in turn; what has been remembered since the last save is on few of them."""
        before, self._remembered = self._remembered, int(state.counters[words.REMEMBERED])
        new = np.arange(max(before, self._remembered - words.MEMORY), self._remembered)
        changed = set((new % words.MEMORY // DIGESTS_A_PAGE).tolist())
        for number in range(-(-min(self._remembered, words.MEMORY) // DIGESTS_A_PAGE)):
            rows = state.digests[number * DIGESTS_A_PAGE : (number + 1) * DIGESTS_A_PAGE]
            yield Page(f"digests.{number}", rows.tobytes, number in changed)

    def _keys(self, tables: CandleTables) -> bytes:
        self._named = len(tables.keys)
        return msgspec.msgpack.encode(tables.keys)


def _rest(tables: CandleTables, waiting: list[WaitingTrade]) -> bytes:
    state = tables.state
    counters, slabs = state.counters.copy(), state.slabs.copy()
    counters[_LEVELS] = slabs[-1] = 0
    arrays = {name: getattr(state, name) for name in _ARRAYS} | {"counters": counters, "slabs": slabs}
    rest = _Rest(len(tables.keys), *tables.watermarks.names, waiting, tables.ranges_used)
    return write_snapshot(STATE_VERSION, tables.rules.digest, arrays, rest)


def _empties(state: CandleState) -> Ints:
    """What is known of candles without trades, by symbol."""
    return np.stack((state.next_empty, state.last_closes.view(np.int64)), axis=1)


def _slab(state: CandleState, slab: int) -> bytes:
    state.touched[slab] = 0
    return np.ascontiguousarray(state.pool[slab * SLAB : (slab + 1) * SLAB, _SAVED_WORDS].T).tobytes()


def _read_slab(state: CandleState, slab: int, page: bytes) -> int:
    """Put the rows of a slab into the pool; returns the newest open time in it."""
    saved = np.frombuffer(page, np.int64).reshape(len(_SAVED_WORDS), SLAB)
    rows = state.pool[slab * SLAB : (slab + 1) * SLAB]
    rows[:, : words.NEWER], rows[:, words.OLDER + 1 :] = saved[: words.NEWER].T, saved[words.NEWER :].T
    return int(np.max(saved[words.OPEN_TIME], initial=0))


def _tables(
    rules: CandleRules, pages: Mapping[str, bytes], slabs: int, arrays: dict[str, Ints], rest: Any
) -> CandleTables:
    """Tables with all that was saved in its place but the pool."""
    tables = CandleTables(rules)
    state = tables.state
    size = max(len(state.pool), SLAB * slabs)
    pool = aligned(size, WORDS)
    symbols = _table(pages, "symbols", rest.symbols, state.symbols)
    ends = np.full((2, len(symbols) * len(rules.intervals)), -1, np.int64)
    tables.watermarks = Watermarks(rules, arrays["counters"])
    tables.watermarks.load((rest.venues, rest.sources), arrays["venues"], arrays["sources"], arrays["breaks"])
    tables.ranges_used = rest.ranges_used
    remembered = int(arrays["counters"][words.REMEMBERED])
    known = -(-min(remembered, words.MEMORY) // DIGESTS_A_PAGE) * DIGESTS_A_PAGE
    digests = _table(pages, "digests", known, state.digests)
    empties = np.full((len(symbols), 2), (words.NONE, 0), np.int64)
    if rules.carry:
        empties[: rest.symbols] = _table(pages, "empties", rest.symbols, empties[:1])[: rest.symbols]
    tables.replace(
        **arrays,
        symbols=symbols,
        next_empty=np.ascontiguousarray(empties[:, 0]),
        last_closes=np.ascontiguousarray(empties[:, 1]).view(np.float64),
        digests=digests,
        places=places_of_digests(digests, remembered),
        heads=ends[0],
        tails=ends[1],
        ranges=_table(pages, "ranges", rest.ranges_used, state.ranges),
        pool=pool,
        values=pool.view(np.float64),
        alive=np.zeros(size // SLAB, np.int64),
        touched=np.zeros(size // SLAB, np.int64),
        pending=np.zeros((size, 4), np.int64),
        due_slots=np.zeros(size, np.int64),
        due_keys=np.zeros(size, np.int64),
    )
    return tables


def _table(pages: Mapping[str, bytes], name: str, used: int, empty: Ints) -> Ints:
    """The rows that were saved of a table, in a table at least as large as an empty one's."""
    numbers = sorted(int(page.removeprefix(f"{name}.")) for page in pages if page.startswith(f"{name}."))
    parts = [np.frombuffer(pages[f"{name}.{number}"], np.int64) for number in numbers]
    saved = np.concatenate([*parts, np.zeros(0, np.int64)]).reshape(-1, empty.shape[1])
    if len(saved) != used:
        raise ValueError(f"expected {used} rows of {name}, got {len(saved)}")
    table = np.repeat(empty[-1:], max(used, len(empty)), axis=0)
    table[:used] = saved
    return table
