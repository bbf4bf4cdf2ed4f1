"""Gate.io: names of streams and what is said to subscribe them; both markets."""

import json

import pytest

from producers.exchange import Call, Request
from producers.exchanges.gateio.futures import GateFutures
from producers.exchanges.gateio.spot import GateSpot


def spot(*names: str, channels: tuple[str, ...] = ("trades",), interval: str = "1m") -> GateSpot:
    found = [instrument for name in names or ("BTC_USDT",) if (instrument := GateSpot.guess(name))]
    return GateSpot(found, channels, candle_interval=interval)


def futures(*channels: str) -> GateFutures:
    listed = [found] if (found := GateFutures.guess("BTC_USDT")) else []
    return GateFutures(listed, channels or ("trades",))


def sent(requests: list[Request]) -> list[tuple[str, list[str]]]:
    return [
        (json.loads(request.text)["channel"], json.loads(request.text)["payload"]) for request in requests
    ]


# streams


def test_streams_name_channel_and_symbol_trades_last() -> None:
    exchange = spot(
        "BTC_USDT", "ETH_USDT", channels=("trades", "quotes", "books", "candles", "tickers"), interval="5m"
    )
    names = [stream.name for stream in exchange.streams()]
    assert names == [
        "spot.order_book_update/BTC_USDT",
        "spot.order_book_update/ETH_USDT",
        "spot.book_ticker/BTC_USDT",
        "spot.book_ticker/ETH_USDT",
        "spot.tickers/BTC_USDT",
        "spot.tickers/ETH_USDT",
        "spot.candlesticks/5m_BTC_USDT",
        "spot.candlesticks/5m_ETH_USDT",
        "spot.trades/BTC_USDT",
        "spot.trades/ETH_USDT",
    ]
    for stream in exchange.streams(["ETH/USDT"]):
        assert exchange.channel_of(stream.name) == (stream.channel, "ETH_USDT")
        assert (stream.symbol, stream.path) == ("ETH/USDT", "/ws/v4/")


def test_tickers_and_derivatives_of_a_contract_are_one_stream() -> None:
    streams = futures("tickers", "derivatives", "liquidations").streams()
    assert [(stream.name, stream.channel, stream.path) for stream in streams] == [
        ("futures.tickers/BTC_USDT", "tickers", "/v4/ws/usdt"),
        ("futures.public_liquidates/BTC_USDT", "liquidations", "/v4/ws/usdt"),
    ]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("spot.obu/ob.BTC_USDT.400", ("books", "BTC_USDT")),
        ("spot.order_book/BTC_USDT", ("books", "BTC_USDT")),
        ("spot.candlesticks/10s_BTC_USDT", ("candles", "BTC_USDT")),
        ("spot.public_liquidates/BTC_USDT", None),
        ("futures.trades/BTC_USDT", None),
        ("spot.orders/BTC_USDT", None),
        ("spot.trades/", None),
        ("spot.trades", None),
        ("", None),
    ],
)
def test_channels_that_are_not_read_have_no_name(stream: str, expected: tuple[str, str] | None) -> None:
    assert GateSpot.channel_of(stream) == expected


@pytest.mark.parametrize(
    "frame",
    [
        b"{",
        b'{"channel":"spot.pong","event":"","result":null}',
        b'{"channel":"spot.trades","event":"update","result":{}}',
        b'{"channel":"spot.trades","event":"update","result":[]}',
        b'{"channel":"spot.trades","event":"update","result":7}',
        b'{"channel":"futures.trades","event":"update","result":[{"contract":"BTC_USDT"}]}',
    ],
)
def test_frames_without_market_data_belong_to_no_stream(frame: bytes) -> None:
    assert GateSpot.stream_of(frame) is None


# requests


def test_a_request_carries_its_time_and_number() -> None:
    exchange = spot()
    (request,) = exchange.requests(exchange.streams(), 7, 1611541000.7)
    assert (request.number, request.streams) == (7, ("spot.trades/BTC_USDT",))
    assert json.loads(request.text) == {
        "time": 1611541000,
        "id": 7,
        "channel": "spot.trades",
        "event": "subscribe",
        "payload": ["BTC_USDT"],
    }
    (request,) = exchange.requests(exchange.streams(), 8, 1611541000.7, subscribe=False)
    assert json.loads(request.text)["event"] == "unsubscribe"


def test_books_and_candles_are_asked_for_one_by_one_the_others_by_twenty() -> None:
    names = [f"A{number}_USDT" for number in range(45)]
    exchange = spot(*names, channels=("trades", "books", "candles"))
    requests = exchange.requests(exchange.streams(), 1, 0.0)
    assert [request.number for request in requests] == list(range(1, 94))
    payloads = sent(requests)
    assert payloads[0] == ("spot.order_book_update", ["A0_USDT", "100ms"])
    assert payloads[45] == ("spot.candlesticks", ["1m", "A0_USDT"])
    assert [len(payload) for _, payload in payloads[90:]] == [20, 20, 5]
    assert [name for request in requests for name in request.streams] == [
        stream.name for stream in exchange.streams()
    ]


def test_a_book_of_a_contract_is_asked_for_with_as_many_levels_as_its_snapshot() -> None:
    exchange = futures("books")
    (request,) = exchange.requests(exchange.streams(), 1, 0.0)
    assert sent([request]) == [("futures.order_book_update", ["BTC_USDT", "100ms", "100"])]
    call = exchange.book_call("BTC/USDT:USDT")
    assert call == Call(
        "book",
        "/api/v4/futures/usdt/order_book?contract=BTC_USDT&limit=100&with_id=true",
        symbol="BTC/USDT:USDT",
    )
