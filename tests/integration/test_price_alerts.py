"""Price alerts the whole way: asked for by command, fired by a worker that is killed, stored."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, TopicPartition

from kandle.commands.alerts import alerts
from processors.alerts.book import AlertBook, signal_of
from processors.alerts.reader import AlertReader
from schemas.errors import ConfigurationError
from schemas.records import PriceAlert, Record, Signal, TimeMark, Trade
from schemas.rows import decode, encode
from schemas.topics import ALERTS, SIGNALS, TRADES
from tests.candle_stream import KeyIds, rows_from
from tests.processor_harness import (
    BASE_US,
    PARTITIONS,
    Feed,
    Worker,
    assert_equal,
    expected,
    kafka_settings,
    market,
    read_topic,
    until_drained,
    worker,
)
from tests.sink_harness import Log, fresh_topics, query, running, settings_for, until_passed

SECOND = 1_000_000
LEAD_US = 300 * SECOND


def command(servers: str, *arguments: str) -> Result:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers, "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS)}
    return CliRunner().invoke(alerts, arguments, env=environment)


async def alert_signals(servers: str, feed: Feed) -> dict[str, Signal]:
    """What a worker that never stops, and knows all alerts from the start, fires."""
    log = await AlertReader(kafka_settings(servers)).refresh()
    found: dict[str, Signal] = {}
    for items in feed.values():
        book = AlertBook(LEAD_US)
        book.learn(log)
        values = [encode(item) for item in items]
        rows = dataclasses.replace(rows_from(items, 0, KeyIds()), value=values.__getitem__)
        found |= {signal.id: signal for signal in map(signal_of, book.fold(rows))}
    return found


def until_marked(servers: str, count: int, through: Worker) -> None:
    """Wait until so many marks have passed through the worker."""
    deadline = time.monotonic() + 90
    while sum(map(len, read_topic(servers, SIGNALS).marks.values())) < count:
        assert time.monotonic() < deadline, through.log()
        assert through.process.poll() is None, through.log()
        time.sleep(0.05)


def last_records(servers: str) -> list[Record]:
    """The last record of each partition of the signals."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    found = []
    for partition in range(PARTITIONS):
        _, end = consumer.get_watermark_offsets(TopicPartition(SIGNALS.name, partition), timeout=10)
        consumer.assign([TopicPartition(SIGNALS.name, partition, end - 1)])
        message = consumer.poll(10)
        assert message is not None
        found.append(decode(message.value()))
    consumer.close()
    return found


@pytest.mark.full
async def test_alerts_come_and_go_while_trades_flow_and_survive_kill_9(
    kafka: str, postgres: Callable[[], str], tmp_path: Path
) -> None:
    fresh_topics(kafka_settings(kafka))
    feed, app_id = market(seconds=60, rate=100), f"alerts-{uuid.uuid4().hex[:8]}"
    log = Log(kafka)
    parts = [
        {number: [item for item in items if first <= _second(item) < end] for number, items in feed.items()}
        for first, end in ((0, 20), (20, 40), (40, 61))
    ]
    prices = [
        item.price
        for number in (1, 2)
        for item in parts[number][0]
        if isinstance(item, Trade) and item.symbol == "S0/USDT"
    ]
    level = statistics.median(prices)
    effect = str(BASE_US + 20 * SECOND)

    async def ask(*arguments: str) -> None:
        answer = await asyncio.to_thread(command, kafka, *arguments, "--at", effect)
        assert answer.exit_code == 0, (answer.output, answer.exception)

    with worker(kafka, app_id, tmp_path, "one") as first:
        put(log, parts[0])
        until_marked(kafka, 20, first)
        await ask("add", "s0/usdt", "--above", str(max(prices)), "--id", "Top")
        await ask("add", "s0/usdt", "--above", str(max(prices)), "--id", "top-too")
        await ask("add", "s0/usdt", "--crosses", str(level), "--repeat", "--venue", "Binance")
        await ask("add", "s0/usdt", "--move", "1.2", "--window", "3s", "--repeat", "--id", "fast")
        await ask("add", "s0/usdt", "--below", str(min(prices)), "--id", "bottom")
        await ask("remove", "BOTTOM")
        await asyncio.sleep(1)  # the lead that the command gives by default
        put(log, parts[1])
        until_marked(kafka, 60, first)
        first.kill()
    with worker(kafka, app_id, tmp_path, "one") as second:
        put(log, parts[2])
        until_drained(kafka, [second])
        assert second.stop() == 0

    wanted = expected(feed)
    fired = await alert_signals(kafka, feed)
    wanted[SIGNALS.name] |= fired
    assert_equal(kafka, wanted)
    rules = [signal.rule for signal in fired.values()]
    assert rules.count("price_alert_top") == rules.count("price_alert_top-too") == 1
    assert rules.count(f"price_alert_binance-s0-usdt-crosses-{level:.12g}") > 2
    assert rules.count("price_alert_fast") > 2
    assert "price_alert_bottom" not in rules
    assert all(isinstance(record, TimeMark) and record.final for record in last_records(kafka))
    headers = read_topic(kafka, SIGNALS).headers
    assert all(headers[name]["ce_type"] == b"strategy.signal" for name in fired)

    url = postgres()
    async with running(settings_for(kafka, url), ("timescale",)) as task:
        await until_passed(url, "timescale", SIGNALS, task=task)
    stored = query(url, "SELECT rule, candle_id, values FROM public.signals WHERE interval = 'trade'")
    assert len(stored) == len(fired)
    assert {(rule, candle_id): values for rule, candle_id, values in stored} == {
        (signal.rule, signal.candle_id): signal.values for signal in fired.values()
    }


def _second(item: object) -> int:
    time_us = item.event_time if isinstance(item, Trade) else getattr(item, "time", 0)
    return (time_us - BASE_US) // SECOND


def put(log: Log, part: Feed) -> None:
    for partition, items in part.items():
        log.put(TRADES, partition, items)


def test_the_command_shows_replaces_and_withdraws(kafka: str) -> None:
    fresh_topics(kafka_settings(kafka))
    empty = command(kafka, "list")
    assert empty.exception is None, empty.exception
    assert empty.output.splitlines() == ["id  venue  symbol  fires  how often  from (UTC)"]
    before = time.time_ns() // 1_000
    added = command(kafka, "add", "btc/usdt:usdt", "--venue", "GateIO", "--above", "70000.5")
    assert added.exit_code == 0, added.output
    assert "gateio-btc-usdt-usdt-above-70000.5: BTC/USDT:USDT of gateio above 70000.5, once" in added.output
    assert ", 2 s later: by then all workers know it" in added.output
    command(kafka, "add", "ETH/USDT", "--move", "5", "--window", "1m", "--repeat", "--id", "eth")
    command(kafka, "add", "ETH/USDT", "--move", "4", "--window", "90", "--id", "ETH", "--at", "2024-01-31")
    listed = [json.loads(line) for line in command(kafka, "list", "--json").output.splitlines()]
    assert listed[0] == {
        "id": "eth",
        "venue": "binance",
        "symbol": "ETH/USDT",
        "kind": "move",
        "level": 4.0,
        "window_s": 90.0,
        "repeats": False,
        "event_time": "2024-01-31T00:00:00.000000Z",
    }
    (newest,) = [each for each in Log(kafka).read(ALERTS.name) if b"gateio" in each.key()]
    record = decode(newest.value())
    assert isinstance(record, PriceAlert)
    assert before + 2 * SECOND <= record.event_time < before + 12 * SECOND
    removed = command(kafka, "remove", "Eth")
    assert removed.exit_code == 0, removed.output
    assert command(kafka, "list").output.count("\n") == 2
    again = command(kafka, "remove", "eth")
    assert isinstance(again.exception, ConfigurationError)


def test_what_cannot_be_watched_is_refused_with_a_sentence(kafka: str) -> None:
    fresh_topics(kafka_settings(kafka))
    for arguments, said in (
        (("BTC/USDT",), "say one of"),
        (("BTC/USDT", "--above", "1", "--below", "2"), "say one of"),
        (("BTC/USDT", "--move", "5"), "--window"),
        (("BTC/USDT", "--above", "5", "--window", "1m"), "--window"),
        (("BTC/USDT", "--move", "5", "--window", "soon"), "no length of time"),
        (("BTC/USDT", "--move", "5", "--window", "2d"), "between 1 and 86400 seconds"),
        (("BTC/USDT", "--above", "5", "--at", "tomorrow"), "ISO 8601"),
        (("BTC/USDT", "--above", "-5"), "above 0"),
        (("BTC/USDT", "--above", "nan"), "above 0"),
        (("BTC/USDT", "--above", "5", "--id", "a b"), "64 letters"),
        (("BTCUSDT", "--above", "5"), "BASE/QUOTE"),
        (("*/USDT", "--above", "5"), "one symbol"),
        (("BTC/USDT", "--above", "5", "--venue", "nowhere"), "nowhere"),
    ):
        answer = command(kafka, "add", *arguments)
        assert answer.exit_code != 0, arguments
        assert said in answer.output + str(answer.exception), arguments
    command(kafka, "add", "BTC/USDT", "--above", "5", "--id", "mine")
    wrong = command(kafka, "remove", "mime")
    assert "did you mean mine?" in str(wrong.exception)
