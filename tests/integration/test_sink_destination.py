"""The database as a destination, portion by portion: what comes between, and what a transaction touches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import psycopg
import pytest
from aiokafka import TopicPartition
from pydantic import SecretStr

from infra.settings import DatabaseSettings, SinkSettings
from schemas.records import DerivativeTicker, Record
from schemas.topics import CANDLES, DERIVATIVES, TRADES, Topic
from sinks.database import Connection, Database
from sinks.database_destination import DatabaseDestination
from sinks.destination import Log, MovedError
from sinks.migrator import migrate
from sinks.portion import Portion, Slice
from sinks.timescale.sink import TimescaleSink
from tests.archive_records import slice_of
from tests.cache_records import candle
from tests.sink_harness import BASE_US, query, stored_trades, totals, trade

DAY_US = 86_400_000_000
LOG = Log("id", 0, 1_000)


@pytest.fixture
def url(postgres: Callable[[], str]) -> str:
    found = postgres()
    migrate(found)
    return found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    found = Database(DatabaseSettings(url=SecretStr(url)))
    yield found
    await found.close()


class Sink:
    """One process's destination, fed by hand."""

    def __init__(self, database: Database) -> None:
        self.destination = DatabaseDestination(database, TimescaleSink(SinkSettings(), database))

    async def portion(self, topic: Topic, *parts: Sequence[Record], first: int = 0) -> Portion:
        """Records of partitions 0, 1, ..., which are placed before."""
        tps = [TopicPartition(topic.name, number) for number in range(len(parts))]
        places = await self.destination.place(dict.fromkeys(tps, LOG))
        slices: list[Slice] = []
        for tp, values in zip(tps, parts, strict=True):
            slice_ = slice_of(topic, values, first=first, partition=tp.partition)
            slice_.ref = places[tp].ref
            self.destination.inspect(slice_)
            slices.append(slice_)
        return Portion(slices)


@pytest.fixture
async def sink(database: Database) -> AsyncIterator[Sink]:
    found = Sink(database)
    yield found
    await found.destination.close()


async def test_what_another_sink_has_stored_is_not_taken_for_ones_own(
    url: str, database: Database, sink: Sink
) -> None:
    other = Sink(database)
    ours = await sink.portion(TRADES, [trade(number) for number in range(5)])
    await other.destination.store(await other.portion(TRADES, [trade(number) for number in range(5)]))
    await other.destination.close()
    # Ours has failed before anything was written, waiting for the row that the other one held.
    ours.uncertain = True
    with pytest.raises(MovedError):
        await sink.destination.store(ours)
    again = [*(trade(number) for number in range(5)), trade(5)]
    await sink.destination.store(await sink.portion(TRADES, again, first=5))
    assert [int(row[3]) for row in stored_trades(url)] == list(range(6))


async def test_a_market_in_two_partitions_is_counted_in_each(url: str, sink: Sink) -> None:
    unnumbered = [trade(number, numbered=False) for number in range(6)]
    await sink.destination.store(await sink.portion(TRADES, unnumbered[:1], unnumbered[1:]))
    await sink.destination.store(await sink.portion(CANDLES, [candle(0)], [candle(1), candle(2), candle(1)]))
    found = query(
        url,
        "SELECT t.name, partition, rows_stored, rows_repeated FROM kandle.offsets o "
        "JOIN kandle.topics t ON t.id = topic_id ORDER BY 1, 2",
    )
    assert found == [
        (CANDLES.name, 0, 1, 0),
        (CANDLES.name, 1, 2, 1),
        (TRADES.name, 0, 1, 0),
        (TRADES.name, 1, 5, 0),
    ]


async def test_a_partition_dropped_under_the_sink_is_made_again(url: str, sink: Sink) -> None:
    await sink.destination.store(await sink.portion(TRADES, [trade(0)]))
    portion = await sink.portion(TRADES, [trade(1)], first=1)
    with psycopg.connect(url) as db:
        db.execute("DROP TABLE kandle.market_trades_20231114")
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        await sink.destination.store(portion)
    assert sink.destination.is_passing(caught.value)
    await sink.destination.recover(caught.value)
    portion.uncertain = True
    await sink.destination.store(portion)
    assert [row[3] for row in stored_trades(url)] == ["1"]
    assert totals(url, "timescale")[:2] == (2, 2)


def funding(day: int, rate: float | None, mark: float | None) -> DerivativeTicker:
    at = BASE_US + day * DAY_US
    return DerivativeTicker("binance", "BTC/USDT", mark, None, rate, None, None, at, at + 5)


async def test_a_revision_locks_the_partitions_of_its_time_alone(
    url: str, database: Database, sink: Sink
) -> None:
    await sink.destination.store(
        await sink.portion(DERIVATIVES, [funding(day, None, 1.0) for day in range(5)])
    )
    late = [funding(1, 0.5, None), funding(3, 0.5, None)]
    portion = await sink.portion(DERIVATIVES, late, first=5)
    market = TimescaleSink(SinkSettings(), database)
    async with database.connection() as db:
        await market.restore(db, [slice_.ref for slice_ in portion.slices])
        await market.prepare(db, portion)
        async with db.transaction():
            counts = await market.write(db, portion)
            cursor = await db.execute(
                "SELECT DISTINCT relname FROM pg_locks JOIN pg_class c ON c.oid = relation "
                "WHERE pid = pg_backend_pid() AND relname ~ '^market_derivatives_\\d+$' ORDER BY 1"
            )
            assert [name[-2:] for (name,) in await cursor.fetchall()] == ["15", "17"]
    assert [count.revised for count in counts.values()] == [2]


async def test_a_server_that_freezes_before_the_transaction_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frozen(TimescaleSink):
        async def prepare(self, db: Connection, portion: Portion) -> None:
            await db.execute("SELECT pg_sleep(30)")

    monkeypatch.setattr("sinks.database_destination.PREPARE_S", 0.3)
    fed = Sink(database)
    fed.destination = DatabaseDestination(database, Frozen(SinkSettings(), database))
    portion = await fed.portion(TRADES, [trade(0)])
    async with asyncio.timeout(10):
        with pytest.raises(psycopg.OperationalError) as caught:
            await fed.destination.store(portion)
        assert fed.destination.is_passing(caught.value)
        await fed.destination.recover(caught.value)
    await fed.destination.close()
