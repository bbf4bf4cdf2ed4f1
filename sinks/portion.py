"""What a runner hands on: decoded records of partitions, and which of them were refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from infra.kafka.record_batches import RawRecords
from schemas import rows
from schemas.columns import Columns, RowStatus
from schemas.errors import DecodeError
from schemas.records import Record, TimeMark
from schemas.topics import Topic
from sinks.positions import Mark, PartitionRef
from sinks.storable import TIME_MAX_US, TIME_MIN_US, unfit_texts

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
RecordT = TypeVar("RecordT", bound=Record)


@dataclass(slots=True)
class Slice:
    """Consecutive records of one partition, decoded.

    Attributes:
        ref: The partition.
        epoch: Which assignment of the partition it was read under.
        expected: Offset that the partition's row must have.
        next_offset: Offset that the row has afterwards.
        records: The raw records: offsets, keys and headers.
        columns: Their values.
        good: bool[n], false for what was refused.
        refused: Why, by row.
        unsent: What of it was not handed to the dead letters yet.
        decoded: Records that have no columns, as objects, with their rows; filled by `decode`.
    """

    ref: PartitionRef
    epoch: int
    expected: int
    next_offset: int
    records: RawRecords
    columns: Columns
    good: Mask
    refused: dict[int, str] = field(default_factory=dict)
    unsent: list[tuple[int, str]] = field(default_factory=list)
    decoded: list[tuple[int, Record]] = field(default_factory=list)

    def refuse(self, chosen: Iterable[int], reason: str) -> None:
        """Send rows to the dead letters; the first reason stays."""
        for row in chosen:
            if self.good[row]:
                self.good[row] = False
                self.refused[row] = reason
                self.unsent.append((row, reason))

    def refuse_times(self, record: type[Record], name: str) -> None:
        """Refuse rows whose time is none of a market's; nulls pass."""
        values = self.columns.column(record, name)
        wrong = (values < TIME_MIN_US) | (values >= TIME_MAX_US)
        if wrong.any():
            wrong &= self.columns.valid(record, name)
            chosen = self.columns.rows(record)[wrong]
            self.refuse(chosen.tolist(), f"{name} is not between the years 1800 and 2200")

    def refuse_texts(self, record: type[Record], *names: str) -> None:
        """Refuse rows with a text that PostgreSQL does not take as a name or an id; nulls pass."""
        for name in names:
            unfit = unfit_texts(self.columns.data, *self.columns.spans(record, name))
            if unfit.any():
                chosen = self.columns.rows(record)[unfit]
                self.refuse(
                    chosen.tolist(), f"{name} is empty, holds a zero byte or is longer than 200 bytes"
                )

    def kept(self, record: type[Record]) -> Mask:
        """bool, aligned to `columns.rows(record)`: which of them were not refused."""
        return self.good[self.columns.rows(record)]

    def decode(self, record: type[RecordT], fault: Callable[[RecordT], str | None] = lambda _: None) -> None:
        """Fill `decoded` with the rows of a record, as objects; refuse what is wrong.

        Args:
            record: Which of the records that the topic holds.
            fault: Why one cannot be stored; None if it can.
        """
        for row in self.columns.rows(record)[self.kept(record)].tolist():
            try:
                found = rows.decode(self.columns.value(row))
            except DecodeError as error:
                self.refuse([row], str(error))
                continue
            assert isinstance(found, record)
            reason = fault(found)
            if reason is None:
                self.decoded.append((row, found))
            else:
                self.refuse([row], reason)

    def codes(self, record: type[Record], name: str) -> Int64s:
        """Dictionary codes of an interned text, aligned to `columns.rows(record)`."""
        columns = self.columns
        found: Int64s = columns.cells[columns.reader.code_slot(record, name)].take(columns.rows(record))
        return found

    def check_marks(self) -> None:
        """Refuse marks that could not be kept."""
        self.refuse_times(TimeMark, "time")
        self.refuse_texts(TimeMark, "venue", "source", "instance")

    def marks(self) -> list[Mark]:
        """The newest time mark of each source."""
        kept = np.flatnonzero(self.kept(TimeMark))
        if not len(kept):
            return []
        names = ("venue", "source", "instance")
        venue, source, instance = (self.codes(TimeMark, name) for name in names)
        venues, sources, instances = (self.columns.reader.dictionaries[name].keys for name in names)
        _, back = np.unique((venue[kept] << 32 | source[kept])[::-1], return_index=True)
        times, finals = self.columns.column(TimeMark, "time"), self.columns.column(TimeMark, "final")
        offsets = self.records.offsets[self.columns.rows(TimeMark)]
        return [
            Mark(
                self.ref,
                venues[venue[i]],
                sources[source[i]],
                int(times[i]),
                bool(finals[i]),
                instances[instance[i]],
                int(offsets[i]),
            )
            for i in kept[len(kept) - 1 - back].tolist()
        ]


@dataclass(slots=True)
class Portion:
    """What one transaction stores: at most one slice a partition.

    Attributes:
        slices: In the order of their partitions.
        dead_letters_sent: Whether what was refused is acknowledged by the dead letter topics.
        uncertain: An attempt has failed, perhaps after its commit.
    """

    slices: list[Slice]
    dead_letters_sent: bool = False
    uncertain: bool = False

    def of(self, topic: Topic | str) -> list[Slice]:
        """The slices of a topic."""
        name = topic if isinstance(topic, str) else topic.name
        return [slice_ for slice_ in self.slices if slice_.ref.topic == name]


def refuse_undecodable(slice_: Slice, allowed: Sequence[type[Record]]) -> None:
    """Refuse what the codec could not read, and records of the contract that the topic must not hold."""
    columns = slice_.columns
    for row in columns.bad.tolist():
        slice_.refuse([row], RowStatus(int(columns.status[row])).reason)
    expected = np.zeros(len(columns), np.bool_)
    for record in allowed:
        expected[columns.rows(record)] = True
    strangers = np.flatnonzero(slice_.good & ~expected)
    for row in strangers.tolist():
        found = columns.reader.entries[int(columns.schema[row])].record
        name = getattr(found, "__name__", str(found))
        names = ", ".join(record.__name__ for record in allowed)
        slice_.refuse([row], f"a {name} has no place in this topic, which holds {names}")
