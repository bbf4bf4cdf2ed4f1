"""The process of a job: it takes one, does it as the command line would, and starts its successor."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Final

import click

from kandle.jobs.job import Job
from kandle.jobs.progress import as_job
from kandle.jobs.store import JobStore
from schemas.errors import KandleError

STOP_S: Final = 10.0
"""A job that is cancelled has so long to end by itself."""
POLL_S: Final = 0.05
LOG_LINES: Final = 3
"""Of what a job has said last, as its error where it names none."""


def start_worker(data_dir: Path) -> None:
    """Start a process that takes the next job; it lives on when this one ends, and its terminal is closed."""
    folder = JobStore(data_dir).folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "workers.log").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "kandle", "jobs", "work"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "KANDLE_DATA_DIR": str(data_dir.absolute())},
            start_new_session=True,
        )
    # If it ends before we do, somebody has to take note of it; if not, the system does.
    threading.Thread(target=process.wait, daemon=True).start()


def start_waiting(data_dir: Path) -> None:
    """See after jobs whose process is gone, and start a process if one waits."""
    store = JobStore(data_dir)
    if store.folder.is_dir() and store.is_waiting():
        start_worker(data_dir)


def work(data_dir: Path) -> Job | None:
    """Do the next job in this process; None if there is none. Called once, by a process of its own."""
    store = JobStore(data_dir)
    job = store.claim()
    if job is None:
        return None
    if store.is_waiting():
        start_worker(data_dir)
    try:
        return _do(store, job)
    finally:
        if store.is_waiting():
            start_worker(data_dir)


def cancel(data_dir: Path, id_: int) -> Job:
    """End a job; blocks until it has ended.

    Raises:
        NoSuchJobError: There is none of this id.
    """
    store = JobStore(data_dir)
    job = store.ask_to_stop(id_)
    deadline = time.monotonic() + STOP_S
    number = signal.SIGTERM
    while job.state == "running" and job.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.pid, number)
        pause = time.monotonic() + 1.0
        while job.state == "running" and time.monotonic() < pause:
            time.sleep(POLL_S)
            store.bury()
            job = store.job(id_)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
    start_waiting(data_dir)
    return job


def _do(store: JobStore, job: Job) -> Job:
    rows: list[int] = []
    with store.output(job.id).open("wb") as output, store.log(job.id).open("ab") as log:
        # Of the process, so that what libraries and kernels print is there as well.
        os.dup2(output.fileno(), 1)
        os.dup2(log.fileno(), 2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with as_job(lambda done, total: store.report(job.id, done, total), rows.append):
        try:
            error = _run(job)
        except KeyboardInterrupt:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if store.job(job.id).is_stopping:
                return store.finish(job.id, error="cancelled")
            return store.give_back(job.id, "its process was stopped")
    sys.stdout.flush()
    if error == "":
        lines = store.log(job.id).read_text("utf-8", "replace").splitlines()
        error = "\n".join(lines[-LOG_LINES:]) or "it has ended with an exit code, and without a word"
    return store.finish(job.id, rows=sum(rows) if rows else None, error=error)


def _run(job: Job) -> str | None:
    """Why it has failed; None if it has not, empty if what it has said tells."""
    from kandle.__main__ import cli

    try:
        os.chdir(job.folder)
        code = cli.main(job.request, prog_name="kandle", standalone_mode=False)
    except SystemExit as stop:
        code = stop.code
    except click.ClickException as error:
        return error.format_message()
    except KandleError as error:
        return str(error)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return "" if code not in (None, 0) else None
