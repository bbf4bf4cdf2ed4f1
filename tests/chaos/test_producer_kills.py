"""A producer that is killed in the middle of a capture: the topic holds the capture's trades all the same."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from producers.capture import CaptureReader
from producers.simulator.playback import Playback
from schemas.identity import ce_id
from schemas.records import Gap, TimeMark, Trade
from schemas.topics import TRADES
from tests.producer_harness import Topics, playing
from tests.producer_processes import ProducerProcess
from tests.venue_captures import MADE, write_market

KILLS, KILLS_IN_FULL = 3, 20
SECONDS, SECONDS_IN_FULL = 30.0, 150.0
SPEED = 6.0
PARTITIONS = 4
Value = tuple[Any, ...]


@pytest.fixture
def topics(kafka: str) -> Topics:
    found = Topics(kafka)
    found.renew()
    return found


def value_of(trade: Trade) -> Value:
    """All of a trade but how and when it was received."""
    return trade.sequence, trade.price, trade.size, trade.side, trade.event_time


def recorded(path: Path, market: Any) -> dict[str, Value]:
    """The trades in the frames of a capture, by `ce_id`."""
    reader = CaptureReader(path)
    names = [f"{base}/USDT" for base in ("BTC", "ETH")]
    exchange = market([market.guess(market.venue_symbol(name)) for name in names], ["trades"])
    records = [record for entry in reader if entry.rest is None for record in exchange.parse(entry.frame, 0)]
    return {ce_id(record): value_of(record) for record in records if isinstance(record, Trade)}


@pytest.mark.parametrize("rewind", [True, False], ids=["rewind", "goes-on"])
@pytest.mark.parametrize("venue", ["binance", "gateio", "mexc"])
async def test_killed_again_and_again_it_leaves_the_trades_of_the_capture(
    topics: Topics, tmp_path: Path, venue: str, rewind: bool, in_full: bool
) -> None:
    if not in_full and (venue, rewind) not in {("binance", False)}:
        pytest.skip("among the faults in full: --run-chaos")
    assert (venue, "spot") in MADE
    seconds = SECONDS_IN_FULL if in_full else SECONDS
    kills = KILLS_IN_FULL if in_full else KILLS
    path = write_market(tmp_path / "made.capture.gz", venue, "spot", seconds, 15.0)
    market = CaptureReader(path).exchange()
    expected = recorded(path, market)
    entries = sum(1 for _ in CaptureReader(path))
    playback = Playback(path, SPEED, None, rewind)
    async with playing(playback) as server:
        producer = ProducerProcess(
            topics.servers,
            server,
            tmp_path,
            "only",
            venue=venue,
            symbols="BTC/USDT,ETH/USDT",
            instance_id="one",
            lossless=True,
        )
        try:
            for kill in range(kills):
                goal = entries * (kill + 1) // (kills + 2)
                async with asyncio.timeout(60):
                    while playback.played < goal:
                        assert producer.process.poll() is None, producer.said
                        await asyncio.sleep(0.01)
                producer.kill()
                assert playback.played < entries, "it was killed in the middle"
                producer.restart()
            assert await asyncio.to_thread(producer.process.wait, 90) == 0
        finally:
            producer.end()
    found: dict[str, Value] = {}
    repeats = 0
    for trade in topics.records(TRADES.name, Trade):
        known = found.setdefault(ce_id(trade), value_of(trade))
        assert known == value_of(trade), "a repeat is equal"
        repeats += 1
    repeats -= len(found)
    assert found == expected
    assert repeats == 0, "there was no second producer that could have repeated any"
    assert not [gap for gap in topics.records(TRADES.name, Gap) if gap.status == "given_up"]
    assert sum(mark.final for mark in topics.records(TRADES.name, TimeMark)) == PARTITIONS
