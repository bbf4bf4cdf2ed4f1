"""PostgreSQL as a destination: offsets and rows move in one transaction, by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg
from aiokafka import TopicPartition

from infra.logging import get_logger
from schemas.errors import ConfigurationError, UnavailableError
from schemas.topics import BY_BASE_NAME, Topic
from sinks.database import Connection, Database, broken_after, end_stalled, is_passing
from sinks.database_misfits import accept_misfits, find_misfits
from sinks.destination import Destination, Log, MovedError, Place
from sinks.misfits import Misfit
from sinks.portion import Portion, Slice
from sinks.positions import Counts, Move, PartitionRef, Positions
from sinks.sink import Sink

PATIENCE_S: Final = 20.0
"""A transaction that has not ended by then is ended by us: the link may be half open ..."""
PATIENCE_CAP_S: Final = 160.0
"""... or the server be slow: each time it gets twice as long, up to here."""
PREPARE_S: Final = 180.0
"""For what comes before a transaction: making partitions and indexes, waiting for messages at a feed's end.

Beyond, the server is taken for frozen. What was made by then is not made again.
"""

log = get_logger(__name__)


class DatabaseDestination(Destination):
    """Runs one sink in transactions.

    Args:
        database: Where; one connection is held for the transactions.
        sink: What becomes of records.

    Raises:
        ConfigurationError: It reads a topic that does not exist.
    """

    def __init__(self, database: Database, sink: Sink) -> None:
        self.name = sink.name
        self._database = database
        self._sink = sink
        self._topics = [topic if isinstance(topic, Topic) else _known(topic) for topic in sink.topics]
        self._positions = Positions(sink.name)
        self._db: Connection | None = None
        self._written: Portion | None = None
        self._connection_name = f"sink-{sink.name}"
        self._patience_s = PATIENCE_S
        self._log = log.bind(sink=sink.name)

    @property
    def topics(self) -> Sequence[Topic]:
        """What the sink reads."""
        return self._topics

    def inspect(self, slice_: Slice) -> None:
        """As the sink does; time marks are kept too, so they are looked at."""
        slice_.check_marks()
        self._sink.inspect(slice_)

    async def place(self, logs: Mapping[TopicPartition, Log]) -> Mapping[TopicPartition, Place]:
        """Ask the offset rows; partitions without one get it."""
        db = await self._connection()
        with self._patience(db):
            numbers = await self._positions.register(db, {tp.topic: log.kafka_id for tp, log in logs.items()})
            refs = {tp: PartitionRef(numbers[tp.topic], tp.partition, tp.topic) for tp in logs}
            stored = await self._positions.begin(db, {refs[tp]: log.first for tp, log in logs.items()})
            await self._sink.restore(db, list(stored))
        return {tp: Place(ref, stored[ref]) for tp, ref in refs.items()}

    async def misfits(self, logs: Mapping[TopicPartition, Log]) -> Sequence[Misfit]:
        """What the offset rows say, and the logs do not."""
        return await find_misfits(await self._connection(), self.name, logs)

    async def accept(self, misfits: Sequence[Misfit]) -> None:
        """Retire topics that are gone, move offsets that are lost; in one transaction."""
        await accept_misfits(await self._connection(), misfits)

    async def store(self, portion: Portion) -> None:
        """Store a portion in one transaction."""
        db = await self._connection()
        counts: Mapping[PartitionRef, Counts] = {}
        if not await self._was_stored(db, portion):
            counts = await self._write(db, portion)
        self._written = None
        self._sink.committed(portion, counts)

    async def _was_stored(self, db: Connection, portion: Portion) -> bool:
        """After a failure: whether it came after the commit. The rows know.

        Raises:
            MovedError: The rows are neither where they were nor where this portion ends; or they are there,
                and it was another process that has stored it, so that what we remember is out of date.
        """
        if not portion.uncertain:
            return False
        with self._patience(db):
            rows = await self._positions.read(db, [slice_.ref for slice_ in portion.slices])
        if self._written is portion and all(
            rows.get(slice_.ref) == slice_.next_offset for slice_ in portion.slices
        ):
            self._log.info("the connection was cut after the commit; nothing to repeat")
            return True
        if any(rows.get(slice_.ref) != slice_.expected for slice_ in portion.slices):
            raise MovedError
        return False

    async def _write(self, db: Connection, portion: Portion) -> Mapping[PartitionRef, Counts]:
        with broken_after(db, PREPARE_S):
            await self._sink.prepare(db, portion)
        with self._patience(db):
            return await self._write_at_once(db, portion)

    async def _write_at_once(self, db: Connection, portion: Portion) -> Mapping[PartitionRef, Counts]:
        async with db.transaction():
            moves = [Move(s.ref, s.expected, s.next_offset) for s in portion.slices]
            if not await self._positions.move(db, moves):
                raise MovedError
            counts = dict(await self._sink.write(db, portion))
            self._written = portion
            for slice_ in portion.slices:
                if slice_.refused:
                    counts.setdefault(slice_.ref, Counts()).dead_letters += len(slice_.refused)
            await self._positions.count(db, counts)
            await self._positions.mark(db, [mark for slice_ in portion.slices for mark in slice_.marks()])
        return counts

    @contextmanager
    def _patience(self, db: Connection) -> Iterator[None]:
        began = time.monotonic()
        try:
            with broken_after(db, self._patience_s):
                yield
        except psycopg.OperationalError:
            if time.monotonic() - began >= self._patience_s:
                self._patience_s = min(2 * self._patience_s, PATIENCE_CAP_S)
            raise
        self._patience_s = PATIENCE_S

    def is_passing(self, error: Exception) -> bool:
        """Whether the database is away, full, locked, or took another side."""
        return is_passing(error)

    async def recover(self, error: Exception) -> None:
        """Begin with a new connection; after waiting for a lock in vain, see who holds it."""
        if isinstance(error, psycopg.errors.LockNotAvailable):
            await self._end_stalled()
        await self.close()

    async def _end_stalled(self) -> None:
        """Another sink that was stopped in mid-transaction may hold our rows."""
        try:
            ended = await end_stalled(await self._connection(), self._connection_name)
        except (psycopg.Error, UnavailableError) as error:
            self._log.info("transactions of stalled sinks could not be ended", error=str(error).strip())
        else:
            if ended:
                self._log.warning("the transaction of a stalled sink was ended", transactions=ended)

    async def serve(self) -> None:
        """As the sink does."""
        await self._sink.serve()

    async def close(self) -> None:
        """Give up the connection."""
        held, self._db = self._db, None
        if held is not None:
            await self._database.release(held)

    async def _connection(self) -> Connection:
        if self._db is not None and self._db.closed:
            await self.close()
        if self._db is None:
            self._db = await self._database.hold(self._connection_name)
        return self._db


def _known(name: str) -> Topic:
    if name not in BY_BASE_NAME:
        raise ConfigurationError(f"there is no topic {name!r}; there are {', '.join(sorted(BY_BASE_NAME))}")
    return BY_BASE_NAME[name]
