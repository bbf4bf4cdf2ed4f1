"""Looks whether the database answers, for the readiness of the process."""

from __future__ import annotations

import asyncio
from typing import Final

import psycopg

from infra.logging import get_logger
from infra.probes import Readiness
from infra.settings import DatabaseSettings
from schemas.errors import UnavailableError
from sinks.database import broken_after, connect

CHECK: Final = "database"
EVERY_S: Final = 2.0
ANSWER_S: Final = 3.0

log = get_logger(__name__)


async def watch_database(settings: DatabaseSettings, readiness: Readiness) -> None:
    """Ask something small every two seconds, over a connection kept for that, until cancelled.

    Sinks that have nothing to store would not notice that the database is away.

    Raises:
        ConfigurationError: No database is configured.
    """
    readiness.expect(CHECK)
    is_away = False
    while True:
        try:
            connection = await connect(settings, "probe")
            try:
                while True:
                    with broken_after(connection, ANSWER_S):
                        await connection.execute("SELECT 1")
                    readiness.set(CHECK)
                    is_away = False
                    await asyncio.sleep(EVERY_S)
            finally:
                await connection.close()
        except (UnavailableError, psycopg.Error) as error:
            # What a driver says may name hosts and users, and whoever asks for readiness needs no token.
            readiness.set(CHECK, "PostgreSQL does not answer, see the log")
            if not is_away:
                log.info("the database does not answer", error=str(error).strip())
            is_away = True
        await asyncio.sleep(EVERY_S)
