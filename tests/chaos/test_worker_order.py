"""Outputs acknowledged, then the checkpoint, then the commit: none passes one that the broker refuses."""

from __future__ import annotations

import uuid
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from processors.engine.checkpoint_table import changelog_topic
from schemas.topics import CANDLES, TRADES
from tests.processor_harness import (
    PARTITIONS,
    PATIENCE_S,
    assert_equal,
    committed,
    expected,
    kafka_settings,
    market,
    read_topic,
    until_drained,
    worker,
)
from tests.sink_harness import Log, fresh_topics, limit_record_bytes

TOO_LITTLE, ENOUGH = 150, 1_000_000
"""Bytes of a batch that a topic takes."""


def ends(servers: str, topic: str) -> list[int]:
    """End offset of every partition."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        return [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
    finally:
        consumer.close()


def test_no_checkpoint_passes_refused_outputs_and_no_commit_passes_a_refused_checkpoint(
    kafka: str, tmp_path: Path
) -> None:
    settings, name = kafka_settings(kafka), f"order-{uuid.uuid4().hex[:8]}"
    fresh_topics(settings)
    changelog, feed = changelog_topic(name), market(seconds=80, rate=100)
    log = Log(kafka)
    for partition, items in feed.items():
        log.put(TRADES, partition, items)

    limit_record_bytes(settings, CANDLES.name, TOO_LITTLE)
    with worker(kafka, name, tmp_path) as refused:
        assert refused.process.wait(PATIENCE_S) == 1
        assert CANDLES.name in refused.log()
        assert "Traceback" not in refused.log()
    assert ends(kafka, changelog) == [0] * PARTITIONS, "a checkpoint passed its outputs"
    assert max(committed(kafka, name)) < 0

    limit_record_bytes(settings, CANDLES.name, ENOUGH)
    limit_record_bytes(settings, changelog, TOO_LITTLE)
    with worker(kafka, name, tmp_path) as unsaved:
        assert unsaved.process.wait(PATIENCE_S) == 1
        assert changelog in unsaved.log()
        assert "Traceback" not in unsaved.log()
    assert max(committed(kafka, name)) < 0, "a commit passed its checkpoint"
    written = len(read_topic(kafka, CANDLES).records)
    assert written > 0

    limit_record_bytes(settings, changelog, ENOUGH)
    with worker(kafka, name, tmp_path) as healed:
        until_drained(kafka, [healed])
        assert "a checkpoint was restored" not in healed.log()
        assert healed.stop() == 0
    assert min(committed(kafka, name)) > 0
    assert assert_equal(kafka, expected(feed)) >= written, "what had been written came again, equal"
