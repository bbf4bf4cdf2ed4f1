"""Records to a venue's wire and back: its own adapter makes equal records, apart from their receipt."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.exchange import Exchange, MarketRecord
from producers.markets import exchange_class
from producers.outlet import MARKET_RECORDS
from producers.simulator.encoder import Answered, Encoder, encoder_class
from producers.simulator.offline_feed import OfflineFeed
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Liquidation,
    Quote,
    Ticker,
    Trade,
)
from tests.venue_captures import MADE, write_market

TIMELESS_BOOKS = {("binance", "spot"), ("binanceus", "spot")}
"""Markets whose REST gives books no time; the snapshots that our own books make now and then have one."""

AT, RECEIVED = 1_700_000_000_123_000, 1_700_000_000_200_000


def ticker(venue: str, symbol: str, **figures: float | None) -> Ticker:
    plain = dict.fromkeys(Ticker.__struct_fields__[3:-2]) | {"high": 101.5, "low": 1e-07, "last": 100.25}
    plain |= {"base_volume": 12.5, "quote_volume": 1251.0, "change_percent": -1.25} | figures
    return Ticker(venue=venue, symbol=symbol, event_time=AT, receive_time=RECEIVED, **plain)  # type: ignore[arg-type]


def candle(venue: str, symbol: str, **figures: Any) -> ExchangeCandle:
    untold = ("taker_buy_volume", "trade_count", "first_sequence", "last_sequence", "closed")
    none: dict[str, Any] = dict.fromkeys(untold)
    known: dict[str, Any] = {"volume": 0.3, "quote_volume": 30.75, "event_time": AT, "receive_time": RECEIVED}
    opened = AT // 60_000_000 * 60_000_000
    times = {"open_time": opened, "close_time": opened + 60_000_000, "interval": "1m"}
    prices = {"open": 100.0, "high": 103.5, "low": 99.25, "close": 101.0}
    return ExchangeCandle(venue=venue, symbol=symbol, **(none | known | times | prices | figures))


def liquidation(venue: str, raw_size: float | None, size: float) -> Liquidation:
    return Liquidation(venue, "BTC/USDT:USDT", "sell", 64_000.5, size, raw_size, AT, RECEIVED)


def derivatives(venue: str = "binance", **figures: Any) -> DerivativeTicker:
    fields = dict.fromkeys(DerivativeTicker.__struct_fields__[2:-2]) | figures
    return DerivativeTicker(venue, "BTC/USDT:USDT", event_time=AT, receive_time=RECEIVED, **fields)


COUNTED = {"taker_buy_volume": 0.1, "trade_count": 3, "first_sequence": 5, "last_sequence": 7, "closed": True}
EMPTY = COUNTED | {"trade_count": 0, "first_sequence": None, "last_sequence": None, "closed": False}
SWAP = "BTC/USDT:USDT"
SAID = [
    ("spot", ticker("binance", "BTC/USDT", open=99.5, change=-1.0, bid=100.0, ask=100.5)),
    ("spot", ticker("binance", "BTC/USDT", open=99.5, change_percent=None)),
    ("usdm", ticker("binance", SWAP, open=99.5, change=-1e-07)),
    ("spot", ticker("gateio", "BTC/USDT", bid=100.0, ask=100.5)),
    ("spot", ticker("gateio", "BTC/USDT", high=None, change_percent=None)),
    ("spot", ticker("mexc", "BTC/USDT", change_percent=7.66)),
    ("spot", candle("binance", "BTC/USDT", **COUNTED)),
    ("usdm", candle("binance", SWAP, **EMPTY)),
    ("spot", candle("gateio", "BTC/USDT", closed=True)),
    ("spot", candle("gateio", "BTC/USDT", volume=None)),
    ("futures", candle("gateio", SWAP)),
    ("futures", candle("gateio", SWAP, closed=False, quote_volume=None)),
    ("spot", candle("mexc", "BTC/USDT")),
    ("usdm", derivatives(mark_price=64_000.123456789, index_price=63_999.5)),
    ("usdm", derivatives(mark_price=64_000.0, funding_rate=-0.0001, next_funding_time=AT + 877_000)),
    ("usdm", derivatives(open_interest=10_659.509)),
    ("futures", candle("mexc", SWAP)),
    ("futures", derivatives("mexc", mark_price=64_000.5)),
    ("futures", derivatives("mexc", index_price=64_000.0)),
    ("futures", derivatives("mexc", funding_rate=-1e-05, next_funding_time=AT + 877_000)),
    ("usdm", liquidation("binance", None, 0.014)),
    ("futures", liquidation("gateio", 124.5, 0.01245)),
]


@pytest.mark.parametrize(("market", "record"), SAID)
def test_what_the_captures_do_not_hold_comes_back(market: str, record: MarketRecord) -> None:
    kind = exchange_class(record.venue, market)
    instrument = kind.guess(kind.venue_symbol(record.symbol))
    assert instrument is not None
    if market == "futures":
        instrument = msgspec.structs.replace(instrument, multiplier=0.0001)
    exchange = kind([instrument], kind.channels_available)
    assert read_back(exchange, encoder_class(record.venue, market)([instrument]), record) == [record]


def test_what_a_venue_could_not_have_sent_is_not_said() -> None:
    trade = Trade("binance", "BTC/USDT", "7", 7, 100.0, 1.0, "unknown", AT, RECEIVED)
    for unsaid in (trade, msgspec.structs.replace(trade, side="buy", trade_id="1-buy-2")):
        assert encoder_class("binance", "spot")().said(unsaid) == ()
    quote = Quote("binance", "BTC/USDT", 1.0, 1.0, 2.0, 1.0, None, AT, RECEIVED)
    assert encoder_class("binance", "spot")().said(quote) == ()


def test_trades_of_2019_without_an_id_come_as_aggregated_ones() -> None:
    kind = exchange_class("binance", "usdm")
    instrument = kind.guess("BTCUSDT")
    assert instrument is not None
    exchange = kind([instrument], ["aggregated_trades"])
    record = Trade("binance", SWAP, "12-15", None, 100.0, 1.0, "buy", AT, RECEIVED)
    assert read_back(exchange, encoder_class("binance", "usdm")([instrument]), record) == [record]


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


@pytest.mark.parametrize(("venue", "market"), MADE)
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


@pytest.mark.parametrize(("venue", "market"), MADE)
def test_the_listing_comes_back(venue: str, market: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", venue, market, seconds=1.0)
    exchange = exchange_class(venue, market)
    # Contracts of the other venues come one by one, and no least value of an order is listed.
    least = None if market == "futures" else 5.0
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
