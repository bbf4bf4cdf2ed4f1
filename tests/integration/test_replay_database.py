"""A replay of the tables writes the records that were stored, with marks of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backtest.replay.source import Partition, Period
from backtest.replay.sources.database import DatabaseSource
from infra.kafka.partitioner import partition_of
from infra.settings import Settings
from schemas import rows
from schemas.errors import ConfigurationError
from schemas.identity import market_key
from schemas.namespace import LIVE
from schemas.records import DerivativeTicker, Instrument, Liquidation, Quote, Record, Ticker, TimeMark
from schemas.topics import DERIVATIVES, INSTRUMENTS, LIQUIDATIONS, QUOTES, TICKERS, TRADES
from sinks.migrator import migrate
from tests.replay_harness import PARTITIONS, messages, namespace, replayed
from tests.sink_harness import (
    BASE_US,
    Log,
    fresh_topics,
    mark,
    running,
    settings_for,
    trade,
    until_passed,
    url_of,
)

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
TOPICS = (TRADES, QUOTES, TICKERS, DERIVATIVES, LIQUIDATIONS)


def past() -> dict[str, list[Record]]:
    """Some seconds of a market, in the order of their times; one second is quiet."""
    found: dict[str, list[Record]] = {topic.base_name: [] for topic in (INSTRUMENTS, *TOPICS)}
    for symbol in SYMBOLS:
        steps = (0.1, None, 5.0, 1.0)
        listed = Instrument("binance", symbol, "X", "B", "Q", "spot", "trading", *steps, BASE_US - 10**9)
        found[INSTRUMENTS.base_name].append(listed)
    for number in range(60):
        at, symbol = BASE_US + number * 100_000, SYMBOLS[number % 3]
        if number // 10 == 3:
            continue
        found[TRADES.base_name].append(trade(number, symbol, numbered=number % 4 > 0, time_us=at))
        told = (at, at + 7) if number % 2 else (None, at + 7)
        found[QUOTES.base_name].append(Quote("binance", symbol, 1.5, 2, None, 0, number, *told))
    first = found[TRADES.base_name][0].event_time + 11  # type: ignore[attr-defined]
    unknown = (None, None, None, None, None, None, None)
    found[TICKERS.base_name].append(Ticker("binance", SYMBOLS[0], 1.0, None, 2.0, *unknown, first, first + 1))
    prices = (1.5, None, 0.01, None, None)
    found[DERIVATIVES.base_name].append(DerivativeTicker("binance", SYMBOLS[1], *prices, first, first + 2))
    found[LIQUIDATIONS.base_name].append(
        Liquidation("binance", SYMBOLS[2], "sell", 1.0, 2.0, 3.0, first, first + 3)
    )
    return found


def key_of(record: Record) -> bytes:
    return market_key(record.venue, record.symbol).encode()  # type: ignore[attr-defined]


def place_of(record: Record) -> int:
    return partition_of(key_of(record), PARTITIONS)


async def stored(settings: Settings) -> dict[str, list[Record]]:
    """A past that the sink has stored."""
    fresh_topics(settings.kafka)
    log, found = Log(settings.kafka.bootstrap_servers or ""), past()
    for topic in (INSTRUMENTS, *TOPICS):
        for record in found[topic.base_name]:
            log.put(topic, place_of(record), [record], key_of(record))
    for topic in TOPICS:
        for number in range(PARTITIONS):
            log.put(topic, number, [mark(BASE_US + 10**7, final=True)])
    async with running(settings, ["timescale"]) as task:
        for topic in TOPICS:
            await until_passed(url_of(settings), "timescale", topic, task=task)
    return found


async def test_stored_records_are_replayed_with_marks_of_their_seconds(
    kafka: str, sink_database: Callable[[], str]
) -> None:
    settings = settings_for(kafka, sink_database())
    found = await stored(settings)
    source = DatabaseSource.open(settings.database, LIVE, PARTITIONS, Period())
    into = namespace()
    assert (await replayed(settings.kafka, source, into)).is_complete
    for topic in (INSTRUMENTS, *TOPICS):
        for number in range(PARTITIONS):
            told = await messages(settings.kafka, into, Partition(topic.base_name, number))
            records = [rows.decode(value) for _, value in told]
            own = [record for record in found[topic.base_name] if place_of(record) == number]
            assert [record for record in records if not isinstance(record, TimeMark)] == own
            marks = [record for record in records if isinstance(record, TimeMark)]
            if topic is INSTRUMENTS:
                assert not marks
                continue
            assert [(one.time - BASE_US) // 1_000_000 for one in marks] == [0, 1, 2, 4, 5, 5]
            assert [one.final for one in marks] == [False] * 5 + [True]
            times = [one.time if isinstance(one, TimeMark) else time_of(one) for one in records]
            assert times == sorted(times)


def time_of(record: Record) -> int:
    event_time: int | None = getattr(record, "event_time", None)
    return record.receive_time if event_time is None else event_time  # type: ignore[attr-defined]


async def test_a_period_without_rows_and_a_database_without_tables_are_told(
    kafka: str, postgres: Callable[[], str]
) -> None:
    settings = settings_for(kafka, postgres())
    with pytest.raises(ConfigurationError, match="no sink of this version"):
        DatabaseSource.open(settings.database, LIVE, PARTITIONS, Period())
    migrate(url_of(settings))
    with pytest.raises(ConfigurationError, match="nothing of this period"):
        DatabaseSource.open(settings.database, LIVE, PARTITIONS, Period())
