"""How the contract suite makes each sink, what it feeds it, and how it reads back what is kept."""

from __future__ import annotations

import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from pyarrow import parquet  # type: ignore[import-untyped]
from pydantic import SecretStr

from infra.settings import (
    ArchiveSettings,
    CacheSettings,
    NotificationRule,
    NotificationSettings,
    Settings,
)
from schemas.records import Candle, Record, Signal, Trade
from schemas.topics import CANDLES, SIGNALS, TRADES, Topic
from tests import redis_server
from tests.sink_harness import BASE_US, query, trade

OWN_SINK = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "adding-a-sink.md").read_text(), re.DOTALL
)[0]
"""The sink of the manual."""


class Adapter(ABC):
    """One sink.

    Attributes:
        topic: What it is fed.
        keeps_repeats: Whether it keeps each record of the log, be it one that was there before.
    """

    topic: ClassVar[Topic]
    keeps_repeats: ClassVar[bool] = False

    @contextmanager
    def settings(self, base: Settings) -> Iterator[Settings]:
        """Settings of a destination that is empty."""
        yield base

    @abstractmethod
    def record(self, number: int) -> Record:
        """A record, each another one."""

    @abstractmethod
    def kept(self, settings: Settings) -> list[Any]:
        """What of each record is found in the destination, sorted; a repeat shows."""

    @abstractmethod
    def expected(self, records: Sequence[Any]) -> list[Any]:
        """The same, where these records are kept."""


class _Timescale(Adapter):
    topic = TRADES

    def record(self, number: int) -> Trade:
        return trade(number)

    def kept(self, settings: Settings) -> list[Any]:
        return [row[0] for row in query(url_of(settings), "SELECT trade_id::bigint FROM trades ORDER BY 1")]

    def expected(self, records: Sequence[Any]) -> list[Any]:
        return sorted(int(item.trade_id) for item in records)


class _Signals(Adapter):
    topic = SIGNALS
    table: ClassVar[str]

    def record(self, number: int) -> Signal:
        return signal(number)

    def kept(self, settings: Settings) -> list[Any]:
        return [row[0] for row in query(url_of(settings), f"SELECT {self.table} ORDER BY 1")]

    def expected(self, records: Sequence[Any]) -> list[Any]:
        return sorted(item.id for item in records)


class _Notifications(_Signals):
    table = "cause_id FROM kandle.notifications"

    @contextmanager
    def settings(self, base: Settings) -> Iterator[Settings]:
        # Nobody listens there: what is queued stays in the ledger.
        rule = NotificationRule(name="all", urls=[SecretStr("json://127.0.0.1:1/")])
        told = NotificationSettings(rules=[rule], allow_private=True, attempts=1000)
        yield base.model_copy(update={"notifications": told})


class _Own(_Signals):
    table = "id FROM strong_signals"


class _Archive(Adapter):
    topic = TRADES
    keeps_repeats = True

    @contextmanager
    def settings(self, base: Settings) -> Iterator[Settings]:
        with tempfile.TemporaryDirectory(prefix="kandle-archive-") as folder:
            own = ArchiveSettings(url=f"file://{folder}", topics=[TRADES.name], flush_s=0.2, max_rows=40)
            yield base.model_copy(update={"archive": own})

    def record(self, number: int) -> Trade:
        return trade(number)

    def kept(self, settings: Settings) -> list[Any]:
        folder = Path((settings.archive.url or "").removeprefix("file://")) / TRADES.name
        files = sorted(folder.glob("record=trade/**/*.parquet"))
        tables = [parquet.ParquetFile(path).read(["trade_id"]) for path in files]
        return sorted(int(text) for table in tables for text in table["trade_id"].to_pylist())

    def expected(self, records: Sequence[Any]) -> list[Any]:
        return sorted(int(item.trade_id) for item in records)


class _Cache(Adapter):
    topic = CANDLES

    @contextmanager
    def settings(self, base: Settings) -> Iterator[Settings]:
        executable = redis_server.program()
        if executable is None:
            pytest.skip(f"none of {', '.join(redis_server.PROGRAMS)} is installed")
        with (
            tempfile.TemporaryDirectory(prefix="kandle-redis-") as folder,
            redis_server.running(executable, Path(folder)) as server,
        ):
            own = CacheSettings(url=SecretStr(server.url), candles=10_000)
            yield base.model_copy(update={"cache": own})

    def record(self, number: int) -> Candle:
        opened = BASE_US + number * 60_000_000
        return Candle(
            venue="binance",
            symbol=f"S{number % 2}/USDT",
            interval="1m",
            open_time=opened,
            close_time=opened + 60_000_000,
            open=1.0,
            high=3.0,
            low=0.5,
            close=2.0,
            volume=7.0,
            quote_volume=14.0,
            taker_buy_volume=1.0,
            trade_count=4,
            first_sequence=None,
            last_sequence=None,
            revision=0,
            complete=True,
        )

    def kept(self, settings: Settings) -> list[Any]:
        import redis

        url = settings.cache.url
        assert url is not None
        with redis.Redis.from_url(url.get_secret_value()) as client:
            lists = [client.lrange(f"market:ohlcv:binance:S{n}/USDT:1m", 0, -1) for n in range(2)]
        return sorted(msgspec.json.decode(text)[0] for texts in lists for text in texts)

    def expected(self, records: Sequence[Any]) -> list[Any]:
        return sorted(item.open_time // 1_000 for item in records)


ADAPTERS: dict[str, Callable[[], Adapter]] = {
    "timescale": _Timescale,
    "notifications": _Notifications,
    "archive": _Archive,
    "cache": _Cache,
    "strong_signals": _Own,
}
"""By the name of the sink; the last is the user's own, of the manual."""


def signal(number: int) -> Signal:
    return Signal(
        id=f"signal/{number:06}",
        venue="binance",
        symbol="BTC/USDT",
        interval="1m",
        open_time=BASE_US + number * 60_000_000,
        event_time=BASE_US + number * 60_000_000,
        rule="cross",
        direction="long",
        strength=0.5,
        values={},
        candle_id=f"candle/{number}",
        complete=True,
    )


def url_of(settings: Settings) -> str:
    assert settings.database.url is not None
    return settings.database.url.get_secret_value()
