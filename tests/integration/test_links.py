"""Connections to a venue that break, lie, fall silent and are replaced: what a session makes of them."""

import asyncio
import itertools
import json
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from producers import line, link, liveness
from producers.connect_pace import ConnectPace
from tests.link_harness import BTC, SPOT, Client, Venue, accept, fed, quote, reconnects, subscribed, trade


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more patience than a test needs."""
    monkeypatch.setattr(link, "CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(link, "TAKE_OVER_S", 1.0)


async def test_a_connection_that_breaks_is_back_within_seconds_and_loses_nothing() -> None:
    before = reconnects()
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(5)
        await on.has(5)
        broken_s = time.monotonic()
        venue.clients[0].socket.transport.abort()
        await on.until(lambda: not venue.open)
        await venue.trade(5)
        await subscribed(venue, on)
        assert time.monotonic() - broken_s < 5.0
        await venue.trade(5)
        await on.has(15)
        assert set(on.backfilled) <= set(range(6, 11))
        assert on.events("provider.disconnected", "warning")
        assert reconnects() == before + 1


async def test_a_session_that_has_ended_shows_no_age_and_no_backlog() -> None:
    def shown() -> list[float | None]:
        names = ("kandle_feed_age_seconds", "kandle_backlog_frames")
        return [REGISTRY.get_sample_value(name, {"source": "source"}) for name in names]

    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await on.until(lambda: None not in shown())
    assert shown() == [None, None]


async def test_a_server_that_hangs_up_at_once_is_called_without_end_and_ever_more_rarely() -> None:
    called_s: list[float] = []

    async def hang_up(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        called_s.append(time.monotonic())
        if len(called_s) < 5:
            client.socket.transport.abort()
        else:
            await accept(venue, client, request)

    async with Venue(hang_up).serving() as venue, fed(venue) as on:
        made = on.session.links.all[0]
        made._backoff._draw = lambda: 0.15  # the same share of every ceiling
        await subscribed(venue, on)
        await venue.trade(1)
        await on.has(1)
        assert made._backoff.attempts >= 4, "nothing was stable yet"
    pauses = [later - earlier for earlier, later in itertools.pairwise(called_s)]
    assert pauses[-1] > 3 * pauses[0]


async def test_a_venue_that_cannot_be_reached_is_told_once_and_tried_on() -> None:
    venue = Venue()
    venue.url = "ws://127.0.0.1:9"
    async with fed(venue) as on:
        await on.until(lambda: on.session.links.all[0]._backoff.attempts >= 3, 10.0)
        assert len(on.events("provider.error")) == 1


@pytest.mark.parametrize("kind", ["no pong", "half-open"])
async def test_a_connection_without_a_sign_of_life_is_given_up(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(SPOT, "ping_after_s", 0.2)
    monkeypatch.setattr(line, "PONG_WITHIN_S", 0.5)
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(3)
        await on.has(3)
        if kind == "no pong":
            venue.clients[0].socket.transport.pause_reading()
        else:
            venue.clients[0].streams.clear()
            venue.clients[0].socket.transport.pause_reading()
            await venue.trade(3)
        silent_s = time.monotonic()
        await on.until(lambda: len(venue.clients) == 2)
        assert time.monotonic() - silent_s < 5.0
        await subscribed(venue, on)
        await venue.trade(2)
        await on.has(venue.traded["btcusdt"])
        assert any("no sign of life" in message for message in on.events("provider.disconnected"))


async def test_a_mute_channel_is_found_though_pings_are_answered_and_others_speak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liveness, "LEAST_S", 0.5)
    monkeypatch.setattr(SPOT, "ping_after_s", 0.1)
    async with Venue().serving() as venue, fed(venue, channels=["trades", "quotes"]) as on:
        await subscribed(venue, on)
        for number in range(1, 400):
            if number < 150:
                await venue.trade(1)
            for client in venue.holders("btcusdt@bookTicker"):
                await client.say(quote(number))
            await asyncio.sleep(0.01)
            if len(venue.clients) > 1:
                break
        assert len(venue.clients) == 2
        await on.until(lambda: any("mute: Trade" in text for text in on.events("provider.disconnected")))


async def test_quiet_symbols_never_cause_a_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "LEAST_S", 0.1)
    monkeypatch.setattr(SPOT, "ping_after_s", 0.1)
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        for _ in range(25):
            await venue.trade(1)
            await asyncio.sleep(0.06)
        await asyncio.sleep(0.4)
        await venue.trade(1)
        await on.has(26)
        assert len(venue.clients) == 1


@pytest.mark.parametrize("frame", ["x" * 70_000, b"\xff" * 70_000], ids=["text", "binary"])
async def test_an_oversized_frame_ends_the_connection_alone(frame: str | bytes) -> None:
    async with Venue().serving() as venue, fed(venue, limits={"frame_bytes": 65_536}) as on:
        await subscribed(venue, on)
        await venue.trade(3)
        await venue.clients[0].socket.send(frame)
        await on.until(lambda: len(venue.clients) == 2)
        await subscribed(venue, on)
        await venue.trade(3)
        await on.has(6)


async def test_bad_frames_are_refused_and_the_connection_goes_on() -> None:
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(1)
        await venue.clients[0].say('{"stream":"btcusdt@trade","data":{"e":"tra', "nonsense")
        await venue.trade(1)
        await on.has(2)
        assert len(on.publisher.dead_letters) == 2
        assert len(venue.clients) == 1


@pytest.mark.parametrize("answer", ["refused", "nothing", "another number"])
async def test_a_subscription_that_is_not_accepted_is_tried_on_another_connection(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(line, "ANSWER_WITHIN_S", 0.5)

    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        if len(venue.clients) > 1:
            await accept(venue, client, request)
        elif answer == "refused":
            await client.say(json.dumps({"error": {"code": 2, "msg": "no"}, "id": request["id"]}))
        elif answer == "another number":
            await client.say(json.dumps({"result": None, "id": 99}))

    async with Venue(reply).serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.trade(2)
        await on.has(2)
        assert len(venue.clients) == 2


async def test_a_missing_answer_is_noticed_however_busy_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line, "ANSWER_WITHIN_S", 0.5)

    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        if len(venue.clients) > 1:
            await accept(venue, client, request)
        else:
            client.streams |= set(request["params"])

    async with Venue(reply).serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        trading = asyncio.create_task(venue.keep_trading(0.001))
        await on.until(lambda: len(venue.clients) == 2, 5.0)
        trading.cancel()


async def test_a_symbol_that_is_refused_for_good_costs_the_others_nothing() -> None:
    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        if "ethusdt@trade" in request["params"]:
            await client.say(json.dumps({"error": {"code": 2, "msg": "no such"}, "id": request["id"]}))
        else:
            await accept(venue, client, request)

    limits = {"streams_per_message": 1}
    async with Venue(reply).serving() as venue, fed(venue, ["BTCUSDT", "ETHUSDT"], limits=limits) as on:
        await on.until(lambda: len(venue.clients) == 2 and BTC in venue.clients[1].streams)
        await on.until(lambda: len(venue.clients[1].requests) >= 4, 8.0)
        await venue.trade(5)
        await on.has(5)
        assert len(venue.clients) == 2, "it is asked for again where the others are"
        assert any("no such" in message for message in on.events("provider.error"))


async def test_connections_are_opened_no_faster_than_the_venue_allows() -> None:
    names = [f"A{letter}USDT" for letter in "ABCDEF"]
    limits = {"streams_per_connection": 1, "connections_per_minute": 60.0 * 6}
    opened_s: list[float] = []

    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        opened_s.append(time.monotonic())
        await accept(venue, client, request)

    async with Venue(reply).serving() as venue:
        pace = ConnectPace(360.0)
        for _ in range(60):
            pace.reserve(time.monotonic())
        async with fed(venue, names, limits=limits, pace=pace) as on:
            await on.until(lambda: len(venue.clients) == 6)
            await on.until(lambda: len(opened_s) == 6)
    assert opened_s[-1] - opened_s[0] > 4 * 60.0 / 300.0


@pytest.mark.parametrize("cause", ["notice", "age"])
async def test_a_connection_is_replaced_before_it_ends_without_a_loss(
    monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    before = reconnects()
    limits = {"connection_lifetime_s": 1.5} if cause == "age" else {}
    async with Venue().serving() as venue, fed(venue, limits=limits) as on:
        await subscribed(venue, on)
        trading = asyncio.create_task(venue.keep_trading(0.005))
        await on.until(lambda: len(on.trades()) > 20)
        if cause == "notice":
            await venue.clients[0].say('{"e":"serverShutdown","E":1700000000000}')
        await on.until(lambda: len(venue.clients) > 1 and venue.clients[0] not in venue.open)
        await asyncio.sleep(0.1)
        trading.cancel()
        await on.has(venue.traded["btcusdt"])
        assert not on.backfilled
        assert not on.gaps
        assert not on.events("provider.disconnected", "warning")
        assert reconnects() == before


async def test_what_the_old_connection_still_holds_is_read_before_it_is_dropped() -> None:
    async with Venue().serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        old = venue.clients[0]
        await venue.trade(3)
        await on.has(3)
        await old.say('{"e":"serverShutdown","E":1700000000000}')
        await on.until(lambda: len(venue.clients) == 2)
        old.socket.transport.pause_reading()
        await subscribed(venue, on, times=2)
        venue.traded["btcusdt"] += 3
        await asyncio.sleep(0.3)
        await old.say(trade(4))
        await venue.clients[1].say(trade(5))
        await asyncio.sleep(0.4)
        await old.say(trade(5), trade(6))
        old.socket.transport.resume_reading()
        await on.until(lambda: old not in venue.open)
        await on.has(6)
        assert not on.backfilled


async def test_the_old_connection_stays_where_no_new_one_can_be_had() -> None:
    async def reply(venue: Venue, client: Client, request: dict[str, Any]) -> None:
        if len(venue.clients) in (2, 3):
            client.socket.transport.abort()
        else:
            await accept(venue, client, request)

    before = reconnects()
    async with Venue(reply).serving() as venue, fed(venue) as on:
        await subscribed(venue, on)
        await venue.clients[0].say('{"e":"serverShutdown","E":1700000000000}')
        trading = asyncio.create_task(venue.keep_trading())
        await on.until(lambda: len(venue.clients) >= 4)
        await on.until(lambda: venue.clients[0] not in venue.open)
        trading.cancel()
        await on.has(venue.traded["btcusdt"])
        assert not on.backfilled
        assert reconnects() == before
