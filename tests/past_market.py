"""A simulated market that has happened already: REST knows all of it from the beginning."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from producers.capture import CaptureReader, summarize
from producers.simulator.faults import parse_fault
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import venue_class
from tests.venue_captures import write_market


class PastMarket:
    """A `Market` for `SimulatorServer`, of the whole capture.

    Args:
        path: A capture.
    """

    def __init__(self, path: Path) -> None:
        reader = CaptureReader(path)
        symbols = {name: found.venue_symbol for name, found in summarize(path).symbols.items()}
        self.venue = venue_class(reader.venue, reader.market)(symbols)
        self._now_ns = 0
        for entry in reader:
            self._now_ns = entry.receive_ns
            if entry.rest is not None:
                self.venue.learn(entry.rest.url, bytes(entry.rest.body))
                continue
            found = self.venue.split(entry.frame, entry.binary)
            if found is not None:
                self.venue.observe(*found)

    def now_ms(self) -> int:
        """The end of the capture, ms since the epoch."""
        return self._now_ns // 1_000_000

    def changed(self) -> None:
        """Nobody waits for subscriptions."""

    def asked(self) -> None:
        """Nobody waits for requests."""


@contextlib.asynccontextmanager
async def past_market(
    folder: Path, venue: str, market: str, *faults: str, seconds: float = 200.0
) -> AsyncIterator[SimulatorServer]:
    """The server of a venue's market, of which `seconds` have happened."""
    path = write_market(folder / f"{venue}-{market}.capture.gz", venue, market, seconds, rate=2.0)
    server = SimulatorServer(PastMarket(path), 0, [parse_fault(text) for text in faults])
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
