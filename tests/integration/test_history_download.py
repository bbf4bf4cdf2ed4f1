"""Downloads of history from a venue that answers as Binance does, well and badly."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from backtest.downloads.download import Download, Downloaded, Patience
from backtest.downloads.series import Kind, Series, all_series
from backtest.downloads.turn import turn
from backtest.sources.asked import Asked
from backtest.sources.downloads import read_downloads
from infra.resilience.call_guard import CallPolicy
from infra.settings import VenueSettings
from producers.manager.names import venue_name
from producers.manager.venue_manager import VenueManager
from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from tests.klines_server import MINUTE_MS, KlinesVenue
from tests.rest_server import Reply

DAY_MS = 1440 * MINUTE_MS
BEGAN_MS = 1_704_067_200_000  # 2024-01-01
END_MS = BEGAN_MS + 3 * DAY_MS
NOW = (END_MS + 40 * DAY_MS) * 1_000
MARKET = "binance:BTC/USDT"
QUICK = Patience(attempts=4, longest_wait_s=0.02)


class Downloads:
    """Downloads from one venue into one folder, by one client.

    Args:
        manager: Holds the client.
        root: The folder.
    """

    def __init__(self, manager: VenueManager, root: Path) -> None:
        self._manager, self._root = manager, root

    async def __call__(
        self, since_ms: int, until_ms: int, *, kind: Kind = "candles", interval: str = "1m", now: int = NOW
    ) -> Downloaded:
        series = Series(self._root, MARKET, kind, interval if kind == "candles" else "")
        venue = self._manager.venue(venue_name("binance"))
        one = Download(venue, series, "BTC/USDT", patience=QUICK, now=lambda: now)
        with series.locked():
            return await one.run(since_ms * 1_000, until_ms * 1_000)


@contextlib.asynccontextmanager
async def downloads(venue: KlinesVenue, root: Path) -> AsyncIterator[Downloads]:
    async with venue.server.running() as server:
        settings = VenueSettings(rest_url=server.url, calls_per_minute=600_000)
        policy = CallPolicy(attempts=1, delay_s=0.0, jitter_s=0.0)
        async with VenueManager({"binance": settings}, policy=policy) as manager:
            yield Downloads(manager, root)


def opens(root: Path, since_ms: int = 0, until_ms: int = END_MS) -> list[int]:
    columns = Series(root, MARKET, "candles", "1m").read(since_ms * 1_000, until_ms * 1_000)
    return (columns["open_time"] // 1_000).tolist() if columns else []


async def test_candles_come_page_by_page_and_stand_in_a_file_a_month(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS - 2 * DAY_MS, END_MS)
    since = BEGAN_MS - DAY_MS
    async with downloads(venue, tmp_path) as download:
        done = await download(since, END_MS)
        assert (done.rows, done.calls) == (4 * 1440, 6)
        assert opens(tmp_path) == list(range(since, END_MS, MINUTE_MS))
        (series,) = all_series(tmp_path)
        assert (series.market, series.interval) == (MARKET, "1m")
        assert sorted(path.name for path in series.folder.glob("*.parquet")) == [
            "2023-12.parquet",
            "2024-01.parquet",
        ]
        assert series.manifest().spans == [(since * 1_000, END_MS * 1_000)]
        columns = series.read(BEGAN_MS * 1_000, (BEGAN_MS + MINUTE_MS) * 1_000)
        price = 100 + BEGAN_MS // MINUTE_MS % 97
        assert [columns[name][0] for name in ("open", "high", "low", "close", "volume")] == [
            *(price, price + 2, price - 1, price + 1, 3.5),
        ]


async def test_what_is_there_is_not_asked_for_again_and_overlaps_hold_no_candle_twice(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS, END_MS)
    async with downloads(venue, tmp_path) as download:
        await download(BEGAN_MS + 100 * MINUTE_MS, BEGAN_MS + 200 * MINUTE_MS)
        again = await download(BEGAN_MS + 100 * MINUTE_MS, BEGAN_MS + 200 * MINUTE_MS)
        assert (again.rows, again.calls) == (0, 0)
        wider = await download(BEGAN_MS, BEGAN_MS + 300 * MINUTE_MS)
        assert wider.rows == 200
        assert opens(tmp_path) == list(range(BEGAN_MS, BEGAN_MS + 300 * MINUTE_MS, MINUTE_MS))
        assert Series(tmp_path, MARKET, "candles", "1m").manifest().rows == 300


async def test_a_download_that_fails_goes_on_where_it_was(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS, END_MS)
    answer, count = venue.server.answer, 0

    def failing(path: str) -> Reply:
        nonlocal count
        count += "klines" in path
        return answer(path) if count <= 2 else Reply(status=503)

    venue.server.answer = failing
    async with downloads(venue, tmp_path) as download:
        with pytest.raises(UnavailableError):
            await download(BEGAN_MS, END_MS)
    assert len(opens(tmp_path)) == 2_000
    venue.server.answer = answer
    venue.asked.clear()
    async with downloads(venue, tmp_path) as download:
        done = await download(BEGAN_MS, END_MS)
    assert done.rows == 3 * 1440 - 2_000
    assert int(venue.asked[0]["startTime"]) == BEGAN_MS + 2_000 * MINUTE_MS
    assert opens(tmp_path) == list(range(BEGAN_MS, END_MS, MINUTE_MS))


async def test_a_venue_that_says_too_often_is_waited_for(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS, END_MS)
    venue.faults = [Reply(b'{"code":-1003,"msg":"Too many requests"}', 429, {"Retry-After": "0"})] * 2
    async with downloads(venue, tmp_path) as download:
        done = await download(BEGAN_MS, BEGAN_MS + 10 * MINUTE_MS)
        assert (done.rows, done.calls) == (10, 3)


async def test_a_market_that_was_listed_later_is_asked_for_from_then_on(tmp_path: Path) -> None:
    listed = BEGAN_MS + DAY_MS + 77 * MINUTE_MS
    venue = KlinesVenue(listed, END_MS)
    async with downloads(venue, tmp_path) as download:
        done = await download(BEGAN_MS - 400 * DAY_MS, END_MS)
        assert opens(tmp_path) == list(range(listed, END_MS, MINUTE_MS))
        assert done.calls < 6
        assert (await download(BEGAN_MS - 300 * DAY_MS, END_MS)).calls == 0


async def test_months_without_trading_are_holes_and_not_asked_for_twice(tmp_path: Path) -> None:
    reopened = BEGAN_MS + 100 * DAY_MS
    venue = KlinesVenue(BEGAN_MS, reopened + DAY_MS, [(BEGAN_MS + DAY_MS, reopened)])
    async with downloads(venue, tmp_path) as download:
        done = await download(BEGAN_MS, reopened + DAY_MS, now=(reopened + 2 * DAY_MS) * 1_000)
        assert done.rows == 2 * 1440
        assert done.calls < 10
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "history").symlink_to(tmp_path)
        (bars,) = read_downloads(tmp_path / "data", Asked((MARKET,), frozenset({"candles"}))).history.bars
        holes = bars.holes()
        assert holes is not None
        assert (holes.candles, holes.places) == (99 * 1440, 1)


async def test_the_candle_that_is_still_open_is_left_for_the_next_download(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS, END_MS)
    now = BEGAN_MS * 1_000 + 10 * 60_000_000 + 5
    async with downloads(venue, tmp_path) as download:
        done = await download(BEGAN_MS, END_MS, now=now)
        assert done.rows == 10
        assert Series(tmp_path, MARKET, "candles", "1m").manifest().spans[-1][1] == now - 5
        more = await download(BEGAN_MS, END_MS, now=now + 60_000_000)
        assert more.rows == 1


async def test_times_inside_of_candles_lose_none(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS, END_MS)
    half = MINUTE_MS // 2
    async with downloads(venue, tmp_path) as download:
        await download(BEGAN_MS + 20 * MINUTE_MS + half, BEGAN_MS + 30 * MINUTE_MS + half)
        await download(BEGAN_MS + 30 * MINUTE_MS + half, BEGAN_MS + 40 * MINUTE_MS)
        await download(BEGAN_MS + half, BEGAN_MS + 20 * MINUTE_MS + half)
    assert opens(tmp_path) == list(range(BEGAN_MS, BEGAN_MS + 40 * MINUTE_MS, MINUTE_MS))


async def test_a_venue_that_tells_only_its_newest_candles_is_found_out(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS - 3_000 * DAY_MS, END_MS)
    venue.newest_only = True
    async with downloads(venue, tmp_path) as download:
        with pytest.raises(ConfigurationError, match="tells only its newest candles of 1m"):
            await download(BEGAN_MS - 3_000 * DAY_MS, END_MS)
        assert opens(tmp_path) == []


async def test_trades_of_one_moment_come_once_though_pages_end_among_them(tmp_path: Path) -> None:
    venue = KlinesVenue(BEGAN_MS, END_MS)
    until = BEGAN_MS + 5 * 60 * MINUTE_MS
    async with downloads(venue, tmp_path) as download:
        done = await download(BEGAN_MS - 60 * MINUTE_MS, until, kind="trades")
        assert done.rows == 5 * 60 * 8
        columns = Series(tmp_path, MARKET, "trades").read(0, until * 1_000)
        assert len(np.unique(columns["id"])) == done.rows
        assert (np.diff(columns["time"]) >= 0).all()
        assert set(columns["side"].tolist()) == {1, -1}


def test_who_downloads_from_a_venue_waits_for_another_one(tmp_path: Path) -> None:
    said: list[str] = []
    began = threading.Event()

    def wait() -> None:
        said.append("waits")
        began.set()

    def second() -> None:
        with turn(tmp_path, "binance", wait):
            said.append("has it")

    with turn(tmp_path, "binance", lambda: said.append("never")), turn(tmp_path, "gateio", began.set):
        thread = threading.Thread(target=second)
        thread.start()
        assert began.wait(10)
        assert said == ["waits"]
    thread.join(10)
    assert said == ["waits", "has it"]


def test_two_downloads_of_one_series_at_once_are_refused(tmp_path: Path) -> None:
    series = Series(tmp_path, MARKET, "candles", "1m")
    other = Series(tmp_path, MARKET, "candles", "1m")
    message = "another process downloads binance:BTC/USDT"
    with series.locked(), pytest.raises(ConflictError, match=message), other.locked():
        raise AssertionError
    with series.locked():
        pass
