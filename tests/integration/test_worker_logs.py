"""Logs as they may be: every compression, transactions, deleted records; a worker reads them all alike."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas import rows
from schemas.identity import market_key
from schemas.records import Trade
from schemas.topics import TRADES
from tests.candle_stream import Item
from tests.processor_harness import (
    PARTITIONS,
    PATIENCE_S,
    Feed,
    assert_equal,
    expected,
    kafka_settings,
    market,
    until_drained,
    worker,
)
from tests.sink_harness import Log, fresh_topics

Message = tuple[bytes, bytes, int]
"""Key, value, partition."""


def messages(feed: Feed, share: int, shares: int) -> Iterator[Message]:
    """One of so many equal portions of a feed."""
    for partition, items in feed.items():
        for item in items[len(items) * share // shares : len(items) * (share + 1) // shares]:
            yield key_of(item), rows.encode(item), partition


def key_of(item: Item) -> bytes:
    return market_key(item.venue, item.symbol).encode() if isinstance(item, Trade) else b"k"


def produce(servers: str, found: Iterator[Message], **config: str) -> Producer:
    """Write by librdkafka; a transaction stays open."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "log_level": 0, **config})
    if "transactional.id" in config:
        producer.init_transactions(30)
        producer.begin_transaction()
    for key, value, partition in found:
        producer.produce(TRADES.name, value, key, partition=partition)
    assert producer.flush(30) == 0
    return producer


async def produce_framed_snappy(servers: str, found: Iterator[Message]) -> None:
    """Write by aiokafka, which frames snappy as Java does."""
    async with AIOKafkaProducer(
        bootstrap_servers=servers, compression_type="snappy", linger_ms=20
    ) as producer:
        for key, value, partition in found:
            await producer.send(TRADES.name, value, key, partition)


def delete_before(servers: str, offset: Callable[[int], int]) -> None:
    """Delete the first records of the trades, by partition."""
    client = AdminClient({"bootstrap.servers": servers})
    places = [TopicPartition(TRADES.name, number, offset(number)) for number in range(PARTITIONS)]
    for future in client.delete_records(places).values():
        future.result(10)


async def test_every_compression_transactions_and_deleted_records(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed, name = market(seconds=80, rate=100), f"worker-{uuid.uuid4().hex[:8]}"
    lies = market(seconds=80, rate=100, seed=2)
    produce(kafka, messages(lies, 0, 8))
    delete_before(kafka, lambda number: len(lies[number]) // 8)
    shares = 7
    for share, compression in enumerate(["none", "gzip", "snappy", "lz4", "zstd"]):
        lying = produce(kafka, messages(lies, share, shares), **{"transactional.id": f"{name}-{share}"})
        produce(kafka, messages(feed, share, shares), **{"compression.type": compression})
        lying.abort_transaction(30)
    await produce_framed_snappy(kafka, messages(feed, 5, shares))
    honest = produce(kafka, messages(feed, 6, shares), **{"transactional.id": name})
    with worker(kafka, name, tmp_path) as running:
        running.until_logged("ready")
        honest.commit_transaction(30)
        until_drained(kafka, [running])
        assert running.stop() == 0
    assert assert_equal(kafka, expected(feed)) == 0
    assert Log(kafka).read(TRADES.dead_letter_name) == []


def test_a_worker_whose_next_records_were_deleted_stops_and_says_so(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = market(seconds=20, rate=100)
    produce(kafka, messages(feed, 0, 2))
    with worker(kafka, f"worker-{uuid.uuid4().hex[:8]}", tmp_path) as running:
        running.until_logged("ready")
        running.send(signal.SIGSTOP)
        produce(kafka, messages(feed, 1, 2))
        delete_before(kafka, lambda number: len(feed[number]) - 5)
        running.send(signal.SIGCONT)
        assert running.process.wait(PATIENCE_S) == 1
        assert "the log no longer holds what is to be read" in running.log()
        assert "raise the topic's retention" in running.log()
        assert "Traceback" not in running.log()
