"""Jobs of a data directory, in SQLite; any number of processes may use it at once.

A process that runs a job holds a lock on a file of it, which the kernel takes back however the process ends.
Claims, and looks for the dead, are made inside of write transactions, of which SQLite lets one happen at a
time: so a job that runs has its lock held, or its process is gone.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from kandle.jobs.job import Job, NoSuchJobError
from schemas.errors import ResourceError

WORKERS: Final = 10
"""Jobs that run at once."""
ATTEMPTS: Final = 3
"""How often a job that can go on is begun before its kills are taken for its fault."""
PATIENCE_S: Final = 30.0
"""For another process that writes."""
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, provider TEXT NOT NULL, request TEXT NOT NULL,
    folder TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, started INTEGER, ended INTEGER,
    attempts INTEGER NOT NULL, resumable INTEGER NOT NULL, done INTEGER, total INTEGER, rows INTEGER,
    error TEXT, pid INTEGER, is_stopping INTEGER NOT NULL
)
"""
_FREE: Final = """
SELECT id FROM jobs AS waiting WHERE state = 'queued' AND NOT (kind = 'download' AND EXISTS (
    SELECT * FROM jobs WHERE state = 'running' AND kind = 'download' AND provider = waiting.provider
)) ORDER BY id LIMIT 1
"""
"""The next job: of one venue's downloads one at a time, since a process keeps the venue's pace by itself."""


class JobStore:
    """The jobs of a data directory. All calls block.

    Args:
        data_dir: The directory.
        now: The time, µs since the epoch.
    """

    def __init__(self, data_dir: Path, now: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self.folder = data_dir / "jobs"
        self._now = now
        self._locks: dict[int, int] = {}

    def add(
        self, kind: str, provider: str, request: Sequence[str], folder: Path, *, resumable: bool = False
    ) -> Job:
        """Queue a job."""
        with self._writing() as db:
            id_ = db.execute(
                "INSERT INTO jobs (kind, provider, request, folder, state, created, attempts, resumable, "
                "is_stopping) VALUES (?, ?, ?, ?, 'queued', ?, 0, ?, 0)",
                (kind, provider, json.dumps(list(request)), str(folder), self._now(), resumable),
            ).lastrowid
        assert id_ is not None
        return self.job(id_)

    def job(self, id_: int) -> Job:
        """A job as it stands.

        Raises:
            NoSuchJobError: There is none of this id.
        """
        found = self._select("WHERE id = ?", (id_,))
        if not found:
            raise NoSuchJobError(f"there is no job {id_}; kandle jobs list shows those that there are")
        return found[0]

    def jobs(self) -> list[Job]:
        """All of them, the oldest first."""
        return self._select("ORDER BY id")

    def claim(self) -> Job | None:
        """Take the next job for this process; None: there is none, or enough run already."""
        with self._writing() as db:
            self._bury(db)
            (running,) = db.execute("SELECT count(*) FROM jobs WHERE state = 'running'").fetchone()
            row = db.execute(_FREE).fetchone()
            if row is None or running >= WORKERS:
                return None
            lock = self._lock(row[0])
            if lock is None:
                return None  # its last process is about to end
            self._locks[row[0]] = lock
            db.execute(
                "UPDATE jobs SET state = 'running', started = ?, attempts = attempts + 1, pid = ?, "
                "done = NULL, total = NULL, error = NULL WHERE id = ?",
                (self._now(), os.getpid(), row[0]),
            )
        return self.job(row[0])

    def is_waiting(self) -> bool:
        """Whether a process that asked would get a job."""
        with self._writing() as db:
            self._bury(db)
            (running,) = db.execute("SELECT count(*) FROM jobs WHERE state = 'running'").fetchone()
            return running < WORKERS and db.execute(_FREE).fetchone() is not None

    def report(self, id_: int, done: int, total: int) -> None:
        """Say how far a job is."""
        with self._writing() as db:
            db.execute("UPDATE jobs SET done = ?, total = ? WHERE id = ?", (done, total, id_))

    def finish(self, id_: int, *, rows: int | None = None, error: str | None = None) -> Job:
        """Say what came of a job of this process, and let it go."""
        with self._writing() as db:
            (stopping,) = db.execute("SELECT is_stopping FROM jobs WHERE id = ?", (id_,)).fetchone()
            state = "done" if error is None else "cancelled" if stopping else "failed"
            db.execute(
                "UPDATE jobs SET state = ?, ended = ?, rows = ?, error = ? WHERE id = ?",
                (state, self._now(), rows, None if state == "cancelled" else error, id_),
            )
        self._release(id_)
        return self.job(id_)

    def give_back(self, id_: int, error: str) -> Job:
        """Let a job of this process go that was stopped from outside: as if its process had been killed."""
        self._release(id_)
        self.bury()
        found = self.job(id_)
        if found.state == "failed":
            with self._writing() as db:
                db.execute("UPDATE jobs SET error = ? WHERE id = ?", (error, id_))
        return self.job(id_)

    def ask_to_stop(self, id_: int) -> Job:
        """Cancel a job that waits; of one that runs, note that it shall end."""
        self.job(id_)
        with self._writing() as db:
            self._bury(db)
            db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'",
                (self._now(), id_),
            )
            db.execute("UPDATE jobs SET is_stopping = 1 WHERE id = ? AND state = 'running'", (id_,))
        return self.job(id_)

    def bury(self) -> None:
        """Look for jobs whose process is gone: those that can go on are queued again, others have failed."""
        with self._writing() as db:
            self._bury(db)

    def output(self, id_: int) -> Path:
        """File of what a job prints: its answer."""
        return self.folder / f"{id_}.out"

    def log(self, id_: int) -> Path:
        """File of what it says besides."""
        return self.folder / f"{id_}.log"

    def _bury(self, db: sqlite3.Connection) -> None:
        for id_, resumable, attempts, stopping in db.execute(
            "SELECT id, resumable, attempts, is_stopping FROM jobs WHERE state = 'running'"
        ).fetchall():
            lock = None if id_ in self._locks else self._lock(id_)
            if lock is None:
                continue
            os.close(lock)
            if stopping:
                state, error = "cancelled", None
            elif resumable and attempts < ATTEMPTS:
                state, error = "queued", None
            else:
                state, error = "failed", f"its process was killed, at attempt {attempts}"
            db.execute(
                "UPDATE jobs SET state = ?, error = ?, ended = ? WHERE id = ?",
                (state, error, None if state == "queued" else self._now(), id_),
            )

    def _lock(self, id_: int) -> int | None:
        """The lock of a job; None if another process holds it."""
        number = os.open(self.folder / f"{id_}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            return None
        return number

    def _release(self, id_: int) -> None:
        os.close(self._locks.pop(id_))

    def _select(self, rest: str, values: Sequence[Any] = ()) -> list[Job]:
        names = Job.__struct_fields__
        if not (self.folder / "jobs.sqlite").exists():
            return []
        with self._connected() as db:
            rows = db.execute(f"SELECT {', '.join(names)} FROM jobs {rest}", values).fetchall()  # noqa: S608
        found = []
        for row in rows:
            told = dict(zip(names, row, strict=True))
            told |= {"request": json.loads(told["request"])}
            found.append(msgspec.convert(told, Job, strict=False))
        return found

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(
                sqlite3.connect(self.folder / "jobs.sqlite", timeout=PATIENCE_S, isolation_level=None)
            ) as db:
                db.execute(_TABLE)
                yield db
        except (sqlite3.Error, OSError) as error:
            raise ResourceError(f"the jobs in {self.folder} cannot be kept: {error}") from error
