"""Quiet hours by the clock of a zone."""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from infra.settings import QuietHours

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def quiet_until(quiet: QuietHours, now_us: int) -> int | None:
    """When the quiet hours end in which a time lies, µs since the epoch; None if it lies in none.

    A day on which the clocks change is an hour shorter or longer; an hour that does not exist on that day
    is taken as the one after it.
    """
    zone = ZoneInfo(quiet.zone)
    now = _EPOCH + dt.timedelta(microseconds=now_us)
    today = now.astimezone(zone).date()
    for first_day in (today - dt.timedelta(days=1), today):
        last_day = first_day if quiet.begin < quiet.end else first_day + dt.timedelta(days=1)
        # Compared in UTC: times of one zone are compared by the hands of the clock, which may jump.
        begin = dt.datetime.combine(first_day, quiet.begin, zone).astimezone(dt.UTC)
        end = dt.datetime.combine(last_day, quiet.end, zone).astimezone(dt.UTC)
        if begin <= now < end:
            return (end - _EPOCH) // _MICROSECOND
    return None
