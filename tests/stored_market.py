"""A market whose trades and all that follows from them stand in topics and tables, and damage by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from infra.comparison import Comparison
from infra.settings import Settings
from kandle.verification.run import Check, Verification, chosen_tables
from kandle.verification.stored import Range
from schemas.records import TimeMark
from schemas.topics import BY_BASE_NAME, CANDLES, INDICATORS, SIGNALS, TRADES
from sinks.sessions import connected
from tests.processor_harness import Feed, expected
from tests.sink_harness import Log, running, until_passed

DERIVED = (CANDLES, INDICATORS, SIGNALS)


@dataclass(frozen=True)
class Damage:
    """Rows of a table that somebody has changed.

    Attributes:
        table: Name of the table.
        view: Name of its view.
        column: A column of doubles that is not part of its key.
    """

    table: str
    view: str
    column: str

    def do(self, url: str) -> None:
        """Remove one row, double another and change a third one."""
        table = f"kandle.{self.table}"
        order = '"time", instrument_id' + (", name" if self.view == "indicators" else "")
        picked = f"WITH picked AS (SELECT tableoid AS part, ctid AS place FROM {table} ORDER BY {order} "
        this = "t.tableoid = picked.part AND t.ctid = picked.place"
        statements = {
            1: f"DELETE FROM {table} t USING picked WHERE {this}",
            3: f"INSERT INTO {table} SELECT t.* FROM {table} t, picked WHERE {this}",
            7: f"UPDATE {table} t SET {self.column} = {self.column} + 1 FROM picked WHERE {this}",
        }
        with psycopg.connect(url) as db:
            if db.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchall():
                # Rows in the columnstore, where a policy may have put them, have no place of their own.
                db.execute("SELECT decompress_chunk(c, true) FROM show_chunks(%s::regclass) c", (table,))
            unique = "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass"
            for (name,) in db.execute(unique, (table,)).fetchall():
                db.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
            for row, statement in statements.items():
                changed = db.execute(f"{picked} OFFSET {row} LIMIT 1) {statement}".encode())
                assert changed.rowcount == 1


DAMAGES = (
    Damage("market_trades", "trades", "price"),
    Damage("market_candles", "candles", "volume"),
    Damage("market_indicators", "indicators", "value"),
    Damage("market_signals", "signals", "strength"),
)


def put(log: Log, feed: Feed) -> None:
    """Trades, and what workers make of them."""
    for partition, items in feed.items():
        log.put(TRADES, partition, items)
        marks = [item for item in items if isinstance(item, TimeMark)]
        for name, records in expected({partition: items}).items():
            log.put(BY_BASE_NAME[name], partition, [*records.values(), *marks])


async def store(settings: Settings, url: str, instance: str = "run") -> None:
    """Run the sink until all of it is stored."""
    async with running(settings, ["timescale"]) as task:
        for topic in (TRADES, *DERIVED):
            await until_passed(url, "timescale", topic, instance=instance, task=task)


def verify(
    settings: Settings, tables: Sequence[str] = (), range_: Range | None = None
) -> dict[tuple[str, str], Check]:
    """What `kandle verify` finds, by what was compared."""
    with connected(settings.database, "verify") as db:
        verification = Verification(settings, range_ or Range(), lambda what, read, whole: None)
        checks = asyncio.run(verification.run(db, chosen_tables(tables)))
    return {(check.name, check.against): check for check in checks}


def faults(comparison: Comparison) -> dict[str, int]:
    """What is not as it should be, by kind."""
    kinds = ("lost", "duplicate", "differing", "contradicting", "reordered", "unseen")
    return {kind: getattr(comparison, kind) for kind in kinds if getattr(comparison, kind)}
