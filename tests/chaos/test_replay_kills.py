"""A replay killed halfway and resumed, at any speed: its topics hold each record once, in order."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backtest.replay.source import Partition
from infra.embedded.cluster import servers
from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from schemas import rows
from schemas.identity import ce_id
from schemas.namespace import Namespace
from schemas.records import Record, TimeMark
from schemas.topics import (
    BARS,
    BOOKS,
    CANDLES,
    INDICATORS,
    LIVE_CANDLES,
    QUOTES,
    SIGNALS,
    TRADES,
    VENUE_PRICES,
)
from tests.bench.replay import fill
from tests.kandle_command import environment
from tests.replay_harness import PARTITIONS, kafka_settings, messages, namespace, some_past, values

KILLS, KILLS_IN_FULL = 1, 12
MANY, ATTEMPTS = 400_000, 3
SPEEDS = ("30", "60", "15")
CAPTURE = "binance-spot-btcusdt.capture.gz"
PERIOD = ("--from", "2024-08-08T23:58:00Z", "--to", "2024-08-09T00:01:00Z")
SLICE = ("--from", "2024-08-09T00:01:00Z", "--to", "2024-08-09T00:01:15Z")
TOPICS = (TRADES, QUOTES, BOOKS, CANDLES, LIVE_CANDLES, BARS, VENUE_PRICES, INDICATORS, SIGNALS)
DEADLINE_S = 240.0


class Replaying:
    """`kandle replay` as a process.

    Args:
        home: Working and data directory.
        given: Environment besides ours.
    """

    def __init__(self, home: Path, given: dict[str, str]) -> None:
        self._home = home
        self._environment = {**environment(), **given}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kandle", "replay", *arguments, "--data", "var", "--json"],
            cwd=self._home,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> dict[str, Any]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, err
        found: dict[str, Any] = json.loads(out)
        assert found["complete"]
        return found


def held(kafka: KafkaSettings, space: Namespace, topics: tuple[str, ...]) -> int:
    """Records that the topics of a replay hold."""
    admin = Admin(kafka)
    counts = admin.partition_counts()
    names = [space.name_of(topic) for topic in topics if space.name_of(topic) in counts]
    bounds = admin.log_ranges([(name, number) for name in names for number in range(counts[name])])
    return sum(end for _, end in bounds.values())


async def killed_after(
    process: subprocess.Popen[str], kafka: KafkaSettings, space: Namespace, topics: tuple[str, ...], goal: int
) -> int:
    """Kill it, with all that it started, once the topics hold so many records; how many they hold then."""
    while process.poll() is None:
        if await asyncio.to_thread(held, kafka, space, topics) >= goal:
            process.send_signal(signal.SIGKILL)
            break
        await asyncio.sleep(0.01)
    _, told = await asyncio.to_thread(process.communicate)
    assert process.returncode == -signal.SIGKILL, told
    return held(kafka, space, topics)


async def test_a_replay_killed_and_resumed_at_other_speeds_writes_each_record_once(
    kafka: str, tmp_path: Path, in_full: bool
) -> None:
    past, source, into = some_past(seconds=60, a_second=200), namespace(), namespace()
    settings = kafka_settings(kafka)
    await past.publish(settings, source)
    topics = (TRADES.base_name, QUOTES.base_name)
    whole = sum(len(stood) for tp, stood in past.messages.items() if tp.topic in topics)
    replaying = Replaying(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": kafka})
    asked = (f"topics:{source.prefix}", "--into", into.prefix, "--only-publish")
    kills, found = KILLS_IN_FULL if in_full else KILLS, 0
    for kill in range(kills):
        goal = max((kill + 1) * whole // (kills + 2), found + 1)
        process = replaying.start(*asked, "--speed", SPEEDS[kill % len(SPEEDS)])
        before, found = found, await killed_after(process, settings, into, topics, goal)
        assert before < found < whole, "each one is killed at work"
    told = await asyncio.to_thread(replaying.run, *asked, "--speed", "max")
    assert told["held_before"] > found * 0.9
    for tp, stood in past.messages.items():
        assert await messages(settings, into, tp) == stood


@pytest.mark.full
async def test_a_replay_at_full_speed_killed_among_its_batches_writes_each_record_once(
    kafka: str, tmp_path: Path
) -> None:
    settings, source = kafka_settings(kafka), namespace()
    await fill(settings, source, MANY)
    stood = {n: await values(settings, source, Partition(TRADES.base_name, n)) for n in range(PARTITIONS)}
    whole = sum(map(len, stood.values()))
    replaying = Replaying(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": kafka})
    hits = 0
    for attempt in range(ATTEMPTS):
        into = namespace()
        asked = (f"topics:{source.prefix}", "--into", into.prefix, "--only-publish")
        process = replaying.start(*asked)
        found = await killed_after(process, settings, into, (TRADES.base_name,), 1 + attempt * whole // 10)
        hits += found < whole
        assert (await asyncio.to_thread(replaying.run, *asked))["held_before"] >= found
        for number, expected in stood.items():
            assert await messages(settings, into, Partition(TRADES.base_name, number)) == expected
    assert hits >= ATTEMPTS // 2, "most kills came before the end"


Told = dict[str, dict[bytes | None, list[Record]]]


async def derived(kafka: KafkaSettings, space: Namespace) -> Told:
    """What stands in the topics of a replay, by topic and key; repeats are dropped, and must be equal."""
    found: Told = {}
    for topic in TOPICS:
        own: dict[bytes | None, list[Record]] = found.setdefault(topic.base_name, {})
        seen: dict[str, Record] = {}
        for number in range(kafka.partitions):
            for key, value in await values(kafka, space, Partition(topic.base_name, number)):
                record = rows.decode(value)
                if isinstance(record, TimeMark):
                    continue
                known = seen.setdefault(ce_id(record), record)
                assert known == record
                if known is record:
                    own.setdefault(key, []).append(record)
    return found


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_a_capture_gives_equal_topics_at_every_speed_and_after_a_kill(
    captures: Path, tmp_path: Path
) -> None:
    """Each replay with workers and a sink of its own; the kill takes these as well."""
    capture = str(captures / CAPTURE)
    with servers(tmp_path / "var") as (brokers, url):
        replaying = Replaying(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": brokers, "DATABASE_URL": url})
        kafka = KafkaSettings(bootstrap_servers=brokers)
        whole = await asyncio.to_thread(replaying.run, capture, "--into", "max", *PERIOD)
        tenfold = await asyncio.to_thread(replaying.run, capture, "--into", "ten", *PERIOD, "--speed", "10")
        asked = (capture, "--into", "cut", *PERIOD)
        count = sum(whole["records"].values())
        process = replaying.start(*asked, "--speed", "15")
        market = tuple(topic for topic in whole["records"] if topic.startswith("market."))
        found = await killed_after(process, kafka, Namespace("cut"), market, count // 2)
        assert count // 2 <= found < count
        cut = await asyncio.to_thread(replaying.run, *asked)
        assert cut["held_before"] >= found
        expected = await derived(kafka, Namespace("max"))
        assert all(expected[topic.base_name] for topic in (TRADES, QUOTES, BOOKS, CANDLES, INDICATORS))
        for told, prefix in ((tenfold, "ten"), (cut, "cut")):
            assert told["stored"] == whole["stored"]
            assert await derived(kafka, Namespace(prefix)) == expected
        for prefix, speed in (("fast", "max"), ("slow", "1")):
            await asyncio.to_thread(replaying.run, capture, "--into", prefix, *SLICE, "--speed", speed)
        assert await derived(kafka, Namespace("slow")) == await derived(kafka, Namespace("fast"))
