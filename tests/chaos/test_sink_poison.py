"""Records that nothing can be made of: each in the dead letters with its cause, every good one through."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from infra.kafka.dead_letters import DeadLetterRefused
from infra.metrics.sinks import SINK_BLOCKED
from infra.settings import SinkSettings
from schemas import rows
from schemas.records import Quote, Record, Trade
from schemas.topics import TRADES
from sinks import stage
from tests.sink_faults import assert_exact, end, ended
from tests.sink_harness import (
    BASE_US,
    PARTITIONS,
    Log,
    fresh_topics,
    limit_record_bytes,
    query,
    running,
    settings_for,
    totals,
    trade,
)

ONE_IN = 100
GOOD, GOOD_IN_FULL = 7_000, 140_000
LARGE, LARGE_IN_FULL = 1, 20
"""Records of 10 MB: more of them would test the disk."""
ONLY = ("timescale",)


def kinds() -> dict[str, Callable[[Trade], bytes | None]]:
    """Poison by what the dead letter says of it."""
    stranger = rows.encode(Quote("binance", "BTC/USDT", 99.0, 1.0, 101.0, 2.0, 1, BASE_US, BASE_US))
    return {
        "garbage": lambda _: b"garbage",
        "magic": lambda item: b"\x07" + rows.encode(item)[1:],
        "unknown schema": lambda item: b"\0\0\x0f\xff\xff" + rows.encode(item)[5:],
        "cut": lambda item: rows.encode(item)[:-3],
        "null": lambda _: None,
        "another record": lambda _: stranger,
        "10 MB": lambda item: rows.encode(item) + bytes(10_000_000),
    }


async def test_one_in_a_hundred_is_poison_and_every_good_one_is_stored(
    kafka: str, sink_database: Callable[[], str], in_full: bool
) -> None:
    url = sink_database()
    settings = settings_for(kafka, url, sink=SinkSettings(max_rows=2_000))
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = [trade(number, f"S{number % 3}/USDT") for number in range(GOOD_IN_FULL if in_full else GOOD)]
    names = list(kinds())
    put: Counter[str] = Counter()
    poison: list[bytes] = []
    for partition in range(PARTITIONS):
        own = [item for item in sent if (item.symbol == "S0/USDT") == (partition == 0)]
        records: list[Record | bytes | None] = []
        for number, item in enumerate(own):
            records.append(item)
            if number % ONE_IN == 0:
                name = names[(number // ONE_IN) % len(names)]
                if name == "10 MB" and put[name] >= (LARGE_IN_FULL if in_full else LARGE):
                    continue
                value = kinds()[name](item)
                put[name] += 1
                poison.append(value or b"")
                records.append(value)
        log.put(TRADES, partition, records)
    end(log)
    async with running(settings, ONLY) as task:
        await ended(url, 240 if in_full else 60, task)
    letters = log.read(TRADES.dead_letter_name)
    causes = Counter(dict(message.headers())["__connect.errors.exception.message"] for message in letters)
    assert sorted(message.value() or b"" for message in letters) == sorted(poison)
    assert len(causes) >= 5
    assert all(causes)
    assert totals(url, "timescale")[4] == sum(put.values())
    assert min(put.values()) > 0
    assert_exact(url, sent, "poison", poison=sum(put.values()), dead_letters=len(letters), causes=len(causes))


async def test_dead_letters_that_are_refused_stop_the_sink_with_an_alarm(
    kafka: str, sink_database: Callable[[], str]
) -> None:
    url = sink_database()
    settings = settings_for(kafka, url, sink=SinkSettings(max_rows=200))
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = [trade(number) for number in range(1_000)]
    log.put(TRADES, 0, sent[:500])
    log.put(TRADES, 0, [b"garbage" * 100])
    log.put(TRADES, 0, sent[500:])
    end(log)
    limit_record_bytes(settings.kafka, TRADES.dead_letter_name, 200)
    stops = 3
    for _ in range(stops):
        with capture_logs() as said, pytest.raises(DeadLetterRefused, match="Nothing was skipped"):
            await asyncio.wait_for(stage.run(settings, asyncio.Event(), ONLY), 60)
        alarms = [line for line in said if line["log_level"] == "error"]
        assert [line["code"] for line in alarms] == ["DEAD_LETTER_REFUSED"]
        assert SINK_BLOCKED.labels("timescale")._value.get() == 1
        assert totals(url, "timescale")[1] <= 500
        assert query(url, "SELECT max(next_offset) <= 500 FROM kandle.offsets") == [(True,)]
    limit_record_bytes(settings.kafka, TRADES.dead_letter_name, 1_000_000)
    async with running(settings, ONLY) as task:
        await ended(url, task=task)
    assert [message.value() for message in log.read(TRADES.dead_letter_name)] == [b"garbage" * 100]
    assert_exact(url, sent, "dead letters refused", stops=stops)
