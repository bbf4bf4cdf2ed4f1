"""What readers find in the catalogue and in the views of the requirements, on a real PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from sinks.migrator import migrate

Databases = Callable[[], str]
UNITS = re.compile(
    r"[Qq]uote currency|[Bb]ase units|percent|fraction|[Cc]ontracts|unit of the indicator|0 \(weak\)"
)
"""What a number that is no count is measured in."""
START = "2026-01-01 00:00+00"


@pytest.fixture
def url(sink_database: Databases) -> str:
    found = sink_database()
    migrate(found)
    return found


def test_every_table_view_and_column_has_a_comment_and_numbers_have_units(url: str) -> None:
    with psycopg.connect(url) as db:
        columns = db.execute(
            "SELECT c.oid::regclass::text, obj_description(c.oid, 'pg_class'), a.attname, "
            "col_description(c.oid, a.attnum), format_type(a.atttypid, a.atttypmod) "
            "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace::regnamespace::text IN ('kandle', 'public') "
            "AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition "
            "AND a.attnum > 0 AND NOT a.attisdropped "
            "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
        ).fetchall()
        functions = db.execute(
            "SELECT oid::regprocedure::text, obj_description(oid, 'pg_proc') FROM pg_proc "
            "WHERE pronamespace = 'kandle'::regnamespace"
        ).fetchall()
    assert len({name for name, *_ in columns}) > 30
    assert [name for name, told, *_ in columns if not told] == []
    assert [f"{name}.{column}" for name, _, column, told, _ in columns if not told] == []
    assert [name for name, told in functions if not told] == []
    unmeasured = [
        f"{name}.{column}: {told}"
        for name, about, column, told, kind in columns
        if kind in ("double precision", "numeric(20,8)") and not UNITS.search(f"{told} {about}")
    ]
    assert unmeasured == []


def test_the_manual_names_every_view_and_column_and_its_queries_run(url: str) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "database.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| ((?:\w+, )+\w+) \|$", manual, re.MULTILINE))
    with psycopg.connect(url) as db:
        found = db.execute(
            "SELECT c.relname, string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind = 'v' AND a.attnum > 0 GROUP BY 1"
        ).fetchall()
        # The views of candles by width are told of together.
        assert told == {view: columns for view, columns in found if not re.match(r"trades_\d", view)}
        # A namespace that the manual speaks of.
        db.execute("CREATE SCHEMA kandle_r1")
        db.execute("CREATE VIEW kandle_r1.candles AS TABLE candles")
        queries = re.findall(r"```sql\n(SELECT .*?)```", manual, re.DOTALL)
        for query in queries:
            db.execute(query.encode())
        db.rollback()
    assert len(queries) >= 6


def _candles(db: psycopg.Connection[tuple[object, ...]], instrument: int, venue: str, symbol: str) -> None:
    db.execute(
        "INSERT INTO kandle.instruments OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s)",
        (instrument, venue, symbol),
    )
    db.execute(
        'INSERT INTO kandle.market_candles ("time", close_time, open, high, low, close, volume, '
        'quote_volume, taker_buy_volume, trade_count, instrument_id, revision, complete, "interval") '
        "SELECT %s::timestamptz + n * interval '1 minute', now(), 0.1, 2, 0.1, %s, 1e12 - 0.5 + n, "
        "1, 1, 1, %s, 0, true, '1m' FROM generate_series(0, 1) n",
        (START, instrument, instrument),
    )


def test_ohlcv_data_shows_one_venue_a_symbol_by_the_order_of_venues(url: str) -> None:
    with psycopg.connect(url) as db:
        db.execute("SET TimeZone = 'Asia/Tokyo'")
        if db.execute("SELECT bool_or(hypertable) FROM kandle.time_tables").fetchone() != (True,):
            db.execute(
                "CREATE TABLE kandle.market_candles_202601 PARTITION OF kandle.market_candles "
                "FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')"
            )
        db.execute("INSERT INTO kandle.instruments (venue, symbol) VALUES ('binance', 'BTC/USDT')")
        for instrument, venue, symbol in (
            *((11, "aaa", "BTC/USDT"), (12, "mexc", "BTC/USDT"), (13, "gateio", "BTC/USDT")),
            *((14, "mexc", "ETH/USDT"), (15, "aaa", "ETH/USDT"), (16, "aaa", "X/Y"), (17, "bbb", "X/Y")),
            (18, "gateio", "BTC/USDT:USDT-26123199"),
        ):
            _candles(db, instrument, venue, symbol)
        db.execute("INSERT INTO kandle.venue_order VALUES ('binance', 1), ('gateio', 2), ('mexc', 3)")
        found = db.execute(
            "SELECT timestamp::text, symbol, timeframe, open::text, close::int, volume::text "
            "FROM public.ohlcv_data ORDER BY 2, 1"
        ).fetchall()
        assert [(symbol, close) for _, symbol, _, _, close, _ in found] == [
            *(("BTC/USDT", 13), ("BTC/USDT", 13)),
            *(("ETH/USDT", 14), ("ETH/USDT", 14), ("X/Y", 16), ("X/Y", 16)),
        ]
        assert found[0][:4] == ("2026-01-01 00:00:00", "BTC/USDT", "1m", "0.10000000")
        assert [row[5] for row in found[:2]] == ["999999999999.50000000", None]
        types = db.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attnum > 0 "
            "AND attrelid IN ('public.ohlcv_data'::regclass, 'public.trading_pairs'::regclass)"
        ).fetchall()
    figures = [(name, "numeric(20,8)") for name in ("open", "high", "low", "close", "volume")]
    assert sorted(map(tuple, types)) == sorted(
        [
            *(("timestamp", "timestamp without time zone"), ("symbol", "character varying(20)"), *figures),
            *(("timeframe", "character varying(10)"), ("symbol", "character varying(20)")),
            *(
                ("base", "character varying(10)"),
                ("exchange", "character varying(50)"),
                ("active", "boolean"),
            ),
        ]
    )


def test_the_name_executions_is_free(url: str) -> None:
    with psycopg.connect(url) as db:
        assert db.execute("SELECT to_regclass('public.executions')").fetchone() == (None,)
