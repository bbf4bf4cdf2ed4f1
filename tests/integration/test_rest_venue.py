"""ccxt's own classes against simulated venues: tickers, candles, checks, fall-through, the cache."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra import metrics
from infra.resilience.call_guard import CallPolicy
from infra.resilience.local_store import LocalStore
from infra.settings import VenueSettings
from producers.manager.names import venue_name
from producers.manager.venue_manager import CheckFailedError, VenueManager
from producers.simulator.server import SimulatorServer
from schemas.errors import ClientError, RateLimitedError, ServerError, UnavailableError
from tests.past_market import past_market

FAST = 60_000.0
IMPATIENT = CallPolicy(delay_s=0.01, jitter_s=0.0)
MARKETS = [
    ("binance", "spot", "Binance", "BTC/USDT"),
    ("binance", "usdm", "binance futures", "BTC/USDT:USDT"),
    ("binanceus", "spot", "binance.us", "BTC/USDT"),
    ("gateio", "spot", "Gate.io", "BTC/USDT"),
    ("gateio", "futures", "gate futures", "BTC/USDT:USDT"),
    ("mexc", "spot", "MEXC", "BTC/USDT"),
    ("mexc", "futures", "mexc-futures", "BTC/USDT:USDT"),
]


def at(server: SimulatorServer, calls_per_minute: float = FAST) -> VenueSettings:
    return VenueSettings(rest_url=server.rest_url, calls_per_minute=calls_per_minute)


def paths(server: SimulatorServer) -> list[str]:
    return [target.partition("?")[0].rpartition("/")[2] for target in server.rest.requests]


@contextlib.asynccontextmanager
async def three(folder: Path, *faults: str) -> AsyncIterator[tuple[VenueManager, list[SimulatorServer]]]:
    """Binance with faults, Gate.io and MEXC without, and a manager of them."""
    async with (
        past_market(folder, "binance", "spot", *faults, seconds=20) as binance,
        past_market(folder, "gateio", "spot", seconds=20) as gateio,
        past_market(folder, "mexc", "spot", seconds=20) as mexc,
        VenueManager(
            {"binance": at(binance), "gateio": at(gateio), "mexc": at(mexc)}, policy=IMPATIENT
        ) as manager,
    ):
        yield manager, [binance, gateio, mexc]


@pytest.mark.parametrize(("venue", "market", "name", "symbol"), MARKETS)
async def test_a_venue_is_checked_and_asked_for_tickers_and_candles(
    tmp_path: Path, venue: str, market: str, name: str, symbol: str
) -> None:
    async with past_market(tmp_path, venue, market) as server, VenueManager({venue: at(server)}) as manager:
        check = await manager.add(name)
        assert (check.venue, check.market, check.markets, check.key) == (venue, market, 2, "none")
        assert check.error is None
        assert check.latency_ms is not None
        assert check.clock_difference_ms is not None
        # The market of the simulator is over since 2023.
        assert check.clock_difference_ms < -1e9

        other = symbol.replace("BTC", "ETH")
        answers = await manager.first([symbol, other.lower()], [name])
        # The one that was checked is asked: it has its list of markets.
        assert len(set(server.rest.requests)) == len(server.rest.requests)
        assert answers.failures == []
        btc, eth = answers.tickers
        assert (btc.venue, btc.market, btc.symbol, eth.symbol) == (venue, market, symbol, other)
        assert btc.bid is not None
        assert btc.ask is not None
        assert btc.low_24h is not None
        assert btc.high_24h is not None
        assert btc.low_24h <= btc.price <= btc.high_24h
        assert btc.bid < btc.ask

        found = await manager.candles(name, symbol.lower(), "1m")
        assert [candle.open_time for candle in found.candles] == [
            1_699_999_980_000_000 + minute * 60_000_000 for minute in range(4)
        ]
        assert found.rejected == {}
        assert max(candle.high for candle in found.candles) == btc.high_24h
        assert found.candles[-1].close == btc.price
        total = sum(candle.volume or 0.0 for candle in found.candles)
        assert total > 1
        assert btc.volume == pytest.approx(total, rel=1e-4)
        first = found.candles[0].open
        assert btc.price != first
        assert btc.change_24h == pytest.approx(btc.price - first, abs=4)
        assert btc.change_percent_24h == pytest.approx(100 * (btc.price - first) / first, abs=0.01)
        assert len((await manager.candles(name, symbol, "1m", 2)).candles) == 2


async def test_all_venues_are_asked_at_once_and_failures_are_named(tmp_path: Path) -> None:
    async with three(tmp_path, "500@0:9") as (manager, servers):
        answers = await manager.all(["BTC/USDT", "SOL/USDT"], ["binance", "gateio", "mexc", "gate"])
        assert [(ticker.venue, ticker.symbol) for ticker in answers.tickers] == [
            ("gateio", "BTC/USDT"),
            ("mexc", "BTC/USDT"),
        ]
        failed = {(failure.venue, failure.symbol): failure.error for failure in answers.failures}
        assert failed.keys() == {("binance-spot", ""), ("gateio-spot", "SOL/USDT"), ("mexc-spot", "SOL/USDT")}
        assert isinstance(failed["binance-spot", ""], ServerError)
        assert isinstance(failed["gateio-spot", "SOL/USDT"], ClientError)
        # The list of markets was warmed: it was asked for once.
        assert paths(servers[2]).count("exchangeInfo") == 1


async def test_the_next_venue_is_asked_for_what_the_first_does_not_have(tmp_path: Path) -> None:
    async with three(tmp_path) as (manager, servers):
        manager_of = await manager.first(["BTC/USDT"], ["binance", "gateio", "mexc"])
        assert [ticker.venue for ticker in manager_of.tickers] == ["binance"]
        assert servers[1].rest.requests == []
        missing = await manager.first(["XYZ/USDT", "BTC/USDT"], ["binance", "gateio", "mexc"])
        assert [ticker.venue for ticker in missing.tickers] == ["binance"]
        assert [failure.venue for failure in missing.failures] == ["binance-spot", "gateio-spot", "mexc-spot"]
        assert "no market XYZ/USDT" in str(missing.failures[0].error)


async def test_a_venue_that_is_down_is_passed_over(tmp_path: Path) -> None:
    async with three(tmp_path, "429@0:9") as (manager, _):
        answers = await manager.first(["BTC/USDT"], ["binance", "gateio", "mexc"])
        assert [ticker.venue for ticker in answers.tickers] == ["gateio"]
        assert isinstance(answers.failures[0].error, RateLimitedError)


async def test_a_venue_whose_check_fails_is_not_held(tmp_path: Path) -> None:
    async with (
        past_market(tmp_path, "binance", "spot", "html@0:99", seconds=5) as server,
        VenueManager({"binance": at(server)}, policy=IMPATIENT) as manager,
    ):
        with pytest.raises(CheckFailedError, match="page for people") as caught:
            await manager.add("binance")
        assert caught.value.check.is_reachable
        assert caught.value.check.markets is None


async def test_tickers_are_cached_for_all_processes_until_they_are_forgotten(tmp_path: Path) -> None:
    async with past_market(tmp_path, "binance", "spot", seconds=20) as server:
        store = LocalStore(tmp_path / "store")
        async with VenueManager({"binance": at(server)}, store) as manager:
            first = await manager.first(["BTC/USDT", "ETH/USDT"], ["binance"])
        asked = len(server.rest.requests)
        assert asked == 2
        async with VenueManager({"binance": at(server)}, store) as manager:
            again = await manager.first(["ETH/USDT", "BTC/USDT"], ["binance"])
            assert again.tickers == first.tickers[::-1]
            assert (await manager.first(["BTC/USDT"], ["binance"])).tickers == first.tickers[:1]
            assert len(server.rest.requests) == asked
            await manager.forget()
            fresh = await manager.first(["BTC/USDT"], ["binance"])
            assert fresh.tickers[0].receive_time > first.tickers[0].receive_time
            assert paths(server)[asked:] == ["24hr"]
        # Another address is another venue: nothing of this one is used for it.
        async with (
            past_market(tmp_path, "binance", "spot", seconds=20) as other,
            VenueManager({"binance": at(other)}, store) as manager,
        ):
            await manager.first(["BTC/USDT"], ["binance"])
            assert paths(other) == ["exchangeInfo", "24hr"]


async def test_who_asks_the_same_at_once_shares_the_call(tmp_path: Path) -> None:
    async with (
        past_market(tmp_path, "binance", "spot", seconds=20) as server,
        VenueManager({"binance": at(server)}) as manager,
    ):
        venue = manager.venue(venue_name("binance"))
        found = await asyncio.gather(*(venue.ticker("BTC/USDT") for _ in range(5)))
        assert len(set(map(str, found))) == 1
        assert paths(server) == ["exchangeInfo", "24hr"]


async def test_calls_keep_the_pace(tmp_path: Path) -> None:
    async with (
        past_market(tmp_path, "binance", "spot", seconds=20) as server,
        VenueManager({"binance": at(server, calls_per_minute=300)}) as manager,
    ):
        began = time.monotonic()
        await manager.candles("binance", "BTC/USDT", "1m")
        await asyncio.gather(*(manager.candles("binance", "ETH/USDT", "1m") for _ in range(4)))
        # Six calls, a fifth of a second between them.
        assert time.monotonic() - began >= 0.95


async def test_what_a_venue_does_not_have_is_told_with_what_is_near(tmp_path: Path) -> None:
    async with (
        past_market(tmp_path, "binance", "spot", seconds=5) as server,
        VenueManager({"binance": at(server)}) as manager,
    ):
        with pytest.raises(ClientError, match="no market BTC/USD; near it: BTC/USDT"):
            await manager.candles("binance", "BTC/USD", "1m")
        with pytest.raises(ClientError, match="no candles of 7m; it has 1s, 1m"):
            await manager.candles("binance", "BTC/USDT", "7m")
        assert (await manager.candles("binance", "BTC/USDT", "1H")).candles[0].interval == "1h"


async def test_calls_are_counted_by_what_they_were_about(tmp_path: Path) -> None:
    def count(operation: str, outcome: str) -> float:
        return float(metrics.calls.CALL_OUTCOMES.labels("mexc-spot", operation, outcome)._value.get())

    contexts = ["loadMarkets", "fetchTicker:BTC/USDT", "fetchOHLCV:ETH/USDT:1m"]
    before = [count(context, "ok") for context in contexts]
    async with (
        past_market(tmp_path, "mexc", "spot", seconds=20) as server,
        VenueManager({"mexc": at(server)}, policy=IMPATIENT) as manager,
    ):
        await manager.first(["BTC/USDT"], ["mexc"])
        await manager.candles("mexc", "ETH/USDT", "1m")
        await server.stop()
        with pytest.raises(UnavailableError, match="no connection"):
            await manager.candles("mexc", "BTC/USDT", "1d")
    assert [count(context, "ok") for context in contexts] == [value + 1 for value in before]
    assert count("fetchOHLCV:BTC/USDT:1d", "unavailable") == 1
