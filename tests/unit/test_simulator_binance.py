"""Binance's side of the wire: paths, subscriptions, answers, and what REST tells of what has happened."""

import json
from typing import Any

import pytest

from producers.simulator.venue import RestError, venue_class
from producers.simulator.venues.binance import BinanceSpotSimulated
from producers.simulator.venues.binance_client import BinanceClient, key_of
from producers.simulator.venues.binance_usdm import BinanceUsdmSimulated


def spot() -> BinanceSpotSimulated:
    return BinanceSpotSimulated({"BTC/USDT": "BTCUSDT"})


def client(path: str) -> BinanceClient:
    return spot().client(path)


def trade(number: int) -> bytes:
    data = {
        "e": "trade",
        "s": "BTCUSDT",
        "t": number,
        "p": "1.50",
        "q": "2.000",
        "T": 1000 + number,
        "m": True,
    }
    return json.dumps(data).encode()


def asked(venue: BinanceSpotSimulated, path: str, **query: Any) -> Any:
    return json.loads(venue.rest(path, {name: str(value) for name, value in query.items()}, 5_000).body)


@pytest.mark.parametrize(
    ("path", "is_combined", "streams"),
    [
        ("/ws", False, []),
        ("/ws/btcusdt@trade", False, ["btcusdt@trade"]),
        ("/ws/a@trade/b@trade", False, ["a@trade", "b@trade"]),
        ("/ws/0", False, []),
        ("/stream", True, []),
        ("/stream?streams=a@trade/b@bookTicker", True, ["a@trade", "b@bookTicker"]),
        ("/ws/btcusdt@trade?timeUnit=MICROSECOND", False, ["btcusdt@trade"]),
    ],
)
def test_the_path_decides_form_and_streams(path: str, is_combined: bool, streams: list[str]) -> None:
    assert (client(path).combined, list(client(path).streams)) == (is_combined, streams)


@pytest.mark.parametrize("path", ["/", "/wsx", "/api/v3/ping", "/public/ws"])
def test_other_paths_do_not_exist(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        client(path)


def test_streams_are_subscribed_listed_and_dropped() -> None:
    one = client("/stream")
    ask = '{"method":"SUBSCRIBE","params":["a@trade","b@depth@100ms"],"id":1}'
    assert one.is_subscription(ask)
    assert [json.loads(text) for text in one.answer(ask, 0)] == [{"result": None, "id": 1}]
    drop = '{"method":"UNSUBSCRIBE","params":["a@trade"],"id":2}'
    assert not one.is_subscription(drop)
    assert json.loads(one.answer(drop, 0)[0])["id"] == 2
    listed = json.loads(one.answer('{"method":"LIST_SUBSCRIPTIONS","id":3}', 0)[0])
    assert listed == {"result": ["b@depth@100ms"], "id": 3}


@pytest.mark.parametrize(
    ("message", "code", "number"),
    [
        ("nonsense", 3, None),
        ('{"params":[]}', 2, None),
        ('{"method":"NOTHING","id":4}', 2, 4),
        ('{"method":"SUBSCRIBE","params":[1],"id":5}', 2, 5),
        ("[]", 2, None),
    ],
)
def test_wrong_requests_are_answered_with_an_error(message: str, code: int, number: int | None) -> None:
    answer = json.loads(client("/ws").answer(message, 0)[0])
    assert (answer["error"]["code"], answer["id"]) == (code, number)


def test_a_combined_frame_names_its_stream_as_the_client_did() -> None:
    one = client("/stream?streams=a@depth@100ms")
    assert one.frame("a@depth", b'{"x":1}') == b'{"stream":"a@depth@100ms","data":{"x":1}}'


def test_paces_of_one_stream_are_one_and_partial_books_are_another() -> None:
    assert {key_of(name) for name in ("a@depth", "a@depth@100ms", "a@depth@0ms")} == {"a@depth"}
    assert key_of("a@depth20@100ms") == "a@depth20@100ms"
    assert key_of("a@kline_1m") == "a@kline_1m"
    assert key_of("!ticker@arr") == "!ticker@arr"


def test_futures_serve_each_kind_of_stream_on_its_own_path() -> None:
    venue = BinanceUsdmSimulated({"BTC/USDT:USDT": "BTCUSDT"})
    streams = "btcusdt@trade/btcusdt@markPrice@1s/btcusdt@depth@100ms/btcusdt@kline_1m"
    assert list(venue.client(f"/public/stream?streams={streams}").streams) == [
        "btcusdt@trade",
        "btcusdt@depth",
    ]
    assert list(venue.client(f"/market/stream?streams={streams}").streams) == [
        "btcusdt@markPrice",
        "btcusdt@kline_1m",
    ]
    assert len(venue.client(f"/stream?streams={streams}").streams) == 4


def test_recorded_frames_are_taken_apart_whether_combined_or_raw() -> None:
    venue = spot()
    data = b'{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}'
    assert venue.split(b'{"stream":"btcusdt@depth@100ms","data":' + data + b"}", False) == (
        "btcusdt@depth",
        data,
    )
    assert venue.split(data, False) == ("btcusdt@depth", data)
    quote = b'{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'
    assert venue.split(quote, False) == ("btcusdt@bookTicker", quote)
    kline = b'{"e":"kline","s":"BTCUSDT","k":{"i":"1m"}}'
    assert venue.split(kline, False) == ("btcusdt@kline_1m", kline)
    assert venue.channel_of("btcusdt@kline_1m") == ("candles", "BTCUSDT")
    for frame in (b'{"result":null,"id":1}', b"nonsense", b'{"stream":"btcusdt@tr'):
        assert venue.split(frame, False) is None


def test_trades_are_served_by_id_up_to_what_has_happened() -> None:
    venue = spot()
    for number in range(1, 6):
        venue.observe("btcusdt@trade", trade(number))
    venue.observe("btcusdt@trade", trade(3))
    venue.observe("btcusdt@trade", b"damaged")
    historical = asked(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=4, limit=1000)
    assert [item["id"] for item in historical] == [4, 5]
    assert historical[0] == {
        "id": 4,
        "price": "1.50",
        "qty": "2.000",
        "quoteQty": "3.00000000",
        "time": 1004,
        "isBuyerMaker": True,
        "isBestMatch": True,
    }
    newest = asked(venue, "/api/v3/trades", symbol="BTCUSDT", limit=2)
    assert [item["id"] for item in newest] == [4, 5]
    assert asked(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=6) == []


def test_aggregated_trades_are_served_by_id_and_by_time() -> None:
    venue = spot()
    for number in range(1, 4):
        one = {"a": number, "p": "1", "q": "1", "f": number, "l": number, "T": 100 * number, "m": False}
        venue.observe("btcusdt@aggTrade", json.dumps(one).encode())
    path = "/api/v3/aggTrades"
    assert [item["a"] for item in asked(venue, path, symbol="BTCUSDT", fromId=2)] == [2, 3]
    by_time = asked(venue, path, symbol="BTCUSDT", startTime=100, endTime=200)
    assert [item["a"] for item in by_time] == [1, 2]
    assert asked(venue, path, symbol="BTCUSDT", limit=1)[0]["a"] == 3


def test_the_book_is_the_snapshot_with_the_changes_after_it() -> None:
    venue = spot()
    url = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    venue.learn(url, b'{"lastUpdateId":10,"bids":[["9.0","1"],["8.0","1"]],"asks":[["11.0","1"]]}')
    for first, last, bids in ((8, 10, [["9.0", "7"]]), (11, 12, [["9.0", "0"], ["8.5", "2"]])):
        change = {"e": "depthUpdate", "U": first, "u": last, "b": bids, "a": []}
        venue.observe("btcusdt@depth", json.dumps(change).encode())
    body = asked(venue, "/api/v3/depth", symbol="BTCUSDT", limit=5)
    assert body == {"lastUpdateId": 12, "bids": [["8.5", "2"], ["8.0", "1"]], "asks": [["11.0", "1"]]}
    venue.learn(url, b'{"lastUpdateId":11,"bids":[],"asks":[]}')
    assert asked(venue, "/api/v3/depth", symbol="BTCUSDT")["lastUpdateId"] == 12, (
        "an older one changes nothing"
    )


def test_what_does_not_exist_is_refused_in_the_words_of_the_venue() -> None:
    with pytest.raises(RestError) as refusal:
        spot().rest("/api/v3/depth", {"symbol": "NONE"}, 0)
    assert (refusal.value.reply.status, json.loads(refusal.value.reply.body)["code"]) == (400, -1121)
    with pytest.raises(RestError) as refusal:
        spot().rest("/fapi/v1/depth", {"symbol": "BTCUSDT"}, 0)
    assert refusal.value.reply.status == 404
    failure = spot().failure(429, 3.0)
    assert (failure.status, failure.headers["Retry-After"]) == (429, "3")
    assert json.loads(failure.body)["code"] == -1003


def test_requests_cost_what_the_venue_says() -> None:
    assert [spot().weight("/api/v3/depth", {"limit": str(limit)}) for limit in (5, 500, 1000, 5000)] == [
        5,
        25,
        50,
        250,
    ]
    assert spot().weight("/api/v3/exchangeInfo", {}) == 20
    assert spot().usage(70, 0.0)["X-MBX-USED-WEIGHT-1M"] == "70"


def test_a_list_of_instruments_is_made_where_none_was_recorded() -> None:
    listed = asked(spot(), "/api/v3/exchangeInfo")["symbols"]
    assert [(item["symbol"], item["baseAsset"], item["quoteAsset"]) for item in listed] == [
        ("BTCUSDT", "BTC", "USDT")
    ]
    usdm = venue_class("binance", "usdm")({"BTC/USDT:USDT": "BTCUSDT"})
    perpetual = json.loads(usdm.rest("/fapi/v1/exchangeInfo", {}, 0).body)["symbols"][0]
    assert (perpetual["contractType"], perpetual["baseAsset"], perpetual["marginAsset"]) == (
        "PERPETUAL",
        "BTC",
        "USDT",
    )


def test_candles_and_figures_are_counted_from_the_trades() -> None:
    venue = spot()
    for number in range(1, 6):
        venue.observe("btcusdt@trade", trade(number).replace(b'"1.50"', b'"%d.5"' % number))
    rows = asked(venue, "/api/v3/klines", symbol="BTCUSDT", interval="1s")
    assert rows == [
        [
            1000,
            "1.5",
            "5.5",
            "1.5",
            "5.5",
            "10.00000000",
            1999,
            "35.00000000",
            5,
            "0.00000000",
            "0.00000000",
            "0",
        ]
    ]
    assert asked(venue, "/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=60_000) == []
    day = asked(venue, "/api/v3/ticker/24hr", symbol="BTCUSDT")
    assert (day["openPrice"], day["lastPrice"], day["count"], day["priceChange"]) == (
        "1.5",
        "5.5",
        5,
        "4.00000000",
    )
    with pytest.raises(RestError):
        venue.rest("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7x"}, 0)
