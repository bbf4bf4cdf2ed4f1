"""Times that are wrong, late or repeated, and a clock that jumps: candles are those of a recomputation."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import asdict, replace

from infra.settings import ProcessorSettings
from processors.candles.rules import CandleRules
from schemas.records import Candle, Trade
from schemas.topics import CANDLES, TRADES
from tests.candle_reference import ReferenceCandles
from tests.processor_harness import (
    Feed,
    assert_equal,
    expected,
    kafka_settings,
    market,
    read_topic,
    until_drained,
    worker,
)
from tests.sink_harness import Log, fresh_topics

SECOND = 1_000_000
DAY = 86_400 * SECOND
SUMS = ("volume", "quote_volume", "taker_buy_volume", "vwap")
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
    struct timespec run;
    syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &run);
    long tenths = run.tv_sec * 10 + run.tv_nsec / 100000000;
    return tenths % 4 < 2 ? 7200 : -7200;
}

/* librdkafka sleeps until times of the wall clock: the kernel would move them with it, but has not jumped. */
static int sleeps_by(void *caller) {
    Dl_info found;
    return dladdr(caller, &found) && strstr(found.dli_fname, "rdkafka") != 0;
}

static int tell(clockid_t clock, struct timespec *at, void *caller) {
    long code = syscall(SYS_clock_gettime, clock, at);
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (code == 0 && is_wall && !sleeps_by(caller)) at->tv_sec += jump();
    return (int)code;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    return tell(clock, at, __builtin_return_address(0));
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    tell(CLOCK_REALTIME, &now, __builtin_return_address(0));
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    tell(CLOCK_REALTIME, &now, __builtin_return_address(0));
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
"""Wall clock two hours ahead or behind, in turn after every 0.2 s of work."""


def odd(feed: Feed) -> Feed:
    """The feed with trades of odd times put in between, under numbers of their own, and repeats."""
    chance = random.Random(3)
    found: Feed = {}
    for partition, items in feed.items():
        mixed = list(items)
        number = 10_000_000 * (partition + 1)
        for _ in range(60):
            place = chance.randrange(200, len(mixed))
            trade = next(item for item in reversed(mixed[:place]) if isinstance(item, Trade))
            at = trade.event_time
            number += 1
            changed = chance.choice(
                [
                    0,  # 1970
                    at // 1_000,  # milliseconds taken for microseconds
                    at // 1_000_000,  # seconds
                    at + DAY,
                    at - 300 * SECOND,  # late, its candle is held or just no more
                    at - 3 * SECOND,  # late, its candle is held
                ]
            )
            mixed.insert(place, replace(trade, event_time=changed, sequence=number, trade_id=str(number)))
            mixed.insert(place, trade)  # the same id with the same values
        found[partition] = mixed
    return found


def test_odd_times_are_refused_or_revise_and_the_candles_equal_a_recomputation(
    kafka: str, tmp_path: Path
) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = odd(market(seconds=420, rate=12))
    log = Log(kafka)
    settings = ProcessorSettings()
    rules = CandleRules.of(settings.intervals, grace_ms=settings.grace_ms, hold_s=settings.hold_s)
    wanted: list[Candle] = []
    refused: set[tuple[int, int]] = set()
    for partition, items in feed.items():
        log.put(TRADES, partition, items)
        reference = ReferenceCandles(rules)
        for offset, item in enumerate(items):
            reference.take(offset, item)
        wanted += [each for each in reference.output if isinstance(each, Candle)]
        refused |= {(partition, each[0]) for each in reference.output if not isinstance(each, Candle)}
    with worker(kafka, f"worker-{uuid.uuid4().hex[:8]}", tmp_path) as running:
        until_drained(kafka, [running])
        assert running.stop() == 0
    found = read_topic(kafka, CANDLES, is_revised=True).records.values()
    candles = [record for record in found if isinstance(record, Candle)]
    assert any(candle.revision for candle in candles), "no late trade revised its candle"
    assert by_name(candles) == by_name(wanted)
    letters = [dict(letter.headers()) for letter in log.read(TRADES.dead_letter_name)]
    names = ("__connect.errors.partition", "__connect.errors.offset")
    told = [(int(letter[names[0]]), int(letter[names[1]])) for letter in letters]
    assert sorted(told) == sorted(refused)
    reasons = {letter["__connect.errors.exception.message"].decode().partition(":")[0] for letter in letters}
    assert reasons == {"too late", "too far ahead"}


def by_name(candles: list[Candle]) -> dict[tuple[object, ...], dict[str, object]]:
    """Candles by what names them; their sums to 1e-12."""
    found: dict[tuple[object, ...], dict[str, object]] = {}
    for candle in candles:
        values = asdict(candle)
        values |= {name: pytest.approx(values[name], rel=1e-12) for name in SUMS}
        found[candle.venue, candle.symbol, candle.interval, candle.open_time, candle.revision] = values
    assert len(found) == len(candles)
    return found


@pytest.fixture
def jumping_clock(tmp_path: Path) -> Path:
    """A library that makes the wall clock of a process jump."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to make a clock that jumps")
    (tmp_path / "clock.c").write_text(CLOCK)
    library = tmp_path / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "clock.c"], check=True)
    return library


@pytest.mark.full
def test_a_clock_that_jumps_by_hours_changes_nothing(kafka: str, tmp_path: Path, jumping_clock: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = market(seconds=60, rate=100)
    log = Log(kafka)
    name = f"worker-{uuid.uuid4().hex[:8]}"
    halves = {partition: len(items) // 2 for partition, items in feed.items()}
    with worker(kafka, name, tmp_path, LD_PRELOAD=str(jumping_clock)) as running:
        for partition, items in feed.items():
            log.put(TRADES, partition, items[: halves[partition]])
        running.until_logged("ready")
        for partition, items in feed.items():
            log.put(TRADES, partition, items[halves[partition] :])
        until_drained(kafka, [running])
        assert running.stop() == 0
        stamps = [json.loads(line)["@timestamp"] for line in running.log().splitlines()]
    assert assert_equal(kafka, expected(feed)) == 0
    here = datetime.now().astimezone()
    away = [abs((datetime.fromisoformat(stamp) - here).total_seconds()) for stamp in stamps]
    assert min(away) > 3_600, "the clock did not jump"
