"""How long a signal takes at a steady rate of trades: from the record that makes it due until it is stored.

A real broker, a worker as a process of its own with its default settings, alerts and a candle rule. The times
at which trades are sent are fixed in advance (open loop): a worker that falls behind is not waited for. Both
ends of a latency are the broker's own clock (LogAppendTime, whole milliseconds): that of the trade that makes
an alert due, or of the mark that closes the candle of a rule, and that of the signal. `broker` is what the
same broker took meanwhile to acknowledge such a trade, the producer's linger included: what a busy machine
adds shows there as well.

python -m tests.bench.latency --json
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from infra.embedded import cluster
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings, ProcessorSettings
from schemas.identity import trade_id
from schemas.records import PriceAlert, Record, Signal, TimeMark, Trade
from schemas.rows import decode
from schemas.topics import ALERTS, SIGNALS, TRADES, Topic

RATE = 5_000
SYMBOLS = 200
WARM_UP_S = 40
"""A crossover is looked for from the 31st candle on."""
SECONDS = 30
TICK_S = 0.001
SPIKE_EVERY = 250
"""Trades, of which one makes an alert fire."""
LEVEL = 1_000.0
START_TIMEOUT_S = 120.0
DRAIN_TIMEOUT_S = 60.0
SECOND_US = 1_000_000
SOURCE = "binance-spot-0"


def settings_for(servers: str) -> KafkaSettings:
    """Defaults, on a broker."""
    return KafkaSettings(bootstrap_servers=servers)


class Feed:
    """Trades at fixed times: random symbols on random walks around 100, now and then one above the level."""

    def __init__(self, began_us: int, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._began_us = began_us
        self._prices = [100.0] * SYMBOLS
        self._number = 0

    def upto(self, now_us: int) -> Iterator[Trade]:
        """All trades that are due now."""
        while (at := self._began_us + self._number * SECOND_US // RATE) <= now_us:
            number, self._number = self._number, self._number + 1
            index = self._chance.randrange(SYMBOLS)
            self._prices[index] *= 1 + self._chance.uniform(-1e-4, 1e-4)
            price = LEVEL if number % SPIKE_EVERY == SPIKE_EVERY - 1 else self._prices[index]
            yield Trade("binance", f"S{index}/USDT", f"{number}", number, price, 1.0, "buy", at, now_us)


async def ask_for_alerts(publisher: Publisher) -> None:
    """One alert a symbol, that fires at every spike."""
    for index in range(SYMBOLS):
        symbol = f"S{index}/USDT"
        alert = PriceAlert(f"a{index}", "binance", symbol, "above", LEVEL, 0.0, True, True, 0)
        await publisher.publish(ALERTS.name, alert, key=alert.id)
    await publisher.flush()


async def feed(kafka: KafkaSettings, seconds: float) -> tuple[float, list[float]]:
    """Send at fixed times.

    Returns:
        The most that a trade was sent too late, seconds, and what the broker took for trades that fire
        alerts, milliseconds.
    """
    publisher = Publisher(kafka, "bench")
    began = time.time() + 0.5
    trades, marked, late = Feed(round(began * 1e6)), int(began), 0.0
    taken_ms: list[float] = []
    while (now := time.time()) < began + seconds:
        for trade in trades.upto(round(now * 1e6)):
            late = max(late, now - trade.event_time / 1e6)
            watched = trade.price >= LEVEL and now > began + WARM_UP_S
            on_stored = stopwatch(taken_ms) if watched else None
            await publisher.publish(TRADES.name, trade, on_acknowledged=on_stored)
        if now >= marked + 1:
            marked = int(now)
            await mark(publisher, kafka, marked * SECOND_US - 1, final=False)
        publisher.poll()
        await asyncio.sleep(TICK_S)
    await mark(publisher, kafka, round(time.time() * 1e6), final=True)
    await publisher.flush()
    await publisher.close()
    return late, taken_ms


def stopwatch(taken_ms: list[float]) -> Callable[[int, int], None]:
    """Started now; stopped by being called."""
    began = time.perf_counter()
    return lambda _partition, _offset: taken_ms.append((time.perf_counter() - began) * 1_000)


async def mark(publisher: Publisher, kafka: KafkaSettings, at_us: int, *, final: bool) -> None:
    """A mark into every partition."""
    record = TimeMark("binance", SOURCE, at_us, final, "bench")
    for partition in range(kafka.partitions):
        await publisher.publish(TRADES.name, record, partition=partition)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the broker has it; `stored_ms` is when it was appended."""

    record: Record
    partition: int
    stored_ms: int


def read(kafka: KafkaSettings, topic: Topic) -> Iterator[Stored]:
    """All of a topic as of now, partition by partition."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "bench"})
    for partition in range(kafka.partitions):
        place = TopicPartition(topic.name, partition, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign([place])
        offset = 0
        while offset < end:
            for message in consumer.consume(10_000, 1):
                offset = message.offset() + 1
                yield Stored(decode(message.value()), partition, message.timestamp()[1])
    consumer.close()


def await_drained(kafka: KafkaSettings) -> None:
    """Wait until the final mark stands behind all signals.

    Raises:
        TimeoutError: It does not come.
    """
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while time.monotonic() < deadline:
        if (
            sum(isinstance(s.record, TimeMark) and s.record.final for s in read(kafka, SIGNALS))
            == kafka.partitions
        ):
            return
        time.sleep(0.5)
    raise TimeoutError("the worker did not drain")


def latencies(kafka: KafkaSettings) -> tuple[list[int], list[int]]:
    """Milliseconds of the alerts' signals and of the rule's, those of the warm-up left out."""
    trades: dict[str, int] = {}
    marks: list[list[tuple[int, int]]] = [[] for _ in range(kafka.partitions)]
    for found in read(kafka, TRADES):
        if isinstance(found.record, Trade) and found.record.price >= LEVEL:
            record = found.record
            trades[trade_id(record.venue, record.symbol, record.trade_id)] = found.stored_ms
        elif isinstance(found.record, TimeMark):
            marks[found.partition].append((found.record.time, found.stored_ms))
    grace = ProcessorSettings().grace_ms * 1_000
    begins = min(times[0][0] for times in marks) + WARM_UP_S * SECOND_US
    alerts: list[int] = []
    rules: list[int] = []
    for found in read(kafka, SIGNALS):
        signal = found.record
        if not isinstance(signal, Signal) or signal.event_time < begins:
            continue
        if signal.interval == "trade":
            alerts.append(found.stored_ms - trades[signal.candle_id])
        elif signal.interval == "1s":
            due = signal.open_time + SECOND_US + grace
            closed = next((stored for at, stored in marks[found.partition][:-1] if at >= due), None)
            if closed is not None:  # else the end of the feed has closed it
                rules.append(found.stored_ms - closed)
    return alerts, rules


def figures_of(latencies_ms: Sequence[float]) -> dict[str, float]:
    """Percentiles, milliseconds."""
    p50, p90, p99 = np.percentile(latencies_ms, [50, 90, 99]).round(1).tolist()
    highest = round(float(max(latencies_ms)), 1)
    return {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "max_ms": highest, "count": len(latencies_ms)}


def await_ready(worker: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the worker holds its partitions.

    Raises:
        RuntimeError: It ends, or takes too long; with what it said.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while "ready" not in log.read_text():
        if worker.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the worker does not start: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def main(seconds: int = SECONDS) -> dict[str, Any]:
    """Measure."""
    with (
        tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder,
        cluster.broker(Path(folder)) as servers,
    ):
        kafka, log = settings_for(servers), Path(folder) / "worker.log"
        Admin(kafka).ensure_topics()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")}

        async def prepare() -> None:
            publisher = Publisher(kafka, "bench")
            await ask_for_alerts(publisher)
            await publisher.close()

        asyncio.run(prepare())
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "kandle", "process"],
                env=environment | {"KAFKA_BOOTSTRAP_SERVERS": servers},
                cwd=folder,
                stdout=output,
                stderr=output,
            )
        try:
            await_ready(worker, log)
            load_before = os.getloadavg()[0]
            late, taken_ms = asyncio.run(feed(kafka, WARM_UP_S + seconds))
            load = os.getloadavg()[0]
            await_drained(kafka)
            worker.terminate()
            worker.wait(30)
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait(10)
        alerts, rules = latencies(kafka)
    return {
        "alert": figures_of(alerts),
        "candle_rule": figures_of(rules),
        "broker": figures_of(taken_ms),
        "trades_per_s": RATE,
        "symbols": SYMBOLS,
        "seconds": seconds,
        "sent_late_ms_max": round(late * 1_000, 1),
        "load_before": round(load_before, 2),
        "load_after": round(load, 2),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line that programs can read")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="measured, after the warm-up")
    arguments = parser.parse_args()
    figures = main(arguments.seconds)
    print(json.dumps(figures) if arguments.json else json.dumps(figures, indent=2))
