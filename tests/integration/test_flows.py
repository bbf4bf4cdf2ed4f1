"""Flows and spreads of venues on a real broker, by a worker that may be killed in the middle."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.kafka.dead_letters import HEADER_PREFIX
from infra.kafka.partitioner import partition_of
from processors.flows.books import BookFlows
from processors.flows.plan import FlowPlan
from schemas import rows
from schemas.identity import ce_id, market_key
from schemas.records import (
    BookUpdate,
    Candle,
    IndicatorValue,
    Quote,
    Record,
    Signal,
    TimeMark,
    Trade,
    VenuePrice,
)
from schemas.topics import BOOK_SAMPLES, BOOKS, CANDLES, INDICATORS, QUOTES, SIGNALS, TRADES, VENUE_PRICES
from tests.flow_records import Batches, Item
from tests.flow_reference import reference
from tests.processor_harness import (
    BASE_US,
    PARTITIONS,
    PATIENCE_S,
    TopicContent,
    Worker,
    kafka_settings,
    read_topic,
    worker,
)
from tests.sink_harness import Log, fresh_topics
from tests.spread_reference import expected_spreads

SECOND = 1_000_000
VENUES = ("binance", "gateio", "mexc")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
SECONDS = 40
SETTINGS = {
    "KANDLE_PROCESSORS__FLOWS": "quote,book_top@*:BTC/*,book(2),book_sample(2)@*:ETH/*",
    "KANDLE_PROCESSORS__VENUE_SPREADS": "venue_spread(15,3)@1s@*@binance|gateio|mexc",
}
Feed = dict[int, list[Record]]


def feeds() -> tuple[Feed, Feed, Feed]:
    """Trades, quotes and books by partition; the marks stand in all of them."""
    chance = random.Random(5)
    trades, quotes, books = ({number: list[Record]() for number in range(PARTITIONS)} for _ in range(3))
    for second in range(SECONDS):
        start = BASE_US + second * SECOND
        for venue in VENUES:
            for symbol in SYMBOLS:
                if chance.random() < 0.2:
                    continue
                name, at = (venue, symbol), start + chance.randrange(SECOND)
                partition = partition_of(market_key(*name).encode(), PARTITIONS)
                price = round(100 + second / 50 + chance.uniform(-0.12, 0.12), 3)
                trades[partition].append(Trade(*name, str(second), second, price, 1.0, "buy", at, at))
                quotes[partition].append(
                    Quote(*name, price, chance.random(), price + 0.1, 2.0, second, at, at)
                )
                bids, asks = {price - 0.1: 1.0, price: float(second % 3)}, {price + 0.2: chance.random()}
                levels = list(bids), list(bids.values()), list(asks), list(asks.values())
                kind = "delta" if second % 10 else "snapshot"
                update = BookUpdate(*name, kind, second, second, None, *levels, None, at, at)  # type: ignore[arg-type]
                books[partition].append(update)
            mark = TimeMark(venue, f"{venue}-0", start + SECOND - 1, second == SECONDS - 1, "run")
            for feed in (trades, quotes, books):
                for items in feed.values():
                    items.append(mark)
    return trades, quotes, books


def until_ended(servers: str, running: Worker, timeout_s: float = 60) -> tuple[TopicContent, TopicContent]:
    """Wait until the last words of all venues have passed by every way; returns indicators and signals."""
    deadline = time.monotonic() + timeout_s
    found = []
    for topic, ways in ((INDICATORS, ("", "/quotes", "/books")), (SIGNALS, ("", "/spreads"))):
        wanted = {f"{venue}-0{way}" for venue in VENUES for way in ways}
        while True:
            content = read_topic(servers, topic)
            if all({m.source for m in marks if m.final} == wanted for marks in content.marks.values()):
                break
            assert time.monotonic() < deadline, running.log()
            assert running.process.poll() is None, running.log()
            time.sleep(0.1)
        found.append(content)
    return found[0], found[1]


def expected_flows(*feeds: Feed) -> dict[str, IndicatorValue]:
    values: dict[str, IndicatorValue] = {}
    for feed in feeds:
        for records in feed.values():
            items: Sequence[Item] = records  # type: ignore[assignment]
            for _, found in reference(items, (2,)):
                wanted = (v for v in found if not (v.symbol == "ETH/USDT" and v.name.startswith("book_top")))
                values |= {ce_id(value): value for value in wanted}
    return values


def expected_samples(books: Feed) -> dict[str, Record]:
    """Books of one partition after another, each folded in one batch."""
    found: dict[str, Record] = {}
    for records in books.values():
        items: Sequence[Item] = records  # type: ignore[assignment]
        state = BookFlows(FlowPlan.of(["book_sample(2)@*:ETH/*"], BOOKS))
        batches = Batches()
        batches.fold(state, items)
        found |= {ce_id(book): book for sampled in batches.books for book in sampled}
    return found


def prices_of(candles: TopicContent) -> list[VenuePrice]:
    return [
        VenuePrice(c.venue, c.symbol, c.interval, c.open_time, c.close_time, c.close, 0, c.complete)
        for c in candles.records.values()
        if isinstance(c, Candle) and c.interval == "1s" and c.revision == 0
    ]


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.full)])
def test_flows_and_spreads_are_exact_in_spite_of_a_kill(kafka: str, tmp_path: Path, killed: bool) -> None:
    fresh_topics(kafka_settings(kafka))
    name, log = f"flows-{uuid.uuid4().hex[:8]}", Log(kafka)
    trades, quotes, books = feeds()
    topics = ((TRADES, trades), (QUOTES, quotes), (BOOKS, books))

    def put(first: float, last: float) -> None:
        for topic, feed in topics:
            for partition, items in feed.items():
                log.put(topic, partition, items[int(first * len(items)) : int(last * len(items))])

    lane_less = rows.encode(TimeMark("binance", "binance-0", BASE_US, False, "run"))
    keyless = rows.encode(Quote("binance", "BTC/USDT", 1.0, 1.0, 2.0, 1.0, 1, BASE_US, BASE_US))
    for topic, value in ((QUOTES, keyless), (BOOKS, b"no record"), (VENUE_PRICES, lane_less)):
        log.put(topic, 0, [value])
    if killed:
        with worker(kafka, name, tmp_path, "one", 1, **SETTINGS) as running:
            running.until_logged("ready")
            put(0, 0.5)
            deadline = time.monotonic() + PATIENCE_S
            while not read_topic(kafka, SIGNALS).records:
                assert time.monotonic() < deadline, running.log()
                time.sleep(0.1)
            put(0.5, 0.7)
            running.kill()
    with worker(kafka, name, tmp_path, "one", 1, **SETTINGS) as running:
        put(0.7 if killed else 0, 1)
        indicators, signals = until_ended(kafka, running)
        assert "error" not in running.log()
        assert running.stop() == 0
    for topic, words in (
        (QUOTES, "the key is not 'venue:symbol'"),
        (BOOKS, "the first byte is not 0"),
        (VENUE_PRICES, "2 partitions"),
    ):
        (letter, *_) = log.read(topic.dead_letter_name)
        assert words in dict(letter.headers())[HEADER_PREFIX + "exception.message"].decode()
    flows = {
        id_: value
        for id_, value in indicators.records.items()
        if isinstance(value, IndicatorValue) and value.name.startswith(("quote.", "book_"))
    }
    assert flows == expected_flows(quotes, books)
    assert len(flows) > 500
    samples = read_topic(kafka, BOOK_SAMPLES)
    assert samples.records == expected_samples(books)
    assert len(samples.records) > 30
    assert samples.ended == PARTITIONS

    candles, prices = read_topic(kafka, CANDLES), read_topic(kafka, VENUE_PRICES)
    wanted = prices_of(candles)
    assert sorted(prices.records.values(), key=ce_id) == sorted(wanted, key=ce_id)
    found = {
        id_: signal
        for id_, signal in signals.records.items()
        if isinstance(signal, Signal) and signal.rule == "venue_spread_15_3"
    }
    seen = {id_: (signal.values["spread_bps"], signal.complete) for id_, signal in found.items()}
    assert seen == expected_spreads(wanted, 15, 3)
    assert len(found) > 5
    for id_, signal in found.items():
        assert signal.direction == "long"
        assert signal.values[signal.venue] == min(v for n, v in signal.values.items() if n in VENUES)
        assert signal.candle_id in candles.records
        assert signals.headers[id_]["ce_id"].decode() == signal.id
    for partition, marks in signals.marks.items():
        last = max(number for number, mark in enumerate(marks) if mark.source.endswith("/spreads"))
        assert marks[last].final, partition
