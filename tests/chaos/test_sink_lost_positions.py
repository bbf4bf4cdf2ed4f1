"""Logs that do not hold what a sink has stored up to: it stops, and a command accepts what is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.settings import Settings
from schemas import rows
from schemas.errors import ConflictError
from schemas.records import AuditEntry, Quote, Trade
from schemas.topics import AUDIT, QUOTES, TRADES
from sinks import stage
from sinks.positions import PositionLostError, TopicReplacedError
from tests.sink_commands import kandle
from tests.sink_harness import (
    BASE_US,
    PARTITIONS,
    Log,
    fresh_topics,
    mark,
    passed,
    query,
    running,
    settings_for,
    sorted_rows,
    stored_trades,
    totals,
    trade,
    until,
    until_passed,
    url_of,
)

BOTH = ("timescale", "notifications")
ACCEPT = ("sink", "accept", "--topic", TRADES.name)


@pytest.fixture
def settings(kafka: str, sink_database: Callable[[], str]) -> Settings:
    found = settings_for(kafka, sink_database())
    fresh_topics(found.kafka)
    return found


@pytest.fixture
def log(kafka: str) -> Log:
    return Log(kafka)


def quote(number: int) -> Quote:
    at = BASE_US + number * 1000
    return Quote("binance", "BTC/USDT", 99.0, 1.0, 101.0, 2.0, number, at, at)


async def stored(settings: Settings, log: Log, instance: str) -> None:
    """Run the sinks over all that is there."""
    for topic in (TRADES, QUOTES):
        for partition in range(PARTITIONS):
            log.put(topic, partition, [mark(0, final=True, instance=instance)])
    async with running(settings, BOTH) as task:
        for topic in (TRADES, QUOTES):
            await until_passed(url_of(settings), "timescale", topic, instance=instance, task=task)


async def refused(settings: Settings, error: type[ConflictError]) -> None:
    with pytest.raises(error, match="kandle sink accept --sink timescale --topic market"):
        await asyncio.wait_for(stage.run(settings, asyncio.Event(), ["timescale"]), 30)


@contextmanager
def live_member(settings: Settings) -> Iterator[None]:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "kandle-timescale",
            "log_level": 0,
        }
    )
    consumer.subscribe([TRADES.name])
    try:
        while not consumer.assignment():
            consumer.poll(0.1)
        yield
    finally:
        consumer.close()


def accepted(log: Log) -> list[AuditEntry]:
    found = [rows.decode(message.value()) for message in log.read(AUDIT.name)]
    return [entry for entry in found if isinstance(entry, AuditEntry) and entry.action == "sink accept"]


async def test_a_topic_made_again_is_accepted_and_stores_nothing_twice(settings: Settings, log: Log) -> None:
    first = [trade(number) for number in range(500) if number != 250]
    unnumbered = [trade(number, numbered=False) for number in range(20)]
    log.put(TRADES, 0, [*first, *unnumbered])
    log.put(QUOTES, 0, [quote(number) for number in range(50)])
    await stored(settings, log, "before")

    fresh_topics(settings.kafka)
    held_back, coming = trade(250), [trade(number) for number in range(500, 700)]
    restarted = trade(7, time_us=BASE_US + 3_600_000_000)  # the venue began to count anew
    # What was sent is sent again, to another partition at that; one that was never there comes late.
    again = [*first[300:], *unnumbered, held_back, restarted, *coming, *coming[-20:]]
    log.put(TRADES, 1, again)
    log.put(QUOTES, 0, [quote(number) for number in range(40, 60)])
    await refused(settings, TopicReplacedError)

    with live_member(settings):
        busy = await kandle(settings, *ACCEPT, "--yes")
        assert isinstance(busy.exception, ConflictError)
        assert "the sink timescale are at work" in str(busy.exception)
    shown = await kandle(settings, *ACCEPT, answers="n\n")
    assert "was deleted and made again" in shown.output
    assert "accepted" not in shown.output
    await refused(settings, TopicReplacedError)

    done = await kandle(settings, "sink", "accept", "--yes")
    assert done.exit_code == 0, done.output
    again_done = await kandle(settings, "sink", "accept", "--yes")
    assert "nothing to accept" in again_done.output
    await stored(settings, log, "after")

    expected: list[Trade] = [*first, *unnumbered, held_back, restarted, *coming]
    assert stored_trades(url_of(settings)) == sorted_rows(expected)
    assert query(url_of(settings), "SELECT count(*), count(DISTINCT time) FROM quotes") == [(60, 60)]
    retired = query(url_of(settings), "SELECT count(*) FROM kandle.topics WHERE retired IS NOT NULL")
    assert retired[0][0] >= 2
    (entry,) = (entry for entry in accepted(log) if entry.subject == TRADES.name)
    before = msgspec.json.decode(entry.before or "")
    assert {p["sink"] for p in before["positions"]} == {"timescale"}
    print(f"topic made again: {len(again)} sent, {len(expected)} rows, 0 lost, 0 duplicate")


async def test_offsets_that_retention_has_eaten_are_accepted(settings: Settings, log: Log) -> None:
    old = [trade(number) for number in range(100)]
    log.put(TRADES, 0, old)
    await stored(settings, log, "before")
    at = query(
        url_of(settings),
        "SELECT max(next_offset) FROM kandle.offsets o JOIN kandle.topics t "
        f"ON t.id = o.topic_id WHERE t.name = '{TRADES.name}' AND partition = 0",
    )[0][0]
    log.put(TRADES, 0, [trade(number) for number in range(100, 200)])
    client = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for future in client.delete_records([TopicPartition(TRADES.name, 0, at + 60)]).values():
        future.result()
    await refused(settings, PositionLostError)

    done = await kandle(settings, *ACCEPT, "--yes")
    assert done.exit_code == 0, done.output
    assert f"60 records, {at} to {at + 60}" in done.output
    await stored(settings, log, "after")
    kept = [*old, *(trade(number) for number in range(160, 200))]
    assert stored_trades(url_of(settings)) == sorted_rows(kept)
    print("retention: 60 records given up as shown, 140 rows, 0 more lost, 0 duplicate")


async def test_an_offset_beyond_the_log_is_read_again_from_its_beginning(
    settings: Settings, log: Log
) -> None:
    sent = [trade(number) for number in range(100)]
    log.put(TRADES, 0, sent)
    await stored(settings, log, "before")
    with psycopg.connect(url_of(settings)) as db:  # the log was cut, as by an unclean election
        db.execute("UPDATE kandle.offsets SET next_offset = next_offset + 5000 WHERE next_offset > 10")
        db.execute("UPDATE kandle.marks SET kafka_offset = kafka_offset + 5000")
    await refused(settings, PositionLostError)
    done = await kandle(settings, *ACCEPT, "--yes")
    assert "reads again from 0" in done.output
    sent += [trade(number) for number in range(100, 150)]
    log.put(TRADES, 0, [*sent[100:], mark(0, final=True, instance="after")])
    async with running(settings, ("timescale",)) as task:
        await until(lambda: passed(url_of(settings), "timescale", TRADES, "after") == 1, task=task)
    assert stored_trades(url_of(settings)) == sorted_rows(sent)
    assert totals(url_of(settings), "timescale")[3] == 100
