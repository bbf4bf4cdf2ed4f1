"""Order books to flow values: the book of each market, sampled when its venue's watermark passes a second.

The log holds a chain of deltas upon each snapshot. A book is kept as far as flows can need it; it is sound
from a snapshot on until updates are missing, by their own numbers or by a gap in the log, or until the feed
ends. What comes then changes the book as well, since sizes are absolute, and its values are marked as
incomplete. A market whose book was not updated since its last value gets none: what it had still holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from infra.order_book import OrderBook, SavedBook, reaches_back_to
from processors.engine.pages import Page
from processors.engine.snapshots import ForeignSnapshotError, read_snapshot, write_snapshot
from processors.flows.feed_clock import SavedClock
from processors.flows.flow import BookSample, Flow
from processors.flows.plan import STATE_VERSION, FlowPlan
from processors.flows.values import SECOND_US, FlowClocks, FlowFold, flow_values, market_of
from schemas import rows
from schemas.columns import Columns
from schemas.identity import market_key
from schemas.records import BookUpdate, Gap, IndicatorValue, Micros, TimeMark

LEVELS_KEPT: Final = 1_000
"""Levels that are kept of a side, at least: in a recorded market (BTC/USDT, ticks of 0.01) the price leaves
500 behind between two snapshots."""
SPARE: Final = 10
"""Levels that are kept for each that a flow looks at, at least."""
CLOCKS: Final = "clocks"
"""Name of a page; those of the markets have a colon."""
_ARRAYS: Final = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
_SEQUENCES: Final = ("first_sequence", "last_sequence", "previous_sequence")

T = TypeVar("T", bound=msgspec.Struct)


class _Saved(msgspec.Struct, array_like=True):
    """A market in its page."""

    book: SavedBook
    last_sequence: int | None
    is_sound: bool
    has_changed: bool


class _Clocks(msgspec.Struct, array_like=True):
    clocks: list[tuple[str, SavedClock]]


class _Market:
    """The book of one market; it begins with a snapshot."""

    __slots__ = ("book", "flows", "has_changed", "is_saved", "is_sound", "last_sequence", "name")

    def __init__(self, name: tuple[str, str], flows: tuple[Flow, ...], levels: int) -> None:
        self.name = name
        self.flows = flows
        self.book = OrderBook(*name, levels)
        self.last_sequence: int | None = None
        self.is_sound = False
        self.has_changed = False
        self.is_saved = False

    def take(self, update: BookUpdate) -> None:
        held, last = self.last_sequence, update.last_sequence
        if update.kind == "snapshot":
            self.is_sound = True
        elif held is not None and last is not None:
            if last <= held:
                return  # a repeat
            self.is_sound &= reaches_back_to(update, held) <= held
        self.is_saved = False
        self.book.apply(update)
        if last is not None or update.kind == "snapshot":
            self.last_sequence = last
        self.has_changed = True

    def doubt(self) -> None:
        self.is_saved &= not self.is_sound
        self.is_sound = False

    def sample(self, at: Micros) -> list[BookUpdate]:
        """The best levels at this time, µs, if they are wanted and all known."""
        depth = max((flow.depth for flow in self.flows if isinstance(flow, BookSample)), default=0)
        if not depth or not self.is_sound or not self.book.is_certain(depth):
            return []
        (bids, asks), (venue, symbol) = self.book.top(depth), self.name
        return [
            BookUpdate(
                venue=venue,
                symbol=symbol,
                kind="snapshot",
                first_sequence=None,
                last_sequence=self.last_sequence,
                previous_sequence=None,
                bid_prices=[price for price, _ in bids],
                bid_sizes=[size for _, size in bids],
                ask_prices=[price for price, _ in asks],
                ask_sizes=[size for _, size in asks],
                checksum=None,
                event_time=at,
                receive_time=at,
            )
        ]

    def values(self, opened: int) -> list[IndicatorValue]:
        self.has_changed = self.is_saved = False
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
                values, sampled = self._take_mark(record)
                folded.sampled.append((record, values))
                folded.books.append(sampled)
            elif isinstance(record, Gap) and record.status != "filled":
                market = self._markets.get(market_key(record.venue, record.symbol))
                if market is not None:
                    market.doubt()
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

    def _take_mark(self, mark: TimeMark) -> tuple[list[IndicatorValue], list[BookUpdate]]:
        opened, has_ended = self._clocks.take(mark)
        if opened is None and not has_ended:
            return [], []
        own = [market for _, market in sorted(self._markets.items()) if market.name[0] == mark.venue]
        values: list[IndicatorValue] = []
        books: list[BookUpdate] = []
        for market in own:
            if opened is not None and market.has_changed:
                books += market.sample(opened + SECOND_US)
                values += market.values(opened)
            if has_ended:
                market.doubt()
        return values, books

    def pages(self) -> Iterator[Page]:
        """See `pages.Paged`: the clocks, and each market."""
        yield Page(CLOCKS, lambda: self._write(_Clocks(self._clocks.save())))
        for key, market in sorted(self._markets.items()):
            yield Page(key, partial(self._save, market), not market.is_saved)

    def load(self, pages: Mapping[str, bytes]) -> None:
        """See `pages.Paged`.

        Raises:
            ForeignSnapshotError: They are of another version or another plan, or damaged.
        """
        if CLOCKS not in pages:
            raise ForeignSnapshotError("the clocks of the venues are missing; rebuild the state from the log")
        for key, page in pages.items():
            if key == CLOCKS:
                self._clocks.load(self._read(page, _Clocks).clocks)
                continue
            saved = self._read(page, _Saved)
            market = self._markets[key] = self._empty(key)
            market.book.restore(saved.book)
            market.last_sequence = saved.last_sequence
            market.is_sound, market.has_changed, market.is_saved = saved.is_sound, saved.has_changed, True

    def _save(self, market: _Market) -> bytes:
        market.is_saved = True
        saved = _Saved(market.book.save(), market.last_sequence, market.is_sound, market.has_changed)
        return self._write(saved)

    def _write(self, rest: msgspec.Struct) -> bytes:
        return write_snapshot(STATE_VERSION, self._plan.digest, {}, rest)

    def _read(self, page: bytes, kind: type[T]) -> T:
        rest: T = read_snapshot(STATE_VERSION, self._plan.digest, (), kind, page)[1]
        return rest


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
