"""MEXC's side of the wire: acknowledgements in words, binary frames, the limit of streams, REST."""

import json
from typing import Any

import pytest

from producers.exchanges.mexc.messages import frame_of
from producers.simulator.venue import RestError
from producers.simulator.venues.mexc import MexcClient, MexcSpotSimulated

DEALS = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
DEPTH = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"


def spot(*extra: str) -> MexcSpotSimulated:
    return MexcSpotSimulated({f"{name}/USDT": f"{name}USDT" for name in ("BTC", *extra)})


def said(client: MexcClient, method: str, *names: str) -> Any:
    (answer,) = client.answer(json.dumps({"method": method, "params": names, "id": 3}), 0)
    return json.loads(answer)


def deals(*prices: str) -> bytes:
    rows = [
        {"price": price, "quantity": "2", "tradeType": 1 + n, "time": 5 + n} for n, price in enumerate(prices)
    ]
    return frame_of(
        {"channel": DEALS, "symbol": "BTCUSDT", "sendTime": 9, "publicAggreDeals": {"deals": rows}}
    )


def test_a_subscription_is_acknowledged_by_its_own_words() -> None:
    client = spot().client("/ws")
    assert said(client, "SUBSCRIPTION", DEALS) == {"id": 3, "code": 0, "msg": DEALS}
    assert list(client.streams.values()) == [DEALS]
    assert said(client, "UNSUBSCRIPTION", DEALS)["msg"] == DEALS
    assert not client.streams
    assert said(client, "PING")["msg"] == "PONG"


def test_refusals_have_code_0_and_other_words() -> None:
    client = spot().client("/ws")
    refusal = said(client, "SUBSCRIPTION", "spot@public.aggre.deals.v3.api.pb@100ms@NONE")
    assert (refusal["code"], "Blocked!" in refusal["msg"]) == (0, True)
    message = json.dumps({"method": "SUBSCRIPTION", "params": [DEALS]})
    assert client.is_subscription(message)
    assert "Blocked!" in json.loads(client.refuse(message, 0)[0])["msg"]
    assert json.loads(client.answer("nonsense", 0)[0])["msg"] == "msg error"


def test_a_connection_has_thirty_streams_at_most() -> None:
    names = [f"A{number}" for number in range(31)]
    client = spot(*names).client("/ws")
    streams = [DEALS.replace("BTCUSDT", f"{name}USDT") for name in names]
    assert said(client, "SUBSCRIPTION", *streams[:30])["msg"] == ",".join(streams[:30])
    assert "maximum" in said(client, "SUBSCRIPTION", streams[30])["msg"]
    assert len(client.streams) == 30


def test_binary_frames_are_known_by_the_channel_that_they_name() -> None:
    venue, frame = spot(), deals("1")
    found = venue.split(frame, True)
    assert found == ("spot@public.aggre.deals.v3.api.pb@BTCUSDT", frame)
    assert venue.channel_of(found[0]) == ("trades", "BTCUSDT")
    text = json.dumps({"channel": DEALS, "symbol": "BTCUSDT", "sendTime": "9"}).encode()
    assert venue.split(text, False) == (found[0], text)
    for other in (b"\xff\xff", b'{"id":0,"code":0,"msg":"PONG"}', b"{"):
        assert venue.split(other, True) is None


def test_trades_by_rest_are_the_newest_without_ids() -> None:
    venue = spot()
    venue.observe("spot@public.aggre.deals.v3.api.pb@BTCUSDT", deals("1.5", "1.6"))
    rows = json.loads(venue.rest("/api/v3/trades", {"symbol": "BTCUSDT", "limit": "5"}, 0).body)
    assert [(row["id"], row["price"], row["time"], row["tradeType"]) for row in rows] == [
        (None, "1.6", 6, "ASK"),
        (None, "1.5", 5, "BID"),
    ]


def test_the_book_follows_versions() -> None:
    venue = spot()
    url = "https://api.mexc.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    venue.learn(url, b'{"lastUpdateId":100,"bids":[["9","1"]],"asks":[["11","1"]]}')
    depths = {"bids": [{"price": "9", "quantity": "0"}], "fromVersion": "101", "toVersion": "102"}
    venue.observe(
        "spot@public.aggre.depth.v3.api.pb@BTCUSDT",
        frame_of({"channel": DEPTH, "symbol": "BTCUSDT", "publicAggreDepths": depths}),
    )
    body = json.loads(venue.rest("/api/v3/depth", {"symbol": "BTCUSDT"}, 0).body)
    assert (body["lastUpdateId"], body["bids"], body["asks"]) == (102, [], [["11", "1"]])


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(RestError):
        spot().rest("/api/v3/depth", {"symbol": "NONE"}, 0)
    with pytest.raises(ValueError, match="expected the path"):
        spot().client("/stream")
    assert json.loads(spot().rest("/api/v3/exchangeInfo", {}, 0).body)["symbols"][0]["baseAsset"] == "BTC"
