"""Records to a venue's wire and back: its own adapter makes equal records, apart from their receipt."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from producers.exchange import Exchange, MarketRecord
from producers.markets import exchange_class
from producers.outlet import MARKET_RECORDS
from producers.simulator.encoder import Answered, Encoder, encoder_class
from producers.simulator.offline_feed import OfflineFeed
from schemas.records import BookUpdate, Trade
from tests.venue_captures import MADE, write_market

TIMELESS_BOOKS = {("binance", "spot"), ("mexc", "spot")}
"""Markets whose REST gives books no time; the snapshots that our own books make now and then have one."""

SERVED = [market for market in MADE if market[0] in {"binance", "gateio"}]


def records_of(feed: OfflineFeed) -> Iterator[MarketRecord]:
    for published in feed:
        if isinstance(published.record, MARKET_RECORDS):
            yield published.record


def read_back(exchange: Exchange, encoder: Encoder, record: MarketRecord) -> list[MarketRecord]:
    """What the adapter makes of all that the venue says of a record."""
    found: list[MarketRecord] = []
    for said in encoder.said(record):
        if isinstance(said, Answered):
            call = exchange.call_of(said.url)
            assert call is not None
            found += exchange.read(call, said.body, record.receive_time)
        else:
            parsed = exchange.parse(said.data, record.receive_time)
            found += [one for one in parsed if isinstance(one, MARKET_RECORDS)]
    return found


def _is_timeless(market: type[Exchange]) -> bool:
    return (market.venue, market.market) in TIMELESS_BOOKS


def sayable(record: MarketRecord, market: type[Exchange]) -> MarketRecord:
    """A record without what its venue cannot say of it."""
    if isinstance(record, Trade):
        # What was asked for again came by REST; here it is a trade like others.
        return msgspec.structs.replace(record, backfilled=False)
    if isinstance(record, BookUpdate) and record.kind == "snapshot" and _is_timeless(market):
        return msgspec.structs.replace(record, event_time=None)
    return record


def assert_round_trip(path: Path) -> Counter[str]:
    """Check every record of a capture; returns how many there were of each type."""
    feed = OfflineFeed(path, partitions=1)
    market = exchange_class(feed.summary.venue, feed.summary.market)
    instruments = [one for one in feed.instruments if one.symbol in feed.summary.symbols]
    encoder = encoder_class(market.venue, market.market)(instruments)
    exchange = market(instruments, market.channels_available, feed.summary.aggregated_symbols)
    counts: Counter[str] = Counter()
    for record in records_of(feed):
        (found,) = read_back(exchange, encoder, record)
        assert found == sayable(record, market)
        counts[type(record).__name__] += 1
    return counts


@pytest.mark.parametrize(("venue", "market"), SERVED)
def test_every_record_of_a_made_market_comes_back(venue: str, market: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", venue, market, seconds=10.0)
    counts = assert_round_trip(path)
    assert counts.keys() >= {"Trade", "Quote", "BookUpdate"}


@pytest.mark.parametrize("name", ["binance-spot-2021", "gateio-spot-2021"])
def test_every_record_of_a_small_recording_comes_back(name: str, captures: Path) -> None:
    assert assert_round_trip(captures / f"{name}.capture.gz").total() > 200


@pytest.mark.full
@pytest.mark.parametrize("name", ["binance-spot-btcusdt", "binance-usdm-btcusdt"])
def test_every_record_of_a_recording_comes_back(name: str, captures: Path) -> None:
    assert assert_round_trip(captures / f"{name}.capture.gz").total() > 90_000


@pytest.mark.parametrize(("venue", "market"), SERVED)
def test_the_listing_comes_back(venue: str, market: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", venue, market, seconds=1.0)
    exchange = exchange_class(venue, market)
    # Contracts of the other venues come one by one, and no least value of an order is listed.
    least = 5.0 if venue == "binance" or market == "spot" else None
    listed = [
        msgspec.structs.replace(
            one,
            tick_size=0.01,
            lot_size=0.001 if least else one.multiplier,
            min_notional=least,
            event_time=7,
        )
        for one in OfflineFeed(path, partitions=1).instruments
    ]
    _, body = encoder_class(venue, market)(listed).listing()
    found = exchange.read_instruments(body, 7)
    assert found == listed
