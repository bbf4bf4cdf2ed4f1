"""Settings of notifications: channels by name, their limits, what rules may say, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.settings import NotificationRule, environment_names, load
from schemas.errors import ConfigurationError
from sinks.notifications.occasion import occasion_of
from sinks.notifications.routing import OWN_SOURCE, Routing, matches
from tests.notification_records import event, price_alert, signal


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*environment_names(), "KANDLE_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_a_channel_has_the_limits_of_all_but_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "kandle.toml").write_text(
        """
        [notifications]
        attempts = 7
        per_minute = 30
        [notifications.channels.desk]
        url = "json://host/path"
        per_minute = 0
        quiet = {begin = "22:00", end = "07:00", zone = "Europe/Berlin", mode = "drop"}
        [notifications.channels.email]
        url = "mailto://user:password@example.com"
        [[notifications.rules]]
        name = "all"
        type = "*"
        """
    )
    notifications = load().notifications
    desk, email = notifications.limits_of("desk"), notifications.limits_of("email")
    assert (desk.attempts, desk.per_minute, desk.burst) == (7, 0, 10)
    assert desk.quiet is not None
    assert desk.quiet.mode == "drop"
    assert (email.attempts, email.per_minute, email.quiet) == (7, 30, None)
    assert notifications.limits_of("json-0123abcd") == email
    assert notifications.rules[0].type == ["*"]
    assert "user:password" not in load().model_dump_json()


def test_a_channel_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANDLE_NOTIFICATIONS__CHANNELS__DESK__URL", "json://user:secret@host")
    monkeypatch.setenv("KANDLE_NOTIFICATIONS__CHANNELS__DESK__QUIET__BEGIN", "22:00")
    monkeypatch.setenv("KANDLE_NOTIFICATIONS__CHANNELS__DESK__QUIET__END", "07:00")
    desk = load().notifications.channels["desk"]
    assert desk.url.get_secret_value() == "json://user:secret@host"
    assert desk.quiet is not None
    monkeypatch.setenv("KANDLE_NOTIFICATIONS__CHANNELS__DESK__ULR", "json://host")
    with pytest.raises(ConfigurationError, match="ULR is set, but no setting has that name"):
        load()


def quiet(**changes: str) -> dict[str, Any]:
    hours = {"begin": "22:00", "end": "07:00"} | changes
    return {"channels": {"desk": {"url": "json://h", "quiet": hours}}}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"rules": [{"name": "a"}]}, r"rule 'a' names no channel, .*channels\.email\], is not there"),
        ({"rules": [{"name": "a", "channels": ["nope"]}]}, "names the channel 'nope'; channels are: none"),
        ({"rules": [{"name": "a", "urls": ["json://h"]}] * 2}, "several are called a"),
        ({"rules": [{"name": "a", "urls": ["json://h"], "min_severity": "loud"}]}, "min_severity"),
        ({"rules": [{"name": "a", "urls": ["json://h"], "min_strength": 2}]}, "min_strength"),
        ({"channels": {"My Desk": {"url": "json://h"}}}, "small letters"),
        ({"channels": {"desk": {}}}, r"channels\.desk\.url"),
        ({"channels": {"desk": {"url": "json://h", "colour": "red"}}}, r"colour: no such setting"),
        (quiet(begin="25:00"), "a time of day is HH:MM"),
        (quiet(begin="22:00:30"), "a time of day is HH:MM"),
        (quiet(end="22:00"), "all day or never"),
        (quiet(zone="Europe/Atlantis"), "no time zone is called 'Europe/Atlantis'"),
        (quiet(mode="shout"), "mode"),
    ],
)
def test_what_cannot_be_meant_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(notifications=section)


def rule(**options: Any) -> NotificationRule:
    return NotificationRule(name="r", **options)


def test_a_rule_is_for_signals_and_alerts_unless_it_says_otherwise() -> None:
    trouble = occasion_of(event("provider.disconnected", venue="binance"))
    assert matches(rule(), occasion_of(signal()))
    assert matches(rule(), occasion_of(price_alert()))
    assert not matches(rule(), trouble)
    assert matches(rule(type=["provider_*"]), trouble)
    assert matches(rule(type=["*"], venue="binance", min_severity="warning"), trouble)
    assert not matches(rule(type=["*"], min_severity="error"), trouble)
    assert not matches(rule(type=["*"], venue="gateio"), trouble)
    # What has no strength is not weak.
    assert matches(rule(type=["*"], min_strength=0.9), trouble)
    assert not matches(rule(min_strength=0.9), occasion_of(signal()))


def routing(**sections: Any) -> Routing:
    return Routing(load(notifications=sections).notifications)


def test_occasions_go_to_channels_by_name_by_address_and_by_default() -> None:
    found = routing(
        channels={"desk": {"url": "json://h/1"}, "email": {"url": "json://h/2"}},
        rules=[
            {"name": "both", "channels": ["desk"], "urls": ["json://h/3"]},
            {"name": "mail"},
            {"name": "same", "urls": ["json://h/1"]},
        ],
    )
    routes = found.route(occasion_of(signal()))
    assert routes.pop("desk") == "both"
    assert routes.pop("email") == "mail"
    # One address is one channel, whoever names it.
    assert list(routes.values()) == ["both"]
    assert len(found.channels) == 3


def test_no_channel_is_told_of_its_own_trouble() -> None:
    found = routing(
        channels={"desk": {"url": "json://h/1"}, "email": {"url": "json://h/2"}},
        rules=[{"name": "all", "type": "*", "channels": ["desk", "email"]}],
    )
    trouble = event("circuit_breaker.open", "error", channel="desk")
    suspended = msgspec.structs.replace(trouble, source=f"{OWN_SOURCE}desk")
    assert found.route(occasion_of(suspended)) == {"email": "all"}
