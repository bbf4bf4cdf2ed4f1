"""Which indicators and rules run on which series."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import filter as filter_names
from typing import Generic, Self, TypeVar

from infra.settings import ProcessorSettings
from processors.indicator import Indicator
from processors.intervals import INTERVALS
from processors.market_patterns import fits, parse_markets
from processors.plugins import load_plugins
from processors.signal import SignalRule
from schemas.errors import ConfigurationError

STATE_VERSION = 3
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
            ConfigurationError: The spec is wrong, or a pattern can fit nothing.
        """
        spec, place, markets, *_ = *text.split("@", 2), "", ""
        intervals = tuple(filter(None, map(str.strip, place.split("|")))) or ("*",)
        choice = cls(create(spec), intervals, parse_markets(markets, text))
        for pattern in choice.intervals:
            if not filter_names(INTERVALS, pattern):
                raise ConfigurationError(
                    f"{text!r}: no interval is called {pattern}; there are {', '.join(INTERVALS)}"
                )
        return choice

    def covers(self, key: str, interval: str) -> bool:
        """Whether it runs on a series."""
        return fits(interval, self.intervals) and fits(key, self.keys)

    def __str__(self) -> str:
        return f"{self.prototype.label}@{'|'.join(self.intervals)}@{'|'.join(self.keys)}"


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What is computed from closed candles.

    Attributes:
        indicators: Whose values are published.
        rules: Which may fire; the indicators that they need are computed beside, and not published.
        on_incomplete: Whether rules may fire where what they see is not sound (`series.machine.Machine`);
            their signals are marked.
        gapless: Whether every interval has a candle, be it without trades.
    """

    indicators: tuple[Choice[Indicator], ...]
    rules: tuple[Choice[SignalRule], ...]
    on_incomplete: bool = False
    gapless: bool = False

    @classmethod
    def of(
        cls,
        indicators: Sequence[str] = DEFAULT_INDICATORS,
        signals: Sequence[str] = DEFAULT_SIGNALS,
        *,
        on_incomplete: bool = False,
        gapless: bool = False,
    ) -> Self:
        """A plan from settings, see `Choice.parse`.

        Raises:
            ConfigurationError: One of the texts is wrong.
        """
        return cls(
            tuple(Choice.parse(text, Indicator.create) for text in indicators),
            tuple(Choice.parse(text, SignalRule.create) for text in signals),
            on_incomplete,
            gapless,
        )

    @classmethod
    def of_settings(cls, chosen: ProcessorSettings) -> Self:
        """What the settings say, with the indicators and rules of plug-ins.

        Raises:
            ConfigurationError: One of the texts is wrong, names candles that are not built, or a plug-in
                cannot be imported.
        """
        load_plugins(chosen.plugins)
        plan = cls.of(
            chosen.indicators,
            chosen.signals,
            on_incomplete=chosen.signal_on_incomplete,
            gapless=chosen.empty_candles == "carry",
        )
        wanted = [(str(c), c.intervals) for c in plan.indicators] + [
            (str(c), c.intervals) for c in plan.rules
        ]
        for choice, patterns in wanted:
            missing = [pattern for pattern in patterns if not filter_names(chosen.intervals, pattern)]
            if missing:
                raise ConfigurationError(
                    f"{choice}: no candles of {', '.join(missing)} are built; processors.intervals has "
                    f"{', '.join(chosen.intervals)}"
                )
        return plan

    @property
    def digest(self) -> str:
        """A hash of everything the state depends on: a snapshot of another digest is of no use."""
        indicators = ";".join(f"{choice}#{choice.prototype.state_version}" for choice in self.indicators)
        rules = ";".join(
            f"{choice}#{choice.prototype.state_version}"
            + "".join(f"+{part.label}#{part.state_version}" for part in choice.prototype.needs())
            for choice in self.rules
        )
        text = f"series/{STATE_VERSION}/{indicators}/{rules}"
        flags = f"{self.on_incomplete}/{self.gapless}"
        return hashlib.sha256(f"{text}/{flags}".encode()).hexdigest()[:32]
