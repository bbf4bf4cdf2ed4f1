"""Topics that a faulty worker has filled are right after a reprocessing, and a worker goes on from there."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec.structs import replace

from infra.settings import ProcessorSettings, Settings
from processors.reprocessing.corrections import newest
from processors.reprocessing.run import reprocess
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from schemas import rows
from schemas.errors import ConflictError
from schemas.records import Candle, IndicatorValue, Record, Signal, TimeMark
from schemas.topics import BY_BASE_NAME, CANDLES, INDICATORS, SIGNALS, TRADES, Topic
from tests.processor_harness import (
    BASE_US,
    PARTITIONS,
    Feed,
    expected,
    kafka_settings,
    market,
    until_drained,
    worker,
)
from tests.sink_harness import Log, fresh_topics

SECOND = 1_000_000
SINCE = BASE_US + 20 * SECOND


def faulty(feed: Feed) -> dict[str, dict[int, list[Record]]]:
    """What a worker made of the feed: from some time on every third candle is wrong, and some are lost."""
    right = expected(feed)
    settings = ProcessorSettings()
    plan = SeriesPlan.of(settings.indicators, settings.signals)
    made: dict[str, dict[int, list[Record]]] = {}
    for partition, items in feed.items():
        keys = {(item.venue, item.symbol) for item in items if not isinstance(item, TimeMark)}
        book, seen = SeriesBook(plan), 0
        for candle in right[CANDLES.name].values():
            assert isinstance(candle, Candle)
            if (candle.venue, candle.symbol) not in keys:
                continue
            seen += candle.open_time >= SINCE
            if seen and seen % 20 == 0:
                continue
            wrong = replace(candle, close=candle.high) if seen and seen % 3 == 0 else candle
            made.setdefault(CANDLES.name, {}).setdefault(partition, []).append(wrong)
            for record in book.fold(wrong):
                topic = SIGNALS if isinstance(record, Signal) else INDICATORS
                made.setdefault(topic.name, {}).setdefault(partition, []).append(record)
    return made


def content(servers: str, topic: Topic) -> list[Record]:
    """All records of a topic, marks left out."""
    found: list[Record] = []
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    try:
        for partition in range(PARTITIONS):
            place = TopicPartition(topic.name, partition, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            offset = 0
            while offset < end:
                for message in consumer.consume(min(10_000, end - offset), 1):
                    assert message.error() is None
                    offset = message.offset() + 1
                    found.append(rows.decode(message.value()))
    finally:
        consumer.close()
    return [record for record in found if not isinstance(record, TimeMark)]


def dated(records: Iterable[Record], since: int, until: int = 2**62) -> list[Any]:
    """The candles and values of some time."""
    found = [record for record in records if isinstance(record, Candle | IndicatorValue)]
    return [record for record in found if since <= record.open_time < until]


def without_revision(records: list[Any]) -> dict[object, Record]:
    """The newest revision of each, by its key."""
    return {key: replace(record, revision=0) for key, record in newest(records).items()}


def test_what_was_wrong_is_revised_and_workers_go_on_from_there(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    name = f"worker-{uuid.uuid4().hex[:8]}"
    settings = Settings(kafka=kafka_settings(kafka), processors=ProcessorSettings(app_id=name))
    first, log = market(seconds=60, rate=100), Log(kafka)
    for partition, items in first.items():
        log.put(TRADES, partition, items)
    for topic_name, partitions in faulty(first).items():
        for partition, records in partitions.items():
            log.put(BY_BASE_NAME[topic_name], partition, records)
    before = {topic.name: content(kafka, topic) for topic in (CANDLES, INDICATORS)}

    told: list[tuple[int, int]] = []
    totals = asyncio.run(reprocess(settings, SINCE, lambda read, whole: told.append((read, whole))))

    right = expected(first)
    assert told[-1] == (sum(map(len, first.values())),) * 2
    assert totals.candles > totals.missing / 2 > 0
    assert totals.values > totals.candles, "values follow from all the candles before them"
    for topic in (CANDLES, INDICATORS):
        found, wanted = content(kafka, topic), right[topic.name].values()
        assert without_revision(dated(found, SINCE)) == without_revision(dated(wanted, SINCE))
        assert dated(found, 0, SINCE) == dated(before[topic.name], 0, SINCE), "what is older is left alone"
    signals = {record.id for record in content(kafka, SIGNALS) if isinstance(record, Signal)}
    due = [record for record in right[SIGNALS.name].values() if isinstance(record, Signal)]
    assert {signal.id for signal in due if signal.open_time >= SINCE} <= signals

    again = asyncio.run(reprocess(settings, SINCE, lambda read, whole: None))
    assert (again.candles, again.values, again.signals) == (0, 0, 0)

    def settled() -> list[Candle]:
        ended = BASE_US + 60 * SECOND
        return [candle for candle in dated(content(kafka, CANDLES), 0) if candle.close_time <= ended]

    known = settled()
    second = market(seconds=30, rate=100, first=60)
    for partition, items in second.items():
        log.put(TRADES, partition, items)
    with worker(kafka, name, tmp_path) as process:
        until_drained(kafka, [process])
        with pytest.raises(ConflictError, match="stop them"):
            asyncio.run(reprocess(settings, SINCE, lambda read, whole: None))
        assert process.stop() == 0
    log.put(CANDLES, 0, known[:1])  # as one that was killed leaves it
    asyncio.run(reprocess(settings, SINCE, lambda read, whole: None))
    assert Counter(settled()) == Counter([*known, *known[:1]]), "nothing is written again"
    mark = next(item for item in second[0] if isinstance(item, TimeMark))
    for topic in (CANDLES, TRADES):
        log.put(topic, 0, [mark])
        with pytest.raises(ConflictError, match=rf"workers have not read {topic.name} partition 0 from"):
            asyncio.run(reprocess(settings, SINCE, lambda read, whole: None))
    whole = expected({partition: first[partition] + second[partition] for partition in first})
    for topic in (CANDLES, INDICATORS):
        found = dated(content(kafka, topic), SINCE)
        assert without_revision(found) == without_revision(dated(whole[topic.name].values(), SINCE))
