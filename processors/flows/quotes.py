"""Quotes to flow values: the newest quote of each market, sampled when its venue's watermark passes a second.

The newest quote is that before the mark in the log; a quote is passed over if a newer one of the market has
been there, by the venue's own number. A market that was not quoted since its last value gets none: what it
had still holds. A value is incomplete where the feed ended, or quotes were given up, after that quote.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from numba import types

from processors.engine.snapshots import read_snapshot, write_snapshot
from processors.engine.tables import grown
from processors.flows.feed_clock import SavedClock
from processors.flows.flow import Flow
from processors.flows.plan import STATE_VERSION, FlowPlan
from processors.flows.values import FlowClocks, FlowFold, flow_values, market_of
from schemas import rows
from schemas.columns import Columns
from schemas.compiled import compiled
from schemas.identity import market_key
from schemas.records import Gap, IndicatorValue, Quote, TimeMark

Ints = npt.NDArray[np.int64]

BID, BID_SIZE, ASK, ASK_SIZE, SEQUENCE, CHANGED, SOUND = range(7)
WORDS: Final = 7
NO_SEQUENCE: Final = -1
UNWANTED, BAD_KEY, UNKNOWN = -1, -2, -3
_LEVELS: Final = ("bid", "bid_size", "ask", "ask_size")


class _Rest(msgspec.Struct, array_like=True):
    markets: list[tuple[str, str]]
    clocks: list[tuple[str, SavedClock]]


@compiled(
    types.void(
        types.int64[:, ::1],  # quotes
        types.int64,  # first
        types.int64,  # last
        types.int64[::1],  # markets
        types.int64[:, ::1],  # levels
        types.int64[::1],  # sequences
    )
)
def _keep_newest(quotes: Any, first: int, last: int, markets: Any, levels: Any, sequences: Any) -> None:
    """Take the quotes of rows [first, last) into the newest of each market."""
    for index in range(first, last):
        market = markets[index]
        if market < 0:
            continue
        sequence = sequences[index]
        if sequence != NO_SEQUENCE:
            if sequence <= quotes[market, SEQUENCE]:
                continue
            quotes[market, SEQUENCE] = sequence
        for word in range(4):
            quotes[market, word] = levels[word, index]
        quotes[market, CHANGED] = 1
        quotes[market, SOUND] = 1


class QuoteFlows:
    """The state of the quotes of one partition.

    Args:
        plan: What is computed, and of which markets.
    """

    def __init__(self, plan: FlowPlan) -> None:
        self._plan = plan
        self._clocks = FlowClocks()
        self._quotes: Ints = np.zeros((64, WORDS), np.int64)
        self._markets: list[tuple[str, str]] = []
        self._flows: list[tuple[Flow, ...]] = []
        self._known: dict[str, int] = {}
        self._numbers: Ints = np.full(1024, UNKNOWN, np.int64)

    def fold(self, columns: Columns, keys: Sequence[str], key_ids: npt.NDArray[np.int32]) -> FlowFold:
        """Take consecutive records.

        Args:
            columns: Their values; quotes, marks and gaps are taken.
            keys: Market keys by id; the same list, growing, for all batches.
            key_ids: Key of each record, -1: null.
        """
        folded = FlowFold()
        chosen = columns.rows(Quote)
        markets = self._markets_of(keys, key_ids[chosen])
        folded.refused = chosen[markets == BAD_KEY].tolist()
        levels = np.stack([_bits(columns, name) for name in _LEVELS])
        sequences = np.where(
            columns.valid(Quote, "sequence"), columns.column(Quote, "sequence"), NO_SEQUENCE
        ).astype(np.int64)
        done = 0
        for row in sorted([*columns.rows(TimeMark).tolist(), *columns.rows(Gap).tolist()]):
            until = int(np.searchsorted(chosen, row))
            _keep_newest(self._quotes, done, until, markets, levels, sequences)
            done = until
            record = rows.decode(columns.value(row))
            if isinstance(record, TimeMark):
                folded.sampled.append((record, self._take_mark(record)))
            elif isinstance(record, Gap) and record.status != "filled":
                self._doubt(self._known.get(market_key(record.venue, record.symbol)))
        _keep_newest(self._quotes, done, chosen.size, markets, levels, sequences)
        return folded

    def _take_mark(self, mark: TimeMark) -> list[IndicatorValue]:
        opened, has_ended = self._clocks.take(mark)
        values: list[IndicatorValue] = []
        if opened is not None:
            changed = np.flatnonzero(self._quotes[: len(self._markets), CHANGED])
            own = [index for index in changed.tolist() if self._markets[index][0] == mark.venue]
            for index in sorted(own, key=lambda index: self._markets[index]):
                values += self._values(index, opened)
            self._quotes[own, CHANGED] = 0
        if has_ended:
            for index, (venue, _) in enumerate(self._markets):
                if venue == mark.venue:
                    self._doubt(index)
        return values

    def _values(self, index: int, opened: int) -> list[IndicatorValue]:
        bid, bid_size, ask, ask_size = self._quotes[index, :4].view(np.float64).tolist()
        if math.isnan(bid) or math.isnan(ask):
            return []  # a side is empty
        flows = self._flows[index]
        sound = [bool(self._quotes[index, SOUND])] * len(flows)
        return flow_values(self._markets[index], opened, flows, ([(bid, bid_size)], [(ask, ask_size)]), sound)

    def _doubt(self, index: int | None) -> None:
        if index is not None:
            self._quotes[index, SOUND] = 0

    def _markets_of(self, keys: Sequence[str], key_ids: npt.NDArray[np.int32]) -> Ints:
        """Number of the market of each quote, or why it has none."""
        if len(self._numbers) < len(keys):
            fresh = np.full(2 * len(keys) - len(self._numbers), UNKNOWN, np.int64)
            self._numbers = np.concatenate((self._numbers, fresh))
        found = np.where(key_ids < 0, BAD_KEY, self._numbers[key_ids])
        fresh_ids, first = np.unique(key_ids[found == UNKNOWN], return_index=True)
        if fresh_ids.size:
            for key_id in fresh_ids[np.argsort(first)].tolist():
                self._numbers[key_id] = self._number(keys[key_id])
            found = np.where(key_ids < 0, BAD_KEY, self._numbers[key_ids])
        return found

    def _number(self, key: str) -> int:
        market = market_of(key)
        if market is None:
            return BAD_KEY
        if not self._plan.flows_of(key):
            return UNWANTED
        return self._known[key] if key in self._known else self._add(key, market)

    def _add(self, key: str, market: tuple[str, str]) -> int:
        index = self._known[key] = len(self._markets)
        self._markets.append(market)
        self._flows.append(self._plan.flows_of(key))
        if index == len(self._quotes):
            self._quotes = grown(self._quotes)
        self._quotes[index, SEQUENCE] = NO_SEQUENCE
        return index

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        rest = _Rest(self._markets, self._clocks.save())
        arrays = {"quotes": self._quotes[: len(self._markets)]}
        return write_snapshot(STATE_VERSION, self._plan.digest, arrays, rest)

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or another plan, or damaged; the state is
            unchanged.
        """
        arrays, rest = read_snapshot(STATE_VERSION, self._plan.digest, ("quotes",), _Rest, snapshot)
        self._known, self._markets, self._flows = {}, [], []
        self._numbers[:] = UNKNOWN
        for venue, symbol in rest.markets:
            self._add(market_key(venue, symbol), (venue, symbol))
        self._quotes[: len(rest.markets)] = arrays["quotes"]
        self._clocks.load(rest.clocks)


def _bits(columns: Columns, name: str) -> Ints:
    """A price or a size of all quotes, bit for bit; a side that is empty has NaN."""
    column = columns.column(Quote, name)
    return np.where(columns.valid(Quote, name), column, np.nan).view(np.int64)
