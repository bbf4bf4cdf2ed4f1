"""A capture as a market: its frames, in order, at a chosen speed, to whoever is subscribed.

The rules stand in `playing.py`. Here moments are the entries of the capture, and besides: a text that is not
JSON belongs to no stream: every client gets it, as it got it when it was recorded.
"""

from collections.abc import AsyncGenerator, Collection
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from producers.capture import Entry
from producers.simulator.playing import Playing
from producers.simulator.recording import Recording
from producers.simulator.server import SimulatorServer


class Playback(Playing[Entry]):
    """Plays one capture; a `Market` for `SimulatorServer`.

    Args:
        path: The capture.
        speed: Times the pace of the recording, or `max`.
        symbols: Unified symbols to play; all of the capture by default.
        rewind: Whether a feed that comes back gets the playback from its beginning.

    Raises:
        CaptureError: The capture cannot be read to its end, or has none of the symbols.
    """

    def __init__(
        self,
        path: Path,
        speed: float | Literal["max"],
        symbols: Collection[str] | None = None,
        rewind: bool = True,
    ) -> None:
        self._recording = recording = Recording(path, symbols)
        start_ns = recording.summary.first_receive_ns
        super().__init__(recording.venue, recording.symbols.values(), speed, rewind, start_ns)

    async def moments(self, start: int) -> AsyncGenerator[Entry, None]:
        """See `Playing.moments`.

        Raises:
            CaptureError: The file was changed or damaged since it was opened.
        """
        for entry in islice(self._recording, start, None):
            yield entry

    def time_ns(self, moment: Entry) -> int:
        """See `Playing.time_ns`."""
        return moment.receive_ns

    async def send(self, server: SimulatorServer, moment: Entry, is_new: bool) -> bool:
        """See `Playing.send`."""
        rest = moment.rest
        if rest is not None:
            if is_new:
                self.venue.learn(rest.url, bytes(rest.body))
            return False
        found = self.venue.split(moment.frame, moment.binary)
        if found is None:
            if not moment.binary and is_damaged_text(moment.frame):
                await server.send_all(moment.frame)
            return False
        stream, data = found
        if is_new:
            self.venue.observe(stream, data)
        is_whole = await server.send(stream, data)
        return is_new and await self.books.wait(server, stream, is_whole)


def is_damaged_text(frame: bytes) -> bool:
    """Whether a frame is text, which alone a text frame can carry, but not JSON."""
    try:
        frame.decode()
        msgspec.json.decode(frame)
    except UnicodeDecodeError:
        return False
    except msgspec.DecodeError:
        return True
    return False
