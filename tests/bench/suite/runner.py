"""One measurement as a process of its own."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.bench.suite.bench import Bench

ROOT: Final = Path(__file__).parents[3]
LOOK_EVERY_S: Final = 0.25
END_S: Final = 60.0
"""Until a measurement that was interrupted has ended its servers."""


class BenchError(Exception):
    """A measurement failed; the message says how."""


def run(
    bench: Bench, *, quick: bool, on_second: Callable[[float], None], root: Path = ROOT
) -> dict[str, Any]:
    """The figures of one run.

    Args:
        bench: What to run.
        quick: With its small sizes.
        on_second: Hears a few times a second how many have passed.
        root: Where `python -m` finds it.

    Raises:
        BenchError: It ended with an error, took too long, or printed no figures.
        KeyboardInterrupt: It was passed on, and its servers have ended.
    """
    limit_s = bench.minutes * 60 * 4 + 300
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        # A session of its own: an interrupt reaches it from here, once, whoever sent it.
        command = [sys.executable, *bench.command(quick=quick)]
        child = subprocess.Popen(
            command, cwd=root, stdout=output, stderr=errors, text=True, start_new_session=True
        )
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    code = child.wait(LOOK_EVERY_S)
                    break
                passed = time.monotonic() - began
                if passed > limit_s:
                    raise BenchError(f"not done after {limit_s:.0f} s")
                on_second(passed)
        finally:
            _end(child)
        output.seek(0)
        errors.seek(0)
        if code:
            raise BenchError(f"ended with {code}: {errors.read().strip()[-2_000:]}")
        try:
            figures = json.loads(output.read().strip().splitlines()[-1])
        except (IndexError, ValueError) as error:
            raise BenchError("printed no JSON object on its last line") from error
    if not isinstance(figures, dict):
        raise BenchError("printed no JSON object on its last line")
    return figures


def _end(child: "subprocess.Popen[str]") -> None:
    """As by Ctrl-C, so that it ends its servers; killed if it does not."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        with suppress(subprocess.TimeoutExpired):
            child.wait(END_S)
    finally:
        child.kill()
        child.wait()
