"""A source that is gone is told to have ended, and candles wait for it no longer."""

import asyncio
import time
from dataclasses import dataclass

import pytest
from click.testing import CliRunner
from confluent_kafka import Message

from infra.kafka.publisher import Publisher
from kandle.commands.producers import producers
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from producers import retirement
from producers.retirement import INSTANCE, known_sources
from schemas.errors import ConflictError
from schemas.records import AuditEntry, Gap, Position, TimeMark, Trade
from schemas.topics import AUDIT, POSITIONS, QUOTES, TICKERS, TRADES
from tests.candle_stream import outcome_of
from tests.producer_harness import Topics

BASE_US = 1_700_000_000_000_000
SECONDS = 10
LEFT_AT = 4


@dataclass
class Shard:
    """A source, its symbol, and the second after which nothing more comes of it."""

    name: str
    symbol: str
    until: int


async def feed(topics: Topics, shards: list[Shard]) -> None:
    """What producers would have written: a trade and a mark a second, then a position."""
    publisher = Publisher(topics.settings)
    for second in range(SECONDS):
        at = BASE_US + second * 1_000_000
        for shard in shards:
            if second < shard.until:
                await publisher.publish(
                    TRADES.name, Trade("binance", shard.symbol, str(second), second, 1.0, 1.0, "buy", at, at)
                )
        for shard in shards:
            if second < shard.until:
                mark = TimeMark("binance", shard.name, at, False, "run")
                for topic in (TRADES, QUOTES):
                    for partition in range(topics.settings.partitions):
                        await publisher.publish(topic.name, mark, partition=partition)
    for shard in shards:
        last = BASE_US + (shard.until - 1) * 1_000_000
        position = Position(
            "binance", shard.name, TRADES.name, last, {}, {shard.symbol: 1}, {shard.symbol: last}
        )
        await publisher.publish(POSITIONS.name, position, key=shard.name)
    await publisher.close()


def closed(topics: Topics, symbol: str) -> int:
    """Candles of one second that the log closes."""
    found = 0
    for partition in range(topics.settings.partitions):
        stored = [one.record for one in topics.read(TRADES.name) if one.partition == partition]
        items = [record for record in stored if isinstance(record, Trade | TimeMark | Gap)]
        candles = outcome_of(CandleBuilder(CandleRules.of()), items, ()).candles
        found += sum(one.symbol == symbol and one.interval == "1s" for one in candles)
    return found


async def test_candles_wait_for_a_source_that_was_lost_until_it_is_retired(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(kafka)
    await asyncio.to_thread(topics.renew)
    shards = [Shard("binance-spot-0", "BTC/USDT", SECONDS), Shard("binance-spot-1", "ETH/USDT", LEFT_AT)]
    await feed(topics, shards)
    held = await asyncio.to_thread(closed, topics, "BTC/USDT")
    assert held < LEFT_AT

    def retired(name: str) -> tuple[BaseException | None, str]:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
        result = CliRunner().invoke(producers, ["retire", name])
        return result.exception, result.output

    monkeypatch.setattr(retirement, "ALIVE_S", 3_600.0)
    error, _ = await asyncio.to_thread(retired, "binance-spot-1")
    assert isinstance(error, ConflictError), "it has written just now"
    error, _ = await asyncio.to_thread(retired, "binance-spot-7")
    assert "there are: binance-spot-0, binance-spot-1" in str(error)

    looked_at = set[tuple[str | None, int | None]]()
    mark_of = retirement._mark_of

    def noted(message: Message) -> TimeMark | None:
        looked_at.add((message.topic(), message.partition()))
        return mark_of(message)

    monkeypatch.setattr(retirement, "_mark_of", noted)
    monkeypatch.setattr(retirement, "ALIVE_S", 0.0)
    error, said = await asyncio.to_thread(retired, "binance-spot-1")
    assert error is None
    assert f"said in {TRADES.name}, {QUOTES.name}" in said
    assert looked_at == {(TRADES.name, 0), (QUOTES.name, 0)}, "the logs may be long"
    last = BASE_US + (LEFT_AT - 1) * 1_000_000
    for topic in (TRADES, QUOTES):
        finals = [mark for mark in topics.records(topic.name, TimeMark) if mark.final]
        assert (
            finals
            == [TimeMark("binance", "binance-spot-1", last, True, INSTANCE)] * topics.settings.partitions
        )
    assert topics.records(TICKERS.name, TimeMark) == [], "it has not fed those"
    assert [entry.subject for entry in topics.records(AUDIT.name, AuditEntry)] == ["binance-spot-1"]

    # The next mark of those that are left moves the watermark.
    publisher = Publisher(topics.settings)
    for partition in range(topics.settings.partitions):
        mark = TimeMark("binance", "binance-spot-0", BASE_US + SECONDS * 1_000_000, False, "run")
        await publisher.publish(TRADES.name, mark, partition=partition)
    await publisher.close()
    assert await asyncio.to_thread(closed, topics, "BTC/USDT") >= SECONDS - 3
    (first, second) = await asyncio.to_thread(known_sources, topics.settings)
    assert (first.name, first.symbols, second.time) == ("binance-spot-0", ("BTC/USDT",), last)
    assert first.written_ms == pytest.approx(time.time() * 1_000, abs=120_000)
