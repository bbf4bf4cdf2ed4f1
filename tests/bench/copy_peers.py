"""Other ways to bring the same rows into the same table, without Kafka and without offsets.

The table has the columns of the sink's, is cut by time as it is, and has no index. Each peer is one process
with one connection, commits with the server's defaults, and has its data ready when the clock starts.
"""

import time
from collections.abc import Sequence
from typing import Any

import psycopg

from sinks.timescale.copy_binary import HEADER, TRAILER
from sinks.timescale.tables import TRADES
from tests.bench.sink_process import TABLE, value_of

COLUMNS = ", ".join(f'"{name}"' for name in TRADES.columns)
TEXT = f"COPY bench.trades ({COLUMNS}) FROM STDIN".encode()
BINARY = TEXT + b" (FORMAT binary)"
IS_HYPERTABLE = "SELECT hypertable FROM kandle.time_tables WHERE name = 'market_trades'"


def rows_of(db: psycopg.Connection[Any], count: int) -> list[bytes]:
    """The bytes of rows that the sink has stored, as COPY takes them, in the order in which they stand."""
    query = f"COPY (SELECT {COLUMNS} FROM {TABLE} LIMIT {count}) TO STDOUT (FORMAT binary)"
    with db.cursor().copy(query.encode()) as out:
        found = [bytes(data) for data in out]
    # The server sends a row a message; the first has the header before it, the last is the trailer.
    found[0] = found[0].removeprefix(HEADER)
    return [data for data in found if data not in (b"", TRAILER)]


def values_of(db: psycopg.Connection[Any], count: int) -> list[tuple[Any, ...]]:
    """The same rows as Python's values."""
    return db.execute(f"SELECT {COLUMNS} FROM {TABLE} LIMIT {count}".encode()).fetchall()


def portions_of(rows: Sequence[bytes], size: int) -> list[bytes]:
    """The data of COPY for each portion."""
    return [HEADER + b"".join(rows[first : first + size]) + TRAILER for first in range(0, len(rows), size)]


def timescale_schema(db: psycopg.Connection[Any]) -> str:
    """Where the extension's functions are."""
    return str(
        value_of(
            db,
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "WHERE e.extname = 'timescaledb'",
        )
    )


def make_table(db: psycopg.Connection[Any]) -> None:
    """The table without an index, empty."""
    db.execute("CREATE SCHEMA IF NOT EXISTS bench")
    db.execute("DROP TABLE IF EXISTS bench.trades")
    like = f"CREATE TABLE bench.trades (LIKE {TABLE})"
    if value_of(db, IS_HYPERTABLE):
        db.execute(like.encode())
        schema = timescale_schema(db)
        db.execute(
            f"SELECT {schema}.create_hypertable('bench.trades', {schema}.by_range('time', interval '1 day'), "
            "create_default_indexes => false)".encode()
        )
        return
    db.execute(f"{like} PARTITION BY RANGE (time)".encode())
    first, last = db.execute(f"SELECT min(time)::date, max(time)::date FROM {TABLE}".encode()).fetchall()[0]
    for day in range(first.toordinal(), last.toordinal() + 1):
        begin, end = first.fromordinal(day), first.fromordinal(day + 1)
        db.execute(
            f"CREATE TABLE bench.trades_{day} PARTITION OF bench.trades "
            f"FOR VALUES FROM ('{begin} 00:00+00') TO ('{end} 00:00+00')".encode()
        )


def copy_binary(db: psycopg.Connection[Any], portions: Sequence[bytes], rows: int) -> float:
    """Rows a second of COPY with prepared bytes, a transaction a portion."""
    make_table(db)
    began = time.perf_counter()
    for portion in portions:
        with db.cursor() as cursor, cursor.copy(BINARY) as out:
            out.write(portion)
    return rows / (time.perf_counter() - began)


def copy_text(db: psycopg.Connection[Any], values: Sequence[tuple[Any, ...]], portion: int) -> float:
    """Rows a second of COPY in text, row by row, a transaction a portion."""
    make_table(db)
    began = time.perf_counter()
    for first in range(0, len(values), portion):
        with db.cursor() as cursor, cursor.copy(TEXT) as out:
            for row in values[first : first + portion]:
                out.write_row(row)
    return len(values) / (time.perf_counter() - began)


def executemany(db: psycopg.Connection[Any], values: Sequence[tuple[Any, ...]], portion: int) -> float:
    """Rows a second of INSERT by `executemany`, a transaction a portion."""
    make_table(db)
    places = ", ".join(["%s"] * len(TRADES.columns))
    insert = f"INSERT INTO bench.trades ({COLUMNS}) VALUES ({places})".encode()
    began = time.perf_counter()
    for first in range(0, len(values), portion):
        with db.transaction(), db.cursor() as cursor:
            cursor.executemany(insert, values[first : first + portion])
    return len(values) / (time.perf_counter() - began)
