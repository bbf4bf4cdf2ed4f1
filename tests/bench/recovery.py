"""How soon a worker goes on after an hour of checkpoints, and what checkpoints cost.

10,000 symbols with one trade a second each, candles of a second and a minute held for five minutes, the
default indicators and signals, four partitions. An hour of event time is folded by the shipped state and
written by the shipped code through a real broker, as fast as that goes: a checkpoint each two seconds of
event time, or as often as their pace allows. Of the candles in between, the indicators take those of the last
second; what a checkpoint writes does not depend on how many it took. The last two minutes take two minutes:
the broker compacts by the clock. Then `kandle process` starts on what the changelog holds, with one core and
the broker on the other, and so does a worker without any checkpoint.

python -m tests.bench.recovery --json
python -m tests.bench.recovery --minutes 10 --symbols 1000 --json
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from faust.types import TP

from infra.embedded import cluster
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings, ProcessorSettings, Settings, load
from processors.agents.indicators import IndicatorStep
from processors.agents.trades import TradeStep
from processors.candles.batches import CandleRows, RowKind
from processors.engine.app import changelog
from processors.engine.partitions import CHECKPOINT_PACE, Partitions
from schemas.records import TimeMark
from schemas.topics import CANDLES, TOPICS, TRADES
from tests.bench.bench_broker import BROKER_CORE, PARTITIONS, WORKER_CORE, pinned

BEGAN = 1_723_161_240_000_000
SECOND = 1_000_000
TIMEOUT_S = 120.0
POLL_S = 0.02
APP_ID = "recovery"
PACED_S = 120
"""Seconds of event time, the last ones, that take as long as they say."""


class Alone:
    """A consumer group of one worker that nobody disturbs; see `partitions.Group`."""

    generation = 1

    def is_current(self, tp: TP, generation: int) -> bool:
        """It stays."""
        return True

    async def bounds(self, tps: set[TP]) -> Mapping[TP, tuple[int, int]]:
        """Nothing is read here."""
        return dict.fromkeys(tps, (0, 0))

    async def seek(self, tp: TP, offset: int) -> None:
        """Nothing is read here."""


class Market:
    """One partition's trades: one a second of each symbol, and a mark after them."""

    def __init__(self, partition: int, symbols: int) -> None:
        self._random = np.random.default_rng(partition)
        self.keys = [f"binance:S{partition}X{index}/USDT" for index in range(symbols)]
        self._prices = self._random.lognormal(3, 2, symbols)

    def second(self, number: int) -> CandleRows:
        """All rows of a second."""
        count, random = len(self.keys), self._random
        ids = random.permutation(count)
        times = np.sort(random.integers(0, SECOND, count)) + BEGAN + number * SECOND
        prices = np.round(self._prices[ids] * (1 + random.normal(0, 1e-3, count)), 4) + 1e-4
        end = BEGAN + (number + 1) * SECOND - 1
        return CandleRows(
            keys=self.keys,
            kinds=np.append(np.full(count, RowKind.TRADE), RowKind.MARK).astype(np.int8),
            key_ids=np.append(ids, -1).astype(np.int32),
            times=np.append(times, end),
            prices=np.append(prices, 0.0),
            sizes=np.append(random.integers(1, 10**6, count) / 1e4, 0.0),
            sides=np.append(random.integers(1, 3, count), 0),
            sequences=np.append(ids * 1_000_003 + number, -1),
            offsets=np.arange(number * (count + 1), (number + 1) * (count + 1)),
            marks={count: TimeMark("binance", "binance-spot-0", end, False, "bench")},
        )


class Hour:
    """Writes what a worker would have written in some minutes of event time."""

    def __init__(self, settings: Settings, symbols: int) -> None:
        self._settings = settings
        self._markets = [Market(number, symbols // PARTITIONS) for number in range(PARTITIONS)]
        self._publisher = Publisher(settings.kafka, client_id="bench")
        topic_ids = Admin(settings.kafka).topic_ids([TRADES.name, CANDLES.name])
        group = Alone()
        self._trades = Partitions(
            TradeStep(settings, self._publisher),
            self._publisher,
            changelog=changelog(settings).name,
            topic_id=topic_ids[TRADES.name],
            checkpoint_interval_s=settings.processors.checkpoint_interval_s,
            group=group,
        )
        self._candles = Partitions(
            IndicatorStep(settings, self._publisher),
            self._publisher,
            changelog=changelog(settings).name,
            topic_id=topic_ids[CANDLES.name],
            checkpoint_interval_s=settings.processors.checkpoint_interval_s,
            group=group,
        )
        for partitions in (self._trades, self._candles):
            places = {TP(partitions.step.topic, number): (0, 0) for number in range(PARTITIONS)}
            partitions.restore(places, group.generation, lambda topic, partition: {})

    async def write(self, seconds: int) -> dict[str, Any]:
        """All of it; what the checkpoints took."""
        interval = max(int(self._settings.processors.checkpoint_interval_s), 1)
        took: dict[str, list[float]] = {TRADES.name: [], CANDLES.name: []}
        due = dict.fromkeys(took, 0.0)
        paced_from: float | None = None
        for number in range(seconds):
            if number == seconds - PACED_S:
                paced_from = time.perf_counter() - number
            if paced_from is not None:
                await asyncio.sleep(max(0.0, paced_from + number - time.perf_counter()))
            folded = [
                self._trades.held[TP(TRADES.name, index)].state.candles.fold(market.second(number))
                for index, market in enumerate(self._markets)
            ]
            if number % interval != interval - 1:
                continue
            for partitions in (self._trades, self._candles):
                topic = partitions.step.topic
                if due[topic] > number:
                    continue
                if partitions is self._candles:
                    for index, each in enumerate(folded):
                        book = self._candles.held[TP(topic, index)].state
                        for candle in each.candles:
                            book.fold(candle)
                await self._mark(topic)
                for held in partitions.held.values():
                    held.position += 1
                    held.folded += 1
                began = time.perf_counter()
                await partitions.checkpoint()
                took[topic].append(time.perf_counter() - began)
                due[topic] = number + CHECKPOINT_PACE * took[topic][-1]
        await self._publisher.close()
        return {
            topic: {"checkpoints": len(each), "mean_ms": round(1_000 * sum(each) / len(each), 1)}
            for topic, each in took.items()
        }

    async def _mark(self, topic: str) -> None:
        """One more record in the topic, so that the checkpoint lies within its log."""
        for number in range(PARTITIONS):
            mark = TimeMark("binance", "binance-spot-0", BEGAN, False, "bench")
            await self._publisher.publish(topic, mark, f"mark:{number}", number)


def read_all(servers: str, topic: str) -> dict[str, float]:
    """Records and bytes that a topic holds: what recovery reads."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "log_level": 0})
    found = {"records": 0, "mb": 0.0}
    try:
        for number in range(PARTITIONS):
            place = TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            while consumer.position([place])[0].offset < end:
                for message in consumer.consume(1_000, 1):
                    found["records"] += 1
                    found["mb"] += len(message.value() or b"") / 1e6
    finally:
        consumer.close()
    return {name: round(value, 1) for name, value in found.items()}


def seconds_to_ready(environment: Mapping[str, str], restored: int) -> float:
    """From the start of the command until the worker reads on, with so many partitions restored.

    Raises:
        RuntimeError: It ended, restored fewer, or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder, pinned(WORKER_CORE):
        path = Path(folder) / "log"
        began = time.perf_counter()
        with path.open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "kandle", "process"],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
            )
        try:
            for line in _lines(path, worker, began + TIMEOUT_S):
                entry = json.loads(line) if line.startswith("{") else {}
                if entry.get("message") == "ready" and entry.get("partitions"):
                    if entry["restored"] != restored:
                        raise RuntimeError(f"expected {restored} partitions restored: {line}")
                    return time.perf_counter() - began
        finally:
            worker.kill()
            worker.wait()
    raise RuntimeError("the worker was not ready in time")


def _lines(path: Path, worker: "subprocess.Popen[bytes]", deadline: float) -> Iterator[str]:
    with path.open(encoding="utf-8") as log:
        while time.perf_counter() < deadline:
            if line := log.readline():
                yield line
            elif worker.poll() is not None:
                raise RuntimeError(f"the worker ended with {worker.returncode}: {path.read_text()[-2_000:]}")
            else:
                time.sleep(POLL_S)


def measure(symbols: int, minutes: int) -> dict[str, Any]:
    """Write, then start."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kandle-bench-")))
        with pinned(BROKER_CORE):
            servers = stack.enter_context(cluster.broker(data))
        kafka = KafkaSettings(bootstrap_servers=servers, partitions=PARTITIONS)
        settings = load(kafka=kafka, processors=ProcessorSettings(app_id=APP_ID))
        Admin(kafka).ensure_topics([*TOPICS, changelog(settings)])
        began = time.perf_counter()
        with pinned(WORKER_CORE):
            cost = asyncio.run(Hour(settings, symbols).write(60 * minutes))
        wrote_s = time.perf_counter() - began
        held = read_all(servers, changelog(settings).name)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")}
        environment = plain | {
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
            "KANDLE_LOGGING__FORMAT": "json",
        }
        empty_s = seconds_to_ready(environment | {"KANDLE_PROCESSORS__APP_ID": "empty"}, 0)
        ready_s = seconds_to_ready(environment | {"KANDLE_PROCESSORS__APP_ID": APP_ID}, 2 * PARTITIONS)
    return {
        "symbols": symbols,
        "minutes": minutes,
        "written_in_s": round(wrote_s, 1),
        "checkpoints": cost,
        "changelog": held,
        "start_without_checkpoints_s": round(empty_s, 2),
        "start_s": round(ready_s, 2),
        "recovery_s": round(ready_s - empty_s, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="one line")
    options = parser.parse_args()
    print(json.dumps(measure(options.symbols, options.minutes), indent=None if options.json else 2))


if __name__ == "__main__":
    main()
