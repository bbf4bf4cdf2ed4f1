"""Channels that fail, hang, ask to wait or are revoked; ten thousand signals at once; killed sinks."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.settings import NotificationSettings, Settings
from schemas import rows
from schemas.records import Notification, Signal, SystemEvent
from schemas.topics import NOTIFICATIONS, SIGNALS, SYSTEM_EVENTS
from tests.notification_receivers import Receiver, Web, mailbox, web
from tests.notification_records import signal
from tests.sink_harness import (
    PARTITIONS,
    Log,
    fresh_topics,
    query,
    running,
    settings_for,
    totals,
    until,
)

Databases = Callable[[], str]
ONLY = ("notifications",)
STORM = 10_000
KILLS = 1
KILLS_IN_FULL = 25


def signals(count: int, first: int = 0, time_us: int | None = None) -> list[Signal]:
    at = time.time_ns() // 1_000 if time_us is None else time_us
    return [
        msgspec.structs.replace(signal(f"signal/{number:06}"), event_time=at + number)
        for number in range(first, first + count)
    ]


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as made:
        yield made


def start(
    kafka: str,
    url: str,
    channels: dict[str, str],
    more: Sequence[dict[str, Any]] = (),
    timeouts_s: Mapping[str, float] | None = None,
    **limits: Any,
) -> Settings:
    """Settings with a rule that sends every signal to all channels, and errors to the one called good."""
    own = {name: {"timeout_s": timeout_s} for name, timeout_s in (timeouts_s or {}).items()}
    rules: list[dict[str, Any]] = [{"name": "all", "channels": list(channels)}, *more]
    if "good" in channels:
        rules.append({"name": "troubles", "type": "*", "min_severity": "error", "channels": ["good"]})
    notifications = {
        "channels": {name: {"url": address, **own.get(name, {})} for name, address in channels.items()},
        "rules": rules,
        "allow_private": True,
        "timeout_s": 1.5,
        "attempts": 2,
        **limits,
    }
    settings = settings_for(kafka, url).model_copy(
        update={"notifications": NotificationSettings.model_validate(notifications)}
    )
    fresh_topics(settings.kafka)
    return settings


def outcomes(url: str, channel: str) -> dict[str, int]:
    return dict(
        query(
            url, f"SELECT outcome, count(*) FROM kandle.notifications WHERE channel = '{channel}' GROUP BY 1"
        )
    )


def suspensions(log: Log) -> Counter[str]:
    found = []
    for message in log.read(SYSTEM_EVENTS.name):
        event = rows.decode(message.value())
        if isinstance(event, SystemEvent) and event.type == "circuit_breaker.open":
            assert dict(message.headers())["ce_id"].decode() == event.id
            found.append(event)
    return Counter(each.data["channel"] for each in found)


async def test_bad_channels_end_in_dead_letters_and_the_others_know_nothing_of_it(
    kafka: str, postgres: Databases, server: Web
) -> None:
    good = server.receiver("good")
    failing = server.receiver("failing", status=500)
    hanging = server.receiver("hanging", delay_s=60)
    revoked = server.receiver("revoked", status=401)
    busy = server.receiver("busy")
    answers = itertools.chain([(429, {"Retry-After": "1"})], itertools.repeat((200, {})))
    busy.answer = lambda: next(answers)
    with mailbox() as box:
        channels = {
            "good": good.url,
            "mail": box.url,
            "failing": failing.url,
            "hanging": hanging.url,
            "revoked": revoked.url,
            "busy": busy.url,
        }
        url = postgres()
        # Only the one that hangs is given little time: the others may be slow on a busy machine.
        settings = start(kafka, url, channels, timeouts_s={"hanging": 1.2}, at_once=1, timeout_s=10)
        log, sent = Log(kafka), signals(2)
        async with running(settings, ONLY) as task:
            log.put(SIGNALS, 0, sent)
            await until(lambda: good.causes >= 2 and len(box.mails) == 2, 20, task)
            # By then the bad ones are at their first attempts still.
            assert outcomes(url, "hanging") == {"pending": 2}
            await until(lambda: outcomes(url, "busy") == {"sent": 2}, 20, task)
            for name in ("failing", "hanging", "revoked"):
                await until(lambda name=name: outcomes(url, name) == {"dead_letter": 2}, 30, task)  # type: ignore[misc]
        assert outcomes(url, "good") == outcomes(url, "mail") == {"sent": 2}
    assert len(busy.keys) == 3
    assert busy.at_s[1] - busy.at_s[0] >= 0.9
    assert len(failing.keys) == 4
    # A channel that refuses for good is not asked again for the same message.
    assert len(revoked.keys) == 2
    assert revoked.repeats == 0
    dead = log.read(SIGNALS.dead_letter_name)
    assert len(dead) == 6
    assert {message.value() for message in dead} == {rows.encode(each) for each in sent}
    # Causes told, and given up: good, mail and busy have taken both.
    assert totals(url, "notifications", SIGNALS)[1::3] == (6, 6)
    reasons = [dict(m.headers())["__connect.errors.exception.message"].decode() for m in dead]
    for words in ("failing answers 500", "revoked answers 401", "did not answer"):
        assert sum(words in reason for reason in reasons) == 2, reasons


async def test_a_revoked_channel_is_suspended_told_of_elsewhere_once_and_left_alone(
    kafka: str, postgres: Databases, server: Web
) -> None:
    good, gone, lost = server.receiver("good"), *(server.receiver(n, status=410) for n in ("gone", "lost"))
    url = postgres()
    channels = {"good": good.url, "gone": gone.url, "lost": lost.url}
    # The two that are revoked are to be told of each other's trouble, and of their own.
    loop = {"name": "loop", "type": "*", "channels": ["gone", "lost"]}
    settings = start(kafka, url, channels, [loop], at_once=1, per_minute=0, fold_over=0)
    log = Log(kafka)
    async with running(settings, ONLY) as task:
        log.put(SIGNALS, 0, signals(20))
        await until(lambda: good.causes == 22, 20, task)
        asked = len(gone.keys), len(lost.keys)
        log.put(SIGNALS, 0, signals(20, 20))
        await until(lambda: good.causes == 42, 20, task)
        await asyncio.sleep(0.5)
        assert (len(gone.keys), len(lost.keys)) == asked == (5, 5)
    assert suspensions(log) == {"gone": 1, "lost": 1}
    troubles = [message for message in good.taken if message["type"].endswith("provider_trouble")]
    assert sorted(message["data"]["occasions"][0]["fields"]["channel"] for message in troubles) == [
        "gone",
        "lost",
    ]
    assert outcomes(url, "gone") == {"dead_letter": 5, "pending": 36}


@pytest.mark.full
async def test_what_waits_for_a_suspended_channel_is_one_message_when_it_is_back(
    kafka: str, postgres: Databases, server: Web
) -> None:
    desk = server.receiver("desk", status=503)
    url = postgres()
    settings = start(kafka, url, {"desk": desk.url}, attempts=100)
    log = Log(kafka)
    async with running(settings, ONLY) as task:
        log.put(SIGNALS, 0, signals(100))
        await until(lambda: len(desk.keys) == 5, 60, task)
        desk.answer = lambda: (200, {})
        await asyncio.sleep(10)
        assert len(desk.keys) == 5
        assert suspensions(log) == {"desk": 1}
        await until(lambda: desk.causes == 100, 60, task)
    assert len(desk.taken) <= 5 + 1
    assert outcomes(url, "desk").keys() <= {"sent", "folded"}


async def test_a_storm_is_one_message_with_a_count_and_holds_nobody_up(
    kafka: str, postgres: Databases, server: Web
) -> None:
    good, hanging = server.receiver("good"), server.receiver("hanging", delay_s=60)
    url = postgres()
    settings = start(kafka, url, {"good": good.url, "hanging": hanging.url}, fold_window_s=2)
    log = Log(kafka)
    async with running(settings, ONLY) as task:
        await until(lambda: not query(url, "SELECT FROM kandle.notifications"), 20, task)
        window_us = 2_000_000
        sent = signals(STORM, time_us=time.time_ns() // 1_000 // window_us * window_us)
        for partition in range(PARTITIONS):
            log.put(SIGNALS, partition, sent[partition::PARTITIONS])
        began = time.monotonic()
        await until(lambda: good.causes == STORM, 60, task)
        took_s = time.monotonic() - began
        await until(lambda: sum(outcomes(url, "good").values()) == STORM, 20, task)
        await until(lambda: "pending" not in outcomes(url, "good"), 20, task)
    counts = sorted(message["data"]["count"] for message in good.taken)
    print(f"{STORM} signals at once: {len(counts)} messages in {took_s:.1f} s, the largest of {counts[-1]}")
    assert len(counts) < 20
    assert counts[-1] > STORM / 2
    assert good.repeats == 0
    told = [rows.decode(message.value()) for message in log.read(NOTIFICATIONS.name)]
    ours = {record.id for record in told if isinstance(record, Notification) and record.channel == "good"}
    assert len(ours) == len(good.taken)


class SinkProcess:
    """`kandle sink --only notifications` as a process of its own."""

    def __init__(self, servers: str, url: str, desk: Receiver, folder: Path, **limits: Any) -> None:
        own = {
            "channels": {"desk": {"url": desk.url}},
            "rules": [{"name": "all", "channels": ["desk"]}],
            "allow_private": True,
            **limits,
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")},
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "DATABASE_URL": url,
            "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
            "KANDLE_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "KANDLE_KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
            "KANDLE_SINK__INSTANCE_ID": "killed",
            **{
                f"KANDLE_NOTIFICATIONS__{name.upper()}": value
                if isinstance(value, str)
                else json.dumps(value)
                for name, value in own.items()
            },
        }
        self._log = folder / "sink.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "kandle", "sink", "--only", "notifications"],
                env=self._environment,
                stderr=log,
                stdout=log,
            )

    def kill_and_restart(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def reached(self, condition: bool) -> bool:
        """The condition, as long as the process lives."""
        assert self.process.poll() is None, self._log.read_text()
        return condition

    def stop(self) -> str:
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
        return self._log.read_text()


@pytest.mark.full
async def test_a_sink_killed_in_the_middle_repeats_no_more_than_was_under_way(
    kafka: str, postgres: Databases, server: Web, in_full: bool
) -> None:
    url = postgres()
    fresh_topics(settings_for(kafka, url).kafka)
    kills = KILLS_IN_FULL if in_full else KILLS
    count = 30 * (kills + 1)
    desk = server.receiver("desk", delay_s=0.05)
    Log(kafka).put(SIGNALS, 0, signals(count))
    with tempfile.TemporaryDirectory(prefix="kandle-chaos-") as folder:
        sink = SinkProcess(kafka, url, desk, Path(folder), at_once=1, per_minute=0, fold_over=0, max_age_s=0)
        try:
            for kill in range(kills):
                goal = 20 * (kill + 1)
                await until(lambda goal=goal: sink.reached(len(set(desk.keys)) >= goal), 60)  # type: ignore[misc]
                sink.kill_and_restart()
            await until(lambda: sink.reached(len(set(desk.keys)) == count), 60)
            await until(lambda: outcomes(url, "desk") == {"sent": count}, 20)
        finally:
            said = sink.stop()
    print(f"{kills} kills, {count} messages: lost 0, repeated {desk.repeats}")
    assert desk.repeats <= kills
    assert desk.causes == len(desk.keys)
    told = [rows.decode(message.value()) for message in Log(kafka).read(NOTIFICATIONS.name)]
    assert len({record.id for record in told if isinstance(record, Notification)}) == count
    assert "Traceback" not in said
