"""One child process: how it is described, started, watched and ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.embedded import leash
from infra.embedded.account import Account
from infra.embedded.errors import ChildFailedError
from infra.embedded.stage_log import StageLog

POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to run a process.

    Attributes:
        name: Stage name; also that of the log file.
        argv: Program (absolute path) and arguments.
        environment: All variables of the child; None hands ours on.
        cwd: Working directory; None is ours.
        finishes: Exit code 0 means that its work is done; otherwise any end is a failure.
        restarts: Whether it is started again after a failure.
        needs: Processes of the same supervisor without which it dies: it is not started again before they
            run, and what it dies of meanwhile is no fault of its own.
        fatal_codes: Exit codes after which another start would be in vain, wrong settings for example.
        stop_signal: Asks it to end.
        stop_timeout_s: Seconds until it is killed after that.
        death_signal: What the kernel sends it when we die.
        account: Account to change to; None keeps ours.
        ready: Whether it can be used now; called again and again from a worker thread, may block for about a
            second, must not raise. None: ready as soon as it runs.
        ready_timeout_s: Seconds until a start without readiness has failed.
        metrics_port: Where it serves metrics; 0 for nowhere.
        url: Where it answers people and programs; None for nowhere.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] | None = None
    cwd: Path | None = None
    finishes: bool = False
    restarts: bool = True
    needs: tuple[str, ...] = ()
    fatal_codes: frozenset[int] = frozenset()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL
    account: Account | None = None
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 60.0
    metrics_port: int = 0
    url: str | None = None


@dataclass(slots=True)
class Child:
    """A running process that cannot outlive us.

    Start it from a thread that lives as long as the child should: Linux takes the end of the starting thread
    for the end of the parent.
    """

    spec: ChildSpec
    log: StageLog | None
    _process: subprocess.Popen[bytes] = field(init=False)
    _pipe: int | None = field(init=False, default=None)

    @classmethod
    def start(cls, spec: ChildSpec, log: StageLog | None, *, watched: bool | None = None) -> "Child":
        """Run the program; returns at once.

        Args:
            spec: What to run.
            log: Takes its standard output and error; None: they are ours.
            watched: Use a companion process instead of the kernel's parent-death signal; None: where the
                kernel (anything but Linux) has none.

        Raises:
            ChildFailedError: The system could not start a process.
        """
        child = cls(spec, log)
        watch = sys.platform != "linux" if watched is None else watched
        reading: int | None = None
        if watch:
            reading, child._pipe = os.pipe()
        arguments = leash.command(
            spec.argv,
            parent=os.getpid(),
            death_signal=spec.death_signal,
            account=None if spec.account is None else spec.account.as_tuple(),
            cwd=None if spec.cwd is None else str(spec.cwd),
            watch_fd=reading,
        )
        try:
            with contextlib.nullcontext() if log is None else log.open() as output:
                child._process = subprocess.Popen(  # noqa: S603 - our own command lines
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=None if output is None else subprocess.STDOUT,
                    env=None if spec.environment is None else dict(spec.environment),
                    pass_fds=() if reading is None else (reading,),
                    # Ctrl-C in the terminal reaches us alone: we decide in which order all end.
                    start_new_session=True,
                )
        except OSError as error:
            child._close_pipe()
            raise ChildFailedError(f"{spec.name} could not be started: {error}") from error
        finally:
            if reading is not None:
                os.close(reading)
        return child

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Exit code, negative for the signal that ended it; None while it runs. Does not block."""
        code = self._process.poll()
        if code is not None:
            self._close_pipe()
        return code

    def ask_to_stop(self) -> None:
        """Send the stop signal; harmless when it has ended."""
        if self.exit_code() is None:
            self._process.send_signal(self.spec.stop_signal)

    def kill(self) -> None:
        """End it and its group at once; blocks until it is gone."""
        if self.exit_code() is None:
            # The program leads its own session, so that this reaches what it has started as well.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.kill()
        self._process.wait()
        self._close_pipe()

    def stop(self) -> None:
        """Ask it to end and kill it when it does not; blocks for `stop_timeout_s` at most."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.spec.stop_timeout_s)
        self.kill()

    def wait_until_ready(self) -> None:
        """Block until the process can be used; end it when that fails.

        Raises:
            ChildFailedError: It ended, or was not ready in time.
        """
        deadline = time.monotonic() + self.spec.ready_timeout_s
        while self.spec.ready is not None and not self.spec.ready():
            problem = self.start_problem(deadline)
            if problem is not None:
                self.kill()
                raise problem
            time.sleep(POLL_S)

    def start_problem(self, deadline: float) -> ChildFailedError | None:
        """Why a start that is not ready yet has failed; None while there is hope.

        Args:
            deadline: End of patience on the monotonic clock, seconds.
        """
        code = self.exit_code()
        if code is not None:
            return failed(self.spec, f"ended at start with {describe_exit(code)}", self.log)
        if time.monotonic() > deadline:
            return failed(self.spec, f"was not ready within {self.spec.ready_timeout_s:g} s", self.log)
        return None

    def _close_pipe(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def failed(spec: ChildSpec, what: str, log: StageLog | None) -> ChildFailedError:
    """The error for a failed process, with the end of its log."""
    if log is None:
        return ChildFailedError(f"{spec.name} {what}")
    tail = log.tail()
    said = f"; the end of {log.path}:\n{tail}" if tail else f"; {log.path} is empty"
    return ChildFailedError(f"{spec.name} {what}{said}")
