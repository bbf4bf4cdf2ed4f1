"""An exchange that sends as fast as it is read: Binance's `aggTrade`, frames made ahead.

A process of its own, so that the measured one pays for receiving alone. It serves whoever connects: by a
subscribe message, or by the names of the streams in the path.

python -m tests.bench.frame_server --trades 100000 --symbols 1
"""

import argparse
import asyncio
import json
import struct
import sys
from collections.abc import Iterator

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

FRAMES_A_WRITE = 200
MOST_UNSENT = 4 * 1024 * 1024
FIRST_MS = 1_700_000_000_000
TRADES_A_SECOND = 10_000
"""Of event time."""


def symbol_names(count: int) -> list[str]:
    """Names of so many venue symbols; of one: BTCUSDT."""
    return ["BTCUSDT"] if count == 1 else [f"S{number:04}USDT" for number in range(count)]


def frames(trades: int, names: list[str], first_id: int) -> Iterator[bytes]:
    """WebSocket frames as they go over the wire, unmasked, the symbols in turn, ids dense for each."""
    ids = [first_id - 1] * len(names)
    for number in range(trades):
        at = number % len(names)
        ids[at] += 1
        name, time_ms = names[at], FIRST_MS + number * 1_000 // TRADES_A_SECOND
        price = 60_000 + number % 977 * 0.01
        text = (
            f'{{"stream":"{name.lower()}@aggTrade","data":{{"e":"aggTrade","E":{time_ms + 1},"s":"{name}",'
            f'"a":{ids[at]},"p":"{price:.8f}","q":"0.02000000","f":{number},"l":{number},"T":{time_ms},'
            f'"m":{"true" if number % 3 else "false"},"M":true}}}}'
        ).encode()
        yield struct.pack(">BBH", 0x81, 126, len(text)) + text


def instruments(names: list[str]) -> bytes:
    """The venue's list of them."""
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
    ]
    listed = [
        {
            "symbol": name,
            "status": "TRADING",
            "baseAsset": name.removesuffix("USDT"),
            "quoteAsset": "USDT",
            "filters": filters,
        }
        for name in names
    ]
    return json.dumps({"timezone": "UTC", "serverTime": FIRST_MS, "symbols": listed}).encode()


class FrameServer:
    """Sends all frames once to every client that subscribes, then leaves the connection open.

    Args:
        trades: How many.
        symbols: Of how many symbols, in turn.
        first_id: Of each symbol.
        ahead: Frames that are made before anybody connects; the others while they are sent.
    """

    def __init__(self, trades: int, symbols: int, first_id: int, ahead: int) -> None:
        self._names = symbol_names(symbols)
        self._trades = trades
        self._first_id = first_id
        made = frames(min(trades, ahead), self._names, first_id)
        self._ready = list(self._chunks(made))
        self._is_whole = trades <= ahead

    def _all(self) -> Iterator[bytes]:
        return frames(self._trades, self._names, self._first_id)

    @staticmethod
    def _chunks(made: Iterator[bytes]) -> Iterator[bytes]:
        chunk: list[bytes] = []
        for frame in made:
            chunk.append(frame)
            if len(chunk) == FRAMES_A_WRITE:
                yield b"".join(chunk)
                chunk = []
        yield b"".join(chunk)

    async def run(self) -> None:
        """Serve until it is killed; prints its port first, then a line when a client begins to be served."""
        async with serve(
            self._answer, "127.0.0.1", 0, process_request=self._rest, compression=None, ping_interval=None
        ) as server:
            print(next(iter(server.sockets)).getsockname()[1], flush=True)
            await asyncio.get_running_loop().create_future()

    async def _answer(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        if "streams=" not in connection.request.path:
            asked: set[str] = set()
            while len(asked) < len(self._names):
                request = json.loads(await connection.recv())
                asked.update(request["params"])
                await connection.send(json.dumps({"result": None, "id": request["id"]}))
        print("begun", flush=True)
        chunks = self._ready if self._is_whole else self._chunks(self._all())
        for chunk in chunks:
            connection.transport.write(chunk)
            while connection.transport.get_write_buffer_size() > MOST_UNSENT:
                await asyncio.sleep(0.001)
        # Left open: a client that is closed connects again, and would pay for that in the middle of its work.
        await connection.wait_closed()

    def _rest(self, connection: ServerConnection, request: Request) -> Response | None:
        if "upgrade" in request.headers:
            return None
        if "exchangeInfo" in request.path:
            return connection.respond(200, instruments(self._names).decode())
        body = json.dumps({"serverTime": FIRST_MS}) if "time" in request.path else "[]"
        return connection.respond(200, body)


def serve_trades() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Send trades as fast as they are read.")
    parser.add_argument("--trades", type=int, required=True)
    parser.add_argument("--symbols", type=int, default=1)
    parser.add_argument("--first-id", type=int, default=1)
    parser.add_argument("--ahead", type=int, default=1_000_000)
    given = parser.parse_args()
    asyncio.run(FrameServer(given.trades, given.symbols, given.first_id, given.ahead).run())
    return 0


if __name__ == "__main__":
    sys.exit(serve_trades())
