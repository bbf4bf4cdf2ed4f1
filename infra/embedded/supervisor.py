"""Keeps the processes of one data directory alive, and ends them all with itself."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import msgspec

from infra.embedded.child import Child, ChildSpec, describe_exit, failed
from infra.embedded.cluster import end_leftovers
from infra.embedded.directory_lock import DirectoryLock
from infra.embedded.disk import DiskBudget, used_bytes
from infra.embedded.endpoints import (
    Endpoints,
    EndpointsFile,
    KafkaEndpoint,
    PostgresEndpoint,
    Stage,
    StageState,
)
from infra.embedded.errors import ChildFailedError
from infra.embedded.identity import process_identity
from infra.embedded.resources import Meter
from infra.embedded.restarts import RestartPolicy, Restarts
from infra.embedded.stage_log import StageLog
from schemas.errors import KandleError

POLL_S = 0.05
HOUSEKEEPING_S = 5.0
FINAL: frozenset[StageState] = frozenset({"finished", "stopped", "failed"})


@dataclass(frozen=True, slots=True)
class Restart:
    """A process that had died and runs again.

    Attributes:
        name: Of the process.
        count: How often it was started again in this run.
        problem: How it had died.
        away_s: How long it was not ready, s.
    """

    name: str
    count: int
    problem: str
    away_s: float


@dataclass(slots=True)
class _Supervised:
    spec: ChildSpec
    log: StageLog
    state: StageState = "starting"
    child: Child | None = None
    restarts: int = 0
    exit_code: int | None = None
    ready_at: float | None = None
    problem: str | None = None
    died_at: float = 0.0
    stop_asked: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Starts, watches, restarts and stops named processes; an asynchronous context manager.

        async with Supervisor(data_dir) as supervisor:
            await supervisor.start(kafka.spec)
            await supervisor.until_failure()

    Entering takes the directory's lock and ends what an earlier run left; leaving stops what still runs, in
    the reverse order of the starts. `endpoints.json` follows every change at once, and every few seconds what
    the processes use. Use it from the main thread alone: the kernel ends the children when the thread ends
    that started them.

    Args:
        data_dir: Whose processes they are.
        policy: When a process that died is started again.
        disk: What the directory may use; None: anything.
        housekeeping_s: How often logs are bounded, and processes and disk measured.
        tell: Told in words of each process that died and will be started again.
        on_restart: Told of each once it is ready again; must not block.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        policy: RestartPolicy | None = None,
        disk: DiskBudget | None = None,
        housekeeping_s: float = HOUSEKEEPING_S,
        tell: Callable[[str], None] | None = None,
        on_restart: Callable[[Restart], None] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self._policy = policy or RestartPolicy()
        self._disk = disk
        self._housekeeping_s = housekeeping_s
        self._tell = tell
        self._on_restart = on_restart
        self.meter = Meter()
        """What the processes use and have used."""
        self._measuring = asyncio.Lock()
        self._lock = DirectoryLock(data_dir)
        self._file = EndpointsFile(data_dir)
        self._endpoints = Endpoints()
        self._supervised: dict[str, _Supervised] = {}
        self._error: KandleError | None = None
        self._has_failed = asyncio.Event()
        self._housekeeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Take the directory.

        Raises:
            DirectoryLockedError: Another process has it.
            DiskFullError: There is too little room to start.
        """
        self._lock.acquire()
        try:
            await asyncio.to_thread(end_leftovers, self.data_dir)
            if self._disk is not None:
                await asyncio.to_thread(self._disk.check)
            self._endpoints = Endpoints(pid=os.getpid())
            self._file.write(self._endpoints)
        except BaseException:
            self._lock.release()
            raise
        self._housekeeper = asyncio.create_task(self._keep_house(), name="housekeeping")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything; when even that is cancelled, kill everything."""
        try:
            if self._housekeeper is not None:
                self._housekeeper.cancel()
                await asyncio.wait([self._housekeeper])
            for name in reversed(list(self._supervised)):
                await self.stop(name)
        finally:
            self._end_all()
            self._lock.release()

    def _end_all(self) -> None:
        for each in self._supervised.values():
            if each.task is not None:
                each.task.cancel()
            if each.child is not None:
                each.child.kill()
            if each.state not in FINAL:
                each.state = "stopped"
        # What ran stays to be read; that nothing listens any more too.
        with contextlib.suppress(OSError):
            self._file.write(
                Endpoints(stages={name: self._stage(each) for name, each in self._supervised.items()})
            )

    @property
    def endpoints(self) -> Endpoints:
        """What `endpoints.json` says now."""
        return self._endpoints

    def publish(
        self, *, kafka: KafkaEndpoint | None = None, postgres: PostgresEndpoint | None = None
    ) -> None:
        """List in `endpoints.json` where a server listens."""
        self._write(
            msgspec.structs.replace(
                self._endpoints,
                kafka=kafka or self._endpoints.kafka,
                postgres=postgres or self._endpoints.postgres,
            )
        )

    async def start(self, spec: ChildSpec) -> None:
        """Start a process and wait until it is ready; deaths meanwhile are treated like later ones.

        Raises:
            ChildFailedError: It did not become ready, or died too often.
            ValueError: There is a process of that name already.
        """
        if spec.name in self._supervised:
            raise ValueError(f"{spec.name} is supervised already")
        log = StageLog.of(self.data_dir, spec.name)
        log.rotate()
        one = self._supervised[spec.name] = _Supervised(spec, log)
        one.task = asyncio.create_task(self._supervise(one), name=f"supervise {spec.name}")
        async with one.changed:
            await one.changed.wait_for(lambda: one.state in FINAL or one.state == "running")
        if one.state == "failed":
            raise self._error or ChildFailedError(f"{spec.name} failed")

    async def wait(self, name: str) -> int | None:
        """Wait until a process has ended for good; its exit code, None when it never ran."""
        one = self._supervised[name]
        async with one.changed:
            await one.changed.wait_for(lambda: one.state in FINAL)
        return one.exit_code

    async def until_failure(self) -> NoReturn:
        """Wait until the run cannot go on.

        Raises:
            ChildFailedError: A process died too often.
            DiskFullError: There is no room left.
        """
        await self._has_failed.wait()
        raise self._error or ChildFailedError("the supervisor failed")

    async def stop(self, *names: str) -> None:
        """Stop processes side by side: ask, wait, kill. Unknown and ended ones are passed over."""
        await asyncio.gather(
            *(self._stop(self._supervised[name]) for name in names if name in self._supervised)
        )

    async def _stop(self, one: _Supervised) -> None:
        one.stop_asked.set()
        if one.child is not None:
            await asyncio.to_thread(one.child.stop)
        if one.task is not None:
            await one.task

    async def _supervise(self, one: _Supervised) -> None:
        try:
            await self._keep_alive(one)
        except Exception as error:
            # A readiness probe that raised, for example: who waits for this process must hear of it.
            self._fail(ChildFailedError(f"{one.spec.name} cannot be supervised: {error!r}"))
            await self._set(one, "failed")

    async def _keep_alive(self, one: _Supervised) -> None:
        restarts = Restarts(self._policy)
        while True:
            one.ready_at = None
            problem = await self._run_once(one)
            if one.stop_asked.is_set():
                return await self._set(one, "stopped")
            if problem is None:
                return await self._set(one, "finished")
            lacking = self._lacking(one.spec)
            healthy_s = 0.0 if one.ready_at is None else time.monotonic() - one.ready_at
            pause = 0.0 if lacking else restarts.pause_s(healthy_s)
            if one.exit_code in one.spec.fatal_codes or not one.spec.restarts:
                self._fail(problem)
                return await self._set(one, "failed")
            if pause is None:
                self._fail(ChildFailedError(f"after {restarts.failures} deaths in a row: {problem}"))
                return await self._set(one, "failed")
            if one.problem is None:
                one.problem, one.died_at = str(problem).partition(";")[0], time.monotonic()
            await self._set(one, "restarting")
            if self._tell is not None:
                said, when = str(problem).partition(";")[0], f"in {pause:.1f} s"
                self._tell(f"{said}; it is started again {f'once {lacking} runs' if lacking else when}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(one.stop_asked.wait(), pause)
            while self._lacking(one.spec) and not one.stop_asked.is_set():
                await asyncio.sleep(POLL_S)
            if one.stop_asked.is_set():
                return await self._set(one, "stopped")
            one.restarts += 1

    def _lacking(self, spec: ChildSpec) -> str | None:
        """The first process that this one needs and that does not run just now."""
        needed = [self._supervised[name] for name in spec.needs if name in self._supervised]
        return next((each.spec.name for each in needed if each.state != "running"), None)

    async def _run_once(self, one: _Supervised) -> ChildFailedError | None:
        """Run the process to its end; None when that was as it should be."""
        one.exit_code = None
        try:
            one.child = Child.start(one.spec, one.log)
        except ChildFailedError as error:
            return error
        await self._set(one, "starting")
        deadline = time.monotonic() + one.spec.ready_timeout_s
        while one.spec.ready is not None and not await asyncio.to_thread(one.spec.ready):
            problem = one.child.start_problem(deadline)
            if problem is not None:
                await asyncio.to_thread(one.child.kill)
                one.exit_code = one.child.exit_code()
                return problem
            await asyncio.sleep(POLL_S)
        one.ready_at = time.monotonic()
        await self._set(one, "running")
        self._note_restart(one)
        while (code := one.child.exit_code()) is None:
            await asyncio.sleep(POLL_S)
        one.exit_code = code
        if code == 0 and one.spec.finishes:
            return None
        return failed(one.spec, f"ended with {describe_exit(code)}", one.log)

    def _note_restart(self, one: _Supervised) -> None:
        """Tell of a process that is ready again, whatever number of starts that took."""
        if one.problem is not None and self._on_restart is not None:
            away_s = time.monotonic() - one.died_at
            self._on_restart(Restart(one.spec.name, one.restarts, one.problem, away_s))
        one.problem = None

    async def _set(self, one: _Supervised, state: StageState) -> None:
        async with one.changed:
            one.state = state
            stages = {**self._endpoints.stages, one.spec.name: self._stage(one)}
            self._write(msgspec.structs.replace(self._endpoints, stages=stages))
            one.changed.notify_all()

    def _stage(self, one: _Supervised) -> Stage:
        runs = one.child is not None and one.state in {"starting", "running"}
        pid = one.child.pid if one.child is not None and runs else None
        return Stage(
            state=one.state,
            pid=pid,
            restarts=one.restarts,
            metrics_port=one.spec.metrics_port,
            url=one.spec.url,
            identity=process_identity(pid) if pid is not None else None,
            resources=self.meter.last.get(one.spec.name) if pid is not None else None,
        )

    def _write(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        try:
            self._file.write(endpoints)
        except OSError as error:
            # A full disk: the run ends with that reason, and not with a traceback of ours.
            self._fail(ChildFailedError(f"{self._file.path} cannot be written: {error.strerror}"))

    def _fail(self, error: KandleError) -> None:
        if self._error is None:
            self._error = error
            self._has_failed.set()

    async def _keep_house(self) -> None:
        """Bound the logs, measure the processes and watch the disk, now and then."""
        while True:
            await asyncio.sleep(self._housekeeping_s)
            with contextlib.suppress(OSError):
                await asyncio.to_thread(_limit, [each.log for each in self._supervised.values()])
            await self.measure()
            if self._disk is not None:
                try:
                    await asyncio.to_thread(self._disk.check)
                except KandleError as error:
                    self._fail(error)

    async def measure(self) -> None:
        """Look at what the processes and the directory use now; `endpoints.json` says it."""
        async with self._measuring:
            pids = {
                each.spec.name: each.child.pid
                for each in self._supervised.values()
                if each.child is not None and each.state in {"starting", "running"}
            }
            await asyncio.to_thread(self.meter.look, pids)
            disk_bytes = await asyncio.to_thread(used_bytes, self.data_dir)
        stages = {name: self._stage(each) for name, each in self._supervised.items()}
        self._write(msgspec.structs.replace(self._endpoints, stages=stages, disk_bytes=disk_bytes))


def _limit(logs: Iterable[StageLog]) -> None:
    for log in logs:
        log.limit()
