"""Positions that do not fit the log any more, and what it means to go on nevertheless.

A topic that was deleted and made again, or a log that does not hold the stored offset, stops a sink: going on
would skip records in silence. `kandle sink accept` shows a person what would be given up, and accepts it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sinks.destination import Log


@dataclass(frozen=True, slots=True, order=True)
class Misplaced:
    """A stored position that goes with a misfit.

    Attributes:
        sink: Name of the sink.
        partition: Partition of the topic.
        stored: Offset of the first record that is not stored.
        first: Where it would go on: the first record of the log; None where the log has no such partition.
        end: Offset after the last record of the log; None as above.
        since: When the position last moved.
    """

    sink: str
    partition: int
    stored: int
    first: int | None
    end: int | None
    since: dt.datetime

    @property
    def given_up(self) -> int:
        """Records that were in the log and will never be stored; 0 where the log was cut at its end."""
        return max(0, (self.first or 0) - self.stored)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A topic whose stored positions do not fit.

    Attributes:
        topic: Its name.
        stored_id: Kafka's id of it, as stored ...
        kafka_id: ... and as it is now; another one: it was deleted and made again.
        positions: The positions, of all sinks that share them.
        logs: What Kafka holds of the topic, by partition.
    """

    topic: str
    stored_id: str
    kafka_id: str
    positions: tuple[Misplaced, ...]
    logs: Mapping[int, Log] = field(repr=False, compare=False)

    @property
    def replaced(self) -> bool:
        """Whether the topic was deleted and made again; else offsets were lost."""
        return self.stored_id != self.kafka_id


def sinks_of(misfits: Sequence[Misfit]) -> list[str]:
    """The sinks whose positions are given up."""
    return sorted({position.sink for misfit in misfits for position in misfit.positions})
