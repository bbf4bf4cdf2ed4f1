"""What a venue does not stream is asked for again and again, at a pace that it allows."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec

from infra.logging import get_logger
from producers.ccxt_feed.capabilities import Way
from producers.ccxt_feed.exchange import CALL_KINDS, CcxtExchange
from producers.exchange import Call, Channel, Stream
from schemas.errors import UnavailableError

EVERY_S: Final[Mapping[Channel, float]] = {
    "trades": 3.0,
    "quotes": 3.0,
    "books": 5.0,
    "tickers": 15.0,
    "candles": 15.0,
    "derivatives": 30.0,
    "liquidations": 15.0,
}
"""How often a channel is asked for at best, s."""

SHARE: Final = 0.6
"""Share of a venue's pace that polls take; the rest is for trades that are missing."""

ROWS: Final[Mapping[Channel, int]] = {"candles": 2}
"""How many of a channel are asked for at once: the candle that has closed and the one that goes on."""

ATTEMPTS: Final = 3
"""Polls in a row that may fail, before the connection counts as lost."""

EMPTY: Final = frozenset({b"{}", b"[]"})

logger = get_logger(__name__)


class Desk(Protocol):
    """What is needed of `producers.rest_desk.RestDesk`."""

    async def fetch(self, call: Call) -> bytes:
        """The body of an answer."""
        ...


class _Answer(msgspec.Struct):
    data: msgspec.Raw


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_ROWS: Final = msgspec.json.Decoder(list[dict[str, Any]])


class Poller:
    """Polls the streams of a connection.

    Args:
        exchange: The venue's market.
        desk: Makes the calls.
        pace_ms: Between two calls.
        push: Takes frames.
        lose: Ends the connection, for a reason.
    """

    def __init__(
        self,
        exchange: CcxtExchange,
        desk: Desk,
        pace_ms: float,
        push: Callable[[bytes], None],
        lose: Callable[[str], None],
    ) -> None:
        self._exchange = exchange
        self._desk = desk
        self._pace_ms = pace_ms
        self._push = push
        self._lose = lose
        self._names: dict[str, frozenset[str] | None] = {}
        """Streams that are polled, with the trades of the newest answer."""
        self._hurry = asyncio.Event()
        self.answered_s = time.monotonic()
        """When a poll was last answered, by the monotonic clock, s."""

    @property
    def is_active(self) -> bool:
        """Whether anything is polled."""
        return bool(self._names)

    def has(self, name: str) -> bool:
        """Whether a stream is polled."""
        return name in self._names

    def hurry(self) -> None:
        """Poll now: somebody wants to know whether the venue is there."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    def forget(self, name: str) -> None:
        """A stream is polled no longer."""
        self._names.pop(name, None)

    async def close(self) -> None:
        """Forget all streams; who runs them has cancelled that."""
        self._names.clear()

    async def run(self, stream: Stream, way: Way, answered: Callable[[], None]) -> None:
        """Poll a stream until it is cancelled, or the connection is lost.

        Args:
            stream: What is asked for.
            way: The method of ccxt that brings it.
            answered: Called at each answer.
        """
        self._names[stream.name] = None
        call = poll_call(self._exchange, stream, way)
        failures = 0
        while True:
            hurry = self._hurry
            try:
                body = await self._desk.fetch(call)
            except UnavailableError as error:
                failures += 1
                logger.info("a poll has failed", stream=stream.name, why=str(error))
                if failures >= ATTEMPTS:
                    self._lose(f"{stream.name} cannot be polled: {error}")
                    return
            else:
                failures = 0
                self.answered_s = time.monotonic()
                if not self._deliver(stream, bytes(_ANSWER.decode(body).data)):
                    return
                answered()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(stream.channel)):
                    await hurry.wait()

    def _deliver(self, stream: Stream, data: bytes) -> bool:
        """Hand an answer over; False if trades between it and the one before are missing."""
        if data in EMPTY:
            return True
        if stream.channel == "trades":
            before = self._names.get(stream.name)
            page = frozenset(map(_key, _ROWS.decode(data)))
            if before and page.isdisjoint(before):
                self._lose(f"{stream.name}: more trades between two polls than the venue tells at once")
                return False
            self._names[stream.name] = page
        self._push(b'{"stream":%b,"data":%b}' % (msgspec.json.encode(stream.name), data))
        return True

    def _pause_s(self, channel: Channel) -> float:
        """Seconds to the next poll; no two streams in step."""
        turn_s = len(self._names) * self._pace_ms / 1_000 / SHARE
        return max(EVERY_S[channel], turn_s) * random.uniform(0.9, 1.1)  # noqa: S311 - no secret


def _key(row: Mapping[str, Any]) -> str:
    named = row.get("id")
    return str(named or [row.get(name) for name in ("timestamp", "price", "amount", "side")])


def poll_call(exchange: CcxtExchange, stream: Stream, way: Way) -> Call:
    """The call that asks for what a stream would bring."""
    if stream.channel == "trades":
        found = exchange.trades_call(stream.symbol, None, None)
        assert found is not None
        return found
    query: dict[str, str | int] = {"symbol": stream.symbol}
    if way.takes == "interval":
        query["interval"] = exchange.candle_interval
    if stream.channel in ROWS:
        query["limit"] = ROWS[stream.channel]
    kind = CALL_KINDS.get(way.method, "ticker")
    return Call(kind, f"/{way.method}?{urlencode(query)}", symbol=stream.symbol)
