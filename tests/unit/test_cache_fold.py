"""What portions of the topics change in a store of hot data."""

import math

import msgspec
import pytest

from infra.settings import CacheSettings
from schemas.errors import ConfigurationError
from schemas.records import Signal, Ticker
from sinks.cache import names
from sinks.cache.answers import Answers
from sinks.cache.bridge import Bridge
from sinks.cache.changes import Append, Emit, SetList, SetText, level_member, level_of
from sinks.cache.fold import Batch, Fold
from sinks.cache.market import Market, Taken
from sinks.cache.memory_store import MemoryStore
from sinks.cache.owners import HELD_S, Owners
from tests.cache_records import MINUTE, T0, candle, signal, value

SETTINGS = CacheSettings(candles=3, signals=2, publish=True, streams=["market.candle"])
NAME = ("binance", "BTC/USDT")


class Pipeline:
    """A fold and its store, portion by portion."""

    def __init__(self, fold: Fold | None = None, store: MemoryStore | None = None) -> None:
        self.fold = fold or Fold(SETTINGS)
        self.store = store or MemoryStore()
        self.answers = Answers(self.store)

    async def take(self, batch: Batch, owned: bool = True) -> list[object]:
        await self.fold.load(self.store, batch)
        changes = list(self.fold.changes(batch, batch.markets if owned else ()))
        assert await self.store.move(changes, {}, {})
        return list(changes)


async def test_candles_are_appended_replaced_and_bounded() -> None:
    pipeline = Pipeline()
    first = await pipeline.take(Batch(records=[candle(0), candle(1), candle(3)]))
    assert [type(change) for change in first] == [SetList, SetList, Append, Append, Append, Append]
    await pipeline.take(Batch(records=[candle(1, 9.0, revision=1), candle(2), candle(4)]))
    found = await pipeline.answers.candles("BTC/USDT", "1m")
    assert [(row[0], row[4]) for row in found] == [
        ((T0 + number * MINUTE) // 1000, 2.0) for number in (2, 3, 4)
    ]
    assert found == await pipeline.answers.candles("binance:BTC/USDT", "1m")
    assert await pipeline.take(Batch(records=[candle(0), candle(4)])) == []


async def test_another_process_reads_on_from_what_the_store_holds() -> None:
    before = Pipeline()
    await before.take(Batch(records=[candle(0), value(5, 1.0), signal(1)], prices={NAME: (8.0, T0 + 9_000)}))
    after = Pipeline(store=before.store)
    await after.take(
        Batch(
            records=[candle(1), value(4, 2.0, revision=1), signal(1), signal(2)],
            prices={NAME: (7.0, T0 + 1_000)},
        )
    )
    assert len(await after.answers.candles("BTC/USDT", "1m")) == 2
    assert (await after.answers.indicators("BTC/USDT", "1m"))["sma20"] == "1.0"
    assert [found["id"] for found in await after.answers.signals("BTC/USDT")] == ["s1", "s2"]
    assert (await after.answers.ticker("BTC/USDT"))["price"] == "8.0"


async def test_a_ticker_tells_the_newest_price_whichever_topic_brings_it() -> None:
    pipeline = Pipeline()
    old = Ticker(*NAME, 5.0, 4.9, 5.1, None, None, None, 100.0, None, 1.5, None, T0, T0)
    await pipeline.take(Batch(prices={NAME: (6.0, T0 + 1)}, tickers={NAME: old}))
    found = await pipeline.answers.ticker("BTC/USDT")
    assert found["price"] == "6.0"
    assert (found["volume"], found["change"], found["bid"]) == ("100.0", "1.5", "4.9")
    assert found["venue"] == "binance"


async def test_indicators_are_of_the_newest_candle() -> None:
    pipeline = Pipeline()
    await pipeline.take(Batch(records=[value(2, 3.0), value(1, 9.0, revision=1), value(2, 4.0, revision=1)]))
    assert await pipeline.answers.indicators("BTC/USDT", "1m") == {
        "sma20": "4.0",
        "timestamp": str((T0 + 2 * MINUTE) // 1000),
    }


async def test_a_venue_that_takes_a_symbol_over_puts_its_own_lists() -> None:
    pipeline = Pipeline()
    await pipeline.take(Batch(records=[candle(0, venue="mexc", close=1.0)]))
    await pipeline.take(Batch(records=[candle(0), candle(1)]), owned=False)
    assert [row[4] for row in await pipeline.answers.candles("BTC/USDT", "1m")] == [1.0]
    pipeline.fold.disown(("mexc", "BTC/USDT"))
    await pipeline.take(Batch(records=[candle(2)]))
    assert [row[4] for row in await pipeline.answers.candles("BTC/USDT", "1m")] == [2.0, 2.0, 2.0]


async def test_what_is_not_renewed_expires() -> None:
    now = 0.0
    pipeline = Pipeline(store=MemoryStore(lambda: now))
    await pipeline.take(Batch(prices={NAME: (6.0, T0)}))
    now = SETTINGS.ticker_ttl_s - 1
    assert await pipeline.answers.ticker("BTC/USDT")
    now = SETTINGS.ticker_ttl_s
    assert await pipeline.answers.ticker("BTC/USDT") == {}


async def test_positions_are_compared_before_anything_changes() -> None:
    store = MemoryStore()
    assert await store.move([SetText("k", "v", 9)], {"p": None}, {"p": "1"})
    assert not await store.move([SetText("k", "w", 9)], {"p": None}, {"p": "2"})
    assert await store.texts(["k"]) == ["v"]


async def test_the_first_venue_that_is_alive_has_the_symbol() -> None:
    now = 0.0
    store = MemoryStore(lambda: now)
    owners = Owners(["binance", "gateio"], lambda: now)
    gateio, binance, other = (venue_market(v) for v in ("gateio", "binance", "kraken"))

    async def claim(*markets: tuple[str, str]) -> list[tuple[str, str]]:
        found = await owners.claim(store, markets)
        await store.move(found.changes, {}, {})
        return sorted(found.owned)

    assert await claim(other) == [other]
    now += 20
    assert await claim(other, gateio) == [gateio]
    now += 20
    assert await claim(binance, gateio, other) == [binance]
    now += HELD_S + 1
    assert await claim(gateio) == [gateio]


async def test_a_venue_that_comes_back_replaces_the_lists_of_the_one_that_stood_in() -> None:
    now = 0.0
    store = MemoryStore(lambda: now)
    owners = {name: Owners(["binance", "gateio"], lambda: now) for name in ("binance", "gateio")}
    folds = {name: Fold(SETTINGS) for name in owners}

    async def take(venue: str, number: int) -> None:
        """One process for each venue: their partitions are not those of one member."""
        taken = msgspec.structs.replace(candle(number), venue=venue)
        batch = Batch(records=[taken, signal_of(venue, number)])
        assert await store.move(await folds[venue].take(store, owners[venue], batch), {}, {})

    for number in range(2):
        await take("binance", number)
    now += HELD_S + 1
    await take("gateio", 2)
    now += 1
    await take("binance", 3)
    answers = Answers(store)
    assert await answers.candles("BTC/USDT", "1m") == await answers.candles("binance:BTC/USDT", "1m")
    assert await answers.signals("BTC/USDT") == await answers.signals("binance:BTC/USDT")


async def test_two_venues_that_both_believe_to_have_a_symbol_do_not_mix_for_long() -> None:
    now = 0.0
    store = MemoryStore(lambda: now)
    owners = {name: Owners(["binance", "gateio"], lambda: now) for name in ("binance", "gateio")}
    folds = {name: Fold(CacheSettings(candles=100)) for name in owners}

    async def take(venue: str, number: int) -> None:
        batch = Batch(records=[msgspec.structs.replace(candle(number), venue=venue)])
        assert await store.move(await folds[venue].take(store, owners[venue], batch), {}, {})

    await take("gateio", 0)
    now += 1
    for number in range(1, 50):
        # The other process asks again 15 s after it did so last, and until then thinks that it is the holder.
        await take("binance", number)
        await take("gateio", number)
        now += 1
    answers = Answers(store)
    assert await answers.candles("BTC/USDT", "1m") == await answers.candles("binance:BTC/USDT", "1m")


async def test_of_two_venues_in_one_process_the_first_has_the_symbol_at_once() -> None:
    store, owners, fold = MemoryStore(), Owners(["binance", "gateio"]), Fold(SETTINGS)
    for number, venue in enumerate(("gateio", "binance", "gateio")):
        batch = Batch(records=[msgspec.structs.replace(candle(number), venue=venue)])
        assert await store.move(await fold.take(store, owners, batch), {}, {})
    answers = Answers(store)
    assert await answers.candles("BTC/USDT", "1m") == await answers.candles("binance:BTC/USDT", "1m")


def signal_of(venue: str, number: int) -> Signal:
    return msgspec.structs.replace(signal(number), venue=venue, id=f"{venue}{number}")


def venue_market(venue: str) -> tuple[str, str]:
    return venue, "BTC/USDT"


def test_equal_sizes_are_different_members() -> None:
    levels = [(1.1, 5.0), (1.2, 5.0), (1e-9, 1 / 3)]
    assert len({level_member(level) for level in levels}) == 3
    assert [level_of(level_member(level)) for level in levels] == levels


def test_events_go_to_the_streams_and_channels_that_are_wanted() -> None:
    bridge = Bridge(SETTINGS)
    batch = Batch(records=[candle(0), signal(1)], prices={NAME: (6.0, T0)})
    found = list(bridge.events(batch, {"BTC/USDT": {"bob", "alice"}}))
    assert all(isinstance(event, Emit) for event in found)
    assert [(event.stream, event.fields["type"]) for event in found if isinstance(event, Emit)] == [
        ("", "price.updated"),
        (names.events("market.candle"), "market.candle"),
        ("", "strategy.signal"),
    ]
    assert next(event.channels for event in found if isinstance(event, Emit)) == [
        "market:BTC/USDT",
        "user:alice",
        "user:bob",
    ]


def test_a_stream_of_no_event_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"market\.candel"):
        Bridge(CacheSettings(streams=["market.candel"]))


def test_names_of_indicators_as_fields() -> None:
    assert names.indicator_field("sma_20") == "sma20"
    assert names.indicator_field("macd_12_26_9.signal") == "macd12_26_9.signal"


def test_numbers_that_json_does_not_know_do_not_stop_a_market() -> None:
    market = Market()
    assert market.candle(candle(0, close=math.inf), 3) is Taken.APPENDED
