"""`kandle process --workers 2`: one is killed, one leaves, and the topics stay exact."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from infra.embedded.identity import process_identity
from tests.chaos.test_worker_kills import play
from tests.processor_harness import (
    PARTITIONS,
    PATIENCE_S,
    Worker,
    assert_equal,
    expected,
    kafka_settings,
    market,
    until_drained,
    worker,
)
from tests.sink_harness import fresh_topics


def lines_of(pool: Worker, message: str) -> list[dict[str, object]]:
    """What was logged under a message, by the pool and by all of its workers."""
    found = [json.loads(line) for line in pool.log().splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == message]


def until_lines(pool: Worker, message: str, count: int, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while len(lines_of(pool, message)) < count:
        assert time.monotonic() < deadline, pool.log()
        assert pool.process.poll() is None, pool.log()
        time.sleep(0.05)


def started(pool: Worker) -> list[tuple[str, int]]:
    return [(str(line["worker"]), int(str(line["pid"]))) for line in lines_of(pool, "a worker was started")]


@pytest.mark.full
def test_a_worker_that_is_killed_comes_back_and_one_that_leaves_hands_over(
    kafka: str, tmp_path: Path
) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = market(seconds=100, rate=400)
    name = f"pool-{uuid.uuid4().hex[:8]}"
    playing = play(kafka, feed, 8)
    with worker(kafka, name, tmp_path, "host", workers=2) as pool:
        until_lines(pool, "ready", 2)
        first = dict(started(pool))
        os.kill(first["process-0"], signal.SIGKILL)
        until_lines(pool, "a worker was started", 3)
        ready = len(lines_of(pool, "ready"))
        until_lines(pool, "ready", ready + 1)
        assert started(pool)[2][0] == "process-0"
        restored = len(lines_of(pool, "a checkpoint was restored"))
        os.kill(first["process-1"], signal.SIGTERM)
        until_lines(pool, "a checkpoint was restored", restored + 2 * PARTITIONS)
        playing.join()
        until_drained(kafka, [pool])
        until_lines(pool, "a worker has left", 1)
        assert pool.stop() == 0
        assert all(process_identity(pid) is None for _, pid in started(pool))
    assert_equal(kafka, expected(feed))
