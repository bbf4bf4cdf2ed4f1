"""A past that is served, and clients that nobody here wrote: ccxt, and a bare WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import ccxt.pro
import httpx2
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backtest.replay.past import Past
from backtest.replay.serving import open_past, serve
from backtest.replay.source import Period
from backtest.replay.sources.capture import CaptureSource
from infra.order_book import OrderBook
from producers.exchange import Channel
from producers.markets import exchange_class
from producers.simulator import playing
from producers.simulator.offline_feed import OfflineFeed
from producers.simulator.server import END_OF_FEED, SimulatorServer
from schemas import records
from schemas.errors import ConfigurationError
from schemas.identity import ce_id
from schemas.records import BookUpdate, Record, Trade
from tests.venue_captures import START_US, write_market

CHANNELS: tuple[Channel, ...] = ("trades", "quotes", "books")
KEYS = ["binance:BTC/USDT", "binance:ETH/USDT"]


@asynccontextmanager
async def serving(path: Path, venue: str | None, **how: Any) -> AsyncIterator[SimulatorServer]:
    """A capture served as a market, or in our own form."""
    market = exchange_class(venue) if venue else None
    source = CaptureSource(path, 2, CHANNELS)
    wanted = Past(source, Period(), how.get("symbols"))
    past = await open_past(wanted, how.get("speed", "max"), market, how.get("rewind", False))
    server = SimulatorServer(past)
    await server.start()
    stop = asyncio.Event()
    work = asyncio.create_task(serve(past, server, stop))
    try:
        yield server
    finally:
        stop.set()
        await work


def ccxt_client(venue: str, server: SimulatorServer) -> Any:
    """The class of ccxt, pointed at the server as docs/serving-the-past.md says."""
    spot = {"fetchMarkets": {"types": ["spot"]}}
    linear = {"fetchMarkets": {"types": ["linear"]}}
    client: Any
    if venue == "gateio":
        client = ccxt.pro.gate({"options": spot | {"tradesLimit": 10_000}})
        client.urls["api"]["spot"] = f"{server.websocket_url}/ws/v4/"
        client.urls["api"]["public"] |= dict.fromkeys(("spot", "margin"), f"{server.rest_url}/api/v4")
        return client
    client = ccxt.pro.binance(
        {"options": (linear if venue == "binance-usdm" else spot) | {"tradesLimit": 10_000}}
    )
    urls = client.urls["api"]
    urls["ws"] |= {"spot": f"{server.websocket_url}/ws", "linear": f"{server.websocket_url}/ws"}
    urls["public"] = f"{server.rest_url}/api/v3"
    urls |= {"fapiPublic": f"{server.rest_url}/fapi/v1", "fapiPublicV2": f"{server.rest_url}/fapi/v2"}
    return client


async def to_the_end(watch: Callable[[Any], Awaitable[Any]], what: Any) -> None:
    """Let ccxt watch until it is told of the end. At full speed its last news are in its caches by then."""
    with pytest.raises(ccxt.NetworkError, match="4000"):
        await asyncio.wait_for(_forever(watch, what), 20)


async def _forever(watch: Callable[[Any], Awaitable[Any]], what: Any) -> None:
    while True:
        await watch(what)


def recorded(path: Path) -> list[Record]:
    return [one.record for one in OfflineFeed(path, CHANNELS, partitions=2)]


@pytest.mark.parametrize(
    ("venue", "market"),
    [
        ("binance", "spot"),
        pytest.param("binance-usdm", "usdm", marks=pytest.mark.full),
        pytest.param("gateio", "spot", marks=pytest.mark.full),
    ],
)
async def test_ccxt_gets_the_trades_of_the_past(venue: str, market: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", venue.partition("-")[0], market, seconds=5.0)
    async with serving(path, venue) as server:
        client = ccxt_client(venue, server)
        try:
            await client.load_markets()
            symbols = [name for name in client.symbols if name.startswith(("BTC/USDT", "ETH/USDT"))]
            await to_the_end(client.watch_trades_for_symbols, symbols)
            found = {
                (one["symbol"], one["id"], one["price"], one["amount"], one["side"], one["timestamp"])
                for trades in client.trades.values()
                for one in trades
            }
        finally:
            await client.close()
    assert found == {
        (one.symbol, one.trade_id, one.price, one.size, one.side, one.event_time // 1_000)
        for one in recorded(path)
        if isinstance(one, Trade)
    }


@pytest.mark.parametrize("venue", [pytest.param("binance", marks=pytest.mark.full), "binance-usdm"])
async def test_ccxt_builds_the_book_of_the_past(
    venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "SETTLE_S", 0.5)
    market = "usdm" if venue == "binance-usdm" else "spot"
    path = write_market(tmp_path / "made.capture.gz", "binance", market, seconds=5.0)
    symbol = "BTC/USDT" if market == "spot" else "BTC/USDT:USDT"
    async with serving(path, venue) as server:
        client = ccxt_client(venue, server)
        try:
            await to_the_end(client.watch_order_book, symbol)
            found = client.orderbooks[symbol]
        finally:
            await client.close()
    book = OrderBook("binance", symbol)
    last = 0
    for update in recorded(path):
        if isinstance(update, BookUpdate) and update.symbol == symbol:
            book.apply(update)
            last = update.last_sequence or last
    bids, asks = book.top(10)
    assert found["nonce"] == last
    assert [tuple(level[:2]) for level in found["bids"][:10]] == bids
    assert [tuple(level[:2]) for level in found["asks"][:10]] == asks


async def test_candles_are_streamed_as_they_grow_and_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "SETTLE_S", 0.2)
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=6.0)
    async with (
        serving(path, "binance") as server,
        connect(f"{server.websocket_url}/ws/btcusdt@kline_1s") as client,
    ):
        found = [message["k"] for message in await messages(client)]
    trades = [one for one in recorded(path) if isinstance(one, Trade) and one.symbol == "BTC/USDT"]
    seconds: dict[int, list[Trade]] = {}
    for trade in trades:
        seconds.setdefault(trade.event_time // 1_000_000 * 1_000, []).append(trade)
    closed = {kline["t"]: kline for kline in found if kline["x"]}
    # The final mark stands within the last second.
    assert list(closed) == sorted(seconds)[:-1]
    for opened, kline in closed.items():
        inside = seconds[opened]
        prices = [trade.price for trade in inside]
        told = [float(kline[name]) for name in "ohlc"]
        assert told == [prices[0], max(prices), min(prices), prices[-1]]
        assert (kline["f"], kline["L"], kline["n"]) == (
            inside[0].sequence,
            inside[-1].sequence,
            len(inside),
        )
        assert float(kline["v"]) == pytest.approx(sum(trade.size for trade in inside))
        bought = sum(trade.size * trade.price for trade in inside if trade.side == "buy")
        assert float(kline["Q"]) == pytest.approx(bought)
    assert any(not kline["x"] for kline in found)


async def ask(client: ClientConnection, **request: Any) -> Any:
    await client.send(json.dumps(request))
    return json.loads(await client.recv())


async def messages(client: ClientConnection) -> list[dict[str, Any]]:
    found = []
    with suppress(ConnectionClosed):
        while True:
            found.append(json.loads(await client.recv()))
    assert client.close_code == END_OF_FEED
    return found


def record_in(message: dict[str, Any]) -> Record:
    record: Record = msgspec.convert(message["record"], getattr(records, message["type"]))
    return record


async def test_the_normalized_form_holds_every_field_of_every_record_and_mark(tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=5.0)
    async with serving(path, None) as server, connect(server.websocket_url) as client:
        answer = await ask(client, op="subscribe", channels=["trades", "quotes", "books", "marks"], id=7)
        assert (answer["op"], answer["id"], len(answer["streams"])) == ("subscribed", 7, 7)
        found = await messages(client)
    expected: dict[tuple[str, int], list[Record]] = {}
    for one in OfflineFeed(path, CHANNELS, partitions=2):
        expected.setdefault((one.topic.base_name, one.partition), []).append(one.record)
    served: dict[tuple[str, int], list[Record]] = {}
    for message in found:
        record = record_in(message)
        own = served.setdefault((message["topic"], message["partition"]), [])
        assert message["position"] == len(own)
        assert message["id"] == ce_id(record)
        own.append(record)
    assert served == expected
    times = [message["time"] for message in found if message["channel"] == "trades"]
    assert times == sorted(times)


async def test_a_client_may_want_a_channel_of_a_symbol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "SETTLE_S", 0.2)
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=3.0)
    async with serving(path, None) as server, connect(server.websocket_url) as client:
        async with httpx2.AsyncClient() as http:
            assert (await http.get(f"{server.rest_url}/symbols")).json()["symbols"] == KEYS
            listed = (await http.get(f"{server.rest_url}/instruments")).json()
            assert [one["venue_symbol"] for one in listed] == ["BTCUSDT", "ETHUSDT"]
            now = (await http.get(f"{server.rest_url}/time")).json()["time"]
            assert START_US <= now < START_US + 1_000_000
        assert (await ask(client, op="subscribe", channels=["quotes"]))["streams"] == [
            f"quotes/{key}" for key in KEYS
        ]
        answer = await ask(client, op="unsubscribe", channels=["quotes"], symbols=[KEYS[0]])
        assert answer["op"] == "unsubscribed"
        found = await messages(client)
    assert {message["record"]["symbol"] for message in found} == {"ETH/USDT"}
    assert {message["type"] for message in found} == {"Quote"}


@pytest.mark.parametrize(
    "request_text",
    [
        "no json",
        '{"op": "subscribe"}',
        '{"op": "subscribe", "channels": ["prices"]}',
        '{"op": "subscribe", "channels": ["trades"], "symbols": ["XMR/USDT"]}',
        '{"op": "order"}',
    ],
)
async def test_a_request_that_is_wrong_is_told_what_is_right(request_text: str, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=1.0)
    async with serving(path, None) as server, connect(server.websocket_url) as client:
        await client.send(request_text)
        answer = json.loads(await client.recv())
        assert answer["op"] == "error"
        assert len(answer["message"]) > 20
        assert (await ask(client, op="list"))["streams"] == []


@pytest.mark.parametrize("rewind", [False, pytest.param(True, marks=pytest.mark.full)])
async def test_a_client_that_comes_back_gets_the_rest_or_all(rewind: bool, tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=40.0)
    trades = sum(isinstance(record, Trade) for record in recorded(path))
    names = "/".join(f"{name}@trade" for name in ("btcusdt", "ethusdt"))
    async with serving(path, "binance", rewind=rewind, speed=40.0) as server:
        url = f"{server.websocket_url}/stream?streams={names}"
        async with connect(url, max_queue=4) as client:
            first = [json.loads(await client.recv())["data"] for _ in range(100)]
            client.transport.abort()
        async with connect(url) as client:
            again = [message["data"] for message in await messages(client)]
    if rewind:
        assert again[:100] == first
        assert len(again) == trades
    else:
        assert 0 < len(again) <= trades - len(first)
        assert again[0]["T"] >= first[-1]["T"]
        assert all(one not in first for one in again)


async def test_what_the_source_does_not_hold_is_refused_by_name(tmp_path: Path) -> None:
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=1.0)
    for venue, symbols, what in (
        ("gateio", None, "nothing of gateio spot"),
        ("binance", ["XMR/USDT"], "nothing to be served"),
    ):
        with pytest.raises(ConfigurationError, match=what):
            async with serving(path, venue, symbols=symbols):
                pass
