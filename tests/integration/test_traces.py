"""One trace from the socket to the row and to the message, over a real Kafka and a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr

from infra import tracing
from infra.embedded.ports import free_ports
from infra.settings import NotificationRule, Settings, TracingSettings
from infra.tracing import CORRELATION, HEADER
from producers.simulator.playback import Playback
from schemas.topics import CANDLES, INDICATORS, NOTIFICATIONS, SIGNALS, TRADES
from sinks.timescale.sink import TimescaleSink
from tests.made_capture import write_capture
from tests.notification_receivers import web
from tests.processor_harness import worker
from tests.producer_harness import Topics, feed
from tests.sink_harness import (
    fresh_topics,
    query,
    running,
    settings_for,
    stored_trades,
    until,
    until_passed,
    url_of,
)
from tests.trace_collector import Collector, Received, collecting

SYMBOLS = ("BTCUSDT",)
SECONDS = 20


@pytest.fixture
def traced() -> Iterator[Callable[[str], None]]:
    """Trace everything of this process, and send it there."""

    def begin(endpoint: str) -> None:
        chosen = TracingSettings(sample=1.0, most_per_s=10**6, endpoint=endpoint)
        tracing.configure(chosen, "test")

    yield begin
    tracing.close()


def headers_of(servers: str, topic: str) -> list[dict[str, bytes]]:
    """Headers of all records of a topic."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    found = []
    for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        low, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        consumer.assign([TopicPartition(topic, number, low)])
        for _ in range(end - low):
            message = consumer.poll(10)
            assert message is not None
            found.append(dict(message.headers() or []))
    consumer.close()
    return found


def above(span: Received, collector: Collector) -> list[str]:
    """Names from a span up to the first of its trace."""
    by_id = {one.span_id: one for one in collector.spans if one.trace_id == span.trace_id}
    names = [span.name]
    while span.parent_id:
        span = by_id[span.parent_id]
        names.append(span.name)
    return names


def ways(spans: list[Received], collector: Collector) -> list[list[str]]:
    """Of those whose spans above were not left out for the size of their batch."""
    ids = {one.span_id for one in collector.spans}
    parents = {one.span_id: one.parent_id for one in collector.spans}
    found = []
    for span in spans:
        at = span.span_id
        while at in ids:
            at = parents[at]
        if not at:
            found.append(above(span, collector))
    return found


def on_way(topic: str) -> list[str]:
    """Names from the publishing of a trade upwards."""
    return [f"publish {topic}", "parse binance", "receive binance"]


async def test_one_trace_runs_from_the_socket_to_the_row_and_to_the_message(
    kafka: str,
    postgres: Callable[[], str],
    tmp_path: Path,
    traced: Callable[[str], None],
) -> None:
    url = postgres()
    capture = write_capture(tmp_path / "made.capture.gz", seconds=SECONDS, symbols=SYMBOLS)
    environment: dict[str, Any] = {
        "KANDLE_PROCESSORS__SIGNALS": "moving_average_crossover(2,3)",
        "KANDLE_PROCESSORS__INDICATORS": "ema(2)",
        "KANDLE_TRACING__SAMPLE": "0.5",
        "KANDLE_TRACING__CANDLE_EVERY_S": "0",
    }
    with collecting() as collector, web() as hooks:
        hook = hooks.receiver("hook")
        rules = [NotificationRule(name="all", urls=[SecretStr(hook.url)])]
        settings = settings_for(kafka, url, rules=rules)
        fresh_topics(settings.kafka)
        topics = Topics(kafka)
        topics.settings = settings.kafka
        traced(collector.endpoint)
        environment["KANDLE_TRACING__ENDPOINT"] = collector.endpoint
        with worker(kafka, "traces", tmp_path, **environment) as process:
            run = await feed(topics, Playback(capture, "max"))
            async with running(settings) as task:
                await until_passed(url, TimescaleSink.name, INDICATORS, instance=run, task=task)
                await until_passed(url, TimescaleSink.name, SIGNALS, instance=run, task=task)
                await until(lambda: bool(hook.taken) and not pending(url), task=task)
            assert process.stop() == 0, process.log()
        tracing.close()

    trades = stored_trades(url)
    published = collector.named(f"publish {TRADES.name}")
    assert len(published) == len(trades) > 200
    rows = collector.named(f"store {TRADES.name}")
    assert rows, "the sink has traced nothing"
    for row in rows:
        assert above(row, collector) == [row.name, *on_way(TRADES.name)]
        at = ("messaging.destination.partition.id", "messaging.kafka.offset")
        (source,) = [one for one in published if one.span_id == row.parent_id]
        assert [row.attributes[name] for name in at] == [source.attributes[name] for name in at]
        assert source.attributes["kandle.symbol"] == "BTC/USDT"
    (process_one, *_) = collector.named(f"process {TRADES.name}")
    assert (process_one.service, rows[0].service) == ("kandle-process", "kandle-test")
    closed = [f"publish {CANDLES.name}", *on_way(TRADES.name)]
    folded = [f"process {CANDLES.name}", *closed]
    assert [f"store {CANDLES.name}", *closed] in ways(collector.named(f"store {CANDLES.name}"), collector)
    values = ways(collector.named(f"store {INDICATORS.name}"), collector)
    assert [f"store {INDICATORS.name}", *folded] in values
    told = [one for one in collector.spans if one.name.startswith("deliver ")]
    assert told
    of_message = {one.name for one in collector.traces()[told[0].trace_id]}
    assert of_message >= {f"publish {CANDLES.name}", *on_way(TRADES.name)}
    _times_of_a_trace_follow_each_other(collector)
    _headers_continue(kafka)


def pending(url: str) -> bool:
    return bool(query(url, "SELECT 1 FROM kandle.notifications WHERE outcome = 'pending'"))


def _times_of_a_trace_follow_each_other(collector: Collector) -> None:
    by_id = {(one.trace_id, one.span_id): one for one in collector.spans}
    assert len(by_id) == len(collector.spans), "a backend joins by id: none may be there twice"
    for one in collector.spans:
        assert one.start_ns <= one.end_ns, one
        parent = by_id.get((one.trace_id, one.parent_id))
        if parent is not None:
            assert parent.start_ns <= one.start_ns, (parent, one)


def _headers_continue(servers: str) -> None:
    """A notification has the correlation of its signal, and its trace."""
    signals = {each["ce_id"]: each for each in headers_of(servers, SIGNALS.name) if "ce_id" in each}
    told = headers_of(servers, NOTIFICATIONS.name)
    assert told
    for each in told:
        cause = signals[each[CORRELATION]]
        assert each["ce_type"] == b"notification.sent"
        assert each["ce_id"].startswith(b"notification/")
        assert (HEADER in cause) == (HEADER in each)
        if HEADER in each:
            assert each[HEADER].split(b"-")[1] == cause[HEADER].split(b"-")[1]


async def test_without_a_collector_nothing_is_lost_and_nothing_waits(
    kafka: str, postgres: Callable[[], str], tmp_path: Path, traced: Callable[[str], None]
) -> None:
    url = postgres()
    settings: Settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    topics = Topics(kafka)
    topics.settings = settings.kafka
    capture = write_capture(tmp_path / "made.capture.gz", seconds=SECONDS, symbols=SYMBOLS)
    (port,) = free_ports(1)
    traced(f"http://127.0.0.1:{port}")
    began = time.monotonic()
    run = await feed(topics, Playback(capture, "max"))
    async with running(settings, ["timescale"]) as task:
        await until_passed(url_of(settings), TimescaleSink.name, TRADES, instance=run, task=task)
    seconds = time.monotonic() - began
    stopping = time.monotonic()
    tracing.close()
    assert time.monotonic() - stopping < 5.0
    assert len(stored_trades(url)) == len(headers_of(kafka, TRADES.name)) - marks(url)
    assert seconds < 30.0


def marks(url: str) -> int:
    """Marks of trades in the log: what its offsets count besides stored rows."""
    found = query(
        url,
        "SELECT sum(next_offset - rows_stored)::bigint FROM kandle.offsets o JOIN kandle.topics t "
        f"ON t.id = o.topic_id WHERE sink = 'timescale' AND t.name = '{TRADES.name}'",
    )
    return int(found[0][0])
