"""Records a venue: every frame as it came, and the REST answers that the frames cannot be read without."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from producers.capture.file import CaptureWriter
from producers.capture.recording import Recorded, Recording, Say
from producers.exchange import BadRecord, Channel, Exchange
from producers.instruments import Listing
from producers.interruption import unless_stopped
from producers.transport import Addresses, transport_of
from schemas.errors import ConfigurationError

__all__ = ["Recorded", "Target", "record"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is recorded, and where to.

    Attributes:
        market: The venue's market.
        names: Symbols, unified or the venue's own, or patterns as `*/USDT`.
        channels: Those that the market does not have are left out.
        path: The file, packed by gzip.
        websocket_url: Base of the WebSocket endpoint, instead of the venue's own.
        rest_url: Base of the REST endpoint, instead of the venue's own.
    """

    market: type[Exchange]
    names: Sequence[str]
    channels: Collection[Channel]
    path: Path
    websocket_url: str | None = None
    rest_url: str | None = None


async def record(
    target: Target,
    stop: asyncio.Event,
    seconds: float | None = None,
    recorded: Recorded | None = None,
    say: Say = lambda _: None,
) -> None:
    """Record until `stop` is set, for some seconds, or until the feed ends; the file is whole afterwards.

    Args:
        target: What is recorded.
        stop: Ends the recording; set when it returns.
        seconds: From the venue's list of symbols on; None for no limit.
        recorded: Counts what is written.
        say: Takes sentences for people.

    Raises:
        ConfigurationError: The venue lists no such symbol, or has none of the channels.
        UnavailableError: The venue's list of symbols cannot be had.
        CaptureError: The file cannot be written.
    """
    market = target.market
    rest_url = (target.rest_url or market.rest_url).rstrip("/")
    transport = transport_of(market, Addresses(target.websocket_url, target.rest_url))
    desk = transport.desk
    asking = asyncio.create_task(desk.run(stop))
    try:
        body = await unless_stopped(stop, desk.fetch(market.instruments_call()))
        if body is None:
            return
        exchange = _set_up(target, body)
        header = {
            "venue": exchange.venue,
            "market": exchange.market,
            "symbols": ",".join(exchange.by_name),
            "source": "kandle",
        }
        with CaptureWriter(target.path, header) as writer:
            recording = Recording(exchange, writer, desk, recorded or Recorded(), stop, say)
            recording.websocket_url = (target.websocket_url or market.websocket_url).rstrip("/")
            recording.rest_url = rest_url
            recording.opening = transport.opening(exchange)
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, stop.set)
            await recording.run(body)
    finally:
        stop.set()
        await asyncio.gather(asking, return_exceptions=True)
        await desk.close()


def _set_up(target: Target, body: bytes) -> Exchange:
    market = target.market
    try:
        listed = market.read_instruments(body, time.time_ns() // 1_000)
    except BadRecord as error:
        raise ConfigurationError(
            f"{market.venue} {market.market}: its list of symbols cannot be read: {error}"
        ) from None
    chosen = Listing(listed, market.venue).choose(target.names)
    exchange = market(list(chosen.values()), target.channels)
    if not exchange.streams():
        has = ", ".join(sorted(market.channels_available))
        what = f"has none of these channels; it has {has}" if chosen else "trades none of these symbols"
        raise ConfigurationError(f"{market.venue} {market.market} {what}")
    return exchange
