"""Whether a stream of ccxt hangs: its calls may wait for ever for a subscription that is dead."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from producers.ccxt_feed.exchange import CcxtExchange
from producers.ccxt_feed.polling import Desk
from producers.exchange import Stream
from producers.liveness import Liveness

EVERY_S: Final = 60.0
"""How often trades are asked for beside their stream at best: ccxt's ids show no gap by themselves."""

LATE_MS: Final = 1_000
"""A venue's REST may know a trade so much before its stream brings it."""


class Finding(NamedTuple):
    """What came of a look at a stream.

    Attributes:
        why: Why it hangs; None if it does not, as far as is known.
        trades: JSON of trades that it must have brought; none for other streams.
    """

    why: str | None = None
    trades: bytes | None = None


class _Answer(msgspec.Struct):
    data: list[dict[str, Any]]


_ANSWER: Final = msgspec.json.Decoder(_Answer)
FINE: Final = Finding()


class Watchdog:
    """The pace of each stream of a feed; what it learned outlives a connection.

    A stream is judged by its own pace (`producers.liveness`). Silence alone is no proof where trades can be
    asked for: a quiet symbol hangs only if the venue knows trades that its stream did not bring. They are
    asked for now and then in any case, since a stream may leave trades out.

    Args:
        exchange: The venue's market.
        pace_ms: Between two calls.
        look_every_s: How often streams are to be judged, s.
    """

    def __init__(self, exchange: CcxtExchange, pace_ms: float, look_every_s: float = 1.0) -> None:
        self.look_every_s = look_every_s
        self._exchange = exchange
        self._pace_ms = pace_ms
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
        self._paces.setdefault(name, Liveness()).heard({name: 1}, at_s)
        newest_ms = max(map(_time_ms, trades), default=0.0)
        if newest_ms > self._newest_ms.get(name, 0.0):
            self._newest_ms[name] = newest_ms

    def forget(self, name: str) -> None:
        """A stream is delivered no longer."""
        for held in (self._paces, self._streams, self._checked_s, self._newest_ms):
            held.pop(name, None)

    async def judge(self, name: str, at_s: float, desk: Desk) -> Finding:
        """Look at a stream.

        Raises:
            UnavailableError: It cannot be told now.
        """
        stream = self._streams.get(name)
        if stream is None:
            return FINE
        is_mute = self._paces[name].mute(at_s) is not None
        call = None
        if stream.channel == "trades":
            call = self._exchange.trades_call(stream.symbol, None, None)
        if call is None:
            return Finding(f"{name} hangs: it is silent for far longer than usual") if is_mute else FINE
        patience_s = max(EVERY_S, 3 * len(self._streams) * self._pace_ms / 1_000)
        if not is_mute and at_s - self._checked_s[name] < patience_s:
            return FINE
        self._checked_s[name] = at_s
        known_ms = self._newest_ms.get(name)
        rows = _ANSWER.decode(await desk.fetch(call)).data
        times_ms = [_time_ms(row) for row in rows]
        newest_ms = max(times_ms, default=0.0)
        if known_ms is None:
            # Nothing was heard yet: what was traded until now counts as known.
            self._newest_ms[name] = newest_ms
            return FINE
        if newest_ms > known_ms + LATE_MS and self._newest_ms.get(name) == known_ms:
            return Finding(f"{name} hangs: the venue has trades that it did not bring")
        due = [row for row, time_ms in zip(rows, times_ms, strict=True) if time_ms <= known_ms]
        return Finding(None, msgspec.json.encode(due)) if due else FINE


def _time_ms(trade: Mapping[str, Any]) -> float:
    time_ms = trade.get("timestamp")
    return time_ms if isinstance(time_ms, int | float) else 0.0
