"""`kandle up` and a stage that dies whenever it is started: the run ends, and says why."""

import os
import signal
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
