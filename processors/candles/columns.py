"""From decoded columns to the rows that the candle builder takes."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from processors.candles.batches import CandleRows, RowKind
from schemas import rows
from schemas.columns import Columns
from schemas.records import Gap, TimeMark, Trade

T = TypeVar("T", TimeMark, Gap)


def rows_from_columns(
    columns: Columns, keys: Sequence[str], key_ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]
) -> CandleRows:
    """One batch for the builder; nothing is copied that need not be.

    Rows whose value could not be decoded, and records of other types, are skipped by the builder.

    Args:
        columns: The decoded values of consecutive records of a partition.
        keys: The table that `key_ids` point into; the same list for every batch.
        key_ids: Key of each record, -1: null.
        offsets: Offset of each record.
    """
    reader, cells = columns.reader, columns.cells
    marks, gaps = columns.rows(TimeMark), columns.rows(Gap)
    kinds = np.full(len(columns), RowKind.SKIP, np.int8)
    kinds[columns.rows(Trade)] = RowKind.TRADE
    kinds[marks] = RowKind.MARK
    kinds[gaps] = RowKind.GAP
    times = cells[reader.slot(Trade, "event_time")]
    if marks.size:
        times = times.copy()
        times[marks] = cells[reader.slot(TimeMark, "time"), marks]
    sequences = np.where(
        cells[reader.valid_slot(Trade, "sequence")] == 1, cells[reader.slot(Trade, "sequence")], -1
    )
    return CandleRows(
        keys=keys,
        kinds=kinds,
        key_ids=np.ascontiguousarray(key_ids, np.int32),
        times=times,
        prices=columns.doubles[reader.slot(Trade, "price")],
        sizes=columns.doubles[reader.slot(Trade, "size")],
        sides=cells[reader.slot(Trade, "side")],
        sequences=sequences,
        offsets=offsets,
        marks=_records(columns, marks, TimeMark),
        gaps=_records(columns, gaps, Gap),
        value=lambda row: columns.value(row) or b"",
    )


def _records(columns: Columns, chosen: npt.NDArray[np.int64], kind: type[T]) -> dict[int, T]:
    decoded = {row: rows.decode(columns.value(row)) for row in chosen.tolist()}
    return {row: record for row, record in decoded.items() if isinstance(record, kind)}
