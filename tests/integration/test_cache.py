"""Hot data in a real Redis, and the same answers straight from the topics."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from infra.settings import CacheSettings, SinkSettings
from infra.settings import Settings as AllSettings
from kandle.commands.cache import cache as cache_command
from schemas.records import BookUpdate, Record, Ticker
from schemas.topics import BOOKS, BY_BASE_NAME, CANDLES, INDICATORS, SIGNALS, TICKERS, TRADES
from sinks.cache import names
from sinks.cache.answers import Answers
from sinks.cache.destination import SOURCES
from sinks.cache.memory import filled
from sinks.cache.redis_store import connect
from tests import redis_server
from tests.cache_records import candle, signal, value
from tests.redis_server import RedisServer
from tests.sink_harness import BASE_US, Log, fresh_topics, running, settings_for, trade, until

MARKET = "binance:BTC/USDT"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    executable = redis_server.program()
    if executable is None:
        pytest.skip(f"none of {', '.join(redis_server.PROGRAMS)} is installed")
    with (
        tempfile.TemporaryDirectory(prefix="kandle-redis-") as folder,
        redis_server.running(executable, Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def settings(kafka: str, redis: RedisServer) -> AllSettings:
    base = settings_for(kafka, "postgresql://nobody@127.0.0.1:1/none", sink=SinkSettings(run=["cache"]))
    cache = CacheSettings(
        url=SecretStr(redis.url), streams=["market.candle"], publish=True, candles=2_000, ticker_ttl_s=600
    )
    fresh_topics(base.kafka)
    return base.model_copy(update={"cache": cache})


def book(kind: str, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> BookUpdate:
    return BookUpdate(
        venue="binance",
        symbol="BTC/USDT",
        kind=kind,  # type: ignore[arg-type]
        first_sequence=None,
        last_sequence=None,
        previous_sequence=None,
        bid_prices=[price for price, _ in bids],
        bid_sizes=[size for _, size in bids],
        ask_prices=[price for price, _ in asks],
        ask_sizes=[size for _, size in asks],
        checksum=None,
        event_time=BASE_US,
        receive_time=BASE_US,
    )


def fill(log: Log) -> None:
    day = Ticker(
        "binance", "BTC/USDT", 5.0, 4.9, 5.1, None, None, None, 100.0, None, 1.5, 2.5, BASE_US, BASE_US
    )
    contents: list[tuple[object, list[Record | bytes]]] = [
        (TRADES, [trade(number) for number in range(50)]),
        (TICKERS, [day]),
        (BOOKS, [book("snapshot", [(9.0, 1.0), (8.0, 1.0)], [(10.0, 2.0)]), book("delta", [(9.5, 1.0)], [])]),
        (CANDLES, [candle(number) for number in range(5)]),
        (INDICATORS, [value(4, 1.25)]),
        (SIGNALS, [signal(1), b"\0not a signal", signal(1), signal(2)]),
    ]
    for topic, records in contents:
        log.put(topic, 0, records)  # type: ignore[arg-type]


async def kandle_cache(*words: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cache_command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


async def answered(answers: Answers, market: str) -> list[object]:
    return [
        await answers.ticker(market),
        await answers.candles(market, "1m"),
        await answers.book(market),
        await answers.indicators(market, "1m"),
        await answers.signals(market),
    ]


async def test_redis_and_memory_give_the_same_answers(
    settings: AllSettings, kafka: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, client = Log(kafka), redis.client()
    fill(log)
    listener = client.pubsub()  # type: ignore[no-untyped-call]
    client.sadd(names.subscribers("BTC/USDT"), "alice")
    listener.subscribe("user:alice")
    async with running(settings) as task:
        await until(lambda: client.llen(names.signals(MARKET)) == 2, task=task)
        await until(lambda: client.llen(names.candles(MARKET, "1m")) == 5, task=task)
        await until(lambda: client.exists(names.bids(MARKET), names.indicators(MARKET, "1m")) == 2, task=task)
        await until(lambda: client.hexists(names.ticker(MARKET), "volume"), task=task)
    store = connect(settings.cache)
    try:
        found = await answered(Answers(store), MARKET)
        assert found == await answered(Answers(store), "BTC/USDT")
    finally:
        await store.close()
    ticker = found[0]
    assert isinstance(ticker, dict)
    assert (ticker["price"], ticker["volume"]) == (repr(100 + 49 / 7), "100.0")
    assert client.zrange(names.bids(MARKET), 0, -1) == ["8.0:1.0", "9.0:1.0", "9.5:1.0"]
    assert 0 < client.ttl(names.ticker(MARKET)) <= settings.cache.ticker_ttl_s
    told = [json.loads(m["data"])["type"] for m in iter(listener.get_message, None) if m["type"] == "message"]
    assert {"price.updated", "strategy.signal", "market.candle"} <= set(told)
    assert len(log.read(SIGNALS.dead_letter_name)) == 1
    assert (
        await answered(Answers(await filled(settings, [BY_BASE_NAME[name] for name in SOURCES])), MARKET)
        == found
    )
    monkeypatch.setenv("KANDLE_CACHE__URL", redis.url)
    assert json.loads(await kandle_cache("book", "BTC/USDT"))["bids"][0] == [9.5, 1.0]


async def test_a_killed_redis_and_a_second_sink_repeat_nothing(
    settings: AllSettings, kafka: str, redis: RedisServer
) -> None:
    log = Log(kafka)
    made = [candle(number, close=float(number)) for number in range(900)]

    def streamed() -> int:
        return int(redis.client().xlen(names.events("market.candle")))

    log.put(CANDLES, 0, made[:300])
    async with running(settings) as task:
        await until(lambda: streamed() == 300, task=task)
        log.put(CANDLES, 0, made[300:600])
        redis.kill()
        log.put(CANDLES, 0, [made[0], *made[600:]])
        await asyncio.sleep(0.5)
        redis.restart()
        await until(lambda: streamed() == 901, task=task)
    async with running(settings) as task:
        log.put(CANDLES, 0, [made[-1]])
        await until(lambda: streamed() == 902, task=task)
    client = redis.client()
    closes = [json.loads(item)[4] for item in client.lrange(names.candles(MARKET, "1m"), 0, -1)]
    assert closes == [record.close for record in made]
    entries: Any = client.xrange(names.events("market.candle"))
    ids = [fields["id"] for _, fields in entries]
    assert len(ids) - len(set(ids)) == 2  # those that stand in the topic twice


async def test_subscriptions_are_noted_once(
    settings: AllSettings, kafka: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANDLE_CACHE__URL", redis.url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)

    assert await kandle_cache("subscribe", "alice", "BTC/USDT") == "alice follows BTC/USDT"
    assert (await kandle_cache("subscribe", "alice", "BTC/USDT")).startswith("nothing to do")
    assert redis.client().smembers(names.subscribers("BTC/USDT")) == {"alice"}
    assert json.loads(await kandle_cache("subscriptions", "alice")) == ["BTC/USDT"]
    await kandle_cache("unsubscribe", "alice", "BTC/USDT")
    assert json.loads(await kandle_cache("subscriptions", "alice")) == []
