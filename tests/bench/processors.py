"""From trades in Kafka to candles and an indicator in Kafka: the shipped worker beside its peers.

`kandle process` with its defaults (checkpoints, repeats dropped, checksums, dead letters, live candles), but
for one indicator, ema(20), and no signals; candles of a second and a minute. All read the same log of one
broker, one after the other, each on the same core; the broker has the other one.

The clock starts when the worker's first agent has folded a million trades, by its own metric, and stops when
all that follows from the last trade stands in the output topics: marks leave each agent after all that they
close, and the last of them at the far end, in the signals topic. What is still on its way between the agents
at the start so counts as well. Peers count what they have processed, in their own process.

python -m tests.bench.processors --json
python -m tests.bench.processors --symbols 10,200,10000 --json      cost a trade by the number of symbols
python -m tests.bench.processors --workers 2 --json                 one worker, then two
python -m tests.bench.processors --memory --json                    memory at 1 and at 10 million trades
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from infra.embedded.ports import free_ports
from schemas.topics import CANDLES, INDICATORS, LIVE_CANDLES, SIGNALS
from tests.bench.bench_broker import (
    BROKER_CORE,
    PARTITIONS,
    WORKER_CORE,
    Broker,
    cpu_s,
    filled_broker,
    pinned,
)
from tests.bench.processor_peers import faust_peer, kafka_streams_peer, quix_peer
from tests.bench.trade_log import TradeLog

POLL_S = 0.02
FOLDED = re.compile(r'kandle_records_processed_total{topic="market.trades.v1"} (\S+)')
STALL_S = 180.0
TRADES_A_SYMBOL = 50
"""Trades of each symbol in a second of event time."""
SYMBOLS = 200
FIRST = 1_000_000
FIRST_OF_PLAIN = 20_000
LEAST_SECONDS = 24
"""Of event time: candles close after their grace, and the first ones of a symbol make its series."""
OUTPUTS = (CANDLES, INDICATORS, LIVE_CANDLES, SIGNALS)


def log_of(trades: int, symbols: int) -> TradeLog:
    """A log of at least so many trades."""
    rate = symbols * TRADES_A_SYMBOL
    return TradeLog(symbols, rate, max(-(-trades // rate), LEAST_SECONDS))


class Worker:
    """`kandle process` on one core.

    Args:
        servers: The broker.
        app_id: Name of its group.
        core: Where it runs.
        scratch: A folder without settings.
    """

    def __init__(self, servers: str, app_id: str, core: int, scratch: str) -> None:
        (self._port,) = free_ports(1)
        environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
            "KANDLE_METRICS__PORT": str(self._port),
            "KANDLE_PROCESSORS__APP_ID": app_id,
            "KANDLE_PROCESSORS__INDICATORS": "ema(20)",
            "KANDLE_PROCESSORS__SIGNALS": "[]",
        }
        command = [sys.executable, "-m", "kandle", "process"]
        self._log = Path(scratch) / f"{self._port}.log"
        with pinned(core), self._log.open("wb") as log:
            self._child = subprocess.Popen(command, cwd=scratch, env=environment, stderr=log)
        self.process = psutil.Process(self._child.pid)

    def raise_if_ended(self) -> None:
        """Raise with its log.

        Raises:
            RuntimeError: It has ended.
        """
        if self._child.poll() is not None:
            raise RuntimeError(f"a worker ended with {self._child.returncode}: {self._log.read_text()}")

    def end(self) -> None:
        """Kill it."""
        self._child.kill()
        self._child.wait()

    @property
    def folded(self) -> int:
        """Trades and marks that its first agent has folded, as its metrics have it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                found = FOLDED.search(answer.read().decode())
        except OSError:
            return 0
        return int(float(found[1])) if found else 0

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return float(self.process.memory_info().rss) / 1e6


def wait(reached: Callable[[], int], wanted: int, workers: Sequence[Worker]) -> float:
    """Wait until a count is reached; when that was, by `time.perf_counter`.

    Raises:
        RuntimeError: A worker has ended.
        TimeoutError: The count stood still for `STALL_S`.
    """
    highest, moved = -1, time.perf_counter()
    while True:
        count, now = reached(), time.perf_counter()
        if count >= wanted:
            return now
        if count > highest:
            highest, moved = count, now
        if now - moved > STALL_S:
            raise TimeoutError(f"{highest} of {wanted} are done, no more for {STALL_S:g} s")
        for worker in workers:
            worker.raise_if_ended()
        time.sleep(POLL_S)


def measure(
    broker: Broker, log: TradeLog, first: int, cores: tuple[int, ...] = (WORKER_CORE,)
) -> dict[str, Any]:
    """One run over the whole log, a worker a core."""
    broker.clear(OUTPUTS)
    app_id = f"bench-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        workers = [Worker(broker.servers, app_id, core, scratch) for core in cores]
        for worker in workers:
            stack.callback(worker.end)
        processes = [broker.process, *(worker.process for worker in workers)]

        def folded() -> int:
            return sum(worker.folded for worker in workers)

        wait(folded, first, workers)
        began, counted_from, used = time.perf_counter(), folded(), [cpu_s(each) for each in processes]
        rss_mb = {str(first): round(sum(worker.rss_mb for worker in workers), 1)}
        ended = wait(lambda: broker.end(SIGNALS.name), log.seconds * PARTITIONS, workers)
        rss_mb[str(log.trades)] = round(sum(worker.rss_mb for worker in workers), 1)
        broker_s, *worker_s = [cpu_s(each) - before for each, before in zip(processes, used, strict=True)]
    trades = log.trades - counted_from * log.rate // (log.rate + PARTITIONS)
    seconds, busy_s = ended - began, sum(worker_s)
    return {
        "trades_per_s": round(trades / seconds),
        "trades_per_cpu_s": round(trades / busy_s),
        "trades": trades,
        "symbols": log.symbols,
        "worker_busy": round(busy_s / seconds / len(workers), 2),
        "broker_share": round(broker_s / (broker_s + busy_s), 3),
        "broker_busy": round(broker_s / seconds, 2),
        "rss_mb": rss_mb,
        "outputs": {topic.name: broker.end(topic.name) for topic in OUTPUTS},
    }


def ratios(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """Our figures as multiples of a peer's."""
    return {
        name: round(ours[name] / peer[name], 2)
        for name in ("trades_per_s", "trades_per_cpu_s")
        if name in peer
    }


def beside_peers(trades: int, plain_trades: int, with_peers: bool) -> dict[str, Any]:
    """The worker, its peers, the worker again; the better of our runs counts, as of Kafka Streams' two."""
    log = log_of(trades, SYMBOLS)
    first = min(FIRST, log.trades // 3)
    peers: dict[str, Any] = {}
    with filled_broker(log) as broker:
        runs = [measure(broker, log, first)]
        if with_peers:
            peers["kafka_streams"] = kafka_streams_peer(broker, first, log.trades)
            plain = (broker, min(FIRST_OF_PLAIN, plain_trades // 4), plain_trades)
            peers["quix_streams"] = quix_peer(*plain)
            peers["stock_faust"] = faust_peer(*plain)
        runs.append(measure(broker, log, first))
    best = max(runs, key=lambda run: run["trades_per_s"])
    return {
        **best,
        "runs": runs,
        "peers": peers,
        "ratios": {name: ratios(best, peer) for name, peer in peers.items()},
    }


def by_symbols(counts: list[int], trades: int) -> dict[str, Any]:
    """What a trade costs with few and many symbols, CPU microseconds; each symbol trades equally often."""
    figures: dict[str, Any] = {}
    for symbols in counts:
        log = log_of(trades, symbols)
        with filled_broker(log) as broker:
            figures[str(symbols)] = measure(broker, log, log.trades // 2)
    cost = {symbols: 1e6 / run["trades_per_cpu_s"] for symbols, run in figures.items()}
    return {
        "runs": figures,
        "cpu_us_per_trade": {symbols: round(value, 3) for symbols, value in cost.items()},
        "cost_ratio": round(max(cost.values()) / min(cost.values()), 2),
    }


def by_workers(count: int, trades: int) -> dict[str, Any]:
    """One worker, then `count`, a core each in turn; the broker shares its core with one of them then."""
    log = log_of(trades, SYMBOLS)
    first = min(FIRST, log.trades // 3)
    cores = ((WORKER_CORE, BROKER_CORE) * count)[:count]
    with filled_broker(log) as broker:
        one, many = measure(broker, log, first), measure(broker, log, first, cores)
    return {"1": one, str(count): many, "scaling": round(many["trades_per_s"] / one["trades_per_s"], 2)}


def memory(trades: int) -> dict[str, Any]:
    """Resident memory of the worker at the first million and at the end."""
    log = log_of(trades, SYMBOLS)
    with filled_broker(log) as broker:
        return measure(broker, log, min(FIRST, log.trades // 3))


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--trades", type=int, default=4_000_000)
    parser.add_argument("--plain-trades", type=int, default=120_000, help="of the peers in Python")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument(
        "--symbols", help="numbers of symbols between commas: only what a trade costs with each"
    )
    parser.add_argument("--workers", type=int, help="only one worker, then so many")
    parser.add_argument("--memory", action="store_true", help="only memory at 1 and at 10 million trades")
    given = parser.parse_args()
    if given.symbols:
        figures = by_symbols([int(number) for number in given.symbols.split(",")], given.trades)
    elif given.workers:
        figures = by_workers(given.workers, given.trades)
    elif given.memory:
        figures = memory(max(given.trades, 10_000_000))
    else:
        figures = beside_peers(given.trades, given.plain_trades, not given.no_peers)
    print(json.dumps(figures) if given.json else json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
