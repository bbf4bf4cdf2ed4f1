"""What processes use: measured with their children, told in endpoints.json, kept over restarts."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded.child import ChildSpec
from infra.embedded.endpoints import EndpointsFile
from infra.embedded.resources import Meter
from infra.embedded.restarts import RestartPolicy
from infra.embedded.supervisor import Supervisor

BUSY = "while True: pass"
PARENT = f"""
import subprocess, sys, time
held = bytearray(64 * 1024 * 1024)
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {BUSY!r}])
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-I", "-S", "-c", PARENT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_a_process_counts_with_its_children(parent: subprocess.Popen[str]) -> None:
    meter = Meter()
    meter.look({"stage": parent.pid})
    before = meter.used["stage"].cpu_s
    time.sleep(0.5)
    meter.look({"stage": parent.pid})
    # The parent itself sleeps: what was spent is its child's.
    assert meter.used["stage"].cpu_s - before > 0.02
    assert 3 < meter.last["stage"].cpu_percent < 130
    assert 64 * 1024**2 < meter.last["stage"].memory_bytes < 256 * 1024**2
    assert meter.used["stage"].peak_bytes >= meter.last["stage"].memory_bytes


def test_who_has_ended_is_not_listed_but_what_it_used_is_kept(parent: subprocess.Popen[str]) -> None:
    meter = Meter()
    meter.look({"stage": parent.pid})
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    meter.look({"stage": parent.pid})
    assert meter.last == {}
    assert meter.used["stage"].peak_bytes > 0


async def test_the_file_says_what_processes_and_directory_use_and_who_was_started_again(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    policy = RestartPolicy(base_delay_s=0.01)
    async with Supervisor(tmp_path, policy=policy, housekeeping_s=0.05, tell=told.append) as supervisor:
        spec = ChildSpec(name="stage", argv=(sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"))
        await supervisor.start(spec)
        while (stage := EndpointsFile(tmp_path).read().stages["stage"]).resources is None:
            await asyncio.sleep(0.02)
        assert stage.resources.memory_bytes > 1024**2
        assert (EndpointsFile(tmp_path).read().disk_bytes or 0) > 0
        assert stage.pid is not None
        os.kill(stage.pid, signal.SIGKILL)
        while not told:
            await asyncio.sleep(0.02)
    assert told[0].startswith("stage ended with signal SIGKILL; it is started again in ")
    assert EndpointsFile(tmp_path).read().stages["stage"].resources is None
