"""Real classes of ccxt against simulated venues: every trade once, whatever happens to the sockets."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from infra.clock import SystemClock
from infra.settings import ProducerSettings, Settings, VenueSettings
from producers import liveness, stage
from producers.capture import CaptureReader
from producers.capture.reading import CaptureReading
from producers.capture.recorder import Target, record
from producers.ccxt_feed.exchange import ccxt_exchange
from producers.exchange import Exchange
from producers.feed import Feed, Patience
from producers.instruments import fetch_instruments
from producers.markets import exchange_class
from producers.outlet import Outlet, fed_topics
from producers.session import Session
from producers.simulator.market import SeededMarket
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer
from producers.transport import Addresses, transport_of
from schemas.records import BookUpdate, Gap, Quote, Ticker, Trade
from tests.ccxt_harness import produced, reached
from tests.fault_harness import CollectingPublisher
from tests.producer_harness import Topics
from tests.rest_server import Reply, RestServer
from tests.venue_captures import write_market

SPEED = 20.0
ELSEWHERE: Mapping[str, bytes] = {
    # Lists of other markets that ccxt asks for, and that the simulated ones have not.
    "/api/v1/contract/detail": b'{"success":true,"code":0,"data":[]}',
    "/api/v4/futures/btc/contracts": b"[]",
}
DISCONNECT = "disconnect@300:50"
CASES = [
    pytest.param("binance", "spot", "binance", "spot", None, marks=pytest.mark.full),
    ("binance", "spot", "binance", "spot", DISCONNECT),
    pytest.param("gateio", "spot", "gate", "spot", DISCONNECT, marks=pytest.mark.full),
    pytest.param("gateio", "futures", "gate", "swap", DISCONNECT, marks=pytest.mark.full),
    ("mexc", "spot", "mexc", "spot", DISCONNECT),
]

Known = tuple[str, int, float, float, str]


def known(trade: Trade) -> Known:
    """What stream, REST and the venue's own class say alike; captures tell not what a contract is worth."""
    amount = trade.size if trade.raw_size is None else trade.raw_size
    return trade.symbol, trade.event_time // 1_000, trade.price, amount, trade.side


def in_capture(path: Path, market: type[Exchange]) -> Counter[Known]:
    return Counter(
        known(one) for one in CaptureReading(CaptureReader(path), market) if isinstance(one, Trade)
    )


@pytest.mark.parametrize(("own", "market", "venue", "kind", "fault"), CASES)
async def test_every_trade_arrives_once(
    tmp_path: Path, own: str, market: str, venue: str, kind: str, fault: str | None
) -> None:
    path = write_market(tmp_path / "made.capture.gz", own, market, seconds=16)
    playback = Playback(path, SPEED, rewind=False)
    told = await produced(
        playback, venue, kind, ("trades", "quotes", "books"), [fault] if fault else [], also=ELSEWHERE
    )
    expected = in_capture(path, exchange_class(own, market))
    assert Counter(map(known, told.trades)) == expected
    assert {trade.symbol for trade in told.trades} == set(told.exchange.instruments)
    assert {trade.venue for trade in told.trades} == {venue}
    assert not [gap for gap in told.gaps if gap.status == "given_up"]
    assert told.publisher.dead_letters == []
    assert any(isinstance(record, BookUpdate) for record in told.records)
    if fault:
        assert any(trade.backfilled for trade in told.trades)
        assert len(told.disconnections) == 2
    else:
        assert not any(trade.backfilled for trade in told.trades)


async def test_a_mute_socket_is_replaced_and_what_it_kept_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "LEAST_S", 1.0)
    path = write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=16)
    told = await produced(Playback(path, SPEED, rewind=False), "binance", faults=["mute@200:50"])
    assert Counter(map(known, told.trades)) == in_capture(path, exchange_class("binance"))
    assert "silent" in told.disconnections[0] or "hangs" in told.disconnections[0]
    assert any(trade.backfilled for trade in told.trades)


class Bitso:
    """A venue without streams, as far as ccxt asks it: one trade after another, the newest hundred told."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.page = 100
        self.refuses: set[str] = set()
        self.begun_ms = int(time.time() * 1_000)

    def trade(self, count: int = 1) -> None:
        self.ids += range(len(self.ids) + 1, len(self.ids) + 1 + count)

    def answer(self, target: str) -> Reply:
        parts = urlsplit(target)
        endpoint = parts.path.rstrip("/").rpartition("/")[2]
        assert dict(parse_qsl(parts.query)).get("book", "btc_mxn") == "btc_mxn"
        if endpoint in self.refuses:
            return Reply(status=503, body=b'{"success":false}')
        payload: dict[str, Callable[[], Any]] = {
            "available_books": lambda: [{"book": "btc_mxn", "tick_size": "0.01", "minimum_value": "5"}],
            "trades": lambda: [self._trade(number) for number in reversed(self.ids[-self.page :])],
            "ticker": lambda: {"book": "btc_mxn", "last": "10.5", "bid": "10", "ask": "11", "volume": "3"},
            "order_book": lambda: {
                "bids": [{"price": "10", "amount": "1"}],
                "asks": [{"price": "11", "amount": "2"}],
            },
        }
        return Reply(json.dumps({"success": True, "payload": payload[endpoint]()}).encode())

    def _trade(self, number: int) -> dict[str, str]:
        at = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(self.begun_ms // 1_000 + number // 50))
        return {
            "book": "btc_mxn",
            "created_at": at,
            "amount": f"0.{number:04d}",
            "maker_side": "sell",
            "price": "10.5",
            "tid": str(number),
        }


async def polled(venue: Bitso, seconds: float, meanwhile: list[tuple[float, int]]) -> CollectingPublisher:
    """Feed a venue by polls; `meanwhile`: how many trades it makes at which times."""
    kind = ccxt_exchange("bitso", "spot")
    publisher = CollectingPublisher()
    stop = asyncio.Event()
    async with RestServer(venue.answer).running() as server:
        addresses = Addresses(rest_url=server.url)
        transport = transport_of(kind, addresses, VenueSettings(calls_per_minute=2_000))
        calls = asyncio.create_task(transport.desk.run(stop))
        listed = await fetch_instruments(kind, transport.desk, SystemClock().now_us())
        exchange = kind(listed, ("trades", "quotes", "books", "tickers"))
        feed = Feed(exchange, "source", "run", idle_marks=False, patience=Patience(gap_s=20.0))
        outlet = Outlet(publisher, kind.venue, "source", 1, fed_topics(exchange.channels), SystemClock())
        opening = transport.opening(exchange)
        session = Session(exchange, feed, outlet, kind.websocket_url, desk=transport.desk, opening=opening)
        for at_s, count in meanwhile:
            asyncio.get_running_loop().call_later(at_s, venue.trade, count)
        asyncio.get_running_loop().call_later(seconds, stop.set)
        async with asyncio.timeout(30):
            await session.run(stop)
        await asyncio.gather(calls, return_exceptions=True)
        await transport.desk.close()
    return publisher


async def test_what_is_not_streamed_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "producers.ccxt_feed.polling.EVERY_S", dict.fromkeys(("trades", "quotes", "books", "tickers"), 0.2)
    )
    venue = Bitso()
    venue.trade(40)
    publisher = await polled(venue, 3.0, [(0.8, 30), (1.5, 60), (2.0, 1)])
    records = [record for _, record in publisher.written]
    trades = [record for record in records if isinstance(record, Trade)]
    assert [trade.trade_id for trade in trades] == [str(number) for number in range(1, 132)]
    assert {trade.symbol for trade in trades} == {"BTC/MXN"}
    assert {Quote, BookUpdate, Ticker} <= {type(record) for record in records}
    assert not any(isinstance(record, Gap) and record.status == "given_up" for record in records)


async def test_more_trades_than_two_polls_tell_are_announced_as_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "producers.ccxt_feed.polling.EVERY_S", dict.fromkeys(("trades", "quotes", "books", "tickers"), 0.2)
    )
    venue = Bitso()
    venue.trade(40)
    publisher = await polled(venue, 5.0, [(1.0, 500)])
    records = [record for _, record in publisher.written]
    found = {int(record.trade_id) for record in records if isinstance(record, Trade)}
    assert found == {*range(1, 41), *range(441, 541)}
    given_up = [record for record in records if isinstance(record, Gap) and record.status == "given_up"]
    assert len(given_up) == 1
    assert given_up[0].from_time < given_up[0].to_time


async def test_symbols_come_and_go_while_two_feeds_run() -> None:
    market = SeededMarket(["BTC/USDT", "ETH/USDT"], 1, 40.0)
    server = SimulatorServer(market)
    await server.start()
    work = asyncio.create_task(market.play(server))
    kind = ccxt_exchange("binance", "spot")
    publisher = CollectingPublisher()
    stop = asyncio.Event()

    def heard() -> set[str]:
        found = {record.symbol for _, record in publisher.written if isinstance(record, Trade)}
        publisher.written.clear()
        return found

    async with reached(kind, Addresses(server.websocket_url, server.rest_url)) as transport:
        by_name = {one.symbol: one for one in await fetch_instruments(kind, transport.desk, 0)}
        exchange = kind([by_name["BTC/USDT"]], ["trades"])
        feed = Feed(exchange, "source", "run", idle_marks=True)
        outlet = Outlet(publisher, kind.venue, "source", 1, fed_topics(exchange.channels), SystemClock())
        opening = transport.opening(exchange)
        url = kind.websocket_url
        session = Session(exchange, feed, outlet, url, desk=transport.desk, hot_feeds=2, opening=opening)
        running = asyncio.create_task(session.run(stop))
        await asyncio.sleep(1.5)
        ids = [record.trade_id for _, record in publisher.written if isinstance(record, Trade)]
        assert len(ids) == len(set(ids))
        assert heard() == {"BTC/USDT"}
        exchange.admit(by_name["ETH/USDT"])
        session.change(exchange.streams(["ETH/USDT"]), [])
        await asyncio.sleep(1.5)
        assert heard() == {"BTC/USDT", "ETH/USDT"}
        gone = exchange.streams(["BTC/USDT"])
        exchange.drop("BTC/USDT")
        feed.drop("BTC/USDT")
        session.change([], gone)
        await asyncio.sleep(0.5)
        heard()
        await asyncio.sleep(1.0)
        assert heard() == {"ETH/USDT"}
        stop.set()
        assert await asyncio.wait_for(running, 10) == "stopped"
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await server.stop()


@pytest.mark.full
async def test_a_producer_goes_on_from_its_topics(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.ccxt_feed.polling.EVERY_S", {"trades": 0.3})
    topics = Topics(kafka)
    topics.renew()
    venue = Bitso()
    venue.trade(40)

    async def run(seconds: float, made: int) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(seconds / 2, venue.trade, made)
        loop.call_later(seconds, stop.set)
        chosen = ProducerSettings(
            venue="Bitso", symbols=["BTC/MXN"], channels=["trades"], rest_url=server.url, idle_marks=False
        )
        settings = Settings(
            kafka=topics.settings,
            producer=chosen,
            venues={"bitso": VenueSettings(calls_per_minute=2_000)},
        )
        async with asyncio.timeout(40):
            await stage.run(settings, stop)

    async with RestServer(venue.answer).running() as server:
        await run(6.0, 30)
        venue.trade(20)
        await run(6.0, 10)
    stored = topics.records("market.trades.v1", Trade)
    assert sorted(int(trade.trade_id) for trade in stored) == list(range(1, 101))
    assert {trade.venue for trade in stored} == {"bitso"}


async def test_a_recording_is_read_as_records_again(tmp_path: Path) -> None:
    venue = Bitso()
    venue.trade(40)
    path = tmp_path / "bitso.capture.gz"
    kind = ccxt_exchange("bitso", "spot")
    async with RestServer(venue.answer).running() as server:
        target = Target(kind, ["btc/mxn"], ["trades"], path, rest_url=server.url)
        await record(target, asyncio.Event(), seconds=3.0)
    reading = CaptureReading(CaptureReader(path), exchange_class("bitso"))
    found = [one for one in reading if isinstance(one, Trade)]
    assert [trade.trade_id for trade in found][:40] == [str(number) for number in range(1, 41)]
    assert reading.tally.rejected.total() == 0
    assert reading.tally.gaps == 0


async def test_a_venue_that_cannot_be_reached_is_told_so() -> None:
    kind = ccxt_exchange("bitso", "spot")
    venue = Bitso()
    venue.refuses.add("available_books")
    async with RestServer(venue.answer).running() as server:
        assert not await transport_of(kind, Addresses(rest_url=server.url)).answers(kind, 0.5)
        venue.refuses.clear()
        assert await transport_of(kind, Addresses(rest_url=server.url)).answers(kind, 10.0)
