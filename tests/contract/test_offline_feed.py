"""What is made of a capture offline is what a producer makes of its playback over sockets."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from producers.outlet import MARKET_RECORDS
from producers.simulator.offline_feed import OfflineFeed
from schemas.records import Gap, Record, TimeMark, Trade
from tests import fault_harness
from tests.fault_harness import CHANNELS, exchange_playing, produce
from tests.venue_captures import MADE, write_market

TOLD = (*MARKET_RECORDS, TimeMark, Gap)


def by_topic(written: Iterable[tuple[str, Record]]) -> dict[str, list[Record]]:
    """Records of each topic, without what names the run and the moment of reading."""
    found: dict[str, list[Record]] = {}
    for topic, record in written:
        if isinstance(record, TimeMark):
            record = msgspec.structs.replace(record, instance="", source="")
        elif isinstance(record, MARKET_RECORDS):
            record = msgspec.structs.replace(record, receive_time=0)
        if isinstance(record, TOLD):
            found.setdefault(topic, []).append(record)
    return found


def fed_live(path: Path) -> dict[str, list[Record]]:
    return by_topic(asyncio.run(produce(exchange_playing(path, "max"))).written)


def fed_offline(path: Path) -> dict[str, list[Record]]:
    feed = OfflineFeed(path, CHANNELS, partitions=1)
    return by_topic((one.topic.base_name, one.record) for one in feed)


@pytest.mark.parametrize(("venue", "market"), MADE)
def test_a_market_offline_equals_its_playback(venue: str, market: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", venue, market, seconds=5.0)
    offline = fed_offline(path)
    assert {type(record) for records in offline.values() for record in records} > {Trade, TimeMark}
    assert offline == fed_live(path)


def test_a_small_recording_offline_equals_its_playback(captures: Path) -> None:
    path = captures / "gateio-spot-2021.capture.gz"
    assert fed_offline(path) == fed_live(path)


@pytest.mark.full
@pytest.mark.parametrize("name", ["binance-spot-btcusdt", "binance-usdm-btcusdt"])
def test_a_recording_offline_equals_its_playback(
    name: str, captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_harness, "TIMEOUT_S", 300.0)
    path = captures / f"{name}.capture.gz"
    offline = fed_offline(path)
    assert sum(map(len, offline.values())) > 90_000
    assert offline == fed_live(path)
