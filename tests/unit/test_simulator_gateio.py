"""Gate.io's side of the wire: channels with payloads, pings, the whole book, and what REST tells."""

import json
from typing import Any

import pytest

from producers.simulator.venue import RestError
from producers.simulator.venues.gateio import GateFuturesSimulated, GateSpotSimulated


def spot() -> GateSpotSimulated:
    return GateSpotSimulated({"BTC/USDT": "BTC_USDT", "ETH/USDT": "ETH_USDT"})


def request(channel: str, event: str = "subscribe", *payload: str) -> str:
    return json.dumps({"time": 1, "id": 7, "channel": channel, "event": event, "payload": payload})


def update(channel: str, result: Any) -> bytes:
    return json.dumps({"time": 1, "channel": channel, "event": "update", "result": result}).encode()


def trade(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "id_market": number,
        "create_time": number,
        "create_time_ms": f"{number}000.25",
        "side": "buy",
        "currency_pair": "BTC_USDT",
        "amount": "1",
        "price": "2",
    }


def asked(venue: GateSpotSimulated, path: str, **query: Any) -> Any:
    return json.loads(venue.rest(path, {name: str(value) for name, value in query.items()}, 5_000).body)


def test_streams_are_subscribed_by_channel_and_payload() -> None:
    client = spot().client("/ws/v4/")
    answer = json.loads(client.answer(request("spot.trades", "subscribe", "BTC_USDT", "ETH_USDT"), 5_000)[0])
    assert (answer["id"], answer["error"], answer["result"]) == (7, None, {"status": "success"})
    client.answer(request("spot.order_book_update", "subscribe", "BTC_USDT", "100ms"), 0)
    client.answer(request("spot.candlesticks", "subscribe", "1m", "BTC_USDT"), 0)
    assert list(client.streams) == [
        "spot.trades/BTC_USDT",
        "spot.trades/ETH_USDT",
        "spot.order_book_update/BTC_USDT",
        "spot.candlesticks/1m_BTC_USDT",
    ]
    client.answer(request("spot.trades", "unsubscribe", "ETH_USDT"), 0)
    assert "spot.trades/ETH_USDT" not in client.streams


@pytest.mark.parametrize(
    "message",
    [
        request("spot.trades", "subscribe", "NONE_USDT"),
        request("futures.trades", "subscribe", "BTC_USDT"),
        request("spot.trades", "subscribe"),
        request("spot.trades", "shout", "BTC_USDT"),
        "nonsense",
    ],
)
def test_wrong_requests_are_answered_with_an_error(message: str) -> None:
    client = spot().client("/ws/v4/")
    assert json.loads(client.answer(message, 0)[0])["error"]["code"]
    assert not client.streams


def test_an_application_ping_is_answered() -> None:
    pong = json.loads(spot().client("/ws/v4/").answer('{"time":1,"channel":"spot.ping"}', 9_000)[0])
    assert (pong["channel"], pong["time"]) == ("spot.pong", 9)


def test_a_whole_book_comes_first_and_a_second_subscription_to_it_is_refused() -> None:
    venue = spot()
    venue.observe(
        "spot.order_book_update/BTC_USDT",
        update("spot.order_book_update", {"s": "BTC_USDT", "U": 1, "u": 3, "b": [["9", "1"]], "a": []}),
    )
    client = venue.client("/ws/v4/")
    ask = request("spot.obu", "subscribe", "ob.BTC_USDT.400")
    _, first = client.answer(ask, 0)
    result = json.loads(first)["result"]
    assert (result["full"], result["u"], result["b"]) == (True, 3, [["9", "1"]])
    assert venue.split(first.encode(), False) == ("spot.obu/ob.BTC_USDT.400", first.encode())
    assert venue.channel_of("spot.obu/ob.BTC_USDT.400") == ("books", "BTC_USDT")
    assert json.loads(client.answer(ask, 0)[0])["error"]


def test_recorded_frames_are_known_by_channel_and_symbol() -> None:
    venue = GateFuturesSimulated({"BTC/USDT:USDT": "BTC_USDT"})
    for channel, result, key in (
        ("futures.trades", [{"contract": "BTC_USDT", "size": -1, "id": 1}], "futures.trades/BTC_USDT"),
        ("futures.candlesticks", [{"n": "1m_BTC_USDT", "t": 1}], "futures.candlesticks/1m_BTC_USDT"),
        ("futures.book_ticker", {"s": "BTC_USDT", "u": 1}, "futures.book_ticker/BTC_USDT"),
    ):
        frame = update(channel, result)
        assert venue.split(frame, False) == (key, frame)
        assert venue.channel_of(key) is not None
    for frame in (b"nonsense", b'{"channel":"futures.pong","event":""}', update("futures.trades", None)):
        assert venue.split(frame, False) is None


def test_trades_are_served_by_id_and_time_newest_first() -> None:
    venue = spot()
    for number in range(1, 8):
        venue.observe("spot.trades/BTC_USDT", update("spot.trades", trade(number)))
    path = "/api/v4/spot/trades"

    def ids(**query: Any) -> list[str]:
        return [row["id"] for row in asked(venue, path, currency_pair="BTC_USDT", **query)]

    assert ids(limit=2) == ["7", "6"]
    assert ids(last_id=5, reverse="true", limit=2) == ["4", "3"]
    assert ids(last_id=5) == ["7", "6"]
    assert ids(**{"from": 2, "to": 4}) == ["4", "3", "2"]
    row = asked(venue, path, currency_pair="BTC_USDT", limit=1)[0]
    assert (row["sequence_id"], row["create_time"], row["create_time_ms"]) == ("7", "7", "7000.25")


def test_the_book_of_futures_has_levels_of_contracts() -> None:
    venue = GateFuturesSimulated({"BTC/USDT:USDT": "BTC_USDT"})
    url = "https://x/api/v4/futures/usdt/order_book?contract=BTC_USDT&limit=100&with_id=true"
    venue.learn(url, b'{"id":5,"asks":[{"p":"11","s":3}],"bids":[{"p":"9","s":2}]}')
    change = {"s": "BTC_USDT", "U": 6, "u": 6, "b": [{"p": "9", "s": 0}, {"p": "8.5", "s": "1.5"}], "a": []}
    venue.observe("futures.order_book_update/BTC_USDT", update("futures.order_book_update", change))
    body = asked(venue, "/api/v4/futures/usdt/order_book", contract="BTC_USDT", with_id="true")
    assert (body["id"], body["bids"], body["asks"]) == (6, [{"p": "8.5", "s": "1.5"}], [{"p": "11", "s": 3}])


def test_what_does_not_exist_is_refused_in_the_words_of_the_venue() -> None:
    with pytest.raises(RestError) as refusal:
        spot().rest("/api/v4/spot/trades", {"currency_pair": "NO"}, 0)
    assert json.loads(refusal.value.reply.body)["label"] == "INVALID_CURRENCY_PAIR"
    assert json.loads(spot().failure(429, 1.0).body)["label"] == "TOO_MANY_REQUESTS"
    assert spot().usage(200, 30.0)["X-Gate-RateLimit-Requests-Remain"] == "1000"
    with pytest.raises(ValueError, match="expected the path"):
        spot().client("/stream")
