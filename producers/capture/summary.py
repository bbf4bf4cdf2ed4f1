"""What a capture holds: venue, symbols, and the span of their trades."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from producers.capture.file import CaptureError, CaptureReader
from producers.capture.reading import CaptureReading
from producers.capture.survey import survey
from producers.exchange import Channel
from schemas.records import Trade


@dataclass(slots=True)
class SymbolSummary:
    """What a capture holds of one symbol.

    Attributes:
        symbol: Unified symbol.
        venue_symbol: The venue's own.
        streams: Frames by channel.
        trades: Trades of the stream that a feed uses: single ones where there are any, else aggregated.
        aggregated: Whether those are aggregated trades.
        first_time, last_time: Lowest and highest event time of these trades, µs; None without trades.
        first_id, last_id: Lowest and highest sequence of them.
    """

    symbol: str
    venue_symbol: str
    streams: Mapping[Channel, int] = field(default_factory=dict)
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
        symbols: By unified symbol, in order of first appearance; those with a stream that is read.
        rejected: Frames that are not of the venue's form, or trades that break a rule of the edge.
        first_receive_ns, last_receive_ns: Span of arrival.
        unknown: Symbols of the venue whose unified name cannot be told: no instrument list in the capture
            names them, and they end with no asset that is known.
    """

    path: Path
    venue: str
    market: str
    symbols: dict[str, SymbolSummary]
    rejected: int
    first_receive_ns: int
    last_receive_ns: int
    unknown: tuple[str, ...] = ()

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
    """Say what a capture holds.

    Raises:
        CaptureError: It cannot be read to its end, its venue is not supported, or nothing in it can be fed.
    """
    reader = CaptureReader(path)
    exchange = reader.exchange()
    found = survey(reader, exchange, strict=True)
    reading = CaptureReading(reader, exchange, ("trades", "aggregated_trades"), found)
    known = reading.exchange
    symbols = {
        instrument.symbol: SymbolSummary(
            instrument.symbol, name, found.streams[name], aggregated=instrument.symbol in known.aggregated
        )
        for name, instrument in known.by_name.items()
    }
    for record in reading:
        if isinstance(record, Trade) and not record.backfilled:
            _extend(symbols[record.symbol], record)
    unknown = tuple(reading.tally.unknown)
    if not symbols:
        names = f"; the names of {', '.join(unknown)} cannot be told" if unknown else ""
        raise CaptureError(f"{path} holds no market data of {reader.venue} {reader.market}{names}")
    rejected = reading.tally.rejected.total()
    return Summary(
        path, reader.venue, reader.market, symbols, rejected, found.first_ns, found.last_ns, unknown
    )


def _extend(span: SymbolSummary, trade: Trade) -> None:
    time, sequence = trade.event_time, trade.sequence
    span.trades += 1
    span.first_time = time if span.first_time is None else min(span.first_time, time)
    span.last_time = time if span.last_time is None else max(span.last_time, time)
    if sequence is not None:
        span.first_id = sequence if span.first_id is None else min(span.first_id, sequence)
        span.last_id = sequence if span.last_id is None else max(span.last_id, sequence)
