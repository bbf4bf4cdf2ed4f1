"""Producers as processes, a market that knows what it has made, and the comparison of the two."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient

from producers.simulator.market import SeededMarket
from producers.simulator.prices import MarketEvent, TradeEvent
from producers.simulator.server import SimulatorServer
from schemas.identity import ce_id
from schemas.records import TimeMark, Trade
from schemas.topics import TRADES
from tests.producer_harness import Topics

TAKEOVER_S: Final = 6.0
Value = tuple[float, float, str, int]


class WatchedMarket(SeededMarket):
    """A seeded market that remembers its trades: what every producer is held to."""

    def __init__(self, symbols: list[str], rate: float) -> None:
        super().__init__(symbols, 7, rate)
        self.made: dict[str, dict[int, Value]] = {symbol: {} for symbol in symbols}
        self._unified = {symbol.replace("/", ""): symbol for symbol in symbols}

    def _messages(self, event: MarketEvent) -> Iterator[tuple[str, bytes]]:
        if isinstance(event, TradeEvent):
            side = "sell" if event.buyer_is_maker else "buy"
            value = (float(event.price), float(event.size), side, event.time // 1_000 * 1_000)
            self.made[self._unified[event.venue_symbol]][event.trade_id] = value
        return super()._messages(event)


@asynccontextmanager
async def trading(market: WatchedMarket) -> AsyncIterator[SimulatorServer]:
    """The market on a free port."""
    server = SimulatorServer(market)
    await server.start()
    work = asyncio.create_task(market.play(server))
    try:
        yield server
    finally:
        work.cancel()
        await server.stop()


class ProducerProcess:
    """`kandle produce` as a process of its own.

    Args:
        servers: Kafka's bootstrap servers.
        exchange: The simulated exchange.
        folder: For its log.
        name: Its id of the run, as marks carry it.
        producer: More settings of the producer.
    """

    def __init__(
        self, servers: str, exchange: SimulatorServer, folder: Path, name: str, **producer: object
    ) -> None:
        chosen = {"symbols": "BTC/USDT", "takeover_s": TAKEOVER_S, "idle_marks": False} | producer
        settings = {f"KANDLE_PRODUCER__{key.upper()}": str(value) for key, value in chosen.items()}
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KANDLE_")},
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KANDLE_RUN_ID": name,
            "KANDLE_PRODUCER__WEBSOCKET_URL": exchange.websocket_url,
            "KANDLE_PRODUCER__REST_URL": exchange.rest_url,
            **settings,
        }
        self._log = folder / f"{name}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "kandle", "produce"], env=self._environment, stderr=log, stdout=log
            )

    @property
    def said(self) -> str:
        """Its log so far."""
        return self._log.read_text()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again after it has ended."""
        self.process = self._start()

    def suspend(self) -> None:
        """Stop it from running at all."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run on."""
        self.process.send_signal(signal.SIGCONT)

    async def stop(self, within_s: float = 30.0) -> int:
        """Ask it to end, and wait; returns its exit code."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, within_s)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def rss_mb(self) -> float:
        """Memory that it holds, MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def until(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for something to become true; returns how long it took, s.

    Raises:
        AssertionError: It did not.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await asyncio.to_thread(condition):
        assert loop.time() < began + within_s, f"within {within_s} s: {what}"
        await asyncio.sleep(0.1)
    return loop.time() - began


def members(topics: Topics, group: str = "kandle-producers-binance-spot") -> int:
    """Processes in a group of producers."""
    admin = AdminClient({"bootstrap.servers": topics.settings.bootstrap_servers, "log_level": 2})
    found = admin.describe_consumer_groups([group])[group].result(10)
    return len(found.members)


def marks_of(topics: Topics, instance: str) -> list[TimeMark]:
    """Marks of one run of a producer, of all partitions."""
    return [mark for mark in topics.records(TRADES.name, TimeMark) if mark.instance == instance]


def delivered(topics: Topics) -> dict[str, dict[int, Trade]]:
    """The trades of the topic by symbol and number; what stands there twice must be equal.

    When and how a copy was received is not part of its value.
    """
    found: dict[str, dict[int, Trade]] = {}
    ids: dict[str, Value] = {}
    for trade in topics.records(TRADES.name, Trade):
        assert ids.setdefault(ce_id(trade), value_of(trade)) == value_of(trade), "a repeat differs"
        assert trade.sequence is not None
        found.setdefault(trade.symbol, {}).setdefault(trade.sequence, trade)
    return found


def value_of(trade: Trade) -> Value:
    """Price, size, side and event time."""
    return trade.price, trade.size, trade.side or "", trade.event_time


def assert_exact(topics: Topics, market: WatchedMarket) -> dict[str, dict[int, Trade]]:
    """From the first trade of a symbol in the topic to the last one none is missing, and all are as made."""
    found = delivered(topics)
    assert set(found) == set(market.made)
    for symbol, trades in found.items():
        expected = {number: market.made[symbol][number] for number in range(min(trades), max(trades) + 1)}
        assert {number: value_of(trade) for number, trade in trades.items()} == expected
    return found
