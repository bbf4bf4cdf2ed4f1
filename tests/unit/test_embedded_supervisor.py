"""The supervisor with small programs: starts, deaths, restarts, stops."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.embedded.child import Child, ChildSpec
from infra.embedded.endpoints import Endpoints, EndpointsFile, KafkaEndpoint, Stage
from infra.embedded.errors import ChildFailedError, DirectoryLockedError
from infra.embedded.identity import process_identity
from infra.embedded.restarts import RestartPolicy, Restarts
from infra.embedded.stage_log import StageLog
from infra.embedded.supervisor import Supervisor

QUICK = RestartPolicy(base_delay_s=0.02, max_delay_s=0.05, max_failures=3)


def script(name: str, code: str, *arguments: str, **options: object) -> ChildSpec:
    argv = (sys.executable, "-I", "-S", "-c", code, *arguments)
    return ChildSpec(name=name, argv=argv, **options)  # type: ignore[arg-type]


def sleeper(name: str = "sleeper", **options: object) -> ChildSpec:
    return script(name, "import time; time.sleep(60)", **options)


def launch(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def eventually(check: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


async def test_a_killed_child_is_started_again_and_the_file_names_the_new_one(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, policy=QUICK) as supervisor:
        await supervisor.start(sleeper(metrics_port=9100))
        first = EndpointsFile(tmp_path).read().stages["sleeper"]
        assert first.pid is not None
        assert (first.state, first.restarts, first.metrics_port) == ("running", 0, 9100)
        os.kill(first.pid, signal.SIGKILL)
        await eventually(lambda: EndpointsFile(tmp_path).read().stages["sleeper"].restarts == 1)
        await eventually(lambda: EndpointsFile(tmp_path).read().stages["sleeper"].state == "running")
        second = EndpointsFile(tmp_path).read().stages["sleeper"]
        assert second.pid not in (None, first.pid)
        assert second.pid is not None
        assert process_identity(second.pid) == second.identity
    after = EndpointsFile(tmp_path).read()
    assert after.pid is None
    assert (after.stages["sleeper"].state, after.stages["sleeper"].pid) == ("stopped", None)
    assert process_identity(second.pid) is None


def test_pauses_between_restarts_are_drawn_up_to_a_ceiling_that_doubles_to_a_bound() -> None:
    policy = RestartPolicy(base_delay_s=0.1, max_delay_s=1.0, max_failures=6)
    highest = Restarts(policy, draw=lambda: 1.0)
    assert [highest.pause_s(0.0) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert highest.pause_s(0.0) is None
    halved = Restarts(policy, draw=lambda: 0.5)
    assert [halved.pause_s(0.0) for _ in range(2)] == [0.05, 0.1]


def test_who_was_ready_for_long_begins_anew() -> None:
    restarts = Restarts(RestartPolicy(max_failures=1, healthy_after_s=20.0), draw=lambda: 1.0)
    assert restarts.pause_s(0.0) == 0.5
    assert restarts.pause_s(20.1) == 0.5
    assert restarts.pause_s(19.9) is None


async def test_a_child_that_dies_at_start_again_and_again_is_given_up_with_its_last_words(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path, policy=QUICK) as supervisor:
        dying = script("dying", "import sys; sys.exit('no such symbol: FOO')", ready=lambda: False)
        with pytest.raises(ChildFailedError, match=r"(?s)dying ended at start with exit code 1.*symbol: FOO"):
            await supervisor.start(dying)
        assert supervisor.endpoints.stages["dying"].restarts == QUICK.max_failures
        assert supervisor.endpoints.stages["dying"].state == "failed"
        with pytest.raises(ChildFailedError):
            await asyncio.wait_for(supervisor.until_failure(), 1)


async def test_who_dies_while_a_server_is_away_waits_for_it_and_is_not_given_up(tmp_path: Path) -> None:
    told: list[str] = []
    gate = tmp_path / "gate"
    gate.touch()
    policy = RestartPolicy(base_delay_s=0.01, max_failures=1)
    async with Supervisor(tmp_path, policy=policy, tell=told.append) as supervisor:
        await supervisor.start(sleeper("server", ready=gate.exists))
        await supervisor.start(sleeper("stage", needs=("server", "elsewhere")))
        stages = supervisor.endpoints.stages
        gate.unlink()
        for name in ("server", "stage"):
            pid = stages[name].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda name=name: any(line.startswith(name) for line in told))  # type: ignore[misc]
        await asyncio.sleep(0.2)
        assert told[1] == "stage ended with signal SIGKILL; it is started again once server runs"
        assert supervisor.endpoints.stages["stage"].state == "restarting"
        gate.touch()
        await eventually(lambda: supervisor.endpoints.stages["stage"].state == "running")
    assert len(told) == 2


async def test_wrong_settings_are_not_tried_twice(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, policy=QUICK) as supervisor:
        spec = script("stage", "import sys; sys.exit(2)", ready=lambda: False, fatal_codes=frozenset({2}))
        with pytest.raises(ChildFailedError, match="exit code 2"):
            await supervisor.start(spec)
        assert supervisor.endpoints.stages["stage"].restarts == 0


async def test_a_child_that_never_gets_ready_is_ended_and_reported(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        spec = sleeper(ready=lambda: False, ready_timeout_s=0.2, restarts=False)
        with pytest.raises(ChildFailedError, match=r"not ready within 0\.2 s"):
            await supervisor.start(spec)
        assert supervisor.endpoints.stages["sleeper"].pid is None


async def test_a_probe_that_raises_fails_the_start_instead_of_hanging(tmp_path: Path) -> None:
    def broken() -> bool:
        raise OSError("probe")

    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildFailedError, match="probe"):
            await supervisor.start(sleeper(ready=broken))


async def test_work_that_is_done_is_not_started_again(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, policy=QUICK) as supervisor:
        await supervisor.start(script("job", "", finishes=True))
        assert await asyncio.wait_for(supervisor.wait("job"), 5) == 0
        assert supervisor.endpoints.stages["job"].state == "finished"
        assert supervisor.endpoints.stages["job"].restarts == 0


async def test_exit_code_0_of_a_server_is_a_failure(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, policy=QUICK) as supervisor:
        await supervisor.start(script("server", "", finishes=False))
        with pytest.raises(ChildFailedError, match="server ended with exit code 0"):
            await asyncio.wait_for(supervisor.until_failure(), 5)


async def test_children_are_asked_in_reverse_order_and_the_stubborn_are_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[2], 'a').write(sys.argv[1] + ' ')\n"
        "    if sys.argv[1] != 'stubborn': sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "open(sys.argv[2] + '.' + sys.argv[1], 'w')\n"
        "while True: time.sleep(0.05)\n"
    )
    async with Supervisor(tmp_path) as supervisor:
        for name in ("stubborn", "second", "third"):
            up = tmp_path / f"notes.{name}"
            spec = script(name, code, name, str(notes), ready=up.exists, stop_timeout_s=0.3)
            await supervisor.start(spec)
        pids = [stage.pid for stage in supervisor.endpoints.stages.values()]
        await supervisor.stop("second")
    assert notes.read_text().split() == ["second", "third", "stubborn"]
    assert [process_identity(pid) for pid in pids if pid] == [None, None, None]


async def test_a_stop_while_a_child_waits_for_its_restart_takes_effect_at_once(tmp_path: Path) -> None:
    slow = RestartPolicy(base_delay_s=30.0, max_delay_s=30.0)
    async with Supervisor(tmp_path, policy=slow) as supervisor:
        await supervisor.start(script("dying", "import sys; sys.exit(1)"))
        await eventually(lambda: supervisor.endpoints.stages["dying"].state == "restarting")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert EndpointsFile(tmp_path).read().stages["dying"].state == "stopped"


async def test_children_have_a_session_of_their_own_so_that_ctrl_c_passes_them_by(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(sleeper())
        pid = supervisor.endpoints.stages["sleeper"].pid
        assert pid is not None
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_a_second_supervisor_on_the_directory_is_told_who_has_it(tmp_path: Path) -> None:
    async with Supervisor(tmp_path):
        with pytest.raises(DirectoryLockedError, match=f"process {os.getpid()}") as caught:
            await Supervisor(tmp_path).__aenter__()
        assert caught.value.pid == os.getpid()
    async with Supervisor(tmp_path):
        pass


async def test_the_file_with_the_password_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        supervisor.publish(kafka=KafkaEndpoint(bootstrap_servers="127.0.0.1:1"))
        path = tmp_path / "endpoints.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text())["kafka"] == {"bootstrap_servers": "127.0.0.1:1"}
        live = EndpointsFile(tmp_path).read_live()
        assert live is not None
        assert live.kafka == KafkaEndpoint(bootstrap_servers="127.0.0.1:1")
    assert EndpointsFile(tmp_path).read_live() is None


ORPHANS = """
import os, signal, sys
from pathlib import Path
from infra.embedded.child import Child, ChildSpec
from infra.embedded.stage_log import StageLog
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
spec = ChildSpec(name="child", argv=(sys.executable, "-I", "-S", "-c", code))
child = Child.start(spec, StageLog.of(Path(sys.argv[1]), "child"), watched=sys.argv[2] == "pipe")
print(child.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    "mechanism",
    [
        pytest.param(
            "kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux has PR_SET_PDEATHSIG")
        ),
        "pipe",
    ],
)
async def test_children_do_not_survive_a_killed_supervisor(tmp_path: Path, mechanism: str) -> None:
    command = [sys.executable, "-c", ORPHANS, str(tmp_path), mechanism]
    with launch(command) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        # Long enough for the leash to have become the program.
        await asyncio.sleep(0.5)
        assert process_identity(pid) is not None
        supervisor.kill()
    await eventually(lambda: process_identity(pid) is None)


async def test_a_watching_companion_ends_with_its_program(tmp_path: Path) -> None:
    child = Child.start(script("short", ""), StageLog.of(tmp_path, "short"), watched=True)
    await eventually(lambda: child.exit_code() == 0)


async def test_what_an_earlier_run_left_is_ended_but_no_stranger_with_its_id(tmp_path: Path) -> None:
    def stage(pid: int, identity: str | None) -> Stage:
        return Stage(state="running", pid=pid, identity=identity)

    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with launch(command) as left, launch(command) as stranger:
        try:
            stages = {
                "left": stage(left.pid, process_identity(left.pid)),
                "stranger": stage(stranger.pid, "another time"),
            }
            EndpointsFile(tmp_path).write(Endpoints(pid=1, stages=stages))
            async with Supervisor(tmp_path):
                assert left.wait(5) != 0
                assert stranger.poll() is None
        finally:
            left.kill()
            stranger.kill()
