"""What a capture holds, at a glance: its symbols and channels, and the instruments that were recorded."""

from collections import Counter
from dataclasses import dataclass, field

from producers.capture.file import CaptureError, CaptureReader, Entry
from producers.exchange import CHANNELS, BadRecord, Channel, Exchange
from schemas.records import Instrument


@dataclass(slots=True)
class Survey:
    """What a first pass over a capture finds.

    Attributes:
        listed: Instruments of the lists that were recorded, by the venue's symbol.
        streams: Frames by channel, for each of the venue's symbols in order of first appearance.
        first_ns: When the first entry arrived, ns since the epoch; 0 if there is none.
        last_ns: When the last one arrived.
    """

    listed: dict[str, Instrument] = field(default_factory=dict)
    streams: dict[str, Counter[Channel]] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0


def survey(reader: CaptureReader, exchange: type[Exchange], strict: bool = False) -> Survey:
    """Look for instrument lists and for the symbols and channels there are.

    Args:
        reader: The capture.
        exchange: The venue's market.
        strict: Whether damage ends it; otherwise it is passed over, to be told when the capture is read.

    Raises:
        CaptureError: The capture is damaged, and `strict`.
    """
    found = Survey()
    probe = exchange([], CHANNELS)
    names: Counter[str] = Counter()
    try:
        for entry in reader.entries(None if strict else _pass_over):
            found.first_ns = found.first_ns or entry.receive_ns
            found.last_ns = entry.receive_ns
            if entry.is_rest:
                _learn(found, probe, entry, strict)
                continue
            name = exchange.stream_of(entry.frame)
            if name is not None:
                names[name] += 1
    except CaptureError:
        if strict:
            raise
    for name, count in names.items():
        channel = exchange.channel_of(name)
        if channel is not None:
            found.streams.setdefault(channel[1], Counter())[channel[0]] += count
    return found


def _learn(found: Survey, probe: Exchange, entry: Entry, strict: bool) -> None:
    try:
        answer = entry.rest
        call = probe.call_of(answer.url) if answer is not None else None
        if answer is None or call is None or call.kind != "instruments":
            return
        listed = probe.read_instruments(bytes(answer.body), entry.receive_ns // 1_000)
    except CaptureError:
        if strict:
            raise
    except BadRecord:
        pass
    else:
        found.listed.update({instrument.venue_symbol: instrument for instrument in listed})


def _pass_over(error: CaptureError) -> None:
    """Bad lines are counted when the capture is read."""
