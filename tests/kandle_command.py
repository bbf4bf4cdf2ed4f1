"""Runs the `kandle` command as a user does: as a process, in a directory of its own."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

DEADLINE_S = 120.0


def environment() -> dict[str, str]:
    """Ours, without anything that would point the command at servers of somebody else."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KANDLE_") and name not in {"KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"}
    }


def kandle(*arguments: str, cwd: Path, timeout_s: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "kandle", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


WARM = """
import json, os, sys, traceback
import kandle.commands.sql, kandle.commands.stages, kandle.commands.tail, kandle.commands.up
import processors.engine.stage, sinks.stage
from kandle.__main__ import main

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(asked["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["kandle", *asked["arguments"]]
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class WarmKandle:
    """Runs commands as processes forked from one that has imported what they need: each starts at once."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WARM],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"cwd": str(cwd), "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        out, err = ((cwd / name).read_text() for name in ("out", "err"))
        return subprocess.CompletedProcess(arguments, code, out, err)


def start(*arguments: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start a command; the caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "kandle", *arguments],
        cwd=cwd,
        env=environment() | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def summary_of(output: str) -> dict[str, Any]:
    """The JSON object on the last line."""
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found


def rows(query: str, data: Path, cwd: Path) -> list[dict[str, str]]:
    """The rows that `kandle sql` answers."""
    answer = kandle("sql", query, "--data", str(data), cwd=cwd)
    assert answer.returncode == 0, answer.stderr
    return list(csv.DictReader(io.StringIO(answer.stdout)))


def endpoints(data: Path) -> dict[str, Any]:
    """What `endpoints.json` says."""
    found: dict[str, Any] = json.loads((data / "endpoints.json").read_text())
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float = DEADLINE_S, pause_s: float = 0.05) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: It did not.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(pause_s)


def kill(pids: Sequence[int]) -> None:
    """kill -9."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def processes_of(data: Path) -> list[int]:
    """Processes whose arguments or environment name a data directory."""
    found = []
    needle = str(data).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if needle in text:
            found.append(int(entry.name))
    return found
