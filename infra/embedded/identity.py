"""Telling a process from a later one that got the same process id."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def process_identity(pid: int) -> str | None:
    """A text that no later process with this id shares: when it was started. None: no such process.

    A process that has ended but was not waited for by its parent counts as gone.
    """
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The name in parentheses may hold anything; fields are counted after it.
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    words = answer.stdout.split()
    return None if not words or words[0].startswith("Z") else " ".join(words[1:])


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def command_line(pid: int) -> str:
    """Program and arguments of a process; empty when there is none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout


def end_process(pid: int, identity: str | None, *, patience_s: float = 5.0) -> bool:
    """End a process of an earlier run, politely at first; blocks until it is gone.

    Args:
        pid: Its process id.
        identity: What `process_identity` said about it then; any other process is left alone.
        patience_s: Seconds between SIGINT, which asks any stage and PostgreSQL to stop at once, and SIGKILL.

    Returns:
        Whether there was such a process.
    """
    if identity is None or process_identity(pid) != identity:
        return False
    for sent in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sent)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if process_identity(pid) != identity:
                return True
            time.sleep(0.02)
    return True
