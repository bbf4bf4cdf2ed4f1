"""Where one sink's records go, and its positions with them: the runner's other half.

The runner reads, decodes and refuses; a destination keeps. What it keeps of a portion and how far the
partitions are read then, it keeps at once, or not at all: that is what makes a sink exact. A database does it
by a transaction, an archive by a manifest, a cache by an atomic script.

The runner calls, for newly assigned partitions, `place`; then for each portion of records:

1. `inspect`, in a thread: refuse records that no retry will ever keep; they go to the dead letters.
2. `store`: all of it, or nothing.

After a failure that `is_passing`, `recover` is called, and 2 again with the same portion, now `uncertain`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from schemas.topics import Topic
from sinks.misfits import Misfit
from sinks.portion import Portion, Slice
from sinks.positions import PartitionRef


class MovedError(Exception):
    """A position is not what a portion begins at: another process has stored this, or part of it."""


@dataclass(frozen=True, slots=True)
class Log:
    """What Kafka holds of a partition.

    Attributes:
        kafka_id: Id of the topic: another one when it was deleted and made again.
        first: Offset of the first record.
        end: Offset after the last one.
    """

    kafka_id: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a partition is read on.

    Attributes:
        ref: The partition, as the destination names it.
        offset: Of the first record that is not stored yet.
    """

    ref: PartitionRef
    offset: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What a destination wants at once, if it is not what suits a database.

    Attributes:
        max_rows: Records of a portion, at most ...
        max_bytes: ... and bytes of them, as Kafka holds them.
        linger_s: How long records wait for company, s.
    """

    max_rows: int
    max_bytes: int
    linger_s: float


class Destination(ABC):
    """One destination; see the module's docstring for who calls what, and when.

    Attributes:
        name: Names the consumer group, the positions and the metrics; never changes.
    """

    name: str

    @property
    @abstractmethod
    def topics(self) -> Sequence[Topic]:
        """What it reads."""

    @property
    def pace(self) -> Pace | None:
        """How it wants its portions; None: as the settings of all sinks say, sooner rather than larger."""
        return None

    @abstractmethod
    def inspect(self, slice_: Slice) -> None:
        """Refuse what can never be kept. Called in a thread; no I/O."""

    @abstractmethod
    async def place(self, logs: Mapping[TopicPartition, Log]) -> Mapping[TopicPartition, Place]:
        """Where assigned partitions are read on; those never read begin at the first record of their log.

        Raises:
            TopicReplacedError: Positions are kept for a topic of the same name that is gone.
        """

    @abstractmethod
    async def store(self, portion: Portion) -> None:
        """Keep a portion with its positions. If it is `uncertain` it may be kept already: then do nothing.

        Raises:
            MovedError: A position is not what the portion begins at; of that partition nothing was kept, and
                `place` knows of the others.
        """

    @abstractmethod
    def is_passing(self, error: Exception) -> bool:
        """Whether the same work may succeed later: what it depends on is away, full or busy."""

    async def misfits(self, logs: Mapping[TopicPartition, Log]) -> Sequence[Misfit]:
        """Positions that the logs do not bear out; changes nothing. For `kandle sink accept`.

        None where a destination begins anew by itself, as a cache does.
        """
        return []

    async def accept(self, misfits: Sequence[Misfit]) -> None:
        """Go on at the first records of the logs; all of what `misfits` has told, or nothing.

        Raises:
            ConflictError: The positions have changed since.
        """

    async def recover(self, error: Exception) -> None:
        """A passing failure: give up connections that may be broken. It must not raise what is passing."""

    async def serve(self) -> None:
        """Work of its own beside the runner, until it is cancelled; returns at once if there is none."""

    async def close(self) -> None:
        """Release what is held; nothing is called afterwards."""
