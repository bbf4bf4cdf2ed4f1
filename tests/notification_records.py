"""Records that notifications are about."""

from __future__ import annotations

from schemas.records import Severity, Signal, SystemEvent

TIME_US = 1_700_000_000_000_000
"""2023-11-14 22:13:20 UTC."""


def signal(id_: str = "signal/1", strength: float = 0.8, complete: bool = True) -> Signal:
    return Signal(
        id=id_,
        venue="binance",
        symbol="BTC/USDT",
        interval="1m",
        open_time=TIME_US - 60_000_000,
        event_time=TIME_US,
        rule="cross(10,30)",
        direction="long",
        strength=strength,
        values={"fast": 1.5, "slow": 1.25},
        candle_id="candle/1",
        complete=complete,
    )


def price_alert(id_: str = "signal/2") -> Signal:
    return Signal(
        id=id_,
        venue="binance",
        symbol="BTC/USDT",
        interval="trade",
        open_time=TIME_US,
        event_time=TIME_US,
        rule="price_alert_high",
        direction="long",
        strength=1.0,
        values={"price": 70000.5, "level": 70000.0},
        candle_id="",
        complete=True,
    )


def event(type_: str, severity: Severity = "warning", **data: str) -> SystemEvent:
    return SystemEvent(
        id=f"event/{type_}",
        type=type_,
        source="producer-0",
        severity=severity,
        message="it happened",
        data=data,
        event_time=TIME_US,
    )
