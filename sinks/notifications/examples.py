"""An occasion of each type, made up, to look at templates and to try channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from schemas.errors import ConfigurationError
from schemas.records import Micros, Severity, Signal, SystemEvent
from sinks.notifications.message import DIGEST, FALLBACK, STORM, Message, Templates
from sinks.notifications.occasion import OTHER, Occasion, occasion_of

_EVENTS: Final[Mapping[str, tuple[str, Severity, str, Mapping[str, str]]]] = {
    "trade_executed": (
        *("trade.executed", "info", "order 4711 was executed"),
        {
            "venue": "binance",
            "symbol": "BTC/USDT",
            "side": "buy",
            "price": "67250.5",
            "quantity": "0.015",
            "pnl": "12.4",
            "strategy": "cross(10,30)",
        },
    ),
    "risk_limit_exceeded": (
        *("risk.limit.exceeded", "error", "the position in BTC/USDT is above its limit"),
        {"limit": "position", "symbol": "BTC/USDT", "value": "2.5", "allowed": "2"},
    ),
    "strategy_stopped": (
        *("strategy.stopped", "error", "three orders in a row were refused"),
        {"strategy": "cross(10,30)", "symbol": "BTC/USDT"},
    ),
    "payment_succeeded": (
        *("payment.succeeded", "info", "a payment came in"),
        {"amount": "29.90", "currency": "eur"},
    ),
    "payment_failed": (
        *("payment.failed", "warning", "the card was refused"),
        {"amount": "29.90", "currency": "eur"},
    ),
    "account_balance": (
        *("balance.changed", "info", "a deposit has arrived"),
        {"venue": "binance", "balance": "1250.75", "change": "250", "currency": "usdt"},
    ),
    "order_confirmation": (
        *("order.created", "info", "an order was placed"),
        {"orderId": "A-1001", "items": "2 x Standard plan", "total": "59.80"},
    ),
    "order_shipment": (
        *("order.shipped", "info", "an order was shipped"),
        {"orderId": "A-1001", "carrier": "DHL", "trackingNumber": "JD0146"},
    ),
    "provider_trouble": (
        *("provider.disconnected", "warning", "binance closed the connection: 1006"),
        {"provider": "binance", "attempt": "3"},
    ),
    OTHER: (
        *("gap", "warning", "a feed missed 12 trades"),
        {"venue": "binance", "symbol": "BTC/USDT", "missed": "12"},
    ),
}


def example_types() -> list[str]:
    """All types that there is an example of, those of several messages told as one included."""
    return sorted({"signal", "price_alert", *_EVENTS, STORM, DIGEST})


def example_message(templates: Templates, type_: str, channel_kind: str, now: Micros) -> Message:
    """A message of a type.

    Args:
        templates: Render it.
        type_: One of `example_types`, or a type of the user's own, which is shown as a system event.
        channel_kind: As `Channel.kind`.
        now: When it happened, µs since the epoch.

    Raises:
        ConfigurationError: There is no such type.
        ValidationError: A template wants what the example lacks, or fails.
    """
    if type_ in {STORM, DIGEST}:
        occasions = [_signal("signal", now + second * 1_000_000) for second in range(12)]
        if type_ == STORM:
            return templates.render_many(occasions, 40, channel_kind)
        return templates.render_digest(occasions, channel_kind)
    if type_ not in example_types() and type_ in templates.types():
        return templates.render(replace(example(OTHER, now), type=type_), channel_kind)
    return templates.render(example(type_, now), channel_kind)


def example(type_: str, now: Micros) -> Occasion:
    """An occasion of a type.

    Raises:
        ConfigurationError: There is no such type.
    """
    if type_ in {"signal", "price_alert"}:
        return _signal(type_, now)
    if type_ == FALLBACK:
        type_ = OTHER
    if type_ not in _EVENTS:
        raise ConfigurationError(f"there is no type {type_!r}; types are {', '.join(example_types())}")
    cause_type, severity, message, data = _EVENTS[type_]
    return occasion_of(
        SystemEvent(f"example/{type_}", cause_type, "example", severity, message, dict(data), now)
    )


def _signal(type_: str, now: Micros) -> Occasion:
    is_alert = type_ == "price_alert"
    return occasion_of(
        Signal(
            id=f"example/{type_}/{now}",
            venue="binance",
            symbol="BTC/USDT",
            interval="trade" if is_alert else "1m",
            open_time=now,
            event_time=now,
            rule="price_alert_btc-high" if is_alert else "cross(10,30)",
            direction="long",
            strength=1.0 if is_alert else 0.8,
            values={"price": 70000.5, "level": 70000.0} if is_alert else {"fast": 67251.2, "slow": 67190.7},
            candle_id="",
            complete=True,
        )
    )
