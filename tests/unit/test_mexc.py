"""MEXC spot: frames of the recorded values become records, what breaks a rule is refused with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers import protobuf
from producers.exchange import CHANNELS, BadRecord, Call, Control
from producers.exchanges.mexc.messages import ChannelOnly, frame_of
from producers.exchanges.mexc.spot import MexcSpot
from producers.markets import exchange_class
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, ExchangeCandle, Instrument, Quote, Ticker, Trade

RECEIVED = 1_782_208_006_200_000

DEALS = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
BOOK_TICKER = "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT"
DEPTH = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
TICKER = "spot@public.miniTicker.v3.api.pb@BTCUSDT@24H"
KLINE = "spot@public.kline.v3.api.pb@BTCUSDT@Min15"

DEAL = {"price": "62383.56", "quantity": "0.00008235", "tradeType": 2, "time": "1782208006167"}
BEST = {
    "bidPrice": "62383.56",
    "bidQuantity": "0.07956651",
    "askPrice": "62383.57",
    "askQuantity": "0.09556",
    "version": "74891313262",
}
CHANGE = {
    "asks": [{"price": "61760.1", "quantity": "0"}],
    "bids": [{"price": "61759.73", "quantity": "0.0001778"}],
    "fromVersion": "74891313263",
    "toVersion": "74891313265",
}
DAY = {
    "symbol": "BTCUSDT",
    "price": "2.5174",
    "rate": "0.01",
    "zonedRate": "-0.0766",
    "high": "2.6299",
    "low": "2.302",
    "volume": "11336518.0264",
    "quantity": "4638390.17",
}
CANDLE = {
    "interval": "Min15",
    "windowStart": "1736410500",
    "openingPrice": "92925",
    "closingPrice": "93158.47",
    "highestPrice": "93158.47",
    "lowestPrice": "92800",
    "volume": "36.83803224",
    "amount": "3424811.05",
    "windowEnd": "1736411400",
}


def instruments(*symbols: str) -> list[Instrument]:
    found = [MexcSpot.guess(symbol) for symbol in symbols]
    return [instrument for instrument in found if instrument is not None]


@pytest.fixture
def mexc() -> MexcSpot:
    return MexcSpot(instruments("BTCUSDT", "ETHUSDT"), CHANNELS)


def frame(stream: str, body: str, value: dict[str, Any], **fields: Any) -> bytes:
    push = {"channel": stream, "symbol": "BTCUSDT", "sendTime": "1782208006171", body: value}
    return frame_of(push | fields)


def deals(*changes: dict[str, Any], **fields: Any) -> bytes:
    return frame(DEALS, "publicAggreDeals", {"deals": [DEAL | change for change in changes]}, **fields)


def ids(exchange: MexcSpot, data: bytes) -> list[str]:
    return [record.trade_id for record in exchange.parse(data, RECEIVED) if isinstance(record, Trade)]


def reason(exchange: MexcSpot, data: bytes) -> str:
    with pytest.raises(BadRecord) as caught:
        exchange.parse(data, RECEIVED)
    return caught.value.reason


# channels


def test_a_trade_of_type_2_was_sold(mexc: MexcSpot) -> None:
    (trade,) = mexc.parse(deals({}), RECEIVED)
    assert trade == Trade(
        venue="mexc",
        symbol="BTC/USDT",
        trade_id="1782208006167-sell-62383.56-8.235e-05-0",
        sequence=None,
        price=62383.56,
        size=0.00008235,
        side="sell",
        event_time=1782208006167000,
        receive_time=RECEIVED,
    )


def test_best_bid_and_ask_have_the_version_of_the_book(mexc: MexcSpot) -> None:
    (quote,) = mexc.parse(frame(BOOK_TICKER, "publicAggreBookTicker", BEST), RECEIVED)
    assert quote == Quote(
        "mexc",
        "BTC/USDT",
        62383.56,
        0.07956651,
        62383.57,
        0.09556,
        74891313262,
        1782208006171000,
        RECEIVED,
    )


def test_an_empty_side_of_the_book_has_no_price(mexc: MexcSpot) -> None:
    empty = BEST | {"askPrice": "", "askQuantity": "", "version": ""}
    (quote,) = mexc.parse(frame(BOOK_TICKER, "publicAggreBookTicker", empty), RECEIVED)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.ask_size, quote.sequence) == (62383.56, None, 0.0, None)


def test_a_change_of_the_book_covers_its_versions(mexc: MexcSpot) -> None:
    (update,) = mexc.parse(frame(DEPTH, "publicAggreDepths", CHANGE), RECEIVED)
    assert update == BookUpdate(
        "mexc",
        "BTC/USDT",
        "delta",
        74891313263,
        74891313265,
        None,
        [61759.73],
        [0.0001778],
        [61760.1],
        [0.0],
        None,
        1782208006171000,
        RECEIVED,
    )


def test_a_ticker_has_volumes_in_both_currencies(mexc: MexcSpot) -> None:
    (ticker,) = mexc.parse(frame(TICKER, "publicMiniTicker", DAY), RECEIVED)
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.high, ticker.low) == (2.5174, 2.6299, 2.302)
    assert (ticker.base_volume, ticker.quote_volume) == (4638390.17, 11336518.0264)
    assert (ticker.open, ticker.change, ticker.change_percent) == (None, None, -7.66)


def test_a_candle_spans_its_window(mexc: MexcSpot) -> None:
    (candle,) = mexc.parse(
        frame(KLINE, "publicSpotKline", CANDLE, sendTime=0, createTime="1736410707571"), RECEIVED
    )
    assert isinstance(candle, ExchangeCandle)
    assert (candle.interval, candle.open_time, candle.close_time) == (
        "15m",
        1736410500000000,
        1736411400000000,
    )
    assert (candle.open, candle.high, candle.low, candle.close) == (92925.0, 93158.47, 92800.0, 93158.47)
    assert (candle.volume, candle.quote_volume, candle.closed) == (36.83803224, 3424811.05, None)
    assert candle.event_time == 1736410707571000


def test_channels_that_are_not_fed_are_nobodys() -> None:
    mexc = MexcSpot(instruments("BTCUSDT"), ["quotes"])
    assert mexc.parse(deals({}), RECEIVED) == ()
    assert len(mexc.parse(frame(BOOK_TICKER, "publicAggreBookTicker", BEST), RECEIVED)) == 1


def test_frames_without_a_body_say_nothing(mexc: MexcSpot) -> None:
    assert mexc.parse(frame_of({"channel": DEALS, "symbol": "BTCUSDT"}), RECEIVED) == ()
    assert mexc.parse(frame_of({"channel": "spot@private.orders.v3.api.pb"}), RECEIVED) == ()


def test_fields_that_the_venue_adds_pass_by(mexc: MexcSpot) -> None:
    added = bytes.fromhex("c00c01ca0c03616263")
    assert mexc.parse(deals({}) + added, RECEIVED) == mexc.parse(deals({}), RECEIVED)


def test_all_samples_are_read_the_same_from_protobuf_and_from_its_json_form(captures: Path) -> None:
    counts: dict[type, int] = {}
    for name in ("tardis_mexc_messages", "tardis_mexc_live_captured_messages"):
        for line in (captures / "samples" / f"{name}.jsonl").read_text().splitlines():
            text, binary = (MexcSpot(instruments("BTCUSDT", "XENUSDT"), CHANNELS) for _ in range(2))
            records = text.parse(line.encode(), RECEIVED)
            sample = json.loads(line)
            if "channel" in sample:
                assert binary.parse(frame_of(sample), RECEIVED) == records
                assert MexcSpot.stream_of(frame_of(sample)) == MexcSpot.stream_of(line.encode())
            for record in records:
                counts[type(record)] = counts.get(type(record), 0) + 1
    assert counts == {Trade: 7, BookUpdate: 6, Quote: 3}


def test_samples_of_the_interface_that_has_ended_are_nobodys(captures: Path, mexc: MexcSpot) -> None:
    """Its symbols, channels and shapes were others; no server sends them since 2023."""
    spot = 0
    for line in (captures / "samples" / "cmp_mexc.jsonl").read_text().splitlines():
        sample = json.loads(line)
        raw = sample["raw"]
        is_stream = isinstance(raw, list) or "channel" in raw
        if sample["test"].startswith("spot") and is_stream:
            assert mexc.parse(json.dumps(raw).encode(), RECEIVED) == ()
            assert MexcSpot.stream_of(json.dumps(raw).encode()) is None
            spot += 1
    assert spot == 7


# ids of trades


def test_trades_that_are_equal_in_all_are_counted(mexc: MexcSpot) -> None:
    first, other, second = ids(mexc, deals({}, {"tradeType": 1}, {}))
    assert first.endswith("-0")
    assert other.endswith("-0")
    assert second == first.removesuffix("0") + "1"


def test_a_frame_that_comes_twice_gives_the_same_ids(mexc: MexcSpot) -> None:
    assert ids(mexc, deals({}, {})) == ids(mexc, deals({}, {}))
    named = deals({"tradeId": "7X0_8X0"}, {"tradeId": "7X0_9X0"})
    assert ids(mexc, named) == ids(mexc, named)


def test_equal_trades_in_two_frames_are_told_apart_by_the_id_of_the_venue(mexc: MexcSpot) -> None:
    (first,) = ids(mexc, deals({"tradeId": "7X0_8X0"}))
    (second,) = ids(mexc, deals({"tradeId": "7X0_9X0"}))
    assert (first[-2:], second[-2:]) == ("-0", "-1")
    assert ids(mexc, deals({"tradeId": "7X0_8X0"})) == [first]


def test_equal_trades_of_two_symbols_are_counted_apart(mexc: MexcSpot) -> None:
    (bitcoin,) = ids(mexc, deals({"tradeId": "7X0_8X0"}))
    (ether,) = ids(mexc, deals({"tradeId": "1X0_2X0"}, symbol="ETHUSDT", channel=DEALS.replace("BTC", "ETH")))
    assert bitcoin == ether


def test_rest_gives_the_same_ids_as_the_stream(mexc: MexcSpot) -> None:
    streamed = ids(mexc, deals({"tradeId": "7X0_8X0"}, {"tradeId": "7X0_9X0"}, {"price": "62383.6"}))
    call = mexc.trades_call("BTC/USDT", None, None)
    assert call == Call("trades", "/api/v3/trades?symbol=BTCUSDT&limit=1000", 5, "BTC/USDT")
    rows = [
        {"id": None, "price": price, "qty": "0.000082350", "time": 1782208006167, "isBuyerMaker": True}
        for price in ("62383.60", "62383.56", "62383.56")
    ]
    found = mexc.read(call, json.dumps(rows).encode(), RECEIVED)
    assert all(isinstance(trade, Trade) and trade.backfilled for trade in found)
    assert {trade.trade_id for trade in found if isinstance(trade, Trade)} == set(streamed)


# what is refused


@pytest.mark.parametrize("price", ["", "0", "-1", "nan", "inf", "1e308", "1,234.5", "0x1", "\u0661"])
def test_prices_that_are_none_are_refused(mexc: MexcSpot, price: str) -> None:
    assert reason(mexc, deals({"price": price})) == "price"
    assert reason(mexc, frame(KLINE, "publicSpotKline", CANDLE | {"closingPrice": price})) == "price"
    level = {"bids": [{"price": price, "quantity": "1"}]}
    assert reason(mexc, frame(DEPTH, "publicAggreDepths", CHANGE | level)) == "price"


@pytest.mark.parametrize("size", ["", "-1", "nan", "1e308", "1,234.5"])
def test_sizes_that_are_none_are_refused(mexc: MexcSpot, size: str) -> None:
    assert reason(mexc, deals({}, {"quantity": size})) == "size"
    level = {"asks": [{"price": "1", "quantity": size}]}
    assert reason(mexc, frame(DEPTH, "publicAggreDepths", CHANGE | level)) == "size"


@pytest.mark.parametrize("time", ["0", "1", "1782208006", "-1782208006167", "9223372036854775807"])
def test_times_that_are_none_are_refused(mexc: MexcSpot, time: str) -> None:
    assert reason(mexc, deals({"time": time})) == "time"


def test_times_in_microseconds_are_told_from_milliseconds(mexc: MexcSpot) -> None:
    (trade,) = mexc.parse(deals({"time": "1782208006167123"}), RECEIVED)
    assert isinstance(trade, Trade)
    assert trade.event_time == 1782208006167123


@pytest.mark.parametrize("side", [0, 3, -1])
def test_a_side_that_is_neither_is_refused(mexc: MexcSpot, side: int) -> None:
    assert reason(mexc, deals({"tradeType": side})) == "side"


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        ({"fromVersion": ""}, "id"),
        ({"toVersion": "x"}, "id"),
        ({"toVersion": "-1"}, "id"),
        ({"toVersion": "9" * 30}, "id"),
        ({"fromVersion": "74891313266"}, "id"),
    ],
)
def test_versions_that_are_none_are_refused(mexc: MexcSpot, versions: dict[str, str], why: str) -> None:
    assert reason(mexc, frame(DEPTH, "publicAggreDepths", CHANGE | versions)) == why


def test_a_candle_whose_prices_do_not_fit_is_refused(mexc: MexcSpot) -> None:
    assert reason(mexc, frame(KLINE, "publicSpotKline", CANDLE | {"highestPrice": "92900"})) == "ohlc"
    assert reason(mexc, frame(KLINE, "publicSpotKline", CANDLE | {"lowestPrice": "93000"})) == "ohlc"
    assert reason(mexc, frame(KLINE, "publicSpotKline", CANDLE | {"windowEnd": "1736410500"})) == "time"


def test_a_candle_of_an_interval_without_a_length_is_nobodys(mexc: MexcSpot) -> None:
    assert not mexc.parse(frame(KLINE, "publicSpotKline", CANDLE | {"interval": "Month1"}), RECEIVED)


def test_a_ticker_without_a_time_is_refused(mexc: MexcSpot) -> None:
    assert reason(mexc, frame(TICKER, "publicMiniTicker", DAY, sendTime=0)) == "time"


def test_symbols_that_nobody_asked_for_are_refused(mexc: MexcSpot) -> None:
    assert reason(mexc, deals({}, channel=DEALS.replace("BTC", "SOL"), symbol="SOLUSDT")) == "symbol"
    assert reason(mexc, deals({}, symbol="ETHUSDT")) == "symbol"
    mexc.drop("BTC/USDT")
    assert reason(mexc, deals({})) == "symbol"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "shape"),
        (b"\x1a\x07BTCUSDT", "shape"),
        (b"\xff\xff\xff", "protobuf"),
        (b"\x0a\x05abc", "protobuf"),
        (b'{"channel":', "json"),
        (b'{"channel":5}', "shape"),
        (b"{}", "shape"),
        (b'{"id":0,"code":0}', "shape"),
    ],
)
def test_frames_that_are_none_are_refused(mexc: MexcSpot, data: bytes, why: str) -> None:
    assert reason(mexc, data) == why


def test_every_cut_of_a_frame_is_refused_or_has_no_body(mexc: MexcSpot) -> None:
    whole = deals({}, {"tradeType": 1})
    for end in range(len(whole)):
        try:
            assert mexc.parse(whole[:end], RECEIVED) == ()
        except BadRecord as error:
            assert error.reason in {"protobuf", "shape"}  # noqa: PT017 - either outcome is right


# subscriptions


def test_streams_are_named_as_they_are_recognised(mexc: MexcSpot) -> None:
    streams = mexc.streams()
    assert len(streams) == 10
    assert [stream.channel for stream in streams[-2:]] == ["trades", "trades"]
    for stream in streams:
        assert mexc.channel_of(stream.name) == (stream.channel, mexc.venue_symbol(stream.symbol))
        assert stream.path == "/ws"
    assert [stream.symbol for stream in mexc.streams(["ETH/USDT"])] == ["ETH/USDT"] * 5
    assert mexc.streams([]) == []


def test_the_interval_of_candles_is_in_the_name() -> None:
    mexc = MexcSpot(instruments("BTCUSDT"), ["candles"], candle_interval="1h")
    assert [stream.name for stream in mexc.streams()] == ["spot@public.kline.v3.api.pb@BTCUSDT@Min60"]
    with pytest.raises(ConfigurationError, match="no candles of 3m; it has 1m, 5m"):
        MexcSpot(instruments("BTCUSDT"), ["candles"], candle_interval="3m")
    assert MexcSpot(instruments("BTCUSDT"), ["trades"], candle_interval="3m").streams()


def test_a_subscription_is_accepted_if_its_name_comes_back(mexc: MexcSpot) -> None:
    requests = mexc.requests(mexc.streams(["BTC/USDT"]), 7, 0.0)
    assert [request.number for request in requests] == [7, 8, 9, 10, 11]
    assert json.loads(requests[-1].text) == {"method": "SUBSCRIPTION", "params": [DEALS], "id": 11}
    (by_number,) = mexc.parse(json.dumps({"id": 11, "code": 0, "msg": DEALS}).encode(), RECEIVED)
    assert by_number == Control("accepted", 11, DEALS)
    (by_name,) = mexc.parse(json.dumps({"id": 0, "code": 0, "msg": DEPTH}).encode(), RECEIVED)
    assert by_name == Control("accepted", 8, DEPTH)


@pytest.mark.parametrize(
    "words",
    [
        f"Not Subscribed successfully! [{DEALS}].  Reason\uff1a Blocked! ",
        f"Subscribed successful! [{DEPTH}]. Not Subscribed successfully! [{DEALS}].  Reason\uff1a Blocked! ",
        "Blocked!",
        DEPTH,
    ],
)
def test_a_subscription_is_refused_by_any_other_words(mexc: MexcSpot, words: str) -> None:
    mexc.requests(mexc.streams(["BTC/USDT"])[-1:], 1, 0.0)
    (control,) = mexc.parse(json.dumps({"id": 1, "code": 0, "msg": words}).encode(), RECEIVED)
    assert control == Control("refused", 1, words)


def test_a_refusal_without_number_or_name_is_that_of_the_only_request(mexc: MexcSpot) -> None:
    mexc.requests(mexc.streams(["BTC/USDT"])[-1:], 3, 0.0)
    (control,) = mexc.parse(b'{"id":0,"code":0,"msg":"Blocked!"}', RECEIVED)
    assert control == Control("refused", 3, "Blocked!")


def test_a_stream_that_is_asked_for_again_is_answered_under_the_new_number(mexc: MexcSpot) -> None:
    streams = mexc.streams(["BTC/USDT"])[-1:]
    mexc.requests(streams, 1, 0.0)
    mexc.requests(streams, 2, 0.0, subscribe=False)
    (request,) = mexc.requests(streams, 3, 0.0)
    assert json.loads(request.text)["method"] == "SUBSCRIPTION"
    (control,) = mexc.parse(json.dumps({"id": 0, "code": 0, "msg": DEALS}).encode(), RECEIVED)
    assert control == Control("accepted", 3, DEALS)


def test_answers_that_nobody_waits_for_say_nothing_unless_they_refuse(mexc: MexcSpot) -> None:
    assert mexc.parse(json.dumps({"id": 0, "code": 0, "msg": DEALS}).encode(), RECEIVED) == ()
    (control,) = mexc.parse(b'{"id":0,"code":0,"msg":"msg format invalid"}', RECEIVED)
    assert control == Control("refused", None, "msg format invalid")


def test_a_pong_is_a_sign_of_life(mexc: MexcSpot) -> None:
    assert json.loads(mexc.heartbeat(0.0)) == {"method": "PING"}
    assert mexc.parse(b'{"id":0,"code":0,"msg":"PONG"}', RECEIVED) == (Control("alive", None),)


# symbols and REST


def test_names_in_any_case_find_the_market() -> None:
    for names in (("mexc",), ("MEXC", "Spot"), ("mexc-global",), ("mexc_spot",)):
        assert exchange_class(*names) is MexcSpot


@pytest.mark.parametrize(
    ("name", "symbol"), [("BTCUSDT", "BTC/USDT"), ("ETHBTC", "ETH/BTC"), ("USDCUSDT", "USDC/USDT")]
)
def test_a_symbol_is_told_by_its_end(name: str, symbol: str) -> None:
    (instrument,) = instruments(name)
    assert (instrument.symbol, instrument.multiplier) == (symbol, 1.0)
    assert MexcSpot.venue_symbol(symbol) == name


@pytest.mark.parametrize("name", ["USDT", "", "ABC"])
def test_a_symbol_without_a_known_end_is_not_told(name: str) -> None:
    assert MexcSpot.guess(name) is None


def test_instruments_have_steps_and_a_status() -> None:
    listed = {
        "symbol": "BTCUSDT",
        "status": "1",
        "baseAsset": "BTC",
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 2,
        "quoteAssetPrecision": 2,
        "quoteAmountPrecision": "5",
        "baseSizePrecision": "0.000001",
    }
    gone = listed | {"symbol": "OLDUSDT", "baseAsset": "OLD", "status": "3"}
    body = json.dumps({"timezone": "CST", "symbols": [listed, gone]}).encode()
    first, second = MexcSpot.read_instruments(body, RECEIVED)
    assert first == Instrument(
        "mexc", "BTC/USDT", "BTCUSDT", "BTC", "USDT", "spot", "trading", 0.01, 1e-8, 5.0, 1.0, RECEIVED
    )
    assert (second.symbol, second.status) == ("OLD/USDT", "delisted")
    with pytest.raises(BadRecord, match="expected shape"):
        MexcSpot.read_instruments(b'{"code":500}', RECEIVED)


def test_a_book_by_rest_has_the_version_that_deltas_follow(mexc: MexcSpot) -> None:
    call = mexc.book_call("BTC/USDT")
    assert call == Call("book", "/api/v3/depth?symbol=BTCUSDT&limit=1000", 1, "BTC/USDT")
    body = b'{"lastUpdateId":74891313262,"bids":[["62383.56","1.2"]],"asks":[["62383.57","0.5"]]}'
    (book,) = mexc.read(call, body, RECEIVED)
    assert isinstance(book, BookUpdate)
    assert (book.kind, book.first_sequence, book.last_sequence) == ("snapshot", None, 74891313262)
    assert (book.bid_prices, book.ask_sizes, book.event_time) == ([62383.56], [0.5], None)
    with pytest.raises(BadRecord, match="expected shape"):
        mexc.read(call, b'{"code":-1121,"msg":"Invalid symbol."}', RECEIVED)
    with pytest.raises(BadRecord, match="not JSON"):
        mexc.read(call, b"<html>", RECEIVED)


def test_candles_by_rest_are_those_of_the_interval_asked_for(mexc: MexcSpot) -> None:
    call = mexc.call_of("https://api.mexc.com/api/v3/klines?symbol=BTCUSDT&interval=60m")
    assert call is not None
    body = b'[[1640804400000,"47482.36","47500","47416.57","47436.1","3.5",1640808000000,"168387.3"]]'
    (candle,) = mexc.read(call, body, RECEIVED)
    assert isinstance(candle, ExchangeCandle)
    assert (candle.interval, candle.high, candle.quote_volume) == ("1h", 47500.0, 168387.3)
    assert candle.close_time - candle.open_time == 3_600_000_000


def test_urls_of_what_is_not_read_are_no_calls(mexc: MexcSpot) -> None:
    assert mexc.call_of("/api/v3/exchangeInfo") == MexcSpot.instruments_call()
    assert mexc.call_of("/api/v3/depth?symbol=SOLUSDT") is None
    assert mexc.call_of("https://api.mexc.com/api/v3/ticker/24hr?symbol=BTCUSDT") is None


def test_a_frame_names_its_stream() -> None:
    assert protobuf.decode(ChannelOnly, deals({})).channel == DEALS
    assert MexcSpot.stream_of(deals({})) == DEALS
    assert MexcSpot.stream_of(b'{"id":0,"code":0,"msg":"PONG"}') is None
    assert MexcSpot.stream_of(b"\xff") is None
    assert MexcSpot.channel_of("spot@private.orders.v3.api.pb") is None
