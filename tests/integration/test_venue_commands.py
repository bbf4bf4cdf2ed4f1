"""`kandle venues`, `check`, `ticker` and `ohlcv` as a user runs them, against simulated venues."""

import asyncio
import contextlib
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from kandle.__main__ import cli
from tests.kandle_command import environment
from tests.past_market import past_market
from tests.rest_server import Reply, RestServer

DEADLINE_S = 60.0


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def complaints(self) -> list[str]:
        """Lines on standard error, without those that ask for patience: this machine may be busy."""
        return [line for line in self.err.splitlines() if not line.endswith(" ...")]


async def kandle(folder: Path, *arguments: str, **settings: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kandle",
        *arguments,
        cwd=folder,
        env=environment() | {"XDG_CACHE_HOME": str(folder / "cache")} | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def settings_of(**urls: str) -> dict[str, str]:
    found = {}
    for venue, url in urls.items():
        found[f"KANDLE_VENUES__{venue.upper()}__REST_URL"] = url
        found[f"KANDLE_VENUES__{venue.upper()}__CALLS_PER_MINUTE"] = "60000"
    return found


@contextlib.asynccontextmanager
async def venues(folder: Path) -> AsyncIterator[Mapping[str, str]]:
    async with (
        past_market(folder, "binance", "spot", seconds=90) as binance,
        past_market(folder, "gateio", "spot", seconds=90) as gateio,
        past_market(folder, "mexc", "spot", seconds=90) as mexc,
    ):
        yield settings_of(binance=binance.rest_url, gateio=gateio.rest_url, mexc=mexc.rest_url)


async def test_a_ticker_comes_from_the_first_venue_or_from_all(tmp_path: Path) -> None:
    async with venues(tmp_path) as settings:
        one = await kandle(tmp_path, "ticker", "btc/usdt", "--json", **settings)
        everywhere = await kandle(
            tmp_path, "ticker", "Btc/Usdt", "ETH/USDT", "--venue", "ALL", "--json", **settings
        )
        text = await kandle(tmp_path, "ticker", "BTC/USDT", "--venue", "Gate.io", **settings)
    assert (one.code, one.complaints()) == (0, [])
    (ticker,) = one.rows()
    assert list(ticker) == [
        "venue",
        "market",
        "symbol",
        "price",
        "bid",
        "ask",
        "volume",
        "change24h",
        "changePercent24h",
        "high24h",
        "low24h",
        "timestamp",
        "receive_time",
    ]
    assert (ticker["venue"], ticker["symbol"]) == ("binance", "BTC/USDT")
    assert everywhere.code == 0
    assert [(row["venue"], row["symbol"]) for row in everywhere.rows()] == [
        (venue, symbol) for venue in ("binance", "gateio", "mexc") for symbol in ("BTC/USDT", "ETH/USDT")
    ]
    assert everywhere.rows()[2]["timestamp"] is None
    header, row = text.out.splitlines()
    assert header.split()[:3] == ["symbol", "venue", "price"]
    assert row.split()[:3] == ["BTC/USDT", "gateio", "spot"]
    assert float(row.split()[3]) == ticker["price"]
    assert row.endswith("-")


async def test_a_venue_that_fails_is_named_and_not_fatal(tmp_path: Path) -> None:
    server = RestServer(lambda _: Reply(b"", 403))
    async with venues(tmp_path) as settings, server.running():
        broken = {**settings, **settings_of(binance=server.url)}
        several = await kandle(tmp_path, "ticker", "BTC/USDT", "--venue", "all", "--json", **broken)
        through = await kandle(tmp_path, "ticker", "BTC/USDT", "XYZ/USDT", "--fresh", "--json", **broken)
        alone = await kandle(tmp_path, "ticker", "BTC/USDT", "--venue", "binance", **broken)
    assert (several.code, [row["venue"] for row in several.rows()]) == (0, ["gateio", "mexc"])
    assert several.complaints()[0].startswith("kandle: binance-spot loadMarkets")
    assert [row["venue"] for row in through.rows()] == ["gateio"]
    assert through.code == 1
    assert "mexc-spot has no market XYZ/USDT" in through.err
    assert through.complaints()[-1] == "kandle: no ticker of XYZ/USDT could be had"
    assert (alone.code, alone.out) == (1, "")


async def test_past_candles_are_printed_as_text_json_and_csv(tmp_path: Path) -> None:
    async with venues(tmp_path) as settings:
        found, table, lines, wrong = await asyncio.gather(
            kandle(tmp_path, "ohlcv", "Binance", "btc/usdt", "1m", "--json", **settings),
            kandle(tmp_path, "ohlcv", "binance", "BTC/USDT", "1m", "--limit", "1", **settings),
            kandle(tmp_path, "ohlcv", "mexc", "BTC/USDT", "1m", "--csv", **settings),
            kandle(tmp_path, "ohlcv", "binance", "BTC/USDT", "9m", **settings),
        )
    assert (found.code, found.complaints()) == (0, [])
    rows = found.rows()
    assert [row["open_time"] for row in rows] == [1_699_999_980_000_000, 1_700_000_040_000_000]
    assert all(row["low"] <= row["open"] <= row["high"] for row in rows)
    assert rows[0]["closed"] is True
    assert table.out.splitlines()[0].startswith("open time")
    assert table.out.splitlines()[1].startswith("2023-11-14 22:14:00")
    of_csv = list(csv.DictReader(io.StringIO(lines.out)))
    assert [float(row["close"]) for row in of_csv] == [row["close"] for row in rows]
    assert (wrong.code, wrong.out) == (1, "")
    assert "binance-spot has no candles of 9m; it has 1s, 1m" in wrong.err


async def test_a_connection_is_checked(tmp_path: Path) -> None:
    server = RestServer(lambda _: Reply(b"", 403))
    async with venues(tmp_path) as settings, server.running():
        good, text, bad = await asyncio.gather(
            kandle(tmp_path, "check", "GATE.IO", "--json", **settings),
            kandle(tmp_path, "check", "mexc", **settings),
            kandle(tmp_path, "check", "binance", "--json", **settings_of(binance=server.url)),
        )
    assert good.code == 0
    (found,) = good.rows()
    latency_ms, difference_ms = found.pop("latency_ms"), found.pop("clock_difference_ms")
    assert 0 < latency_ms < 10_000
    assert difference_ms < -1e9
    assert found == {
        "venue": "gateio",
        "market": "spot",
        "ok": True,
        "reachable": True,
        "markets": 2,
        "key": "none",
        "assets": None,
        "error": None,
    }
    assert text.out.splitlines()[0] == "mexc spot"
    assert "behind ours" in text.out
    assert bad.code == 1
    (refused,) = bad.rows()
    assert (refused["ok"], refused["reachable"], refused["markets"]) == (False, True, None)
    assert refused["error"]["code"] == "AUTHORIZATION"


async def test_venues_are_listed(tmp_path: Path) -> None:
    rows, text = await asyncio.gather(kandle(tmp_path, "venues", "--json"), kandle(tmp_path, "venues"))
    found = {(row["venue"], row["market"]): row for row in rows.rows()}
    assert found["mexc", "spot"]["streams"] == ["trades", "quotes", "books", "tickers", "candles"]
    assert found["kraken", ""]["feed"] == "ccxt"
    assert "  kraken" in text.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ticker", "BTCUSDT"), "a symbol is BASE/QUOTE"),
        (("ticker",), "Missing argument"),
        (("check",), "Missing argument"),
        (("ohlcv", "binance", "BTC/USDT"), "Missing argument"),
        (("ohlcv", "binance", "BTC/USDT", "1m", "--limit", "0"), "--limit"),
        (("ohlcv", "binance", "BTC/USDT", "1m", "--json", "--csv"), "one of --json and --csv"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


async def test_an_unknown_venue_exits_with_2(tmp_path: Path) -> None:
    checked, asked = await asyncio.gather(
        kandle(tmp_path, "check", "binanse"), kandle(tmp_path, "ticker", "BTC/USDT", "--venue", "nosuch")
    )
    assert (checked.code, asked.code, checked.out) == (2, 2, "")
    assert "there is no venue 'binanse'; near it: binance" in checked.err
    assert "there is no venue 'nosuch'" in asked.err


async def test_what_takes_long_is_announced(tmp_path: Path) -> None:
    slow = RestServer(lambda _: Reply(b'{"serverTime": 1}', pause_s=2.5))
    async with slow.running():
        done = await kandle(
            tmp_path, "ticker", "BTC/USDT", "--venue", "binance", **settings_of(binance=slow.url)
        )
    assert done.err.startswith("kandle: asking for BTC/USDT ...\n")
    assert done.code == 1
