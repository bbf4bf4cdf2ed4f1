"""Reads our candles and the venues' own, and tells where they differ: a metric for all, an event for each.

One worker of the group compares a partition; it begins with what comes from then on. Until a venue's candle
has come, ours are not read at all.
"""

import asyncio
import time
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, Message, TopicPartition

from infra import metrics
from infra.kafka.connection import librdkafka_config
from infra.kafka.event_headers import event_headers
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from processors.candles.comparison import CandleComparison, Compared
from schemas.errors import DecodeError
from schemas.event_types import checked
from schemas.identity import candle_id
from schemas.namespace import current
from schemas.records import Candle, ExchangeCandle, Record, SystemEvent
from schemas.rows import decode
from schemas.topics import CANDLES, EXCHANGE_CANDLES, SYSTEM_EVENTS

POLL_S: Final = 0.2
POLL_RECORDS: Final = 2_000
SOURCE: Final = "process"

logger = get_logger(__name__)


class ComparisonReader:
    """Compares the candles of the partitions that the group gives to this worker.

    Args:
        settings: Where Kafka is, and the name of the application.
        publisher: For the events.
    """

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        config = librdkafka_config(settings.kafka) | {
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            "auto.offset.reset": "latest",
            "session.timeout.ms": settings.kafka.session_timeout_ms,
            "heartbeat.interval.ms": settings.kafka.heartbeat_interval_ms,
        }
        group = current().name_of(f"{settings.processors.app_id}-comparison")
        self._theirs = Consumer(config | {"group.id": group})
        self._ours = Consumer(config | {"group.id": f"{group}-ours"})
        self._read: set[int] = set()
        self._comparison = CandleComparison()
        self._publisher = publisher

    async def run(self) -> None:
        """Compare until it is cancelled."""
        self._theirs.subscribe([EXCHANGE_CANDLES.name], on_revoke=self._revoked, on_lost=self._revoked)
        try:
            while True:
                moved = await self._poll()
                await asyncio.sleep(0 if moved else POLL_S)
        finally:
            for consumer in (self._theirs, self._ours):
                await asyncio.to_thread(consumer.close)

    async def _poll(self) -> bool:
        theirs = self._theirs.consume(POLL_RECORDS, timeout=0)
        for message in theirs:
            record = _record(message)
            if isinstance(record, ExchangeCandle):
                self._begin(message.partition())
                await self._tell(self._comparison.take_theirs(record), record.event_time)
        ours = self._ours.consume(POLL_RECORDS, timeout=0) if self._read else []
        for message in ours:
            record = _record(message)
            if isinstance(record, Candle):
                await self._tell(self._comparison.take_ours(record), record.close_time)
        return bool(theirs or ours)

    def _begin(self, partition: int | None) -> None:
        """Read our candles of a partition from now on."""
        if partition is None or partition in self._read:
            return
        self._read.add(partition)
        self._ours.incremental_assign([TopicPartition(CANDLES.name, partition, OFFSET_END)])

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = [part.partition for part in partitions if part.partition in self._read]
        self._read.difference_update(gone)
        if gone:
            self._ours.incremental_unassign([TopicPartition(CANDLES.name, number) for number in gone])

    async def _tell(self, compared: Compared | None, event_time: int | None) -> None:
        if compared is None:
            return
        candle = compared.candle
        metrics.processors.CANDLES_COMPARED.labels(candle.venue).inc()
        if not compared.differences:
            return
        for difference in compared.differences:
            metrics.processors.CANDLE_MISMATCHES.labels(candle.venue, difference.field).inc()
        name = candle_id(candle.venue, candle.symbol, candle.interval, candle.open_time, candle.revision)
        text = ", ".join(
            f"{found.field} {found.ours!r} against {found.theirs!r}" for found in compared.differences
        )
        logger.warning("a candle differs from the venue's own", candle=name, differences=text)
        event = SystemEvent(
            id=f"mismatch/{name}",
            type=checked("candle.mismatch"),
            source=SOURCE,
            severity="warning",
            message=f"{candle.symbol} {candle.interval}: {text}",
            data={found.field: f"{found.ours!r} {found.theirs!r}" for found in compared.differences},
            event_time=event_time or time.time_ns() // 1_000,
        )
        await self._publisher.publish(
            SYSTEM_EVENTS.name, event, key=SOURCE, headers=event_headers(event, SOURCE)
        )


def _record(message: Message) -> Record | None:
    if message.error() is not None:
        return None
    try:
        return decode(message.value())
    except DecodeError:
        return None
