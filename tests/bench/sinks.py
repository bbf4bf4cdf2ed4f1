"""From trades in Kafka to committed rows: the shipped sink beside bare ways to write the same rows.

`kandle sink` with its defaults (each trade once, offsets in the same transaction, partitions made as they are
needed, synchronous commits) reads a log that was written before into a new database; then the peers write
the same rows, taken from that database, into a table without an index; and again, so that what else the
machine does hits all alike. Figures are medians, ratios are of medians. The clock of a run starts when the
first trades are committed and stops when the last are.

python -m tests.bench.sinks --json
python -m tests.bench.sinks --memory --json       most memory with a database that does not answer

With KANDLE_TEST_TIMESCALE_URL all of it is measured there as well.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from infra.embedded import cluster
from infra.settings import SinkSettings
from tests.bench import copy_peers, sink_latency
from tests.bench.bench_broker import Broker, filled_broker
from tests.bench.sink_process import STORED, TABLE, SinkProcess, fresh_database, value_of
from tests.bench.trade_log import TradeLog

SYMBOLS = 200
TRADES_A_SYMBOL = 50
"""Trades of each symbol in a second of event time, in the mean."""
TRADES = 3_000_000
ROUNDS = 3
COPIED = 1_000_000
"""Rows that the bare COPY writes."""
BY_ROW = 50_000
"""Rows that the peers in Python's values write."""
LATENCY_S = 15.0
TIMESCALE_VARIABLE = "KANDLE_TEST_TIMESCALE_URL"
HELD_UP_S = 6.0
METHOD = (
    "kandle sink as shipped, from a filled topic to committed rows with offsets; peers write the same rows, "
    "prepared, into the same table without an index; in turn, medians, the sink's rate by the peer's"
)

Runs = dict[str, list[float]]


def sink_run(broker: Broker, url: str, trades: int) -> dict[str, float]:
    """One run of the sink over the whole log."""
    with psycopg.connect(url, autocommit=True) as db, SinkProcess.running(broker.servers, url) as sink:
        first, began = sink.wait(db, 1)
        used = sum(sink.process.cpu_times()[:2])
        stored, ended = sink.wait(db, trades)
        busy_s = sum(sink.process.cpu_times()[:2]) - used
        return {
            "rows_per_s": (stored - first) / (ended - began),
            "cpu_us_per_row": busy_s / (stored - first) * 1e6,
            "rss_mb": sink.peak_rss_mb,
        }


def peers_run(db: psycopg.Connection[Any], portion: int, runs: Runs) -> None:
    """Each peer once, on the rows that a run of the sink has stored."""
    rows = copy_peers.rows_of(db, COPIED)
    portions, count = copy_peers.portions_of(rows, portion), len(rows)
    del rows
    runs.setdefault("copy_binary", []).append(copy_peers.copy_binary(db, portions, count))
    values = copy_peers.values_of(db, BY_ROW)
    runs.setdefault("copy_text_rows", []).append(copy_peers.copy_text(db, values, portion))
    runs.setdefault("executemany", []).append(copy_peers.executemany(db, values, portion))


def size_of(db: psycopg.Connection[Any]) -> dict[str, float]:
    """Bytes a trade on disk, indexes included; on TimescaleDB again when all is in the columnstore."""
    count = value_of(db, f"SELECT count(*) FROM {TABLE}")
    if not value_of(db, copy_peers.IS_HYPERTABLE):
        whole = (
            "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits "
            f"WHERE inhparent = '{TABLE}'::regclass"
        )
        return {"bytes_per_row": round(value_of(db, whole) / count, 1)}
    schema = copy_peers.timescale_schema(db)
    # Its policy may have begun already: old chunks are put there soon after they are written.
    db.execute(
        f"SELECT {schema}.compress_chunk(chunk, if_not_compressed => true) "
        f"FROM {schema}.show_chunks('{TABLE}') chunk".encode()
    )
    ((before, after),) = db.execute(
        "SELECT before_compression_total_bytes, after_compression_total_bytes "
        f"FROM {schema}.hypertable_compression_stats('{TABLE}')".encode()
    ).fetchall()
    return {
        "bytes_per_row": round(before / count, 1),
        "bytes_per_row_compressed": round(after / count, 1),
    }


def versions_of(db: psycopg.Connection[Any]) -> dict[str, str]:
    """Of the server and what matters of its settings."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level")
    found = {name: str(value_of(db, f"SHOW {name}")) for name in names}
    extension = db.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    return found | ({"timescaledb": extension[0]} if extension else {})


def throughput(broker: Broker, server: str, trades: int, rounds: int) -> dict[str, Any]:
    """The sink and its peers, alternately."""
    portion = SinkSettings().max_rows
    ours: list[dict[str, float]] = []
    runs: Runs = {}
    figures: dict[str, Any] = {}
    load_before = os.getloadavg()[0]
    for _ in range(rounds):
        with fresh_database(server) as url:
            ours.append(sink_run(broker, url, trades))
            with psycopg.connect(url, autocommit=True) as db:
                peers_run(db, portion, runs)
                if not figures:
                    figures = {**size_of(db), "versions": versions_of(db)}
    median = {name: statistics.median(run[name] for run in ours) for name in ours[0]}
    peers = {
        name: {
            "rows_per_s": round(statistics.median(rates)),
            "ratio": round(median["rows_per_s"] / statistics.median(rates), 3),
            "runs": [round(rate) for rate in rates],
        }
        for name, rates in runs.items()
    }
    return {
        "rows_per_s": round(median["rows_per_s"]),
        "ratio_to_copy": peers["copy_binary"]["ratio"],
        "runs": [round(run["rows_per_s"]) for run in ours],
        "peers": peers,
        "cpu_us_per_row": round(median["cpu_us_per_row"], 3),
        "rss_mb": round(max(run["rss_mb"] for run in ours), 1),
        **figures,
        "portion_rows": portion,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }


def held_up(broker: Broker, server: str, trades: int) -> dict[str, float]:
    """Most memory of the sink while another transaction holds the table and the log is unread; then all."""
    with (
        fresh_database(server) as url,
        psycopg.connect(url, autocommit=True) as db,
        SinkProcess.running(broker.servers, url) as sink,
    ):
        sink.wait(db, 1)
        at_start = sink.peak_rss_mb
        with db.transaction():
            db.execute(f"LOCK TABLE {TABLE} IN SHARE MODE".encode())
            unread = trades - int(value_of(db, STORED))
            time.sleep(HELD_UP_S)
            held = sink.peak_rss_mb
        sink.wait(db, trades)
        return {
            "rss_mb_at_first_rows": round(at_start, 1),
            "rss_mb_while_held_up": round(held, 1),
            "rss_mb_at_end": round(sink.peak_rss_mb, 1),
            "records_unread": unread,
        }


def on_servers(servers: dict[str, str], measured: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The figures of the first server, with those of others under their names."""
    (_, first), *others = servers.items()
    return measured(first) | {name: measured(server) for name, server in others}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--trades", type=int, default=TRADES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=LATENCY_S, help="of the latency, after a warm-up")
    parser.add_argument("--memory", action="store_true", help="only the memory while the database is slow")
    given = parser.parse_args()
    if given.trades < 4 * SinkSettings().max_rows:
        parser.error(f"a log of four portions, {4 * SinkSettings().max_rows} trades, is the least")
    rate = SYMBOLS * TRADES_A_SYMBOL
    log = TradeLog(SYMBOLS, rate, max(1, given.trades // rate))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kandle-bench-"))
        servers = {"postgresql": stack.enter_context(cluster.database(Path(folder)))}
        if os.environ.get(TIMESCALE_VARIABLE):
            servers["timescale"] = os.environ[TIMESCALE_VARIABLE]
        latency: dict[str, Any] = {}
        if not given.memory:
            latency = {
                "latency": on_servers(servers, lambda server: sink_latency.measure(server, given.seconds))
            }
        broker = stack.enter_context(filled_broker(log))

        def measured(server: str) -> dict[str, Any]:
            if given.memory:
                return held_up(broker, server, log.trades)
            return throughput(broker, server, log.trades, given.rounds)

        figures = on_servers(servers, measured)
    figures |= latency | {"method": METHOD, "python": platform.python_version()}
    figures |= {
        "psycopg": psycopg.__version__,
        "trades": log.trades,
        "symbols": SYMBOLS,
        "cores": os.cpu_count(),
    }
    print(json.dumps(figures) if given.json else json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
