"""`kandle sink rebuild`: what was damaged is right again, for readers at once, beside a sink that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from infra.settings import Settings
from kandle.commands.sink import sink as command
from kandle.verification.run import TABLES_KNOWN
from kandle.verification.stored import Range
from schemas.errors import ConfigurationError, ConflictError
from schemas.records import AuditEntry
from schemas.rows import decode
from schemas.topics import AUDIT, TRADES
from sinks.timescale.row_tables import AUDIT as AUDIT_TABLE
from tests.processor_harness import BASE_US, PARTITIONS, market
from tests.sink_harness import (
    Log,
    fresh_topics,
    query,
    running,
    settings_for,
    totals,
    until,
    until_passed,
)
from tests.sink_samples import sample
from tests.stored_market import DAMAGES, faults, put, store, verify

SECOND = 1_000_000
SECONDS = 75
TABLE = "topic and table"
WHOLE = ("--from", str(BASE_US - 3600 * SECOND), "--to", str(BASE_US + 3600 * SECOND))


@pytest.fixture(scope="module")
def stored(kafka: str, sink_database: Callable[[], str]) -> tuple[Settings, str]:
    """A minute and a quarter of a market, stored; where there is a columnstore, trades are in it."""
    url = sink_database()
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    put(Log(kafka), market(seconds=SECONDS, rate=40))
    asyncio.run(store(settings, url))
    return settings, url


def rebuild(settings: Settings, *arguments: str) -> Result:
    assert settings.database.url is not None
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
        "DATABASE_URL": settings.database.url.get_secret_value(),
    }
    return CliRunner().invoke(command, ("rebuild", *arguments), env=environment)


def compress(url: str, table: str) -> int:
    """Put all chunks of a table into the columnstore, where there is one; returns how many there are."""
    with psycopg.connect(url, autocommit=True) as db:
        if not db.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchall():
            return 0
        found = db.execute("SELECT show_chunks(%s::regclass)", (f"kandle.{table}",)).fetchall()
        for (chunk,) in found:
            db.execute("CALL convert_to_columnstore(%s::regclass, if_not_columnstore => true)", (chunk,))
    return len(found)


@contextlib.contextmanager
def counted(url: str, table: str) -> Iterator[set[int]]:
    """All numbers of rows that a reader sees meanwhile."""
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as db:
            while not done.is_set():
                seen.update(n for (n,) in db.execute(f"SELECT count(*) FROM kandle.{table}".encode()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_a_damaged_table_is_right_again_and_nobody_sees_half_of_it(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    ((right,),) = query(url, "SELECT count(*) FROM kandle.market_trades")
    for damage in DAMAGES:
        damage.do(url)
    with psycopg.connect(url) as db:
        db.execute("DELETE FROM kandle.market_trades WHERE sequence < 100")
    ((damaged,),) = query(url, "SELECT count(*) FROM kandle.market_trades")
    chunks = compress(url, "market_trades")
    assert not verify(settings, ["trades"])["trades", TABLE].comparison.clean

    for damage in DAMAGES:
        with counted(url, damage.table) as seen:
            answer = rebuild(settings, damage.view, *WHOLE, "--json")
            assert answer.exit_code == 0, answer.output
        if damage.view == "trades":
            assert seen <= {damaged, right}
            said = json.loads(answer.stdout)
            assert (said["removed"], said["written"], said["notes"]) == (damaged, right, [])
            assert chunks == 0 or compress(url, "market_trades") == chunks
    found = verify(settings)
    assert all(check.comparison.clean for check in found.values()), [c.as_dict() for c in found.values()]

    *_, entry = (
        decode(message.value()) for message in Log(settings.kafka.bootstrap_servers or "").read(AUDIT.name)
    )
    assert isinstance(entry, AuditEntry)
    assert (entry.action, entry.subject) == ("sink rebuild", "kandle.market_signals")
    assert json.loads(entry.before or "")["rows"] == json.loads(entry.after or "")["rows"] > 0


def test_rows_outside_of_the_range_are_left_alone(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    with psycopg.connect(url) as db:
        db.execute("UPDATE kandle.market_trades SET price = 1 WHERE sequence IN (400, 2000)")
    answer = rebuild(settings, "trades", "--from", str(BASE_US), "--to", str(BASE_US + 20 * SECOND))
    assert "rows removed" in answer.output
    left = verify(settings, ["trades"])["trades", TABLE].comparison
    assert faults(left) == {"differing": 1}
    assert left.examples[0].row["sequence"] == 2000
    assert rebuild(settings, "trades", *WHOLE).exit_code == 0


async def test_a_sink_that_runs_meanwhile_stores_all_and_nothing_twice(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    log = Log(settings.kafka.bootstrap_servers or "")
    async with running(settings, ["timescale"]) as task:
        for first in range(SECONDS, SECONDS + 30, 10):
            feed = market(seconds=10, rate=300, first=first)
            for partition, items in feed.items():
                log.put(TRADES, partition, items)
            answer = await asyncio.to_thread(rebuild, settings, "trades", *WHOLE, "--json")
            assert answer.exit_code == 0, answer.output
            assert json.loads(answer.stdout.splitlines()[-1])["written"] >= SECONDS * 40
        await until_passed(url, "timescale", TRADES, task=task)
    found = (await asyncio.to_thread(verify, settings, ["trades"]))["trades", TABLE]
    assert found.comparison.clean, found.as_dict()
    assert found.not_stored_yet == 0
    assert found.comparison.found == SECONDS * 40 + 30 * 300


def test_what_the_log_does_not_hold_any_more_is_not_given_up(stored: tuple[Settings, str]) -> None:
    settings, url = stored
    client = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers or ""})
    cut = [TopicPartition(TRADES.name, partition, 600) for partition in range(PARTITIONS)]
    for future in client.delete_records(cut).values():
        future.result()
    before = query(url, "SELECT * FROM kandle.market_trades ORDER BY instrument_id, sequence")
    refused = rebuild(settings, "trades", *WHOLE).exception
    assert isinstance(refused, ConflictError)
    assert "Nothing was changed" in str(refused)
    assert query(url, "SELECT * FROM kandle.market_trades ORDER BY instrument_id, sequence") == before

    check = verify(settings, ["trades"])["trades", TABLE]
    assert check.comparison.clean, "what the log cannot tell of is not held against the table"
    assert "earlier rows were not looked at" in check.notes[0]
    with psycopg.connect(url) as db:
        gone = db.execute("DELETE FROM kandle.market_trades WHERE sequence IN (30000, 30001)")
        assert gone.rowcount == 2
    forced = rebuild(settings, "trades", *WHOLE, "--force")
    assert forced.exit_code == 0, forced.output
    assert "earlier rows were left alone" in forced.output
    assert query(url, "SELECT * FROM kandle.market_trades ORDER BY instrument_id, sequence") == before
    assert verify(settings, ["trades"], Range(BASE_US + 95 * SECOND))["trades", TABLE].comparison.clean


def test_a_mistake_is_told(stored: tuple[Settings, str]) -> None:
    settings, _ = stored
    assert rebuild(settings, "trades").exit_code == 2
    assert rebuild(settings, "trades", "--from", "2026-01-02", "--to", "2026-01-01").exit_code == 2
    for name in ("trade", "tickers", "audit_entries"):
        assert isinstance(rebuild(settings, name, *WHOLE).exception, ConfigurationError)


@pytest.mark.full
async def test_every_table_is_compared_and_made_again_whatever_becomes_of_repeats(
    kafka: str, sink_database: Callable[[], str]
) -> None:
    url = sink_database()
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    for table in TABLES_KNOWN:
        records = [
            sample(table.record, number, symbol) for symbol in ("BTC/USDT", "ETH/USDT") for number in range(3)
        ]
        log.put(table.topic, 1 if table.topic.keyed else 0, [*records, *records])
    async with running(settings, ["timescale"]) as task:
        for table in TABLES_KNOWN:
            await until(lambda table=table: totals(url, "timescale", table.topic)[0] == 12, task=task)  # type: ignore[misc]

    def compared() -> dict[str, dict[str, int]]:
        checks = verify(settings)
        return {
            name: faults(check.comparison) for (name, against), check in checks.items() if against == TABLE
        }

    assert await asyncio.to_thread(compared) == {table.view: {} for table in TABLES_KNOWN}
    changeable = [table for table in TABLES_KNOWN if table is not AUDIT_TABLE]
    with psycopg.connect(url) as db:
        for table in changeable:
            first = f'SELECT min("time") FROM kandle.{table.name}'
            db.execute(f'DELETE FROM kandle.{table.name} WHERE "time" = ({first})'.encode())
    damaged = await asyncio.to_thread(compared)
    assert all(damaged[table.view].keys() == {"lost"} for table in changeable), damaged
    made_again = ("quotes", "exchange_candles", "derivatives", "book_samples", "system_events")
    for name in made_again:
        answer = await asyncio.to_thread(
            rebuild, settings, name, "--from", "1970-01-01", "--to", "2100-01-01"
        )
        assert answer.exit_code == 0, (name, answer.output, answer.exception)
    right = {name for name, found in (await asyncio.to_thread(compared)).items() if not found}
    assert right == {*made_again, "audit_entries"}
