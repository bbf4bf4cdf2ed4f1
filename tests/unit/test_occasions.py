"""How records become occasions."""

from __future__ import annotations

import pytest

from schemas.event_types import EVENT_TYPES
from sinks.notifications.occasion import OTHER, TYPES, occasion_of
from tests.notification_records import TIME_US, event, price_alert, signal


def test_a_signal_keeps_what_rules_and_templates_ask_for() -> None:
    occasion = occasion_of(signal())
    assert (occasion.id, occasion.type, occasion.cause_type) == ("signal/1", "signal", "strategy.signal")
    assert (occasion.venue, occasion.symbol, occasion.interval) == ("binance", "BTC/USDT", "1m")
    assert (occasion.rule, occasion.direction, occasion.strength) == ("cross(10,30)", "long", 0.8)
    assert (occasion.severity, occasion.event_time) == ("info", TIME_US)
    assert occasion.fields == {"fast": 1.5, "slow": 1.25}


def test_a_signal_that_saw_gaps_says_so() -> None:
    assert "incomplete" in occasion_of(signal(complete=False)).fields
    assert "incomplete" not in occasion_of(signal()).fields


def test_a_price_alert_is_a_type_of_its_own() -> None:
    assert occasion_of(price_alert()).type == "price_alert"


@pytest.mark.parametrize(
    ("cause", "type_"),
    [
        ("provider.disconnected", "provider_trouble"),
        ("provider.error", "provider_trouble"),
        ("circuit_breaker.open", "provider_trouble"),
        ("rate_limit.hit", "provider_trouble"),
        ("trade.executed", "trade_executed"),
        ("risk.limit.exceeded", "risk_limit_exceeded"),
        ("payment.succeeded", "payment_succeeded"),
        ("candle.mismatch", OTHER),
        ("never.heard.of", OTHER),
    ],
)
def test_an_event_has_the_type_of_its_templates(cause: str, type_: str) -> None:
    assert occasion_of(event(cause)).type == type_


def test_details_of_an_event_tell_where_it_happened() -> None:
    details = {"provider": "binance", "symbol": "BTC/USDT", "strategy": "cross", "wait_s": "3"}
    occasion = occasion_of(event("rate_limit.hit", "error", **details))
    assert (occasion.venue, occasion.symbol, occasion.rule) == ("binance", "BTC/USDT", "cross")
    assert (occasion.severity, occasion.strength, occasion.direction) == ("error", None, "")
    assert occasion.fields == details | {"message": "it happened", "source": "producer-0"}
    assert occasion_of(event("gap", "info", venue="gateio", provider="binance")).venue == "gateio"


def test_types_are_of_events_that_there_are_or_will_be() -> None:
    planned = {"strategy.stopped", "payment.failed"}
    assert set(TYPES) - planned <= set(EVENT_TYPES)
