"""Links that change: replaced connections, symbols that come and go, a slow Kafka."""

import asyncio
import json
import time
from typing import Any

import pytest

from producers import connection, line, link
from producers.link import END_OF_FEED
from producers.markets import exchange_class
from tests.link_harness import BTC, SPOT, Client, Venue, accept, change, fed, quote, subscribed


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more patience than a test needs."""
    monkeypatch.setattr(link, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(link, "TAKE_OVER_S", 1.0)


async def test_an_old_connection_that_ends_in_the_middle_of_the_change_is_made_good() -> None:
    late: list[tuple[Client, dict[str, Any]]] = []

    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        if len(venue.clients) == 2:
            late.append((client, request))
        else:
            await accept(venue, client, request)

    async with Venue(reply).serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(3)
        await on.has(3)
        await venue.clients[0].say('{"e":"serverShutdown","E":1700000000000}')
        await on.until(lambda: late)
        venue.clients[0].socket.transport.abort()
        await on.until(lambda: venue.clients[0] not in venue.open)
        await venue.trade(4)
        await accept(venue, *late[0])
        await venue.trade(2)
        await on.has(9)
        assert len(venue.clients) == 2


async def test_two_hot_feeds_bring_everything_once_and_one_may_die() -> None:
    async with Venue().serving() as venue, fed(venue, hot_feeds=2) as on:
        await subscribed(venue, on, times=2)
        await on.until(lambda: all(on.session.links.copies(one) == 2 for one in on.exchange.streams()))
        trading = asyncio.create_task(venue.keep_trading(0.005))
        await on.until(lambda: len(on.trades()) > 20)
        venue.clients[0].socket.transport.abort()
        await on.until(lambda: len(venue.clients) == 3)
        await subscribed(venue, on, times=2)
        trading.cancel()
        await on.has(venue.traded["btcusdt"])
        assert not on.backfilled
        assert not on.gaps
        assert not on.desk.calls


async def test_copies_of_a_stream_are_never_on_one_connection() -> None:
    names = [f"A{letter}USDT" for letter in "ABCDE"]
    limits = {"streams_per_connection": 2}
    async with Venue().serving() as venue, fed(venue, names, limits=limits, hot_feeds=2) as on:
        await on.until(lambda: sum(len(client.streams) for client in venue.open) == 10)
        change(on, add=["BTCUSDT", "ETHUSDT"], remove=["AAUSDT"])
        wanted = {f"{name.lower()}@trade" for name in [*names[1:], "BTCUSDT", "ETHUSDT"]}
        await on.until(lambda: all(len(venue.holders(stream)) == 2 for stream in wanted))
        await on.until(lambda: not venue.holders("aausdt@trade"))
        assert all(len(client.streams) <= 2 for client in venue.open)


async def test_streams_beyond_a_connection_and_of_other_paths_get_connections_of_their_own() -> None:
    names = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    usdm = exchange_class("binance", "usdm")
    channels: Any = ["trades", "quotes", "tickers"]
    limits = {"streams_per_connection": 3, "streams_per_message": 2}
    async with Venue().serving() as venue, fed(venue, names, channels, usdm, limits) as on:
        streams = on.exchange.streams()
        wanted = {stream.path: set[str]() for stream in streams}
        for stream in streams:
            wanted[stream.path].add(stream.name)
        assert len(wanted) == 2
        await on.until(lambda: sum(len(client.streams) for client in venue.open) == len(streams))
        for path, expected in wanted.items():
            there = [client for client in venue.open if client.path == path]
            assert set().union(*(client.streams for client in there)) == expected
        assert all(len(client.streams) <= 3 for client in venue.open)
        assert all(len(asked["params"]) <= 2 for client in venue.open for asked in client.requests)


async def test_subscriptions_are_paced() -> None:
    names = [f"A{letter}USDT" for letter in "ABCDEF"]
    came_s: list[float] = []

    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        came_s.append(time.monotonic())
        await accept(venue, client, request)

    limits = {"streams_per_message": 1, "messages_per_s": 11}
    async with Venue(reply).serving() as venue, fed(venue, names, limits=limits) as on:
        await on.until(lambda: len(came_s) == 6)
    assert came_s[-1] - came_s[0] > 0.4


async def test_symbols_change_while_running_and_while_away() -> None:
    async with Venue().serving() as venue, fed(venue, ["BTCUSDT", "ETHUSDT"]) as on:
        await subscribed(venue, on, "ethusdt@trade")
        change(on, add=["SOLUSDT"], remove=["ETHUSDT"])
        await subscribed(venue, on, "solusdt@trade")
        await on.until(lambda: not venue.holders("ethusdt@trade"))
        venue.clients[0].socket.transport.abort()
        await on.until(lambda: not on.session.links.all[0].lines)
        change(on, add=["XRPUSDT"], remove=["SOLUSDT"])
        await subscribed(venue, on, "xrpusdt@trade")
        assert venue.clients[1].streams == {BTC, "xrpusdt@trade"}
        await venue.trade(2, "xrpusdt")
        await on.has(2, "XRP/USDT")


async def test_a_connection_with_nothing_left_to_deliver_is_closed_and_another_opened_when_needed() -> None:
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(1)
        await on.has(1)
        change(on, remove=["BTCUSDT"])
        await on.until(lambda: not venue.open)
        await on.until(lambda: not on.session.links.all)
        assert not on.running.done()
        change(on, add=["SOLUSDT"])
        await subscribed(venue, on, "solusdt@trade")
        change(on, add=["ETHUSDT"], remove=["SOLUSDT"])
        await subscribed(venue, on, "ethusdt@trade")
        await venue.trade(2, "ethusdt")
        await on.has(2, "ETH/USDT")


async def test_a_lossless_feed_stops_reading_while_kafka_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HIGH_WATER", 200)
    monkeypatch.setattr(connection, "LOW_WATER", 50)
    monkeypatch.setattr(SPOT, "ping_after_s", 0.1)
    monkeypatch.setattr(line, "PONG_WITHIN_S", 0.3)
    async with Venue().serving() as venue, fed(venue, lossless=True) as on:
        await subscribed(venue, on)
        on.publisher.free.clear()
        flood = asyncio.create_task(venue.trade(20_000))
        await on.until(lambda: any(one.connection.is_halted for one in on.session.links.lines))
        await asyncio.sleep(1.0)
        assert next(iter(on.session.links.lines)).connection.backlog < 10_000
        on.publisher.free.set()
        await on.has(20_000)
        await flood
        assert len(venue.clients) == 1
        assert not on.backfilled


async def test_a_live_feed_sheds_while_kafka_is_slow_and_makes_trades_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "SHED_FRAMES", 400)
    async with Venue().serving() as venue, fed(venue, channels=["trades", "quotes"]) as on:
        await subscribed(venue, on)
        await venue.trade(1)
        await on.has(1)
        on.publisher.free.clear()
        for number in range(1, 3_001):
            await venue.trade(1)
            await venue.clients[0].say(quote(number))
            # What one read brings is kept or shed as a whole: let it be little.
            await asyncio.sleep(0)
        (held,) = (one.connection for one in on.session.links.lines)
        await on.until(lambda: held.shed[connection.TRADES] and held.shed[connection.OTHER])
        assert held.backlog <= 400
        assert held.shed[connection.OTHER] >= held.shed[connection.TRADES]
        on.publisher.free.set()
        await on.has(3_001)
        assert on.backfilled
        assert {gap.status for gap in on.gaps} <= {"opened", "filled"}
        await on.until(lambda: any("frames were shed" in text for text in on.events("provider.error")))
        assert len(venue.clients) == 1


async def test_heartbeats_go_out_however_busy_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SPOT, "heartbeat_s", 0.2)
    monkeypatch.setattr(SPOT, "heartbeat", lambda self, now_s: '{"method":"ping","params":[],"id":0}')
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        on.publisher.free.clear()
        trading = asyncio.create_task(venue.keep_trading(0.002))
        await on.until(lambda: sum(one["method"] == "ping" for one in venue.clients[0].requests) >= 3)
        trading.cancel()
        assert next(iter(on.session.links.lines)).connection.backlog


async def test_the_end_of_a_feed_waits_for_trades_that_are_asked_for() -> None:
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(3)
        venue.traded["btcusdt"] += 4
        await venue.trade(1)
        await venue.clients[0].socket.close(END_OF_FEED, "end of feed")
        assert await asyncio.wait_for(on.running, 10.0) == "ended"
        assert sorted(on.trades()) == list(range(1, 9))
        assert [gap.status for gap in on.gaps] == ["opened", "filled"]
        assert len(on.finals) == 1


@pytest.mark.parametrize("hands_over", [True, False])
async def test_a_stop_writes_the_final_mark_unless_another_goes_on(hands_over: bool) -> None:
    async with Venue().serving() as venue, fed(venue, hands_over=hands_over) as on:
        await subscribed(venue, on)
        await venue.trade(3)
        await on.has(3)
        on.stop.set()
        assert await asyncio.wait_for(on.running, 5.0) == "stopped"
        assert len(on.finals) == (0 if hands_over else 1)
        assert not on.gaps
        await asyncio.sleep(0.1)
        assert not venue.open


async def test_a_failure_in_a_link_ends_the_session_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)

        def fail(self: line.Line, now_s: float) -> float:
            raise ZeroDivisionError("a defect")

        monkeypatch.setattr(line.Line, "looked_s", fail)
        with pytest.raises(ZeroDivisionError, match="a defect"):
            await asyncio.wait_for(on.running, 5.0)


async def test_answers_without_numbers_are_told_apart_by_their_connection() -> None:
    futures = exchange_class("mexc", "futures")
    asked: list[tuple[Client, dict[str, Any]]] = []

    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        if request["method"] != "ping":
            asked.append((client, request))

    names = ["BTC_USDT", "ETH_USDT"]
    async with Venue(reply).serving() as venue, fed(venue, names, market=futures, hot_feeds=2) as on:
        await on.until(lambda: len(asked) == 4)
        for client, request in reversed(asked):
            method = request["method"]
            await client.say(json.dumps({"channel": f"rs.{method}", "data": "success", "ts": 1}))
        await on.until(lambda: all(on.session.links.copies(one) == 2 for one in on.exchange.streams()), 5.0)
        assert len(venue.clients) == 2


async def test_a_loss_behind_a_backlog_is_told_and_another_connection_opened_at_once() -> None:
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(3)
        await on.has(3)
        on.publisher.free.clear()
        for _ in range(20):
            await venue.trade(1)
            await asyncio.sleep(0.005)
        await on.until(lambda: sum(one.connection.backlog for one in on.session.links.lines) > 5)
        venue.clients[0].socket.transport.abort()
        await on.until(lambda: len(venue.clients) == 2)
        await subscribed(venue, on)
        await venue.trade(5)
        on.publisher.free.set()
        await on.has(28)
        assert len(on.events("provider.disconnected")) == 1
        assert {gap.status for gap in on.gaps} <= {"opened", "filled"}
