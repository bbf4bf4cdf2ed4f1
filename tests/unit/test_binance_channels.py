"""Binance's books, 24 hour figures and candles; in every channel what breaks a rule is refused."""

import json
from typing import Any

import pytest

from producers.exchange import BadRecord, Channel, MarketRecord
from producers.exchanges.binance.spot import BinanceSpot, BinanceUs
from producers.exchanges.binance.usdm import BinanceUsdM
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, ExchangeCandle, Ticker

RECEIVED = 1_723_161_256_000_000

QUOTE = {"u": 1, "s": "BTCUSDT", "b": "9.5", "B": "1", "a": "9.6", "A": "2"}
DEPTH = {
    "e": "depthUpdate",
    "E": 1622363903670,
    "s": "BTCUSDT",
    "U": 11294093710,
    "u": 11294093726,
    "b": [["35743.98000000", "0.00000000"], ["35743.87000000", "0.00001500"]],
    "a": [["35743.88000000", "0.24000000"]],
}
TICKER = {
    "e": "24hrTicker",
    "E": 1653812650349,
    "s": "BTCUSDT",
    "p": "-28.23000000",
    "P": "-1.600",
    "c": "1792.84000000",
    "b": "1792.83000000",
    "B": "1.62740000",
    "a": "1792.85000000",
    "A": "20.29140000",
    "o": "1821.07000000",
    "h": "1828.98000000",
    "l": "1748.94000000",
    "v": "471703.53110000",
    "q": "840180761.51358100",
}
MINI = {
    "e": "24hrMiniTicker",
    "E": 1786539510015,
    "s": "BTCUSDT",
    "c": "64117.99000000",
    "o": "64330.60000000",
    "h": "64500.00000000",
    "l": "63238.00000000",
    "v": "14724.65375000",
    "q": "940099726.82861850",
}
KLINE = {
    "t": 1653818760000,
    "T": 1653818819999,
    "s": "BTCUSDT",
    "i": "1m",
    "f": 1384844002,
    "L": 1384844032,
    "o": "29038.46000000",
    "c": "29038.47000000",
    "h": "29038.48000000",
    "l": "29038.45000000",
    "v": "0.20926000",
    "n": 31,
    "x": False,
    "q": "6076.58918320",
    "V": "0.10436000",
    "Q": "3030.45472920",
    "B": "0",
}

BAD_PRICES = ["NaN", "Infinity", "-1.5", "0", "0.00000000", "1e308", "1,234.5", ""]
BAD_SIZES = ["NaN", "-Infinity", "-1", "1e308", "1,234.5", ""]
BAD_TIMES = [0, 1723161255, 1723161255342123456, -5]


def binance(cls: type[BinanceSpot | BinanceUsdM] = BinanceSpot) -> BinanceSpot | BinanceUsdM:
    found = cls.guess("BTCUSDT")
    assert found is not None
    channels: set[Channel] = set(cls.channels_available)
    return cls([found], channels)


def combined(stream: str, data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def raw(data: Any) -> bytes:
    return json.dumps(data).encode()


def kline(**fields: Any) -> dict[str, Any]:
    return {"e": "kline", "E": 1653818762502, "s": "BTCUSDT", "k": KLINE | fields}


def one(frame: bytes, cls: type[BinanceSpot | BinanceUsdM] = BinanceSpot) -> MarketRecord:
    (record,) = binance(cls).parse(frame, RECEIVED)
    assert isinstance(record, MarketRecord)
    return record


def test_a_change_of_the_book_covers_a_range_of_ids() -> None:
    assert one(combined("btcusdt@depth@100ms", DEPTH)) == BookUpdate(
        venue="binance",
        symbol="BTC/USDT",
        kind="delta",
        first_sequence=11294093710,
        last_sequence=11294093726,
        previous_sequence=None,
        bid_prices=[35743.98, 35743.87],
        bid_sizes=[0.0, 0.000015],
        ask_prices=[35743.88],
        ask_sizes=[0.24],
        checksum=None,
        event_time=1622363903670000,
        receive_time=RECEIVED,
    )


@pytest.mark.parametrize("suffix", ["depth", "depth@0ms", "depth@100ms", "depth@500ms", "depth@1000ms"])
def test_changes_of_the_book_come_at_any_pace(suffix: str) -> None:
    expected = one(combined("btcusdt@depth@100ms", DEPTH))
    assert one(combined(f"btcusdt@{suffix}", DEPTH)) == expected == one(raw(DEPTH))
    assert BinanceSpot.channel_of(f"btcusdt@{suffix}") == ("books", "BTCUSDT")


@pytest.mark.parametrize("suffix", ["depth5", "depth20", "depth20@100ms", "depth10@0ms"])
def test_partial_books_are_passed_over(suffix: str) -> None:
    partial = {"lastUpdateId": 17044571457, "bids": [["1782.0", "6.483"]], "asks": []}
    assert binance().parse(combined(f"btcusdt@{suffix}", partial), RECEIVED) == ()
    assert binance(BinanceUsdM).parse(combined(f"btcusdt@{suffix}", DEPTH), RECEIVED) == ()
    assert BinanceSpot.channel_of(f"btcusdt@{suffix}") is None


def test_figures_of_24_hours() -> None:
    assert one(combined("btcusdt@ticker", TICKER)) == Ticker(
        venue="binance",
        symbol="BTC/USDT",
        last=1792.84,
        bid=1792.83,
        ask=1792.85,
        open=1821.07,
        high=1828.98,
        low=1748.94,
        base_volume=471703.5311,
        quote_volume=840180761.513581,
        change=-28.23,
        change_percent=-1.6,
        event_time=1653812650349000,
        receive_time=RECEIVED,
    )


def test_small_tickers_have_neither_changes_nor_bid_and_ask() -> None:
    ticker = one(combined("btcusdt@miniTicker", MINI))
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.bid, ticker.ask, ticker.change) == (64117.99, None, None, None)
    assert one(raw(MINI)) == ticker


@pytest.mark.parametrize(("stream", "data"), [("!ticker@arr", TICKER), ("!miniTicker@arr", MINI)])
def test_of_messages_about_all_symbols_those_that_are_fed_are_used(stream: str, data: dict[str, Any]) -> None:
    items = [data | {"s": "SOLUSDT"}, data, data | {"s": "ETHUSDT"}]
    single = one(raw(data))
    assert one(combined(stream, items)) == single
    assert one(raw(items)) == single
    assert binance().parse(combined(stream, []), RECEIVED) == []


def test_best_prices_of_all_symbols_are_read_by_symbol() -> None:
    expected = one(combined("btcusdt@bookTicker", QUOTE))
    assert one(combined("!bookTicker", QUOTE)) == expected
    assert binance().parse(combined("!bookTicker", QUOTE | {"s": "SOLUSDT"}), RECEIVED) == ()


def test_a_symbol_that_never_traded_has_no_ticker_yet() -> None:
    none = TICKER | dict.fromkeys("cohlvqpP", "0.00000000")
    assert binance().parse(combined("btcusdt@ticker", none), RECEIVED) == ()


def test_a_candle_ends_before_the_next_begins() -> None:
    assert one(combined("btcusdt@kline_1m", kline())) == ExchangeCandle(
        venue="binance",
        symbol="BTC/USDT",
        interval="1m",
        open_time=1653818760000000,
        close_time=1653818820000000,
        open=29038.46,
        high=29038.48,
        low=29038.45,
        close=29038.47,
        volume=0.20926,
        quote_volume=6076.5891832,
        taker_buy_volume=0.10436,
        trade_count=31,
        first_sequence=1384844002,
        last_sequence=1384844032,
        closed=False,
        event_time=1653818762502000,
        receive_time=RECEIVED,
    )


def test_a_candle_without_trades_has_no_ids() -> None:
    candle = one(combined("btcusdt@kline_1m", kline(f=-1, L=-1, n=0, x=True)))
    assert isinstance(candle, ExchangeCandle)
    assert (candle.first_sequence, candle.last_sequence, candle.closed) == (None, None, True)


def test_microseconds_do_not_move_the_end_of_a_candle() -> None:
    candle = one(combined("btcusdt@kline_1m", kline(t=1653818760000000, T=1653818819999999)))
    assert isinstance(candle, ExchangeCandle)
    assert (candle.open_time, candle.close_time) == (1653818760000000, 1653818820000000)


@pytest.mark.parametrize("interval", ["1s", "5m", "1h", "1w", "1M"])
def test_candles_of_any_interval_are_read(interval: str) -> None:
    for frame in (combined(f"btcusdt@kline_{interval}", kline(i=interval)), raw(kline(i=interval))):
        candle = one(frame)
        assert isinstance(candle, ExchangeCandle)
        assert candle.interval == interval
    assert BinanceSpot.channel_of(f"btcusdt@kline_{interval}") == ("candles", "BTCUSDT")


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("ohlc", {"h": "29038.46500000"}),
        ("ohlc", {"l": "29038.46500000"}),
        ("ohlc", {"T": 1653818759999}),
        ("ohlc", {"n": -1}),
        ("shape", {"i": "7m"}),
        ("shape", {"x": "false"}),
        ("id", {"f": -2}),
        ("time", {"t": 1653818760}),
        *(("price", {"o": text}) for text in BAD_PRICES),
        *(("price", {"c": text}) for text in BAD_PRICES),
        *(("size", {"v": text}) for text in BAD_SIZES),
        *(("size", {"V": text}) for text in BAD_SIZES),
    ],
)
def test_a_candle_that_breaks_a_rule_is_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refused:
        binance().parse(combined("btcusdt@kline_1m", kline(**fields)), RECEIVED)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        *(("price", {"b": [["9.5", "1"], [text, "1"]]}) for text in BAD_PRICES),
        *(("size", {"a": [["9.5", text], ["9.6", "1"]]}) for text in BAD_SIZES),
        *(("time", {"E": time}) for time in BAD_TIMES),
        ("id", {"U": 11294093727}),
        ("id", {"U": -1}),
        ("id", {"u": 2**70}),
        ("shape", {"b": None}),
        ("shape", {"b": [["9.5"]]}),
        ("shape", {"b": [["9.5", 1.0]]}),
        ("shape", {"b": [[9.5, "1"]]}),
        ("shape", {"U": "11294093710"}),
        ("symbol", {"s": "ETHUSDT"}),
    ],
)
def test_a_change_of_the_book_that_breaks_a_rule_is_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refused:
        binance().parse(combined("btcusdt@depth@100ms", DEPTH | fields), RECEIVED)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        *(("price", {"c": text}) for text in BAD_PRICES),
        *(("price", {"h": text}) for text in BAD_PRICES if not text.startswith("0")),
        *(("price", {"b": text}) for text in BAD_PRICES if not text.startswith("0")),
        *(("size", {"v": text}) for text in BAD_SIZES),
        *(("number", {"P": text}) for text in BAD_SIZES if text != "-1"),
        *(("time", {"E": time}) for time in BAD_TIMES),
        ("shape", {"c": 1792.84}),
        ("shape", {"E": "1653812650349"}),
    ],
)
def test_a_ticker_that_breaks_a_rule_is_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refused:
        binance().parse(combined("btcusdt@ticker", TICKER | fields), RECEIVED)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        *(("price", {"b": text}) for text in BAD_PRICES if not text.startswith("0")),
        *(("size", {"A": text}) for text in BAD_SIZES),
        *(("time", {"T": time}) for time in BAD_TIMES),
        ("id", {"u": -1}),
        ("shape", {"b": 9.5}),
    ],
)
def test_a_quote_that_breaks_a_rule_is_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as refused:
        binance().parse(combined("btcusdt@bookTicker", QUOTE | fields), RECEIVED)
    assert refused.value.reason == reason


@pytest.mark.parametrize(("cls", "interval"), [(BinanceSpot, "7m"), (BinanceUsdM, "1s"), (BinanceUs, "1D")])
def test_an_interval_that_the_market_lacks_is_named_with_those_it_has(
    cls: type[BinanceSpot | BinanceUsdM], interval: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"no candles of {interval}; it has .*1m, 3m"):
        cls([], ["candles"], (), interval)
    cls([], ["trades"], (), interval)


def test_binance_us_is_spot_under_its_own_name() -> None:
    update = one(combined("btcusdt@depth@100ms", DEPTH), BinanceUs)
    assert isinstance(update, BookUpdate)
    assert (update.venue, update.symbol) == ("binanceus", "BTC/USDT")
    assert BinanceUs.websocket_url == "wss://stream.binance.us:9443"
    assert BinanceUs.rest_url == "https://api.binance.us"
