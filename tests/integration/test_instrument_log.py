"""The instrument list in its topic: written once, then only what has changed, over restarts too."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from infra.kafka.publisher import Publisher
from producers.instrument_log import InstrumentLog
from producers.instruments import Listing
from producers.markets import exchange_class
from schemas.records import Instrument
from schemas.topics import INSTRUMENTS
from tests.producer_harness import Topics

MARKET = exchange_class("binance", "spot")
BTC, ETH, SOL = (
    found for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT") if (found := MARKET.guess(name)) is not None
)


@pytest.fixture(scope="module")
def topics(kafka: str) -> Topics:
    found = Topics(kafka)
    found.renew()
    return found


async def test_only_changes_are_written_after_the_first_time(topics: Topics) -> None:
    publisher = Publisher(topics.settings)
    perpetual = replace(BTC, symbol="BTC/USDT:USDT", kind="perpetual")
    written: list[Instrument] = []

    async def publish(log: InstrumentLog, listed: Sequence[Instrument]) -> set[tuple[str, str, float | None]]:
        await log.publish(Listing(listed, "binance"))
        found = topics.records(INSTRUMENTS.name, Instrument)
        fresh = [record for record in found if record not in written]
        written.extend(fresh)
        return {(record.symbol, record.status, record.tick_size) for record in fresh}

    try:
        futures = InstrumentLog(topics.settings, publisher, exchange_class("binance", "usdm"))
        assert len(await publish(futures, [perpetual])) == 1
        first = InstrumentLog(topics.settings, publisher, MARKET)
        assert {row[0] for row in await publish(first, [BTC, ETH])} == {"BTC/USDT", "ETH/USDT"}
        later = [replace(one, event_time=one.event_time + 1) for one in (BTC, ETH)]
        assert await publish(first, later) == set(), "the time alone is no change"
        finer = replace(BTC, tick_size=0.001)
        assert await publish(first, [finer, ETH]) == {("BTC/USDT", "trading", 0.001)}
        # Another run knows what the topic says; what went meanwhile is delisted, and other markets stay.
        second = InstrumentLog(topics.settings, publisher, MARKET)
        assert await publish(second, [finer, SOL]) == {
            ("ETH/USDT", "delisted", ETH.tick_size),
            ("SOL/USDT", "trading", SOL.tick_size),
        }
        assert await publish(second, [finer, SOL]) == set()
    finally:
        await publisher.close()
