"""Candles as they follow from the trades of a topic, by the builder of the workers."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import numpy as np

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import RawRecords
from infra.keyed_rows import Rows, without
from infra.settings import Settings
from kandle.verification.topic_rows import Told, TopicRows, slice_of, slices
from processors.agents.candle_messages import CandleMessages
from processors.candles.builder import CandleBuilder
from processors.candles.columns import rows_from_columns
from processors.candles.rules import CandleRules
from schemas.columns import ColumnReader
from schemas.key_table import KeyTable
from schemas.records import TimeMark
from schemas.topics import CANDLES, TRADES
from sinks.portion import Slice

Passed = dict[tuple[str, str, str], int]
"""Newest time of the marks that a topic holds, by venue, source and run."""


def note_marks(slice_: Slice, passed: Passed) -> None:
    """Take in the marks of some records."""
    for mark in slice_.marks():
        run = (mark.venue, mark.source, mark.instance)
        passed[run] = max(mark.time, passed.get(run, mark.time))


async def recompute(
    settings: Settings,
    reader: ColumnReader,
    taken: TopicRows,
    coming: TopicRows,
    partition: int,
    bounds: tuple[int, int],
    passed: Passed,
    told: Told,
) -> None:
    """Fold the trades of a partition from the first that its log holds, and take in the candles.

    Args:
        settings: Intervals and times as the workers have them, and where Kafka is.
        reader: Reads all topics.
        taken: Takes the candles that the topic of candles should hold by now.
        coming: Takes those that were closed by marks that no worker has passed on yet.
        partition: Its number.
        bounds: First and end offset of the trades.
        passed: Marks that the topic of candles holds: workers write the candles that a mark closes before it.
        told: Is told of the progress.
    """
    builder, messages, keys = (
        CandleBuilder(CandleRules.of_settings(settings.processors)),
        CandleMessages(),
        KeyTable(),
    )
    async with aclosing(slices(settings.kafka, reader, TRADES, partition, *bounds, told)) as found:
        async for slice_ in found:
            records = slice_.records
            key_ids = keys.intern(records.data, records.key_start, records.key_length)
            batch = rows_from_columns(slice_.columns, keys.keys, key_ids, records.offsets)
            folded = builder.fold(batch)
            if not len(folded.candles):
                continue
            made = slice_of(reader, CANDLES, partition, _as_read(messages.of(folded.candles)))
            behind = [row for row, mark in batch.marks.items() if _is_behind(mark, passed)]
            is_due = np.isin(folded.candles.mark_rows, np.array(behind, np.int64))
            taken.take(replace(made, good=made.good & is_due))
            coming.take(replace(made, good=made.good & ~is_due))


def without_history(expected: Rows, found: Rows, identity: tuple[str, ...]) -> tuple[Rows, Rows]:
    """Both without the candles that a venue has told as history: they do not come from trades."""
    if not len(found) or not found.columns["backfilled"].values.any():
        return expected, found
    history = found.columns["backfilled"].values
    return without(expected, found.take(history), identity), found.take(~history)


def _is_behind(mark: TimeMark, passed: Passed) -> bool:
    time = passed.get((mark.venue, mark.source, mark.instance))
    return time is not None and mark.time <= time


def _as_read(outgoing: OutgoingRecords) -> RawRecords:
    """Records on their way out, as they would be read."""
    numbers = np.arange(len(outgoing), dtype=np.int64)
    nothing = np.zeros_like(numbers)
    values = outgoing.values
    return RawRecords(
        data=values.data,
        offsets=numbers,
        timestamps=nothing,
        key_start=nothing,
        key_length=nothing,
        value_start=values.starts,
        value_length=values.lengths,
        header_start=nothing,
        header_end=nothing,
        header_count=nothing,
    )
