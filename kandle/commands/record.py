"""`kandle record`: a venue's traffic into a capture."""

import asyncio
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import click

from infra import logging
from infra.settings import LoggingSettings, load
from kandle.channels import ChannelNames
from producers.capture.recorder import Recorded, Target
from producers.capture.recorder import record as record_capture
from producers.exchange import Channel
from producers.interruption import pause
from producers.markets import exchange_class
from producers.plugins import load_venues
from schemas.errors import ConfigurationError

LINE_EVERY_S: Final = 10.0
SHOWN_EVERY_S: Final = 0.5
"""How often progress is told: as lines, and in a terminal in place."""


@click.command()
@click.argument("venue")
@click.argument("symbols", nargs=-1, required=True)
@click.option(
    "--channels",
    type=ChannelNames(),
    default="trades,quotes",
    show_default=True,
    help="Comma separated: trades, aggregated_trades, quotes, books, tickers, candles, derivatives, "
    "liquidations, or all.",
)
@click.option("--out", "path", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so long.")
@click.option("--websocket-url", help="Instead of the venue's own, a simulator for one.")
@click.option("--rest-url", help="Instead of the venue's own.")
def record(
    venue: str,
    symbols: tuple[str, ...],
    channels: Collection[Channel],
    path: Path,
    seconds: float | None,
    websocket_url: str | None,
    rest_url: str | None,
) -> None:
    """Record SYMBOLS of a VENUE into a capture: frames as received, and the REST answers that go with them.

    VENUE is a name such as binance, binance-usdm or 'gateio futures'; SYMBOLS are separated by commas or
    spaces: BTC/USDT, the venue's own BTCUSDT, or a pattern as '*/USDT'. Books come with their snapshots.
    Ctrl-C ends the recording; the file is whole then, for kandle parse and for kandle up --feed.

    \b
    Examples:
      kandle record binance BTC/USDT,ETH/USDT --out btc.capture.gz --seconds 60
      kandle record binance-usdm BTC/USDT:USDT --channels all --out perpetual.capture.gz
    """  # noqa: D301 - click asks for this control character
    words = venue.split()
    if not words:
        raise ConfigurationError("VENUE is empty; name one, for example binance")
    load_venues(load().producer.plugins)
    market = exchange_class(words[0], " ".join(words[1:])) if len(words) > 1 else exchange_class(venue)
    names = [name.strip() for text in symbols for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigurationError("there are no SYMBOLS; they are written like BTC/USDT,ETH/USDT")
    if path.exists():
        raise ConfigurationError(f"{path} exists; remove it or name another file")
    if not path.parent.is_dir():
        raise ConfigurationError(f"{path.parent} is no directory")
    logging.configure(LoggingSettings(level="warning", format="human"), "record")
    target = Target(market, names, channels, path, websocket_url, rest_url)
    asyncio.run(_run(target, seconds))


async def _run(target: Target, seconds: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    recorded = Recorded()
    telling = asyncio.create_task(_tell(recorded, stop))
    try:
        await record_capture(target, stop, seconds, recorded, _say)
    finally:
        stop.set()
        await telling
    size = target.path.stat().st_size if target.path.exists() else 0
    _say(f"recorded {recorded} in {target.path} ({size:,} bytes)")


async def _tell(recorded: Recorded, stop: asyncio.Event) -> None:
    began_s = time.monotonic()
    in_place = sys.stderr.isatty()
    while not stop.is_set():
        await pause(stop, SHOWN_EVERY_S if in_place else LINE_EVERY_S)
        text = f"{time.monotonic() - began_s:.0f} s: {recorded}"
        click.echo(f"\r\x1b[K{text}" if in_place else text, nl=not in_place, err=True)
    if in_place:
        click.echo("", err=True)


def _say(text: str) -> None:
    lead = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{lead}{text}", err=True)
