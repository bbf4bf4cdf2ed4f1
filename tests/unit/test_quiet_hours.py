"""Quiet hours: when they are on, over midnight, and when the clocks change."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import QuietHours
from sinks.notifications.quiet_hours import quiet_until

BERLIN = ZoneInfo("Europe/Berlin")


def quiet(begin: str, end: str, zone: str = "UTC") -> QuietHours:
    return QuietHours(begin=begin, end=end, zone=zone)


def micros(text: str, zone: dt.tzinfo = dt.UTC) -> int:
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-10 21:59:59", None),
        ("2026-03-10 22:00:00", "2026-03-11 07:00:00"),
        ("2026-03-11 00:30:00", "2026-03-11 07:00:00"),
        ("2026-03-11 06:59:59", "2026-03-11 07:00:00"),
        ("2026-03-11 07:00:00", None),
    ],
)
def test_they_last_over_midnight_by_the_clock_of_their_zone(now: str, until: str | None) -> None:
    found = quiet_until(quiet("22:00", "07:00", "Europe/Berlin"), micros(now, BERLIN))
    assert found == (None if until is None else micros(until, BERLIN))


def test_they_may_lie_within_a_day() -> None:
    lunch = quiet("12:00", "13:30")
    assert quiet_until(lunch, micros("2026-03-10 12:00:00")) == micros("2026-03-10 13:30:00")
    assert quiet_until(lunch, micros("2026-03-10 13:30:00")) is None
    assert quiet_until(lunch, micros("2026-03-11 00:00:00")) is None


def test_a_night_is_an_hour_shorter_or_longer_when_the_clocks_change() -> None:
    hour = 3_600_000_000
    night = quiet("22:00", "07:00", "Europe/Berlin")
    for day, hours in (("2026-03-28", 8), ("2026-10-24", 10), ("2026-06-01", 9)):
        begin = micros(f"{day} 22:00:00", BERLIN)
        assert quiet_until(night, begin) == begin + hours * hour
        assert quiet_until(night, begin + hours * hour - 1) == begin + hours * hour
        assert quiet_until(night, begin + hours * hour) is None


def test_an_end_in_the_hour_that_does_not_exist_is_taken_as_the_one_after() -> None:
    assert quiet_until(quiet("01:00", "02:30", "Europe/Berlin"), micros("2026-03-29 01:59:00", BERLIN)) == (
        micros("2026-03-29 03:30:00", BERLIN)
    )


@given(
    begin=st.integers(0, 1439),
    length=st.integers(1, 1439),
    now=st.integers(0, 10**9),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_what_ends_is_over_at_its_end_and_never_later_than_a_day(
    begin: int, length: int, now: int, zone: str
) -> None:
    end = (begin + length) % 1440
    hours = quiet(f"{begin // 60:02}:{begin % 60:02}", f"{end // 60:02}:{end % 60:02}", zone)
    now_us = (1_700_000_000 + now) * 1_000_000
    until = quiet_until(hours, now_us)
    if until is not None:
        assert now_us < until <= now_us + 25 * 3_600_000_000
        assert quiet_until(hours, until - 1) == until
        local = dt.datetime.fromtimestamp(until / 1_000_000, ZoneInfo(zone))
        assert (local.hour * 60 + local.minute - end) % 60 in (0, 30)
