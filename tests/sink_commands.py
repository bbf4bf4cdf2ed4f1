"""The `kandle` command inside a test's process, on the test's Kafka and database."""

from __future__ import annotations

import asyncio

from click.testing import CliRunner, Result

from infra.settings import Settings
from kandle.__main__ import cli


async def kandle(settings: Settings, *arguments: str, answers: str = "") -> Result:
    """Run a command to its end, beside the running loop; its error is in `exception`."""
    url = settings.database.url
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "DATABASE_URL": "" if url is None else url.get_secret_value(),
        "KANDLE_KAFKA__PARTITIONS": str(settings.kafka.partitions),
    }
    return await asyncio.to_thread(CliRunner(env=environment).invoke, cli, arguments, answers)
