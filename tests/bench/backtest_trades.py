"""Trades of an archive on disk through candles, indicators and signals of a strategy."""

import asyncio
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from backtest.costs import Costs
from backtest.engine import Run, run
from backtest.sources.archive import read_archive
from backtest.sources.asked import Asked
from backtest.statistics import statistics_of
from backtest.strategy import ClosedCandle, Strategy
from backtest.terms import Terms
from infra.settings import ArchiveSettings, KafkaSettings, Settings
from processors.intervals import INTERVALS
from schemas.identity import market_key
from schemas.records import Signal
from schemas.topics import TRADES
from sinks.archive.store import open_store
from tests.bench.archive import fill
from tests.bench.bench_broker import PARTITIONS, filled_broker
from tests.bench.trade_log import TradeLog

SYMBOLS: Final = 10
RATE: Final = 500
INTERVAL: Final = "1m"
MARKETS: Final = tuple(f"binance:S{number}/USDT" for number in range(SYMBOLS))
TERMS: Final = Terms(Decimal(1_000_000), Costs(Decimal("0.0001")), interval=INTERVAL)


class _Follower(Strategy):
    """Holds a unit on the side of the last crossing, unless the index has gone too far."""

    def on_start(self) -> None:
        self.indices = {}
        self.candles = 0
        for market in self.desk.markets:
            self.indices[market] = self.line("rsi(14)", market)
            self.line("sma(20)", market)
            self.watch("moving_average_crossover(5,20)", market)

    def on_candle(self, candle: ClosedCandle) -> None:
        self.candles += 1

    def on_signal(self, signal: Signal) -> None:
        market = market_key(signal.venue, signal.symbol)
        up = signal.direction == "long"
        index = self.indices[market][0]
        if index < 80.0 if up else index > 20.0:
            self.target(market, 1 if up else -1)


def trades_per_s(seconds: int, runs: int) -> dict[str, Any]:
    """Trades a second from files to figures: reading, candles, indicators, signals, orders and statistics.

    Args:
        seconds: Of event time.
        runs: Of which the best counts.
    """
    log = TradeLog(SYMBOLS, RATE, seconds)
    with filled_broker(log) as broker, tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder:
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=broker.servers, partitions=PARTITIONS),
            archive=ArchiveSettings(url=Path(folder).as_uri(), topics=[TRADES.name], flush_s=1.0),
        )
        asyncio.run(fill(settings, open_store(settings), broker.end(TRADES.name)))
        times = []
        for _ in range(runs + 1):  # the first one loads the kernels
            began = time.perf_counter()
            found, read_s, rows = _play(settings)
            times.append((time.perf_counter() - began, read_s))
    assert rows == log.trades, (rows, log.trades)
    took, read_s = min(times[1:])
    return {
        "trades_per_s": round(rows / took),
        "trades_read": rows,
        "trades_markets": SYMBOLS,
        "trades_candles": sum(map(len, found.bars)),
        "trades_orders": len(found.orders),
        "trades_reading_part": round(read_s / took, 3),
    }


def _play(settings: Settings) -> tuple[Run, float, int]:
    """A run, how long reading took, s, and how many trades there were."""
    began = time.perf_counter()
    asked = Asked(MARKETS, frozenset({"trades"}), INTERVALS[INTERVAL])
    history = read_archive(settings, asked).history
    read_s = time.perf_counter() - began
    found = run(_Follower(), history, TERMS)
    statistics_of(found)
    return found, read_s, sum(map(len, history.trades))
