"""What a capture holds: venue, symbols, and the span of their trades."""

from dataclasses import dataclass, field
from pathlib import Path

from producers.capture.file import CaptureError, CaptureReader
from producers.exchange import BadRecord, Channel, Exchange
from schemas.records import Trade


@dataclass(slots=True)
class SymbolSummary:
    """What a capture holds of one symbol.

    Attributes:
        symbol: Unified symbol.
        venue_symbol: The venue's own.
        streams: Frames by the name of the stream, after its symbol (`trade`, `bookTicker` ...).
        trades: Trades of the stream that a feed uses: single ones where there are any, else aggregated.
        aggregated: Whether those are aggregated trades.
        first_time, last_time: Lowest and highest event time of these trades, µs; None without trades.
        first_id, last_id: Lowest and highest sequence of them.
    """

    symbol: str
    venue_symbol: str
    streams: dict[str, int] = field(default_factory=dict)
    trades: int = 0
    aggregated: bool = False
    first_time: int | None = None
    last_time: int | None = None
    first_id: int | None = None
    last_id: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a capture holds: enough to set up a feed of it.

    Attributes:
        path: The file.
        venue: Name of the venue.
        market: Kind of market.
        symbols: By unified symbol, in order of first appearance; those with trades or quotes.
        rejected: Frames of trades that break a rule of the edge.
        first_receive_ns, last_receive_ns: Span of arrival.
    """

    path: Path
    venue: str
    market: str
    symbols: dict[str, SymbolSummary]
    rejected: int
    first_receive_ns: int
    last_receive_ns: int

    @property
    def aggregated_symbols(self) -> list[str]:
        """Symbols that have only aggregated trades."""
        return [name for name, summary in self.symbols.items() if summary.aggregated]

    @property
    def first_time(self) -> int | None:
        """Lowest event time of any trade, µs."""
        return min((s.first_time for s in self.symbols.values() if s.first_time is not None), default=None)

    @property
    def last_time(self) -> int | None:
        """Highest event time of any trade, µs."""
        return max((s.last_time for s in self.symbols.values() if s.last_time is not None), default=None)


def summarize(path: Path) -> Summary:
    """Read a capture once and say what it holds.

    Raises:
        CaptureError: It cannot be read to its end, its venue is not supported, or nothing in it can be fed.
    """
    reader = CaptureReader(path)
    exchange = reader.exchange()
    survey = _Survey(exchange)
    first_ns = last_ns = 0
    for entry in reader:
        first_ns = first_ns or entry.receive_ns
        last_ns = entry.receive_ns
        rest = entry.rest
        if rest is None:
            survey.count(entry.frame)
        elif exchange.instruments_path in rest.url:
            survey.learn(bytes(rest.body))
    symbols = survey.symbols()
    if not symbols:
        raise CaptureError(f"{path} holds no trades and no quotes of {reader.venue} {reader.market}")
    return Summary(path, reader.venue, reader.market, symbols, survey.rejected, first_ns, last_ns)


class _Survey:
    """Counts the frames of a capture by symbol and channel.

    The ids of single and of aggregated trades are kept apart, since only one of the two is fed.
    """

    def __init__(self, exchange: type[Exchange]) -> None:
        self._exchange = exchange
        self._listed: dict[str, str] = {}
        self._found: dict[str, tuple[SymbolSummary, dict[Channel, SymbolSummary]]] = {}
        self._parsers: dict[str, Exchange] = {}
        self.rejected = 0

    def learn(self, body: bytes) -> None:
        """Take the unified symbols of an instrument list that was recorded."""
        try:
            listed = self._exchange.instruments(body)
        except BadRecord:
            return
        self._listed.update({venue_symbol: unified for unified, venue_symbol in listed.items()})

    def count(self, frame: bytes) -> None:
        """Take one WebSocket frame."""
        stream = self._exchange.stream_of(frame)
        found = self._exchange.channel_of(stream) if stream is not None else None
        if stream is None or found is None:
            return
        channel, venue_symbol = found
        known = self._found.get(venue_symbol)
        if known is None:
            summary = SymbolSummary(venue_symbol, venue_symbol)
            known = self._found[venue_symbol] = (summary, {})
        counts = known[0].streams
        suffix = stream.partition("@")[2]
        counts[suffix] = counts.get(suffix, 0) + 1
        if channel != "quotes":
            self._measure(known[1].setdefault(channel, SymbolSummary("", venue_symbol)), channel, frame)

    def _measure(self, span: SymbolSummary, channel: Channel, frame: bytes) -> None:
        parser = self._parsers.get(span.venue_symbol + channel)
        if parser is None:
            aggregated = [span.venue_symbol] if channel == "aggregated_trades" else []
            parser = self._exchange({span.venue_symbol: span.venue_symbol}, aggregated)
            self._parsers[span.venue_symbol + channel] = parser
        try:
            records = parser.parse(frame, 0)
        except BadRecord:
            self.rejected += 1
            return
        for trade in records:
            if not isinstance(trade, Trade):
                continue
            time, sequence = trade.event_time, trade.sequence
            span.trades += 1
            span.first_time = time if span.first_time is None else min(span.first_time, time)
            span.last_time = time if span.last_time is None else max(span.last_time, time)
            if sequence is not None:
                span.first_id = sequence if span.first_id is None else min(span.first_id, sequence)
                span.last_id = sequence if span.last_id is None else max(span.last_id, sequence)

    def symbols(self) -> dict[str, SymbolSummary]:
        """The symbols found, by unified name.

        Raises:
            CaptureError: The unified name of one cannot be told.
        """
        found: dict[str, SymbolSummary] = {}
        for venue_symbol, (summary, spans) in self._found.items():
            unified = self._listed.get(venue_symbol) or self._exchange.unified_symbol(venue_symbol)
            if unified is None:
                raise CaptureError(
                    f"the unified name of {venue_symbol} cannot be told: the capture has no instrument list "
                    "and the symbol ends with no quote asset that is known"
                )
            chosen = spans.get("trades") or spans.get("aggregated_trades") or summary
            chosen.symbol, chosen.streams = unified, summary.streams
            chosen.aggregated = chosen is spans.get("aggregated_trades")
            found[unified] = chosen
        return found
