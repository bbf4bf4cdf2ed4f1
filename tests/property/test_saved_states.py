"""States that are saved by what has changed, and lost and restored, against those that are never lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import msgspec
import pytest

from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.candles.words import SLAB
from processors.engine.checkpoint import Lineage, replay
from processors.engine.pages import pages_of
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from schemas.records import Candle, TimeMark, Trade
from tests.candle_logs import BEGAN, RULES, SECOND
from tests.candle_stream import Item, outcome_of
from tests.saved_pages import Shelf, saved

FULL = replace(RULES, live=RULES.intervals, carry=True)
SYMBOLS = 60


def busy_log(random: Random, seconds: int) -> list[Item]:
    """Many symbols, some of which rest for long; late trades, repeats, and a mark each second."""
    items: list[Item] = []
    numbers = [0] * SYMBOLS
    for second in range(seconds):
        for symbol in range(SYMBOLS):
            if symbol % 3 == 1 and second // 30 % 3:
                continue
            numbers[symbol] += random.choice((1, 1, 1, 2))
            late = random.choice((0, 0, 0, 0, 3, 9)) * SECOND
            time = BEGAN + second * SECOND + random.randrange(SECOND) - late
            price = round(random.uniform(90, 110), 2)
            items.append(Trade("binance", f"S{symbol}/USDT", "", numbers[symbol], price, 1.5, "buy", time, 0))
            if random.random() < 0.02:
                items.append(items[-random.randint(1, 40)] if len(items) > 40 else items[-1])
        items.append(TimeMark("binance", "a", BEGAN + (second + 1) * SECOND - 1, False, "run"))
    return items


def cuts_of(random: Random, length: int) -> Iterator[tuple[int, int]]:
    """Where batches begin and end."""
    start = 0
    while start < length:
        end = min(length, start + random.choice((1, 30, 200, 1_000)))
        yield start, end
        start = end


@pytest.mark.parametrize("rules", [RULES, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("seed", range(3))
def test_candles_are_those_of_a_builder_that_was_never_lost(seed: int, rules: CandleRules) -> None:
    random = Random(seed)
    log = busy_log(random, 100)
    whole, builder, shelf = CandleBuilder(rules), CandleBuilder(rules), Shelf()
    expected = outcome_of(whole, log, ())
    assert len(log) > 4 * SLAB
    candles: list[Candle] = []
    kept: list[Candle] = []
    saved_at = 0
    for start, end in cuts_of(random, len(log)):
        candles += outcome_of(builder, log[start:end], (), start).candles
        if random.random() < 0.3:
            shelf.save(builder)
            saved_at, kept = end, list(candles)
        elif random.random() < 0.1:
            # Killed: what came after the last save is folded again.
            builder = CandleBuilder(rules)
            candles = list(kept)
            if saved_at:
                builder.load(shelf.pages)
            candles += outcome_of(builder, log[saved_at:end], (), saved_at).candles
    assert candles == expected.candles
    assert saved(builder) == saved(whole)


def test_a_checkpoint_after_a_second_writes_what_that_second_changed() -> None:
    rules = replace(RULES, hold=400 * SECOND)
    log = busy_log(Random(1), 220)
    builder, own = CandleBuilder(rules), Lineage("t", 0, "p", "i", {})
    last = max(row for row, item in enumerate(log[:-1]) if isinstance(item, TimeMark)) + 1
    outcome_of(builder, log[:last], ())
    whole = sum(len(value or b"") for _, value in own.plan(1, pages_of(builder)))
    outcome_of(builder, log[last:], (), last)
    slabs = [changed for name, _, changed in pages_of(builder) if name.startswith("pool.")]
    records = list(own.plan(2, pages_of(builder)))
    assert (len(slabs) > 10, sum(slabs) <= 6) == (True, True)
    assert sum(len(value or b"") for _, value in records) < whole / 3


def series_log(random: Random, minutes: int, symbols: int = 70) -> list[Candle]:
    """Candles of many series; every fourth symbol rests for hours."""
    candles = []
    for minute in range(minutes):
        for symbol in range(symbols):
            if symbol % 4 == 0 and 20 <= minute < minutes - 20:
                continue
            close = random.uniform(90, 110)
            times = (minute * 60 * SECOND, (minute + 1) * 60 * SECOND)
            prices = (close, close, close, close, 1.0, close, 0.5)
            revision = random.choice((0, 0, 0, 1))
            name = ("binance", f"S{symbol}/USDT", "1m")
            candles.append(Candle(*name, *times, *prices, 1, None, None, revision, True))
    return candles


PLAN = SeriesPlan.of(["ema(5)", "rsi(4)"], ["moving_average_crossover(2,3)"])


def test_series_that_rest_go_on_as_if_they_had_not() -> None:
    random = Random(1)
    log = series_log(random, 150)
    whole, book, shelf, awake = SeriesBook(PLAN), SeriesBook(PLAN), Shelf(), []
    expected = [record for candle in log for record in whole.fold(candle)]
    found, kept, saved_at = [], 0, 0
    for start, end in cuts_of(random, len(log)):
        found += [record for candle in log[start:end] for record in book.fold(candle)]
        if random.random() < 0.3:
            shelf.save(book)
            kept, saved_at = len(found), end
            awake.append(book.awake)
        elif random.random() < 0.1:
            book = SeriesBook(PLAN)
            if saved_at:
                book.load(shelf.pages)
                assert book.awake == 0
            del found[kept:]
            found += [record for candle in log[saved_at:end] for record in book.fold(candle)]
    assert found == expected
    assert saved(book) == saved(whole)
    assert whole.awake == 70 > min(awake[len(awake) // 2 :])


def test_a_page_of_series_is_written_when_one_of_them_has_a_candle() -> None:
    log = series_log(Random(2), 10, symbols=200)
    book, shelf = SeriesBook(PLAN), Shelf()
    for candle in log:
        book.fold(candle)
    shelf.save(book)
    assert len(shelf.pages) == 5  # 200 series of one interval in four buckets, and the rest
    following = a_minute_later(log[-1])
    book.fold(following)
    shelf.save(book)
    assert len(shelf.encoded) == 2
    restored = SeriesBook(PLAN)
    restored.load(replay_of(book))
    assert restored.fold(a_minute_later(following)) == book.fold(a_minute_later(following)) != []


def a_minute_later(candle: Candle) -> Candle:
    minute = 60 * SECOND
    return msgspec.structs.replace(
        candle, open_time=candle.open_time + minute, close_time=candle.close_time + minute
    )


def replay_of(book: SeriesBook) -> dict[str, bytes]:
    """Its pages by way of a changelog."""
    log = list(Lineage("t", 0, "p", "i", {}).plan(1, pages_of(book)))
    found, _ = Lineage("t", 0, "p", "i", replay(log)).newest(0, 10)
    assert found is not None
    return dict(found.pages)
