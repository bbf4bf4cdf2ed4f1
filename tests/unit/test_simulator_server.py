"""Faults over real sockets: what clients see of them, and that the market goes on meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from producers.capture import CaptureWriter
from producers.exchanges.mexc.messages import frame_of
from producers.simulator.faults import parse_fault
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer

T0_MS = 1_700_000_000_000
STREAM = "btcusdt@trade"
FRAMES = 40


def trade(number: int) -> str:
    data = {"e": "trade", "s": "BTCUSDT", "t": number, "p": "1.5", "q": "2.0", "T": T0_MS + number, "m": True}
    return json.dumps(data, separators=(",", ":"))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "small.capture.gz"
    with CaptureWriter(path, {"venue": "binance"}) as writer:
        for number in range(1, FRAMES + 1):
            writer.write((T0_MS + number) * 1_000_000, trade(number))
    return path


@asynccontextmanager
async def serving(path: Path, *faults: str) -> AsyncIterator[SimulatorServer]:
    playback = Playback(path, "max", rewind=False)
    server = SimulatorServer(playback, 0, [parse_fault(text) for text in faults])
    await server.start()
    work = asyncio.create_task(playback.play(server))
    try:
        yield server
    finally:
        work.cancel()
        await server.stop()


def listening(server: SimulatorServer, **options: Any) -> connect:
    return connect(f"{server.websocket_url}/ws/{STREAM}", **options)


async def numbers(connection: ClientConnection, count: int = FRAMES * 2) -> list[int]:
    """Ids of the trades that come, until there are so many or the connection ends."""
    found: list[int] = []
    with suppress(ConnectionClosed):
        while len(found) < count:
            found.append(json.loads(await connection.recv())["t"])
    return found


async def asked(server: SimulatorServer, path: str) -> Any:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(server.rest_url + path)).json()


@pytest.mark.parametrize(
    ("fault", "missing"), [("gap@10:5", range(11, 16)), ("duplicate@10:5", ()), ("reorder@10:5", ())]
)
async def test_frames_are_left_out_doubled_or_swapped_and_rest_has_all(
    capture: Path, fault: str, missing: range
) -> None:
    async with serving(capture, fault) as server, listening(server) as client:
        found = await numbers(client)
        assert client.close_code == 4000
        rest = await asked(server, "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1&limit=1000")
    assert sorted(set(range(1, FRAMES + 1)) - set(found)) == list(missing)
    assert len(found) == FRAMES - len(missing) + (5 if fault.startswith("duplicate") else 0)
    assert (found == sorted(found)) is not fault.startswith("reorder")
    assert [row["id"] for row in rest] == list(range(1, FRAMES + 1))


async def test_rest_knows_nothing_that_has_not_happened_yet(capture: Path) -> None:
    path = "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1"
    async with serving(capture, "disconnect@10:1") as server:
        assert await asked(server, path) == []
        async with listening(server) as client:
            await numbers(client)
        assert [row["id"] for row in await asked(server, path)] == list(range(1, 12))


@pytest.mark.parametrize(("kind", "code"), [("disconnect", 1006), ("shutdown", 1001)])
async def test_a_connection_ends_and_the_next_one_hears_what_comes_after(
    capture: Path, kind: str, code: int
) -> None:
    text = "disconnect@10:5" if kind == "disconnect" else "shutdown@10:0.05s"
    faults = (text, "slow@10:5") if kind == "shutdown" else (text,)
    async with serving(capture, *faults) as server:
        async with listening(server) as client:
            frames: list[Any] = []
            with suppress(ConnectionClosed):
                while True:
                    frames.append(json.loads(await client.recv()))
            assert client.close_code == code
        async with listening(server) as client:
            rest = await numbers(client)
    heard = [frame["t"] for frame in frames if "t" in frame]
    notices = [frame for frame in frames if frame["e"] == "serverShutdown"]
    assert len(notices) == (kind == "shutdown")
    assert heard == list(range(1, len(heard) + 1))
    if kind == "disconnect":
        # Frames that were in the socket when it broke may be lost as well.
        assert len(heard) <= 10
        assert rest == list(range(16, FRAMES + 1))
    else:
        assert rest == list(range(len(heard) + 1, FRAMES + 1)), "a close loses nothing"


async def test_a_mute_connection_answers_pings_and_a_half_open_one_does_not(capture: Path) -> None:
    for kind, answers in (("mute", True), ("no_pong", False)):
        async with serving(capture, f"{kind}@10:5") as server:
            client = await listening(server)
            assert await numbers(client, 10) == list(range(1, 11))
            pong = await client.ping()
            done, _ = await asyncio.wait([asyncio.ensure_future(pong)], timeout=0.3)
            assert bool(done) is answers
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.recv()
            async with listening(server) as second:
                assert await numbers(second) == list(range(16, FRAMES + 1))
            client.transport.abort()


async def test_damaged_and_huge_frames_come_as_such(capture: Path) -> None:
    async with serving(capture, "malformed@10:1", "oversize@20:1") as server:
        async with listening(server) as client:
            with pytest.raises(json.JSONDecodeError):
                await numbers(client)
            assert await numbers(client) == list(range(12, 21))
            assert client.close_code in {1006, 1009}, "the client hangs up"
        async with listening(server) as client:
            assert (await numbers(client))[-1] == FRAMES


async def test_subscriptions_are_refused_or_not_answered_as_often_as_planned(capture: Path) -> None:
    ask = json.dumps({"method": "SUBSCRIBE", "params": [STREAM], "id": 1})
    async with (
        serving(capture, "wrong_ack@0:1", "no_ack@0:1") as server,
        connect(server.websocket_url + "/ws") as client,
    ):
        await client.send(ask)
        assert "error" in json.loads(await client.recv())
        await client.send(ask)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.recv()
        await client.send(ask)
        assert json.loads(await client.recv()) == {"result": None, "id": 1}
        assert await numbers(client) == list(range(1, FRAMES + 1))
        assert [fault.kind for fault in server.injection.injected] == ["wrong_ack", "no_ack"]


async def test_rest_is_refused_as_often_as_planned(capture: Path) -> None:
    async with (
        serving(capture, "429@0:1", "503@0:1", "html@0:1") as server,
        httpx2.AsyncClient(trust_env=False) as client,
    ):
        answers = [await client.get(server.rest_url + "/api/v3/time") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 503, 200, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert answers[2].headers["Content-Type"] == "text/html"
    assert answers[3].headers["X-MBX-USED-WEIGHT-1M"] == "1"


async def test_who_asks_too_much_is_refused_until_the_minute_has_passed(capture: Path) -> None:
    async with serving(capture) as server, httpx2.AsyncClient(trust_env=False) as client:
        url = server.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5000"
        answers = [await client.get(url) for _ in range(26)]
        status = {answer.status_code for answer in answers}
    # The minute may end in between.
    assert status <= {200, 429}
    assert any(int(answer.headers["X-MBX-USED-WEIGHT-1M"]) >= 2_500 for answer in answers)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(0 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)


async def test_who_sends_too_much_is_disconnected(capture: Path) -> None:
    async with serving(capture) as server, connect(server.websocket_url + "/ws") as client:
        answered = 0
        with suppress(ConnectionClosed):
            for answered in range(30):
                await client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": answered}))
                await client.recv()
        assert (client.close_code, answered) == (1008, 10)


async def test_a_second_connection_takes_over_without_a_pause_in_the_market(capture: Path) -> None:
    async with serving(capture, "slow@0:40") as server, listening(server) as old:
        assert await numbers(old, 5) == list(range(1, 6))
        async with listening(server) as new:
            first = json.loads(await new.recv())["t"]
            await old.close()
            assert await numbers(new) == list(range(first + 1, FRAMES + 1))
        assert server.departures == 0


async def test_binary_frames_stay_binary(tmp_path: Path) -> None:
    path = tmp_path / "mexc.capture.gz"
    name = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
    deal = {"price": "1", "quantity": "2", "tradeType": 1, "time": T0_MS}
    frame = frame_of(
        {"channel": name, "symbol": "BTCUSDT", "sendTime": T0_MS, "publicAggreDeals": {"deals": [deal]}}
    )
    with CaptureWriter(path, {"venue": "mexc"}) as writer:
        for _ in range(3):
            writer.write(T0_MS * 1_000_000, frame)
    async with serving(path, "malformed@1:1") as server, connect(server.websocket_url + "/ws") as client:
        await client.send(json.dumps({"method": "SUBSCRIPTION", "params": [name]}))
        assert json.loads(await client.recv())["msg"] == name
        frames = []
        with suppress(ConnectionClosed):
            while True:
                frames.append(await client.recv())
    assert frames == [frame, frame[: len(frame) // 2], frame]
