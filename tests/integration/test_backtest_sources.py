"""The same recorded market from a capture, from topics, from the database and from the archive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from backtest.fingerprint import fingerprint
from backtest.history import History
from backtest.sources.archive import read_archive
from backtest.sources.asked import Asked, Found, Kind, gather
from backtest.sources.capture import markets_in, read_captures
from backtest.sources.database import read_database
from backtest.sources.topics import read_topics
from backtest.strategies.sma_cross import SmaCross
from backtest.terms import Terms
from infra.kafka.admin import Admin
from infra.kafka.partitioner import partition_of
from infra.settings import ArchiveSettings, Settings, SinkSettings
from kandle.commands.backtest import backtest
from producers.capture import CaptureReader
from producers.capture.reading import CaptureReading
from schemas.errors import ConfigurationError
from schemas.identity import market_key
from schemas.records import (
    BookUpdate,
    BookUpdateKind,
    Candle,
    DerivativeTicker,
    Gap,
    Instrument,
    Quote,
    Record,
    Trade,
)
from schemas.topics import BOOKS, CANDLES, DERIVATIVES, INSTRUMENTS, QUOTES, TRADES
from sinks.archive.store import open_store
from tests.archive_harness import archived
from tests.made_capture import write_capture
from tests.sink_harness import (
    PARTITIONS,
    Log,
    fresh_topics,
    mark,
    query,
    running,
    settings_for,
    until,
    until_passed,
    url_of,
)

MARKETS = ("binance:BTC/USDT", "binance:ETH/USDT")
MINUTE = 60_000_000
HOUR = 60 * MINUTE


def records_in(path: Path) -> list[Trade | Quote]:
    reader = CaptureReader(path)
    found = CaptureReading(reader, reader.exchange(), ["trades", "quotes"])
    return [record for record in found if isinstance(record, Trade | Quote)]


def listing(market: str) -> Instrument:
    venue, _, symbol = market.partition(":")
    base, _, quote = symbol.partition("/")
    names = (venue, symbol, base + quote, base, quote)
    return Instrument(*names, "spot", "trading", 0.01, 0.001, 5.0, 1.0, 1_600_000_000_000_000)


def candle(number: int, revision: int = 0) -> Candle:
    at = 1_700_000_000_000_000 // MINUTE * MINUTE + number * MINUTE
    given: list[Any] = ["binance", "BTC/USDT", "1m", at, at + MINUTE, 100.0, 102.0, 99.0, 101.0 + revision]
    given += [3.0, 300.0, 1.0, 7, None, None, revision, True]
    return Candle(*given)


def funding(time: int, rate: float | None, due: int | None, price: float | None) -> DerivativeTicker:
    return DerivativeTicker("binance", "BTC/USDT", price, None, rate, due, None, time, time + 1)


CANDLES_SENT = [candle(0), candle(1), candle(2), candle(1, revision=1), candle(4), candle(4)]
BEGAN = 1_700_000_000_000_000
FUNDING_SENT = [
    funding(BEGAN, 0.0001, BEGAN + HOUR, 100.0),
    funding(BEGAN + HOUR - 5, 0.0002, BEGAN + HOUR, None),
    funding(BEGAN + HOUR - 4, None, None, 101.5),
    funding(BEGAN + HOUR + 5, 0.0003, BEGAN + 2 * HOUR, 102.0),
]


def book(kind: BookUpdateKind, last: int, *bids: float) -> BookUpdate:
    numbers = (None, last, last - 1 if kind == "delta" else None)
    sizes = [1.0] * len(bids)
    return BookUpdate(
        "binance", "BTC/USDT", kind, *numbers, list(bids), sizes, [], [], None, None, BEGAN + last
    )


BOOKS_SENT = [
    book("delta", 1, 9.0),
    book("snapshot", 2, 9.0, 8.0),
    book("delta", 3, 9.5),
    book("delta", 3, 9.5),
]


async def filled(settings: Settings, path: Path) -> None:
    """Put a capture into topics, some of it twice, and let both sinks store it."""
    fresh_topics(settings.kafka)
    log = Log(settings.kafka.bootstrap_servers or "")
    own: dict[int, list[Record]] = {number: [] for number in range(PARTITIONS)}
    quotes: dict[int, list[Record]] = {number: [] for number in range(PARTITIONS)}
    for record in records_in(path):
        place = partition_of(market_key(record.venue, record.symbol).encode(), PARTITIONS)
        (own if isinstance(record, Trade) else quotes)[place].append(record)
    btc = partition_of(MARKETS[0].encode(), PARTITIONS)
    gap = Gap("binance", "BTC/USDT", "s", "given_up", 5, 9, BEGAN, BEGAN + MINUTE, "away")
    end = mark(max(each.event_time for part in own.values() for each in part), final=True)  # type: ignore[attr-defined]
    async with running(settings, ["timescale", "archive"]) as task:
        for number in range(PARTITIONS):
            half = len(own[number]) // 2
            repeated = own[number][max(half - 50, 0) : half]
            log.put(TRADES, number, [*own[number][:half], *repeated, *own[number][half:], end])
            log.put(QUOTES, number, [*quotes[number], end])
        log.put(TRADES, btc, [gap])
        log.put(CANDLES, btc, CANDLES_SENT)
        log.put(DERIVATIVES, btc, FUNDING_SENT)
        log.put(BOOKS, btc, BOOKS_SENT)
        for market in MARKETS:
            place = partition_of(market.encode(), PARTITIONS)
            log.put(INSTRUMENTS, place, [listing(market)], key=market.encode())
        for topic in (TRADES, QUOTES):
            await until_passed(url_of(settings), "timescale", topic, task=task)
        admin, store = Admin(settings.kafka), open_store(settings)
        for topic in (TRADES, QUOTES, BOOKS, CANDLES, DERIVATIVES, INSTRUMENTS):
            goal = sum(admin.end_offsets(topic.name, PARTITIONS))
            await until(lambda of=topic, end=goal: sum(archived(store, of).values()) == end, task=task)  # type: ignore[misc]
        await until(lambda: stored(url_of(settings)) == (4, 4, 2), task=task)


def stored(url: str) -> tuple[int, ...]:
    tables = ("market_candles", "market_derivatives", "market_listings")
    counts = ", ".join(f"(SELECT count(*) FROM kandle.{table})" for table in tables)
    return query(url, f"SELECT {counts}")[0]


@pytest.fixture(scope="module")
def market(
    kafka: str, postgres: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, Path]:
    """Settings of servers that hold a capture, and the capture."""
    folder = tmp_path_factory.mktemp("sources")
    path = write_capture(folder / "made.capture.gz", seconds=60, symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"))
    settings = settings_for(kafka, postgres(), sink=SinkSettings(quotes_every_ms=0))
    archive = ArchiveSettings(url=(folder / "archive").as_uri(), flush_s=0.2)
    settings = settings.model_copy(update={"archive": archive})
    asyncio.run(filled(settings, path))
    return settings, path


def read(market: tuple[Settings, Path], asked: Asked) -> dict[str, Found]:
    settings, path = market
    return {
        "capture": gather(lambda each: read_captures([path], each), asked),
        "topics": gather(lambda each: read_topics(settings.kafka, each), asked),
        "database": gather(lambda each: read_database(settings.database, each), asked),
        "archive": gather(lambda each: read_archive(settings, each), asked),
    }


def assert_equal(one: History, other: History) -> None:
    """All rows, to the last bit."""
    assert one.markets == other.markets
    for kind in ("bars", "trades", "quotes", "funding"):
        for left, right in zip(getattr(one, kind), getattr(other, kind), strict=True):
            for name in type(left).__slots__:
                np.testing.assert_array_equal(getattr(left, name), getattr(right, name), f"{kind} {name}")


@pytest.mark.parametrize("kinds", [("trades",), ("quotes", "trades")])
def test_the_same_market_is_the_same_history_wherever_it_is_read(
    market: tuple[Settings, Path], kinds: tuple[Kind, ...]
) -> None:
    assert set(MARKETS) < set(markets_in([market[1]]))
    found = {name: each.history for name, each in read(market, Asked(MARKETS, frozenset(kinds))).items()}
    plain = {name: replace(each, instruments={}) for name, each in found.items()}
    for name, history in plain.items():
        assert_equal(plain["capture"], history)
        assert len(history.trades[0]) > 300, name
    assert len({fingerprint(SmaCross(), history, Terms()) for history in plain.values()}) == 1
    for name in ("topics", "database", "archive"):
        assert found[name].instruments == {each: listing(each) for each in MARKETS}


def test_the_command_runs_over_each_source_to_the_same_end(
    market: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = market
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers or "")
    monkeypatch.setenv("DATABASE_URL", url_of(settings))
    place = str(settings.archive.url).removeprefix("file://")
    answers = []
    for source in ("topics", "database", f"archive:{place}"):
        given = ["sma_cross(2,5)", "--source", source, "--symbols", ",".join(MARKETS), "--read", "trades"]
        done = CliRunner().invoke(backtest, [*given, "--interval", "1s", "--lot", "0.001", "--json"])
        assert done.exit_code == 0, done.exception
        answers.append(json.loads(done.stdout))
        assert ("1 gaps in its trades, 5 trades" in done.stderr) == (source != "database")
    assert answers[0]["trades"] > 5
    assert answers[0] == answers[1] == answers[2]


def test_a_span_of_time_begins_with_its_first_microsecond_and_ends_before_its_last(
    market: tuple[Settings, Path],
) -> None:
    whole = read_captures([market[1]], Asked(MARKETS[:1], frozenset({"trades"}))).history.trades[0]
    since, until_ = int(whole.times[100]), int(whole.times[200])
    expected = whole.times[(whole.times >= since) & (whole.times < until_)]
    for name, found in read(
        market, Asked(MARKETS[:1], frozenset({"trades"}), since=since, until=until_)
    ).items():
        np.testing.assert_array_equal(found.history.trades[0].times, expected, name)


def test_of_candles_the_newest_revision_holds(market: tuple[Settings, Path]) -> None:
    settings, _ = market
    asked = Asked(MARKETS[:1], frozenset({"candles"}))
    for found in (
        read_topics(settings.kafka, asked),
        read_database(settings.database, asked),
        read_archive(settings, asked),
    ):
        (bars,) = found.history.bars
        assert list(bars.open_times) == [candle(number).open_time for number in (0, 1, 2, 4)]
        assert list(bars.closes) == [101.0, 102.0, 101.0, 101.0]
        assert (bars.market, bars.length) == (MARKETS[0], MINUTE)
        holes = bars.holes()
        assert holes is not None
        assert holes.candles == 1


def test_a_market_without_candles_is_read_by_its_trades(market: tuple[Settings, Path]) -> None:
    settings, _ = market
    found = gather(lambda each: read_topics(settings.kafka, each), Asked(MARKETS, frozenset({"candles"})))
    assert [bars.market for bars in found.history.bars] == [MARKETS[0]]
    assert [trades.market for trades in found.history.trades] == [MARKETS[1]]


def test_funding_is_the_last_rate_told_before_it_is_paid(market: tuple[Settings, Path]) -> None:
    settings, _ = market
    asked = Asked(MARKETS[:1], frozenset({"funding"}))
    for found in (
        read_topics(settings.kafka, asked),
        read_database(settings.database, asked),
        read_archive(settings, asked),
    ):
        (paid,) = found.history.funding
        assert (paid.times.tolist(), paid.rates.tolist()) == ([BEGAN + HOUR], [0.0002])
        assert paid.marks.tolist() == [101.5]


def test_books_are_those_of_the_log_from_a_snapshot_on(market: tuple[Settings, Path]) -> None:
    settings, _ = market
    asked = Asked(MARKETS[:1], frozenset({"books"}))
    for found in (read_topics(settings.kafka, asked), read_archive(settings, asked)):
        (books,) = found.history.books
        assert list(books.updates) == BOOKS_SENT[1:3]
        assert books.times.tolist() == [BEGAN + 2, BEGAN + 3]


def test_gaps_of_the_trades_are_told(market: tuple[Settings, Path]) -> None:
    settings, _ = market
    asked = Asked(MARKETS, frozenset({"trades"}))
    for found in (read_topics(settings.kafka, asked), read_archive(settings, asked)):
        assert [(gap.symbol, gap.first_sequence, gap.last_sequence) for gap in found.gaps] == [
            ("BTC/USDT", 5, 9)
        ]
    later = Asked(MARKETS, frozenset({"trades"}), since=BEGAN + 2 * MINUTE)
    assert read_topics(settings.kafka, later).gaps == []


def test_what_is_not_there_is_said(market: tuple[Settings, Path]) -> None:
    settings, _ = market
    asked = Asked(("binance:NONE/USDT", MARKETS[0]), frozenset({"trades"}))
    with pytest.raises(ConfigurationError, match=r"nothing of binance:NONE/USDT at that time \(trades"):
        gather(lambda each: read_topics(settings.kafka, each), asked)
    with pytest.raises(ConfigurationError, match="samples of books"):
        read_database(settings.database, Asked(MARKETS, frozenset({"books"})))
    with pytest.raises(ConfigurationError, match=r"nothing of .*books"):
        gather(lambda each: read_archive(settings, each), Asked(MARKETS[1:], frozenset({"books"})))


@pytest.mark.full
@pytest.mark.parametrize("name", ["binance-spot-btcusdt", "binance-usdm-btcusdt"])
def test_a_recorded_market_is_the_same_history_wherever_it_is_read(
    kafka: str, postgres: Callable[[], str], captures: Path, tmp_path: Path, name: str
) -> None:
    path = captures / f"{name}.capture.gz"
    if not path.exists():
        pytest.skip(f"no {path}")
    settings = settings_for(kafka, postgres(), sink=SinkSettings(quotes_every_ms=0))
    archive = ArchiveSettings(url=(tmp_path / "archive").as_uri(), flush_s=0.2)
    settings = settings.model_copy(update={"archive": archive})
    asyncio.run(filled(settings, path))
    asked = Asked(tuple(markets_in([path])), frozenset({"trades", "quotes"}))
    found = {source: each.history for source, each in read((settings, path), asked).items()}
    plain = [replace(each, instruments={}) for each in found.values()]
    assert len(plain[0].trades[0]) > 19_000
    assert len(plain[0].quotes[0]) > 60_000
    for history in plain:
        assert_equal(plain[0], history)
    assert len({fingerprint(SmaCross(), history, Terms()) for history in plain}) == 1
