"""A past that is served in a venue's own format: a producer that reads it writes the same topics again."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from backtest.replay.past import Past
from backtest.replay.serving import open_past
from backtest.replay.source import Period
from backtest.replay.sources.capture import CaptureSource
from producers.markets import exchange_class
from producers.outlet import MARKET_RECORDS
from producers.simulator.offline_feed import OfflineFeed
from schemas.records import BookUpdate, Record, TimeMark
from schemas.topics import TRADES
from tests import fault_harness
from tests.fault_harness import CHANNELS, produce
from tests.venue_captures import MADE, write_market

SHORTLY = {("binance", "spot"), ("gateio", "futures")}
"""Served in each run of the tests; the others in full ones."""

SERVED = [
    pytest.param(venue, market, marks=[pytest.mark.full] if (venue, market) not in SHORTLY else [])
    for venue, market in MADE
]
Told = dict[tuple[str, str], list[Record]]


def told(records: list[tuple[str, Record]]) -> Told:
    """Records by topic and symbol, and the marks among the trades: those of other topics stand by arrival."""
    found: Told = {}
    for topic, record in records:
        if isinstance(record, MARKET_RECORDS):
            own = found.setdefault((topic, record.symbol), [])
            if isinstance(record, BookUpdate) and record.kind == "snapshot":
                if own:
                    # One of our own, which repeats the book now and then by the time of the last answer.
                    continue
                # Its time, if it has one, is that of the answer.
                record = msgspec.structs.replace(record, event_time=None)
            own.append(msgspec.structs.replace(record, receive_time=0))
        elif isinstance(record, TimeMark) and topic == TRADES.base_name:
            mark = msgspec.structs.replace(record, instance="", source="")
            found.setdefault((topic, ""), []).append(mark)
    return found


async def served_again(path: Path) -> Told:
    source = CaptureSource(path, 1, CHANNELS)
    feed = OfflineFeed(path, CHANNELS, partitions=1)
    market = exchange_class(feed.summary.venue, feed.summary.market)
    past = await open_past(Past(source, Period()), "max", market)
    outcome = await produce(past)
    assert not past.unsaid
    return told(outcome.written)


def recorded(path: Path) -> Told:
    return told([(one.topic.base_name, one.record) for one in OfflineFeed(path, CHANNELS, partitions=1)])


@pytest.mark.parametrize(("venue", "market"), SERVED)
def test_a_producer_writes_the_same_again(venue: str, market: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", venue, market, seconds=8.0)
    expected = recorded(path)
    assert len(expected) == 7
    assert asyncio.run(served_again(path)) == expected


@pytest.mark.full
@pytest.mark.parametrize("name", ["binance-spot-btcusdt", "binance-usdm-btcusdt"])
def test_a_producer_writes_a_recording_again(
    name: str, captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_harness, "TIMEOUT_S", 300.0)
    path = captures / f"{name}.capture.gz"
    expected = recorded(path)
    assert sum(map(len, expected.values())) > 90_000
    assert asyncio.run(served_again(path)) == expected
