"""Which indicators and rules run on which series."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, Self, TypeVar

from processors.indicator import Indicator
from processors.signal import SignalRule

STATE_VERSION = 1
"""Raised whenever the layout or the meaning of the state changes; older snapshots are then refused."""

DEFAULT_INDICATORS = ("sma(20)", "ema(20)", "rsi(14)")
DEFAULT_SIGNALS = ("moving_average_crossover(10,30)",)

T = TypeVar("T", Indicator, SignalRule)


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """An indicator or a rule, and where it runs.

    Attributes:
        prototype: An instance with the parameters; each series makes its own by `fresh`.
        intervals: Shell patterns of intervals.
        keys: Shell patterns of market keys.
    """

    prototype: T
    intervals: tuple[str, ...] = ("*",)
    keys: tuple[str, ...] = ("*",)

    @classmethod
    def parse(cls, text: str, create: Callable[[str], T]) -> Self:
        """Read `spec`, `spec@intervals` or `spec@intervals@keys`, patterns separated by `|`.

        `ema(50)@1m|1h@binance:BTC/*` is an average over 50 candles of a minute or an hour of Binance's
        bitcoin markets.

        Raises:
            ConfigurationError: The spec is wrong.
        """
        spec, *places = text.split("@", 2)
        patterns = [tuple(filter(None, map(str.strip, place.split("|")))) or ("*",) for place in places]
        return cls(create(spec), *patterns)

    def covers(self, key: str, interval: str) -> bool:
        """Whether it runs on a series."""
        return any(fnmatchcase(interval, pattern) for pattern in self.intervals) and any(
            fnmatchcase(key, pattern) for pattern in self.keys
        )

    def __str__(self) -> str:
        return f"{self.prototype.label}@{'|'.join(self.intervals)}@{'|'.join(self.keys)}"


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What is computed from closed candles.

    Attributes:
        indicators: Whose values are published.
        rules: Which may fire; the indicators that they need are computed beside, and not published.
        on_incomplete: Whether rules may fire on candles that lack trades; their signals are marked.
    """

    indicators: tuple[Choice[Indicator], ...]
    rules: tuple[Choice[SignalRule], ...]
    on_incomplete: bool = False

    @classmethod
    def of(
        cls,
        indicators: Sequence[str] = DEFAULT_INDICATORS,
        signals: Sequence[str] = DEFAULT_SIGNALS,
        *,
        on_incomplete: bool = False,
    ) -> Self:
        """A plan from settings, see `Choice.parse`.

        Raises:
            ConfigurationError: One of the texts is wrong.
        """
        return cls(
            tuple(Choice.parse(text, Indicator.create) for text in indicators),
            tuple(Choice.parse(text, SignalRule.create) for text in signals),
            on_incomplete,
        )

    @property
    def digest(self) -> str:
        """A hash of everything the state depends on: a snapshot of another digest is of no use."""
        text = (
            f"series/{STATE_VERSION}/{';'.join(map(str, self.indicators))}/{';'.join(map(str, self.rules))}"
        )
        return hashlib.sha256(f"{text}/{self.on_incomplete}".encode()).hexdigest()[:32]
