"""The processing stage: a worker that folds trades into candles, and candles into indicators and signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any, Final

from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.metrics.stages import count_error
from infra.probes import READINESS
from infra.settings import Settings
from processors.agents.watermark_delays import WatermarkDelays
from processors.candles.comparison_reader import ComparisonReader
from processors.engine.app import Worker, build, changelog
from processors.engine.lag import STAGE, show_lag
from processors.engine.loop_watch import LoopWatch
from processors.engine.partitions import Partitions, Step
from processors.engine.steps import StepType, step_topics, step_types
from schemas.errors import KandleError, UnavailableError
from schemas.topics import (
    ALERTS,
    BOOK_SAMPLES,
    CANDLES,
    EXCHANGE_CANDLES,
    INDICATORS,
    LIVE_CANDLES,
    SIGNALS,
    SYSTEM_EVENTS,
    TRADES,
)

STOP_TIMEOUT_S: Final = 25.0
"""Covers a last checkpoint."""
VAIN_STOP_TIMEOUT_S: Final = 2.0
"""A worker that is still joining its group, or that stands still, is not waited for so long."""
LINGER_MS: Final = 1
"""What leaves a step record by record is signals and marks: few of them, and somebody waits for each."""
WATCH_INTERVAL_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 10.0
LIBRARY_LEVELS: Final = {"aiokafka": logging.CRITICAL, "faust": logging.CRITICAL, "mode": logging.CRITICAL}
TOPICS: Final = (
    TRADES,
    EXCHANGE_CANDLES,
    CANDLES,
    LIVE_CANDLES,
    INDICATORS,
    SIGNALS,
    ALERTS,
    BOOK_SAMPLES,
    SYSTEM_EVENTS,
)

log = get_logger(__name__)


class StalledError(KandleError):
    """Records wait and none is folded: the supervisor shall start another worker."""

    code = "STALLED"
    exit_code = 3


def _quieten() -> None:
    """Keep out of the log what the clients mend by themselves; what the user must know is said here."""
    for name, level in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level)


def run(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; blocks.

    Returns:
        0 after a clean stop, the error's exit code otherwise.

    Raises:
        ConfigurationError: Settings are wrong, or topics are not as they should be.
        UnavailableError: Kafka does not answer at the start.
    """
    _quieten()
    admin = Admin(settings.kafka)
    read = step_topics(settings)
    needed = {topic.name: topic for topic in (*TOPICS, *read, changelog(settings))}
    admin.ensure_topics(list(needed.values()))
    topic_ids = admin.topic_ids([topic.name for topic in read])
    # A full round of the collector takes a tenth of a second, most of it for what was loaded up to here and
    # never goes. Records wait meanwhile.
    gc.freeze()
    return asyncio.run(_run(settings, topic_ids))


async def _run(settings: Settings, topic_ids: dict[str, str]) -> int:
    loop = asyncio.get_running_loop()
    publishers: list[Publisher] = []

    def part(step_type: StepType) -> Any:
        def make(worker: Worker) -> Partitions[Any]:
            publisher = Publisher(settings.kafka, client_id=f"kandle-{step_type.name}", linger_ms=LINGER_MS)
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

    worker = build(settings, map(part, step_types(settings)))
    worker.failure = loop.create_future()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    crashed = asyncio.ensure_future(worker.app._crashed.wait())
    comparing = asyncio.ensure_future(_compare(settings))
    stall_s = settings.processors.stall_timeout_s
    watching = asyncio.ensure_future(_watch(worker, stall_s))
    beating = asyncio.gather(LoopWatch(stall_s, StalledError.exit_code).run(), READINESS.beat())
    starting = asyncio.ensure_future(worker.app.start())
    starting.add_done_callback(lambda task: _report_start(task, worker))
    try:
        await asyncio.wait([stopping, worker.failure, crashed], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (watching, comparing, crashed, stopping):
            task.cancel()
    code = _verdict(worker.failure.result() if worker.failure.done() else worker.app.crash_reason)
    if not await _stop(worker, starting, publishers):
        # A thread still waits for the broker. What it would have written is read again by the next worker.
        sys.stderr.flush()
        os._exit(code)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    return code or _verdict(worker.failure.result() if worker.failure.done() else None)


async def _compare(settings: Settings) -> None:
    """Compare candles with the venues' own; the worker goes on if that is not possible."""
    publisher = Publisher(settings.kafka, client_id="kandle-comparison")
    try:
        await ComparisonReader(settings, publisher).run()
    except KandleError as error:
        log.warning("candles are not compared with the venues' own any more", reason=str(error))
    finally:
        await publisher.close(timeout_s=1.0)


def _verdict(error: BaseException | None) -> int:
    """Exit code for what ended the worker, which is said in the log."""
    if error is None:
        return 0
    if isinstance(error, KandleError):
        log.error("the worker stops", code=error.code, reason=str(error))
        return error.exit_code
    log.error("the worker stops for a fault of the program", exc_info=error)
    return 1


def _report_start(task: asyncio.Task[Any], worker: Worker) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        worker.fail(error)


async def _stop(worker: Worker, starting: asyncio.Task[Any], publishers: Iterable[Publisher]) -> bool:
    """Wind up; false if that does not end by itself, or goes wrong."""
    holds = any(partitions.held for partitions in worker.parts.values())
    failure = worker.failure
    is_stalled = failure is not None and failure.done() and isinstance(failure.result(), StalledError)
    # Not by a timeout around it: Faust swallows the cancellation that this would send.
    ending = asyncio.ensure_future(_end(worker, publishers))
    await asyncio.wait([ending], timeout=STOP_TIMEOUT_S if holds and not is_stalled else VAIN_STOP_TIMEOUT_S)
    starting.cancel()
    if not ending.done():
        return False
    try:
        ending.result()
    except KandleError as error:
        worker.fail(error)
    except (Exception, asyncio.CancelledError):
        log.exception("the worker did not stop in peace")
        return False
    return True


async def _end(worker: Worker, publishers: Iterable[Publisher]) -> None:
    await worker.app.stop()
    for publisher in publishers:
        await publisher.close()


def _objection(worker: Worker) -> str | None:
    """Why the worker cannot fold now; None: it does."""
    if worker.app.rebalancing:
        return "partitions are being assigned"
    waiting = [part.step.name for part in worker.parts.values() if not part.is_restored]
    return f"the state is being restored of {', '.join(waiting)}" if waiting else None


async def _watch(worker: Worker, stall_timeout_s: float) -> None:
    """Look after lag and progress; a worker that stands still with records waiting is ended."""
    is_away = False
    delays = WatermarkDelays()
    while True:
        await asyncio.sleep(WATCH_INTERVAL_S)
        READINESS.set("partitions", _objection(worker))
        delays.show([each.state for part in worker.parts.values() for each in part.held.values()])
        for partitions in worker.parts.values():
            held = dict(partitions.held)
            if not held or worker.app.rebalancing:
                partitions.moved_at = time.monotonic()
                if not held:
                    show_lag(partitions.step.topic, {}, {})
                continue
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    bounds = await worker.bounds(set(held))
            except Exception as error:
                # A broker that is away is no stall of ours: the clients wait for it.
                if not is_away:
                    log.warning(
                        "Kafka does not answer; the worker waits for it",
                        reason=str(error) or type(error).__name__,
                    )
                is_away = True
                count_error(STAGE, UnavailableError())
                partitions.moved_at = time.monotonic()
                continue
            if is_away:
                log.info("Kafka answers again")
                is_away = False
            lag = show_lag(partitions.step.topic, held, bounds)
            if not lag:
                partitions.moved_at = time.monotonic()
            elif time.monotonic() - partitions.moved_at > stall_timeout_s:
                worker.fail(
                    StalledError(
                        f"{lag} records of {partitions.step.topic} wait and none was folded for "
                        f"{stall_timeout_s:g} s; start the worker again"
                    )
                )
