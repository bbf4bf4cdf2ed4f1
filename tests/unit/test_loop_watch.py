"""A loop that hangs ends the process; a process that sleeps does not hang."""

import signal
import subprocess
import sys
import time

PROGRAM = """
import asyncio, sys, time
from processors.engine.loop_watch import LoopWatch

async def main():
    watch = asyncio.create_task(LoopWatch(1.0, 3).run())
    print("runs", flush=True)
    await asyncio.sleep({awake})
    hang({hang})
    watch.cancel()

def hang(seconds):
    time.sleep(seconds)

asyncio.run(main())
"""


def start(awake: float, hang: float) -> subprocess.Popen[str]:
    code = PROGRAM.format(awake=awake, hang=hang)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    return process


def test_a_loop_that_hangs_ends_the_process_and_shows_where_it_stands() -> None:
    _, said = (process := start(awake=0.1, hang=60)).communicate(timeout=20)
    assert process.returncode == 3
    assert "its event loop has not moved for 1 s" in said
    assert "in hang" in said


def test_a_process_that_was_stopped_for_long_goes_on() -> None:
    process = start(awake=1.2, hang=0.2)
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "")
