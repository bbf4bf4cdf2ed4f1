"""From frames to what is published, in order: everything a producer decides, and nothing that it does.

A feed takes frames and the times at which they came, and returns outputs: market records, gaps, time marks
after the records that they cover, refusals, and what to ask the venue's REST interface. The session carries
them out.
"""

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from producers.backfill import Backfill
from producers.continuity import BETWEEN_RUNS, Continuity, Position
from producers.exchange import (
    BadRecord,
    Call,
    CallKind,
    Channel,
    Control,
    Exchange,
    MarketRecord,
    OffBookTrade,
    Poll,
    Stream,
)
from producers.feed_books import FeedBooks
from producers.freshness import Freshness
from producers.marks import MarkClock
from producers.outputs import Ask, BookGap, Output, Refusal, Repeat
from producers.resumed import Resumed
from schemas.records import BookUpdate, Micros, TimeMark, Trade

AHEAD_LIMIT_US: Final = 300_000_000
"""An event time further ahead of its own feed is not believed unless what follows agrees with it."""

TRADE_CHANNELS: Final[frozenset[Channel]] = frozenset({"trades", "aggregated_trades"})
DISCONNECTED: Final = "disconnected"
REMOVED: Final = "the symbol was not wanted"
CALL_CHANNELS: Final[dict[CallKind, Channel]] = {
    "book": "books",
    "candles": "candles",
    "ticker": "tickers",
    "derivatives": "derivatives",
}
POLLS_EVERY_S: Final = 10.0
"""How often it is looked at which symbols are to be polled."""


class Patience(msgspec.Struct, frozen=True):
    """How long marks wait for trades that are missing.

    Attributes:
        gap_s: For a gap that arises while the feed runs, s.
        restart_s: For what was missed while no producer ran, s.
    """

    gap_s: float = 30.0
    restart_s: float = 300.0


class Feed:
    """One shard of a venue. Pure: times are given to it.

    Args:
        exchange: The venue, set up for the symbols of this shard.
        source: Stable name of the shard, in marks and gaps.
        instance: Id of this run, in marks.
        idle_marks: Whether marks go on while a live feed is silent.
        resumed: Where the log stood.
        patience: How long marks wait for what is missing.
    """

    def __init__(
        self,
        exchange: Exchange,
        source: str,
        instance: str,
        idle_marks: bool,
        resumed: Resumed | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._resumed = resumed = resumed or Resumed()
        self._patience = patience or Patience()
        self.exchange = exchange
        self._source = source
        self._instance = instance
        self._trades = Continuity(
            resumed.trades,
            [
                (hole.gap.symbol, hole.gap.first_sequence, hole.gap.last_sequence, hole.found)
                for hole in resumed.holes
                if hole.gap.first_sequence is not None and hole.gap.last_sequence is not None
            ],
            resumed.delivered,
        )
        self._backfill = Backfill(exchange, source, self._patience.gap_s)
        self._books = FeedBooks(exchange, source)
        self._freshness = Freshness(
            {name: where.sequence for name, where in resumed.quotes.items() if where.sequence is not None}
        )
        self._marks = MarkClock(idle_marks, resumed.newest_mark)
        self._held: tuple[MarketRecord, bytes] | None = None
        self._reached_us: Micros | None = None
        self._marked_by_trades = not TRADE_CHANNELS.isdisjoint(exchange.channels)
        self._dark = dict.fromkeys(resumed.trades, BETWEEN_RUNS)
        """Symbols whose trades nobody delivers, and why."""
        self._withholds = False
        """Whether trades were delivered that no mark covers, since some were missing."""
        self._has_begun = False
        self._polls: list[Poll] = []
        self._polls_made_s = -math.inf
        self._polled_s: dict[str, float] = {}

    @property
    def positions(self) -> tuple[dict[str, Position], dict[str, Position]]:
        """Copies of where trades and quotes stand now, by symbol."""
        trades = {
            symbol: Position(position.sequence, position.event_time)
            for symbol, position in self._trades.positions.items()
        }
        return trades, {symbol: Position(last, 0) for symbol, last in self._freshness.quotes.items()}

    @property
    def is_waiting(self) -> bool:
        """Whether trades are missing that may still come: the marks wait, and so should the end of a feed."""
        return self._backfill.is_open

    @property
    def open_gaps(self) -> int:
        """Ranges of trades that are known to be missing and may still come."""
        return self._backfill.announced

    @property
    def newest_us(self) -> Micros | None:
        """Newest event time of any record, µs."""
        return self._reached_us

    def take(self, frame: bytes, receive_time: Micros, at_s: float, out: list[Output]) -> None:
        """Append the outputs of one frame to `out`.

        Args:
            frame: As received.
            receive_time: When it left the socket, µs.
            at_s: The same by the monotonic clock, s.
            out: Takes the outputs, in the order in which they must be published.
        """
        try:
            records = self.exchange.parse(frame, receive_time)
        except BadRecord as error:
            channel = self._channel_of(frame)
            out.append(Refusal(error, frame, channel))
            if channel in TRADE_CHANNELS:
                self._doubt(self._trades.positions, "a frame was refused", at_s)
            return
        for record in records:
            if isinstance(record, Control):
                out.append(record)
                continue
            time = record.event_time
            if time is not None and (self._held is not None or self._is_ahead(time, at_s)):
                self._weigh(record, frame, at_s, out)
            else:
                self._pass(record, at_s, out)

    def answer(
        self, call: Call, body: bytes | None, receive_time: Micros, at_s: float, out: list[Output]
    ) -> None:
        """Append the outputs of a REST answer to `out`.

        Args:
            call: What was asked.
            body: The answer; None if there will be none.
            receive_time: When it came, µs.
            at_s: The same by the monotonic clock, s.
            out: Takes the outputs.
        """
        records: list[MarketRecord] | None = None
        if body is not None:
            try:
                records = self.exchange.read(call, body, receive_time)
            except BadRecord as error:
                out.append(Refusal(error, body, CALL_CHANNELS.get(call.kind, "trades")))
        if call.kind == "trades":
            self._take_page(call, records, at_s, out)
        elif records is None:
            if call.kind == "book":
                self._books.failed(call.symbol, at_s)
        else:
            for record in records:
                self._pass(record, at_s, out)
        self._release(out)

    def interrupted(self, streams: Iterable[Stream], at_s: float, out: list[Output]) -> None:
        """Nobody delivers these streams any more: marks wait, books are stale."""
        for stream in streams:
            if stream.channel in TRADE_CHANNELS:
                self._dark[stream.symbol] = DISCONNECTED
                position = self._trades.positions.get(stream.symbol)
                if position is not None:
                    self._backfill.suspect(stream.symbol, position, self._patience.gap_s, DISCONNECTED, at_s)
            elif stream.channel == "books":
                self._books.interrupted(stream.symbol, DISCONNECTED, out)

    def connected(self, streams: Iterable[Stream], at_s: float, out: list[Output]) -> None:
        """These streams are delivered from now on; what came before is asked for."""
        self._begin(at_s)
        for stream in streams:
            if stream.channel not in TRADE_CHANNELS:
                continue
            reason = self._dark.pop(stream.symbol, None)
            position = self._trades.positions.get(stream.symbol)
            if reason is not None and position is not None:
                hold_s = self._patience.restart_s if reason == BETWEEN_RUNS else self._patience.gap_s
                self._backfill.catch_up(stream.symbol, position, hold_s, reason, at_s)
        self.tick(at_s, None, out)

    def drop(self, symbol: str) -> None:
        """A symbol is fed no longer: nothing of it is waited for.

        Where it stands is kept: if it is fed again, what was missed is asked for, or told.
        """
        self._backfill.forget(symbol)
        self._books.drop(symbol)
        if symbol in self._trades.positions:
            self._dark[symbol] = REMOVED

    def tick(self, at_s: float, answered_s: float | None, out: list[Output]) -> None:
        """Append what is due by the time; call about ten times a second.

        Args:
            at_s: Monotonic time, s.
            answered_s: When all connections had last been heard of, pongs included, by the monotonic clock;
                None while any is down, or its subscriptions are not accepted.
            out: Takes the outputs.
        """
        self._begin(at_s)
        if self._backfill.is_open:
            self._backfill.tick(at_s, out)
            self._release(out)
        self._books.tick(at_s, out)
        self._poll(at_s, out)
        if answered_s is not None and not self._backfill.is_open:
            time = self._marks.silent(answered_s)
            if time is not None:
                out.append(self._mark(time))

    def end(self, out: list[Output]) -> None:
        """Append the last outputs to `out`: the feed has ended, or is stopped cleanly."""
        self._backfill.give_up(out)
        if self._held is not None:
            out.append(self._refused_ahead(*self._held))
            self._held = None
        out.append(self._mark(self._marks.final(), final=True))

    def _begin(self, at_s: float) -> None:
        """Hold the marks from the first moment until what was missed between runs has been asked for."""
        if self._has_begun:
            return
        self._has_begun = True
        fed, patience_s = self.exchange.instruments, self._patience.restart_s
        for symbol, position in self._trades.positions.items():
            if symbol in fed and symbol in self._dark:
                self._backfill.suspect(symbol, position, patience_s, BETWEEN_RUNS, at_s)
        for hole in self._resumed.holes:
            hold_s = patience_s if hole.gap.symbol in fed else 0.0
            self._backfill.reopen(hole.gap, hole.found, hold_s, at_s)

    def _pass(self, record: MarketRecord, at_s: float, out: list[Output]) -> None:
        time = record.event_time
        if time is not None and (self._reached_us is None or time > self._reached_us):
            self._reached_us = time
        if isinstance(record, Trade):
            self._pass_trade(record, at_s, out)
            return
        if time is not None and not self._marked_by_trades:
            self._marks.observe(time, record.receive_time, at_s)
        if isinstance(record, BookUpdate):
            before = len(out)
            self._books.take(record, at_s, out)
            if any(isinstance(said, BookGap) and said.gap.status == "opened" for said in out[before:]):
                self._doubt([record.symbol], "the book has a gap", at_s)
        elif self._freshness.is_new(record):
            out.append(record)
        else:
            out.append(Repeat(record))
        if time is not None and not self._marked_by_trades:
            due = self._marks.delivered(time)
            if due is not None:
                out.append(self._mark(due))

    def _pass_trade(self, trade: Trade, at_s: float, out: list[Output]) -> None:
        verdict = self._trades.admit(trade)
        time = trade.event_time
        if not trade.backfilled:
            self._marks.observe(time, trade.receive_time, at_s)
        if verdict is False:
            out.append(Repeat(trade))
            return
        if verdict is not True:
            self._backfill.miss(trade.symbol, verdict, at_s, out)
        if not isinstance(trade, OffBookTrade):
            out.append(trade)
        if self._backfill.is_open:
            newest = self._trades.positions[trade.symbol].sequence
            self._backfill.delivered(trade, verdict is True and trade.sequence == newest, out)
            if self._backfill.is_open:
                self._withholds = True
                return
        due = self._marks.delivered(time)
        if due is not None:
            out.append(self._mark(due))

    def _poll(self, at_s: float, out: list[Output]) -> None:
        """Ask for what the venue does not stream."""
        if at_s >= self._polls_made_s + POLLS_EVERY_S:
            self._polls_made_s = at_s
            self._polls = self.exchange.polls()
        for call, every_s in self._polls:
            if at_s >= self._polled_s.get(call.path, -math.inf) + every_s:
                self._polled_s[call.path] = at_s
                out.append(Ask(call))

    def _doubt(self, symbols: Iterable[str], reason: str, at_s: float) -> None:
        """Trades may be missing: those without numbers do not show it themselves, so they are asked for."""
        for symbol in symbols:
            position = self._trades.positions.get(symbol)
            if position is not None and position.sequence is None and symbol not in self._dark:
                self._backfill.catch_up(symbol, position, self._patience.gap_s, reason, at_s)

    def _take_page(
        self, call: Call, records: list[MarketRecord] | None, at_s: float, out: list[Output]
    ) -> None:
        """Deliver trades that were asked for; those after them are left to the stream."""
        if not self._backfill.expects(call):
            return
        if records is None:
            self._backfill.failed(call, out)
            return
        trades = [record for record in records if isinstance(record, Trade)]
        since = self._backfill.since(call)
        # What the stream has delivered since it came back says nothing about what came before.
        overlaps = any(trade.event_time <= since and self._trades.knows(trade) for trade in trades)
        for trade in trades:
            if call.last is None or trade.sequence is None or trade.sequence <= call.last:
                self._pass(trade, at_s, out)
        self._backfill.answered(call, trades, overlaps, at_s, out)

    def _release(self, out: list[Output]) -> None:
        """Write the mark that had to wait, once nothing is missing any more."""
        newest = self._marks.newest_us
        if self._withholds and not self._backfill.is_open and newest is not None:
            self._withholds = False
            due = self._marks.delivered(newest)
            if due is not None:
                out.append(self._mark(due))

    def _is_ahead(self, time: Micros, at_s: float) -> bool:
        times = [time for time in (self._reached_us, self._marks.now_us(at_s)) if time is not None]
        return bool(times) and time > max(times) + AHEAD_LIMIT_US

    def _weigh(self, record: MarketRecord, frame: bytes, at_s: float, out: list[Output]) -> None:
        """Decide on a record that claims a time far ahead by the one that comes after it.

        After a long silence (thin symbols, played back fast) the next record agrees with the time, so it
        stands; a time that is wrong is contradicted.
        """
        time = record.event_time
        assert time is not None
        if self._held is not None:
            held, held_frame = self._held
            self._held = None
            if held.event_time is not None and time < held.event_time - AHEAD_LIMIT_US:
                out.append(self._refused_ahead(held, held_frame))
            else:
                self._pass(held, at_s, out)
        if self._is_ahead(time, at_s):
            self._held = (record, frame)
        else:
            self._pass(record, at_s, out)

    def _refused_ahead(self, record: MarketRecord, frame: bytes) -> Refusal:
        error = BadRecord(
            "ahead",
            f"event time {record.event_time} is more than 5 minutes ahead of its feed, "
            f"which is at {self._reached_us}",
        )
        return Refusal(error, frame, self._channel_of(frame))

    def _mark(self, time: Micros, final: bool = False) -> TimeMark:
        return TimeMark(self.exchange.venue, self._source, time, final, self._instance)

    def _channel_of(self, frame: bytes) -> Channel:
        stream = self.exchange.stream_of(frame)
        found = self.exchange.channel_of(stream) if stream else None
        return "trades" if found is None else found[0]
