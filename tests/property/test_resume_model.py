"""A producer that dies at any moment, and the one after it, leave in the log what one would have left.

The log is modelled as one partition: a crash keeps a prefix of what was written, and the newest position
whose mark is in that prefix. What the stream said while nobody listened is lost to it; REST knows everything.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from producers.exchange import Call, Control, Exchange, MarketRecord
from producers.feed import Feed, Patience
from producers.log_tail import LogTail
from producers.markets import exchange_class
from producers.outputs import Ask, Output
from producers.resumed import Resumed
from schemas import rows
from schemas.records import Gap, Position, TimeMark, Trade
from schemas.topics import TRADES

T0_MS = 1_723_161_255_000
SOURCE = "binance-spot-0"
MARKET = exchange_class("binance", "spot")
FIRST, COUNT = 100, 60
STEP_MS = 150
PAGE = 1_000


class Venue:
    """A market whose trades have numbers, or none: then REST gives the newest page alone."""

    def __init__(self, numbered: bool) -> None:
        self.numbered = numbered
        guessed = MARKET.guess("BTCUSDT")
        assert guessed is not None
        self.exchange: Exchange = MARKET([guessed], ["trades"])
        if not numbered:
            parse, read, call = self.exchange.parse, self.exchange.read, self.exchange.trades_call
            changed: Any = self.exchange
            changed.parse = lambda frame, at: [_unnumbered(record) for record in parse(frame, at)]
            changed.read = lambda asked, body, at: [_unnumbered(record) for record in read(asked, body, at)]
            newest: Any = call("BTC/USDT", 1, None)
            changed.trades_call = lambda *_: replace(newest, first=None, last=None)

    def page(self, call: Call, newest: int) -> bytes:
        """Trades from REST: from the number on that is asked for, up to the newest that was made."""
        first = FIRST - 5 if call.first is None else call.first
        return json.dumps(
            [
                {"id": n, "price": "1.5", "qty": "2", "quoteQty": "3", "time": _ms(n), "isBuyerMaker": True}
                for n in range(first, newest + 1)
            ]
        ).encode()


def _ms(number: int) -> int:
    """Some trades share a moment with the one before."""
    return T0_MS + (number - number % 3 // 2) * STEP_MS


def _unnumbered(record: MarketRecord | Control) -> Any:
    return replace(record, sequence=None) if isinstance(record, Trade) else record


def _frame(number: int) -> bytes:
    data = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "1.5", "q": "2", "T": _ms(number), "m": True}
    return json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":")).encode()


@dataclass
class Log:
    """One partition: records in order, and positions with the offset that they were written at."""

    records: list[Trade | Gap | TimeMark] = field(default_factory=list)
    positions: list[tuple[int, Position]] = field(default_factory=list)

    def write(self, outputs: list[Output], feed: Feed) -> None:
        """Take outputs; a mark that comes last brings a position, as in the outlet."""
        kept = [output for output in outputs if isinstance(output, Trade | Gap | TimeMark)]
        self.records.extend(kept)
        if kept and isinstance(kept[-1], TimeMark) and outputs[-1] is kept[-1]:
            standing = feed.positions[0]
            position = Position(
                "binance",
                SOURCE,
                TRADES.name,
                kept[-1].time,
                {"0": len(self.records)},
                {name: place.sequence for name, place in standing.items() if place.sequence is not None},
                {name: place.event_time for name, place in standing.items()},
            )
            self.positions.append((len(self.records), position))

    def cut(self, length: int) -> None:
        """A crash: this much had been acknowledged."""
        del self.records[length:]
        self.positions = [(at, position) for at, position in self.positions if at <= length]

    def resumed(self, earlier: int) -> Resumed:
        """What a restart reads; where trades have no numbers, some records before the position as well."""
        newest = [position for _, position in self.positions[-1:]]
        tail = LogTail("binance", SOURCE, TRADES.name, newest)
        start = max(0, tail.starts.get(0, 0) - earlier)
        for record in self.records[start:]:
            tail.take(rows.encode(record))
        return Resumed(tail.sequences, {}, tail.newest_mark, tuple(tail.holes.values()), tail.delivered)


class Producer:
    """One run: a feed, the log that its outputs go to, and the answers of the venue's REST interface."""

    def __init__(self, venue: Venue, log: Log, resumed: Resumed) -> None:
        self._venue = venue
        self._log = log
        self._patience = Patience(60.0, 60.0)
        self._feed = Feed(venue.exchange, SOURCE, "run", False, resumed, self._patience)
        self._streams = venue.exchange.streams()
        self._at_s = 0.0
        self._asked: list[Call] = []

    def run(self, first: int, last: int, drops: set[int]) -> None:
        """Feed what the market makes, the trades of some numbers lost on the way; then end."""
        self._tick(None)
        self._connect()
        for number in range(first, last + 1):
            self._at_s += 0.15
            # Without numbers a loss shows only as an interruption.
            if number in drops and not self._venue.numbered:
                self._interrupt()
            elif number not in drops:
                if number - 1 in drops and not self._venue.numbered:
                    self._connect()
                self._take(number)
            if number % 4 == 0:
                self._answer(number)
            self._tick(self._at_s)
        while self._feed.is_waiting:
            self._at_s += 0.1
            self._connect()
            self._tick(self._at_s)
            self._answer(last)
        outputs: list[Output] = []
        self._feed.end(outputs)
        self._carry(outputs)

    def _take(self, number: int) -> None:
        outputs: list[Output] = []
        self._feed.take(_frame(number), 1, self._at_s, outputs)
        self._carry(outputs)

    def _connect(self) -> None:
        outputs: list[Output] = []
        self._feed.connected(self._streams, self._at_s, outputs)
        self._carry(outputs)

    def _interrupt(self) -> None:
        outputs: list[Output] = []
        self._feed.interrupted(self._streams, self._at_s, outputs)
        self._carry(outputs)

    def _tick(self, answered_s: float | None) -> None:
        outputs: list[Output] = []
        self._feed.tick(self._at_s, answered_s, outputs)
        self._carry(outputs)

    def _answer(self, newest: int) -> None:
        while self._asked:
            call = self._asked.pop(0)
            outputs: list[Output] = []
            self._feed.answer(call, self._venue.page(call, newest), 1, self._at_s, outputs)
            self._carry(outputs)

    def _carry(self, outputs: list[Output]) -> None:
        self._log.write(outputs, self._feed)
        self._asked += [output.call for output in outputs if isinstance(output, Ask)]


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "unnumbered"])
@settings(max_examples=150, deadline=None)
@given(
    moments=st.lists(st.integers(FIRST, FIRST + COUNT), max_size=3).map(sorted),
    cuts=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    away=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    drops=st.sets(st.integers(FIRST + 1, FIRST + COUNT - 3), max_size=12),
    earlier=st.integers(24, 40),
)
def test_the_log_holds_every_trade_whenever_producers_die(
    numbered: bool, moments: list[int], cuts: list[int], away: list[int], drops: set[int], earlier: int
) -> None:
    venue, log = Venue(numbered), Log()
    if not numbered:
        # Venues without numbers send what was traded in one moment in one frame: it is not torn apart.
        moments = [min(moment + (moment % 3 == 1), FIRST + COUNT) for moment in moments]
    stops = [*moments, FIRST + COUNT]
    number = FIRST
    for turn, stop in enumerate(stops):
        resumed = log.resumed(0 if numbered else earlier)
        if stop >= number:
            Producer(venue, log, resumed).run(number, stop, drops - {number, stop})
        if turn < len(moments):
            # It died before it could end: neither the final mark nor some of what came before was written.
            log.cut(max(0, len(log.records) - cuts[turn]))
            while log.records and isinstance(log.records[-1], TimeMark) and log.records[-1].final:
                log.cut(len(log.records) - 1)
            number = max(number, stop + 1 + away[turn])
            number = min(number, FIRST + COUNT)
    trades = [record for record in log.records if isinstance(record, Trade)]
    ids = [int(trade.trade_id) for trade in trades]
    assert sorted(ids) == list(range(min(ids), FIRST + COUNT + 1)), "each once, from the first to the last"
    gaps = [gap for gap in log.records if isinstance(gap, Gap)]
    assert not [gap for gap in gaps if gap.status == "given_up"]
    marked, begun = 0, trades[0].event_time
    for record in log.records:
        if isinstance(record, TimeMark):
            marked = record.time
        elif isinstance(record, Trade):
            # Trades of one moment may stand on both sides of a mark; what came just before the first trade
            # that a feed has seen is found by REST.
            assert record.event_time >= marked - 1_000 * STEP_MS or record.event_time == begun
