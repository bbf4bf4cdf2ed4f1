"""Whole record batches to Kafka: idempotent, acknowledged by all replicas, bounded in memory.

aiokafka's producer does it; the batches come packed, so that it costs nothing a record. Of each partition one
batch is on its way and one waits: who sends more waits as well, and that is the back-pressure. Order is kept
for each partition. A broker that is away is waited for without end, as `Publisher` does.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from infra.kafka.connection import aiokafka_config
from infra.kafka.outgoing_records import PackedBatch
from infra.settings import KafkaSettings

CONNECT_PAUSE_S: Final = 0.5
CLOSE_TIMEOUT_S: Final = 2.0
REQUEST_TIMEOUT_MS: Final = 40_000

Outcome = Callable[[int, str | None], None]
"""Told what became of a batch: how many records, and why they were refused for good; None: they stand."""


class BatchSender:
    """Sends batches; use from one event loop.

    Args:
        settings: Where Kafka is.
        client_id: Name that the broker's logs and quotas know this producer by.

    Raises:
        ConfigurationError: No brokers are configured.
    """

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._options = aiokafka_config(settings) | {
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
        }
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._pending: dict[asyncio.Future[Any], int] = {}

    @property
    def waiting(self) -> int:
        """Records that are handed over and not yet acknowledged."""
        return sum(self._pending.values())

    async def send(self, topic: str, partition: int, batch: PackedBatch, outcome: Outcome) -> None:
        """Hand over a batch; waits while another one of the partition does.

        Raises:
            KafkaError: The producer has failed for good.
        """
        producer = self._producer or await self._start()
        while True:
            try:
                sent = await producer.send_batch(batch, topic, partition=partition)
                break
            except KafkaTimeoutError:
                # The broker is away; what waits here is not given up.
                continue
        count = batch.record_count()
        self._pending[sent] = count

        def settled(future: "asyncio.Future[Any]") -> None:
            del self._pending[future]
            if not future.cancelled():
                error = future.exception()
                outcome(count, None if error is None else str(error) or type(error).__name__)

        sent.add_done_callback(settled)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything handed over before has an outcome; whether that was in time."""
        if self._pending:
            _, late = await asyncio.wait(list(self._pending), timeout=timeout_s)
            # The callbacks of what is done are called in the next turn of the loop.
            await asyncio.sleep(0)
            return not late
        return True

    async def close(self) -> None:
        """Let the producer go; what a broker that is away has not acknowledged is dropped."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await producer.stop()

    async def _start(self) -> AIOKafkaProducer:
        async with self._starting:
            while self._producer is None:
                producer = AIOKafkaProducer(**self._options)
                # By itself it gives up where a partition has no leader for the time of a request.
                producer._message_accumulator._batch_ttl = math.inf
                try:
                    await producer.start()
                except KafkaConnectionError:
                    await producer.stop()
                    await asyncio.sleep(CONNECT_PAUSE_S)
                else:
                    self._producer = producer
            return self._producer
