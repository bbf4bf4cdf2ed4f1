"""`kandle replay SOURCE --serve`: the past as an exchange on this machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import click

from backtest.replay.past import Past
from backtest.replay.serving import ServedPast, open_past, serve
from backtest.replay.source import Period
from infra.settings import Settings
from kandle.replays.source import source_of
from kandle.servers import reach_kafka, reach_servers
from producers.markets import exchange_class
from producers.simulator.server import SimulatorServer


@dataclass(frozen=True, slots=True)
class Serving:
    """What is to be served, and how.

    Attributes:
        source: As written; see `kandle.replays.source.FORMS`.
        period: What of it.
        symbols: Symbols or keys; None: all.
        speed: Times the pace of the past; `inf`: as fast as the slowest client reads.
        venue_format: Name of the market whose format is spoken; None: our own.
        host: Where it listens.
        port: 0 takes a free one.
        rewind: Whether a client that comes back gets everything from the beginning.
        once: Whether it ends with the past.
    """

    source: str
    period: Period
    symbols: Sequence[str] | None
    speed: float
    venue_format: str | None
    host: str
    port: int
    rewind: bool
    once: bool


def serve_replay(asked: Serving, settings: Settings) -> None:
    """Serve until a signal comes, or until the end.

    Raises:
        ConfigurationError: There is no such source or market, or nothing to be served.
        KandleError: The source cannot be read; the port is taken.
    """
    with _reached(settings, asked.source) as reached:
        asyncio.run(_serve(asked, reached))


@contextmanager
def _reached(settings: Settings, source: str) -> Iterator[Settings]:
    """The servers that are read from; archives and captures need none."""
    if source.startswith("topics"):
        with reach_kafka(settings) as found:
            yield settings.model_copy(update={"kafka": found.kafka})
    elif source.startswith("database"):
        with reach_servers(settings) as reached:
            yield reached
    else:
        yield settings


async def _serve(asked: Serving, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    market = exchange_class(asked.venue_format) if asked.venue_format else None
    source = await asyncio.to_thread(source_of, asked.source, settings, asked.period)
    speed: float | Literal["max"] = "max" if asked.speed == float("inf") else asked.speed
    past = await open_past(Past(source, asked.period, asked.symbols), speed, market, asked.rewind)
    server = SimulatorServer(past, asked.port, host=asked.host)
    await server.start()
    form = f"as {market.venue} {market.market}" if market else "in our own form"
    click.echo(f"{asked.source} is served {form}: {', '.join(past.venue.symbols)}")
    click.echo(f"WebSocket {server.websocket_url}   REST {server.rest_url}")
    click.echo("it begins when its streams are subscribed, and ends with close code 4000", err=True)
    await serve(past, server, stop, asked.once)
    _tell(past)


def _tell(past: ServedPast) -> None:
    click.echo(f"{past.played:,} records were played" + ("" if past.has_ended else ", not to the end"))
    for name, count in past.unsaid.items():
        click.echo(f"kandle: {count:,} of {name} cannot be said in this format", err=True)
    if past.unreadable:
        click.echo(f"kandle: {past.unreadable:,} records could not be decoded", err=True)
