"""Books of a playback: whole at every speed, since neither side runs on while one has to be asked for."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from producers.capture import CaptureReader, summarize
from producers.exchange import MarketRecord
from producers.outlet import MARKET_RECORDS
from producers.simulator import book_hold
from producers.simulator.playback import Playback
from producers.simulator.server import END_OF_FEED, SimulatorServer
from schemas.records import BookUpdate, Gap, TimeMark, Trade
from tests.fault_harness import Outcome, exchange_playing, produce
from tests.venue_captures import MADE, write_market

SECONDS = 12.0
SLOW = 40.0


@pytest.fixture(params=[pytest.param(made, id="-".join(made)) for made in MADE])
def market(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    venue, kind = request.param
    return write_market(tmp_path / "made.capture.gz", venue, kind, SECONDS)


@pytest.fixture
def spot(tmp_path: Path) -> Path:
    return write_market(tmp_path / "made.capture.gz", "binance", "spot", SECONDS)


def fed(path: Path, speed: float | Literal["max"], *faults: str, late_s: float = 0.0) -> Outcome:
    return asyncio.run(produce(exchange_playing(path, speed), faults, late_s=late_s))


def topics_of(outcome: Outcome) -> dict[str, list[MarketRecord | TimeMark]]:
    """Records and marks of each topic, without what differs from run to run: when they were received."""
    found: dict[str, list[MarketRecord | TimeMark]] = {}
    for topic, record in outcome.written:
        if isinstance(record, TimeMark):
            found.setdefault(topic, []).append(record)
        elif isinstance(record, MARKET_RECORDS):
            found.setdefault(topic, []).append(msgspec.structs.replace(record, receive_time=0))
    return found


def test_a_playback_gives_the_same_records_in_the_same_order_at_every_speed(market: Path) -> None:
    fast, slow = fed(market, "max"), fed(market, SLOW)
    assert sum(update.kind == "delta" for update in fast.of(BookUpdate)) > 100
    assert topics_of(fast) == topics_of(slow)
    assert fast.books() == fast.book_tops


def test_it_does_not_matter_how_long_a_snapshot_is_under_way(spot: Path) -> None:
    assert topics_of(fed(spot, "max", late_s=0.5)) == topics_of(fed(spot, "max"))


def test_a_live_feed_does_not_wait_for_a_snapshot(spot: Path) -> None:
    outcome = asyncio.run(produce(exchange_playing(spot, "max"), lossless=False, late_s=2.0))
    assert len(outcome.of(Trade)) == sum(symbol.trades for symbol in summarize(spot).symbols.values())
    assert not outcome.of(BookUpdate), "it had read everything before the snapshot came"


def test_after_a_gap_a_book_goes_on_from_the_first_change_that_comes(spot: Path) -> None:
    whole, outcome = fed(spot, "max"), fed(spot, "max", "gap@300:10/books")
    first = {update.last_sequence for update in whole.of(BookUpdate)}
    missing = first - {update.last_sequence for update in outcome.of(BookUpdate)}
    # What was not sent; the changes that end it are in the snapshots, of each symbol one.
    assert len(missing) <= 10
    assert {gap.status for gap in outcome.of(Gap)} == {"opened", "filled"}
    assert outcome.books() == outcome.book_tops


async def test_who_never_asks_is_waited_for_once(spot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_hold, "ASK_WITHIN_S", 0.5)
    playback = Playback(spot, "max")
    server = SimulatorServer(playback)
    await server.start()
    work = asyncio.create_task(playback.play(server))
    names = [f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt") for kind in ("trade", "depth@100ms")]
    began_s = time.monotonic()
    frames = 0
    try:
        async with connect(f"{server.websocket_url}/stream?streams={'/'.join(names)}") as client:
            with suppress(ConnectionClosed):
                while True:
                    await client.recv()
                    frames += 1
    finally:
        work.cancel()
        await server.stop()
    assert client.close_code == END_OF_FEED
    assert frames == sum(b"bookTicker" not in entry.frame for entry in CaptureReader(spot) if not entry.rest)
    assert 0.5 <= time.monotonic() - began_s < 20.0
