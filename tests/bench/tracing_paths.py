"""The three ways of the data whose cost `tracing` measures, each as it is, but for what brings the data.

Run as a script it measures one way without traces, on whatever code PYTHONPATH names first: so the code
before traces is measured by the same lines.

python tests/bench/tracing_paths.py worker SERVERS DATABASE 3
"""

from __future__ import annotations

import asyncio
import functools
import json
import struct
import sys
import time
import uuid
from collections import Counter
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import psycopg
from aiokafka import TopicPartition
from faust.types import TP
from pydantic import SecretStr

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.kafka.raw_fetcher import Chunk
from infra.kafka.record_batches import RecordBatch, read_records, split_batches
from infra.settings import DatabaseSettings, KafkaSettings, ProcessorSettings, Settings
from processors.agents.indicators import IndicatorStep
from processors.agents.trades import TradeStep
from processors.engine.partitions import Partitions
from producers.connection import Portion as Frames
from producers.feed import Feed
from producers.markets import exchange_class
from producers.outlet import Outlet
from producers.session import Session
from schemas import rows
from schemas.columns import ColumnReader
from schemas.records import TimeMark, Trade
from schemas.topics import CANDLES, TRADES
from sinks.database import Database
from sinks.database_destination import DatabaseDestination
from sinks.destination import Log
from sinks.migrator import migrate
from sinks.portion import Portion, Slice, refuse_undecodable
from sinks.runner import INTERNED
from sinks.timescale.sink import TimescaleSink

FRAMES: Final = 20_000
FRAMES_A_READ: Final = 8
"""What one look at a busy socket brings."""
SYMBOLS: Final = 200
TRADES_A_SECOND: Final = 10_000
SECONDS: Final = 25
RECORDS_A_FETCH: Final = 25_000
ROWS: Final = 60_000
BEGAN_US: Final = 1_700_000_000_000_000
TRADED: Final = TP(TRADES.name, 0)


@functools.cache
def frames() -> list[bytes]:
    """Binance's trades of one symbol, ids dense."""
    return [
        json.dumps(
            {
                "stream": "btcusdt@trade",
                "data": {
                    "e": "trade",
                    "E": 1_700_000_000_000 + number // 10,
                    "s": "BTCUSDT",
                    "t": number + 1,
                    "p": f"{60_000 + number % 977 * 0.01:.8f}",
                    "q": "0.02000000",
                    "T": 1_700_000_000_000 + number // 10,
                    "m": number % 3 == 0,
                    "M": True,
                },
            },
            separators=(",", ":"),
        ).encode()
        for number in range(FRAMES)
    ]


class Connection:
    """Gives portions as `FeedConnection` does; all have arrived."""

    def __init__(self, portions: list[Frames]) -> None:
        self._portions = portions[::-1]

    @property
    def next_at_s(self) -> float | None:
        """When the next one came."""
        return self._portions[-1].at_s if self._portions else None

    def take(self) -> Frames:
        """The next one."""
        return self._portions.pop()


async def produce(servers: str, _database: str, sample: float) -> float:
    """CPU µs a frame: from what was read of a socket to what Kafka has acknowledged."""
    exchange = exchange_class("binance")(
        [found for name in ("BTCUSDT",) if (found := exchange_class("binance").guess(name))], ["trades"]
    )
    publisher = Publisher(KafkaSettings(bootstrap_servers=servers))
    outlet = Outlet(publisher, "binance", f"bench-{uuid.uuid4().hex[:8]}", 1, [TRADES], SimpleNamespace())
    feed = Feed(exchange, outlet.source, "bench", idle_marks=False)
    session = Session(exchange, feed, outlet, "ws://127.0.0.1", desk=SimpleNamespace())
    portions: list[Frames] = []
    read = frames()
    for first in range(0, FRAMES, FRAMES_A_READ):
        portion = Frames(time.time_ns() // 1_000, 0.0)
        portion.frames = read[first : first + FRAMES_A_READ]
        portions.append(portion)
    connection = Connection(portions)
    line: Any = SimpleNamespace(connection=connection, talk=None, heed=None)
    link: Any = SimpleNamespace(heard=lambda *_: None)
    began = time.process_time()
    while connection.next_at_s is not None:
        await session._take(link, line, 1.0)
        publisher.poll()
    await publisher.flush()
    used = time.process_time() - began
    await publisher.close()
    return used / FRAMES * 1e6


@functools.cache
def log(sample: float, count: int) -> list[RecordBatch]:
    """Trades of many symbols with a mark each second, as a fetch brings them; a share has the header."""
    random = np.random.default_rng(1)
    records: list[tuple[bytes | None, bytes | None]] = []
    numbers: Counter[int] = Counter()
    for number in range(count):
        symbol = int(random.integers(SYMBOLS))
        numbers[symbol] += 1
        at = BEGAN_US + number * 1_000_000 // TRADES_A_SECOND
        name, price = f"S{symbol}/USDT", 100 + symbol + numbers[symbol] % 7 / 100
        sequence = numbers[symbol]
        trade = Trade("binance", name, str(sequence), sequence, price, 0.5, "buy", at, at + 1_000)
        records.append((f"binance:{name}".encode(), rows.encode(trade)))
        if (number + 1) % TRADES_A_SECOND == 0:
            records.append((None, rows.encode(TimeMark("binance", "bench", at, False, "bench"))))
    outgoing = OutgoingRecords.of(records)
    if sample:
        from infra.tracing import HEADER, SpanContext

        chosen = np.flatnonzero(random.random(len(outgoing)) < sample).tolist()
        outgoing = outgoing.with_headers(
            {place: [(HEADER, SpanContext.root().traceparent.encode())] for place in chosen}
        )
    return fetched(outgoing, 0)


def fetched(outgoing: OutgoingRecords, offset: int) -> list[RecordBatch]:
    """What was packed, as a broker hands it on."""
    data = []
    for packed in outgoing.batches():
        data.append(struct.pack(">q", offset) + packed._build()[8:])
        offset += packed.record_count()
    return split_batches(b"".join(data))


class Outputs:
    """Takes what a step publishes, packs it, and keeps the candles for the step after it."""

    def __init__(self) -> None:
        self.candles: list[RecordBatch] = []
        self._offset = 0

    async def publish(self, *_: Any, **__: Any) -> None:
        """Nothing: single records are few."""

    async def publish_columns(self, topic: str, partition: int, records: OutgoingRecords, **_: Any) -> None:
        """Pack them."""
        packed = fetched(records, self._offset)
        if topic == CANDLES.name:
            self.candles += packed
            self._offset += len(records)

    async def flush(self, timeout_s: float) -> None:
        """All is there."""

    def raise_if_failed(self) -> None:
        """Nothing fails."""


class Group:
    """A group that nothing happens in."""

    generation = 1

    def is_current(self, tp: TP, generation: int) -> bool:
        """Always."""
        return True


async def process(servers: str, _database: str, sample: float) -> float:
    """CPU µs a trade: from fetched batches through both agents to packed batches."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=servers), processors=ProcessorSettings(signals=[])
    )
    outputs, closed = Outputs(), TP(CANDLES.name, 0)
    steps: list[Partitions[Any]] = []
    for kind, tp in ((TradeStep, TRADED), (IndicatorStep, closed)):
        partitions: Partitions[Any] = Partitions(
            kind(settings, outputs),  # type: ignore[arg-type]
            outputs,
            changelog="bench",
            topic_id="bench",
            checkpoint_interval_s=3_600,
            group=Group(),  # type: ignore[arg-type]
        )
        partitions.restore({tp: (0, 0)}, 1, lambda *_: {})
        steps.append(partitions)
    count = TRADES_A_SECOND * SECONDS
    portions = cut(log(sample, count), RECORDS_A_FETCH)
    began = time.process_time()
    for portion in portions:
        await steps[0].take(TRADED, 1, chunk(portion))
        taken, outputs.candles = outputs.candles, []
        if taken:
            await steps[1].take(closed, 1, chunk(taken))
    return (time.process_time() - began) / count * 1e6


def cut(batches: list[RecordBatch], records: int) -> list[list[RecordBatch]]:
    """Batches that come together: at least so many records, but for the last."""
    found: list[list[RecordBatch]] = [[]]
    for batch in batches:
        if sum(each.count for each in found[-1]) >= records:
            found.append([])
        found[-1].append(batch)
    return found


def chunk(batches: list[RecordBatch]) -> Chunk:
    """What one fetch brings."""
    return Chunk(batches, batches[0].base_offset, batches[-1].last_offset + 1)


async def store(_servers: str, database: str, sample: float) -> float:
    """CPU µs a row: from fetched batches to committed rows, each portion with its offset."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(f'CREATE DATABASE "{name}"'.encode())
    url = f"{database.rpartition('/')[0]}/{name}"
    await asyncio.to_thread(migrate, url)
    settings = Settings(database=DatabaseSettings(url=SecretStr(url)))
    pool = Database(settings.database)
    destination = DatabaseDestination(pool, TimescaleSink(settings.sink, pool))
    place = TopicPartition(TRADES.name, 0)
    ref = (await destination.place({place: Log("bench", 0, ROWS)}))[place].ref
    tracer = _tracer()
    reader = ColumnReader(interned=INTERNED)
    portions = cut(log(sample, ROWS), settings.sink.max_rows)
    began = time.process_time()
    for portion in portions:
        taken = chunk(portion)
        records = read_records(taken.batches, taken.start_offset)
        columns = reader.read(records.data, records.value_start, records.value_length)
        good = np.ones(len(columns), np.bool_)
        slice_ = Slice(ref, 0, taken.start_offset, taken.next_offset, records, columns, good)
        refuse_undecodable(slice_, TRADES.records)
        destination.inspect(slice_)
        began_ns = time.time_ns()
        await destination.store(Portion([slice_]))
        if tracer is not None:
            # As the runner does it.
            tracer.put_batch("store", records, (TRADES.name, 0), began_ns, "sink timescale", {})
    used = time.process_time() - began
    await destination.close()
    await pool.close()
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
    return used / ROWS * 1e6


def _tracer() -> Any:
    try:
        from infra import tracing
    except ImportError:
        return None
    return tracing.current()


PATHS: Final = {"producer": produce, "worker": process, "sink": store}


def main() -> None:
    """Print what a path costs without traces, some times over."""
    path, servers, database, rounds = sys.argv[1:]
    asyncio.run(PATHS[path](servers, database, 0.0))
    for _ in range(int(rounds)):
        print(asyncio.run(PATHS[path](servers, database, 0.0)), flush=True)


if __name__ == "__main__":
    main()
