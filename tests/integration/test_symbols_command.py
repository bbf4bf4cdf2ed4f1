"""`kandle symbols`: what is asked for is fed within a second or two, and holds."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kandle.commands.symbols import symbols
from producers.simulator.server import SimulatorServer
from schemas.errors import ConfigurationError
from schemas.records import Gap, Instrument, TimeMark
from schemas.topics import INSTRUMENTS, TRADES
from tests.producer_harness import Topics
from tests.producer_processes import ProducerProcess, WatchedMarket, assert_exact, delivered, trading, until

LISTED = ["BTC/USDT", "ETH/USDT", "SOL/EUR"]


@pytest.fixture
def topics(kafka: str) -> Topics:
    found = Topics(kafka)
    found.renew()
    return found


async def symbols_command(topics: Topics, server: SimulatorServer | None, *arguments: str) -> Result:
    """Run `kandle symbols` with the venue's REST interface at a simulator, or out of reach."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": topics.servers,
        "KANDLE_PRODUCER__REST_URL": server.rest_url if server else "http://127.0.0.1:9",
        "KANDLE_PRODUCER__SYMBOLS": "BTC/USDT",
    }
    return await asyncio.to_thread(CliRunner().invoke, symbols, arguments, env=environment)


def fed(topics: Topics) -> dict[str, int]:
    """How many trades of each symbol the topic holds."""
    return {symbol: len(trades) for symbol, trades in delivered(topics).items()}


@pytest.mark.full
async def test_symbols_come_and_go_while_a_producer_runs(topics: Topics, tmp_path: Path) -> None:
    market = WatchedMarket(LISTED, 20.0)
    async with trading(market) as server:
        producer = ProducerProcess(topics.servers, server, tmp_path, "only", instruments_every_s=1.0)
        try:
            await until(lambda: "BTC/USDT" in fed(topics), 30, "it feeds what the settings say")
            added = await symbols_command(topics, server, "add", "eth/usdt")
            assert added.exit_code == 0, added.output
            assert "will be fed" in added.output
            assert await until(lambda: "ETH/USDT" in fed(topics), 10, "it is fed") < 4
            assert "SOL/EUR" not in fed(topics)

            assert (await symbols_command(topics, server, "remove", "ETH/USDT")).exit_code == 0
            await asyncio.sleep(2)
            stopped = fed(topics)["ETH/USDT"]
            await asyncio.sleep(1.5)
            assert fed(topics)["ETH/USDT"] == stopped, "it is fed no longer"
            going = fed(topics)["BTC/USDT"]

            await symbols_command(topics, server, "add", "ETH/USDT", "*/EUR")
            await until(lambda: "SOL/EUR" in fed(topics), 10, "what matches the pattern is fed")
            await until(lambda: fed(topics)["ETH/USDT"] > stopped + 40, 10, "what was missed is made good")
            assert fed(topics)["BTC/USDT"] > going

            # What was asked for holds after a restart.
            assert await producer.stop() == 0
            before = fed(topics)
            producer.restart()
            await until(
                lambda: all(fed(topics)[symbol] > before[symbol] for symbol in LISTED),
                20,
                "all are fed again",
            )
            listing = await symbols_command(topics, server, "list", "--json")
            assert await producer.stop() == 0
        finally:
            producer.end()
    told = json.loads(listing.output)
    assert {row["symbol"]: row["from"] for row in told["symbols"]} == {
        "BTC/USDT": "settings",
        "ETH/USDT": "request",
        "*/EUR": "request",
    }
    trades = assert_exact(topics, market)
    assert any(trade.backfilled for trade in trades["ETH/USDT"].values())
    gaps = topics.records(TRADES.name, Gap)
    assert sum(gap.status == "opened" for gap in gaps) == sum(gap.status == "filled" for gap in gaps)
    assert {record.symbol for record in topics.records(INSTRUMENTS.name, Instrument)} == set(LISTED)
    assert topics.records(TRADES.name, TimeMark)[-1].final


async def test_a_name_that_the_venue_does_not_list_is_refused(topics: Topics) -> None:
    market = WatchedMarket(LISTED, 5.0)
    async with trading(market) as server:
        wrong = await symbols_command(topics, server, "add", "BTC/USTD")
        assert isinstance(wrong.exception, ConfigurationError)
        assert "did you mean BTC/USDT" in str(wrong.exception)
        listing = await symbols_command(topics, server, "list")
        assert "USTD" not in listing.output
        unchecked = await symbols_command(topics, server, "add", "--unchecked", "BTC/USTD")
        assert unchecked.exit_code == 0


async def test_without_the_venue_names_are_taken_with_a_warning(topics: Topics) -> None:
    added = await symbols_command(topics, None, "add", "SOL/USDT", "*/EUR")
    assert added.exit_code == 0, added.output
    assert "warning: whether binance lists these is not known" in added.output
    removed = await symbols_command(topics, None, "remove", "BTC/USDT")
    assert removed.exit_code == 0
    shown = (await symbols_command(topics, None, "list")).output
    assert "SOL/USDT" in shown
    assert "all shards" in shown
    assert [line for line in shown.splitlines() if "removed" in line] == [f"{'BTC/USDT':<20} removed"]


def test_a_wrong_name_ends_the_command_with_a_sentence(topics: Topics) -> None:
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-m", "kandle", "symbols", "add", "BTCUSDT"],
        env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": topics.servers},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode != 0
    assert "BASE/QUOTE" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert time.monotonic() - began < 20
