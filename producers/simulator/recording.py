"""A capture as the past of a simulated market: what was recorded, and the venue that tells of it."""

from collections.abc import Collection, Iterator
from pathlib import Path

from producers.capture import CaptureError, CaptureReader, Entry, summarize
from producers.simulator.venue import SimulatedVenue, venue_class
from schemas.errors import ConfigurationError


class Recording:
    """A capture, with the symbols of it that are wanted; iterate for its entries, as often as needed.

    Args:
        path: The capture.
        symbols: Unified symbols that are wanted; all of the capture by default.

    Attributes:
        summary: What the capture holds.
        symbols: Unified symbols that are wanted, with the venue's own.
        venue: The venue before the first entry. From the beginning it knows the instrument list and the
            first book of each symbol: before that the book is not known, and a client that asks for it waits
            for the updates that follow it.

    Raises:
        CaptureError: The capture cannot be read to its end, has none of the symbols, or its venue cannot be
            simulated.
    """

    def __init__(self, path: Path, symbols: Collection[str] | None = None) -> None:
        self._reader = CaptureReader(path)
        self.summary = summarize(path)
        unknown = sorted(set(symbols or ()) - set(self.summary.symbols))
        if unknown:
            has = ", ".join(self.summary.symbols)
            raise CaptureError(f"{path} has no {', '.join(unknown)}; it has {has}")
        self.symbols = {
            name: summary.venue_symbol
            for name, summary in self.summary.symbols.items()
            if symbols is None or name in symbols
        }
        try:
            self.venue = venue_class(self._reader.venue, self._reader.market)(self.symbols)
        except ConfigurationError as error:
            raise CaptureError(f"{path}: {error}") from None
        self._foresee(self.venue)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._reader)

    def _foresee(self, venue: SimulatedVenue) -> None:
        known: set[str] = set()
        for entry in self._reader:
            rest = entry.rest
            if rest is not None and rest.url not in known:
                known.add(rest.url)
                venue.learn(rest.url, bytes(rest.body))
