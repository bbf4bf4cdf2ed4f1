"""A process that `kandle up` has started again is told to whoever reads the events."""

import asyncio
import os
import signal
import socket
from pathlib import Path

from infra.embedded.child import ChildSpec
from infra.embedded.endpoints import EndpointsFile
from infra.embedded.restarts import RestartPolicy
from infra.embedded.supervisor import Restart, Supervisor
from infra.settings import KafkaSettings
from kandle.up.restart_events import CLOSE_S, RestartEvents, event_of


async def restarts_of(tmp_path: Path, deaths: int) -> list[Restart]:
    """What a supervisor tells of a process that is killed so many times."""
    told: list[Restart] = []
    policy = RestartPolicy(base_delay_s=0.01)
    async with asyncio.timeout(30), Supervisor(tmp_path, policy=policy, on_restart=told.append) as supervisor:
        await supervisor.start(ChildSpec(name="stage", argv=("/bin/sh", "-c", "exec sleep 60")))
        for death in range(deaths):
            while (stage := EndpointsFile(tmp_path).read().stages["stage"]).restarts < death or not stage.pid:
                await asyncio.sleep(0.01)
            os.kill(stage.pid, signal.SIGKILL)
            while len(told) <= death:
                await asyncio.sleep(0.01)
    return told


async def test_each_restart_is_told_once_the_process_runs_again(tmp_path: Path) -> None:
    first, second = await restarts_of(tmp_path, 2)
    assert (first.name, first.count, second.count) == ("stage", 1, 2)
    assert first.problem == "stage ended with signal SIGKILL"
    assert 0 < first.away_s < 30


async def test_a_stop_is_no_restart(tmp_path: Path) -> None:
    assert await restarts_of(tmp_path, 0) == []


def test_the_event_says_what_died_how_and_for_how_long() -> None:
    event = event_of(
        Restart("sink", 3, "sink ended with signal SIGKILL", 4.21), "run-1", 1_700_000_000_000_000
    )
    assert (event.type, event.source, event.severity) == ("stage.restarted", "stage/sink", "warning")
    assert event.message == "sink ended with signal SIGKILL; it runs again after 4.2 s"
    assert (event.id, event.data["restarts"]) == ("restart/run-1/sink/3", "3")


async def test_kafka_that_is_away_holds_up_neither_restart_nor_end() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}")
        events = RestartEvents("run-1")
        events.take(Restart("kafka", 1, "kafka ended with signal SIGKILL", 9.0))
        events.start(nobody)
        await asyncio.sleep(0.1)
        events.take(Restart("sink", 1, "sink ended with signal SIGKILL", 1.0))
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(30):
            await events.close()
        assert asyncio.get_running_loop().time() - began >= CLOSE_S - 0.5, "it was tried until the end"
