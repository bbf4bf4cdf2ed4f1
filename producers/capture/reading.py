"""A capture as normalized records, in order, with what there is to say about it afterwards.

A capture is read twice: first for its instrument lists and the names of its streams, so that a symbol has its
name and its contract size from the first frame on, then for the records. Nothing grows with its length.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from producers.books import BookBreak, BookChain
from producers.capture.file import CaptureError, CaptureReader, Entry, RestAnswer
from producers.capture.survey import Survey, survey
from producers.capture.tallies import BookCheck, TradeIds
from producers.exchange import CHANNELS, BadRecord, Channel, Control, Exchange, MarketRecord, OffBookTrade
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Liquidation,
    Quote,
    Ticker,
    Trade,
)

NAMES: Final[dict[type[MarketRecord], str]] = {
    Trade: "trade",
    Quote: "quote",
    BookUpdate: "book",
    Ticker: "ticker",
    ExchangeCandle: "candle",
    DerivativeTicker: "derivative",
    Liquidation: "liquidation",
}
"""What a record is called in counts and lines."""

TYPES: Final[dict[Channel, type[MarketRecord]]] = {
    "trades": Trade,
    "aggregated_trades": Trade,
    "quotes": Quote,
    "books": BookUpdate,
    "tickers": Ticker,
    "candles": ExchangeCandle,
    "derivatives": DerivativeTicker,
    "liquidations": Liquidation,
}


@dataclass(slots=True)
class Tally:
    """What was found in a capture.

    Attributes:
        counts: Records by type: trades without repeats; of books the snapshots taken and the deltas after
            them.
        frames: WebSocket frames by channel; `control`: answers and notices of the venue; `other`: what is not
            read; and `rest`: REST answers.
        rejected: Frames, answers and lines that were refused, by reason.
        repeats: Trades whose id had been before.
        resyncs: Books that were built anew after a break.
        breaks: Why books broke.
        unused: Book updates that no snapshot covers.
        unknown: Venue symbols whose unified name cannot be told, with the number of their frames.
    """

    counts: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    resyncs: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    unused: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    ids: dict[str, TradeIds] = field(default_factory=dict)
    checks: dict[str, BookCheck] = field(default_factory=dict)

    @property
    def gaps(self) -> int:
        """Runs of trade ids that are missing, and breaks in the numbers of books."""
        return sum(ids.holes for ids in self.ids.values()) + self.breaks["gap"]

    def as_dict(self) -> dict[str, Any]:
        """All of it, with 0 for record types that do not occur."""
        checks = self.checks.values()
        return {
            "counts": {name: self.counts[name] for name in NAMES.values()},
            "gaps": self.gaps,
            "resyncs": self.resyncs,
            "rejected": self.rejected.total(),
            "rejected_reasons": dict(self.rejected),
            "repeats": self.repeats,
            "book_checks": sum(check.checks for check in checks),
            "book_mismatches": sum(check.mismatches for check in checks),
            "book_breaks": dict(self.breaks),
            "book_unused": self.unused,
            "frames": dict(self.frames),
        }


class CaptureReading:
    """Reads a capture; iterate once for its records, then see `tally`.

    Trades of a symbol come from its single ones where there are any, else from the aggregated ones: their ids
    are of two kinds. A ticker that names bid and ask counts as a quote too, one without sizes, if its symbol
    has no stream of quotes. Of books, what `producers.books` gives out is read: snapshots, and the deltas
    after them. Of a reading of some channels the tally knows only those.

    Args:
        reader: The capture.
        exchange: The venue's market.
        channels: What is read.
        found: What `survey` found in the capture; it is asked if this is not given.

    Raises:
        CaptureError: The file is cut or damaged; everything before was given.
    """

    def __init__(
        self,
        reader: CaptureReader,
        exchange: type[Exchange],
        channels: Collection[Channel] = CHANNELS,
        found: Survey | None = None,
    ) -> None:
        self.tally = Tally()
        self.survey = survey(reader, exchange) if found is None else found
        self._reader = reader
        self._types = frozenset(TYPES[channel] for channel in channels)
        self._chains: dict[str, BookChain] = {}
        self._broken: set[str] = set()
        self._kinds: dict[str, tuple[str, str]] = {}
        self._unquoted: set[str] = set()
        """Symbols whose quotes are those in their tickers."""
        self.exchange = self._set_up(exchange, set(channels))

    def _set_up(self, exchange: type[Exchange], channels: set[Channel]) -> Exchange:
        instruments, aggregated = [], []
        for venue_symbol, found in self.survey.streams.items():
            instrument = self.survey.listed.get(venue_symbol) or exchange.guess(venue_symbol)
            if instrument is None:
                self.tally.unknown[venue_symbol] = 0
                continue
            instruments.append(instrument)
            if "aggregated_trades" in found and ("trades" not in found or "trades" not in channels):
                aggregated.append(instrument.symbol)
            if "quotes" in channels and "quotes" not in found:
                self._unquoted.add(instrument.symbol)
        if self._unquoted:
            channels.add("tickers")
        return exchange(instruments, channels, aggregated)

    def __iter__(self) -> Iterator[MarketRecord]:
        """The records in order of arrival; deltas of a book come after the snapshot they are added to."""
        try:
            for entry in self._reader.entries(self._refuse):
                yield from self._take(entry)
        finally:
            for check in self.tally.checks.values():
                check.end()

    def _refuse(self, error: CaptureError) -> None:
        self.tally.rejected["line"] += 1

    def _take(self, entry: Entry) -> Iterator[MarketRecord]:
        tally, receive_time = self.tally, entry.receive_ns // 1_000
        try:
            answer = entry.rest
        except CaptureError:
            tally.rejected["rest"] += 1
            return
        kind = "rest"
        if answer is None:
            kind, venue_symbol = self._kind(entry.frame)
            if venue_symbol in tally.unknown:
                tally.frames[kind] += 1
                tally.rejected["symbol"] += 1
                tally.unknown[venue_symbol] += 1
                return
        try:
            if answer is None:
                records = self.exchange.parse(entry.frame, receive_time)
            else:
                records = self._answer(answer, receive_time)
        except BadRecord as error:
            tally.rejected[error.reason] += 1
            records = ()
        for record in records:
            if isinstance(record, Control):
                kind = "control"
            else:
                yield from self._admit(record)
        tally.frames[kind] += 1

    def _kind(self, frame: bytes) -> tuple[str, str]:
        """Channel and venue symbol of a frame."""
        stream = self.exchange.stream_of(frame)
        if stream is None:
            return "other", ""
        known = self._kinds.get(stream)
        if known is None:
            known = self._kinds[stream] = self.exchange.channel_of(stream) or ("other", "")
        return known

    def _answer(self, answer: RestAnswer, receive_time: int) -> list[MarketRecord]:
        exchange, body = self.exchange, bytes(answer.body)
        call = exchange.call_of(answer.url)
        if call is None:
            return []
        if call.kind == "instruments":
            exchange.read_instruments(body, receive_time)
            return []
        if call.symbol and call.symbol not in exchange.instruments:
            venue_symbol = exchange.venue_symbol(call.symbol)
            instrument = self.survey.listed.get(venue_symbol) or exchange.guess(venue_symbol)
            if instrument is not None:
                exchange.admit(instrument)
                call = exchange.call_of(answer.url) or call
        return exchange.read(call, body, receive_time)

    def _admit(self, record: MarketRecord) -> Iterator[MarketRecord]:
        if isinstance(record, Ticker) and record.symbol in self._unquoted:
            quote = _quote_in(record)
            if quote is not None:
                self.tally.counts["quote"] += 1
                yield quote
        if isinstance(record, OffBookTrade):
            if record.sequence is not None and self.exchange.dense_trades:
                self.tally.ids.setdefault(record.symbol, TradeIds()).add(record.sequence)
            return
        if type(record) not in self._types:
            return
        if isinstance(record, BookUpdate):
            yield from self._follow(record)
            return
        if isinstance(record, Quote):
            check = self.tally.checks.get(record.symbol)
            if check is not None:
                check.on_quote(record)
        elif isinstance(record, Trade) and record.sequence is not None and self.exchange.dense_trades:
            ids = self.tally.ids.setdefault(record.symbol, TradeIds())
            if not ids.add(record.sequence):
                self.tally.repeats += 1
                return
        self.tally.counts[NAMES[type(record)]] += 1
        yield record

    def _follow(self, update: BookUpdate) -> Iterator[BookUpdate]:
        symbol, tally = update.symbol, self.tally
        chain = self._chains.get(symbol)
        if chain is None:
            chain = self._chains[symbol] = BookChain(update.venue, symbol)
            tally.checks[symbol] = BookCheck()
        out: list[BookUpdate | BookBreak] = []
        tally.unused += update.kind == "delta"
        chain.take(update, out)
        check = tally.checks[symbol]
        for item in out:
            if isinstance(item, BookBreak):
                tally.breaks[item.reason] += 1
                self._broken.add(symbol)
                continue
            if item.kind == "delta":
                tally.unused -= 1
            elif symbol in self._broken:
                self._broken.discard(symbol)
                tally.resyncs += 1
            tally.counts["book"] += 1
            # Of several updates given out at once only the last one has the state of the book.
            if item is out[-1]:
                check.on_book(item, chain.book)
            yield item


def _quote_in(ticker: Ticker) -> Quote | None:
    """The best bid and ask of a ticker, whose sizes are not known."""
    if ticker.bid is None or ticker.ask is None:
        return None
    return Quote(
        ticker.venue,
        ticker.symbol,
        ticker.bid,
        0.0,
        ticker.ask,
        0.0,
        sequence=None,
        event_time=ticker.event_time,
        receive_time=ticker.receive_time,
    )
