"""The ends of the topics as they grow: no group, no commits, from the newest record on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from infra.kafka.connection import aiokafka_config
from infra.kafka.raw_fetcher import Chunk, RawConsumer
from infra.kafka.record_batches import CorruptLogError, RawRecords, read_records
from infra.logging import get_logger
from infra.settings import KafkaSettings
from schemas import rows
from schemas.errors import KandleError
from schemas.records import Gap, TimeMark
from schemas.topics import CANDLES, TRADES
from serve.brokers import Brokers
from serve.hub.feeds import Feeds
from serve.hub.hub import Hub

GATHER_S: Final = 0.01
"""Records that arrive within so long are handled together."""
WAIT_MS: Final = 200
AGAIN_S: Final = 2.0
TOPICS_EVERY_S: Final = 30.0
"""New topics are looked for this often."""
SPECIAL: Final = frozenset(
    rows.encode(record)[: rows.HEADER.size]
    for record in (TimeMark("", "", 0, False, ""), Gap("", "", "", "opened", None, None, 0, 0, ""))
)
MARK: Final = rows.encode(TimeMark("", "", 0, False, ""))[: rows.HEADER.size]

log = get_logger(__name__)


class Tail:
    """Reads all topics that the hub wants to know of, and tells the feeds of marks and gaps.

    Args:
        settings: Where Kafka is.
        brokers: The same, asked for its topics.
        hub: Gets keys and values.
        feeds: Gets what tells how feeds stand.
    """

    def __init__(self, settings: KafkaSettings, brokers: Brokers, hub: Hub, feeds: Feeds) -> None:
        self._settings = settings
        self._brokers = brokers
        self._hub = hub
        self._feeds = feeds
        self.reading = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled; whatever fails is tried again."""
        while True:
            try:
                await self._read()
            except (KafkaError, KandleError, OSError) as error:
                log.warning("the topics cannot be read; trying again", error=str(error))
            finally:
                self.reading.clear()
            await asyncio.sleep(AGAIN_S)

    async def _partitions(self) -> list[TopicPartition]:
        layout = await self._brokers.layout()
        return [
            TopicPartition(name, number)
            for name in sorted(self._hub.topics & layout.replicas.keys())
            for number in range(len(layout.replicas[name]))
        ]

    async def _read(self) -> None:
        partitions = await self._partitions()
        if not partitions:
            return
        async with _consumer(self._settings, partitions) as consumer:
            self.reading.set()
            loop = asyncio.get_running_loop()
            look_again = loop.time() + TOPICS_EVERY_S
            while True:
                try:
                    found: Mapping[TopicPartition, list[Chunk]] = await consumer.getmany(timeout_ms=WAIT_MS)
                except (OffsetOutOfRangeError, CorruptLogError) as error:
                    log.warning("records were passed over", error=str(error))
                    await consumer.seek_to_end()
                    continue
                for tp, chunks in found.items():
                    for chunk in chunks:
                        await self._take(tp, read_records(chunk.batches, chunk.start_offset))
                if loop.time() > look_again:
                    if await self._partitions() != partitions:
                        return
                    look_again = loop.time() + TOPICS_EVERY_S
                await asyncio.sleep(GATHER_S)

    async def _take(self, tp: TopicPartition, records: RawRecords) -> None:
        data = records.data.tobytes()
        spans = list(
            zip(
                records.key_start.tolist(),
                records.key_length.tolist(),
                records.value_start.tolist(),
                records.value_length.tolist(),
                strict=True,
            )
        )
        if tp.topic == TRADES.name:
            self._tell_feeds(data, spans, records.timestamps.tolist())
        elif tp.topic == CANDLES.name:
            values = (data[value : value + max(length, 0)] for _, _, value, length in spans)
            self._feeds.processed(tp.partition, (value for value in values if value.startswith(MARK)))
        portion = self._hub.portion
        for first in range(0, len(spans), portion):
            part = spans[first : first + portion]
            self._hub.take(
                tp.topic,
                (
                    (data[key : key + max(size, 0)], data[value : value + length])
                    for key, size, value, length in part
                    if length >= 0
                ),
            )
            await asyncio.sleep(0)

    def _tell_feeds(self, data: bytes, spans: list[tuple[int, int, int, int]], times: list[int]) -> None:
        told = [
            (data[value : value + length], time)
            for (_, _, value, length), time in zip(spans, times, strict=True)
            if data[value : value + rows.HEADER.size] in SPECIAL
        ]
        if spans:
            # The newest trade says how far clocks are apart.
            _, _, value, length = spans[-1]
            told.append((data[value : value + max(length, 0)], times[-1]))
        self._feeds.take(told)


@asynccontextmanager
async def _consumer(settings: KafkaSettings, partitions: list[TopicPartition]) -> AsyncIterator[RawConsumer]:
    """A consumer at the end of these partitions."""
    consumer = RawConsumer(
        {tp.topic for tp in partitions},
        **aiokafka_config(settings),
        enable_auto_commit=False,
        auto_offset_reset="latest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=1024 * 1024,
    )
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_end()
        yield consumer
    finally:
        await consumer.stop()
