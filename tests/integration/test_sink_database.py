"""The connections of the sinks on a real PostgreSQL: how many, how they are set, and after it was away."""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from infra.embedded.ports import free_ports
from infra.settings import DatabaseSettings
from schemas.errors import ConfigurationError, UnavailableError
from sinks.database import Connection, Database
from tests.tcp_proxy import TcpProxy


@asynccontextmanager
async def database_of(url: str, **settings: Any) -> AsyncIterator[Database]:
    database = Database(DatabaseSettings(url=SecretStr(url), **settings), "test")
    try:
        yield database
    finally:
        await database.close()


async def told(db: Connection, setting: str) -> str:
    row = await (await db.execute("SELECT current_setting(%s)", (setting,))).fetchone()
    assert row is not None
    return str(row[0])


def backends(url: str) -> list[tuple[str, int]]:
    with psycopg.connect(url) as db:
        return db.execute(
            "SELECT application_name, pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'kandle-%' ORDER BY application_name, pid"
        ).fetchall()


async def test_every_connection_has_the_settings_of_a_session(postgres: Callable[[], str]) -> None:
    async with database_of(postgres()) as database:
        held = await database.hold("sink-mine")
        async with database.connection() as lent:
            for db in (held, lent):
                assert db.autocommit
                assert await told(db, "TimeZone") == "UTC"
                assert await told(db, "lock_timeout") == "8s"
                assert await told(db, "jit") == "off"
                assert await told(db, "statement_timeout") == "1min"
                assert await told(db, "idle_in_transaction_session_timeout") == "30s"
            assert await told(held, "application_name") == "kandle-sink-mine"
            assert await told(lent, "application_name") == "kandle-test"
        await database.release(held)


async def test_a_process_has_no_more_connections_than_it_may(postgres: Callable[[], str]) -> None:
    url = postgres()
    async with database_of(url, pool_min=1, pool_max=2, acquire_timeout_s=0.3, idle_s=0.2) as database:
        held = await database.hold("a")
        async with database.connection():
            with pytest.raises(UnavailableError, match="2 connections are all in use"):
                await database.hold("b")
            assert [name for name, _ in backends(url)] == ["kandle-a", "kandle-test"]
        await database.release(held)
        again = await database.hold("c")
        # What was above the least and unused is closed after a while.
        for _ in range(50):
            if len(backends(url)) == 1:
                break
            await asyncio.sleep(0.1)
        assert [name for name, _ in backends(url)] == ["kandle-c"]
        await database.release(again)
    assert backends(url) == []


async def test_who_gets_no_connection_is_told_how_many_are_in_use(
    postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(connection: Connection) -> None:
        raise psycopg.OperationalError("reset")

    async with database_of(postgres(), pool_min=1, pool_max=2, acquire_timeout_s=0.5) as database:
        held = await database.hold("a")
        assert database._pool is not None
        monkeypatch.setattr(database._pool, "_check", broken)
        with pytest.raises(UnavailableError, match=r"within 0.5 s \(1 of 2 are in use\)"):
            await database.hold("b")
        await database.release(held)
        assert database._lent == 0


async def test_no_connection_is_lost_to_cancellation(postgres: Callable[[], str]) -> None:
    url = postgres()
    async with database_of(url, pool_min=1, pool_max=1, acquire_timeout_s=1) as database:

        async def work(entered: asyncio.Event) -> None:
            async with database.connection():
                entered.set()
                await asyncio.sleep(0.05)

        entered = asyncio.Event()
        task = asyncio.create_task(work(entered))
        await entered.wait()
        assert database._pool is not None
        async with database._pool._lock:  # as another of the pool's users would
            await asyncio.sleep(0.2)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with database.connection() as db:
            assert await told(db, "TimeZone") == "UTC"
        assert database._lent == 0


async def test_what_a_held_connection_leaves_behind_goes_with_it(postgres: Callable[[], str]) -> None:
    async with database_of(postgres(), pool_min=1, pool_max=1) as database:
        held = await database.hold("mine")
        await held.execute("CREATE TEMPORARY TABLE stage (i integer)")
        await database.release(held)
        async with database.connection() as lent:
            row = await (await lent.execute("SELECT to_regclass('pg_temp.stage')")).fetchone()
            assert row == (None,)
            assert await told(lent, "application_name") == "kandle-test"


async def test_a_connection_that_the_server_has_ended_is_not_lent(postgres: Callable[[], str]) -> None:
    url = postgres()
    async with database_of(url) as database:
        async with database.connection() as lent:
            assert await told(lent, "TimeZone") == "UTC"
        with psycopg.connect(url) as db:
            for _, pid in backends(url):
                db.execute("SELECT pg_terminate_backend(%s)", (pid,))
        async with database.connection() as lent:
            assert await told(lent, "TimeZone") == "UTC"


async def test_a_broken_idle_connection_is_found_by_the_health_check(postgres: Callable[[], str]) -> None:
    url = postgres()
    async with database_of(url, pool_min=1, pool_max=1, health_check_s=0.2) as database:
        async with database.connection():
            ((_, pid),) = backends(url)
        with psycopg.connect(url) as db:
            db.execute("SELECT pg_terminate_backend(%s)", (pid,))
        deadline = time.monotonic() + 10
        while not (found := backends(url)) or found[0][1] == pid:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_server_that_does_not_answer_is_told_with_the_reason() -> None:
    (port,) = free_ports(1)
    async with database_of(f"postgresql://127.0.0.1:{port}/x", acquire_timeout_s=0.3) as database:
        with pytest.raises(UnavailableError, match="refused"):
            await database.hold("mine")


@pytest.mark.full
async def test_a_server_that_is_back_is_found_within_five_seconds(postgres: Callable[[], str]) -> None:
    url = postgres()
    (port,) = free_ports(1)
    parts = urllib.parse.urlsplit(url)
    before = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()
    async with database_of(before, acquire_timeout_s=20) as database:
        waiting = asyncio.create_task(database.hold("mine"))
        # Pauses that go on doubling would be eight seconds long now.
        await asyncio.sleep(7.5)
        assert not waiting.done()
        began = time.monotonic()
        async with TcpProxy.before(url, port):
            held = await waiting
            assert time.monotonic() - began < 5
            await database.close()
            await database.release(held)


@pytest.mark.parametrize(
    ("url", "said"),
    [(None, "no database is configured"), ("postgres:/me:hunter22@what", "DATABASE_URL cannot be used")],
)
async def test_a_url_that_is_none_is_an_error_of_the_settings(url: str | None, said: str) -> None:
    database = Database(DatabaseSettings(url=None if url is None else SecretStr(url)))
    with pytest.raises(ConfigurationError, match=said) as caught:
        await database.hold("mine")
    assert "hunter22" not in str(caught.value)
    await database.close()
