"""Whatever stands in a capture is read to its end or refused with words: no frame raises anything else."""

from __future__ import annotations

import base64
import contextlib
import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.capture import CaptureError, CaptureReader
from producers.capture.lines import as_line
from producers.capture.reading import CaptureReading
from producers.markets import exchanges

MARKETS = sorted(exchanges())

FRAMES = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}',
    b'{"e":"depthUpdate","E":1723161255208,"T":1723161255208,"s":"BTCUSDT","U":1,"u":2,"pu":0,'
    b'"b":[["61737.63","0"]],"a":[["61837.64","1.5"]]}',
    b'{"rest":{"method":"GET","url":"https://api.binance.com/api/v3/depth?symbol=BTCUSDT","body":'
    b'{"lastUpdateId":1,"bids":[["1","1"]],"asks":[["2","1"]]}}}',
    b'{"time":1619093543,"channel":"spot.trades","event":"update","result":{"id":816995772,"create_time":'
    b'1619093543,"create_time_ms":"1619093543708.2642","side":"sell","currency_pair":"DIS_USDT","amount":"0.2",'
    b'"price":"121.58"}}',
    b'{"time":1619093532,"channel":"spot.order_book_update","event":"update","result":{"t":1619093532978,'
    b'"s":"HAI_ETH","U":2691446,"u":2691446,"b":[["0.00010322","5360.209"]],"a":[]}}',
    b'{"time":1616327563,"channel":"futures.trades","event":"update","error":null,"result":[{"size":50,'
    b'"id":15366793,"create_time":1616327563,"create_time_ms":1616327563918,"price":"56233.3",'
    b'"contract":"BTC_USDT"}]}',
    b'{"channel":"push.deal","data":{"M":1,"O":3,"T":2,"p":57602,"t":1616370338806,"v":14},"symbol":"BTC_USDT",'
    b'"ts":1616370338806}',
    b'{"rest":{"method":"GET","url":"https://api.gateio.ws/api/v4/spot/currency_pairs","body":[]}}',
    b"base64:" + base64.b64encode(b"\x0a\x12spot@public.aggre.\x1a\x07BTCUSDT"),
)

ODD = st.sampled_from(
    [
        b"null",
        b"-1",
        b"1e400",
        b"[]",
        b"{}",
        b'""',
        b'"x"',
        b"true",
        b"99999999999999999999",
        b"NaN",
        b'"-0"',
        b"\xff",
    ]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame of some venue with a value replaced, or bytes changed, or cut."""
    frame = draw(st.sampled_from(FRAMES))
    for _ in range(draw(st.integers(0, 3))):
        starts = [at + 1 for at, byte in enumerate(frame) if byte in b":,["] or [0]
        start = draw(st.sampled_from(starts))
        end = draw(st.integers(start, min(start + 12, len(frame))))
        frame = frame[:start] + draw(ODD | st.binary(max_size=4)) + frame[end:]
    return frame[: draw(st.integers(0, len(frame)))] if draw(st.booleans()) else frame


def lines(venue: str, market: str, frames: list[bytes]) -> Iterator[bytes]:
    yield f"# venue={venue} market={market}\n".encode()
    for number, frame in enumerate(frames, 1_700_000_000_000_000_000):
        yield b"%d %b\n" % (number, frame)


@pytest.mark.parametrize(("venue", "market"), MARKETS)
@settings(max_examples=60, deadline=None)
@given(frames=st.lists(damaged(), min_size=1, max_size=12))
def test_damaged_frames_are_counted_not_raised(venue: str, market: str, frames: list[bytes]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(lines(venue, market, frames)))
        file.flush()
        reader = CaptureReader(Path(file.name))
        reading = CaptureReading(reader, reader.exchange())
        for record in reading:
            as_line(record)
        reading.tally.as_dict()


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(b"".join(lines("binance", "spot", list(FRAMES) * 20)), mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed[: data.draw(st.integers(0, len(packed)))])
        file.flush()
        with contextlib.suppress(CaptureError):
            reader = CaptureReader(Path(file.name))
            for _ in CaptureReading(reader, reader.exchange()):
                pass
