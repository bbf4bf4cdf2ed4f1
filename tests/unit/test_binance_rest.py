"""Binance by REST: the calls, what their answers become, and that both say what the stream says."""

import json
from typing import Any

import msgspec
import pytest

from producers.exchange import BadRecord, Call
from producers.exchanges.binance.rest import BinanceRest
from producers.exchanges.binance.spot import BinanceSpot, BinanceUs
from producers.exchanges.binance.usdm import BinanceUsdM
from producers.markets import exchange_class
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, ExchangeCandle, Ticker, Trade

RECEIVED = 1_723_161_256_000_000
LATER = RECEIVED + 5_000_000

MARKETS: list[tuple[type[BinanceRest], str]] = [
    (BinanceSpot, "BTC/USDT"),
    (BinanceUs, "BTC/USDT"),
    (BinanceUsdM, "BTC/USDT:USDT"),
]
ROW = {"id": 5, "price": "61837.63000000", "qty": "0.02", "time": 1723161255342, "isBuyerMaker": True}
TICKER = {
    "symbol": "BTCUSDT",
    "priceChange": "-94.99999800",
    "priceChangePercent": "-95.960",
    "lastPrice": "4.00000200",
    "openPrice": "99.00000000",
    "highPrice": "100.00000000",
    "lowPrice": "0.10000000",
    "volume": "8913.30000000",
    "quoteVolume": "15.30000000",
    "openTime": 1499783499040,
    "closeTime": 1499869899040,
}
KLINE = [
    1499040000000,
    "0.01634790",
    "0.80000000",
    "0.01575800",
    "0.01577100",
    "148976.11427815",
    1499644799999,
    "2434.19055334",
    308,
    "1756.87402397",
    "28.46694368",
    "0",
]


def market(cls: type[BinanceRest], aggregated: bool = False) -> BinanceRest:
    found = cls.guess("BTCUSDT")
    assert found is not None
    return cls([found], cls.channels_available, [found.symbol] if aggregated else [])


def body(data: Any) -> bytes:
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("cls", "aggregated", "path", "weight"),
    [
        (BinanceSpot, False, "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=17&limit=24", 25),
        (BinanceSpot, True, "/api/v3/aggTrades?symbol=BTCUSDT&fromId=17&limit=24", 4),
        (BinanceUs, False, "/api/v3/trades?symbol=BTCUSDT&limit=1000", 1),
        (BinanceUsdM, False, "/fapi/v1/trades?symbol=BTCUSDT&limit=1000", 5),
        (BinanceUsdM, True, "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=17&limit=24", 20),
    ],
)
def test_past_trades_are_asked_for_by_the_ids_of_the_stream(
    cls: type[BinanceRest], aggregated: bool, path: str, weight: int
) -> None:
    exchange = market(cls, aggregated)
    (symbol,) = exchange.instruments
    assert exchange.trades_call(symbol, 17, 40) == Call("trades", path, weight, symbol, 17, 40)
    newest = exchange.trades_call(symbol, None, None)
    assert newest is not None
    assert newest.path == path.replace("&fromId=17&limit=24", "&limit=1000")
    page = exchange.trades_call(symbol, 17, 4000)
    assert page is not None
    assert page.path == path.replace("&limit=24", "&limit=1000")


@pytest.mark.parametrize(("cls", "symbol"), MARKETS)
def test_a_trade_of_rest_is_that_of_the_stream(cls: type[BinanceRest], symbol: str) -> None:
    exchange = market(cls)
    message = {
        "e": "trade",
        "s": "BTCUSDT",
        "t": 5,
        "p": ROW["price"],
        "q": ROW["qty"],
        "T": ROW["time"],
        "m": True,
    }
    (heard,) = exchange.parse(body({"stream": "btcusdt@trade", "data": message}), RECEIVED)
    call = exchange.trades_call(symbol, 5, 5)
    assert call is not None
    (read,) = exchange.read(call, body([ROW]), LATER)
    assert isinstance(heard, Trade)
    assert read == msgspec.structs.replace(heard, backfilled=True, receive_time=LATER)


@pytest.mark.parametrize(("cls", "symbol"), MARKETS)
def test_an_aggregated_trade_of_rest_is_that_of_the_stream(cls: type[BinanceRest], symbol: str) -> None:
    exchange = market(cls, aggregated=True)
    row = {
        "a": 26129,
        "p": "0.0163",
        "q": "4.70443515",
        "f": 27781,
        "l": 27781,
        "T": 1498793709153,
        "m": False,
    }
    (heard,) = exchange.parse(
        body({"stream": "btcusdt@aggTrade", "data": row | {"e": "aggTrade", "s": "BTCUSDT"}}), RECEIVED
    )
    call = exchange.trades_call(symbol, 26129, None)
    assert call is not None
    (read,) = exchange.read(call, body([row]), LATER)
    assert isinstance(heard, Trade)
    assert read == msgspec.structs.replace(heard, backfilled=True, receive_time=LATER)


def test_trades_come_in_order_and_none_that_is_older_than_wanted() -> None:
    exchange = market(BinanceUsdM)
    call = exchange.trades_call("BTC/USDT:USDT", 7, 8)
    assert call is not None
    found = exchange.read(call, body([ROW | {"id": number} for number in (9, 8, 5, 7, 6)]), RECEIVED)
    assert [trade.sequence for trade in found if isinstance(trade, Trade)] == [7, 8, 9]


@pytest.mark.parametrize(
    ("cls", "path", "weight"),
    [
        (BinanceSpot, "/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
        (BinanceUs, "/api/v3/depth?symbol=BTCUSDT&limit=1000", 10),
        (BinanceUsdM, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20),
    ],
)
def test_a_snapshot_has_the_id_that_changes_go_on_from(
    cls: type[BinanceRest], path: str, weight: int
) -> None:
    exchange = market(cls)
    (symbol,) = exchange.instruments
    call = exchange.book_call(symbol)
    assert call == Call("book", path, weight, symbol)
    answer = {"lastUpdateId": 1027024, "bids": [["4.00", "431"], ["3.9", "1"]], "asks": [["4.002", "12"]]}
    (book,) = exchange.read(call, body(answer), RECEIVED)
    assert isinstance(book, BookUpdate)
    assert (book.kind, book.last_sequence, book.first_sequence) == ("snapshot", 1027024, None)
    assert (book.bid_prices, book.bid_sizes) == ([4.0, 3.9], [431.0, 1.0])
    assert (book.ask_prices, book.ask_sizes, book.event_time) == ([4.002], [12.0], None)
    (timed,) = exchange.read(call, body(answer | {"E": 1589436922972, "T": 1589436922959}), RECEIVED)
    assert isinstance(timed, BookUpdate)
    assert timed.event_time == 1589436922959000


def test_candles_of_rest_do_not_say_whether_they_are_closed() -> None:
    exchange = market(BinanceSpot)
    call = exchange.call_of("https://api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1w")
    assert call is not None
    (candle,) = exchange.read(call, body([KLINE]), RECEIVED)
    assert isinstance(candle, ExchangeCandle)
    assert (candle.interval, candle.open, candle.high, candle.close) == ("1w", 0.0163479, 0.8, 0.015771)
    assert (candle.open_time, candle.close_time) == (1499040000000000, 1499644800000000)
    assert (candle.trade_count, candle.closed, candle.first_sequence) == (308, None, None)
    with pytest.raises(BadRecord) as refused:
        exchange.read(call, body([[*KLINE[:2], "0.01", *KLINE[3:]]]), RECEIVED)
    assert refused.value.reason == "ohlc"


def test_figures_of_24_hours_by_rest() -> None:
    exchange = market(BinanceUsdM)
    call = exchange.call_of("https://fapi.binance.com/fapi/v1/ticker/24hr?symbol=BTCUSDT")
    assert call is not None
    assert (call.kind, call.symbol, call.weight) == ("ticker", "BTC/USDT:USDT", 1)
    (ticker,) = exchange.read(call, body(TICKER), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.change_percent, ticker.bid) == (4.000002, -95.96, None)
    (spot,) = exchange.read(call, body(TICKER | {"bidPrice": "4.0", "askPrice": "0.0"}), RECEIVED)
    assert isinstance(spot, Ticker)
    assert (spot.bid, spot.ask) == (4.0, None)


@pytest.mark.parametrize(
    ("url", "kind", "symbol", "first"),
    [
        ("https://api.binance.com/api/v3/exchangeInfo", "instruments", "", None),
        ("https://api.binance.com/api/v3/depth?symbol=NKNUSDT&limit=1000", "book", "NKN/USDT", None),
        ("https://x.y/api/v3/historicalTrades?symbol=ETHBTC&fromId=5", "trades", "ETH/BTC", 5),
        ("https://x.y/api/v3/trades?symbol=ETHBTC", "trades", "ETH/BTC", None),
        ("https://x.y/api/v3/time", "time", "", None),
    ],
)
def test_a_recorded_answer_is_known_by_its_url(url: str, kind: str, symbol: str, first: int | None) -> None:
    call = market(BinanceSpot).call_of(url)
    assert call is not None
    assert (call.kind, call.symbol, call.first) == (kind, symbol, first)
    assert url.endswith(call.path)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.binance.com/api/v3/avgPrice?symbol=BTCUSDT",
        "https://api.binance.com/api/v3/depth?symbol=NOTHING",
        "https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT",
        "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT",
        "https://api.binance.com/depth",
    ],
)
def test_other_answers_are_not_read(url: str) -> None:
    assert market(BinanceSpot).call_of(url) is None


def test_symbols_beyond_ascii_are_escaped_in_urls() -> None:
    found = BinanceSpot.guess("币安人生USDT")
    assert found is not None
    exchange = BinanceSpot([found])
    call = exchange.book_call("币安人生/USDT")
    assert call is not None
    assert call.path.isascii()
    again = exchange.call_of(f"https://api.binance.com{call.path}")
    assert again is not None
    assert again.symbol == "币安人生/USDT"


@pytest.mark.parametrize(("cls", "symbol"), MARKETS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>busy</html>", "json"),
        (b"", "json"),
        (b"\xff\xfe", "json"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', "shape"),
        (b"[7]", "shape"),
        (b"null", "shape"),
    ],
)
def test_an_answer_of_another_shape_is_refused(
    cls: type[BinanceRest], symbol: str, answer: bytes, reason: str
) -> None:
    exchange = market(cls)
    for call in (exchange.book_call(symbol), exchange.trades_call(symbol, 1, 2)):
        assert call is not None
        with pytest.raises(BadRecord) as refused:
            exchange.read(call, answer, RECEIVED)
        assert refused.value.reason == reason
    with pytest.raises(BadRecord):
        cls.read_instruments(answer, RECEIVED)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"price": "NaN"}, "price"),
        ({"price": "0"}, "price"),
        ({"price": "1e308"}, "price"),
        ({"qty": "1,5"}, "size"),
        ({"qty": 1.5}, "shape"),
        ({"time": 1723161255}, "time"),
        ({"id": -1}, "id"),
    ],
)
def test_a_bad_value_refuses_the_page(fields: dict[str, Any], reason: str) -> None:
    exchange = market(BinanceSpot)
    call = exchange.trades_call("BTC/USDT", 1, 2)
    assert call is not None
    with pytest.raises(BadRecord) as refused:
        exchange.read(call, body([ROW, ROW | fields]), RECEIVED)
    assert refused.value.reason == reason


def test_instruments_of_spot_have_their_figures() -> None:
    listed = {
        "symbol": "ETHBTC",
        "status": "TRADING",
        "baseAsset": "ETH",
        "quoteAsset": "BTC",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.00000100", "tickSize": "0.00000100"},
            {"filterType": "LOT_SIZE", "minQty": "0.00010000", "stepSize": "0.00010000"},
            {"filterType": "MIN_NOTIONAL", "minNotional": "0.00010000", "applyToMarket": True},
        ],
    }
    now = [
        {"filterType": "NOTIONAL", "minNotional": "5.0"},
        {"filterType": "PRICE_FILTER", "tickSize": "0.00"},
    ]
    halted = listed | {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "BREAK"}
    answer = {"serverTime": 1565246363776, "symbols": [listed, halted | {"filters": now}]}
    eth, btc = BinanceSpot.read_instruments(body(answer), RECEIVED)
    assert (eth.symbol, eth.venue_symbol, eth.base, eth.quote) == ("ETH/BTC", "ETHBTC", "ETH", "BTC")
    assert (eth.kind, eth.status, eth.multiplier) == ("spot", "trading", 1.0)
    assert (eth.tick_size, eth.lot_size, eth.min_notional) == (0.000001, 0.0001, 0.0001)
    assert eth.event_time == 1565246363776000
    assert (btc.status, btc.tick_size, btc.lot_size, btc.min_notional) == ("halted", None, None, 5.0)


def test_instruments_of_futures_settle_in_their_margin_asset() -> None:
    perpetual = {
        "symbol": "BTCUSDT",
        "pair": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    }
    dated = perpetual | {"symbol": "BTCUSDT_210625", "contractType": "CURRENT_QUARTER", "status": "DELIVERED"}
    first, second = BinanceUsdM.read_instruments(body({"symbols": [perpetual, dated]}), RECEIVED)
    assert (first.symbol, first.kind, first.status) == ("BTC/USDT:USDT", "perpetual", "trading")
    assert (first.tick_size, first.lot_size, first.min_notional) == (0.1, 0.001, 100.0)
    assert (second.symbol, second.kind, second.status) == ("BTC/USDT:USDT-210625", "future", "delisted")
    assert second.event_time == RECEIVED


@pytest.mark.parametrize(
    ("venue", "kind", "cls"),
    [
        ("Binance", "spot", BinanceSpot),
        ("binance", "usdm", BinanceUsdM),
        ("binance-futures", "spot", BinanceUsdM),
        ("binance-usdm", "spot", BinanceUsdM),
        ("binanceusdm", "spot", BinanceUsdM),
        ("binance-us", "spot", BinanceUs),
        ("BinanceUS", "spot", BinanceUs),
    ],
)
def test_markets_are_found_by_their_names(venue: str, kind: str, cls: type[BinanceRest]) -> None:
    assert exchange_class(venue, kind) is cls


def test_unknown_venues_are_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="binance spot, binance usdm, binanceus spot"):
        exchange_class("nowhere")
