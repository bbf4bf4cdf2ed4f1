"""Rows that no running number vouches for: the table is asked, by an index or piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import psycopg
import pytest
from aiokafka import TopicPartition
from pydantic import SecretStr

from infra.settings import DatabaseSettings, SinkSettings
from schemas.records import Trade
from schemas.topics import TRADES
from sinks.database import Database, application_name, end_stalled
from sinks.database_destination import DatabaseDestination
from sinks.destination import Log
from sinks.migrator import migrate
from sinks.portion import Portion
from sinks.timescale import indexes, seen_ids, stage
from sinks.timescale.indexes import Indexes
from sinks.timescale.sink import TimescaleSink
from tests.archive_records import slice_of
from tests.sink_harness import BASE_US, query, sorted_rows, stored_trades, totals, trade

DAY_US = 86_400_000_000
HOUR_US = DAY_US // 24
MIDNIGHT_US = BASE_US // DAY_US * DAY_US
LOG = Log("id", 0, 100_000)
Databases = Callable[[], str]


@pytest.fixture
def url(sink_database: Databases) -> str:
    found = sink_database()
    migrate(found)
    return found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    found = Database(DatabaseSettings(url=SecretStr(url)))
    yield found
    await found.close()


@pytest.fixture
async def destination(database: Database) -> AsyncIterator[DatabaseDestination]:
    found = DatabaseDestination(database, TimescaleSink(SinkSettings(), database))
    yield found
    await found.close()


async def store(destination: DatabaseDestination, values: Sequence[Trade], first: int = 0) -> None:
    tp = TopicPartition(TRADES.name, 1)
    places = await destination.place({tp: LOG})
    slice_ = slice_of(TRADES, values, first=first)
    slice_.ref = places[tp].ref
    destination.inspect(slice_)
    await destination.store(Portion([slice_]))


def over_hours(count: int, *, numbered: bool) -> list[Trade]:
    return [
        trade(number, numbered=numbered, time_us=MIDNIGHT_US + number * DAY_US // count)
        for number in range(count)
    ]


def wanting(url: str) -> int:
    return len(query(url, "SELECT FROM kandle.partitions() WHERE wants_index"))


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows that each look-up has found new."""
    found: list[int] = []
    by_instrument = stage._by_instrument

    async def counted(*args: object) -> stage.ByInstrument:
        result = await by_instrument(*args)  # type: ignore[arg-type]
        found.append(sum(result.values()))
        return result

    monkeypatch.setattr(stage, "_by_instrument", counted)
    return found


async def test_the_partitions_that_are_asked_get_their_index_first(
    url: str, destination: DatabaseDestination, statements: list[int]
) -> None:
    dense = over_hours(300, numbered=True)
    await store(destination, dense)
    assert (wanting(url), statements) == (1, [])
    plain = over_hours(300, numbered=False)
    other_day = [trade(n, "ETH/USDT", time_us=MIDNIGHT_US - 1 - n) for n in range(10)]
    await store(destination, [*plain, *plain[:50], *other_day], first=300)
    assert statements == [300]
    # The day of the numbered rows alone stays without.
    assert query(
        url, "SELECT wants_index FROM kandle.partitions() WHERE table_name = 'market_trades' ORDER BY starts"
    ) == [(True,), (False,)]
    await store(destination, plain, first=660)
    assert statements == [300, 0]
    assert stored_trades(url) == sorted_rows([*dense, *plain, *other_day])
    assert totals(url, "timescale")[:2] == (960, 610)


async def test_numbers_below_what_is_remembered_are_asked_by_an_index_too(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_ids.SeenIds.__init__, "__defaults__", (2,))
    market = DatabaseDestination(database, TimescaleSink(SinkSettings(), database))
    gaps = [trade(number, time_us=MIDNIGHT_US + number) for number in (10, 20, 30, 40)]
    await store(market, gaps)
    assert wanting(url) == 1
    await store(market, [*gaps, trade(15, time_us=MIDNIGHT_US + 15)], first=4)
    assert wanting(url) == 0
    await market.close()
    assert len(stored_trades(url)) == 5


async def test_without_the_index_a_day_is_asked_piece_by_piece(
    url: str, destination: DatabaseDestination, statements: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "LOCK_TIMEOUT", "100ms")
    await store(destination, over_hours(48, numbered=True))
    partition = query(url, "SELECT partition::text FROM kandle.partitions() WHERE wants_index")[0][0]
    plain = over_hours(48, numbered=False)
    with psycopg.connect(url) as db:
        # As other writers do; an index waits for them.
        db.execute(f"LOCK TABLE {partition} IN ROW EXCLUSIVE MODE".encode())
        await store(destination, plain[:30], first=48)
    assert statements == [2] * 15
    await store(destination, plain, first=78)
    assert statements[15:] == [0] * 15 + [2] * 9
    assert wanting(url) == 1
    assert len(stored_trades(url)) == 96


async def test_who_may_not_index_asks_piece_by_piece(
    url: str, destination: DatabaseDestination, statements: list[int]
) -> None:
    with psycopg.connect(url) as db:
        db.execute(
            "CREATE OR REPLACE FUNCTION kandle.index_partition(partition regclass) RETURNS void "
            "LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$"
        )
    await store(destination, over_hours(24, numbered=True))
    await store(destination, over_hours(24, numbered=False), first=24)
    assert statements == [1] * 24
    assert len(stored_trades(url)) == 48


async def test_what_is_known_of_a_partition_is_asked_again_after_a_while(
    url: str, database: Database, destination: DatabaseDestination
) -> None:
    await store(destination, over_hours(2, numbered=True))
    now = [0.0]
    known = Indexes(clock=lambda: now[0])
    times = np.array([MIDNIGHT_US, MIDNIGHT_US + 1, MIDNIGHT_US + 3 * DAY_US])
    async with database.connection() as db:
        await known.ensure(db, "market_trades", times)
        assert known.covers("market_trades", times[:2])
        assert not known.covers("market_trades", times)
        for (index,) in query(
            url,
            "SELECT indexrelid::regclass::text FROM pg_index "
            "JOIN kandle.partitions() ON partition = indrelid "
            "WHERE table_name = 'market_trades' AND indexrelid::regclass::text ~ 'instrument'",
        ):
            with psycopg.connect(url) as other:
                other.execute(f"DROP INDEX {index}".encode())
        await known.ensure(db, "market_trades", times)
        assert wanting(url) == 1
        now[0] = indexes.KNOWN_FOR_S + 1
        await known.ensure(db, "market_trades", times)
        assert known.covers("market_trades", times[:2])
    assert wanting(url) == 0


async def test_an_index_in_the_making_is_no_stalled_sink(
    url: str, database: Database, destination: DatabaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.database.STALLED_AFTER_S", 0)
    monkeypatch.setattr(indexes, "LOCK_TIMEOUT", "800ms")
    await store(destination, over_hours(2, numbered=True))
    partition = query(url, "SELECT partition::text FROM kandle.partitions() WHERE wants_index")[0][0]
    db = await database.hold("sink-timescale")
    with psycopg.connect(url) as writer:
        writer.execute(f"LOCK TABLE {partition} IN ROW EXCLUSIVE MODE".encode())
        making = asyncio.create_task(Indexes().ensure(db, "market_trades", np.array([MIDNIGHT_US])))
        await asyncio.sleep(0.4)
        async with database.connection() as other:
            assert await end_stalled(other, "sink-timescale") == 0
        await making
    cursor = await db.execute("SHOW application_name")
    assert await cursor.fetchone() == (application_name("sink-timescale"),)
    await database.release(db)


def test_pieces_are_hours_and_not_too_many_of_them() -> None:
    spread = MIDNIGHT_US + np.arange(0, 48) * (HOUR_US // 2)
    assert [len(piece) for piece in stage._pieces(spread[::-1])] == [2] * 24
    years = MIDNIGHT_US + np.arange(10_000) * HOUR_US
    pieces = stage._pieces(years)
    assert len(pieces) <= stage.PIECES_MAX
    assert np.concatenate(pieces).tolist() == years.tolist()
    assert max(map(len, pieces)) < 60
