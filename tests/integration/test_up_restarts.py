"""`kandle up` and a stage that dies whenever it is started: the run ends, and says why."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kandle_command import endpoints, processes_of, start, wait_until

STAGE = "produce"


@pytest.mark.full
@pytest.mark.timeout(400)
def test_a_stage_that_always_dies_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("up", "--feed", "simulated", "--no-serve", "--data", str(data), cwd=tmp_path)
    killed: set[int] = set()

    def ended() -> bool:
        with suppress(OSError, ValueError, KeyError):
            pid = endpoints(data)["stages"][STAGE]["pid"]
            if pid is not None and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        return running.poll() is not None

    try:
        wait_until(ended, 300)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 1
    said = [line for line in errors.splitlines() if f"{STAGE} ended" in line]
    assert len(killed) == len(said) == 6
    assert all("signal SIGKILL; it is started again in " in line for line in said[:-1])
    assert f"after 6 deaths in a row: {STAGE} ended with signal SIGKILL" in said[-1]
    assert processes_of(data) == []
    assert endpoints(data)["stages"][STAGE]["state"] == "failed"


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize("signals", [1, 2])
def test_a_run_that_is_stopped_while_it_starts_ends_without_a_word_too_many(
    tmp_path: Path, signals: int
) -> None:
    data = tmp_path / "data"
    running = start("up", "--feed", "simulated", "--no-serve", "--data", str(data), cwd=tmp_path)
    try:
        wait_until(lambda: _state(data, "kafka") is not None, 300)
        for _ in range(signals):
            running.send_signal(signal.SIGINT)
            time.sleep(0.1)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert "stopping before the servers were ready" in errors
    assert processes_of(data) == []


def _state(data: Path, stage: str) -> str | None:
    with suppress(OSError, ValueError, KeyError):
        state: str = endpoints(data)["stages"][stage]["state"]
        return state
    return None


@pytest.mark.full
@pytest.mark.timeout(400)
def test_a_run_is_stopped_with_its_summary_though_kafka_has_just_died(tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("up", "--feed", "simulated", "--no-serve", "--data", str(data), cwd=tmp_path)
    try:
        wait_until(lambda: _state(data, STAGE) == "running", 300)
        os.kill(endpoints(data)["stages"]["kafka"]["pid"], signal.SIGKILL)
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    assert "Traceback" not in errors
    assert "trades " in output
    assert ("dead letters   unknown" in output) == ("the summary lacks the dead letters" in errors)
    assert processes_of(data) == []
