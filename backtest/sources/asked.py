"""What is asked of a source, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from backtest.history import History
from processors.intervals import INTERVALS, Interval
from schemas.errors import ConfigurationError
from schemas.records import Gap, Micros

Kind = Literal["candles", "trades", "quotes", "books", "funding"]
KINDS: Final[tuple[Kind, ...]] = ("candles", "trades", "quotes", "books", "funding")
ALWAYS: Final = 1 << 62
"""Later than all times, µs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run wants to read.

    Attributes:
        markets: `venue:symbol` of each.
        kinds: Which rows.
        interval: Of the candles.
        since: Rows of this time and later, µs; candles by the time they open.
        until: Rows before this time, µs; candles that have closed by then.
    """

    markets: tuple[str, ...]
    kinds: frozenset[Kind]
    interval: Interval = INTERVALS["1m"]
    since: Micros = 0
    until: Micros = ALWAYS

    def __post_init__(self) -> None:
        """Refuse what no source could answer."""
        for market in self.markets:
            venue, colon, symbol = market.partition(":")
            if not (venue and colon and "/" in symbol):
                raise ConfigurationError(f"a market is venue:BASE/QUOTE, as binance:BTC/USDT; got {market!r}")
        if len(set(self.markets)) < len(self.markets):
            raise ConfigurationError("each market is given once")
        if self.since >= self.until:
            raise ConfigurationError("there is no time between --from and --to")

    def only(self, markets: Sequence[str], kinds: frozenset[Kind]) -> Asked:
        """The same of other markets and rows."""
        return replace(self, markets=tuple(markets), kinds=kinds)


@dataclass(frozen=True, slots=True)
class Found:
    """What a source has.

    Attributes:
        history: The rows.
        gaps: Of trades that are known to be missing.
    """

    history: History = field(default_factory=History)
    gaps: Sequence[Gap] = ()


class Source(Protocol):
    """Reads what is asked for."""

    def __call__(self, asked: Asked) -> Found:
        """Read; blocks.

        Raises:
            KandleError: The source cannot be read.
        """


def gather(source: Source, asked: Asked) -> Found:
    """What a source has; where it has no candles of a market, its trades, of which the run makes them.

    Raises:
        ConfigurationError: It has nothing of a market.
        KandleError: It cannot be read.
    """
    found = source(asked)
    barred = {each.market for each in found.history.bars}
    unbarred = [market for market in asked.markets if market not in barred]
    if unbarred and "candles" in asked.kinds and "trades" not in asked.kinds:
        found = _joined(found, source(asked.only(unbarred, frozenset({"trades"}))))
    absent = [market for market in asked.markets if market not in found.history.markets]
    if absent:
        wanted = ", ".join(kind for kind in KINDS if kind in asked.kinds and kind != "funding")
        raise ConfigurationError(
            f"there is nothing of {', '.join(absent)} at that time ({wanted}; interval {asked.interval.name})"
        )
    return found


def _joined(one: Found, other: Found) -> Found:
    first, second = one.history, other.history
    return Found(
        History(
            (*first.bars, *second.bars),
            (*first.trades, *second.trades),
            (*first.quotes, *second.quotes),
            (*first.books, *second.books),
            (*first.funding, *second.funding),
            {**second.instruments, **first.instruments},
        ),
        (*one.gaps, *other.gaps),
    )
