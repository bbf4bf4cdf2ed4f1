"""What a sink in the database is: records become rows in the transaction that moves the offsets.

The destination calls, for each portion of records, in this order:

1. `inspect`, in a thread: refuse records that no retry will ever store; they go to the dead letters.
2. `prepare`: what has to be done outside of the transaction (making partitions, delivering messages).
3. `write`, inside the transaction that moves the offsets: either all of it happens, or nothing.
4. `committed`: take over in memory what `write` has computed.

After a failure 2 and 3 are called again with the same portion, so `prepare` must bear repetition, and
`write` must not change the sink's own memory. `restore` is called before the first portion of a partition
and whenever what the sink remembers may differ from what is stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from schemas.topics import Topic
from sinks.database import Connection
from sinks.portion import Portion, Slice
from sinks.positions import Counts, PartitionRef


class Sink(ABC):
    """One sink; see the module's docstring for who calls what, and when. `topics` and `write` are enough."""

    name: ClassVar[str]
    """Names the consumer group, the offset rows and the metrics; never changes."""

    @property
    @abstractmethod
    def topics(self) -> Sequence[Topic | str]:
        """What it reads: topics, or their names; a plain class attribute will do."""

    @abstractmethod
    async def write(self, db: Connection, portion: Portion) -> Mapping[PartitionRef, Counts]:
        """Store a portion inside the running transaction; returns what became of its records."""

    def inspect(self, slice_: Slice) -> None:
        """Refuse what can never be stored. Called in a thread, before the transaction; no I/O."""

    async def restore(self, db: Connection, refs: Sequence[PartitionRef]) -> None:
        """Load, or load again, what the sink remembers of partitions."""

    async def prepare(self, db: Connection, portion: Portion) -> None:
        """Do what has to happen outside of the transaction; may be called again for the same portion."""

    def committed(self, portion: Portion, counts: Mapping[PartitionRef, Counts]) -> None:
        """The last `write` is committed, with the counts it returned; empty if they are not known."""

    async def serve(self) -> None:
        """Work of its own beside the runner, until it is cancelled; returns at once if there is none."""
