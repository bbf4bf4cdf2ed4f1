"""Reads the whole alerts topic, and then what comes; every worker does, since any market may be its own.

Nothing runs in between: librdkafka fetches by itself, and `refresh` takes what has come. So what is known
changes between two batches of trades and never within one.
"""

from __future__ import annotations

import asyncio
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.connection import librdkafka_config
from infra.logging import get_logger
from infra.settings import KafkaSettings
from processors.alerts.versions import AlertVersions
from schemas.topics import ALERTS

POLL_RECORDS: Final = 1_000
POLL_S: Final = 0.1
TIMEOUT_S: Final = 5.0

log = get_logger(__name__)


class AlertReader:
    """What the alerts topic says, as far as it was read; call from one event loop.

    Args:
        settings: Where Kafka is.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.versions = AlertVersions()
        self._config = librdkafka_config(settings) | {
            "group.id": "kandle-alerts",  # asked for by the client; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
        self._consumer: Consumer | None = None
        self._next = 0
        self._behind = True
        self._is_away = False

    def expire(self) -> None:
        """Let the next refresh read up to what is then the end of the topic: partitions were restored."""
        self._behind = True

    async def refresh(self) -> AlertVersions:
        """Take what has come. Waits for Kafka, however long, only at first and after `expire`."""
        if self._behind:
            await asyncio.to_thread(self._catch_up)
            self._behind = False
        elif self._consumer is not None:
            self._take(self._consumer.consume(POLL_RECORDS, timeout=0))
        return self.versions

    def _catch_up(self) -> None:
        place = TopicPartition(ALERTS.name, 0, OFFSET_BEGINNING)
        if self._consumer is None:
            self._consumer = Consumer(self._config)
            self._consumer.assign([place])
        while True:
            try:
                _, end = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT_S, cached=False)
                break
            except KafkaException as error:
                self._wait_for_kafka(error.args[0])
        while self._next < end:
            self._take(self._consumer.consume(POLL_RECORDS, timeout=POLL_S))

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            error, offset = message.error(), message.offset()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                self._is_away = False
                self._next = offset + (error is None)
            else:
                self._wait_for_kafka(error)
            if error is None and (reason := self.versions.take(message.value())):
                log.warning("an alert cannot be watched", offset=offset, reason=reason)

    def _wait_for_kafka(self, error: KafkaError) -> None:
        if not self._is_away:
            log.warning("the alerts topic cannot be read; it is tried again", reason=error.str())
        self._is_away = True
