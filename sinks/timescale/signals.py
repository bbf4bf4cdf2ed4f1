"""Signals to rows: few, and of no fixed shape, so they go one by one."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from typing import Any, Final

from schemas.records import Signal
from sinks.database import Connection
from sinks.timescale.instruments import Instruments

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
INSERT: Final = (
    'INSERT INTO kandle.market_signals ("time", event_time, strength, instrument_id, complete, "interval", '
    'rule, direction, candle_id, "values") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) '
    "ON CONFLICT DO NOTHING"
)


async def store(db: Connection, signals: Sequence[Signal], instruments: Instruments) -> int:
    """Insert signals inside the transaction; returns how many were new."""
    async with db.cursor() as cursor:
        await cursor.executemany(INSERT, [_row(signal, instruments) for signal in signals])
        return cursor.rowcount


def _row(signal: Signal, instruments: Instruments) -> tuple[Any, ...]:
    # JSON has no infinities; a rule that saw one keeps it as text.
    values = {name: value if math.isfinite(value) else str(value) for name, value in signal.values.items()}
    return (
        _EPOCH + dt.timedelta(microseconds=signal.open_time),
        _EPOCH + dt.timedelta(microseconds=signal.event_time),
        signal.strength,
        instruments.id_of(signal.venue, signal.symbol),
        signal.complete,
        signal.interval,
        signal.rule,
        signal.direction,
        signal.candle_id,
        json.dumps(values),
    )
