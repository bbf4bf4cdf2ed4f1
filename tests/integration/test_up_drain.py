"""When a run has drained: every sink has passed its last words by every way that the settings ask for."""

import asyncio
import datetime as dt
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from infra.settings import DatabaseSettings, ProcessorSettings, ProducerSettings, Settings, SinkSettings
from kandle.up.database import Database
from kandle.up.tally import NOTIFICATIONS, TIMESCALE, Stream, Tally, expected_streams
from schemas.topics import (
    BARS,
    BOOK_SAMPLES,
    CANDLES,
    DERIVATIVES,
    INDICATORS,
    QUOTES,
    SIGNALS,
    TICKERS,
    TRADES,
)
from sinks.database import connect
from sinks.migrator import migrate
from sinks.positions import Mark, PartitionRef, Positions

PARTITIONS = 2
SINCE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
pytestmark = pytest.mark.timeout(60)
WAYS = {"": None, "/quotes": "quotes", "/books": "books", "/spreads": "spreads"}


def settings(**processors: list[str]) -> Settings:
    return Settings(
        producer=ProducerSettings(channels=["trades", "quotes", "books"]),
        processors=ProcessorSettings(**processors),
        sink=SinkSettings(quotes=False),
    )


def test_the_streams_of_a_run_are_those_that_its_settings_ask_for() -> None:
    usual = expected_streams(settings())
    assert usual == [
        *(Stream(TIMESCALE, topic) for topic in (TRADES, CANDLES, INDICATORS, SIGNALS)),
        Stream(NOTIFICATIONS, SIGNALS),
    ]
    more = expected_streams(settings(flows=["quote", "book(10)"], venue_spreads=["venue_spread"]))
    assert more == [
        *usual,
        Stream(TIMESCALE, INDICATORS, "quotes"),
        Stream(TIMESCALE, INDICATORS, "books"),
        Stream(TIMESCALE, SIGNALS, "spreads"),
        Stream(NOTIFICATIONS, SIGNALS, "spreads"),
    ]
    fed = settings(flows=["book_sample"], bars=["tick(100)"])
    fed = fed.model_copy(
        update={"producer": ProducerSettings(channels=["trades", "books", "tickers", "derivatives"])}
    )
    direct = (TRADES, CANDLES, INDICATORS, SIGNALS, TICKERS, DERIVATIVES, BARS)
    assert expected_streams(fed) == [
        *(Stream(TIMESCALE, topic) for topic in direct),
        Stream(NOTIFICATIONS, SIGNALS),
        Stream(TIMESCALE, INDICATORS, "books"),
        Stream(TIMESCALE, BOOK_SAMPLES),
    ]
    unfed = Settings(
        producer=ProducerSettings(channels=["trades"]), processors=ProcessorSettings(flows=["quote"])
    )
    assert expected_streams(unfed) == usual, "what is not fed has no last word"
    assert Stream(TIMESCALE, QUOTES) in expected_streams(Settings())
    archiving = Settings(sink=SinkSettings(run=["timescale", "archive"]))
    assert {stream.sink for stream in expected_streams(archiving)} == {TIMESCALE}


async def test_a_run_has_drained_once_each_way_has_been_passed_in_all_partitions(
    postgres: Callable[[], str],
) -> None:
    url = postgres()
    await asyncio.to_thread(migrate, url)
    expected = expected_streams(settings(flows=["quote"], venue_spreads=["venue_spread"]))
    db = await connect(DatabaseSettings(url=SecretStr(url)), "test")
    database = Database(url)
    tally = Tally(database)
    topic_ids = await Positions(TIMESCALE).register(
        db, {each.topic.name: each.topic.name for each in expected}
    )

    async def drained() -> bool:
        return await tally.drained("run", expected, PARTITIONS, SINCE)

    try:
        offset = 0
        for stream in expected:
            way = next(suffix for suffix, branch in WAYS.items() if branch == stream.branch)
            for partition in range(PARTITIONS):
                assert not await drained(), (stream, partition)
                offset += 1
                ref = PartitionRef(topic_ids[stream.topic.name], partition, stream.topic.name)
                mark = Mark(ref, "binance", f"binance-spot-0{way}", 1, True, "run", offset)
                await Positions(stream.sink).mark(db, [mark])
        assert await drained()
        assert not await tally.drained("another run", expected, PARTITIONS, SINCE)
    finally:
        await database.close()
        await db.close()
