"""Values, answers and calls of MEXC's spot market."""

import json

import pytest

from producers import protobuf
from producers.exchange import CHANNELS, BadRecord, Call, Control
from producers.exchanges.mexc.messages import ChannelOnly
from producers.exchanges.mexc.spot import MexcSpot
from producers.markets import exchange_class
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, ExchangeCandle, Instrument
from tests.mexc_frames import (
    CANDLE,
    DAY,
    DEALS,
    DEPTH,
    KLINE,
    RECEIVED,
    TICKER,
    deals,
    frame,
    instruments,
    reason,
)


@pytest.fixture
def mexc() -> MexcSpot:
    return MexcSpot(instruments("BTCUSDT", "ETHUSDT"), CHANNELS)


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
