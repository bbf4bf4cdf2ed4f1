"""Past candles of a venue, by REST, for symbols that are fed for the first time.

Indicators that look back a day would else say nothing for a day. What the venue tells of the time before the
feed is written to the candles topic, flagged as backfilled, before the feed begins: whoever computes from
candles reads topics and nothing else. A venue that does not answer costs its history, not the feed.
"""

import asyncio
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import ProducerSettings, VenueSettings
from producers.manager.names import VenueName, venue_name
from producers.manager.records import PastCandle
from schemas.errors import ConfigurationError, KandleError
from schemas.records import Candle
from schemas.topics import CANDLES

if TYPE_CHECKING:
    from producers.manager.rest_venue import RestVenue

MOST: Final = 1_000
"""Candles that one answer of a venue may hold."""

_SECONDS: Final = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800,
    "1h": 3_600, "4h": 14_400, "1d": 86_400, "1w": 604_800,
}  # fmt: skip
"""The intervals that candles are made of here."""

logger = get_logger(__name__)


def parse(specs: Iterable[str]) -> dict[str, int]:
    """How many candles of which interval: `1m:500` are 500 of a minute each.

    Raises:
        ConfigurationError: One of the texts is not of that form.
    """
    wanted: dict[str, int] = {}
    for spec in specs:
        interval, _, count = spec.partition(":")
        if interval not in _SECONDS or not count.isdecimal() or not 1 <= int(count) <= MOST:
            raise ConfigurationError(
                f"history is written INTERVAL:COUNT, as 1m:500, with a count from 1 to {MOST} and one of "
                f"{', '.join(_SECONDS)}; got {spec!r}"
            )
        wanted[interval] = int(count)
    return wanted


class History:
    """Publishes past candles of one market.

    Args:
        venue: Name of the venue in records.
        market: Its market.
        settings: Which candles, and where the venue is.
        venues: How venues are called by REST.
        publisher: Takes the candles.

    Raises:
        ConfigurationError: The settings are wrong.
    """

    def __init__(
        self,
        venue: str,
        market: str,
        settings: ProducerSettings,
        venues: Mapping[str, VenueSettings],
        publisher: Publisher,
    ) -> None:
        self._wanted = parse(settings.history)
        self._venue = venue
        # A venue of the user's own is none that ccxt could be asked for.
        name = venue if market == "spot" else f"{venue}{market}"
        self._name: VenueName | None = venue_name(name) if self._wanted else None
        self._timeout_s = settings.history_timeout_s
        self._publisher = publisher
        self._venues = dict(venues)
        if settings.rest_url is not None:
            chosen = venues.get(venue, VenueSettings())
            self._venues[venue] = chosen.model_copy(update={"rest_url": settings.rest_url})

    async def publish(self, symbols: Collection[str]) -> int:
        """Write the closed candles of these symbols; returns how many. Takes `history_timeout_s` at most.

        Raises:
            ConfigurationError: The settings do not fit the venue.
            PublishError: Kafka refused one.
        """
        if self._name is None or not symbols:
            return 0
        # With it comes ccxt, which takes a second to import: only who wants history waits for that.
        from producers.manager.venue_manager import VenueManager

        written = 0
        try:
            async with asyncio.timeout(self._timeout_s), VenueManager(self._venues) as manager:
                venue = manager.venue(self._name)
                for symbol, interval in itertools.product(symbols, self._wanted):
                    candles = await self._ask(venue, symbol, interval)
                    written += len(candles)
                    for candle in candles:
                        await self._publisher.publish(CANDLES.name, self._record(candle))
        except TimeoutError:
            logger.warning("not all past candles came in time", venue=self._venue, seconds=self._timeout_s)
        logger.info("past candles were published", venue=self._venue, symbols=len(symbols), candles=written)
        return written

    async def _ask(self, venue: "RestVenue", symbol: str, interval: str) -> Sequence[PastCandle]:
        count = self._wanted[interval]
        try:
            # One more than wanted: the last one is still open.
            found = await venue.candles(symbol, interval, min(count + 1, MOST))
        except ConfigurationError:
            raise
        except KandleError as error:
            logger.warning(
                "past candles could not be had", symbol=symbol, interval=interval, reason=str(error)
            )
            return []
        return [candle for candle in found.candles if candle.closed][-count:]

    def _record(self, past: PastCandle) -> Candle:
        volume = past.volume or 0.0
        return Candle(
            venue=self._venue,
            symbol=past.symbol,
            interval=past.interval,
            open_time=past.open_time,
            close_time=past.open_time + _SECONDS[past.interval] * 1_000_000,
            open=past.open,
            high=past.high,
            low=past.low,
            close=past.close,
            volume=volume,
            quote_volume=0.0,
            taker_buy_volume=0.0,
            trade_count=0,
            first_sequence=None,
            last_sequence=None,
            revision=0,
            complete=True,
            backfilled=True,
        )
