"""Where a playback stands still: at a change of a book that its clients can do nothing with yet."""

import asyncio
from typing import Final

from infra.logging import get_logger
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import SimulatedVenue

ASK_WITHIN_S: Final = 3.0
"""A client that needs a book has asked for it so long after the first change that it got, s."""

logger = get_logger(__name__)


class BookHold:
    """Lets a playback wait until a book has been told to those who hear its changes.

    A client asks REST for a book when the first change comes. The sockets between it and a playback hold tens
    of megabytes, often the whole capture: a playback that ran on would answer with the book as it is minutes
    later, and all changes before that would be of no use. It would depend on the speed how much is lost.

    So a playback calls `wait` after each frame. After the first change that a stream's clients get, and after
    the first one behind a fault, it waits until REST, or the stream itself, has told the book. If nobody has
    asked after `ASK_WITHIN_S` seconds the clients want no book; then it never waits again.

    Args:
        venue: Tells the books.
    """

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue
        self._symbols: dict[str, str | None] = {}
        self._followed: set[str] = set()
        """Streams whose clients have a book and every change since."""
        self._news = asyncio.Event()
        self._is_off = not venue.has_books_by_rest

    def wake(self) -> None:
        """REST has answered a request."""
        self._news.set()

    def changed(self, streams: set[str]) -> None:
        """These are the streams that are subscribed now; who comes back to another needs its book anew."""
        self._followed &= streams
        heard = {symbol for stream in streams if (symbol := self._symbol(stream)) is not None}
        self._venue.books_told &= heard
        self._news.set()

    async def wait(self, server: SimulatorServer, stream: str, is_whole: bool) -> bool:
        """Wait if need be, after a frame of a stream was sent; returns whether it did.

        Args:
            server: Knows who is subscribed.
            stream: The key of the stream.
            is_whole: Whether its clients got the frame as it is; else their book has a hole.
        """
        symbol = self._symbol(stream)
        if symbol is None or self._is_off:
            return False
        told = self._venue.books_told
        if not is_whole:
            self._followed.discard(stream)
            told.discard(symbol)
            return False
        if stream in self._followed or stream not in server.streams():
            return False
        has_waited = symbol not in told
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                while symbol not in self._venue.books_told and stream in server.streams():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            logger.info("nobody asks for a book; the playback waits for no other", stream=stream)
            self._is_off = True
        if stream in server.streams():
            self._followed.add(stream)
        return has_waited

    def _symbol(self, stream: str) -> str | None:
        """Venue symbol of a stream of book changes; None for other streams."""
        if stream not in self._symbols:
            found = self._venue.channel_of(stream)
            self._symbols[stream] = found[1] if found is not None and found[0] == "books" else None
        return self._symbols[stream]
