"""Past candles of a simulated venue: in the candles topic before the feed begins, once, and flagged."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded import cluster
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import ProducerSettings, Settings, VenueSettings
from processors.intervals import INTERVALS
from producers import history, stage
from producers.history import History, parse
from producers.simulator.playback import Playback
from schemas.errors import ConfigurationError
from schemas.records import Candle
from schemas.topics import CANDLES
from tests.past_market import past_market
from tests.producer_harness import Topics, playing, settings_for
from tests.venue_captures import write_market


@pytest.fixture(scope="module")
def topics() -> Iterator[Topics]:
    with (
        tempfile.TemporaryDirectory(prefix="kandle-history-") as folder,
        cluster.broker(Path(folder)) as servers,
    ):
        found = Topics(servers)
        Admin(found.settings).ensure_topics()
        yield found


@pytest.mark.parametrize("text", ["1m", "1m:", "1m:0", "1m:1001", "2m:10", "1m:ten", ":5"])
def test_what_is_no_interval_and_count_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ConfigurationError, match="INTERVAL:COUNT"):
        parse([text])


def test_the_intervals_are_those_of_candles() -> None:
    assert {name: each.length // 1_000_000 for name, each in INTERVALS.items()} == history._SECONDS


async def test_closed_candles_of_a_venue_are_published_and_flagged(topics: Topics, tmp_path: Path) -> None:
    async with past_market(tmp_path, "gateio", "spot") as server:
        publisher = Publisher(topics.settings, client_id="test-history")
        settings = ProducerSettings(venue="gateio", history=["1m:2"], rest_url=server.rest_url)
        venues = {"gateio": VenueSettings(calls_per_minute=60_000)}
        past = History("gateio", "spot", settings, venues, publisher)
        assert await past.publish(["BTC/USDT", "NONE/USDT"]) == 2, "a symbol that is not there costs itself"
        await publisher.close()
    first, second = topics.records(CANDLES.name, Candle)
    assert (first.venue, first.symbol, first.interval) == ("gateio", "BTC/USDT", "1m")
    assert first.backfilled
    assert first.complete
    assert second.open_time == first.close_time == first.open_time + 60_000_000
    assert first.low <= min(first.open, first.close) <= max(first.open, first.close) <= first.high
    assert first.volume > 0


async def test_a_venue_that_does_not_answer_holds_the_feed_up_no_longer_than_allowed(topics: Topics) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    mute = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    publisher = Publisher(topics.settings, client_id="test-history")
    settings = ProducerSettings(history=["1m:2"], history_timeout_s=0.5, rest_url=address)
    began = time.monotonic()
    try:
        assert await History("binance", "spot", settings, {}, publisher).publish(["BTC/USDT"]) == 0
    finally:
        await publisher.close()
        mute.close()
        await mute.wait_closed()
    assert time.monotonic() - began < 5


@pytest.mark.full
async def test_only_symbols_that_were_never_fed_are_asked_for(topics: Topics, tmp_path: Path) -> None:
    path = write_market(tmp_path / "binance.capture.gz", "binance", "spot", 5, rate=2.0)

    async def asked() -> list[str]:
        async with playing(Playback(path, "max")) as server:
            settings: Settings = settings_for(topics, server, history=["1m:5"])
            await asyncio.wait_for(stage.run(settings, asyncio.Event()), 30)
            return [target for target in server.rest.requests if "/klines" in target]

    assert len(await asked()) == 1
    assert await asked() == []
