"""A pool of workers with small programs: deaths, restarts, reasons that stay, stops, orphans."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from infra.embedded.child import ChildSpec
from infra.embedded.identity import process_identity
from infra.embedded.restarts import RestartPolicy
from infra.embedded.worker_pool import WorkerPool
from infra.settings import MetricsSettings, ProcessorSettings, Settings
from kandle.workers import worker_specs
from schemas.errors import ConfigurationError

QUICK = RestartPolicy(base_delay_s=0.01, max_delay_s=0.02, max_failures=2, healthy_after_s=30)
SLEEP = "import time; time.sleep(60)"


def script(name: str, code: str, **options: object) -> ChildSpec:
    return ChildSpec(name=name, argv=(sys.executable, "-I", "-S", "-c", code), **options)  # type: ignore[arg-type]


async def eventually(check: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(
    pool: WorkerPool, workers: int
) -> AsyncIterator[tuple[asyncio.Task[int], asyncio.Event, dict[str, int]]]:
    stop = asyncio.Event()
    task = asyncio.create_task(pool.run(stop))
    try:
        await eventually(lambda: len(pool.pids) == workers)
        yield task, stop, dict(pool.pids)
    finally:
        stop.set()
        await task


async def test_a_killed_worker_is_started_again_and_the_others_do_not_notice() -> None:
    pool = WorkerPool([script("one", SLEEP), script("two", SLEEP)], QUICK)
    async with running(pool, 2) as (task, stop, first):
        os.kill(first["one"], signal.SIGKILL)
        await eventually(lambda: pool.pids.get("one", first["one"]) != first["one"])
        second = dict(pool.pids)
        assert second["two"] == first["two"]
        stop.set()
        assert await task == 0
    assert [process_identity(pid) for pid in (*first.values(), *second.values())] == [None] * 4


async def test_a_reason_that_stays_ends_all_with_its_exit_code() -> None:
    wrong = script("wrong", "import sys; sys.exit(2)", fatal_codes=frozenset({2}))
    pool = WorkerPool([script("fine", SLEEP), wrong], QUICK)
    assert await asyncio.wait_for(pool.run(asyncio.Event()), 5) == 2
    assert pool.pids == {}


async def test_quick_deaths_in_a_row_end_all(tmp_path: Path) -> None:
    started = tmp_path / "started"
    dying = script("dying", f"open({str(started)!r}, 'a').write('x'); raise SystemExit(7)")
    pool = WorkerPool([script("fine", SLEEP), dying], QUICK)
    assert await asyncio.wait_for(pool.run(asyncio.Event()), 10) == 7
    assert len(started.read_text()) == QUICK.max_failures + 1


async def test_who_lived_long_enough_may_die_any_number_of_times(tmp_path: Path) -> None:
    started = tmp_path / "started"
    started.touch()
    code = f"open({str(started)!r}, 'a').write('x'); import time; time.sleep(0.1); raise SystemExit(7)"
    policy = RestartPolicy(base_delay_s=0.01, max_delay_s=0.01, max_failures=1, healthy_after_s=0.05)
    async with running(WorkerPool([script("dying", code)], policy), 1) as (task, _, _):
        await eventually(lambda: len(started.read_text()) > 4, 10)
        assert not task.done()


async def test_a_worker_that_was_told_to_leave_stays_away() -> None:
    pool = WorkerPool([script("stays", SLEEP), script("leaves", "pass")], QUICK)
    async with running(pool, 2) as (task, _, _):
        await eventually(lambda: list(pool.pids) == ["stays"])
        assert not task.done()
    everyone = WorkerPool([script("one", "pass"), script("two", "pass")], QUICK)
    assert await everyone.run(asyncio.Event()) == 0


async def test_a_worker_that_does_not_stop_in_time_is_killed_and_that_is_told() -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    pool = WorkerPool([script("deaf", deaf, stop_timeout_s=0.2)], QUICK)
    async with running(pool, 1) as (task, stop, pids):
        status = Path(f"/proc/{pids['deaf']}/status")
        await eventually(lambda: int(status.read_text().partition("SigIgn:\t")[2][:16], 16) & 0x4000 != 0)
        stop.set()
        assert await task == 128 + signal.SIGKILL


def test_workers_do_not_outlive_a_parent_that_is_killed() -> None:
    code = (
        "import asyncio, sys\n"
        "from infra.embedded.child import ChildSpec\n"
        "from infra.embedded.worker_pool import WorkerPool\n"
        f"code = 'import os; print(os.getpid(), flush=True); {SLEEP}'\n"
        "argv = (sys.executable, '-I', '-S', '-c', code)\n"
        "pool = WorkerPool([ChildSpec(name=str(n), argv=argv) for n in range(2)])\n"
        "asyncio.run(pool.run(asyncio.Event()))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids: list[int] = []
    while len(pids) < 2:
        line = parent.stdout.readline()
        assert line, "it ended before its workers ran"
        pids += [int(line)] if line.strip().isdigit() else []
    parent.kill()
    parent.wait(5)
    deadline = time.monotonic() + 5
    while any(process_identity(pid) is not None for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.02)
    parent.stdout.close()


def test_workers_share_neither_member_id_nor_port() -> None:
    settings = Settings(
        processors=ProcessorSettings(instance_id="host-a"), metrics=MetricsSettings(port=9100), run_id="run"
    )
    own = [
        (spec.environment["KANDLE_PROCESSORS__INSTANCE_ID"], spec.environment["KANDLE_METRICS__PORT"])
        for spec in worker_specs(settings, 3)
        if spec.environment is not None
    ]
    assert own == [("host-a-0", "9100"), ("host-a-1", "9101"), ("host-a-2", "9102")]
    nameless = worker_specs(Settings(run_id="run"), 2)[1].environment
    assert nameless is not None
    assert (nameless["KANDLE_PROCESSORS__INSTANCE_ID"], nameless["KANDLE_METRICS__PORT"]) == ("run-1", "0")
    with pytest.raises(ConfigurationError, match="lower KANDLE_METRICS__PORT"):
        worker_specs(Settings(metrics=MetricsSettings(port=65_535)), 2)
