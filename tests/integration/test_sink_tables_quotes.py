"""Quotes sampled by their own time, on a real Kafka and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra.settings import Settings, SinkSettings
from schemas.records import Quote
from schemas.topics import QUOTES
from tests.sink_harness import (
    BASE_US,
    Log,
    fresh_topics,
    query,
    running,
    settings_for,
    totals,
    until,
)

Databases = Callable[[], str]
ONLY = ("timescale",)


@pytest.fixture
def log(kafka: str) -> Log:
    return Log(kafka)


def quote(number: int, at_ms: int, symbol: str = "BTC/USDT", *, numbered: bool = True) -> Quote:
    at = BASE_US + at_ms * 1000
    return Quote(
        *("binance", symbol, 100.0 + number, 1.0, None, 0.0),
        number if numbered else None,
        at if numbered else None,
        at + (5 if numbered else 0),
    )


def bids(url: str, symbol: str = "BTC/USDT") -> list[float]:
    found = query(url, f"SELECT bid FROM public.quotes WHERE symbol = '{symbol}' ORDER BY time")
    return [bid - 100 for (bid,) in found]


async def test_the_last_quote_of_each_interval_is_stored_across_restarts_and_settings(
    kafka: str, sink_database: Databases, log: Log
) -> None:
    url = sink_database()

    def every(ms: int) -> Settings:
        return settings_for(kafka, url, sink=SinkSettings(quotes_every_ms=ms))

    fresh_topics(every(0).kafka)

    async def stored(settings: Settings, *portions: list[Quote]) -> None:
        async with running(settings, ONLY) as task:
            for portion in portions:
                end = (totals(url, "timescale", QUOTES)[0] or 0) if tables else 0
                log.put(QUOTES, 1, portion)
                goal = end + len(portion)
                await until(lambda goal=goal: totals(url, "timescale", QUOTES)[0] == goal, task=task)  # type: ignore[misc]
                tables.append(goal)

    tables: list[int] = []
    first = [quote(1, 0), quote(2, 400), quote(3, 999), quote(4, 1000)]
    other = [quote(number, number * 300, "X/USDT", numbered=False) for number in range(8)]
    await stored(every(1000), [*first, first[1], *other])
    assert bids(url) == [3, 4]  # 4 may still be replaced, and is shown
    assert bids(url, "X/USDT") == [3, 6, 7]
    assert query(url, "SELECT count(*) FROM kandle.quote_samples") == [(2,)]
    assert totals(url, "timescale", QUOTES)[1:] == (5, 7, 1, 0)

    # Another process goes on in the middle of an interval; what it has seen before changes nothing.
    await stored(
        every(1000), [quote(5, 1500)], [*first, *other, quote(6, 1900)], [quote(7, 2100), quote(8, 900)]
    )
    assert bids(url) == [8, 3, 6]  # a time that goes back counts for the interval that has been reached
    assert totals(url, "timescale", QUOTES)[1:] == (6, 10, 13, 0)

    # A row of the view for each that was counted as stored, whatever the setting becomes.
    await stored(every(0), [quote(9, 2200), quote(10, 2300), quote(10, 2300)])
    assert bids(url) == [8, 3, 6, 9, 10]
    assert query(url, "SELECT count(*) FROM kandle.quote_samples") == [(0,)]
    stored_rows = totals(url, "timescale", QUOTES)[1]
    assert query(url, "SELECT count(*) FROM public.quotes") == [(stored_rows,)]
    assert query(url, "SELECT count(*) FROM kandle.market_quotes") == [(stored_rows,)]
    await stored(every(1000), [quote(11, 2350), quote(12, 2390)])
    assert bids(url)[-1] == 12
