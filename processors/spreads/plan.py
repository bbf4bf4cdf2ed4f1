"""Which rules of venues run, on which symbols and venues."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Self

from infra.settings import Settings
from processors.intervals import INTERVALS
from processors.spreads.rule import VenueRule, VenueSpread
from schemas.errors import ConfigurationError
from schemas.records import Micros

STATE_VERSION: Final = 1
"""Raised whenever the layout or the meaning of the state changes; older snapshots are then refused."""
DEFAULT_INTERVAL: Final = "1s"


@dataclass(frozen=True, slots=True)
class SpreadChoice:
    """A rule, and where it runs.

    Attributes:
        rule: The rule.
        interval: Whose candles give the prices.
        symbols: Shell patterns of symbols.
        venues: The venues that count, and that each wait for the others; none: all that there are.
    """

    rule: VenueSpread
    interval: str = DEFAULT_INTERVAL
    symbols: tuple[str, ...] = ("*",)
    venues: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `spec`, `spec@interval`, `spec@interval@symbols` or `spec@interval@symbols@venues`.

        `venue_spread(10)@1s@BTC/*|ETH/USDT@binance|gateio` compares two venues each second.

        Raises:
            ConfigurationError: The spec is wrong, or there is no such interval.
        """
        spec, *places = text.split("@", 3)
        interval, symbols, venues = (*map(str.strip, places), *("" for _ in range(3 - len(places))))
        if interval and interval not in INTERVALS:
            raise ConfigurationError(
                f"{text!r}: no interval is called {interval}; there are {', '.join(INTERVALS)}"
            )
        rule = VenueRule.create(spec)
        assert isinstance(rule, VenueSpread)
        return cls(rule, interval or DEFAULT_INTERVAL, _split(symbols) or ("*",), _split(venues))

    @property
    def length(self) -> Micros:
        """Of the interval, µs."""
        return INTERVALS[self.interval].length

    def fits(self, symbol: str) -> bool:
        """Whether it runs on a symbol."""
        return any(fnmatchcase(symbol, pattern) for pattern in self.symbols)

    def __str__(self) -> str:
        return f"{self.rule.label}@{self.interval}@{'|'.join(self.symbols)}@{'|'.join(self.venues)}"


@dataclass(frozen=True, slots=True)
class SpreadPlan:
    """What is compared between venues.

    Attributes:
        choices: The rules.
        grace: How long after its end a candle closes, µs.
        partitions: Of the topic that the candles come from.
        on_incomplete: Whether rules may fire on candles that lack trades; their signals are marked.
    """

    choices: tuple[SpreadChoice, ...]
    grace: Micros
    partitions: int
    on_incomplete: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The plan of the settings.

        Raises:
            ConfigurationError: One of the texts is wrong, or no candles of its interval are built.
        """
        chosen = settings.processors
        choices = tuple(SpreadChoice.parse(text) for text in chosen.venue_spreads)
        for choice in choices:
            if choice.interval not in chosen.intervals:
                raise ConfigurationError(
                    f"{choice}: candles of {choice.interval} are not built; they are named in "
                    "processors.intervals"
                )
        return cls(choices, chosen.grace_ms * 1000, settings.kafka.partitions, chosen.signal_on_incomplete)

    @property
    def intervals(self) -> frozenset[str]:
        """The intervals whose closing prices are wanted."""
        return frozenset(choice.interval for choice in self.choices)

    def choices_of(self, interval: str, symbol: str) -> Sequence[int]:
        """Positions of what runs on a symbol; of one rule with the same parameters, the first that fits."""
        found: dict[str, int] = {}
        for position, choice in enumerate(self.choices):
            if choice.interval == interval and choice.fits(symbol):
                found.setdefault(choice.rule.label, position)
        return tuple(found.values())

    @property
    def digest(self) -> str:
        """A hash of everything the state depends on: a snapshot of another digest is of no use."""
        rules = ";".join(map(str, self.choices))
        text = f"spreads/{STATE_VERSION}/{rules}/{self.grace}/{self.partitions}/{self.on_incomplete}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _split(place: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, place.split("|"))))
