"""The sink on a real Kafka and a real PostgreSQL: what is in the tables after known records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import psycopg
import pytest
from prometheus_client import REGISTRY

from infra.kafka.dead_letters import DeadLetterRefused
from infra.settings import Settings
from schemas import rows
from schemas.errors import ConfigurationError, ConflictError
from schemas.records import Candle, IndicatorValue, Quote, Record, Signal
from schemas.topics import CANDLES, INDICATORS, QUOTES, SIGNALS, TRADES
from sinks import stage
from sinks.positions import PositionLostError, TopicReplacedError
from tests.sink_harness import (
    BASE_US,
    PARTITIONS,
    Log,
    fresh_topics,
    limit_record_bytes,
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

Databases = Callable[[], str]
ONLY = ("timescale",)


@pytest.fixture
def settings(kafka: str, sink_database: Databases) -> Settings:
    found = settings_for(kafka, sink_database())
    fresh_topics(found.kafka)
    return found


@pytest.fixture
def log(kafka: str) -> Log:
    return Log(kafka)


def candle(minute: int, revision: int, close: float) -> Candle:
    opened = BASE_US + minute * 60_000_000
    return Candle(
        *("binance", "BTC/USDT", "1m", opened, opened + 60_000_000, 1.0, 9.0, 0.5, close, 2.0, 3.0, 1.0, 4),
        *(None, None, revision, True),
    )


async def drained(settings: Settings, log: Log) -> None:
    """Put final marks into every partition, run the stage until it has passed them."""
    async with running(settings, ONLY) as task:
        for topic in (TRADES, QUOTES, CANDLES, INDICATORS, SIGNALS):
            for partition in range(PARTITIONS):
                log.put(topic, partition, [mark(BASE_US, final=True)])
        for topic in (TRADES, QUOTES, CANDLES, INDICATORS, SIGNALS):
            await until_passed(url_of(settings), "timescale", topic, task=task)


async def test_trades_asked_for_later_are_rows_but_no_ages_of_events(settings: Settings, log: Log) -> None:
    def counts() -> list[float]:
        ages = REGISTRY.get_sample_value("kandle_event_age_seconds_count", {"hop": "row"})
        return [ages or 0.0, REGISTRY.get_sample_value("kandle_stored_latency_seconds_count") or 0.0]

    before = counts()
    log.put(TRADES, 0, [trade(1), msgspec.structs.replace(trade(2), backfilled=True), trade(3)])
    await drained(settings, log)
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [2, 3]


async def test_trades_are_stored_once_exactly_as_sent(settings: Settings, log: Log) -> None:
    btc = [trade(number) for number in range(1, 3001)]
    eth = [trade(number, "ETH/USDT") for number in range(1, 1001)]
    old = [trade(number, "OLD/USDT", time_us=-3_000_000_000_000_000 + number) for number in range(3)]
    unnumbered = [trade(number, "X/USDT", numbered=False) for number in range(1, 50)]
    repeated = [*btc[:1500], btc[10], *btc[1400:], *btc[2990:]]
    mixed: list[Record] = []
    for number, item in enumerate(repeated):
        mixed.append(item)
        if number % 100 == 0:
            mixed.append(mark(item.event_time))
    log.put(TRADES, 0, mixed)
    log.put(TRADES, 1, [*reversed(eth), *unnumbered, *unnumbered, *eth[:500], *old])
    await drained(settings, log)
    expected = sorted_rows([*btc, *eth, *old, *unnumbered])
    assert stored_trades(url_of(settings)) == expected
    end, stored, revised, repeats, dead = totals(url_of(settings), "timescale")
    assert stored == len(expected)
    assert repeats == len(repeated) - len(btc) + len(unnumbered) + 500
    assert (revised, dead) == (0, 0)
    assert end == len(mixed) + 1000 + 98 + 500 + 3 + 2

    # The same again into the same database stores nothing new.
    log.put(TRADES, 0, btc)
    log.put(TRADES, 1, [*eth, *unnumbered, *old])
    async with running(settings, ONLY) as task:
        await until(lambda: totals(url_of(settings), "timescale")[0] == end + len(expected), task=task)
    assert stored_trades(url_of(settings)) == expected
    assert totals(url_of(settings), "timescale")[1] == len(expected)


async def test_candles_and_indicators_keep_their_newest_revision(settings: Settings, log: Log) -> None:
    log.put(CANDLES, 1, [candle(0, 0, 1.0), candle(1, 0, 1.0), candle(0, 1, 2.0), candle(0, 1, 2.0)])
    values = [
        IndicatorValue("binance", "BTC/USDT", "1m", BASE_US, name, value, revision, True)
        for name, value, revision in (
            *(("sma(2)", 1.0, 0), ("ema(2)", 1.0, 0)),
            *(("sma(2)", 2.0, 1), ("sma(2)", 1.0, 0)),
        )
    ]
    log.put(INDICATORS, 1, values)
    await drained(settings, log)
    async with running(settings, ONLY) as task:
        log.put(CANDLES, 1, [candle(1, 2, 7.0), candle(1, 1, 5.0), candle(0, 0, 1.0), candle(2, 3, 8.0)])
        await until(lambda: totals(url_of(settings), "timescale", CANDLES)[0] == 10, task=task)
    found = query(
        url_of(settings), "SELECT close, revision, complete, trade_count FROM public.candles ORDER BY time"
    )
    assert found == [(2.0, 1, True, 4), (7.0, 2, True, 4), (8.0, 3, True, 4)]
    assert totals(url_of(settings), "timescale", CANDLES)[1:] == (3, 1, 4, 0)
    found = query(url_of(settings), "SELECT name, value FROM public.indicators ORDER BY name")
    assert found == [("ema(2)", 1.0), ("sma(2)", 2.0)]


async def test_quotes_and_signals_are_stored_once(settings: Settings, log: Log) -> None:
    def quote(sequence: int | None, received: int, event: int | None = None) -> Quote:
        return Quote("binance", "BTC/USDT", 1.0, 2.0, None, 0.0, sequence, event, BASE_US + received)

    numbered = [quote(5, 1), quote(7, 2, BASE_US), quote(6, 3), quote(7, 2, BASE_US)]
    log.put(QUOTES, 0, [*numbered, quote(None, 9), quote(None, 9)])
    signal = Signal(
        *("id-1", "binance", "BTC/USDT", "1m", BASE_US, BASE_US + 1, "cross(1,2)", "long", 0.5),
        *({"fast": 1.0, "slow": float("inf")}, "candle/1", True),
    )
    log.put(SIGNALS, 0, [signal, signal])
    await drained(settings, log)
    found = query(
        url_of(settings),
        "SELECT (extract(epoch FROM time) * 1000000)::bigint, bid, bid_size, ask, ask_size "
        "FROM public.quotes ORDER BY 1",
    )
    assert found == [(BASE_US + at, 1.0, 2.0, None, 0.0) for at in (0, 1, 9)]
    assert query(url_of(settings), "SELECT interval, rule, direction, strength FROM public.signals") == [
        ("1m", "cross(1,2)", "long", 0.5)
    ]
    assert totals(url_of(settings), "timescale", SIGNALS)[1:] == (1, 0, 1, 0)


async def test_each_poison_record_is_put_aside_and_every_good_one_stored(
    settings: Settings, log: Log
) -> None:
    good = [trade(number) for number in range(200)]
    whole = rows.encode(good[0])
    poison: list[Record | bytes | None] = [
        *(None, b"", b"\0", b"garbage", b"\1" + whole[1:], b"\0\0\0\x03\xe7" + whole[5:]),
        *(whole[:-3], whole + b"!"),
        *(candle(0, 0, 1.0), trade(1, "A\0B"), trade(2, "X" * 300), trade(3, time_us=2**62)),
        trade(2**62, time_us=BASE_US),
        b"\0" + bytes(10_000_000),
    ]
    mixed: list[Record | bytes | None] = []
    for number, item in enumerate(good):
        mixed.append(item)
        if number % 10 == 0 and number // 10 < len(poison):
            mixed.append(poison[number // 10])
    log.put(TRADES, 1, mixed, key=b"the-key")
    await drained(settings, log)
    assert stored_trades(url_of(settings)) == sorted_rows(good)
    assert totals(url_of(settings), "timescale")[4] == len(poison)
    dead = log.read("market.trades.v1.dlq")
    assert len(dead) == len(poison)
    for message, sent in zip(dead, poison, strict=True):
        headers = dict(message.headers())
        assert message.value() == (rows.encode(sent) if isinstance(sent, Record) else sent)
        assert headers["h"] == b"1"
        assert headers["__connect.errors.topic"] == b"market.trades.v1"
        assert headers["__connect.errors.partition"] == b"1"
        assert mixed[int(headers["__connect.errors.offset"])] == sent
        assert len(headers["__connect.errors.exception.message"]) > 10
    assert dead[0].key() == b"the-key"


async def test_dead_letters_that_are_refused_stop_the_sink(settings: Settings, log: Log) -> None:
    limit_record_bytes(settings.kafka, "market.trades.v1.dlq", 300)
    log.put(TRADES, 0, [trade(1), b"\1" * 1000, trade(2)])
    with pytest.raises(DeadLetterRefused, match=r"did not take a dead letter .* Nothing was skipped"):
        await asyncio.wait_for(stage.run(settings, asyncio.Event(), ONLY), 30)
    assert totals(url_of(settings), "timescale") == (0, 0, 0, 0, 0)
    assert stored_trades(url_of(settings)) == []

    limit_record_bytes(settings.kafka, "market.trades.v1.dlq", 1_000_000)
    await drained(settings, log)
    assert stored_trades(url_of(settings)) == sorted_rows([trade(1), trade(2)])


async def test_records_scattered_over_absurdly_many_days_stop_the_sink(settings: Settings, log: Log) -> None:
    day = 86_400_000_000
    log.put(TRADES, 0, [trade(number, time_us=number * day) for number in range(2000)])
    with pytest.raises(ConflictError, match="2000 new partitions at once"):
        await asyncio.wait_for(stage.run(settings, asyncio.Event(), ONLY), 30)


async def test_an_ended_partition_is_marked_with_its_run(settings: Settings, log: Log) -> None:
    log.put(TRADES, 0, [mark(BASE_US), mark(BASE_US + 5, final=True, instance="run-7")])
    async with running(settings, ONLY) as task:
        await until(lambda: passed(url_of(settings), "timescale", TRADES, "run-7") == 1, task=task)
        log.put(TRADES, 0, [mark(BASE_US + 9, instance="run-8")])
        await until(lambda: passed(url_of(settings), "timescale", TRADES, "run-7") == 0, task=task)
    found = query(url_of(settings), "SELECT source, final, instance, kafka_offset FROM kandle.marks")
    assert found == [("binance-spot-0", False, "run-8", 2)]


async def test_a_second_writer_makes_the_first_go_on_behind_it(settings: Settings, log: Log) -> None:
    log.put(TRADES, 0, [trade(number) for number in range(10)])
    url = url_of(settings)
    async with running(settings, ONLY) as task:
        await until(lambda: totals(url, "timescale")[1] == 10, task=task)
        with psycopg.connect(url) as db:  # another sink has stored up to 15, its rows are not ours
            db.execute("UPDATE kandle.offsets SET next_offset = 15 WHERE next_offset = 10")
        log.put(TRADES, 0, [trade(number) for number in range(10, 20)])
        await until(lambda: totals(url, "timescale")[0] == 20, task=task)
    assert [int(row[3]) for row in stored_trades(url)] == [*range(10), *range(15, 20)]


async def test_a_topic_made_again_stops_the_sink(settings: Settings, log: Log) -> None:
    log.put(TRADES, 0, [trade(1)])
    await drained(settings, log)
    fresh_topics(settings.kafka)
    with pytest.raises(TopicReplacedError, match="was deleted and made again"):
        await asyncio.wait_for(stage.run(settings, asyncio.Event(), ONLY), 30)


async def test_an_offset_that_the_log_does_not_hold_stops_the_sink(settings: Settings, log: Log) -> None:
    log.put(TRADES, 0, [trade(1)])
    await drained(settings, log)
    with psycopg.connect(url_of(settings)) as db:
        db.execute("UPDATE kandle.offsets SET next_offset = 1000000 WHERE next_offset > 0")
    with pytest.raises(PositionLostError, match="the log holds 0 to"):
        await asyncio.wait_for(stage.run(settings, asyncio.Event(), ONLY), 30)


async def test_an_unknown_sink_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="timescale, notifications"):
        await stage.run(settings, asyncio.Event(), ["redis"])
