"""`kandle reprocess`: the recomputation of all partitions, and checkpoints from which workers go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from typing import Any, Final

from faust.types import TP

from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.kafka.record_batches import RawRecords
from infra.settings import KafkaSettings, Settings
from processors.agents.indicators import IndicatorStep
from processors.agents.trade_state import TradeState
from processors.agents.trades import TradeStep
from processors.engine.app import changelog, group_of
from processors.engine.checkpoint import Lineage, owner, replay
from processors.engine.pages import State, pages_of
from processors.reprocessing.recomputation import Recomputation, Totals
from schemas import rows
from schemas.errors import ConflictError, DecodeError
from schemas.records import Candle, TimeMark
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TOPICS, TRADES

FLUSH_TIMEOUT_S: Final = 60.0
TOPICS_READ: Final = (TRADES, CANDLES, INDICATORS, SIGNALS)

Told = Callable[[int, int], None]
"""Called with records of the trades topic read so far, and how many there are."""


async def reprocess(settings: Settings, since: int, told: Told) -> Totals:
    """Recompute what was derived from trades, and write what differs as newer revisions.

    Args:
        settings: All settings; indicators and rules as workers will have them.
        since: Open times from here on are looked at, microseconds.
        told: Is told of the progress.

    Raises:
        ConflictError: A worker runs, or none has read all that there is.
        UnavailableError: Kafka does not answer.
        PublishError: Kafka refused a record.
    """
    admin = Admin(settings.kafka)
    admin.ensure_topics([*TOPICS, changelog(settings)])
    members = admin.members(group_of(settings))
    if members:
        raise ConflictError(
            f"{members} workers of {group_of(settings)} run; stop them, then reprocess: they would "
            "go on with what they hold"
        )
    run = _Run(settings, admin, since, told)
    try:
        for partition in range(settings.kafka.partitions):
            await run.check(partition)
        for partition in range(settings.kafka.partitions):
            await run.partition(partition)
    finally:
        await run.close()
    return run.recomputation.totals


class _Run:
    """One reprocessing."""

    def __init__(self, settings: Settings, admin: Admin, since: int, told: Told) -> None:
        names = [(topic.name, number) for topic in TOPICS_READ for number in range(settings.kafka.partitions)]
        bounds = admin.log_ranges(names)
        self._publisher = Publisher(settings.kafka, client_id="kandle-reprocess")
        self.recomputation = Recomputation(settings.kafka, self._publisher, since, bounds)
        self._kept = _Kept(settings.kafka)
        self._trades = TradeStep(settings, self._kept)
        self._indicators = IndicatorStep(settings, self._publisher)
        self._kafka = settings.kafka
        self._admin = admin
        self._bounds = bounds
        self._changelog = changelog(settings).name
        self._topic_ids = admin.topic_ids([TRADES.name, CANDLES.name])
        self._told = told
        self._read = 0
        self._whole = sum(end - first for (topic, _), (first, end) in bounds.items() if topic == TRADES.name)

    async def close(self) -> None:
        """Let the producers go."""
        try:
            await self._publisher.close()
        finally:
            await self._kept.close()

    async def check(self, number: int) -> None:
        """See that workers have read all of a partition, if ever there were any.

        Only they forward marks, and write bars, prices of venues and the signals of alerts. What these would
        come of and a new checkpoint covers is lost to them. Candles without a mark after them may be those
        of a reprocessing that was killed: they hold up no other one.

        Raises:
            ConflictError: They have not.
        """
        for topic in (TRADES.name, CANDLES.name):
            saved = await self._saved(topic, number)
            reached = Lineage(topic, number, "", self._topic_ids[topic], saved).reached()
            first, end = self._bounds[topic, number]
            if reached is None or reached >= end:
                continue
            if topic == TRADES.name or await self._has_marks(topic, number, max(reached, first), end):
                raise ConflictError(
                    f"workers have not read {topic} partition {number} from offset {reached} to {end}; start "
                    "one, stop it once it has read all, then reprocess"
                )

    async def _has_marks(self, topic: str, partition: int, start: int, end: int) -> bool:
        async with aclosing(scan(self._kafka, topic, partition, start, end)) as batches:
            async for records in batches:
                for row in range(len(records)):
                    with suppress(DecodeError):
                        if isinstance(rows.decode(records.value(row)), TimeMark):
                            return True
        return False

    async def partition(self, number: int) -> None:
        """Make one partition right, and write its checkpoints."""
        trades = _Trades(self._trades, self._kept, TP(TRADES.name, number))
        candles = await self.recomputation.candles(number, trades, self._tell)
        book = self._indicators.create(TP(CANDLES.name, number))
        await self.recomputation.series(number, book, candles)
        # Outputs first: a checkpoint must not know of what is not there.
        await self._publisher.flush(FLUSH_TIMEOUT_S)
        await self._checkpoint(TRADES.name, number, self._trades.parameters, trades.state)
        await self._checkpoint(CANDLES.name, number, self._indicators.parameters, book)

    async def _checkpoint(self, topic: str, partition: int, parameters: str, state: State) -> None:
        """Put a checkpoint of all that the topic holds now in the place of all earlier ones."""
        _, end = self._admin.log_ranges([(topic, partition)])[topic, partition]
        if topic == TRADES.name and end != self._bounds[topic, partition][1]:
            raise ConflictError(f"{topic} has grown meanwhile: stop the producers, then reprocess")
        saved = await self._saved(topic, partition)
        lineage = Lineage(topic, partition, parameters, self._topic_ids[topic], saved)
        for key, value in lineage.plan(end, pages_of(state)):
            await self._publisher.publish(self._changelog, value, key, partition)
        # Only now: without any checkpoint a worker would begin anew, and number its revisions from 0 again.
        await self._publisher.flush(FLUSH_TIMEOUT_S)
        for key in saved:
            await self._publisher.publish(self._changelog, None, key, partition)
        await self._publisher.flush(FLUSH_TIMEOUT_S)

    async def _saved(self, topic: str, partition: int) -> dict[bytes, bytes]:
        """The checkpoints of a topic partition, as the changelog has them."""
        log = self._changelog
        bounds = self._admin.log_ranges([(log, partition)])[log, partition]
        saved: dict[bytes, bytes] = {}
        async for records in scan(self._kafka, log, partition, *bounds):
            found = ((records.key(row), records.value(row)) for row in range(len(records)))
            own = ((key, value) for key, value in found if key and owner(key) == (topic, partition))
            replay(own, saved)
        return saved

    def _tell(self, count: int) -> None:
        self._read += count
        self._told(self._read, self._whole)


class _Kept(Publisher):
    """Keeps candles; what else a step publishes while it recomputes was published long ago."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings, client_id="kandle-reprocess-nothing")
        self._candles: list[Candle] = []

    def take(self) -> list[Candle]:
        """What came since the last call."""
        taken, self._candles = self._candles, []
        return taken

    async def publish(self, *_: Any, **__: Any) -> None:
        """Drop a dead letter, or the signal of an alert."""

    async def publish_batch(self, *_: Any, **__: Any) -> None:
        """Drop records."""

    async def publish_columns(
        self, topic: str, partition: int, records: OutgoingRecords, *_: Any, **__: Any
    ) -> None:
        """Keep the candles among the records."""
        if topic == CANDLES.name:
            found = (rows.decode(records.values.value(row)) for row in range(len(records)))
            self._candles += [record for record in found if isinstance(record, Candle)]


class _Trades:
    """One partition in the trades step of a worker, whose candles are kept instead of published.

    Attributes:
        state: The step's state after what was folded.
    """

    def __init__(self, step: TradeStep, kept: _Kept, tp: TP) -> None:
        self._step, self._kept = step, kept
        self.state: TradeState = step.create(tp)

    async def fold(self, tp: TP, records: RawRecords) -> Iterable[Candle]:
        """See `recomputation.TradeFold`."""
        await self._step.fold(self.state, tp, records)
        return self._kept.take()

    def renumber(self, candles: Iterable[Candle]) -> None:
        """See `recomputation.TradeFold`."""
        self.state.candles.renumber(candles)
