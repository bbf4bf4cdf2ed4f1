"""What a sink's probe tells strangers of a database that refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg

from infra.probes import READINESS
from infra.settings import KafkaSettings, Settings
from sinks.runner import Runner


async def test_the_probe_says_that_nothing_is_stored_and_not_where() -> None:
    async def recover(_: Exception) -> None:
        pass

    destination: Any = SimpleNamespace(name="probed", topics=(), is_passing=lambda _: True, recover=recover)
    letters: Any = None
    runner = Runner(Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1")), destination, letters)
    try:
        await runner._wait(psycopg.OperationalError('no password for user "me" at 10.0.0.5'))
        assert READINESS.checks["sink-probed"] == "it cannot store (UNAVAILABLE), see the log"
        runner._stored_again()
        assert READINESS.checks["sink-probed"] == "ok"
    finally:
        READINESS.forget("sink-probed")
