"""The usual feed handler on the same frames: run by the Python of an environment that has cryptofeed.

Its own Binance handler and its own Kafka backend, pointed at the server of the measurement.
"""

import asyncio
import sys
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.backends.kafka import TradeKafka
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import TRADES
from cryptofeed.exchanges import Binance


class PlainBinance(Binance):  # type: ignore[misc]
    """Without TLS, as the producer beside it; the handler's own connections insist on an address with it."""

    def connect(self) -> list[Any]:
        """The connections that it would make."""
        made: list[Any] = super().connect()
        for connection, *_ in made:
            connection.address = connection.address.replace("wss:", "ws:", 1)
        return made


def feed(port: str, brokers: str) -> None:
    """Feed until killed."""
    PlainBinance.websocket_endpoints = [WebsocketEndpoint(f"wss://127.0.0.1:{port}")]
    routes = Routes("/api/v3/exchangeInfo")
    PlainBinance.rest_endpoints = [RestEndpoint(f"http://127.0.0.1:{port}", routes=routes)]
    handler = FeedHandler()
    # It runs in the thread's loop, and the policy of uvloop, which it has just set, makes none by itself.
    asyncio.set_event_loop(asyncio.new_event_loop())
    backend = TradeKafka(bootstrap_servers=brokers, acks="all")
    handler.add_feed(PlainBinance(symbols=["BTC-USDT"], channels=[TRADES], callbacks={TRADES: backend}))
    handler.run(install_signal_handlers=False)


if __name__ == "__main__":
    feed(*sys.argv[1:])
