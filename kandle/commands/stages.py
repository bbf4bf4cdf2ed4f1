"""`kandle produce|process|simulate`: one stage each, as a process of its own; `kandle sink` is beside."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import click

from infra import logging, metrics, tracing
from infra.probes import READINESS
from infra.settings import Settings, load
from kandle.process_probes import start_probes, watch_kafka

AsyncStage: TypeAlias = Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]


def prepare_stage(stage: str, **sections: Any) -> Settings:
    """Settings of a stage, with what the command line gives; logs and metrics are set up."""
    given = {name: values for name, values in sections.items() if values}
    settings = load(**given)
    logging.configure(settings.logging, stage)
    start_probes(stage, settings)
    if settings.metrics.port and stage != "simulate":
        watch_kafka(settings)
    tracing.configure(settings.tracing, stage)
    return settings


def run_stage(stage: AsyncStage, settings: Settings) -> None:
    """Run a stage until it ends, or the process is told to."""

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        beating = asyncio.create_task(READINESS.beat())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            await stage(settings, stop)
        finally:
            beating.cancel()

    try:
        asyncio.run(until_stopped())
    finally:
        tracing.close()
        metrics.write_last(settings.metrics)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@click.command()
@click.option("--venue", help="Venue in lower case; default from the settings: binance.")
@click.option("--market", help="Kind of market: spot, usdm, futures; default from the settings: spot.")
@click.option("--symbols", help="Unified symbols, comma separated: BTC/USDT,ETH/USDT, or */USDT.")
@click.option("--channels", help="What is fed, comma separated: trades,quotes,books,tickers,candles ...")
@click.option("--websocket-url", help="Instead of the venue's own, a simulator for one.")
@click.option("--rest-url", help="Instead of the venue's own.")
def produce(**given: str | None) -> None:
    """Read a venue and publish what its channels say.

    Start it twice with the same settings, here or elsewhere, and the second stands by for the first.

    Example: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 kandle produce --venue gateio --symbols BTC/USDT
    """
    from producers.stage import run

    run_stage(run, prepare_stage("produce", producer=_given(**given)))


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Worker processes; they share the partitions, and one that dies is started again.",
)
def process(workers: int) -> None:
    """Compute candles, indicators and signals from the topics.

    Start it several times, here or elsewhere, and the workers share the partitions.

    Example: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 kandle process --workers 2
    """
    from kandle.preflight import check_processors

    if workers > 1:
        from kandle.workers import run_workers

        settings = load()
        check_processors(settings)
        sys.exit(run_workers(settings, workers))
    settings = prepare_stage("process")
    check_processors(settings)
    from processors.engine.stage import run

    sys.exit(run(settings))


@click.command()
@click.option("--capture", type=click.Path(exists=True, dir_okay=False), help="Capture to play back.")
@click.option("--speed", help="Times real time, or max.")
@click.option("--symbols", help="Symbols of the market that it makes when there is no capture.")
@click.option("--port", type=int, help="Port to listen on; default any free one.")
@click.option(
    "--faults", help="What goes wrong: gap@5000:20,mute@30s,429@0:3; see producers/simulator/faults.py."
)
def simulate(
    capture: str | None, speed: str | None, symbols: str | None, port: int | None, faults: str | None
) -> None:
    """Be an exchange on this machine, by WebSocket and REST.

    Example: kandle simulate --capture binance.capture.gz --speed 10 --port 9443 --faults gap@5000:20
    """
    from producers.simulator.stage import run

    given = _given(capture=capture, speed=speed, symbols=symbols, port=port, faults=faults)
    run_stage(run, prepare_stage("simulate", simulator=given))
