"""What people may be told of: a record, seen as a notification sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.records import Micros, Severity, Signal, SystemEvent

SIGNAL_CAUSE: Final = "strategy.signal"
"""`ce_type` of a signal."""
PRICE_ALERT_RULES: Final = "price_alert"
"""How the names of rules begin that are alerts of prices."""
OTHER: Final = "system_event"
TYPES: Final[Mapping[str, str]] = {
    "provider.disconnected": "provider_trouble",
    "provider.error": "provider_trouble",
    "circuit_breaker.open": "provider_trouble",
    "rate_limit.hit": "provider_trouble",
    "health_check.failed": "provider_trouble",
    "health_check.alert": "provider_trouble",
    "health_check.recovered": "provider_trouble",
    "integration.circuit.opened": "provider_trouble",
    "integration.ratelimit.reached": "provider_trouble",
    "trade.executed": "trade_executed",
    "risk.limit.exceeded": "risk_limit_exceeded",
    "strategy.stopped": "strategy_stopped",
    "balance.changed": "account_balance",
    "payment.succeeded": "payment_succeeded",
    "payment.failed": "payment_failed",
    "order.created": "order_confirmation",
    "order.shipped": "order_shipment",
}
"""Template of each type of system event; any other is `OTHER`."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A cause to tell somebody something.

    Attributes:
        id: Of the cause: a repeat has the same.
        type: Name of its templates: signal, price_alert, trade_executed, provider_trouble and so on.
        cause_type: `ce_type` of the cause.
        venue: Name; "" where there is none, as with all texts here.
        symbol: Unified symbol.
        interval: Of the candles that a rule saw; `trade` for price alerts.
        rule: Rule or strategy.
        direction: long, short or neutral.
        strength: 0 to 1; None where there is none.
        severity: How much it matters.
        event_time: When it happened, µs since the epoch.
        fields: What else there is, by name, for templates.
    """

    id: str
    type: str
    cause_type: str
    venue: str
    symbol: str
    interval: str
    rule: str
    direction: str
    strength: float | None
    severity: Severity
    event_time: Micros
    fields: Mapping[str, str | float]

    def words(self) -> dict[str, Any]:
        """All that is told of it by name, but for its time."""
        return {
            "id": self.id,
            "type": self.type,
            "cause_type": self.cause_type,
            "venue": self.venue,
            "symbol": self.symbol,
            "interval": self.interval,
            "rule": self.rule,
            "direction": self.direction,
            "strength": self.strength,
            "severity": self.severity,
            "fields": dict(self.fields),
        }


def occasion_of(record: Signal | SystemEvent) -> Occasion:
    """The occasion that a record is; the same for every repeat of it."""
    if isinstance(record, Signal):
        return _of_signal(record)
    data = record.data
    return Occasion(
        id=record.id,
        type=TYPES.get(record.type, OTHER),
        cause_type=record.type,
        venue=data.get("venue") or data.get("provider", ""),
        symbol=data.get("symbol", ""),
        interval=data.get("interval", ""),
        rule=data.get("rule") or data.get("strategy", ""),
        direction=data.get("direction", ""),
        strength=None,
        severity=record.severity,
        event_time=record.event_time,
        fields={**data, "message": record.message, "source": record.source},
    )


def _of_signal(signal: Signal) -> Occasion:
    fields: dict[str, str | float] = dict(signal.values)
    if not signal.complete:
        fields["incomplete"] = "some of the candles it saw miss trades"
    return Occasion(
        id=signal.id,
        type="price_alert" if signal.rule.startswith(PRICE_ALERT_RULES) else "signal",
        cause_type=SIGNAL_CAUSE,
        venue=signal.venue,
        symbol=signal.symbol,
        interval=signal.interval,
        rule=signal.rule,
        direction=signal.direction,
        strength=signal.strength,
        severity="info",
        event_time=signal.event_time,
        fields=fields,
    )
