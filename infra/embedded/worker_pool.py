"""Processes of one stage under one parent: started side by side, started again, ended with it."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from infra.embedded.child import Child, ChildSpec, describe_exit
from infra.embedded.restarts import RestartPolicy, Restarts
from infra.logging import get_logger

POLL_S: Final = 0.05
SIGNALLED: Final = 128
"""A shell's exit code for who was ended by a signal: this and the signal's number."""

log = get_logger(__name__)


class WorkerPool:
    """Keeps workers alive, each on its own account, until they are told to stop.

    A worker that is killed or fails is started again, after a pause with full jitter; the others do not
    notice. It ends all of them when one fails for a reason that stays (`ChildSpec.fatal_codes`) or quickly
    again and again. A worker that ends with 0 was told to leave, and stays away. If this process is killed,
    the kernel ends the workers.

    Args:
        specs: The workers. Their output is ours.
        policy: When to start again.
    """

    def __init__(self, specs: Sequence[ChildSpec], policy: RestartPolicy | None = None) -> None:
        self._specs = list(specs)
        self._policy = policy or RestartPolicy()
        self._children: dict[str, Child] = {}

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the workers that run, by name."""
        return {name: child.pid for name, child in self._children.items()}

    async def run(self, stop: asyncio.Event) -> int:
        """Run all workers until every one has ended; call from the main thread, which the kernel watches.

        Args:
            stop: Set it to stop all in peace; it is set here when one has failed for good.

        Returns:
            0, or the exit code of the first worker that failed for good or did not stop in peace.

        Raises:
            ChildFailedError: The system cannot start a process; the others are ended.
        """
        keepers = {asyncio.create_task(self._keep(spec, stop)) for spec in self._specs}
        code = 0
        try:
            pending = keepers
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    code = code or task.result()
                if code:
                    stop.set()
            return code
        finally:
            for task in keepers:
                task.cancel()
            for child in self._children.values():
                child.kill()

    async def _keep(self, spec: ChildSpec, stop: asyncio.Event) -> int:
        restarts = Restarts(self._policy)
        while not stop.is_set():
            began = time.monotonic()
            code = await self._run_once(spec, stop)
            if stop.is_set():
                # Who is asked in its first moments has nothing to wind up, and ends by the signal itself.
                return 0 if code == -spec.stop_signal else _status(code)
            if code == 0:
                log.info("a worker has left", worker=spec.name)
                return 0
            pause = restarts.pause_s(time.monotonic() - began)
            if pause is None or code in spec.fatal_codes:
                log.error("a worker cannot go on; all stop", worker=spec.name, reason=describe_exit(code))
                return _status(code)
            log.warning(
                "a worker is started again",
                worker=spec.name,
                reason=describe_exit(code),
                pause_s=round(pause, 3),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        return 0

    async def _run_once(self, spec: ChildSpec, stop: asyncio.Event) -> int:
        """Run a worker to its end, or to ours; its exit code as `Child.exit_code` gives it."""
        child = self._children[spec.name] = Child.start(spec, None)
        log.info("a worker was started", worker=spec.name, pid=child.pid)
        try:
            while (code := child.exit_code()) is None:
                if stop.is_set():
                    await asyncio.to_thread(child.stop)
                else:
                    await asyncio.sleep(POLL_S)
            return code
        finally:
            if child.exit_code() is not None:
                del self._children[spec.name]


def _status(code: int) -> int:
    return SIGNALLED - code if code < 0 else code
