"""`kandle jobs` and `kandle history` as processes: answers, cancellations, kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backtest.downloads.series import Series, folder_of
from kandle.__main__ import cli
from kandle.jobs.job import Job, State
from kandle.jobs.store import JobStore
from tests.backtest_runs import BEGAN, MINUTE
from tests.kandle_command import environment, wait_until
from tests.klines_server import MINUTE_MS, KlinesVenue
from tests.rest_server import Reply, RestServer

BEGAN_MS = 1_704_067_200_000  # 2024-01-01
DAY_MS = 1440 * MINUTE_MS
DOWNLOAD = ("history", "download", "binance", "BTC/USDT", "--from", "2024-01-01", "--to", "2024-01-03")


class User:
    """Runs commands in a folder, where Binance is a server of ours; the jobs are processes.

    Args:
        folder: Where; its data directory is var.
        patch: Sets what those processes inherit.
        server: The venue.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, server: RestServer | None = None) -> None:
        self.store = JobStore(folder / "var")
        for name in set(os.environ) - set(environment()):
            patch.delenv(name)
        patch.chdir(folder)
        if server is not None:
            patch.setenv("KANDLE_VENUES__BINANCE__REST_URL", server.url)
            patch.setenv("KANDLE_VENUES__BINANCE__CALLS_PER_MINUTE", "60000")
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))

    async def __call__(self, *arguments: str) -> Result:
        return await asyncio.to_thread(lambda: CliRunner().invoke(cli, arguments))

    async def json(self, *arguments: str) -> list[dict[str, Any]]:
        done = await self(*arguments, "--json")
        assert done.exit_code == 0, (done.exception, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    async def until(self, *states: State, id_: int = 1) -> Job:
        def reached() -> bool:
            self.store.bury()
            return self.store.job(id_).state in states

        await asyncio.to_thread(wait_until, reached, 30.0)
        return self.store.job(id_)


@pytest.fixture
def venue() -> KlinesVenue:
    return KlinesVenue(BEGAN_MS - DAY_MS, BEGAN_MS + 10 * DAY_MS)


async def test_a_download_goes_on_where_it_was_killed_and_a_backtest_runs_over_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: KlinesVenue
) -> None:
    answer, pages = venue.server.answer, 0

    def slow_at_last(path: str) -> Reply:
        nonlocal pages
        pages += "klines" in path
        reply = answer(path)
        return Reply(reply.body, pause_s=60.0) if pages == 22 else reply

    venue.server.answer = slow_at_last
    async with venue.server.running() as server:
        user = User(tmp_path, monkeypatch, server)
        venue.end_ms = BEGAN_MS + 30 * DAY_MS
        (queued,) = await user.json(*DOWNLOAD[:-1], "2024-01-20", "--job")
        assert (queued["state"], queued["kind"], queued["provider"]) == ("queued", "download", "binance")
        await asyncio.to_thread(wait_until, lambda: pages == 22, 30.0)
        job = user.store.job(1)
        assert (job.state, job.pid is not None) == ("running", True)
        assert 0 < (job.done or 0) < (job.total or 0)
        os.kill(job.pid or 0, signal.SIGKILL)
        kept = Series(folder_of(tmp_path / "var"), "binance:BTC/USDT", "candles", "1m").manifest().rows
        assert kept == 20_000
        assert (await user.until("queued", "failed")).state == "queued"
        # Whoever looks at the jobs next has it begun again.
        await user("jobs")
        job = await user.until("done", "failed")
        assert (job.state, job.attempts, job.rows) == ("done", 2, 19 * 1440 - 20_000)
        (shown,) = await user.json("jobs", "show", "1")
        assert shown["response"][0]["new_rows"] == job.rows
        assert shown["done"] == shown["total"] == (19 * 1440 - 20_000) * MINUTE
    # Without the venue: it is all there.
    given = ("backtest", "sma_cross", "--source", "history", "--symbols", "binance:BTC/USDT", "--lot", "0.01")
    (ran,) = await user.json(*given)
    assert (ran["candles"], ran["markets"]) == (19 * 1440, ["binance:BTC/USDT"])
    (listed,) = await user.json("history", "list")
    assert (listed["market"], listed["rows"]) == ("binance:BTC/USDT", 19 * 1440)
    assert listed["spans"] == [["2024-01-01T00:00:00Z", "2024-01-20T00:00:00Z"]]


async def test_a_running_job_is_cancelled_and_what_it_kept_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: KlinesVenue
) -> None:
    answer, pages = venue.server.answer, 0

    def slow(path: str) -> Reply:
        nonlocal pages
        pages += "klines" in path
        reply = answer(path)
        return Reply(reply.body, pause_s=60.0) if pages == 2 else reply

    venue.server.answer = slow
    async with venue.server.running() as server:
        user = User(tmp_path, monkeypatch, server)
        await user.json(*DOWNLOAD, "--job")
        await asyncio.to_thread(wait_until, lambda: pages == 2, 30.0)
        (cancelled,) = await user.json("jobs", "cancel", "1")
        assert (cancelled["state"], cancelled["error"]) == ("cancelled", None)
        (listed,) = await user.json("history", "list")
        assert listed["rows"] == 1_000


async def test_a_backtest_as_a_job_answers_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{BEGAN + at * MINUTE},{100 + at * 7 % 11}" for at in range(60)]
    rows = [f"{time},{price},{price},{price},{price}" for time, price in (line.split(",") for line in lines)]
    (tmp_path / "made.csv").write_text("\n".join(["time,open,high,low,close", *rows]))
    user = User(tmp_path, monkeypatch)
    given = ("backtest", "sma_cross(2,5)", "--candles", "made.csv")
    said = await user(*given, "--job")
    assert said.stdout == "job 1 is queued; kandle jobs show 1 tells how far it is\n"
    await user("backtest", "sma_cross", "--candles", "made.csv", "--capital", "1", "--job")
    assert (await user.until("done", "failed")).state == "done"
    (shown,) = await user.json("jobs", "show", "1")
    assert shown["response"] == await user.json(*given)
    job = await user.until("done", "failed", id_=2)
    assert job.state == "failed"
    assert "a lot of 1 costs at least" in (job.error or "")
    listed = await user("jobs")
    assert [line.split()[3] for line in listed.stdout.splitlines()[1:]] == ["done", "failed"]
    assert (await user(*given[:-1], "-", "--job")).exit_code == 2


@pytest.mark.full
async def test_a_search_as_a_job_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = [100 + at * 7 % 11 for at in range(60)]
    rows = [f"{BEGAN + at * MINUTE},{price},{price},{price},{price}" for at, price in enumerate(prices)]
    (tmp_path / "made.csv").write_text("\n".join(["time,open,high,low,close", *rows]))
    user = User(tmp_path, monkeypatch)
    given = ("optimize", "sma_cross", "--candles", "made.csv", "--grid", "fast=2:4:1", "--param", "slow=6")
    await user(*given, "--workers", "1", "--job")
    job = await user.until("done", "failed")
    assert (job.state, job.kind, job.done, job.total) == ("done", "optimize", 3, 3), job.error


async def test_what_there_is_to_say_without_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(tmp_path, monkeypatch)
    assert (
        await user("jobs")
    ).stdout == "there are no jobs: history download, backtest and optimize take --job\n"
    assert (await user("history", "list")).stdout.startswith("nothing was downloaded yet")
    for command in ("show", "cancel"):
        assert "there is no job 9" in str((await user("jobs", command, "9")).exception)


@pytest.mark.full
async def test_any_command_runs_as_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(tmp_path, monkeypatch)
    assert (await user("jobs", "run", "--", "config")).stdout == "job 1 is queued\n"
    job = await user.until("done", "failed")
    assert (job.kind, job.provider, job.state, job.request) == ("config", "-", "done", ["config"])
    shown = (await user("jobs", "show", "1")).stdout
    assert "kandle config" in shown
    assert "disk_budget_mb" in shown
