"""Candles from the stored trades: the same answers with TimescaleDB and without."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from sinks.migrator import migrate

Databases = Callable[[], str]
START = dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.UTC)
WIDTHS = {
    "1s": "1 second",
    "1m": "1 minute",
    "5m": "5 minutes",
    "15m": "15 minutes",
    "1h": "1 hour",
    "4h": "4 hours",
    "1d": "1 day",
}
EXPECTED = """
SELECT date_bin(interval '{width}', "time", '2000-01-01 00:00+00') AS at, symbol,
       (array_agg(price ORDER BY "time"))[1], max(price), min(price),
       (array_agg(price ORDER BY "time" DESC))[1],
       round(sum(size)::numeric, 6), round(sum(price * size)::numeric, 6), count(*),
       round(coalesce(sum(size) FILTER (WHERE side = 'buy'), 0)::numeric, 6)
FROM public.trades GROUP BY 1, 2 ORDER BY 1, 2
"""
FOUND = """
SELECT "time", symbol, open, high, low, close, round(volume::numeric, 6), round(quote_volume::numeric, 6),
       trade_count, round(taker_buy_volume::numeric, 6)
FROM public.trades_{name} ORDER BY 1, 2
"""
CANDLES = """
INSERT INTO kandle.market_candles ("time", close_time, open, high, low, close, volume, quote_volume,
    taker_buy_volume, trade_count, instrument_id, revision, complete, "interval")
SELECT date_bin(interval '{width}', "time", '2000-01-01 00:00+00'), now(),
       (array_agg(price ORDER BY "time"))[1], max(price), min(price),
       (array_agg(price ORDER BY "time" DESC))[1], sum(size), sum(price * size),
       coalesce(sum(size) FILTER (WHERE side = 'b'), 0), count(*), instrument_id, 0, true, '{name}'
FROM kandle.market_trades GROUP BY 1, instrument_id
ON CONFLICT (instrument_id, "interval", "time") DO UPDATE SET high = excluded.high, low = excluded.low,
    close = excluded.close, open = excluded.open, volume = excluded.volume,
    quote_volume = excluded.quote_volume, taker_buy_volume = excluded.taker_buy_volume,
    trade_count = excluded.trade_count
"""
"""What the workers make of the trades, as SQL."""


@pytest.fixture
def db(sink_database: Databases) -> Any:
    url = sink_database()
    migrate(url)
    with psycopg.connect(url, autocommit=True) as found:
        found.execute("SET timezone = 'UTC'")
        found.execute(
            "INSERT INTO kandle.instruments (venue, symbol) VALUES ('binance', 'A/B'), ('binance', 'C/D')"
        )
        for table, first in (("trades", "2026-03-01"), ("trades", "2026-03-02"), ("candles", "2026-03-01")):
            found.execute(
                "SELECT kandle.make_partition(name, %s) FROM kandle.time_tables "
                "WHERE name = %s AND NOT hypertable",
                (first, f"market_{table}"),
            )
        yield found


def trades(db: Any, first: int, count: int) -> None:
    """Trades of two markets, every 7.3 s and more, over midnight."""
    with db.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO kandle.market_trades ("time", receive_time, sequence, price, size, instrument_id, '
            'side) VALUES (%s, now(), %s, %s, %s, %s, %s::text::"char")',
            [
                (
                    *(
                        START + dt.timedelta(seconds=7.3 * number),
                        number,
                        100 + number % 13,
                        1 / (number + 1),
                    ),
                    *(number % 2 + 1, ("b", "s", None)[number % 3]),
                )
                for number in range(first, first + count)
            ],
        )
    for name in ("1s", "1m"):
        db.execute(CANDLES.format(name=name, width=WIDTHS[name]).encode())


def compare(db: Any) -> None:
    for name, width in WIDTHS.items():
        expected = db.execute(EXPECTED.format(width=width).encode()).fetchall()
        assert db.execute(FOUND.format(name=name).encode()).fetchall() == expected, name
        assert len(expected) > 2


def test_every_width_shows_the_stored_trades(db: Any) -> None:
    trades(db, 0, 400)
    compare(db)
    average = "SELECT count(*) FROM public.trades_1m WHERE vwap BETWEEN low AND high"
    assert db.execute(average).fetchone() == db.execute("SELECT count(*) FROM public.trades_1m").fetchone()


def test_late_trades_are_in_the_candles_after_a_refresh(db: Any) -> None:
    trades(db, 100, 300)
    db.execute("SELECT kandle.keep_aggregates(null)")
    refresh(db)
    compare(db)
    trades(db, 0, 100)
    refresh(db)
    compare(db)


def refresh(db: Any) -> None:
    """What TimescaleDB's jobs do by themselves, in their order."""
    if db.execute("SELECT hypertable FROM kandle.time_tables WHERE name = 'market_trades'").fetchone() == (
        True,
    ):
        for name in list(WIDTHS)[1:]:
            job = db.execute(
                "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_schema = 'kandle' "
                "AND hypertable_name = %s",
                (f"market_trades_{name}",),
            ).fetchone()
            db.execute("CALL public.run_job(%s)", job)
