"""One record of every kind that a table takes, and what its view shows of it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from schemas.records import (
    AuditEntry,
    BookUpdate,
    Candle,
    DerivativeTicker,
    ExchangeCandle,
    IndicatorValue,
    Instrument,
    Liquidation,
    LiveCandle,
    Notification,
    Quote,
    Record,
    Signal,
    SystemEvent,
    Ticker,
    Trade,
    TradeBar,
)
from tests.sink_harness import BASE_US

MINUTE_US = 60_000_000
DAY_START_US = BASE_US - BASE_US % 86_400_000_000
_FIGURES = (101.5, 109.25, 99.75, 104.0)
_TRADED = (12.5, 1300.25, 7.5)


def sample(kind: type[Record], number: int = 0, symbol: str = "BTC/USDT") -> Record:
    """A record in which no two fields have the same value; of different numbers have different keys."""
    at = BASE_US + number * MINUTE_US
    market = ("binance", symbol)
    opened = (at, at + MINUTE_US)
    samples: dict[type[Record], Record] = {
        Trade: Trade(*market, str(number), number, 100.5, 2.25, "sell", at, at + 7),
        Quote: Quote(*market, 100.5, 2.25, 100.75, 3.5, number, at, at + 7),
        Candle: Candle(*market, "1m", *opened, *_FIGURES, *_TRADED, 42, 1, 42, 0, True, 104.02),
        IndicatorValue: IndicatorValue(*market, "1m", at, "sma(20)", 101.25, 0, True),
        Ticker: Ticker(*market, 104.0, 103.5, 104.5, *_FIGURES[:3], 12.5, 1300.25, 2.5, 2.46, at, at + 7),
        ExchangeCandle: ExchangeCandle(
            *(
                *market,
                "1m",
                *opened,
                *_FIGURES,
                *_TRADED,
                42,
                3,
                44,
                True,
                at + MINUTE_US + 5,
                at + MINUTE_US + 7,
            )
        ),
        DerivativeTicker: DerivativeTicker(*market, 104.5, 104.25, -0.0001, at + MINUTE_US, 5e6, at, at + 7),
        BookUpdate: BookUpdate(
            *(
                *market,
                "snapshot",
                None,
                42,
                None,
                [100.5, 100.25],
                [1.5, 2.5],
                [101.0] * (number % 2),
                [3.0],
            ),
            *(None, at, at),
        ),
        Liquidation: Liquidation(*market, "sell", 104.5, 2.25, 225.0, at, at + 7),
        LiveCandle: LiveCandle(*market, "1m", *opened, *_FIGURES, *_TRADED, 42, at + 30_000_000),
        TradeBar: TradeBar(
            *(*market, "volume", 12.5, DAY_START_US, number, *opened, *_FIGURES, *_TRADED, 42),
            *(1, 42, 104.02, True, False),
        ),
        Instrument: Instrument(
            *market, "BTCUSDT", "BTC", "USDT", "perpetual", "halted", 0.01, 0.001, 5.0, 0.1, at
        ),
        Signal: Signal(
            *(
                f"signal-{symbol}-{number}",
                *market,
                "1m",
                at,
                at + MINUTE_US,
                "rsi_level(14,30,70)",
                "long",
                0.75,
            ),
            *({"rsi": 28.5}, f"candle-{number}", False),
        ),
        SystemEvent: SystemEvent(
            f"event-{symbol}-{number}",
            "gap",
            "binance-spot-0",
            "warning",
            "trades are missing",
            {"first": "7"},
            at,
        ),
        Notification: Notification(
            f"message-{symbol}-{number}",
            "signal.generated",
            "mailto-1a2b",
            "BTC/USDT long",
            "a\nb",
            "signal-1",
            at,
        ),
        AuditEntry: AuditEntry(
            f"entry-{symbol}-{number}", "ann@host", "alerts add", "alert 7", None, '{"level": 70000}', at
        ),
    }
    return samples[kind]


def shown(record: Record, columns: list[str]) -> dict[str, Any]:
    """What a view must show of a record in these columns, by the names of its fields."""
    found: dict[str, Any] = {}
    for column in columns:
        name = {"is_full": "full"}.get(column, column)
        if not hasattr(record, name):
            continue
        value = getattr(record, name)
        if name.endswith("_time") or name in ("as_of", "session"):
            value = None if value is None else moment(value)
        elif name in ("before", "after"):
            value = None if value is None else json.loads(value)
        found[column] = value
    return found


def moment(micros: int) -> dt.datetime:
    """Microseconds since 1970 as the database's driver gives them."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
