"""`kandle process --workers N`: N workers, each a process as a user would start it, under this one."""

import asyncio
import os
import signal
import sys
from typing import Final

from infra import logging
from infra.embedded.child import ChildSpec
from infra.embedded.worker_pool import WorkerPool
from infra.settings import Settings
from schemas.errors import ConfigurationError

STAGE: Final = "process"
STOP_TIMEOUT_S: Final = 40.0
"""Longer than a worker takes for its last checkpoint: who needs more is killed, and loses nothing by it."""
WRONG_SETTINGS: Final = frozenset({ConfigurationError.exit_code})
"""Exit code after which another start would be in vain."""
HIGHEST_PORT: Final = 65_535


def worker_specs(settings: Settings, count: int) -> list[ChildSpec]:
    """How to run each worker: the settings in force, and what it must not share with the others.

    Worker n (0, 1, ...) is the static member `<instance>-n` of the group, so that the broker knows it again
    when it comes back, and serves metrics on `metrics.port` + n. Without an `instance_id` the run's id
    stands in for it.

    Raises:
        ConfigurationError: There are not so many ports above `metrics.port`.
    """
    port = settings.metrics.port
    if port and port + count - 1 > HIGHEST_PORT:
        raise ConfigurationError(
            f"{count} workers need the ports {port} to {port + count - 1} for their metrics, but "
            f"{HIGHEST_PORT} is the highest: lower KANDLE_METRICS__PORT"
        )
    instance = settings.processors.instance_id or settings.run_id
    return [
        ChildSpec(
            name=f"{STAGE}-{number}",
            argv=(sys.executable, "-m", "kandle", STAGE),
            environment={
                **os.environ,
                "KANDLE_PROCESSORS__INSTANCE_ID": f"{instance}-{number}",
                "KANDLE_METRICS__PORT": str(port + number if port else 0),
            },
            fatal_codes=WRONG_SETTINGS,
            stop_timeout_s=STOP_TIMEOUT_S,
        )
        for number in range(count)
    ]


def run_workers(settings: Settings, count: int) -> int:
    """Run workers until SIGTERM or SIGINT, or until one fails for good; blocks.

    Returns:
        Exit code of the command.

    Raises:
        ConfigurationError: See `worker_specs`.
        ChildFailedError: The system cannot start a process.
    """
    logging.configure(settings.logging, STAGE)
    if count > settings.kafka.partitions:
        logging.get_logger(__name__).warning(
            "there are more workers than partitions; some will have nothing to do",
            workers=count,
            partitions=settings.kafka.partitions,
        )
    return asyncio.run(_run(WorkerPool(worker_specs(settings, count))))


async def _run(pool: WorkerPool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await pool.run(stop)
