"""From frames to what is published, in order: everything a producer decides, and nothing that it does.

A feed takes frames and the times at which they came, and returns outputs: market records, gaps before the
trade that revealed them, time marks after the records that they cover, refusals. The session carries
them to Kafka.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from producers.continuity import Continuity, Missing, Position
from producers.exchange import BadRecord, Control, Exchange, MarketRecord
from producers.marks import MarkClock
from schemas.records import Gap, Micros, Quote, TimeMark, Trade

AHEAD_LIMIT_US: Final = 300_000_000
"""An event time further ahead of its own feed is not believed unless what follows agrees with it."""


class Refusal(msgspec.Struct, frozen=True):
    """A frame of which nothing is used.

    Attributes:
        error: The rule that it breaks.
        frame: The frame as received.
        is_quote: Whether it is known to hold a quote; else it counts as a trade's.
    """

    error: BadRecord
    frame: bytes
    is_quote: bool = False


class Repeat(msgspec.Struct, frozen=True):
    """A record that the log already holds."""

    record: MarketRecord


Output: TypeAlias = Trade | Quote | Gap | TimeMark | Refusal | Repeat | Control


class Resumed(msgspec.Struct, frozen=True):
    """Where the log stood when a feed begins.

    Attributes:
        trades: Position of each symbol in the topic of trades.
        quotes: The same for quotes.
        newest_mark: Time of the source's newest mark, µs.
    """

    trades: Mapping[str, Position] = {}
    quotes: Mapping[str, Position] = {}
    newest_mark: Micros | None = None


class Feed:
    """One shard of a venue. Pure: times are given to it.

    Args:
        exchange: The venue, set up for the symbols of this shard.
        source: Stable name of the shard, in marks and gaps.
        instance: Id of this run, in marks.
        idle_marks: Whether marks go on while a live feed is silent.
        resumed: Where the log stood.
    """

    def __init__(
        self,
        exchange: Exchange,
        source: str,
        instance: str,
        idle_marks: bool,
        resumed: Resumed | None = None,
    ) -> None:
        resumed = resumed or Resumed()
        self._exchange = exchange
        self._source = source
        self._instance = instance
        self._trades = Continuity(resumed.trades)
        self._quotes = {symbol: position.sequence for symbol, position in resumed.quotes.items()}
        self._marks = MarkClock(idle_marks, resumed.newest_mark)
        self._held: tuple[MarketRecord, bytes] | None = None

    @property
    def positions(self) -> tuple[dict[str, Position], dict[str, Position]]:
        """Copies of where trades and quotes stand now, by symbol."""
        trades = {
            symbol: Position(position.sequence, position.event_time)
            for symbol, position in self._trades.positions.items()
        }
        return trades, {symbol: Position(sequence, 0) for symbol, sequence in self._quotes.items()}

    def take(self, frame: bytes, receive_time: Micros, at_s: float, out: list[Output]) -> None:
        """Append the outputs of one frame to `out`.

        Args:
            frame: As received.
            receive_time: When it left the socket, µs.
            at_s: The same by the monotonic clock, s.
            out: Takes the outputs, in the order in which they must be published.
        """
        try:
            records = self._exchange.parse(frame, receive_time)
        except BadRecord as error:
            out.append(Refusal(error, frame, self._is_quote(frame)))
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

    def silent(self, answered_s: float) -> TimeMark | None:
        """The mark that is due while nothing comes; see `MarkClock.silent`."""
        time = self._marks.silent(answered_s)
        return None if time is None else self._mark(time)

    def end(self, out: list[Output]) -> None:
        """Append the last outputs to `out`: the feed has ended, or is stopped cleanly."""
        if self._held is not None:
            out.append(self._refused_ahead(*self._held))
            self._held = None
        out.append(self._mark(self._marks.final(), final=True))

    def _pass(self, record: MarketRecord, at_s: float, out: list[Output]) -> None:
        verdict = self._trades.admit(record) if isinstance(record, Trade) else self._is_new(record)
        time = record.event_time
        if time is not None:
            self._marks.observe(time, record.receive_time, at_s)
        if verdict is False:
            out.append(Repeat(record))
            return
        if verdict is not True:
            out.append(self._gap(record.symbol, verdict))
        out.append(record)
        if time is not None:
            due = self._marks.delivered(time)
            if due is not None:
                out.append(self._mark(due))

    def _is_new(self, quote: Quote) -> bool:
        if quote.sequence is None:
            return True
        if quote.sequence <= self._quotes.get(quote.symbol, -1):
            return False
        self._quotes[quote.symbol] = quote.sequence
        return True

    def _is_ahead(self, time: Micros, at_s: float) -> bool:
        reached = self._marks.now_us(at_s)
        return reached is not None and time > reached + AHEAD_LIMIT_US

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
        newest = self._marks.newest_us
        error = BadRecord(
            "ahead",
            f"event time {record.event_time} is more than 5 minutes ahead of its feed, which is at {newest}",
        )
        return Refusal(error, frame, isinstance(record, Quote))

    def _gap(self, symbol: str, missing: Missing) -> Gap:
        return Gap(
            venue=self._exchange.venue,
            symbol=symbol,
            source=self._source,
            status="given_up",
            first_sequence=missing.first,
            last_sequence=missing.last,
            from_time=missing.from_time,
            to_time=missing.to_time,
            reason=missing.reason,
        )

    def _mark(self, time: Micros, final: bool = False) -> TimeMark:
        return TimeMark(self._exchange.venue, self._source, time, final, self._instance)

    def _is_quote(self, frame: bytes) -> bool:
        stream = self._exchange.stream_of(frame)
        found = self._exchange.channel_of(stream) if stream else None
        return found is not None and found[0] == "quotes"
