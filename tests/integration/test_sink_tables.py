"""Every table of the sink on a real Kafka and a real PostgreSQL: each record once, and as it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.rows import dict_row

from infra.settings import Settings
from schemas.errors import ConflictError
from schemas.records import (
    AuditEntry,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Liquidation,
    LiveCandle,
    Record,
    SystemEvent,
)
from schemas.topics import (
    AUDIT,
    DERIVATIVES,
    EXCHANGE_CANDLES,
    INSTRUMENTS,
    LIQUIDATIONS,
    LIVE_CANDLES,
    SYSTEM_EVENTS,
    Topic,
)
from sinks import stage
from sinks.migrator import migrate
from sinks.timescale.layout import AnyTable
from sinks.timescale.row_tables import ROW_TABLES
from sinks.timescale.tables import LIVE_CANDLES as LIVE_TABLE
from sinks.timescale.tables import TABLES
from tests.sink_harness import (
    PARTITIONS,
    Log,
    fresh_topics,
    query,
    running,
    settings_for,
    totals,
    until,
    url_of,
)
from tests.sink_samples import MINUTE_US, moment, sample, shown

Databases = Callable[[], str]
ONLY = ("timescale",)
ALL: list[AnyTable] = [*TABLES, *ROW_TABLES]


@pytest.fixture
def settings(kafka: str, sink_database: Databases) -> Settings:
    found = settings_for(kafka, sink_database())
    fresh_topics(found.kafka)
    return found


@pytest.fixture
def log(kafka: str) -> Log:
    return Log(kafka)


def view(settings: Settings, name: str, order: str = "time") -> list[dict[str, Any]]:
    with psycopg.connect(url_of(settings), row_factory=dict_row) as db:
        db.execute("SET TimeZone = 'UTC'")
        return db.execute(f'SELECT * FROM public."{name}" ORDER BY {order}'.encode()).fetchall()


async def stored(settings: Settings, log: Log, topic: Topic, *portions: list[Record]) -> None:
    """Put portions into a topic, each once the one before is stored."""

    def end() -> int:
        return totals(url_of(settings), "timescale", topic)[0] or 0

    goal = 0
    async with running(settings, ONLY) as task:
        for portion in portions:
            log.put(topic, 0, portion)
            goal += len(portion)
            await until(lambda goal=goal: end() == goal, task=task)  # type: ignore[misc]


async def test_what_is_written_twice_is_stored_once_in_every_table(settings: Settings, log: Log) -> None:
    sent: dict[str, list[Record]] = {}
    for table in ALL:
        partition = PARTITIONS - 1 if table.topic.keyed else 0
        sent[table.name] = [
            sample(table.record, number, symbol) for symbol in ("BTC/USDT", "ETH/USDT") for number in range(3)
        ]
        log.put(table.topic, partition, [*sent[table.name], *sent[table.name]])

    async def settled(rounds: int) -> None:
        def ends() -> bool:
            return all(totals(url_of(settings), "timescale", t.topic)[0] == 12 * rounds for t in ALL)

        async with running(settings, ONLY) as task:
            await until(ends, task=task)

    async def agree(repeats: int) -> None:
        for table in ALL:
            kept = sent[table.name]
            if table is LIVE_TABLE:
                kept = [kept[2], kept[5]]  # the newest of each symbol
            counts = totals(url_of(settings), "timescale", table.topic)[1:]
            assert counts[3] == 0, table.name
            assert sum(counts) == 12 + repeats, (table.name, counts)
            rows = view(settings, table.view)
            expected = [shown(record, list(rows[0])) for record in kept]
            keys = list(expected[0])
            assert len(keys) >= 6, table.name
            found = [{key: row[key] for key in keys} for row in rows]
            assert sorted(map(str, found)) == sorted(map(str, expected)), table.name
            if table is not LIVE_TABLE:
                assert counts[0] == 6, (table.name, counts)

    await settled(1)
    await agree(0)
    for table in ALL:
        log.put(
            table.topic, PARTITIONS - 1 if table.topic.keyed else 0, [*sent[table.name], *sent[table.name]]
        )
    await settled(2)
    await agree(12)


async def test_an_exchange_candle_keeps_its_newest_state_whatever_the_order(
    settings: Settings, log: Log
) -> None:
    last = sample(ExchangeCandle)
    assert isinstance(last, ExchangeCandle)
    assert last.event_time is not None

    def state(close: float, before: int) -> ExchangeCandle:
        assert last.event_time is not None
        time = last.event_time - before
        return msgspec.structs.replace(last, close=close, closed=False, event_time=time)

    await stored(
        settings,
        log,
        EXCHANGE_CANDLES,
        [state(1.0, 30), state(2.0, 20)],
        [state(3.0, 10), last, last, state(2.5, 15)],
        [state(9.0, 5)],
    )
    (found,) = view(settings, "exchange_candles")
    assert (found["close"], found["closed"]) == (last.close, True)
    # Of the first portion one row is the newest; the second replaces it once; the third is older.
    stored_rows, revised, repeated, dead = totals(url_of(settings), "timescale", EXCHANGE_CANDLES)[1:]
    assert (stored_rows, dead) == (1, 0)
    assert 1 <= revised <= 3
    assert stored_rows + revised + repeated == 7


async def test_a_live_candle_follows_its_market_and_never_goes_back(settings: Settings, log: Log) -> None:
    first, second = sample(LiveCandle, 0), sample(LiveCandle, 1)
    assert isinstance(first, LiveCandle)
    later = msgspec.structs.replace(first, as_of=first.as_of + 5, close=50.0)
    await stored(settings, log, LIVE_CANDLES, [first, later], [second], [later, first])
    (found,) = view(settings, "live_candles")
    assert (found["time"], found["close"]) == (moment(second.open_time), second.close)  # type: ignore[attr-defined]
    assert totals(url_of(settings), "timescale", LIVE_CANDLES)[1:] == (1, 1, 3, 0)


async def test_messages_of_one_moment_fill_each_others_silence(settings: Settings, log: Log) -> None:
    whole = sample(DerivativeTicker)
    assert isinstance(whole, DerivativeTicker)
    silent = msgspec.structs.replace(
        whole,
        mark_price=None,
        index_price=None,
        funding_rate=None,
        next_funding_time=None,
        open_interest=None,
    )
    marks = msgspec.structs.replace(silent, mark_price=1.0, index_price=2.0)
    funding = msgspec.structs.replace(
        silent, funding_rate=0.5, mark_price=99.0, receive_time=whole.receive_time + 5
    )
    interest = msgspec.structs.replace(silent, open_interest=7.0)
    await stored(settings, log, DERIVATIVES, [marks, funding, marks], [interest], [interest, marks])
    (found,) = view(settings, "derivatives")
    assert [found[name] for name in ("mark_price", "index_price", "funding_rate", "open_interest")] == [
        *(1.0, 2.0, 0.5, 7.0)
    ]
    assert found["receive_time"] == moment(whole.receive_time)
    assert totals(url_of(settings), "timescale", DERIVATIVES)[1:] == (1, 1, 4, 0)


async def test_liquidations_of_one_moment_are_told_apart(settings: Settings, log: Log) -> None:
    one = sample(Liquidation)
    assert isinstance(one, Liquidation)
    others = [
        msgspec.structs.replace(one, side="buy"),
        msgspec.structs.replace(one, side="unknown"),
        msgspec.structs.replace(one, size=9.0),
        msgspec.structs.replace(one, price=9.0),
    ]
    again = msgspec.structs.replace(one, receive_time=one.receive_time + 99)
    await stored(settings, log, LIQUIDATIONS, [one, *others, again, *others])
    found = view(settings, "liquidations")
    assert sorted((row["side"], row["price"], row["size"]) for row in found) == sorted(
        (each.side, each.price, each.size) for each in (one, *others)
    )
    assert totals(url_of(settings), "timescale", LIQUIDATIONS)[1:] == (5, 0, 5, 0)


async def test_listings_show_the_newest_state_and_all_changes(settings: Settings, log: Log) -> None:
    listed = sample(Instrument)
    assert isinstance(listed, Instrument)
    trading = msgspec.structs.replace(listed, status="trading", event_time=listed.event_time + MINUTE_US)
    gone = msgspec.structs.replace(trading, status="delisted", event_time=trading.event_time + MINUTE_US)
    other = msgspec.structs.replace(trading, symbol="ETH/USDT", base="ETH", venue_symbol="ETHUSDT")
    wide = msgspec.structs.replace(trading, symbol="1000000BABYDOGE/USDT", base="1000000BABYDOGE")
    await stored(settings, log, INSTRUMENTS, [trading, listed, gone, other, wide], [listed, trading])
    assert [(row["symbol"], row["status"]) for row in view(settings, "listings", "symbol")] == [
        ("1000000BABYDOGE/USDT", "trading"),
        ("BTC/USDT", "delisted"),
        ("ETH/USDT", "trading"),
    ]
    changes = [row["status"] for row in view(settings, "listing_changes") if row["symbol"] == "BTC/USDT"]
    assert changes == ["halted", "trading", "delisted"]
    assert query(url_of(settings), "SELECT * FROM public.trading_pairs ORDER BY symbol") == [
        ("BTC/USDT", "BTC", "binance", False),
        ("ETH/USDT", "ETH", "binance", True),
    ]


async def test_the_audit_takes_no_change_and_bad_entries_are_put_aside(settings: Settings, log: Log) -> None:
    entry = sample(AuditEntry)
    assert isinstance(entry, AuditEntry)
    odd = msgspec.structs.replace(
        entry, id="odd", before='{"a": "\\u0000 \\ud800", "a": 1e999}', after="null"
    )
    bad = [
        msgspec.structs.replace(entry, id="no-json", after="{"),
        msgspec.structs.replace(entry, id="nan", after="NaN"),
        msgspec.structs.replace(entry, id="zero", subject="a\0b"),
        msgspec.structs.replace(entry, id=""),
        msgspec.structs.replace(entry, id="x" * 3000),
        msgspec.structs.replace(entry, id="late", event_time=2**62),
        msgspec.structs.replace(entry, id="deep", after="[" * 200_000),
    ]
    await stored(settings, log, AUDIT, [entry, *bad, odd])
    assert totals(url_of(settings), "timescale", AUDIT)[1:] == (2, 0, 0, len(bad))
    found = query(url_of(settings), "SELECT before::text FROM public.audit_entries WHERE id = 'odd'")
    assert found == [(odd.before,)]
    for change in ("DELETE FROM", "UPDATE", "TRUNCATE"):
        statement = f"{change} kandle.audit_log" + (" SET actor = 'eve'" if change == "UPDATE" else "")
        with psycopg.connect(url_of(settings)) as db, pytest.raises(psycopg.Error, match="append-only"):
            db.execute(statement.encode())
    assert len(view(settings, "audit_entries")) == 2


async def test_bad_system_events_are_put_aside(settings: Settings, log: Log) -> None:
    event = sample(SystemEvent)
    assert isinstance(event, SystemEvent)
    bad = [
        msgspec.structs.replace(event, id="zero", data={"a": "\0"}),
        msgspec.structs.replace(event, id="zero-2", data={"\0": "a"}),
        msgspec.structs.replace(event, id="zero-3", message="\0"),
    ]
    await stored(settings, log, SYSTEM_EVENTS, [*bad, event])
    assert totals(url_of(settings), "timescale", SYSTEM_EVENTS)[1:] == (1, 0, 0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "ALTER TABLE kandle.market_bars DROP COLUMN vwap",
            "market_bars has no column vwap for field vwap of TradeBar",
        ),
        (
            "ALTER TABLE kandle.event_log ALTER severity TYPE varchar(9)",
            r"event_log.severity is of type character varying\(9\), but field severity of SystemEvent needs",
        ),
        (
            "ALTER TABLE kandle.audit_log ADD COLUMN who text NOT NULL",
            "audit_log.who must not be null and no field",
        ),
    ],
)
async def test_tables_that_do_not_fit_their_records_stop_the_sink(
    settings: Settings, change: str, message: str
) -> None:
    await asyncio.to_thread(migrate, url_of(settings))
    with psycopg.connect(url_of(settings)) as db:
        for name in ("trade_bars", "system_events"):
            db.execute(f"DROP VIEW public.{name}".encode())
        db.execute(change.encode())
    with pytest.raises(ConflictError, match=message):
        await asyncio.wait_for(stage.run(settings, asyncio.Event(), ONLY), 30)
