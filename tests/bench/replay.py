"""How fast a replay at `--speed max` goes: records a second from topics to topics, on a real broker.

Run: python -m tests.bench.replay [records]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from backtest.replay.pace import MAX, Pace
from backtest.replay.plan import Plan
from backtest.replay.run import Replay
from backtest.replay.source import Period
from backtest.replay.sources.topics import TopicSource
from infra.embedded.cluster import broker
from infra.kafka.admin import Admin
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.column_writer import ColumnWriter
from schemas.namespace import Namespace
from schemas.records import TimeMark, Trade
from schemas.rows import encode
from schemas.spans import Spans
from schemas.topics import TRADES

RECORDS: Final = 1_000_000
PARTITIONS: Final = 4
PORTION: Final = 10_000
BASE_US: Final = 1_700_000_000_000_000
TRADE_US: Final = 500
SOURCE: Final = Namespace("bench-past")


def replay_records_per_s(servers: str, records: int = RECORDS, runs: int = 3) -> float:
    """Records a second that a replay of trades and marks reads and writes; the best of some runs.

    The time is that of the whole replay: looking where it stands, reading, writing, waiting until all is
    acknowledged, and counting. The first run also starts clients and compiles nothing.

    Args:
        servers: A broker of its own; topics are left there.
        records: Trades, over four partitions.
        runs: How often it is replayed, each time into topics of its own.
    """
    return max(asyncio.run(_measure(servers, records, runs)))


async def _measure(servers: str, records: int, runs: int) -> list[float]:
    kafka = KafkaSettings(bootstrap_servers=servers, partitions=PARTITIONS)
    await fill(kafka, SOURCE, records)
    found = []
    for run in range(runs):
        source = TopicSource.open(kafka, SOURCE)
        plan = Plan(source.identity, Period(), {TRADES.base_name})
        replay = Replay(kafka, source, plan, Namespace(f"bench-{run}"), Pace(MAX))
        began = time.perf_counter()
        outcome = await replay.run(asyncio.Event())
        found.append(outcome.records.total() / (time.perf_counter() - began))
    return found


async def fill(kafka: KafkaSettings, space: Namespace, records: int) -> None:
    """Trades of five symbols a partition, a mark every five seconds."""
    Admin(kafka).ensure_topics([TRADES.in_namespace(space)])
    publisher = Publisher(kafka)
    name = TRADES.in_namespace(space).name
    share = records // kafka.partitions
    for partition in range(kafka.partitions):
        for first in range(0, share, PORTION):
            batch = _trades(partition, first, min(PORTION, share - first))
            await publisher.publish_columns(name, partition, batch)
            time_us = BASE_US + (first + PORTION) * TRADE_US
            mark = TimeMark("binance", "bench", time_us, False, "bench")
            await publisher.publish_columns(name, partition, OutgoingRecords.of([(None, encode(mark))]))
    await publisher.close()


def _trades(partition: int, first: int, count: int) -> OutgoingRecords:
    numbers = np.arange(first, first + count)
    symbols = [f"S{partition}{index}/USDT" for index in range(5)]
    ids = [str(number) for number in numbers.tolist()]
    texts = Spans.of(
        [text.encode() for text in ("binance", *symbols, *(f"binance:{s}" for s in symbols), *ids)]
    )
    chosen = numbers % len(symbols)
    draft = ColumnWriter(Trade).begin(count, texts.data)
    draft.text("venue", texts.take(np.zeros(count, np.int64)))
    draft.text("symbol", texts.take(1 + chosen))
    draft.text("trade_id", texts.take(11 + np.arange(count)))
    draft.set("sequence", numbers)
    draft.set("price", 100 + numbers * 0.01)
    draft.set("size", 1.5)
    draft.set("side", 1)
    draft.set("event_time", BASE_US + numbers * TRADE_US)
    draft.set("receive_time", BASE_US + numbers * TRADE_US + 5_000)
    draft.set("raw_size", 0.0, valid=False)
    return OutgoingRecords(texts.take(6 + chosen), draft.encode())


def main() -> None:
    """Measure on a broker of its own and print one JSON object."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    with tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder, broker(Path(folder)) as servers:
        print(json.dumps({"replay_records_per_s": round(replay_records_per_s(servers, records))}))


if __name__ == "__main__":
    main()
