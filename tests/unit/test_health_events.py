"""What the monitor tells, as events."""

import pytest

from infra.health.results import Result
from infra.health.service import Notice
from schemas.event_types import checked
from serve.health.events import event_of
from sinks.notifications.occasion import occasion_of

MINUTE_US = 60_000_000
RESULT = Result(
    17 * MINUTE_US + 5, "error", 0.25, "no answer within 10 s", {"lag_records": 7, "skew_s": None}
)


def notice(kind: str, service: str = "database", failures: int = 3, result: Result = RESULT) -> Notice:
    return Notice(kind, service, True, result, failures)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "severity", "message"),
    [
        ("failed", "warning", "database is not healthy: no answer within 10 s"),
        ("alert", "error", "database has failed 3 checks in a row: no answer within 10 s"),
        ("recovered", "info", "database is healthy again, after 3 failed checks"),
    ],
)
def test_each_kind_has_its_type_and_severity(kind: str, severity: str, message: str) -> None:
    event = event_of(notice(kind), MINUTE_US)
    assert event.type == checked(f"health_check.{kind}")
    assert (event.severity, event.message, event.source) == (severity, message, "health/database")
    assert event.event_time == RESULT.time
    assert event.data == {
        "lag_records": "7",
        "service": "database",
        "state": "error",
        "critical": "true",
        "failures": "3",
        "alerted": "true",
        "response_ms": "250.0",
    }


def test_two_servers_that_see_the_same_failure_give_the_same_id() -> None:
    later = Result(RESULT.time + MINUTE_US - 10, "error", 0.1, "no answer within 10 s", {})
    next_round = Result(RESULT.time + MINUTE_US, "error", 0.1, "no answer within 10 s", {})
    ids = [event_of(notice("failed", result=each), MINUTE_US).id for each in (RESULT, later, next_round)]
    assert ids[0] == ids[1] != ids[2]
    others = {event_of(each, MINUTE_US).id for each in (notice("alert"), notice("failed", "kafka"))}
    assert len(others - {ids[0]}) == 2


def test_notifications_know_the_venue_and_the_template() -> None:
    occasion = occasion_of(event_of(notice("alert", "venue-binance"), MINUTE_US))
    assert (occasion.venue, occasion.type, occasion.severity) == ("binance", "provider_trouble", "error")
    assert occasion_of(event_of(notice("failed"), MINUTE_US)).venue == ""
