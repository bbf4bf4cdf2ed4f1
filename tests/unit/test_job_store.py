"""Jobs as they are kept: turns, limits, deaths, cancellations. Each store stands for a process of its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from kandle.jobs.job import Job, NoSuchJobError
from kandle.jobs.store import ATTEMPTS, WORKERS, JobStore


class Dies(JobStore):
    """A process that can be killed: the kernel takes its locks back."""

    def die(self) -> None:
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()


def add(store: JobStore, kind: str = "backtest", provider: str = "file", *, resumable: bool = False) -> Job:
    return store.add(kind, provider, ["backtest", "x"], Path("/somewhere"), resumable=resumable)


def states(store: JobStore) -> list[str]:
    return [job.state for job in store.jobs()]


def test_jobs_take_their_turn_and_keep_what_came_of_them(tmp_path: Path) -> None:
    store = JobStore(tmp_path, now=iter(range(100, 200)).__next__)
    first, second = add(store), add(store)
    assert (first.id, first.state, first.created, first.request) == (1, "queued", 100, ["backtest", "x"])
    claimed = store.claim()
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts, claimed.pid) == (1, "running", 1, os.getpid())
    store.report(1, 5, 20)
    assert store.job(1).part == 0.25
    done = store.finish(1, rows=7)
    assert (done.state, done.rows, done.part, done.error) == ("done", 7, 1.0, None)
    other = JobStore(tmp_path)
    assert other.claim() is not None
    failed = other.finish(second.id, error="the venue is away")
    assert (failed.state, failed.error) == ("failed", "the venue is away")
    assert other.claim() is None


def test_no_more_than_ten_run_at_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    for _ in range(WORKERS + 2):
        add(store)
    running = [JobStore(tmp_path) for _ in range(WORKERS)]
    assert all(each.claim() for each in running)
    assert store.claim() is None
    assert not store.is_waiting()
    running[3].finish(4)
    assert store.is_waiting()
    assert (found := store.claim()) is not None
    assert found.id == WORKERS + 1


def test_many_who_claim_at_once_get_a_job_each(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    for _ in range(8):
        add(store)
    stores = [JobStore(tmp_path) for _ in range(8)]
    got: list[int] = []

    def claim(own: JobStore) -> None:
        found = own.claim()
        got.append(0 if found is None else found.id)

    threads = [threading.Thread(target=claim, args=(each,)) for each in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 9))


def test_of_one_venue_one_download_runs_at_a_time(tmp_path: Path) -> None:
    store, other, third = JobStore(tmp_path), JobStore(tmp_path), JobStore(tmp_path)
    for provider in ("binance", "binance", "gateio"):
        add(store, "download", provider)
    assert [each and each.provider for each in (store.claim(), other.claim(), third.claim())] == [
        *("binance", "gateio", None),
    ]
    store.finish(1)
    assert (found := third.claim()) is not None
    assert found.id == 2


def test_a_job_whose_process_is_gone_has_failed(tmp_path: Path) -> None:
    store, dying = JobStore(tmp_path), Dies(tmp_path)
    add(store)
    assert dying.claim()
    store.bury()
    assert states(store) == ["running"]
    dying.die()
    store.bury()
    (job,) = store.jobs()
    assert (job.state, job.error) == ("failed", "its process was killed, at attempt 1")


def test_one_that_can_go_on_is_begun_again_a_few_times(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    add(store, resumable=True)
    for attempt in range(1, ATTEMPTS + 1):
        dying = Dies(tmp_path)
        claimed = dying.claim()
        assert claimed is not None
        assert claimed.attempts == attempt
        dying.die()
    store.bury()
    assert store.job(1).error == "its process was killed, at attempt 3"


def test_a_job_is_cancelled_before_it_begins_while_it_runs_and_after_its_death(tmp_path: Path) -> None:
    store, running, dying = JobStore(tmp_path), JobStore(tmp_path), Dies(tmp_path)
    for _ in range(3):
        add(store, resumable=True)
    assert running.claim()
    assert dying.claim()
    assert store.ask_to_stop(3).state == "cancelled"
    asked = store.ask_to_stop(1)
    assert (asked.state, asked.is_stopping) == ("running", True)
    assert running.finish(1, error="interrupted").state == "cancelled"
    store.ask_to_stop(2)
    dying.die()
    store.bury()
    assert states(store) == ["cancelled"] * 3
    assert store.ask_to_stop(1).state == "cancelled"


def test_a_job_whose_process_is_told_to_end_goes_on_later(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    add(store, resumable=True)
    add(store)
    assert store.claim()
    assert store.give_back(1, "was stopped").state == "queued"
    assert store.claim()
    assert store.claim()
    found = store.give_back(2, "was stopped")
    assert (found.state, found.error) == ("failed", "was stopped")


def test_a_job_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoSuchJobError, match="there is no job 3"):
        JobStore(tmp_path).job(3)
    assert JobStore(tmp_path).jobs() == []
    assert not (tmp_path / "jobs").exists()
