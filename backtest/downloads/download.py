"""Asks a venue for a span of its history, page by page, and keeps what comes.

Only what is not there yet is asked for, and every few pages are kept at once: who interrupts a download, or
is killed, goes on where it was. A venue that is away, or says that we ask too often, is waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from backtest.downloads.parquet import Columns, need_pyarrow
from backtest.downloads.series import Series
from infra.backoff import FullJitter
from infra.logging import get_logger
from processors.intervals import INTERVALS
from producers.manager.records import PastCandle, PastTrade
from producers.manager.rest_venue import RestVenue
from schemas.errors import BreakerOpenError, ConfigurationError, RateLimitedError, UnavailableError
from schemas.records import Micros

T = TypeVar("T")
PAGE: Final = 1_000
"""Rows that are asked for at once; a venue may give fewer."""
KEPT_AFTER: Final = 20
"""Pages that are kept together."""
SETTLED_US: Final = 1_000_000
"""A trade is told by the venue so long after it was made."""
HOUR_US: Final = 3_600_000_000
DAY: Final = "1d"
Progress = Callable[[int, int], None]
"""Called with the time that is done and all there is to do, µs."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a venue is waited for.

    Attributes:
        attempts: Of one page, at most, each of them several calls.
        longest_wait_s: Before the next one, even if the venue wants more.
    """

    attempts: int = 8
    longest_wait_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What came of a download.

    Attributes:
        rows: New ones.
        calls: Pages that were asked for.
        rejected: Rows of the venue that break a rule, by the rule.
    """

    rows: int
    calls: int
    rejected: dict[str, int]


class Download:
    """Downloads one series; use it once.

    Args:
        venue: Where from.
        series: Where to; its lock is held.
        symbol: Unified symbol.
        progress: Is told how far it is.
        patience: With the venue.
        now: The time, µs since the epoch.
    """

    def __init__(
        self,
        venue: RestVenue,
        series: Series,
        symbol: str,
        progress: Progress = lambda done, all_: None,
        patience: Patience = Patience(),
        now: Callable[[], Micros] = lambda: time.time_ns() // 1_000,
    ) -> None:
        need_pyarrow()
        self._venue, self._series, self._symbol = venue, series, symbol
        self._progress, self._patience, self._now = progress, patience, now
        self._calls = 0
        self._rejected: dict[str, int] = {}

    async def run(self, since: Micros, until: Micros) -> Downloaded:
        """Download what is missing of [since, until), as far as it has happened.

        Raises:
            ConfigurationError: The venue has no such history.
            KandleError: The venue refuses, or stays away; what came before is kept.
        """
        before = self._series.manifest().rows
        if self._series.kind == "candles":
            # Whole candles alone, and those that have closed: spans meet where candles do.
            interval = INTERVALS[self._series.interval]
            since, end = interval.open_time(since), interval.open_time(min(until, self._now()))
        else:
            # What trades of this second there are is not known yet.
            end = min(until, self._now() - SETTLED_US)
        missing = self._series.missing(since, end)
        total = sum(stop - start for start, stop in missing)
        done = 0
        for start, stop in missing:
            await self._span(start, stop, lambda at, base=done - start: self._progress(base + at, total))  # type: ignore[misc]
            done += stop - start
        return Downloaded(self._series.manifest().rows - before, self._calls, self._rejected)

    async def _span(self, start: Micros, stop: Micros, told: Callable[[Micros], None]) -> None:
        pending: list[Columns] = []
        kept = at = start
        pages = 0
        try:
            while at < stop:
                rows, after = await self._page(at, stop)
                if rows is not None:
                    pending.append(rows)
                at = max(after, at + 1)
                pages += 1
                told(min(at, stop))
                if pages % KEPT_AFTER == 0:
                    self._keep(pending, kept, min(at, stop))
                    pending, kept = [], min(at, stop)
        finally:
            # Whatever ends it: what came is kept.
            if at > kept:
                self._keep(pending, kept, min(at, stop))

    def _keep(self, pages: Sequence[Columns], since: Micros, until: Micros) -> None:
        names = _NOTHING[self._series.kind]
        rows = {
            name: np.concatenate([np.empty(0, type_), *(page[name] for page in pages)])
            for name, type_ in names
        }
        self._series.add(rows, since, until)

    async def _page(self, at: Micros, stop: Micros) -> tuple[Columns | None, Micros]:
        """Rows from a time on, and up to where with them all is there."""
        if self._series.kind == "candles":
            return await self._candles(at, stop)
        return await self._trades(at, stop)

    async def _candles(self, at: Micros, stop: Micros) -> tuple[Columns | None, Micros]:
        interval = self._series.interval
        length = INTERVALS[interval].length
        found = await self._asked(lambda: self._venue.candles(self._symbol, interval, PAGE, since=at))
        for reason, count in found.rejected.items():
            self._rejected[reason] = self._rejected.get(reason, 0) + count
        come = [candle for candle in found.candles if candle.open_time >= at]
        inside = [candle for candle in come if candle.open_time + length <= stop and candle.closed]
        if come:
            if come[0].open_time - at >= PAGE * length:
                await self._check_listed(at, come[0].open_time)
            after = come[-1].open_time + length
            return _candle_columns(inside), after if len(inside) == len(come) else stop
        # Nothing from here on for as long as a page may be: it was not listed yet, or there was no trading.
        return None, await self._next_day(at + PAGE * length, stop) if length < INTERVALS[
            DAY
        ].length else stop

    async def _check_listed(self, at: Micros, first: Micros) -> None:
        """Refuse a venue that tells its newest candles, whatever time is asked for."""
        day = INTERVALS[DAY].length
        if INTERVALS[self._series.interval].length < day and await self._next_day(at, first) + day <= first:
            raise ConfigurationError(
                f"{self._venue.name.label} tells only its newest candles of {self._series.interval}, the "
                f"first of them {(first - at) // day} days after the time that was asked for: choose a "
                "longer interval"
            )

    async def _next_day(self, at: Micros, stop: Micros) -> Micros:
        """Where the next day with a candle begins, not before a time; the end if there is none."""
        if at >= stop:
            return stop
        found = await self._asked(lambda: self._venue.candles(self._symbol, DAY, PAGE, since=at))
        days = [candle.open_time for candle in found.candles if candle.open_time > at - INTERVALS[DAY].length]
        return max(days[0], at) if days else min(at + PAGE * INTERVALS[DAY].length, stop)

    async def _trades(self, at: Micros, stop: Micros) -> tuple[Columns | None, Micros]:
        page = await self._asked(lambda: self._venue.trades(self._symbol, at, PAGE))
        found = [trade for trade in page if trade.time >= at]
        inside = [trade for trade in found if trade.time < stop]
        if len(page) < PAGE:
            # The venue looks an hour ahead.
            return _trade_columns(inside), min(at + HOUR_US, stop)
        last = found[-1].time if found else at
        if last <= at:
            raise ConfigurationError(
                f"{self._venue.name.label} tells more than {PAGE} trades of {self._symbol} of one moment: "
                "they cannot be had page by page"
            )
        # More trades of the last moment may follow: it is asked for again, and they are joined by their ids.
        return _trade_columns(inside), last if len(inside) == len(found) else stop

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer of the venue, for which it is waited.

        Raises:
            UnavailableError: It did not come for all patience.
        """
        backoff = FullJitter()
        for attempt in range(1, self._patience.attempts + 1):
            self._calls += 1
            try:
                return await ask()
            except UnavailableError as error:
                if not error.retriable or attempt == self._patience.attempts:
                    raise
                wait_s = backoff.next_delay_s()
                if isinstance(error, RateLimitedError):
                    wait_s = error.wait_s
                elif isinstance(error, BreakerOpenError):
                    wait_s = error.retry_in_s
                wait_s = min(wait_s, self._patience.longest_wait_s)
                logger.warning(
                    "a venue is waited for", venue=self._venue.name.label, seconds=wait_s, why=str(error)
                )
                await asyncio.sleep(wait_s)
        raise AssertionError


_NOTHING: Final = {
    "candles": (("open_time", "i8"), *((name, "f8") for name in ("open", "high", "low", "close", "volume"))),
    "trades": (("time", "i8"), ("price", "f8"), ("size", "f8"), ("side", "i1"), ("id", "i8")),
}
"""The columns of a series, and their types."""


def _candle_columns(candles: Sequence[PastCandle]) -> Columns:
    return {
        "open_time": np.array([candle.open_time for candle in candles], np.int64),
        "open": np.array([candle.open for candle in candles], np.float64),
        "high": np.array([candle.high for candle in candles], np.float64),
        "low": np.array([candle.low for candle in candles], np.float64),
        "close": np.array([candle.close for candle in candles], np.float64),
        "volume": np.array([np.nan if c.volume is None else c.volume for c in candles], np.float64),
    }


def _trade_columns(trades: Sequence[PastTrade]) -> Columns:
    return {
        "time": np.array([trade.time for trade in trades], np.int64),
        "price": np.array([trade.price for trade in trades], np.float64),
        "size": np.array([trade.size for trade in trades], np.float64),
        "side": np.array([trade.side for trade in trades], np.int8),
        "id": np.array([trade.id for trade in trades], np.int64),
    }
