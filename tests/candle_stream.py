"""Batches for the candle builder out of records, and outputs that can be compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from processors.bars.builder import BarBook
from processors.candles.batches import CandleRows, Folded, Refusal, RowKind
from processors.candles.builder import CandleBuilder
from schemas.records import Candle, Gap, LiveCandle, TimeMark, Trade, TradeBar

Item = Trade | TimeMark | Gap
SIDES = ("unknown", "buy", "sell")


class KeyIds:
    """Key ids in order of appearance, as a reader gives them."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._ids: dict[str, int] = {}

    def id_of(self, key: str) -> int:
        if key not in self._ids:
            self._ids[key] = len(self.keys)
            self.keys.append(key)
        return self._ids[key]


def rows_from(items: Sequence[Item], first_offset: int, ids: KeyIds) -> CandleRows:
    trades = [item if isinstance(item, Trade) else None for item in items]
    kinds = {Trade: RowKind.TRADE, TimeMark: RowKind.MARK, Gap: RowKind.GAP}
    return CandleRows(
        keys=ids.keys,
        kinds=np.array([kinds[type(item)] for item in items], np.int8),
        key_ids=np.array([-1 if t is None else ids.id_of(f"{t.venue}:{t.symbol}") for t in trades], np.int32),
        times=np.array(
            [
                i.event_time if isinstance(i, Trade) else i.time if isinstance(i, TimeMark) else 0
                for i in items
            ],
            np.int64,
        ),
        prices=np.array([0.0 if t is None else t.price for t in trades], np.float64),
        sizes=np.array([0.0 if t is None else t.size for t in trades], np.float64),
        sides=np.array([0 if t is None else SIDES.index(t.side) for t in trades], np.int64),
        sequences=np.array([-1 if t is None or t.sequence is None else t.sequence for t in trades], np.int64),
        offsets=np.arange(first_offset, first_offset + len(items), dtype=np.int64),
        marks={row: item for row, item in enumerate(items) if isinstance(item, TimeMark)},
        gaps={row: item for row, item in enumerate(items) if isinstance(item, Gap)},
        value=lambda row: str(first_offset + row).encode(),
    )


@dataclass
class Outcome:
    """All that comes of a log."""

    candles: list[Candle] = field(default_factory=list)
    refused: list[tuple[int, Refusal]] = field(default_factory=list)
    live: list[LiveCandle] = field(default_factory=list)
    bars: list[TradeBar] = field(default_factory=list)


def outcome_of(
    builder: CandleBuilder,
    items: Sequence[Item],
    cuts: Iterable[int],
    first_offset: int = 0,
    book: BarBook | None = None,
) -> Outcome:
    """What comes of a log with batches that end at the cuts."""
    ids = KeyIds()
    outcome = Outcome()
    start = 0
    for end in [*sorted(set(cuts)), len(items)]:
        rows = rows_from(items[start:end], first_offset + start, ids)
        folded = builder.fold(rows)
        outcome.candles += folded.candles
        outcome.live += folded.live
        outcome.refused += _checked(folded, first_offset + start)
        if book is not None:
            closed = book.fold(replace(rows, kinds=folded.kinds), folded.admitted)
            assert all(row in rows.marks for row, _ in closed)
            outcome.bars += [bar for _, bar in closed]
        start = end
    return outcome


def fold_in_batches(
    builder: CandleBuilder, items: Sequence[Item], cuts: Iterable[int], first_offset: int = 0
) -> tuple[list[Candle], list[tuple[int, Refusal]]]:
    """Candles, and offset and reason of what was refused, with batches that end at the cuts."""
    outcome = outcome_of(builder, items, cuts, first_offset)
    return outcome.candles, outcome.refused


def _checked(folded: Folded, first_offset: int) -> list[tuple[int, Refusal]]:
    for entry in folded.refused:
        if entry.row >= 0:
            assert entry.offset == first_offset + entry.row
        else:
            assert entry.value == str(entry.offset).encode()
    return [(entry.offset, entry.refusal) for entry in folded.refused]
