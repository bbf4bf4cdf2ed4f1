"""Playbacks over real sockets: when they begin, what they send, how they end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from producers.capture import CaptureError, CaptureWriter
from producers.simulator import playing
from producers.simulator.market import SeededMarket
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer
from schemas.errors import ResourceError

T0_MS = 1_700_000_000_000
BOOK = b'{"lastUpdateId":1,"bids":[["1.0","2.0"]],"asks":[]}'


def trade(number: int, symbol: str = "BTCUSDT") -> str:
    data = {"e": "trade", "s": symbol, "t": number, "p": "1.5", "q": "2.0", "T": T0_MS + number, "m": True}
    return json.dumps(data, separators=(",", ":"))


def wrapped(stream: str, data: str) -> str:
    return f'{{"stream":"{stream}","data":{data}}}'


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "small.capture.gz"
    with CaptureWriter(path, {"venue": "binance", "market": "spot"}) as writer:
        for number in range(1, 41):
            at = (T0_MS + number * 50) * 1_000_000
            # Both forms occur in captures.
            frame = trade(number)
            writer.write(at, wrapped("btcusdt@trade", frame) if number % 2 else frame)
            writer.write(at, wrapped("ethusdt@trade", trade(number, "ETHUSDT")))
        writer.write_rest(T0_MS * 1_000_000, "GET", "https://x/api/v3/depth?symbol=BTCUSDT&limit=5", BOOK)
    return path


@asynccontextmanager
async def serving(market: Playback | SeededMarket) -> AsyncIterator[SimulatorServer]:
    server = SimulatorServer(market)
    await server.start()
    work = asyncio.create_task(market.play(server))
    try:
        yield server
    finally:
        work.cancel()
        await server.stop()


async def subscribe(connection: ClientConnection, *streams: str) -> None:
    await connection.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
    assert json.loads(await connection.recv()) == {"result": None, "id": 1}


async def drain(connection: ClientConnection) -> list[Any]:
    frames = []
    with suppress(ConnectionClosed):
        while True:
            frames.append(json.loads(await connection.recv()))
    assert connection.close_code == 4000
    return frames


async def test_it_begins_once_every_symbol_is_subscribed_and_ends_with_4000(capture: Path) -> None:
    async with (
        serving(Playback(capture, "max")) as server,
        connect(server.websocket_url + "/stream") as client,
    ):
        await subscribe(client, "btcusdt@trade")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.recv()
        await subscribe(client, "ethusdt@trade")
        frames = await drain(client)
    assert [frame["data"]["t"] for frame in frames if frame["stream"] == "btcusdt@trade"] == list(
        range(1, 41)
    )
    assert len(frames) == 80


async def test_a_client_of_the_raw_path_gets_raw_frames(capture: Path) -> None:
    async with serving(Playback(capture, "max", ["BTC/USDT"])) as server:  # noqa: SIM117
        async with connect(server.websocket_url + "/ws/btcusdt@trade") as client:
            assert [frame["t"] for frame in await drain(client)] == list(range(1, 41))


async def test_text_that_is_not_json_comes_as_it_was_recorded_and_answers_do_not(tmp_path: Path) -> None:
    path = tmp_path / "damaged.capture.gz"
    cut = wrapped("btcusdt@trade", trade(2))[:-9]
    with CaptureWriter(path, {"venue": "binance"}) as writer:
        for text in (trade(1), cut, '{"result":null,"id":1}', "[1,2]", "nonsense", trade(3)):
            writer.write(T0_MS * 1_000_000, text)
    async with serving(Playback(path, "max")) as server:  # noqa: SIM117
        async with connect(server.websocket_url + "/ws/btcusdt@trade") as client:
            frames = []
            with suppress(ConnectionClosed):
                while True:
                    frames.append(await client.recv())
    assert frames == [trade(1), cut, "nonsense", trade(3)]


async def test_a_client_that_wants_a_part_gets_it_after_a_while(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "SETTLE_S", 0.1)
    async with serving(Playback(capture, "max")) as server:  # noqa: SIM117
        async with connect(server.websocket_url + "/ws/ethusdt@trade") as client:
            assert len(await drain(client)) == 40


async def test_the_speed_is_that_of_the_recording_times_a_factor(capture: Path) -> None:
    async with serving(Playback(capture, 10.0, ["BTC/USDT"])) as server:  # noqa: SIM117
        async with connect(server.websocket_url + "/ws/btcusdt@trade") as client:
            began = time.monotonic()
            assert len(await drain(client)) == 40
            assert 0.15 < time.monotonic() - began < 2.0


async def test_who_comes_after_the_end_is_told_so(capture: Path) -> None:
    playback = Playback(capture, "max", ["BTC/USDT"])
    async with serving(playback) as server:
        async with connect(server.websocket_url + "/ws/btcusdt@trade") as client:
            await drain(client)
        async with asyncio.timeout(5.0):
            while not playback.has_ended:
                await asyncio.sleep(0.01)
        async with connect(server.websocket_url + "/stream") as client:
            await subscribe(client, "btcusdt@trade")
            assert await drain(client) == []


@pytest.mark.parametrize(("rewind", "first"), [(True, 1), (False, 2)])
async def test_a_feed_that_comes_back_gets_all_again_or_the_rest(
    capture: Path, rewind: bool, first: int
) -> None:
    async with serving(Playback(capture, 4.0, ["BTC/USDT"], rewind=rewind)) as server:
        async with connect(server.websocket_url + "/ws/btcusdt@trade") as client:
            for number in range(1, 11):
                assert json.loads(await client.recv())["t"] == number
        async with connect(server.websocket_url + "/ws/btcusdt@trade") as client:
            numbers = [frame["t"] for frame in await drain(client)]
    assert numbers == list(range(numbers[0], 41)), "contiguous to the end"
    assert numbers[0] == 1 if rewind else numbers[0] > 10 >= first


async def test_a_slow_reader_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "long.capture.gz"
    with CaptureWriter(path, {"venue": "binance"}) as writer:
        # More than the sockets of both ends can hold.
        padding = f',"x":"{"x" * 1_500}"}}'
        for number in range(1, 20_001):
            writer.write(T0_MS * 1_000_000 + number, trade(number)[:-1] + padding)
    playback = Playback(path, "max")
    async with serving(playback) as server:  # noqa: SIM117
        async with connect(server.websocket_url + "/ws/btcusdt@trade", max_queue=1) as client:
            await client.recv()
            await asyncio.sleep(0.3)
            assert playback.played < 20_000, "the playback waits for its reader"
            assert [frame["t"] for frame in await drain(client)] == list(range(2, 20_001))


async def test_rest_answers_as_recorded_or_as_the_capture_implies(capture: Path) -> None:
    async with serving(Playback(capture, "max")) as server, httpx2.AsyncClient(trust_env=False) as client:
        rest = server.rest_url + "/api/v3/"
        assert (await client.get(rest + "ping")).json() == {}
        assert (await client.get(rest + "time")).json() == {"serverTime": T0_MS + 50}
        listed = (await client.get(rest + "exchangeInfo")).json()["symbols"]
        assert [(item["symbol"], item["baseAsset"]) for item in listed] == [
            ("BTCUSDT", "BTC"),
            ("ETHUSDT", "ETH"),
        ]
        assert (await client.get(rest + "depth?symbol=BTCUSDT")).content == BOOK
        unknown = await client.get(rest + "depth?symbol=NONE")
        assert (unknown.status_code, unknown.json()["code"]) == (400, -1121)
        assert (await client.get(rest + "nothing")).status_code == 404


async def test_a_symbol_that_the_capture_lacks_is_refused(capture: Path) -> None:
    with pytest.raises(CaptureError, match=r"has no SOL/USDT; it has BTC/USDT, ETH/USDT"):
        Playback(capture, "max", ["SOL/USDT"])


async def test_a_port_in_use_is_told(capture: Path) -> None:
    async with serving(Playback(capture, "max")) as server:
        with pytest.raises(ResourceError, match="choose another port"):
            await SimulatorServer(Playback(capture, "max"), server.port).start()


async def test_a_seeded_market_runs_in_real_time() -> None:
    market = SeededMarket(["BTC/USDT", "ETH/USDT"], 1, 50.0)
    async with serving(market) as server, httpx2.AsyncClient(trust_env=False) as client:
        async with connect(server.websocket_url + "/stream") as connection:
            await subscribe(connection, "btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade")
            frames = [json.loads(await connection.recv()) for _ in range(30)]
        listed = (await client.get(server.rest_url + "/api/v3/exchangeInfo")).json()["symbols"]
        book = (await client.get(server.rest_url + "/api/v3/depth?symbol=BTCUSDT")).json()
    now_ms = time.time() * 1000
    trades = [frame["data"] for frame in frames if frame["stream"].endswith("@trade")]
    assert all(abs(now_ms - trade["T"]) < 5_000 for trade in trades)
    assert {item["symbol"] for item in listed} == {"BTCUSDT", "ETHUSDT"}
    assert book["bids"]
