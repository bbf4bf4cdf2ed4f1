"""No compiled kernel reads a byte that is not its own: hostile bytes up to the edge of a locked page."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(argument: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.guarded_memory", argument]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_locked_page_ends_a_process_that_touches_it() -> None:
    assert run("beyond").returncode in (-signal.SIGSEGV, -signal.SIGBUS)


def test_hostile_bytes_never_lead_a_kernel_beyond_its_data() -> None:
    done = run("20000")
    assert done.returncode == 0, done.stderr
