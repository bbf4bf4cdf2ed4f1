"""Values, answers and calls of MEXC's futures."""

import json
from typing import Any

import pytest

from producers.exchange import CHANNELS, BadRecord, Call, Control, Poll
from producers.exchanges.mexc.futures import MexcFutures
from producers.markets import exchange_class
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
)
from tests.mexc_futures_frames import (
    BTC,
    CANDLE,
    DAY,
    DEAL,
    DEPTH,
    FULL,
    RECEIVED,
    answer,
    frame,
    instrument,
    reason,
)


@pytest.fixture
def mexc() -> MexcFutures:
    return MexcFutures([instrument("BTC_USDT", 0.0001), instrument("BTC_USD", 100.0)], CHANNELS)


@pytest.mark.parametrize("time", [0, 1, 1755487578, -1755487578276, 2**62])
def test_times_that_are_none_are_refused(mexc: MexcFutures, time: int) -> None:
    assert reason(mexc, frame("deal", DEAL | {"t": time})) == "time"


@pytest.mark.parametrize("side", [0, 3])
def test_a_side_that_is_neither_is_refused(mexc: MexcFutures, side: int) -> None:
    assert reason(mexc, frame("deal", DEAL | {"T": side})) == "side"


@pytest.mark.parametrize(
    ("subject", "data", "why"),
    [
        ("depth", DEPTH | {"bids": [[0, 1, 1]]}, "price"),
        ("depth", DEPTH | {"bids": [[1, -1, 1]]}, "size"),
        ("depth", DEPTH | {"bids": [[1]]}, "shape"),
        ("depth", DEPTH | {"version": -1}, "id"),
        ("depth", DEPTH | {"begin": 96801928}, "id"),
        ("depth", DEPTH | {"version": "96801927"}, "shape"),
        ("depth.full", FULL | {"asks": [[1]]}, "shape"),
        ("depth.full", FULL | {"asks": [["1", 2]]}, "shape"),
        ("ticker", DAY | {"lastPrice": 0}, "price"),
        ("ticker", DAY | {"lastPrice": "1"}, "shape"),
        ("ticker", DAY | {"volume24": -1}, "size"),
        ("ticker", DAY | {"holdVol": -1}, "size"),
        ("ticker", DAY | {"fundingRate": 1e300}, "number"),
        ("ticker", DAY | {"timestamp": 5}, "time"),
        ("kline", CANDLE | {"h": 31575}, "ohlc"),
        ("kline", CANDLE | {"l": 31577}, "ohlc"),
        ("kline", CANDLE | {"c": -1}, "price"),
        ("kline", CANDLE | {"q": -1}, "size"),
        ("kline", CANDLE | {"t": 1}, "time"),
        ("fair.price", {"price": 0}, "price"),
        ("index.price", {"price": None}, "shape"),
        ("funding.rate", {}, "shape"),
    ],
)
def test_values_that_break_a_rule_are_refused(
    mexc: MexcFutures, subject: str, data: dict[str, Any], why: str
) -> None:
    assert reason(mexc, frame(subject, data)) == why


def test_frames_that_are_none_are_refused(mexc: MexcFutures) -> None:
    assert reason(mexc, frame("deal", DEAL, "SOL_USDT")) == "symbol"
    assert reason(mexc, b'{"channel":"push.deal","data":{}}') == "symbol"
    assert reason(mexc, b"{") == "json"
    assert reason(mexc, b"[]") == "shape"
    assert reason(mexc, b"{}") == "shape"


def test_pushes_that_are_not_read_are_nobodys(mexc: MexcFutures) -> None:
    assert mexc.parse(frame("tickers", [DAY]), RECEIVED) == ()
    assert mexc.parse(frame("kline", CANDLE | {"interval": "Month1"}), RECEIVED) == []
    quotes = MexcFutures([instrument("BTC_USDT", 0.0001)], ["quotes"])
    assert quotes.parse(frame("deal", DEAL), RECEIVED) == ()


# subscriptions


def test_streams_are_named_as_they_are_recognised(mexc: MexcFutures) -> None:
    streams = mexc.streams([BTC])
    assert [stream.name for stream in streams] == [
        "depth.full@BTC_USDT",
        "depth@BTC_USDT",
        "ticker@BTC_USDT",
        "kline@BTC_USDT@Min1",
        "funding.rate@BTC_USDT",
        "fair.price@BTC_USDT",
        "index.price@BTC_USDT",
        "deal@BTC_USDT",
    ]
    for stream in streams:
        assert mexc.channel_of(stream.name) == (stream.channel, "BTC_USDT")
    assert mexc.stream_of(frame("kline", CANDLE)) == "kline@BTC_USDT@Min1"
    assert mexc.stream_of(frame("depth.full", FULL)) == "depth.full@BTC_USDT"
    assert mexc.stream_of(b'{"channel":"pong","data":1}') is None
    assert mexc.stream_of(b"x") is None


def test_each_stream_is_a_request_of_its_own(mexc: MexcFutures) -> None:
    streams = mexc.streams([BTC])
    sent = [json.loads(request.text) for request in mexc.requests(streams, 1, 0.0)]
    assert sent[0] == {"method": "sub.depth.full", "param": {"symbol": "BTC_USDT", "limit": 5}}
    assert sent[1] == {"method": "sub.depth", "param": {"symbol": "BTC_USDT", "compress": False}}
    assert sent[3] == {"method": "sub.kline", "param": {"symbol": "BTC_USDT", "interval": "Min1"}}
    assert sent[7] == {"method": "sub.deal", "param": {"symbol": "BTC_USDT"}}
    (left,) = mexc.requests(streams[-1:], 9, 0.0, subscribe=False)
    assert json.loads(left.text) == {"method": "unsub.deal", "param": {"symbol": "BTC_USDT"}}


def test_answers_go_to_the_requests_in_their_order(mexc: MexcFutures) -> None:
    deals = [stream for stream in mexc.streams() if stream.channel == "trades"]
    mexc.requests(mexc.streams([BTC])[:2], 1, 0.0)
    mexc.requests(deals, 3, 0.0)
    assert answer(mexc, "rs.sub.deal", "success") == Control("accepted", 3, "success")
    assert answer(mexc, "rs.sub.deal", "success") == Control("accepted", 4, "success")
    assert answer(mexc, "rs.sub.deal", "success") is None
    assert answer(mexc, "rs.sub.depth", "success") == Control("accepted", 2, "success")


def test_an_error_refuses_the_contract_that_it_names_else_the_oldest_request(mexc: MexcFutures) -> None:
    mexc.requests([stream for stream in mexc.streams() if stream.channel == "trades"], 1, 0.0)
    words = "Contract [BTC_USD] not exists"
    assert answer(mexc, "rs.error", words) == Control("refused", 2, words)
    assert answer(mexc, "rs.error", "Contract doesn't exist!") == Control(
        "refused", 1, "Contract doesn't exist!"
    )
    assert answer(mexc, "rs.error", words) == Control("refused", None, words)


def test_another_word_than_success_refuses(mexc: MexcFutures) -> None:
    mexc.requests(mexc.streams([BTC])[-1:], 1, 0.0)
    assert answer(mexc, "rs.sub.deal", "failed") == Control("refused", 1, "failed")


def test_a_request_that_is_made_again_takes_the_place_of_the_first(mexc: MexcFutures) -> None:
    mexc.requests(mexc.streams([BTC])[-1:], 1, 0.0)
    mexc.requests(mexc.streams([BTC])[-1:], 2, 0.0)
    assert answer(mexc, "rs.sub.deal", "success") == Control("accepted", 2, "success")
    assert answer(mexc, "rs.sub.deal", "success") is None


def test_the_venue_says_that_it_closes_the_connection(mexc: MexcFutures) -> None:
    mexc.requests(mexc.streams([BTC])[-1:], 1, 0.0)
    words = "more than 60 seconds no response, close the channel"
    assert answer(mexc, "rs.error", words) == Control("shutdown", None, words)


def test_a_pong_is_a_sign_of_life(mexc: MexcFutures) -> None:
    assert json.loads(mexc.heartbeat(0.0)) == {"method": "ping"}
    assert mexc.heartbeat_s is not None
    assert mexc.heartbeat_s <= 20
    assert mexc.parse(b'{"channel":"pong","data":1587453241453}', RECEIVED) == (Control("alive", None),)


# symbols and REST


def test_names_in_any_case_find_the_market() -> None:
    for names in (("mexc", "futures"), ("MEXC", "Futures"), ("mexc-futures",), ("mexc_swap",)):
        assert exchange_class(*names) is MexcFutures


@pytest.mark.parametrize(
    ("name", "symbol"), [("BTC_USDT", BTC), ("BTC_USD", "BTC/USD:BTC"), ("XAU_USDC", "XAU/USDC:USDC")]
)
def test_a_symbol_is_told_by_its_parts(name: str, symbol: str) -> None:
    assert instrument(name, 1.0).symbol == symbol
    assert MexcFutures.venue_symbol(symbol) == name


@pytest.mark.parametrize("name", ["BTCUSDT", "", "_USDT", "BTC_", "A_B_C"])
def test_other_names_are_not_told(name: str) -> None:
    assert MexcFutures.guess(name) is None


def test_contracts_have_a_size_and_a_status() -> None:
    linear = {
        "symbol": "BTC_USDT",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "futureType": 1,
        "contractSize": 0.0001,
        "priceUnit": 0.1,
        "volUnit": 1,
        "state": 0,
    }
    inverse = linear | {"symbol": "BTC_USD", "quoteCoin": "USD", "settleCoin": "BTC", "contractSize": 100}
    paused, gone = linear | {"state": 4}, linear | {"state": 3}
    delivered = linear | {"futureType": 2}
    listed = [linear, inverse, paused, gone, delivered]
    found = MexcFutures.read_instruments(json.dumps({"success": True, "data": listed}).encode(), RECEIVED)
    assert found[0] == Instrument(
        "mexc", BTC, "BTC_USDT", "BTC", "USDT", "perpetual", "trading", 0.1, 0.0001, None, 0.0001, RECEIVED
    )
    assert (found[1].symbol, found[1].multiplier, found[1].lot_size) == ("BTC/USD:BTC", 100.0, None)
    assert [item.status for item in found[2:]] == ["halted", "delisted"]
    one = json.dumps({"success": True, "code": 0, "data": linear}).encode()
    assert MexcFutures.read_instruments(one, RECEIVED) == found[:1]
    with pytest.raises(BadRecord, match="510: Excessive frequency"):
        MexcFutures.read_instruments(
            b'{"success":false,"code":510,"message":"Excessive frequency of requests"}', RECEIVED
        )


def test_a_book_may_come_without_anything_around_it(mexc: MexcFutures) -> None:
    call = mexc.book_call(BTC)
    assert call == Call("book", "/api/v1/contract/depth/BTC_USDT?limit=1000", 1, BTC)
    body = b'{"asks":[[3968.5,121]],"bids":[[3968.4,179,4]],"version":1,"timestamp":1587442022003}'
    (book,) = mexc.read(call, body, RECEIVED)
    assert isinstance(book, BookUpdate)
    assert (book.last_sequence, book.ask_sizes, book.event_time) == (1, [0.0121], 1587442022003000)


def test_candles_by_rest_stand_in_columns(mexc: MexcFutures) -> None:
    call = mexc.call_of("https://contract.mexc.com/api/v1/contract/kline/BTC_USDT?interval=Min15")
    assert call is not None
    columns: dict[str, list[float]] = {
        "time": [1609740600, 1609741500],
        "open": [33016.5, 33040.5],
        "close": [33040.5, 33041.0],
        "high": [33094.0, 33050.0],
        "low": [32995.0, 33040.0],
        "vol": [67332.0, 1.0],
        "amount": [222515.85925, 3.3],
    }
    body = json.dumps({"success": True, "code": 0, "data": columns}).encode()
    first, second = mexc.read(call, body, RECEIVED)
    assert isinstance(first, ExchangeCandle)
    assert (first.interval, first.volume, first.quote_volume) == ("15m", 6.7332, 222515.85925)
    assert isinstance(second, ExchangeCandle)
    assert (second.open_time, second.close) == (first.close_time, 33041.0)
    uneven = json.dumps({"success": True, "data": columns | {"vol": [1.0]}}).encode()
    with pytest.raises(BadRecord, match="differ in length"):
        mexc.read(call, uneven, RECEIVED)


def test_open_interest_is_asked_for_where_no_ticker_brings_it(mexc: MexcFutures) -> None:
    assert mexc.polls() == []
    alone = MexcFutures([instrument("BTC_USDT", 0.0001)], ["derivatives"])
    call = Call("derivatives", "/api/v1/contract/ticker?symbol=BTC_USDT", 1, BTC)
    assert alone.polls() == [Poll(call, 30.0)]
    (found,) = alone.read(call, json.dumps({"success": True, "data": DAY}).encode(), RECEIVED)
    assert isinstance(found, DerivativeTicker)
    assert found.open_interest == 1235.7864


def test_urls_of_what_is_not_read_are_no_calls(mexc: MexcFutures) -> None:
    assert mexc.call_of("/api/v1/contract/detail") == MexcFutures.instruments_call()
    assert mexc.call_of("/api/v1/contract/depth/SOL_USDT") is None
    assert mexc.call_of("/api/v1/contract/funding_rate/BTC_USDT") is None
    assert mexc.call_of("/api/v1/contract/ticker") is None


def test_an_answer_about_a_contract_that_was_dropped_is_nobodys(mexc: MexcFutures) -> None:
    call = mexc.book_call(BTC)
    assert call is not None
    mexc.drop(BTC)
    assert mexc.read(call, b'{"asks":[],"bids":[],"version":1}', RECEIVED) == []
    assert (mexc.book_call(BTC), mexc.trades_call(BTC, None, None)) == (None, None)
