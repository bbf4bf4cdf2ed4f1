"""Recording from a simulated venue over a real socket: what is sent is in the file, books with snapshots."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from producers.capture import CaptureError, CaptureReader, CaptureWriter
from producers.capture.reading import CaptureReading
from producers.capture.recorder import Recorded, Target, record
from producers.capture.trimming import trimmed
from producers.exchange import Channel
from producers.markets import exchange_class
from producers.simulator.faults import parse_fault
from producers.simulator.market import SeededMarket
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer
from schemas.errors import ConfigurationError
from tests.made_capture import write_capture


@asynccontextmanager
async def serving(
    market: Playback | SeededMarket, faults: Iterable[str] = ()
) -> AsyncIterator[SimulatorServer]:
    server = SimulatorServer(market, faults=[parse_fault(text) for text in faults])
    await server.start()
    playing = asyncio.create_task(market.play(server))
    try:
        yield server
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await server.stop()


def target(server: SimulatorServer, path: Path, channels: tuple[Channel, ...], *names: str) -> Target:
    market = exchange_class("binance")
    return Target(market, names or ("BTC/USDT",), channels, path, server.websocket_url, server.rest_url)


def frames_of(path: Path) -> list[bytes]:
    return [entry.frame for entry in CaptureReader(path) if entry.rest is None]


async def test_a_playback_is_recorded_frame_by_frame_to_its_end(tmp_path: Path) -> None:
    source, path, recorded = write_capture(tmp_path / "a", seconds=20), tmp_path / "b", Recorded()
    names = ("BTCUSDT", "eth/usdt", "SOL/USDT")
    async with serving(Playback(source, "max")) as server:
        await asyncio.wait_for(
            record(target(server, path, ("trades", "quotes"), *names), asyncio.Event(), recorded=recorded), 20
        )
    sent = [json.loads(frame) for frame in frames_of(source)]
    found = [json.loads(frame) for frame in frames_of(path)]
    assert [frame for frame in found if "stream" in frame] == sent
    assert recorded.frames["trade"] + recorded.frames["quote"] == len(sent)
    assert CaptureReader(path).header == {
        "venue": "binance",
        "market": "spot",
        "symbols": "BTCUSDT,ETHUSDT,SOLUSDT",
        "source": "kandle",
    }


async def test_books_come_with_their_snapshots(tmp_path: Path) -> None:
    path = tmp_path / "a"
    async with serving(SeededMarket(["BTC/USDT", "ETH/USDT"], 7, 50.0)) as server:
        await record(target(server, path, ("trades", "quotes", "books"), "*/USDT"), asyncio.Event(), 1.5)
    urls = [entry.rest.url for entry in CaptureReader(path) if entry.rest is not None]
    assert urls[0].endswith("/api/v3/exchangeInfo")
    assert sorted(url.partition("symbol=")[2][:7] for url in urls[1:]) == ["BTCUSDT", "ETHUSDT"]
    reader = CaptureReader(path)
    reading = CaptureReading(reader, reader.exchange())
    assert {record.symbol for record in reading} == {"BTC/USDT", "ETH/USDT"}
    found = reading.tally.as_dict()
    assert min(found["counts"][kind] for kind in ("trade", "quote", "book")) > 5
    assert (found["gaps"], found["rejected"], found["book_mismatches"]) == (0, 0, 0)
    assert found["book_checks"] > 0


async def test_a_lost_connection_is_opened_again(tmp_path: Path) -> None:
    path, said = tmp_path / "a", list[str]()
    source = write_capture(tmp_path / "b", seconds=20)
    market = Playback(source, "max", ["BTC/USDT"])
    async with serving(market, ["disconnect@100"]) as server:
        await asyncio.wait_for(
            record(target(server, path, ("trades", "quotes")), asyncio.Event(), say=said.append), 20
        )
    assert any("no connection" in text for text in said)
    trades = {frame for frame in frames_of(source) if b"btcusdt@trade" in frame}
    assert {json.loads(frame)["data"]["t"] for frame in trades} <= {
        json.loads(frame)["data"]["t"] for frame in frames_of(path) if b"btcusdt@trade" in frame
    }


async def test_what_the_venue_does_not_have_is_told_before_a_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a"
    async with serving(SeededMarket(["BTC/USDT"], 7, 1.0)) as server:
        wrong: tuple[tuple[Target, str], ...] = (
            (target(server, path, ("trades",), "BTC/EUR"), "binance lists no BTC/EUR; did you mean BTC/USDT"),
            (
                target(server, path, ("liquidations",)),
                "none of these channels; it has aggregated_trades, books",
            ),
            (target(server, path, ("trades",), "*/EUR"), "trades none of these symbols"),
        )
        for asked, message in wrong:
            with pytest.raises(ConfigurationError, match=message):
                await record(asked, asyncio.Event())
    assert not path.exists()


async def test_a_recording_that_is_stopped_before_the_venue_answers_leaves_no_file(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    channels: tuple[Channel, ...] = ("trades",)
    away = Target(
        exchange_class("binance"), ("BTC/USDT",), channels, tmp_path / "a", None, "http://127.0.0.1:9"
    )
    await record(away, stop)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "frame",
    [b'{"a":1}', b"PONG", b"", b"base64:", b'{"rest":1}', b"\n\x07BTCUSDT", b"a\rb\n", b"\xff", "ü".encode()],
)
def test_every_frame_is_read_as_it_was_written(tmp_path: Path, frame: bytes) -> None:
    with CaptureWriter(tmp_path / "a", {"venue": "binance"}) as capture:
        capture.write_frame(1, frame)
    assert [entry.frame for entry in CaptureReader(tmp_path / "a")] == [frame]


def test_what_was_flushed_can_be_read_although_the_file_was_never_closed(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "a", {"venue": "binance"}) as capture:
        capture.write_frame(1, b"{}")
        capture.flush()
        kept = (tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(kept)
    entries = iter(CaptureReader(tmp_path / "b"))
    assert next(entries).frame == b"{}"
    with pytest.raises(CaptureError, match="cut off"):
        next(entries)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'[{"id":"A_B","x":1.50},{"id":"C_D"}]', b'[{"id":"A_B","x":1.50}]'),
        (
            b'{"n":[{"k":1}],"symbols":[{"symbol":"X"},{"symbol":"A_B"}]}',
            b'{"n":[{"k":1}],"symbols":[{"symbol":"A_B"}]}',
        ),
        (b'{"code":1,"data":[[1],2]}', b'{"code":1,"data":[[1],2]}'),
        (b"[]", b"[]"),
        (b"<html>", b"<html>"),
    ],
)
def test_a_list_of_instruments_is_cut_to_those_named(body: bytes, kept: bytes) -> None:
    assert trimmed(body, {"A_B"}) == kept
