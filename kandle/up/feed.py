"""Where the trades come from: a live venue, a market made on this machine, or a capture."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2

from infra.settings import Settings
from kandle.rendering import iso_time
from kandle.up.tally import Seen
from producers.capture.summary import Summary, summarize
from producers.markets import exchange_class
from producers.plugins import load_venues
from producers.shard import addresses_of
from producers.transport import transport_of
from schemas.errors import ConfigurationError, ConflictError

REACH_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Feed:
    """A decision, and what the stages must be told of it.

    Attributes:
        kind: `live`, `simulated` or `capture`.
        description: For people, one line.
        venue: Name of the venue.
        symbols: Unified symbols.
        speed: Times real time, or `max`; of no meaning for a live feed.
        capture: What the capture holds.
    """

    kind: Literal["live", "simulated", "capture"]
    description: str
    venue: str
    symbols: list[str]
    speed: float | Literal["max"] = 1.0
    capture: Summary | None = None
    producer: dict[str, Any] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether the simulator is needed."""
        return self.kind != "live"

    @property
    def ends(self) -> bool:
        """Whether the feed comes to an end by itself."""
        return self.kind == "capture"


async def choose(feed: str | None, settings: Settings) -> Feed:
    """Decide where the trades come from.

    Args:
        feed: `live`, `simulated`, the path of a capture, or None: live if the venue can be reached in 3 s.
        settings: Venue, symbols, speed.

    Raises:
        ConfigurationError: There is no such file, venue or symbol.
    """
    load_venues(settings.producer.plugins)
    if feed not in {None, "live", "simulated"}:
        return await asyncio.to_thread(_of_capture, Path(str(feed)), settings)
    venue = settings.producer.venue
    exchange_class(venue, settings.producer.market)
    if feed == "simulated":
        return _simulated(settings, "a market made on this machine")
    reached = await _reachable(settings)
    if reached or feed == "live":
        note = "" if reached else " (cannot be reached now; trying on)"
        description = f"live from {venue}{note}"
        return Feed("live", description, venue, list(settings.producer.symbols))
    return _simulated(settings, f"a market made on this machine, since {venue} did not answer within 3 s")


def _simulated(settings: Settings, description: str) -> Feed:
    producer = {"idle_marks": True}
    symbols = list(settings.simulator.symbols)
    return Feed(
        "simulated",
        description,
        settings.producer.venue,
        symbols,
        settings.simulator.speed,
        producer=producer,
    )


def _of_capture(path: Path, settings: Settings) -> Feed:
    if not path.is_file():
        raise ConfigurationError(f"--feed takes live, simulated or a capture file; {path} is not a file")
    summary = summarize(path)
    fields = settings.producer.model_fields_set
    if "venue" in fields and settings.producer.venue != summary.venue:
        raise ConfigurationError(
            f"{path.name} was recorded at {summary.venue}; the settings ask for {settings.producer.venue}"
        )
    given = "symbols" in fields
    symbols = list(settings.producer.symbols) if given else list(summary.symbols)
    unknown = [symbol for symbol in symbols if symbol not in summary.symbols]
    if unknown:
        raise ConfigurationError(
            f"{path.name} has nothing of {', '.join(unknown)}; it has {', '.join(summary.symbols)}"
        )
    aggregated = [symbol for symbol in summary.aggregated_symbols if symbol in symbols]
    speed = settings.simulator.speed
    pace = "as fast as it goes" if speed == "max" else f"at {speed:g} times real time"
    if summary.unknown:
        pace += f", without {', '.join(summary.unknown)}, whose names cannot be told"
    return Feed(
        "capture",
        f"the capture {path.name}, {pace}",
        summary.venue,
        symbols,
        speed,
        summary,
        # A playback has gaps of wall time that the market did not have: only its own records move the marks.
        {
            "market": summary.market,
            "idle_marks": False,
            "lossless": True,
            "aggregated_symbols": aggregated,
        },
    )


async def _reachable(settings: Settings) -> bool:
    exchange = exchange_class(settings.producer.venue, settings.producer.market)
    addresses = addresses_of(settings)
    base = addresses.rest_base(exchange)
    if base.startswith("ccxt:"):
        transport = transport_of(exchange, addresses, settings.venues.get(exchange.venue))
        return await transport.answers(exchange, REACH_TIMEOUT_S)
    try:
        async with httpx2.AsyncClient(timeout=REACH_TIMEOUT_S) as client, asyncio.timeout(REACH_TIMEOUT_S):
            return (await client.get(base + exchange.ping_path)).is_success
    except (httpx2.HTTPError, OSError, TimeoutError):
        return False


def ids_of(summary: Summary, symbols: list[str]) -> dict[str, tuple[int, ...]]:
    """First and last id of the trades of each symbol that has any."""
    found = {symbol: summary.symbols[symbol] for symbol in symbols}
    return {
        symbol: (part.first_id, part.last_id)
        for symbol, part in found.items()
        if part.first_id is not None and part.last_id is not None
    }


def check_age(feed: Feed, seen: Seen, settings: Settings) -> str | None:
    """Whether a capture may be fed into data that exist; what to tell the user, or None.

    A feed that begins before the watermark of its venue is fine if it is the same one again, whole or in
    part: what is stored is not stored twice. A symbol of it that comes later may be new. Otherwise the trades
    would all be too late.

    Raises:
        ConflictError: The feed is older than what the data have passed.
    """
    summary = feed.capture
    if summary is None or seen.watermark is None:
        return None
    firsts = {
        symbol: part.first_time
        for symbol in feed.symbols
        if (part := summary.symbols[symbol]).first_time is not None
    }
    first = min(firsts.values(), default=None)
    if first is None or first > seen.watermark:
        return None
    begun = {symbol for symbol, stored in seen.symbols.items() if stored[0]}
    # Candles can be revised for a while: what a feed that is known brings late is not yet too late.
    passed = seen.watermark - settings.processors.hold_s * 1_000_000 if begun else seen.watermark
    late = [time for symbol, time in firsts.items() if symbol not in begun and time <= passed]
    if late:
        raise ConflictError(
            f"the feed begins at {iso_time(min(late))}, but {settings.data_dir} has already passed "
            f"{iso_time(seen.watermark)} of {feed.venue}: its trades would come too late. "
            "Use another directory (--data DIR) or remove this one."
        )
    if all(all(stored) for stored in seen.symbols.values()):
        return "this feed is stored here already: nothing new will be stored"
    return "the beginning of this feed is stored here already: only the rest will be new"
