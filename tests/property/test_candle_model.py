"""The candle builder against plain Python that keeps every trade, on streams where everything goes wrong."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.candle_batches import Refusal
from processors.candle_rules import CandleRules
from processors.candles import CandleBuilder
from processors.intervals import Interval
from schemas.records import Candle, Gap, TimeMark, Trade
from tests.candle_reference import ReferenceCandles
from tests.candle_stream import SIDES, Item, fold_in_batches
from tests.saved_pages import saved

SECOND = 1_000_000
STEP = SECOND // 4
BEGAN = 1_723_161_255 * SECOND
RULES = CandleRules(
    (Interval("1s", SECOND), Interval("5s", 5 * SECOND), Interval("20s", 20 * SECOND, 3 * SECOND)),
    grace=2 * SECOND,
    hold=12 * SECOND,
    lead=15 * SECOND,
)
MARKETS = (("binance", "BTC/USDT"), ("binance", "A/B:C"), ("gateio", "ETH/USDT"))


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Trades (late, early, repeated, without ids), marks of several sources, finals and gaps."""
    now = BEGAN
    next_sequence = dict.fromkeys(MARKETS, 1)
    sent: dict[tuple[tuple[str, str], int], Trade] = {}
    items: list[Item] = []
    for kind in draw(st.lists(st.sampled_from("ttttttmmmfg"), min_size=1, max_size=40)):
        now += STEP * draw(st.sampled_from((0, 0, 1, 1, 2, 5, 30)))
        time = now - STEP * draw(st.sampled_from((0, 0, 0, 0, 1, 3, 8, 20, 55, 70)))
        if kind == "t":
            market = draw(st.sampled_from(MARKETS))
            if draw(st.sampled_from((False,) * 9 + (True,))):
                time += 20 * SECOND
            jump = draw(st.sampled_from((0, 0, 0, 0, 0, 0, 1, 4, -1, -3, None)))
            sequence = None if jump is None else max(0, next_sequence[market] + jump)
            if sequence is not None:
                next_sequence[market] = max(next_sequence[market], sequence + 1)
            price = draw(st.integers(1, 2_000_000)) / 100
            size = draw(st.integers(0, 10**11)) / 1e8
            side = draw(st.sampled_from(SIDES))
            trade = Trade(*market, f"{sequence}", sequence, price, size, side, time, 0)  # type: ignore[arg-type]
            items.append(sent.setdefault((market, sequence), trade) if sequence is not None else trade)
        elif kind == "g":
            market = draw(st.sampled_from(MARKETS))
            status = draw(st.sampled_from(("given_up", "given_up", "opened")))
            ends = now - STEP * draw(st.integers(-4, 30))
            items.append(Gap(*market, "a", status, None, None, ends - STEP, ends, "missing ids"))  # type: ignore[arg-type]
        else:
            venue = draw(st.sampled_from(("binance", "binance", "gateio")))
            source = draw(st.sampled_from(("a", "a", "a", "b")))
            items.append(TimeMark(venue, source, time, kind == "f", "run"))
    return items


def long_stream(random: Random) -> list[Item]:
    """A feed that mostly behaves: long enough for candles to be revised, let go and forgotten."""
    now = BEGAN
    sequences = dict.fromkeys(MARKETS, 1)
    sent: dict[tuple[tuple[str, str], int], Trade] = {}
    items: list[Item] = []
    for _ in range(500):
        now += STEP * random.choice((0, 0, 0, 1, 1, 2))
        if random.random() < 0.006:
            now += 30 * SECOND
        market = random.choice(MARKETS)
        late = STEP * random.choice((0,) * 12 + (1, 3, 8, 20, 45, 60, 120))
        luck = random.random()
        if luck < 0.7:
            sequences[market] += random.choice((1, 1, 1, 1, 1, 1, 2, 3))
            sequence: int | None = sequences[market]
            if random.random() < 0.12:
                sequence = random.choice((None, max(0, sequences[market] - random.randint(0, 40))))
            early = 16 * SECOND if random.random() < 0.01 else 0
            price, size = random.randint(1, 2_000_000) / 100, random.randint(0, 10**11) / 1e8
            side = random.choice(SIDES)
            trade = Trade(*market, "", sequence, price, size, side, now - late + early, 0)  # type: ignore[arg-type]
            items.append(sent.setdefault((market, sequence), trade) if sequence is not None else trade)
        elif luck < 0.99:
            final = random.random() < 0.02
            source = "b" if random.random() < 0.1 and any(i for i in items[-80:] if is_last(i, "b")) else "a"
            items.append(TimeMark(market[0], source, now - late % (9 * STEP), final, "run"))
        elif luck < 0.993:
            items.append(TimeMark(market[0], "b", now, random.random() < 0.5, "run"))
        else:
            items.append(
                Gap(*market, "a", "given_up", None, None, now - late - STEP, now - late, "missing ids")
            )
    return items


def is_last(item: Item, source: str) -> bool:
    return isinstance(item, TimeMark) and item.source == source


def reference_of(items: list[Item]) -> tuple[list[Candle], list[tuple[int, Refusal]], set[int]]:
    reference = ReferenceCandles(RULES)
    for offset, item in enumerate(items):
        reference.take(offset, item)
    candles = [entry for entry in reference.output if isinstance(entry, Candle)]
    return candles, [e for e in reference.output if not isinstance(e, Candle)], reference.stale_repeats


@given(streams(), st.data())
def test_builder_equals_a_recomputation_from_all_trades(items: list[Item], data: st.DataObject) -> None:
    expected, expected_refused, stale = reference_of(items)
    cuts = data.draw(st.lists(st.integers(0, len(items)), max_size=8))
    candles, refused = fold_in_batches(CandleBuilder(RULES), items, cuts)
    assert candles == expected
    # A repeat from beyond the hold may be called too late: its sequence need not be remembered any more.
    assert [entry for entry in refused if entry[0] not in stale] == expected_refused


@pytest.mark.parametrize("seed", range(25))
def test_builder_equals_a_recomputation_over_long_feeds(seed: int) -> None:
    random = Random(seed)
    items = long_stream(random)
    expected, expected_refused, stale = reference_of(items)
    builder = CandleBuilder(RULES)
    candles, refused = fold_in_batches(builder, items, random.sample(range(500), 12))
    assert candles == expected
    assert [entry for entry in refused if entry[0] not in stale] == expected_refused
    assert builder.counts.candles == len(candles) > 50


@given(streams(), st.data())
def test_cuts_and_restored_snapshots_change_nothing(items: list[Item], data: st.DataObject) -> None:
    whole = CandleBuilder(RULES)
    expected = fold_in_batches(whole, items, ())
    cut = data.draw(st.integers(0, len(items)))
    first = CandleBuilder(RULES)
    before = fold_in_batches(first, items[:cut], data.draw(st.lists(st.integers(0, cut), max_size=3)))
    second = CandleBuilder(RULES)
    fold_in_batches(second, items[: len(items) // 2], ())  # what it held is replaced
    second.load(saved(first))
    assert saved(second) == saved(first)
    after = fold_in_batches(second, items[cut:], (), first_offset=cut)
    assert (before[0] + after[0], before[1] + after[1]) == expected
    assert saved(second) == saved(whole)
    assert second.counts == whole.counts
