"""Which venues of ccxt are found, and what is known of them."""

import subprocess
import sys

import pytest

from producers.ccxt_feed.capabilities import Way, capabilities
from producers.ccxt_feed.exchange import POLLS, STREAMS, CcxtExchange, ccxt_exchange
from producers.exchange import Call
from producers.exchanges.binance.spot import BinanceSpot
from producers.exchanges.binance.usdm import BinanceUsdM
from producers.markets import exchange_class, exchanges
from schemas.errors import ConfigurationError
from tests.unit.test_ccxt_unified import listed, market


def test_a_venue_without_a_file_is_one_of_ccxt() -> None:
    found = exchange_class("Kraken")
    assert issubclass(found, CcxtExchange)
    assert (found.venue, found.market, found.dense_trades) == ("kraken", "spot", False)
    assert exchange_class("kraken", "spot") is found
    assert {"trades", "quotes", "books"} <= found.channels_available
    assert "derivatives" not in found.channels_available
    perpetuals = exchange_class("okx swap")
    assert (perpetuals.venue, perpetuals.market) == ("okx", "swap")
    assert exchange_class("okx", "perpetual").market == "swap"
    assert "derivatives" in perpetuals.channels_available


def test_files_of_our_own_come_first_and_are_not_replaced() -> None:
    ccxt_exchange("binance", "spot")
    assert exchange_class("binance") is BinanceSpot
    assert not any(issubclass(found, CcxtExchange) for found in exchanges().values())
    for name in ("swap", "perpetual", "USDT-M", "linear"):
        assert exchange_class("binance", name) is BinanceUsdM
    with pytest.raises(ConfigurationError, match="binanceus"):
        exchange_class("binanceus", "swap")


def test_an_unknown_name_is_told_with_near_matches() -> None:
    with pytest.raises(ConfigurationError, match=r"near it: .*kraken"):
        exchange_class("krakn")
    with pytest.raises(ConfigurationError, match="bitso has no market swap; it has spot"):
        exchange_class("bitso", "swap")


def test_ccxt_is_imported_for_those_alone_who_need_it() -> None:
    script = (
        "import sys; from producers.markets import exchange_class; exchange_class('binance'); "
        "print('ccxt' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_what_is_not_streamed_is_polled_on_a_path_of_its_own() -> None:
    cls = ccxt_exchange("bitso", "spot")
    exchange = cls(listed(cls, market()), ("trades", "tickers"))
    assert {stream.path for stream in exchange.streams()} == {POLLS}
    assert [stream.name for stream in exchange.streams()] == ["tickers/XXBTZUSD", "trades/XXBTZUSD"]
    streaming = ccxt_exchange("kraken", "spot")
    assert {stream.path for stream in streaming(listed(streaming, market())).streams()} == {STREAMS}


def test_names_of_methods_are_those_of_python() -> None:
    assert Way("watchOHLCV").method == "watch_ohlcv"
    assert Way("fetchBidsAsks").method == "fetch_bids_asks"


def test_requests_name_no_more_than_a_venue_takes_in_time() -> None:
    cls = ccxt_exchange("kraken", "spot")
    markets = [market(id=f"X{number}", symbol=f"X{number}/USD") for number in range(20)]
    exchange = cls(listed(cls, *markets), ["trades"])
    requests = exchange.requests(exchange.streams(), 5, 0.0)
    assert [request.number for request in requests] == [5, 6, 7]
    assert sum(len(request.streams) for request in requests) == 20
    assert max(len(request.streams) for request in requests) == cls.limits.streams_per_message


def test_calls_are_known_by_their_recorded_names() -> None:
    cls = ccxt_exchange("kraken", "spot")
    exchange = cls(listed(cls, market()))
    call = exchange.trades_call("BTC/USD", None, None)
    assert call is not None
    assert exchange.call_of(cls.rest_url + call.path) == call
    assert exchange.call_of(cls.rest_url + "/load_markets") == Call("instruments", "/load_markets")
    assert exchange.call_of("https://api.kraken.com/0/public/Time") is None
    assert exchange.trades_call("BTC/USD", 5, None) is None


def test_streams_are_known_by_their_frames() -> None:
    cls = ccxt_exchange("kraken", "spot")
    assert cls.stream_of(b'{"stream":"candles@1m/XXBTZUSD","data":[]}') == "candles@1m/XXBTZUSD"
    assert cls.channel_of("candles@1m/XXBTZUSD") == ("candles", "XXBTZUSD")
    assert cls.channel_of("wishes/XXBTZUSD") is None
    assert cls.stream_of(b'{"ack":1}') is None
    assert cls.stream_of(b"?") is None


def test_candles_of_an_interval_that_the_venue_has_not() -> None:
    cls = ccxt_exchange("kraken", "spot")
    with pytest.raises(ConfigurationError, match="no candles of 7m"):
        cls([], ["candles"], candle_interval="7m")


def test_every_venue_of_ccxt_with_a_market_makes_a_class() -> None:
    import ccxt

    made = 0
    for venue in ccxt.exchanges:
        for kind in ("spot", "swap", "future"):
            try:
                known = capabilities(venue, kind)
            except ConfigurationError:
                continue
            found = ccxt_exchange(venue, kind)
            assert found.channels_available == frozenset(known.ways)
            assert found.limits.rest_weight_per_minute > 0
            made += 1
    assert made > 100
