"""The instrument list in its topic: what is new, has changed, or is listed no longer."""

import asyncio
from typing import Final

from msgspec.structs import replace

from infra.clock import SystemClock
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import KafkaSettings
from producers.exchange import Exchange
from producers.instruments import Listing
from producers.log_reader import LogReader
from schemas import rows
from schemas.errors import DecodeError, UnavailableError
from schemas.identity import market_key
from schemas.records import Instrument
from schemas.topics import INSTRUMENTS

PUBLISH_TIMEOUT_S: Final = 15.0

logger = get_logger(__name__)


class InstrumentLog:
    """Keeps `reference.instruments.v1` as the venue's list is, from one run to the next.

    Args:
        settings: Where Kafka is.
        publisher: Writes the topic.
        market: The venue's market; other markets of the venue share the topic.
    """

    def __init__(self, settings: KafkaSettings, publisher: Publisher, market: type[Exchange]) -> None:
        self._settings = settings
        self._publisher = publisher
        self._market = market
        self._known: dict[str, Instrument] | None = None

    async def publish(self, listing: Listing) -> None:
        """Write what the topic does not say yet; while Kafka is away it is left to the next time.

        Raises:
            PublishError: Kafka refused a record for good.
        """
        try:
            if self._known is None:
                self._known = await asyncio.to_thread(self._read)
            await self._write(listing, self._known)
            await self._publisher.flush(PUBLISH_TIMEOUT_S)
        except UnavailableError as error:
            logger.warning("the instrument list could not be written", why=str(error))

    async def _write(self, listing: Listing, known: dict[str, Instrument]) -> None:
        listed = listing.by_symbol
        kinds = {instrument.kind for instrument in listed.values()}
        now = SystemClock().now_us()
        gone = [
            replace(instrument, status="delisted", event_time=now)
            for symbol, instrument in known.items()
            if symbol not in listed and instrument.kind in kinds and instrument.status != "delisted"
        ]
        for instrument in [*listed.values(), *gone]:
            before = known.get(instrument.symbol)
            if before is not None and replace(before, event_time=instrument.event_time) == instrument:
                continue
            known[instrument.symbol] = instrument
            await self._publisher.publish(
                INSTRUMENTS.name, instrument, key=market_key(instrument.venue, instrument.symbol)
            )

    def _read(self) -> dict[str, Instrument]:
        """What the topic says of the venue."""
        known: dict[str, Instrument] = {}

        def take(value: bytes | None) -> None:
            try:
                record = rows.decode(value)
            except DecodeError:
                return
            if isinstance(record, Instrument) and record.venue == self._market.venue:
                known[record.symbol] = record

        reader = LogReader(self._settings)
        try:
            reader.read(INSTRUMENTS.name, None, lambda message: take(message.value()))
        finally:
            reader.close()
        return known
