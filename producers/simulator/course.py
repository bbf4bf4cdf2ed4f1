"""The course of a made market as a function of time: any second of it can be had without those before.

So a market goes on while nobody runs it: whoever starts it again finds it where it would be by now, and what
was traded meanwhile can still be told. All of it follows from the seed and the symbol.

Times are cut into seconds since the epoch. Price and pace at their borders are sums of noises, each with a
period twice as long or so as the one before (a noise is drawn at the multiples of its period and goes
straight in between); within a second the price walks at random from one border to the next.
"""

import hashlib
import math
import random
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from schemas.records import Micros

SECOND_US: Final = 1_000_000

KNOWN_PRICES: Final = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "BNB": 550.0, "XRP": 0.6, "DOGE": 0.12}
"""What a base asset is worth in USD terms in the long run; others get a price from their name."""

PRICE_PERIODS_S: Final = tuple(2**power for power in range(17))
"""From a second to 18 hours."""

PRICE_SWING: Final = 4e-4
"""Amplitude of the noise of one second in the logarithm of the price; grows with the root of the period."""

CALM_VOLATILITY: Final = 5e-4
"""Standard deviation of the walk of the logarithm of the price within a second of usual pace."""

PACE_PERIODS_S: Final = (20, 120, 600, 3_600)
PACE_SWING: Final = 0.075
"""Amplitude of a noise of the pace, in periods: the pace stays between 0.4 and 1.6 times the usual one."""

WILDNESS: Final = 4
"""The volatility grows with this power of the pace: trades come faster when the market is wild."""

SIDE_PERSISTENCE: Final = 0.7
"""Chance that a trade has the side of the one before: orders are worked in pieces."""

MEAN_NOTIONAL: Final = 1_500.0
"""Typical worth of a trade in quote currency."""


class Tick(NamedTuple):
    """A trade, and the quote that it met.

    Attributes:
        time: µs since the epoch.
        ordinal: How many trades of the symbol there were before, since the epoch.
        bid: Price in ticks.
        ask: Price in ticks.
        bid_size: As the wire has it.
        ask_size: As the wire has it.
        buys: Whether the taker bought.
        size: As the wire has it.
    """

    time: Micros
    ordinal: int
    bid: int
    ask: int
    bid_size: str
    ask_size: str
    buys: bool
    size: str


class Course:
    """One symbol's market. Pure.

    Args:
        symbol: Unified symbol.
        seed: The same one gives the same course.
        trades_per_second: On average.
    """

    def __init__(self, symbol: str, seed: int, trades_per_second: float) -> None:
        base, _, quote = symbol.partition("/")
        invented = 10 ** (zlib.crc32(base.encode()) % 5_000 / 1_000 - 2)
        price = KNOWN_PRICES.get(base, invented) / KNOWN_PRICES.get(quote, 1.0)
        self.places = max(2, 5 - math.floor(math.log10(price))) if price < 1_000 else 2
        """Decimal places of a price."""
        self._log_price = math.log(price)
        self._name = f"{seed}/{symbol}"
        self._rate = trades_per_second
        # Symbols of a slow market do not all trade in the same second.
        self._phase = zlib.crc32(symbol.encode()) / 2**32
        swings = {period: PRICE_SWING * math.sqrt(period) for period in PRICE_PERIODS_S}
        self._drift = _Noises(f"{self._name}/price", swings)
        self._lead = _Noises(f"{self._name}/pace", {period: PACE_SWING * period for period in PACE_PERIODS_S})

    def before(self, time: Micros) -> int:
        """How many trades there were before this time, since the epoch."""
        second = time // SECOND_US
        times = [tick.time for tick in self.ticks(second)]
        return self._count(second) + sum(at < time for at in times)

    def second_of(self, ordinal: int) -> int:
        """The second in which the trade of this ordinal was, or will be."""
        spread = math.ceil(sum(PACE_PERIODS_S) * PACE_SWING) + 2
        about = int((ordinal - self._phase) / self._rate)
        first = about - spread - math.ceil(1 / self._rate)
        last = about + spread + math.ceil(1 / self._rate)
        return first - 1 + bisect_right(range(first, last), ordinal, key=self._count)

    def ticks(self, second: int) -> Sequence[Tick]:
        """The trades of a second, in order."""
        first, end = self._count(second), self._count(second + 1)
        if first == end:
            return ()
        draw = random.Random(f"{self._name}/{second}")  # noqa: S311 - no secret: it has to be repeated
        count = end - first
        pauses = list(accumulate(draw.expovariate(1.0) for _ in range(count + 1)))
        deviation = CALM_VOLATILITY * self._pace(second) ** WILDNESS / math.sqrt(count)
        walk = list(accumulate(draw.gauss(0.0, deviation) for _ in range(count)))
        start, stop = self._level(second), self._level(second + 1)
        buys, found = draw.random() < 0.5, []
        for number in range(count):
            way = (number + 1) / count
            price = math.exp(start + walk[number] + (stop - start - walk[-1]) * way)
            tick = 10.0**-self.places
            spread = max(1, round(price * 1e-5 / tick))
            bid = max(1, round(price / tick - spread / 2))
            if draw.random() > SIDE_PERSISTENCE:
                buys = not buys
            sizes = [_size(draw, price) for _ in range(3)]
            time = int((second + pauses[number] / pauses[-1]) * SECOND_US)
            found.append(Tick(time, first + number, bid, bid + spread, sizes[0], sizes[1], buys, sizes[2]))
        return found

    def _count(self, second: int) -> int:
        """Trades before a second since the epoch; never fewer than before an earlier one."""
        return math.floor(self._rate * (second + self._lead.at(second)) + self._phase)

    def _pace(self, second: int) -> float:
        return 1.0 + self._lead.at(second + 1) - self._lead.at(second)

    def _level(self, second: int) -> float:
        return self._log_price + self._drift.at(second)


class _Noises:
    """A sum of noises.

    Args:
        name: What they are drawn from.
        swings: Amplitude of each, by its period, s.
    """

    def __init__(self, name: str, swings: dict[int, float]) -> None:
        self._name = name
        self._swings = swings

    def at(self, second: int) -> float:
        total = 0.0
        for period, swing in self._swings.items():
            node, past = divmod(second, period)
            here = _drawn(self._name, period, node)
            total += swing * (here + (_drawn(self._name, period, node + 1) - here) * past / period)
        return total


@lru_cache(maxsize=2**16)
def _drawn(name: str, period: int, node: int) -> float:
    """A number from -1 to 1."""
    digest = hashlib.blake2b(f"{name}/{period}/{node}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**63 - 1.0


def _size(draw: random.Random, price: float) -> str:
    size = MEAN_NOTIONAL / price * draw.lognormvariate(-0.5, 1.0)
    return decimal_text(max(size, 1e-5), 5 if price > 1 else 1)


def decimal_text(value: float, places: int) -> str:
    """A number as Binance writes it: eight places, the last ones zero."""
    return f"{value:.{places}f}" + "0" * max(0, 8 - places)
