"""ccxt's own classes against a server that answers badly, or asks for a key."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from infra.resilience.cache import Cache
from infra.resilience.call_guard import CallPolicy
from infra.settings import VenueSettings
from producers.manager.names import OWN, VenueName
from producers.manager.records import Check
from producers.manager.rest_venue import RestVenue
from producers.simulator.venue import RestError, venue_class
from schemas.errors import (
    AuthenticationError,
    AuthorizationError,
    BadAnswerError,
    CallTimeoutError,
    ClientError,
    KandleError,
    RateLimitedError,
    ServerError,
    UnavailableError,
    ValidationError,
)
from tests.rest_server import Reply, RestServer

KEY, SECRET = "a-key", "a-secret"
AHEAD_MS = 7_000
POLICY = CallPolicy(delay_s=0.01, jitter_s=0.0, timeout_s=1.0)

Answer = Callable[[str], Reply | None]


def simulated(name: VenueName, target: str) -> Reply:
    """What the venue answers, seven seconds ahead of us."""
    parts = urlsplit(target)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    unified = "BTC/USDT" if name.market == "spot" else "BTC/USDT:USDT"
    own = "BTCUSDT" if "binance" in name.venue or name.label == "mexc-spot" else "BTC_USDT"
    now_ms = int(time.time() * 1_000) + AHEAD_MS
    try:
        reply = venue_class(name.venue, name.market)({unified: own}).rest(parts.path, query, now_ms)
    except RestError as error:
        reply = error.reply
    return Reply(reply.body, reply.status)


@contextlib.asynccontextmanager
async def serving(
    answer: Answer, with_key: bool = False, name: VenueName = OWN["binance"]
) -> AsyncIterator[tuple[RestVenue, RestServer]]:
    server = RestServer(lambda target: answer(target) or simulated(name, target))
    async with server.running():
        keys = {"api_key": SecretStr(KEY), "secret": SecretStr(SECRET)} if with_key else {}
        settings = VenueSettings(rest_url=server.url, calls_per_minute=60_000, **keys)
        venue = RestVenue(name, settings, Cache(), POLICY)
        try:
            yield venue, server
        finally:
            await venue.close()


def on(path: str, reply: Reply) -> Answer:
    return lambda target: reply if path in target else None


@pytest.mark.parametrize(
    ("reply", "kind", "attempts"),
    [
        (Reply(b'{"code":-1003,"msg":"x"}', 429, {"Retry-After": "60"}), RateLimitedError, 1),
        (Reply(b'{"code":-1003,"msg":"x"}', 418, {"Retry-After": "120"}), RateLimitedError, 1),
        (Reply(b'{"code":-1003,"msg":"x"}', 429, {"Retry-After": "0.05"}), RateLimitedError, 3),
        (Reply(b"{}", 500), ServerError, 3),
        (Reply(b"<html>gateway</html>", 502), ServerError, 3),
        (Reply(b"", 503), ServerError, 3),
        (Reply(b"", 504), CallTimeoutError, 3),
        (Reply(b"", 501), ServerError, 1),
        (Reply(b"", 403), AuthorizationError, 1),
        (Reply(b"", 451), AuthorizationError, 1),
        (Reply(b'{"code":-1121,"msg":"Invalid symbol."}', 400), ClientError, 1),
        (Reply(b"", 404), ClientError, 1),
        (Reply(b"<html>maintenance</html>"), BadAnswerError, 3),
        (Reply(b"[1,2"), ValidationError, 1),
        (Reply(b"[[1,2]]"), ValidationError, 1),
        (Reply(b"null"), ValidationError, 1),
        (Reply(b"{}", cut=True), UnavailableError, 3),
        (Reply(b"{}", pause_s=5.0), CallTimeoutError, 3),
        (Reply(b'{"symbol":"BTCUSDT","lastPrice":"0"}'), ValidationError, 1),
        (Reply(b'{"symbol":"BTCUSDT","lastPrice":"-1"}'), ValidationError, 1),
        (Reply(b'{"symbol":"BTCUSDT"}'), ValidationError, 1),
    ],
)
async def test_a_bad_answer_is_an_error_of_ours_tried_again_where_that_helps(
    reply: Reply, kind: type[KandleError], attempts: int
) -> None:
    async with serving(on("ticker", reply)) as (venue, server):
        with pytest.raises(kind) as caught:
            await venue.ticker("BTC/USDT")
        assert sum("ticker" in path for path in server.paths) == attempts
        assert "signature" not in str(caught.value)


async def test_a_ban_is_told_with_its_time() -> None:
    async with serving(on("ticker", Reply(b"{}", 418, {"Retry-After": "99"}))) as (venue, _):
        with pytest.raises(RateLimitedError, match="in 99 s") as caught:
            await venue.ticker("BTC/USDT")
        assert caught.value.banned
        # Everything else waits as well.
        with pytest.raises(RateLimitedError, match="budget"):
            await venue.candles("BTC/USDT", "1m")


async def test_rows_that_are_no_candles_are_counted() -> None:
    now = int(time.time()) * 1_000
    rows = [
        [now - 180_000, "2", "3", "1", "2", "5", now, "1", 1, "1", "1", "0"],
        [now - 120_000, "2", "1", "1", "2", "5", now, "1", 1, "1", "1", "0"],
        [now - 60_000, "2", None, "1", "2", "5", now, "1", 1, "1", "1", "0"],
        [now, "2", "3", "1", "2.5", "5", now, "1", 1, "1", "1", "0"],
    ]
    async with serving(on("klines", Reply(json.dumps(rows).encode()))) as (venue, _):
        found = await venue.candles("BTC/USDT", "1m")
    assert [(candle.close, candle.closed) for candle in found.candles] == [(2.0, True), (2.5, False)]
    assert found.rejected == {"ohlc": 1, "column": 1}


ACCOUNT = Reply(
    json.dumps(
        {
            "balances": [
                {"asset": "BTC", "free": "1.5", "locked": "0.5"},
                {"asset": "ETH", "free": "0", "locked": "0"},
            ]
        }
    ).encode()
)


async def test_a_valid_key_is_checked_by_the_balance_signed_with_the_time_of_the_venue() -> None:
    async with serving(on("/account", ACCOUNT), with_key=True) as (venue, server):
        check = await venue.check()
        assert (check.key, check.assets, check.markets, check.error) == ("valid", 1, 1, None)
        assert check.clock_difference_ms == pytest.approx(AHEAD_MS, abs=500)
        assert await venue.balance() == {"BTC": 2.0}
        head = next(head for head in server.heads if "/account" in head)
        query = parse_qs(urlsplit(head.split(" ", 2)[1]).query)
        assert query["recvWindow"] == ["10000"]
        assert int(query["timestamp"][0]) == pytest.approx(time.time() * 1_000 + AHEAD_MS, abs=1_500)
        assert f"x-mbx-apikey: {KEY}" in head.lower()
        assert SECRET not in head
        # The time was asked for once.
        assert sum("/time" in path for path in server.paths) == 1


GATE_ACCOUNT = Reply(b'[{"currency":"BTC","available":"1.5","locked":"0.5"}]')
MARGIN = '"marginBalance":"2","maintMargin":"0","initialMargin":"0","unrealizedProfit":"0"'
USDM_ACCOUNT = Reply(f'{{"assets":[{{"asset":"BTC","walletBalance":"2",{MARGIN}}}]}}'.encode())
GATE_FUTURES = Reply(b'{"currency":"BTC","total":"2","available":"1.5","order_margin":"0.5"}')
MEXC_FUTURES = Reply(
    b'{"success":true,"code":0,"data":[{"currency":"BTC","availableBalance":1.5,"frozenBalance":0.5}]}'
)


@pytest.mark.parametrize(
    ("name", "path", "reply", "header"),
    [
        ("binanceusdm", "/account", USDM_ACCOUNT, "x-mbx-apikey"),
        ("gateio", "/spot/accounts", GATE_ACCOUNT, "key"),
        ("gateiofutures", "/futures/usdt/accounts", GATE_FUTURES, "key"),
        ("mexc", "/account", ACCOUNT, "x-mexc-apikey"),
        ("mexcfutures", "/private/account/assets", MEXC_FUTURES, "apikey"),
    ],
)
async def test_every_venue_is_asked_for_the_balance_in_its_own_way(
    name: str, path: str, reply: Reply, header: str
) -> None:
    async with serving(on(path, reply), with_key=True, name=OWN[name]) as (venue, server):
        check = await venue.check()
        assert (check.error, check.key, check.assets) == (None, "valid", 1)
        assert await venue.balance() == {"BTC": 2.0}
        head = next(head for head in server.heads if path in head)
        assert f"\r\n{header}: {KEY}\r\n" in head.lower()
        assert SECRET not in head


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}',
        b'{"code":-2008,"msg":"Invalid Api-Key ID."}',
        b'{"code":-1002,"msg":"You are not authorized to execute this request."}',
    ],
)
async def test_a_refused_key_is_told_apart_from_a_venue_that_is_away(body: bytes) -> None:
    async with serving(on("/account", Reply(body, 401)), with_key=True) as (venue, _):
        check = await venue.check()
        assert isinstance(check.error, AuthenticationError)
        assert (check.key, check.is_reachable) == ("refused", True)
        assert SECRET not in str(check.error)
        assert "signature" not in str(check.error)
        assert KEY not in str(check.error)


async def test_a_clock_that_is_off_is_told_with_what_to_do() -> None:
    late = Reply(b'{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}', 400)
    async with serving(on("/account", late), with_key=True) as (venue, _):
        with pytest.raises(ClientError, match="our clock differs"):
            await venue.balance()


async def test_a_balance_without_a_key_is_refused_without_a_call() -> None:
    async with serving(lambda _: None) as (venue, server):
        with pytest.raises(AuthenticationError, match="no key of binance-spot is configured"):
            await venue.balance()
        assert server.paths == []


async def test_a_check_tells_what_was_found_before_it_failed() -> None:
    async with serving(on("/exchangeInfo", Reply(b"", 503))) as (venue, _):
        check: Check = await venue.check()
        assert isinstance(check.error, ServerError)
        assert check.is_reachable
        assert check.clock_difference_ms == pytest.approx(AHEAD_MS, abs=500)
        assert (check.markets, check.key) == (None, "unknown")
    async with serving(on("/time", Reply(b"", 429, {"Retry-After": "60"}))) as (venue, _):
        limited = await venue.check()
        assert limited.is_reachable
        assert limited.latency_ms is None


async def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    settings = VenueSettings(rest_url="http://127.0.0.1:9", calls_per_minute=60_000)
    venue = RestVenue(OWN["binance"], settings, Cache(), POLICY)
    try:
        check = await venue.check()
    finally:
        await venue.close()
    assert not check.is_reachable
    assert isinstance(check.error, UnavailableError)
