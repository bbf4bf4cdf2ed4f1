"""The usual feed handler on the same frames: run by the Python of an environment that has cryptofeed.

Its own Binance handler and its own Kafka backend, pointed at the server of the measurement.
"""

import asyncio
import sys

from cryptofeed import FeedHandler
from cryptofeed.backends.kafka import TradeKafka
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import TRADES
from cryptofeed.exchanges import Binance


def main(port: str, brokers: str) -> None:
    """Feed until killed."""
    Binance.websocket_endpoints = [WebsocketEndpoint(f"ws://127.0.0.1:{port}")]
    Binance.rest_endpoints = [RestEndpoint(f"http://127.0.0.1:{port}", routes=Routes("/api/v3/exchangeInfo"))]
    # It takes the loop of the thread, and uvloop's policy, which it installs, makes none by itself.
    asyncio.set_event_loop(asyncio.new_event_loop())
    handler = FeedHandler()
    backend = TradeKafka(bootstrap_servers=brokers, acks="all")
    handler.add_feed(Binance(symbols=["BTC-USDT"], channels=[TRADES], callbacks={TRADES: backend}))
    handler.run(install_signal_handlers=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
