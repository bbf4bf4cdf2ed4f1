"""Workers that are killed, that come and go, that sleep past their session: the topics stay exact."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
import uuid
from pathlib import Path

import pytest

from infra.kafka.admin import Admin
from schemas.topics import CANDLES, TRADES
from tests.processor_harness import (
    PARTITIONS,
    PATIENCE_S,
    Feed,
    Worker,
    assert_equal,
    expected,
    kafka_settings,
    market,
    until_drained,
    worker,
)
from tests.sink_harness import Log, fresh_topics

KILLS = 5
KILLS_IN_FULL = 50
COMING_AND_GOING_S, TURN_S = 120, 5
PLAYED_S = 1.5
"""For so long each worker that is to be killed has work."""


def app_id() -> str:
    return f"worker-{uuid.uuid4().hex[:8]}"


def play(servers: str, feed: Feed, duration_s: float) -> threading.Thread:
    """Put the feed into the log in small portions over some seconds."""

    def run() -> None:
        log = Log(servers)
        steps = 200
        for step in range(steps):
            for partition, items in feed.items():
                cut = [len(items) * bound // steps for bound in (step, step + 1)]
                log.put(TRADES, partition, items[cut[0] : cut[1]])
            time.sleep(duration_s / steps)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def part_of(feed: Feed, number: int, of: int) -> Feed:
    """The feed cut into equal parts: one of them."""
    return {
        partition: items[len(items) * number // of : len(items) * (number + 1) // of]
        for partition, items in feed.items()
    }


def written(servers: str) -> list[int]:
    """Where the topic of candles ends."""
    return Admin(kafka_settings(servers)).end_offsets(CANDLES.name, PARTITIONS)


def until_grown(servers: str, before: list[int]) -> None:
    """Wait until a worker is at work: in each partition it has written candles or marks."""
    deadline = time.monotonic() + PATIENCE_S
    while any(now <= then for now, then in zip(written(servers), before, strict=True)):
        assert time.monotonic() < deadline, "the worker does nothing"
        time.sleep(0.05)


def test_a_worker_killed_again_and_again_repeats_some_and_loses_nothing(
    kafka: str, tmp_path: Path, in_full: bool
) -> None:
    fresh_topics(kafka_settings(kafka))
    kills = KILLS_IN_FULL if in_full else KILLS
    feed, name = market(seconds=40 * (kills + 1), rate=400), app_id()
    restored = 0
    for kill in range(kills):
        with worker(kafka, name, tmp_path, "one") as victim:
            victim.until_logged("ready")
            before = written(kafka)
            playing = play(kafka, part_of(feed, kill, kills + 1), PLAYED_S)
            until_grown(kafka, before)
            time.sleep(0.3 + 0.11 * (kill % 5))
            victim.kill()
            restored += victim.log().count("a checkpoint was restored")
            playing.join()
    with worker(kafka, name, tmp_path, "one") as survivor:
        play(kafka, part_of(feed, kills, kills + 1), PLAYED_S).join()
        until_drained(kafka, [survivor])
        assert survivor.stop() == 0
    assert restored > 0
    assert assert_equal(kafka, expected(feed)) > 0, "no kill hit a worker at work"


@pytest.mark.full
def test_workers_share_the_partitions_and_one_that_leaves_hands_over(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed, name = market(seconds=150, rate=400), app_id()
    playing = play(kafka, feed, 10)
    with worker(kafka, name, tmp_path, "one") as stays, worker(kafka, name, tmp_path, "two") as leaves:
        leaves.until_logged("ready")
        time.sleep(4)
        assert leaves.stop() == 0
        assert "a checkpoint was restored" in stays.log() + leaves.log()
        playing.join()
        until_drained(kafka, [stays])
        assert stays.stop() == 0
    assert_equal(kafka, expected(feed))


@pytest.mark.full
def test_workers_that_come_and_go_every_few_seconds_leave_the_topics_exact(
    kafka: str, tmp_path: Path
) -> None:
    fresh_topics(kafka_settings(kafka))
    feed, name = market(seconds=480, rate=400), app_id()
    playing = play(kafka, feed, COMING_AND_GOING_S)
    chance, present, left = random.Random(10), list[Worker](), 0
    with contextlib.ExitStack() as stack:
        for number in range(COMING_AND_GOING_S // TURN_S):
            if len(present) < 2 or (len(present) < 4 and chance.random() < 0.5):
                present.append(stack.enter_context(worker(kafka, name, tmp_path, f"w{number}")))
            else:
                leaver = present.pop(chance.randrange(len(present)))
                assert leaver.stop(40) == 0, leaver.log()
                left += 1
            time.sleep(TURN_S)
        playing.join()
        until_drained(kafka, present)
        for each in present:
            assert each.stop(40) == 0, each.log()
    assert left > 2
    assert_equal(kafka, expected(feed))


@pytest.mark.full
def test_a_worker_that_slept_past_its_session_does_no_harm(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed, name = market(seconds=200, rate=400), app_id()
    playing = play(kafka, feed, 16)
    with worker(kafka, name, tmp_path, "one") as sleeper:
        sleeper.until_logged("ready")
        time.sleep(1.5)
        sleeper.send(signal.SIGSTOP)
        with worker(kafka, name, tmp_path, "two") as other:
            until_restored(other)
            sleeper.send(signal.SIGCONT)
            playing.join()
            until_drained(kafka, [sleeper, other])
            assert other.stop() == 0
        assert sleeper.stop() == 0
    assert_equal(kafka, expected(feed))
    # From whatever checkpoint is left the same follows.
    with worker(kafka, name, tmp_path, "three") as late:
        late.until_logged("a checkpoint was restored")
        late.until_logged("ready")
        assert late.stop() == 0
    assert_equal(kafka, expected(feed))


def until_restored(other: Worker) -> None:
    other.until_logged("a checkpoint was restored")
