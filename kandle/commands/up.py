"""`kandle up`: everything on this machine."""

import asyncio
import json
import signal
import sys
import time
from contextlib import nullcontext
from typing import Any, Final

import click
from rich.console import Console

from infra import logging
from infra.settings import LoggingSettings, Settings, load
from kandle.preflight import check
from kandle.up.feed import choose
from kandle.up.pipeline import run_pipeline
from kandle.up.screen import LineScreen, TerminalScreen
from kandle.up.summary import Summary
from schemas.errors import ConfigurationError

INTERRUPTED: Final = 130
"""Exit code where a signal leaves nothing to sum up, as of a shell's command that an interrupt has ended."""


class Speed(click.ParamType):
    """A number above 0, or max."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is, once it is known to be a speed."""
        try:
            is_speed = value == "max" or 0 < float(value) <= 1e6
        except ValueError:
            is_speed = False
        if not is_speed:
            self.fail(f"{value!r} is neither a number above 0 nor max", param, ctx)
        return str(value)


@click.command()
@click.option(
    "--feed", help="live, simulated, or a capture FILE; default: live if the venue answers within 3 s."
)
@click.option("--venue", help="Venue in lower case; default binance.")
@click.option("--symbols", help="Unified symbols, comma separated: BTC/USDT,ETH/USDT.")
@click.option("--speed", type=Speed(), help="Of a simulated feed: times real time, or max. Default 1.")
@click.option("--once", is_flag=True, help="Stop when the feed has ended and everything is stored.")
@click.option(
    "--serve/--no-serve", default=None, help="The page and the API as well; default: unless --once."
)
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object on the last line.")
def up(
    feed: str | None,
    venue: str | None,
    symbols: str | None,
    speed: str | None,
    once: bool,
    serve: bool | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Run the whole pipeline: a feed, Kafka, candles, indicators, signals, the database, notifications.

    Kafka and PostgreSQL are brought along, unless KAFKA_BOOTSTRAP_SERVERS or DATABASE_URL name yours. Where
    everything listens stands in endpoints.json in the data directory, logs in log/ beside it.

    \b
    Examples:
      kandle up
      kandle up --feed capture.gz --speed max --once --json
    """  # noqa: D301 - click asks for this control character
    began = time.monotonic()
    settings = _settings(venue, symbols, speed, data_dir)
    check(settings)
    if feed == "live" and speed is not None:
        raise ConfigurationError("--speed is for a capture or the simulated market; a live feed has its own")
    logging.configure(LoggingSettings(level="warning", format="human"), "up")
    shown = not once if serve is None else serve
    try:
        summary = asyncio.run(_run(settings, feed, began=began, once=once, serve=shown))
    except asyncio.CancelledError:
        summary = None
    if summary is None:
        sys.exit(INTERRUPTED)
    click.echo(json.dumps(summary.as_dict()) if as_json else summary.as_text())


def _settings(venue: str | None, symbols: str | None, speed: str | None, data_dir: str | None) -> Settings:
    producer = {"venue": venue and venue.lower(), "symbols": symbols}
    simulator = {"speed": speed, "symbols": symbols}
    given: dict[str, Any] = {"producer": producer, "simulator": simulator}
    sections = {
        name: {key: value for key, value in values.items() if value is not None}
        for name, values in given.items()
    }
    overrides: dict[str, Any] = {name: values for name, values in sections.items() if values}
    return load(**overrides, **({"data_dir": data_dir} if data_dir else {}))


async def _run(
    settings: Settings, option: str | None, *, began: float, once: bool, serve: bool
) -> Summary | None:
    feed = await choose(option, settings)
    if once and not feed.ends:
        raise ConfigurationError(
            f"--once needs a feed that ends, a capture: --feed FILE; this is {feed.kind}"
        )
    stop = asyncio.Event()
    _stop_on_signals(stop)
    console = Console(stderr=True)
    with TerminalScreen(console) if console.is_terminal else nullcontext(LineScreen(console)) as screen:
        return await run_pipeline(
            settings, feed, began=began, once=once, serve=serve, screen=screen, stop=stop
        )


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal stops in order, the second at once."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def on_signal() -> None:
        if stop.is_set():
            sys.stderr.write("killed\n")
            if main is not None:
                main.cancel()
            return
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
