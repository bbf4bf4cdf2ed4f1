"""A worker on a real broker: trades to candles, indicators and signals; poison; restarts."""

from __future__ import annotations

import os
import struct
import time
import uuid
from pathlib import Path

from infra.kafka.dead_letters import HEADER_PREFIX
from schemas import rows
from schemas.records import Quote, Signal
from schemas.topics import SIGNALS, TRADES
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


def app_id() -> str:
    return f"worker-{uuid.uuid4().hex[:8]}"


def test_a_market_becomes_candles_indicators_and_signals_and_a_restart_goes_on(
    kafka: str, tmp_path: Path
) -> None:
    fresh_topics(kafka_settings(kafka))
    feed, name = market(seconds=90, rate=200), app_id()
    log = Log(kafka)
    cut = {partition: len(items) // 2 for partition, items in feed.items()}
    with worker(kafka, name, tmp_path, "one") as first:
        for partition, items in feed.items():
            log.put(TRADES, partition, items[: cut[partition]])
        first.until_logged("ready")
        until_committed(kafka, name)
        assert first.stop() == 0
        assert "a checkpoint was restored" not in first.log()
        assert "warning" not in first.log()
        assert "error" not in first.log()
    with worker(kafka, name, tmp_path, "one") as second:
        for partition, items in feed.items():
            log.put(TRADES, partition, items[cut[partition] :])
        until_drained(kafka, [second])
        assert second.log().count("a checkpoint was restored") == 2 * PARTITIONS
        assert second.stop() == 0
    repeats = assert_equal(kafka, expected(feed))
    assert repeats == 0
    content = read_topic(kafka, SIGNALS)
    for partition, items in feed.items():
        assert content.marks[partition] == [item for item in items if type(item).__name__ == "TimeMark"]
    for id_, record in content.records.items():
        assert isinstance(record, Signal)
        assert content.headers[id_]["ce_id"].decode() == id_
        assert content.headers[id_]["ce_type"] == b"strategy.signal"
        assert content.headers[id_]["ce_time"].endswith(b"Z")


def until_committed(servers: str, group: str) -> None:
    """Wait until the group has committed an offset in every partition of the trades."""
    deadline = time.monotonic() + PATIENCE_S
    while min(found := committed(servers, group)) <= 0:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_poison_goes_to_the_dead_letters_with_its_cause_and_stops_nothing(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = market(seconds=80, rate=100)
    quote = Quote("binance", "S0/USDT", 1.0, 1.0, 2.0, 1.0, 1, 1, 1)
    good = rows.encode(feed[0][0])
    poison = {
        b"garbage": "the first byte is not 0",
        b"\x01" + good[1:]: "the first byte is not 0",
        struct.pack(">bI", 0, 4_000_000) + good[5:]: "the schema id is not of the contract",
        good[:-3]: "the body ends",
        None: "the value is null",
        rows.encode(quote): "a Quote does not belong into market.trades.v1",
        b"\x00" * 10_000_000: "the schema id is not of the contract",
    }
    log = Log(kafka)
    for partition, items in feed.items():
        mixed: list[object] = list(items)
        for number, value in enumerate(poison):
            mixed.insert(100 * (number + 1), value)
        log.put(TRADES, partition, mixed)  # type: ignore[arg-type]
    with worker(kafka, app_id(), tmp_path) as running:
        until_drained(kafka, [running])
        assert running.stop() == 0
    assert_equal(kafka, expected(feed))
    letters = log.read(TRADES.dead_letter_name)
    assert len(letters) == PARTITIONS * len(poison)
    for letter in letters:
        headers = dict(letter.headers())
        assert poison[letter.value()] in headers[HEADER_PREFIX + "exception.message"].decode()
        assert headers[HEADER_PREFIX + "stage"] == b"process-trades"
        assert headers["h"] == b"1"


def test_a_worker_whose_dead_letters_are_refused_stops_with_an_alarm_and_skips_nothing(
    kafka: str, tmp_path: Path
) -> None:
    settings = kafka_settings(kafka)
    fresh_topics(settings)
    limit_record_bytes(settings, TRADES.dead_letter_name, 1_000)
    feed, name, poison = market(seconds=80, rate=100), app_id(), os.urandom(5_000)
    half = len(feed[0]) // 2
    log = Log(kafka)
    for partition, items in feed.items():
        log.put(TRADES, partition, items[:half])
    with worker(kafka, name, tmp_path) as running:
        until_committed(kafka, name)
        log.put(TRADES, 0, [poison, *feed[0][half:]])
        assert running.process.wait(PATIENCE_S) == 1
        assert "the worker stops" in running.log()
        assert TRADES.dead_letter_name in running.log()
        assert "Traceback" not in running.log()
    assert 0 < committed(kafka, name)[0] <= half
    assert log.read(TRADES.dead_letter_name) == []
    limit_record_bytes(settings, TRADES.dead_letter_name, 1_000_000)
    log.put(TRADES, 1, feed[1][half:])
    with worker(kafka, name, tmp_path) as again:
        until_drained(kafka, [again])
        assert again.stop() == 0
        assert "a checkpoint was restored" in again.log()
    assert_equal(kafka, expected(feed))
    assert {letter.value() for letter in log.read(TRADES.dead_letter_name)} == {poison}
