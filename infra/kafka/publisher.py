"""Records to Kafka: idempotent, acknowledged by all replicas, bounded in memory.

Wraps librdkafka's producer for asynchronous code. Handing over does not wait for the broker; when
librdkafka's queue is full the caller waits, and so does whatever feeds the caller: that is the back-pressure.
Order is kept for each partition. A broker that is away is waited for without end: nothing is dropped here,
so what is refused for good is a fault of the record or of the topic, counted and raised by `raise_if_failed`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaError, KafkaException, Producer

from infra import metrics
from infra.kafka.batch_sender import BatchSender
from infra.kafka.connection import librdkafka_config
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.tally import Acknowledged, Age, Report, Tally, aged, whole
from infra.settings import KafkaSettings
from schemas import rows
from schemas.errors import KandleError, UnavailableError
from schemas.identity import market_key
from schemas.records import Record

QUEUE_KBYTES: Final = 65_536
QUEUE_MESSAGES: Final = 200_000
"""Bounds of what waits for the broker; the first that is reached makes callers wait."""

POLL_EVERY: Final = 256
"""Records handed over between two looks at the acknowledgements."""

FULL_QUEUE_PAUSE_S: Final = 0.005
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024

Headers: TypeAlias = Sequence[tuple[str, str | bytes | None]]
Told: TypeAlias = tuple[Headers, Acknowledged]
"""What one record of many has besides: headers, and whom to tell of it."""


class PublishError(KandleError):
    """Kafka refused a record for good: no such topic, not ours to write, or the record is too large."""

    code = "PUBLISH"


class Publisher:
    """Publishes records; use from one event loop.

    Args:
        settings: Where Kafka is.
        client_id: Name that the broker's logs and quotas know this producer by.
        linger_ms: How long a record may wait for company: longer batches are cheaper, shorter waits faster.

    Raises:
        ConfigurationError: No brokers are configured.
    """

    def __init__(self, settings: KafkaSettings, client_id: str = "kandle", linger_ms: int = 5) -> None:
        self._producer = Producer(
            librdkafka_config(settings)
            | {
                "client.id": client_id,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "message.timeout.ms": 0,
                "message.max.bytes": MAX_RECORD_BYTES,
                "queue.buffering.max.kbytes": QUEUE_KBYTES,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                # What concerns the user comes through `error_cb`; the rest librdkafka mends by itself.
                "log_level": 2,
                "error_cb": self._on_error,
            },
            logger=logging.getLogger("librdkafka"),
        )
        self._settings, self._client_id = settings, client_id
        self._batches: BatchSender | None = None
        self._depth = metrics.stages.QUEUE_DEPTH.labels(f"publish-{client_id}")
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._keys: dict[tuple[str, str], bytes] = {}
        self._since_poll = 0
        self._failures: list[str] = []
        self._failed = 0
        self._fatal: str | None = None
        self._closing = False

    @property
    def waiting(self) -> int:
        """Records that are handed over and not yet acknowledged."""
        return len(self._producer) + (0 if self._batches is None else self._batches.waiting)

    def acknowledged(self, topic: str) -> int:
        """Records of a topic that the broker has acknowledged since the start, of all kinds."""
        self.poll()
        return sum(tally.total for (name, _), tally in self._tallies.items() if name == topic)

    async def publish(
        self,
        topic: str,
        record: Record | bytes | None,
        key: str | bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
        on_acknowledged: Acknowledged | None = None,
        kind: str | None = None,
        age: Age | None = None,
    ) -> None:
        """Hand over one record; waits while the queue is full, not for the broker.

        Args:
            topic: Name of the topic.
            record: A record of the contract, or bytes as they are; None is a tombstone.
            key: Key; without one, a market record's `venue:symbol`.
            partition: Partition; without one, that of the key (murmur2, as Java clients choose).
            headers: Headers in order.
            kind: Name of the record type for the metrics, where the record comes as bytes.
            on_acknowledged: Called from the event loop's thread or from `flush` once the broker has it.
            age: What is measured once the broker has it.

        Raises:
            ValidationError: The record does not fit its schema.
            PublishError: The producer has failed for good, or the record is too large.
        """
        if isinstance(record, Record):
            kind = kind or type(record).__name__
            value: bytes | None = rows.encode(record)
            if key is None and partition is None:
                key = self._market_key(record)
        else:
            kind, value = kind or "bytes", record
        tally = self._tally(topic, kind)
        report: Report = tally if on_acknowledged is None else tally.then(on_acknowledged)
        options: dict[str, Any] = {"on_delivery": report if age is None else aged(report, age)}
        if partition is not None:
            options["partition"] = partition
        if headers:
            options["headers"] = list(headers)
        while not self._offer(topic, value, key, options):
            await self._room()
            _measure_anew(options, report, age)
        self._since_poll += 1
        if self._since_poll >= POLL_EVERY:
            self.poll()

    async def publish_batch(
        self,
        topic: str,
        messages: Iterable[tuple[bytes | None, bytes | None]],
        kind: str = "bytes",
        partition: int | None = None,
        age: Age | None = None,
        told: Mapping[int, Told] | None = None,
    ) -> None:
        """Hand over keys and values in order, as `publish` does; records of one key stay in order.

        Args:
            topic: Name of the topic.
            messages: Key and encoded value of each record.
            kind: Name of the record type, for the metrics.
            partition: Partition of all of them; without one, that of each key.
            age: What is measured, of the first of them for all.
            told: For the few messages, by their number, that have headers.

        Raises:
            PublishError: The producer has failed for good, or a record is too large.
        """
        tally = self._tally(topic, kind)
        options: dict[str, Any] = {} if partition is None else {"partition": partition}
        options["on_delivery"] = tally if age is None else aged(tally, age)
        offer = self._offer
        if told:
            for number, (key, value) in enumerate(messages):
                own = options if number not in told else options | _of_one(tally, told[number])
                while not offer(topic, value, key, own):
                    await self._room()
                    if own is options:
                        _measure_anew(options, tally, age)
                if own is options:
                    options["on_delivery"] = tally
            self.poll()
            return
        for key, value in messages:
            while not offer(topic, value, key, options):
                await self._room()
                _measure_anew(options, tally, age)
            options["on_delivery"] = tally
        self.poll()

    async def publish_columns(
        self,
        topic: str,
        partition: int,
        records: OutgoingRecords,
        kind: str = "bytes",
        on_acknowledged: Callable[[], None] | None = None,
    ) -> None:
        """Hand over records of one partition as whole batches: at a twentieth of the cost of one by one.

        They go by a producer of their own: in order among themselves, in none with what `publish` takes.

        Args:
            topic: Name of the topic.
            partition: Partition of all of them.
            records: Keys and values.
            kind: Name of the record type, for the metrics.
            on_acknowledged: Called once Kafka has all of them; not if there are none.

        Raises:
            PublishError: Records were refused for good.
        """
        self.raise_if_failed()
        if self._batches is None:
            self._batches = BatchSender(self._settings, self._client_id)
        tally = self._tally(topic, kind)
        settle = (
            tally.settle if on_acknowledged is None else whole(tally.settle, len(records), on_acknowledged)
        )
        try:
            for batch in records.batches():
                await self._batches.send(topic, partition, batch, settle)
            tally.size += records.value_bytes
        except AiokafkaError as error:
            self.raise_if_failed()
            raise PublishError(f"{topic} does not take a batch: {error}") from None
        self.poll()

    def poll(self) -> None:
        """Take in the acknowledgements that have come; does not block. Call now and then while idle."""
        self._since_poll = 0
        self._producer.poll(0)
        self._report()

    def raise_if_failed(self) -> None:
        """Raise if a record was refused for good since the start.

        Raises:
            PublishError: With the first reasons.
        """
        if self._fatal is not None:
            raise PublishError(f"the Kafka producer has stopped: {self._fatal}")
        if self._failed:
            reasons = "; ".join(self._failures)
            raise PublishError(f"Kafka refused {self._failed} records for good: {reasons}")

    async def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything handed over is acknowledged or refused, also what others add meanwhile.

        Raises:
            UnavailableError: Something was still not acknowledged after `timeout_s` seconds.
            PublishError: A record was refused for good.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(deadline - time.monotonic(), 0.0)
            if self._batches is not None:
                await self._batches.flush(left_s)
            if len(self._producer):
                await asyncio.to_thread(self._producer.flush, max(deadline - time.monotonic(), 0.0))
            waiting = self.waiting
            self._report()
            self.raise_if_failed()
            if not waiting:
                return
            if not left_s:
                raise UnavailableError(
                    f"Kafka has not acknowledged {waiting} records within {timeout_s:g} s; is the broker up?"
                )

    async def close(self, timeout_s: float = 10.0) -> None:
        """Flush and let the producer go.

        Raises:
            UnavailableError: As `flush`; what is left is dropped then.
            PublishError: As `flush`.
        """
        try:
            await self.flush(timeout_s)
        finally:
            # What is given up here was reported by the flush; it must not count as refused by the broker.
            self._closing = True
            self._producer.purge()
            self._producer.poll(0)
            self._depth.set(0)
            if self._batches is not None:
                await self._batches.close()

    def _offer(
        self, topic: str, value: bytes | None, key: str | bytes | None, options: dict[str, Any]
    ) -> bool:
        try:
            self._producer.produce(topic, value, key, **options)
        except BufferError:
            return False
        except KafkaException as error:
            self.raise_if_failed()
            raise PublishError(f"{topic} does not take a record: {error.args[0].str()}") from None
        return True

    async def _room(self) -> None:
        self.poll()
        self.raise_if_failed()
        await asyncio.sleep(FULL_QUEUE_PAUSE_S)

    def _tally(self, topic: str, kind: str) -> Tally:
        tally = self._tallies.get((topic, kind))
        if tally is None:
            tally = self._tallies[topic, kind] = Tally(topic, kind, self._refused)
        return tally

    def _report(self) -> None:
        for tally in self._tallies.values():
            tally.report()
        self._depth.set(self.waiting)

    def _market_key(self, record: Record) -> bytes | None:
        venue, symbol = getattr(record, "venue", None), getattr(record, "symbol", None)
        if venue is None or symbol is None:
            return None
        key = self._keys.get((venue, symbol))
        if key is None:
            key = self._keys[venue, symbol] = market_key(venue, symbol).encode()
        return key

    def _refused(self, topic: str, count: int, reason: str) -> None:
        if self._closing:
            return
        metrics.publishing.PUBLISH_ERRORS.labels(topic).inc(count)
        self._failed += count
        if len(self._failures) < 3:
            self._failures.append(f"{topic}: {reason}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error.str()


def _measure_anew(options: dict[str, Any], report: Report, age: Age | None) -> None:
    """Make the wait for room part of the age: librdkafka's latency begins when it takes the message."""
    if age is not None and options["on_delivery"] is not report:
        options["on_delivery"] = aged(report, age)


def _of_one(tally: Tally, told: Told) -> dict[str, Any]:
    """Options of a message that has headers."""
    headers, acknowledged = told
    return {"headers": list(headers), "on_delivery": tally.then(acknowledged)}
