"""How fast trades go from a topic into the archive, and what one takes there.

One process on a core of its own, a real broker on the other; files on a disk, synced. Beside it, in the same
run: what pyarrow alone needs to write the same rows, from memory, in files as large.

python -m tests.bench.archive [--json]
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.settings import ArchiveSettings, KafkaSettings, Settings
from schemas.topics import TRADES
from sinks import stage
from sinks.archive.catalogue import Holding, holding, manifests, partitions, read_file, table_of
from sinks.archive.files import parquet_bytes
from sinks.archive.manifest import log_folder
from sinks.archive.store import Store, open_store
from tests.bench.bench_broker import PARTITIONS, WORKER_CORE, filled_broker, pinned
from tests.bench.trade_log import TradeLog

SYMBOLS = 100
RATE = 20_000
SECONDS = 75
TIMEOUT_S = 300.0


def holdings(store: Store) -> list[Holding]:
    if not store.folders(log_folder(TRADES.name)):
        return []
    return [holding(store, id_) for id_ in partitions(store)]


async def fill(settings: Settings, store: Store, goal: int) -> tuple[float, float]:
    """Seconds from when the partitions are placed until all is archived, and CPU seconds in all."""
    cpu_s = time.process_time()
    stop = asyncio.Event()
    task = asyncio.create_task(stage.run(settings, stop, ["archive"]))
    began = None
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = await asyncio.to_thread(holdings, store)
        if began is None and len(found) == PARTITIONS:
            began = time.perf_counter()
        if sum(held.rows for held in found) >= goal:
            break
        if task.done() or time.monotonic() > deadline:
            await task
            raise TimeoutError("not in time")
        await asyncio.sleep(0.02)
    assert began is not None
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    stop.set()
    await task
    return took_s, cpu_s


def alone(store: Store) -> tuple[int, float]:
    """Rows, and seconds that pyarrow takes to write them again."""
    rows, took_s = 0, 0.0
    for id_ in partitions(store):
        for manifest in manifests(store, id_):
            for file in manifest.files:
                table = table_of(read_file(store, id_, file))
                began = time.perf_counter()
                parquet_bytes(table)
                took_s += time.perf_counter() - began
                rows += table.num_rows
    return rows, took_s


def measure(seconds: int) -> dict[str, Any]:
    log = TradeLog(SYMBOLS, RATE, seconds)
    with filled_broker(log) as broker, tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder:
        goal = broker.end(TRADES.name)
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=broker.servers, partitions=PARTITIONS),
            archive=ArchiveSettings(url=Path(folder).as_uri(), topics=[TRADES.name], flush_s=1.0),
        )
        store = open_store(settings)
        with pinned(WORKER_CORE):
            took_s, cpu_s = asyncio.run(fill(settings, store, goal))
            rows, alone_s = alone(store)
        held = holdings(store)
        trades = [one.totals["trade"] for one in held]
        return {
            "rows": rows,
            "rows_per_s": round(goal / took_s),
            "rows_per_cpu_s": round(goal / cpu_s),
            "ratio_to_pyarrow_alone": round((goal / took_s) / (rows / alone_s), 3),
            "bytes_per_trade": round(sum(t.bytes for t in trades) / sum(t.rows for t in trades), 2),
            "files": sum(one.files for one in held),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of trades, 20,000 each")
    given = parser.parse_args()
    figures = measure(given.seconds)
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<24}{value:>14,}")


if __name__ == "__main__":
    main()
