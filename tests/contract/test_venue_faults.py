"""Whatever a venue does to its clients, a feed leaves what it would have left undisturbed.

A simulator plays a capture of each venue with one fault after another, over real sockets, to the parts that
a producer is made of. Nothing is mocked but Kafka: its publisher keeps what it is given.
"""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from producers import line, link, liveness
from producers.capture import CaptureReader
from producers.markets import exchange_class, exchanges
from producers.simulator.venue import simulated_venues
from schemas.records import Gap, Quote, TimeMark, Trade
from schemas.topics import BOOKS, TRADES
from tests.fault_harness import Outcome, exchange_playing, produce
from tests.venue_captures import MADE, START_US, write_market

FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "gap": ("gap@200:30",),
    "gap in books": ("gap@200:10/books",),
    "duplicate": ("duplicate@200:50",),
    "reorder": ("reorder@200:30",),
    "malformed": ("malformed@200:5",),
    "oversize": ("oversize@200:20",),
    "disconnect": ("disconnect@200:40",),
    "mute": ("mute@200:40",),
    "no pong": ("no_pong@200:40",),
    "shutdown": ("shutdown@200:0.3s",),
    "shutdown told early": ("shutdown@100:1.2s",),
    "slow": ("slow@200:20",),
    "wrong ack": ("wrong_ack@0:1",),
    "no ack": ("no_ack@0:1",),
    "gap and 429": ("gap@100:30", "429@100:1"),
    "gap and 418": ("gap@100:30", "418@100:1"),
    "gap and 503": ("gap@200:30", "503@200:2"),
    "gap and HTML": ("gap@200:30", "html@200:2"),
}
RECONNECTED: Final = frozenset(
    ("oversize", "disconnect", "mute", "no pong", "shutdown", "shutdown told early", "wrong ack", "no ack")
)
"""Faults after which a feed has to connect again; after the others it must not."""

SPEED: Final = 3.0
"""Times real time: slow enough that the answers of REST come while the market still runs."""

NEVER_FED: Final = frozenset({"wrong ack", "no ack"})
"""Faults that keep a feed from its beginning."""

UNTOLD: Final = frozenset(name for name in FAULTS if name.startswith(("gap", "reorder", "malformed")))
"""Faults of which a symbol tells only by its next trade: a mark may have passed until then."""

EVENT_TIME: Final = 5
"""Place of the event time in the value of a trade."""

MALFORMED: Final = 5
VENUES: Final = sorted(MADE.keys() - {("binanceus", "spot")})
"""Binance US is Binance's spot market with other figures."""


@dataclass(frozen=True)
class Case:
    """What a capture holds, and what feeds of it have published, by the name of the fault."""

    trades: dict[tuple[str, str], tuple[Any, ...]]
    quotes: Counter[tuple[Any, ...]]
    outcomes: dict[str, Outcome | BaseException]

    def outcome(self, fault: str) -> Outcome:
        """What became of a feed with this fault."""
        found = self.outcomes[fault]
        if isinstance(found, BaseException):
            raise AssertionError(f"the feed did not come to its end: {found!r}") from found
        return found


def value_of(trade: Trade) -> tuple[Any, ...]:
    """All of a trade but when and how it was received."""
    return (
        trade.sequence,
        trade.price,
        trade.size,
        trade.raw_size,
        trade.side,
        trade.event_time,
        trade.inexact,
    )


def quote_of(quote: Quote) -> tuple[Any, ...]:
    """All of a quote but when it was received."""
    return (quote.symbol, quote.sequence, quote.bid, quote.bid_size, quote.ask, quote.ask_size)


@pytest.fixture(scope="module", params=VENUES, ids=lambda names: "-".join(names))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    venue, market = request.param
    path = write_market(tmp_path_factory.mktemp("made") / "made.capture.gz", venue, market, 9.0, 10.0)

    async def run() -> dict[str, Outcome | BaseException]:
        played = [(exchange_playing(path, SPEED), faults) for faults in FAULTS.values()]
        outcomes = await asyncio.gather(*(produce(*one) for one in played), return_exceptions=True)
        return dict(zip(FAULTS, outcomes, strict=True))

    with pytest.MonkeyPatch.context() as patch:
        # No more patience than such a short market needs.
        patch.setattr(liveness, "LEAST_S", 3.0)
        patch.setattr(liveness, "BEYOND", 2.0)
        patch.setattr(liveness, "DOUBT", 0.0)
        patch.setattr(line, "PONG_WITHIN_S", 2.0)
        patch.setattr(line, "ANSWER_WITHIN_S", 1.0)
        patch.setattr(link, "CLOSE_TIMEOUT_S", 0.5)
        outcomes = asyncio.run(run())
    return Case(*recorded(path, venue, market), outcomes)


def recorded(
    path: Path, venue: str, market: str
) -> tuple[dict[tuple[str, str], tuple[Any, ...]], Counter[tuple[Any, ...]]]:
    """The trades and quotes in the frames of a capture."""
    simulated = exchange_playing(path).venue
    cls = exchange_class(venue, market)
    listing = simulated.rest(cls.instruments_call().path, {}, START_US // 1_000).body
    exchange = cls(cls.read_instruments(listing, 0))
    frames = [entry.frame for entry in CaptureReader(path) if entry.rest is None]
    wanted = {"trades", "quotes"}
    records = [
        record
        for frame in frames
        if (found := cls.channel_of(cls.stream_of(frame) or "")) is not None and found[0] in wanted
        for record in exchange.parse(frame, 0)
    ]
    trades = {(trade.symbol, trade.trade_id): trade for trade in records if isinstance(trade, Trade)}
    quotes = Counter(quote_of(record) for record in records if isinstance(record, Quote))
    return {name: value_of(trade) for name, trade in trades.items()}, quotes


@pytest.mark.parametrize("fault", FAULTS)
def test_trades_are_those_of_the_market_each_once(case: Case, fault: str) -> None:
    published = case.outcome(fault).of(Trade)
    assert len(case.trades) > 100
    expected = case.trades
    if fault in NEVER_FED:
        # What was traded before the first subscription that was accepted is not the feed's.
        first = {trade.symbol: trade.event_time for trade in reversed(published)}
        expected = {name: value for name, value in expected.items() if value[EVENT_TIME] >= first[name[0]]}
        assert len(expected) > 0.9 * len(case.trades)
    assert {(trade.symbol, trade.trade_id): value_of(trade) for trade in published} == expected
    assert len(published) == len(expected), "no trade twice"


@pytest.mark.parametrize("fault", FAULTS)
def test_no_trade_is_given_up_and_no_gap_stays_open(case: Case, fault: str) -> None:
    for topic in (TRADES, BOOKS):
        gaps = case.outcome(fault).of(Gap, topic)
        assert not [gap for gap in gaps if gap.status == "given_up"]
        if topic is TRADES:
            ranges = Counter((gap.status, gap.symbol, gap.first_sequence, gap.last_sequence) for gap in gaps)
            opened = {name[1:]: count for name, count in ranges.items() if name[0] == "opened"}
            assert opened == {name[1:]: count for name, count in ranges.items() if name[0] == "filled"}
        else:
            # A book that is not to be trusted may become so for one more reason before it is mended.
            newest = {gap.symbol: gap.status for gap in gaps}
            assert set(newest.values()) <= {"filled"}


@pytest.mark.parametrize("fault", FAULTS)
def test_books_end_as_those_of_the_venue(case: Case, fault: str) -> None:
    outcome = case.outcome(fault)
    assert len(outcome.book_tops) == 2
    assert all(len(top.bids) == len(top.asks) == 10 for top in outcome.book_tops.values())
    assert outcome.books() == outcome.book_tops


@pytest.mark.parametrize("fault", FAULTS)
def test_quotes_are_those_of_the_market_in_their_order(case: Case, fault: str) -> None:
    published = case.outcome(fault).of(Quote)
    assert len(published) > case.quotes.total() * 0.5
    assert not Counter(map(quote_of, published)) - case.quotes
    for symbol in {quote.symbol for quote in published}:
        sequences = [quote.sequence or 0 for quote in published if quote.symbol == symbol]
        assert all(earlier < later for earlier, later in itertools.pairwise(sequences))


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - UNTOLD))
def test_no_trade_comes_after_a_mark_that_covers_it(case: Case, fault: str) -> None:
    marked = 0
    for record in case.outcome(fault).records:
        if isinstance(record, TimeMark):
            assert record.time >= marked
            marked = record.time
        elif isinstance(record, Trade):
            assert record.event_time >= marked, f"{record.trade_id} is late"
    assert case.outcome(fault).of(TimeMark)[-1].final


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_took_effect_and_cost_no_connection_that_it_need_not(case: Case, fault: str) -> None:
    outcome = case.outcome(fault)
    assert len(outcome.injected) == len(FAULTS[fault])
    if fault in RECONNECTED:
        assert outcome.connections > case.outcome("none").connections
    else:
        assert outcome.connections == case.outcome("none").connections
    assert len(outcome.dead_letters) == (MALFORMED if fault == "malformed" else 0)


@pytest.mark.parametrize("fault", ["gap", "disconnect", "mute", "no pong", "gap and 429"])
def test_what_was_fetched_later_says_so(case: Case, fault: str) -> None:
    backfilled = [trade for trade in case.outcome(fault).of(Trade) if trade.backfilled]
    assert 0 < len(backfilled) < 0.5 * len(case.trades)
    assert not any(trade.backfilled for trade in case.outcome("none").of(Trade))


def test_every_venue_that_can_be_simulated_is_held_to_this() -> None:
    assert set(simulated_venues()) == set(MADE)
    assert set(exchanges()) <= set(MADE) | {name for name in exchanges() if name[0] == "ccxt"}
