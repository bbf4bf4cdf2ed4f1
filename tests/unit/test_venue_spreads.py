"""Spreads of venues: the rules one by one."""

import pytest

from infra.kafka.partitioner import partition_of
from infra.settings import KafkaSettings, ProcessorSettings, Settings
from processors.engine.snapshots import ForeignSnapshotError
from processors.spreads import book as spread_book
from processors.spreads.book import SpreadBook
from processors.spreads.plan import SpreadChoice, SpreadPlan
from schemas.errors import ConfigurationError, ValidationError
from schemas.records import Signal, TimeMark, VenuePrice

SECOND = 1_000_000
BEGAN = 1_700_000_000 * SECOND
RULE = "venue_spread_10_5"


def plan(*specs: str, on_incomplete: bool = False, lanes: int = 1) -> SpreadPlan:
    chosen = ProcessorSettings(venue_spreads=list(specs), signal_on_incomplete=on_incomplete)
    return SpreadPlan.of(Settings(kafka=KafkaSettings(partitions=lanes), processors=chosen))


class Market:
    """A book of one rule, with prices and marks in short."""

    def __init__(self, spec: str = "venue_spread(10)", on_incomplete: bool = False) -> None:
        self.book = SpreadBook(plan(spec, on_incomplete=on_incomplete))

    def price(self, venue: str, second: int, price: float, complete: bool = True, revision: int = 0) -> None:
        opened = BEGAN + second * SECOND
        record = VenuePrice(venue, "BTC/USDT", "1s", opened, opened + SECOND, price, revision, complete)
        self.book.take_price(record)

    def mark(self, venue: str, second: int, final: bool = False) -> list[Signal]:
        mark = TimeMark(venue, f"{venue}-0/0", BEGAN + second * SECOND, final, "run")
        return self.book.take_mark(mark)[0]

    def both(self, second: int, low: float, high: float) -> list[Signal]:
        """A price at two venues, and their marks when the candles close."""
        self.price("binance", second, high)
        self.price("gateio", second, low)
        return self.mark("binance", second + 3) + self.mark("gateio", second + 3)


def test_a_signal_names_the_cheap_venue_all_prices_and_the_spread() -> None:
    (signal,) = Market().both(0, 100.0, 100.5)
    assert signal == Signal(
        id=f"signal/gateio/BTC/USDT/1s/{BEGAN}/{RULE}",
        venue="gateio",
        symbol="BTC/USDT",
        interval="1s",
        open_time=BEGAN,
        event_time=BEGAN + SECOND,
        rule=RULE,
        direction="long",
        strength=1 - 10 / signal.values["spread_bps"],
        values={"binance": 100.5, "gateio": 100.0, "spread_bps": signal.values["spread_bps"]},
        candle_id=f"candle/gateio/BTC/USDT/1s/{BEGAN}/0",
        complete=True,
    )
    assert signal.values["spread_bps"] == pytest.approx(50)


def test_it_fires_at_the_threshold_and_again_only_after_it_was_nearer() -> None:
    market = Market("venue_spread(50)")
    fired = [
        bool(market.both(n, 100.0, high)) for n, high in enumerate((100.4, 100.5, 101, 100.6, 100.4, 101))
    ]
    assert fired == [False, True, False, False, False, True]


def test_a_silent_venue_holds_the_judgement_up_until_it_comes_on_or_ends() -> None:
    market = Market()
    market.mark("binance", 0)
    market.mark("gateio", 0)
    for second in range(4):
        market.price("binance", second, 101.0)
        market.price("gateio", second, 100.0)
        assert market.mark("binance", second + 3) == []
    assert [signal.open_time for signal in market.mark("gateio", 2, final=True)] == [BEGAN]


def test_a_venue_that_has_ended_holds_nothing_up() -> None:
    market = Market()
    market.price("gateio", 0, 100.0)
    market.mark("gateio", 1, final=True)
    market.price("binance", 1, 101.0)
    (signal,) = market.mark("binance", 4)
    assert signal.open_time == BEGAN + SECOND
    assert signal.candle_id == f"candle/gateio/BTC/USDT/1s/{BEGAN}/0", "its last price is recent enough"


def test_a_venue_that_is_named_is_waited_for_from_the_beginning() -> None:
    market = Market("venue_spread(10)@1s@BTC/*@binance|gateio")
    market.price("binance", 0, 101.0)
    assert market.mark("binance", 9) == []
    market.price("gateio", 0, 100.0)
    assert len(market.mark("gateio", 9)) == 1


def test_other_venues_and_symbols_do_not_count() -> None:
    market = Market("venue_spread(10)@1s@ETH/*|BTC/USDT@binance|mexc")
    assert market.both(0, 100.0, 101.0) == []
    market.mark("mexc", 9)
    assert SpreadBook(plan("venue_spread(10)@1s@ETH/*"))._choices("1s", "BTC/USDT") == ()


@pytest.mark.parametrize(("age", "signals"), [(5, 1), (6, 0)])
def test_a_venue_without_a_candle_counts_with_its_last_price_for_some_intervals(
    age: int, signals: int
) -> None:
    market = Market()
    market.mark("binance", 0)
    market.price("gateio", 0, 100.0)
    market.mark("gateio", 3)
    market.price("binance", age, 101.0)
    assert market.mark("binance", age + 3) == []
    assert len(market.mark("gateio", age + 3)) == signals


def test_an_incomplete_price_gives_no_signal_unless_that_is_allowed_and_then_it_is_marked() -> None:
    for on_incomplete in (False, True):
        market = Market(on_incomplete=on_incomplete)
        market.mark("binance", 0)
        market.price("binance", 0, 101.0, complete=False)
        market.price("gateio", 0, 100.0)
        found = market.mark("gateio", 3) + market.mark("binance", 3)
        assert [signal.complete for signal in found] == ([False] if on_incomplete else [])
        assert len(market.both(1, 100.0, 101.0)) == (0 if on_incomplete else 1), "the edge is not lost"


def test_revisions_and_prices_after_the_mark_that_closed_their_candle_have_no_say() -> None:
    market = Market()
    market.mark("binance", 0)
    market.mark("gateio", 0)
    market.price("gateio", 0, 100.0)
    market.price("gateio", 0, 90.0, revision=1)
    market.price("binance", 0, 100.0)
    market.mark("binance", 3)
    market.price("binance", 0, 120.0)
    assert market.mark("gateio", 3) == []
    assert market.book.counts.late == 1


def test_a_price_that_is_no_number_above_zero_is_left_out() -> None:
    market = Market()
    for price in (0.0, -1.0, float("nan"), float("inf")):
        market.price("gateio", 0, price)
    assert market.both(0, 100.0, 101.0)[0].values["gateio"] == 100.0


def test_what_waits_is_bounded_and_the_oldest_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_book, "WAITING_MAX", 4)
    market = Market()
    market.mark("gateio", 0)
    market.mark("binance", 0)
    for second in range(6):
        market.price("binance", second, 101.0)
        market.price("gateio", second, 100.0)
    assert market.book.counts.given_up == 8
    market.mark("gateio", 9)
    assert [signal.open_time for signal in market.mark("binance", 9)] == [BEGAN + 4 * SECOND]


def test_a_venue_is_as_far_as_its_slowest_partition_and_so_are_its_marks() -> None:
    book = SpreadBook(plan("venue_spread(10)", lanes=2))
    own = {partition_of(f"{venue}:BTC/USDT".encode(), 2) for venue in ("binance", "gateio")}
    assert own <= {0, 1}
    for venue, price in (("binance", 101.0), ("gateio", 100.0)):
        book.take_price(VenuePrice(venue, "BTC/USDT", "1s", BEGAN, BEGAN + SECOND, price, 0, True))
    signals, marks = [], []
    for venue in ("binance", "gateio"):
        for lane in (0, 1):
            at = BEGAN + (9 + lane) * SECOND
            fired, mark = book.take_mark(TimeMark(venue, f"{venue}-0/{lane}", at, False, "run"))
            signals.append(len(fired))
            marks.append(mark)
    assert signals == [0, 0, 0, 1]
    assert marks == [
        None,
        TimeMark("binance", "binance-0/spreads", BEGAN + 9 * SECOND, False, "run"),
        None,
        TimeMark("gateio", "gateio-0/spreads", BEGAN + 9 * SECOND, False, "run"),
    ]
    for lane in (0, 1):
        _, mark = book.take_mark(TimeMark("binance", f"binance-0/{lane}", BEGAN + 11 * SECOND, True, "run"))
    assert mark == TimeMark("binance", "binance-0/spreads", BEGAN + 11 * SECOND, True, "run")


@pytest.mark.parametrize("source", ["binance-0", "binance-0/2", "binance-0/x", "/0", "binance-0/-1"])
def test_a_mark_of_no_partition_is_refused(source: str) -> None:
    book = SpreadBook(plan("venue_spread(10)", lanes=2))
    with pytest.raises(ValidationError, match="2 partitions"):
        book.take_mark(TimeMark("binance", source, BEGAN, False, "run"))


def test_a_snapshot_of_another_plan_is_refused() -> None:
    state = SpreadBook(plan("venue_spread(10)")).snapshot()
    with pytest.raises(ForeignSnapshotError):
        SpreadBook(plan("venue_spread(11)")).restore(state)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("venue_spread(0)", "threshold_bps=0"),
        ("venue_gap(3)", "venue_gap"),
        ("venue_spread(10)@7s", "no interval is called 7s"),
        ("venue_spread(10)@1h", "processors.intervals"),
        ("venue_spread(", "is written"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_reason(spec: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan(spec)


def test_a_spec_says_interval_symbols_and_venues() -> None:
    choice = SpreadChoice.parse("venue_spread(max_age=0) @ 1m @ BTC/* | ETH/USDT @ binance|gateio")
    assert (choice.interval, choice.symbols) == ("1m", ("BTC/*", "ETH/USDT"))
    assert choice.venues == ("binance", "gateio")
    assert (choice.rule.threshold_bps, choice.rule.max_age, choice.rule.label) == (10, 0, "venue_spread_10_0")
    assert SpreadChoice.parse("venue_spread").symbols == ("*",)
