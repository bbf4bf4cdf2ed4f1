"""Order books to flow values: the book of each market, sampled when its venue's watermark passes a second.

The log holds a chain of deltas upon each snapshot. A book is kept as far as flows can need it; it is sound
from a snapshot on until updates are missing, by their own numbers or by a gap in the log, or until the feed
ends. What comes then changes the book as well, since sizes are absolute, and its values are marked as
incomplete. A market whose book was not updated since its last value gets none: what it had still holds.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from infra.order_book import OrderBook, SavedBook, reaches_back_to
from processors.feed_clock import SavedClock
from processors.flow import Flow
from processors.flow_plan import STATE_VERSION, FlowPlan
from processors.flow_values import FlowClocks, FlowFold, flow_values, market_of
from processors.snapshots import read_snapshot, write_snapshot
from schemas import rows
from schemas.columns import Columns
from schemas.identity import market_key
from schemas.records import BookUpdate, Gap, IndicatorValue, TimeMark

LEVELS_KEPT: Final = 500
"""Levels that are kept of a side, at least: what changes near the market between two snapshots."""
SPARE: Final = 5
"""Levels that are kept for each that a flow looks at, at least."""
_ARRAYS: Final = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
_SEQUENCES: Final = ("first_sequence", "last_sequence", "previous_sequence")


class _Saved(msgspec.Struct, array_like=True):
    """A market in a snapshot of the state."""

    key: str
    book: SavedBook
    last_sequence: int | None
    is_sound: bool
    has_changed: bool


class _Rest(msgspec.Struct, array_like=True):
    markets: list[_Saved]
    clocks: list[tuple[str, SavedClock]]


class _Market:
    """The book of one market; it begins with a snapshot."""

    __slots__ = ("book", "flows", "has_changed", "is_sound", "last_sequence", "name")

    def __init__(self, name: tuple[str, str], flows: tuple[Flow, ...], levels: int) -> None:
        self.name = name
        self.flows = flows
        self.book = OrderBook(*name, levels)
        self.last_sequence: int | None = None
        self.is_sound = False
        self.has_changed = False

    def take(self, update: BookUpdate) -> None:
        held, last = self.last_sequence, update.last_sequence
        if update.kind == "snapshot":
            self.is_sound = True
        elif held is not None and last is not None:
            if last <= held:
                return  # a repeat
            self.is_sound &= reaches_back_to(update, held) <= held
        self.book.apply(update)
        if last is not None or update.kind == "snapshot":
            self.last_sequence = last
        self.has_changed = True

    def values(self, opened: int) -> list[IndicatorValue]:
        self.has_changed = False
        depth = max(flow.depth for flow in self.flows)
        levels = self.book.top(depth)
        complete = [self.is_sound and self.book.is_certain(flow.depth) for flow in self.flows]
        return flow_values(self.name, opened, self.flows, levels, complete)


class BookFlows:
    """The state of the books of one partition.

    Args:
        plan: What is computed, and of which markets.
    """

    def __init__(self, plan: FlowPlan) -> None:
        self._plan = plan
        self._levels = max(LEVELS_KEPT, SPARE * plan.depth)
        self._clocks = FlowClocks()
        self._markets: dict[str, _Market] = {}

    def fold(self, columns: Columns, keys: Sequence[str], key_ids: npt.NDArray[np.int32]) -> FlowFold:
        """Take consecutive records.

        Args:
            columns: Their values; book updates, marks and gaps are taken.
            keys: Market keys by id; the same list, growing, for all batches.
            key_ids: Key of each record, -1: null.
        """
        folded = FlowFold()
        wanted: dict[int, bool] = {}
        chosen: list[int] = []
        updated = columns.rows(BookUpdate)
        for index, key_id in enumerate(key_ids[updated].tolist()):
            if key_id not in wanted:
                key = keys[key_id] if key_id >= 0 else ""
                if market_of(key) is None:
                    folded.refused.append(int(updated[index]))
                    continue
                wanted[key_id] = bool(self._plan.flows_of(key))
            if wanted[key_id]:
                chosen.append(index)
        updates = _updates(columns, np.array(chosen, np.int64))
        books = dict(zip(updated[chosen].tolist(), updates, strict=True))
        others = [*columns.rows(TimeMark).tolist(), *columns.rows(Gap).tolist()]
        for row in sorted([*books, *others]):
            if row in books:
                self._take_update(keys[key_ids[row]], books[row])
                continue
            record = rows.decode(columns.value(row))
            if isinstance(record, TimeMark):
                folded.sampled.append((record, self._take_mark(record)))
            elif isinstance(record, Gap) and record.status != "filled":
                market = self._markets.get(market_key(record.venue, record.symbol))
                if market is not None:
                    market.is_sound = False
        return folded

    def _take_update(self, key: str, update: BookUpdate) -> None:
        market = self._markets.get(key)
        if market is None:
            if update.kind != "snapshot":
                return  # the log does not hold what the delta is a change to
            market = self._markets[key] = self._empty(key)
        market.take(update)

    def _empty(self, key: str) -> _Market:
        name = market_of(key)
        assert name is not None
        return _Market(name, self._plan.flows_of(key), self._levels)

    def _take_mark(self, mark: TimeMark) -> list[IndicatorValue]:
        opened, has_ended = self._clocks.take(mark)
        if opened is None and not has_ended:
            return []
        own = [market for _, market in sorted(self._markets.items()) if market.name[0] == mark.venue]
        values: list[IndicatorValue] = []
        for market in own:
            if opened is not None and market.has_changed:
                values += market.values(opened)
            market.is_sound &= not has_ended
        return values

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        markets = [
            _Saved(key, market.book.save(), market.last_sequence, market.is_sound, market.has_changed)
            for key, market in sorted(self._markets.items())
        ]
        return write_snapshot(STATE_VERSION, self._plan.digest, {}, _Rest(markets, self._clocks.save()))

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or another plan, or damaged; the state is
            unchanged.
        """
        _, rest = read_snapshot(STATE_VERSION, self._plan.digest, (), _Rest, snapshot)
        self._markets = {}
        for saved in rest.markets:
            market = self._markets[saved.key] = self._empty(saved.key)
            market.book.restore(saved.book)
            market.last_sequence = saved.last_sequence
            market.is_sound, market.has_changed = saved.is_sound, saved.has_changed
        self._clocks.load(rest.clocks)


def _updates(columns: Columns, chosen: npt.NDArray[np.int64]) -> Iterator[BookUpdate]:
    """Book updates of a batch, in order: those at these positions among all of them."""
    kinds = columns.reader.field(BookUpdate, "kind").symbols
    kind = columns.column(BookUpdate, "kind")[chosen].tolist()
    numbers = [
        np.where(columns.valid(BookUpdate, name), columns.column(BookUpdate, name), -1)[chosen].tolist()
        for name in _SEQUENCES
    ]
    arrays = [columns.arrays(BookUpdate, name) for name in _ARRAYS]
    for at, index in enumerate(chosen.tolist()):
        first, last, previous = (column[at] if column[at] >= 0 else None for column in numbers)
        bid_prices, bid_sizes, ask_prices, ask_sizes = (column[index].tolist() for column in arrays)
        yield BookUpdate(
            venue="",
            symbol="",
            kind=kinds[kind[at]],
            first_sequence=first,
            last_sequence=last,
            previous_sequence=previous,
            bid_prices=bid_prices,
            bid_sizes=bid_sizes,
            ask_prices=ask_prices,
            ask_sizes=ask_sizes,
            checksum=None,
            event_time=None,
            receive_time=0,
        )
