"""Our candles and a venue's own, over a real broker: what differs is told."""

import asyncio
import contextlib
import time
import uuid

from confluent_kafka import Consumer
from msgspec.structs import replace

from infra import metrics
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import ProcessorSettings, Settings
from processors.candles.comparison_reader import ComparisonReader
from schemas.identity import market_key
from schemas.records import Candle, ExchangeCandle, SystemEvent
from schemas.rows import decode
from schemas.topics import CANDLES, EXCHANGE_CANDLES, SYSTEM_EVENTS
from tests.compared_candles import OURS, THEIRS
from tests.processor_harness import kafka_settings

TIMEOUT_S = 30.0


def candles(symbol: str, open_time: int) -> tuple[Candle, ExchangeCandle]:
    place = {"venue": "compared", "symbol": symbol, "open_time": open_time}
    end = open_time + 60_000_000
    theirs = replace(THEIRS, **place, close_time=end, event_time=end, receive_time=end)
    return replace(OURS, **place, close_time=end), theirs


async def test_a_candle_that_differs_from_the_venues_own_is_counted_and_told(kafka: str) -> None:
    shared = kafka_settings(kafka)
    settings = Settings(kafka=shared, processors=ProcessorSettings(app_id=f"app-{uuid.uuid4().hex}"))
    Admin(shared).ensure_topics()
    publisher = Publisher(shared, client_id="test-comparison")
    reading = asyncio.create_task(ComparisonReader(settings, publisher).run())
    compared = metrics.processors.CANDLES_COMPARED.labels("compared")._value
    differing = metrics.processors.CANDLE_MISMATCHES.labels("compared", "close")._value
    key = market_key("compared", "BTC/USDT")
    try:
        deadline = time.monotonic() + TIMEOUT_S
        minute = 0
        while compared.get() < 3:
            # The reader begins with what comes once it has its partitions, on both sides.
            assert time.monotonic() < deadline
            minute += 1
            ours, theirs = candles("BTC/USDT", minute * 60_000_000)
            await publisher.publish(EXCHANGE_CANDLES.name, replace(theirs, close=2.5), key=key)
            await publisher.flush(10.0)
            await asyncio.sleep(0.3)
            await publisher.publish(CANDLES.name, ours, key=key)
            await publisher.flush(10.0)
            await asyncio.sleep(0.3)
        assert differing.get() == compared.get()
        await publisher.flush(10.0)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await publisher.close()
    found = [event for event in events(kafka) if event.type == "candle.mismatch"]
    assert found
    assert found[0].data == {"close": "2.0 2.5"}
    assert found[0].severity == "warning"


def events(kafka: str) -> list[SystemEvent]:
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([SYSTEM_EVENTS.name])
    found: list[SystemEvent] = []
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and not any(event.type == "candle.mismatch" for event in found):
        for message in consumer.consume(1_000, timeout=0.5):
            if message.error() is None and isinstance(record := decode(message.value()), SystemEvent):
                if record.type == "candle.mismatch":  # others have written to the topic before
                    assert dict(message.headers() or [])["ce_id"] == record.id.encode()
                found.append(record)
    consumer.close()
    return found
