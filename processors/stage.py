"""The processing stage: a worker that folds trades into candles, and candles into indicators and signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any, Final

from infra import metrics
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from processors.agents.candles import CandleStep
from processors.agents.indicators import IndicatorStep
from processors.app import Worker, build, changelog
from processors.partitions import Partitions, Step
from schemas.errors import KandleError
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TRADES

STAGE: Final = "process"
STOP_TIMEOUT_S: Final = 25.0
"""Covers a last checkpoint; a worker that is still joining its group is not waited for so long."""
JOINING_STOP_TIMEOUT_S: Final = 2.0
WATCH_INTERVAL_S: Final = 1.0
TOPICS: Final = (TRADES, CANDLES, INDICATORS, SIGNALS)

log = get_logger(__name__)


class StalledError(KandleError):
    """Records wait and none is folded: the supervisor shall start another worker."""

    code = "STALLED"
    exit_code = 3


def run(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; blocks.

    Returns:
        0 after a clean stop, the error's exit code otherwise.

    Raises:
        ConfigurationError: Settings are wrong, or topics are not as they should be.
        UnavailableError: Kafka does not answer at the start.
    """
    admin = Admin(settings.kafka)
    admin.ensure_topics([*TOPICS, changelog(settings)])
    topic_ids = admin.topic_ids([TRADES.name, CANDLES.name])
    code, is_clean = asyncio.run(_run(settings, topic_ids))
    if not is_clean:
        # A thread still waits for the broker; nothing is held, so nothing is lost.
        sys.stderr.flush()
        os._exit(code)
    return code


async def _run(settings: Settings, topic_ids: dict[str, str]) -> tuple[int, bool]:
    loop = asyncio.get_running_loop()
    publishers: list[Publisher] = []

    def part(step_type: Any) -> Any:
        def make(worker: Worker) -> Partitions[Any]:
            publisher = Publisher(settings.kafka, client_id=f"kandle-{step_type.name}")
            publishers.append(publisher)
            step: Step[Any] = step_type(settings, publisher)
            return Partitions(
                step,
                publisher,
                changelog=changelog(settings).name,
                topic_id=topic_ids[step.topic],
                checkpoint_interval_s=settings.processors.checkpoint_interval_s,
                group=worker,
            )

        return make

    worker = build(settings, [part(CandleStep), part(IndicatorStep)])
    worker.failure = loop.create_future()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    crashed = asyncio.ensure_future(worker.app._crashed.wait())
    watching = asyncio.ensure_future(_watch(worker, settings.processors.stall_timeout_s))
    starting = asyncio.ensure_future(worker.app.start())
    starting.add_done_callback(lambda task: _report_start(task, worker))
    try:
        await asyncio.wait([stopping, worker.failure, crashed], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (watching, crashed, stopping):
            task.cancel()
    is_clean = await _stop(worker, starting, publishers)
    error = worker.failure.result() if worker.failure.done() else worker.app.crash_reason
    if error is None:
        return 0, is_clean
    if isinstance(error, KandleError):
        log.error("the worker stops", code=error.code, reason=str(error))
        return error.exit_code, is_clean
    log.error("the worker stops for a fault of the program", exc_info=error)
    return 1, is_clean


def _report_start(task: asyncio.Task[Any], worker: Worker) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        worker.fail(error)


async def _stop(worker: Worker, starting: asyncio.Task[Any], publishers: Iterable[Publisher]) -> bool:
    holds = any(partitions.held for partitions in worker.parts.values())
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S if holds else JOINING_STOP_TIMEOUT_S):
            await worker.app.stop()
            for publisher in publishers:
                await publisher.close()
    except TimeoutError:
        return False
    except KandleError as error:
        worker.fail(error)
    finally:
        starting.cancel()
    return True


async def _watch(worker: Worker, stall_timeout_s: float) -> None:
    """Look after lag and progress; a worker that stands still with records waiting is ended."""
    while True:
        await asyncio.sleep(WATCH_INTERVAL_S)
        for partitions in worker.parts.values():
            held = dict(partitions.held)
            if not held or worker.app.rebalancing:
                partitions.moved_at = time.monotonic()
                continue
            try:
                async with asyncio.timeout(stall_timeout_s):
                    bounds = await worker.bounds(set(held))
            except Exception as error:
                # A broker that is away is no stall of ours: the clients wait for it.
                log.info("the ends of the log are not known", reason=str(error))
                continue
            lag = sum(max(bounds[tp][1] - each.position, 0) for tp, each in held.items())
            metrics.LAG_RECORDS.labels(STAGE, partitions.step.topic).set(lag)
            if not lag:
                partitions.moved_at = time.monotonic()
            elif time.monotonic() - partitions.moved_at > stall_timeout_s:
                worker.fail(
                    StalledError(
                        f"{lag} records of {partitions.step.topic} wait and none was folded for "
                        f"{stall_timeout_s:g} s; start the worker again"
                    )
                )
