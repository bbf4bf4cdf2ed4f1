"""What is asked of a source, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from backtest.history import History
from backtest.strategy import Strategy
from processors.intervals import INTERVALS, Interval
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import Gap, Micros

Kind = Literal["candles", "trades", "quotes", "books", "funding"]
KINDS: Final[tuple[Kind, ...]] = ("candles", "trades", "quotes", "books", "funding")
ALWAYS: Final = 1 << 62
"""Later than all times, µs."""

_OF_CANDLES: Final = frozenset({"on_candle", "on_indicator", "on_signal"})
_HOOKS: Final = _OF_CANDLES | {"on_trade", "on_quote", "on_book"}
"""What a strategy may override, and by that ask for."""


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


def kinds_of(strategy: Strategy, markets: Sequence[str], fills: str | None = None) -> frozenset[Kind]:
    """Which rows a run of a strategy has to read: what it hears of, and what its orders are filled by.

    Candles are made of trades where those are read, as the live pipeline makes them.

    Args:
        strategy: By the methods that it overrides.
        markets: Perpetuals have funding.
        fills: What orders are filled by: candle, trade, quote or book; None: by what is read.
    """
    hears = {hook for hook in _HOOKS if _overrides(strategy, hook)}
    kinds: set[Kind] = set()
    if "on_trade" in hears or fills in ("trade", "book"):
        kinds.add("trades")
    if "on_quote" in hears or fills == "quote":
        kinds.add("quotes")
    if "on_book" in hears or fills == "book":
        kinds.add("books")
    if "trades" not in kinds and (not kinds or hears & _OF_CANDLES or fills == "candle"):
        kinds.add("candles")
    if any(":" in split_key(market)[1] for market in markets):
        kinds.add("funding")
    return frozenset(kinds)


def _overrides(strategy: Strategy, hook: str) -> bool:
    return getattr(type(strategy), hook, None) is not getattr(Strategy, hook, None)


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
