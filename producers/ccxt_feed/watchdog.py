"""Whether a stream of ccxt hangs: its calls may wait for ever for a subscription that is dead."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from producers.ccxt_feed.exchange import CcxtExchange
from producers.ccxt_feed.polling import Desk
from producers.exchange import Stream
from producers.liveness import Liveness

UNKNOWN_S: Final = 60.0
"""Trades whose pace is not known yet are asked for after so much silence."""

LATE_MS: Final = 1_000
"""A venue's REST may know a trade so much before its stream brings it."""


class _Row(msgspec.Struct):
    timestamp: float = 0.0


class _Answer(msgspec.Struct):
    data: list[_Row]


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class Watchdog:
    """The pace of each stream of a feed; what it learned outlives a connection.

    A stream is judged by its own pace (`producers.liveness`). Silence alone is no proof where trades can be
    asked for: a quiet symbol hangs only if the venue knows trades that its stream did not bring.

    Args:
        exchange: The venue's market.
        look_every_s: How often streams are to be judged, s.
    """

    def __init__(self, exchange: CcxtExchange, look_every_s: float = 1.0) -> None:
        self.look_every_s = look_every_s
        self._exchange = exchange
        self._paces: dict[str, Liveness] = {}
        self._streams: dict[str, Stream] = {}
        self._checked_s: dict[str, float] = {}
        self._newest_ms: dict[str, float] = {}

    def begin(self, names: Iterable[str], at_s: float) -> None:
        """Streams begin to be delivered by a connection: silence counts from now."""
        known = {stream.name: stream for stream in self._exchange.streams()}
        for name in names:
            if name in known:
                self._streams[name] = known[name]
                self._paces.setdefault(name, Liveness()).begin(at_s)
                self._checked_s[name] = at_s

    def heard(self, name: str, at_s: float, trades: Sequence[Mapping[str, Any]] = ()) -> None:
        """A stream has brought something."""
        self._paces.setdefault(name, Liveness()).heard((name,), at_s)
        self._checked_s[name] = at_s
        for trade in trades:
            time_ms = trade.get("timestamp")
            if isinstance(time_ms, int | float) and time_ms > self._newest_ms.get(name, 0.0):
                self._newest_ms[name] = time_ms

    def forget(self, name: str) -> None:
        """A stream is delivered no longer."""
        for held in (self._paces, self._streams, self._checked_s, self._newest_ms):
            held.pop(name, None)

    async def judge(self, name: str, at_s: float, desk: Desk) -> str | None:
        """Why a stream hangs, or None.

        Raises:
            UnavailableError: It cannot be told now.
        """
        stream = self._streams.get(name)
        if stream is None:
            return None
        is_mute = self._paces[name].mute(at_s) is not None
        call = None
        if stream.channel == "trades":
            call = self._exchange.trades_call(stream.symbol, None, None)
        if call is None:
            return f"{name} hangs: it is silent for far longer than usual" if is_mute else None
        patience_s = max(UNKNOWN_S, 3 * len(self._streams) * self._exchange.capabilities.pace_ms / 1_000)
        if not is_mute and at_s - self._checked_s[name] < patience_s:
            return None
        self._checked_s[name] = at_s
        known_ms = self._newest_ms.get(name)
        body = await desk.fetch(call)
        newest_ms = max((row.timestamp for row in _ANSWER.decode(body).data), default=0.0)
        if known_ms is None:
            # Nothing was heard yet: what was traded until now counts as known.
            self._newest_ms[name] = newest_ms
            return None
        if newest_ms > known_ms + LATE_MS and self._newest_ms.get(name) == known_ms:
            return f"{name} hangs: the venue has trades that it did not bring"
        return None
