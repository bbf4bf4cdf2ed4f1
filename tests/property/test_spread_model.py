"""Spreads of venues against plain Python, however the lanes of the venues lie in the log."""

from functools import cache
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.partitioner import partition_of
from infra.settings import KafkaSettings, ProcessorSettings, Settings
from processors.spreads.book import SpreadBook
from processors.spreads.plan import SpreadPlan
from schemas.identity import market_key
from schemas.records import Signal, TimeMark, VenuePrice
from tests.spread_reference import expected_spreads

SECOND = 1_000_000
GRACE = 2 * SECOND
BEGAN = 1_723_161_255 * SECOND
LANES = 2
MAX_AGE = 2
VENUES = ("binance", "gateio", "mexc")
SYMBOLS = ("BTC/USDT", "A/B:C")
Entry = VenuePrice | TimeMark


@cache
def plan(on_incomplete: bool) -> SpreadPlan:
    spec = f"venue_spread(100,{MAX_AGE})@1s@*@{'|'.join(VENUES)}"
    chosen = ProcessorSettings(venue_spreads=[spec], signal_on_incomplete=on_incomplete)
    return SpreadPlan.of(Settings(kafka=KafkaSettings(partitions=LANES), processors=chosen))


@st.composite
def venue_lanes(draw: st.DrawFn, venue: str) -> list[list[Entry]]:
    """What each lane of a venue writes: prices when their candles close, marks, and a last word."""
    begins = draw(st.integers(0, 3))
    steps = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    times = [BEGAN + begins * SECOND]
    for step in steps:
        times.append(times[-1] + step * SECOND // 2)
    candles = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(SYMBOLS), st.integers(begins - 1, begins + 6)),
            st.tuples(st.sampled_from((100.0, 100.5, 101.0, 102.0)), st.sampled_from((True,) * 5 + (False,))),
            min_size=6,
            max_size=16,
        )
    )
    lanes: list[list[Entry]] = [[] for _ in range(LANES)]
    for time, is_last in [(time, time == times[-1]) for time in times]:
        for (symbol, second), (price, complete) in sorted(candles.items()):
            opened = BEGAN + second * SECOND
            if opened < time and (opened + SECOND + GRACE <= time or is_last):
                lane = partition_of(market_key(venue, symbol).encode(), LANES)
                entry = VenuePrice(venue, symbol, "1s", opened, opened + SECOND, price, 0, complete)
                if entry not in lanes[lane]:
                    lanes[lane].append(entry)
        for number, lane_ in enumerate(lanes):
            lane_.append(TimeMark(venue, f"{venue}-0/{number}", time, is_last, "run"))
    return lanes


def merged(lanes: list[list[Entry]], random: Random) -> list[Entry]:
    """The lanes in one log, each in its own order; a lane may write again what it has just written."""
    left = [list(lane) for lane in lanes if lane]
    for lane in left:
        end = random.randint(0, len(lane))
        lane[end:end] = lane[random.randint(0, end) : end]
    log: list[Entry] = []
    while left:
        lane = random.choice(left)
        count = random.choice((1, 1, 2, len(lane)))
        log += lane[:count]
        del lane[:count]
        left = [lane for lane in left if lane]
    return log


@given(st.tuples(*map(venue_lanes, VENUES)), st.booleans(), st.integers(0, 2**32))
def test_signals_depend_on_the_times_in_the_data_alone(
    venues: tuple[list[list[Entry]], ...], on_incomplete: bool, seed: int
) -> None:
    random = Random(seed)
    lanes = [lane for lanes in venues for lane in lanes]
    prices = [entry for lane in lanes for entry in lane if isinstance(entry, VenuePrice)]
    wanted = expected_spreads(prices, 100, MAX_AGE, on_incomplete)
    for _ in range(2):
        log = merged(lanes, random)
        state = SpreadBook(plan(on_incomplete))
        restart = random.randint(0, len(log))
        signals: list[Signal] = []
        marks: list[TimeMark] = []
        for number, entry in enumerate(log):
            if number == restart:
                restored = SpreadBook(plan(on_incomplete))
                restored.restore(state.snapshot())
                assert restored.snapshot() == state.snapshot()
                state = restored
            if isinstance(entry, VenuePrice):
                state.take_price(entry)
                continue
            due, mark = state.take_mark(entry)
            signals += due
            marks += [] if mark is None else [mark]
        found = {each.id: (each.values["spread_bps"], each.complete) for each in signals}
        assert len(found) == len(signals)
        assert found == wanted
        for venue in VENUES:
            own = [mark for mark in marks if mark.venue == venue]
            assert [mark.final for mark in own] == [False] * (len(own) - 1) + [True]
            assert own[0].source == f"{venue}-0/spreads"
            assert sorted({mark.time for mark in own}) == [m.time for m in own if not m.final or m is own[-1]]
