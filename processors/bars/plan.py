"""Which bars are built: by what they are full, and of which markets."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, get_args

from infra.settings import ProcessorSettings
from processors.market_patterns import fits, parse_markets
from schemas.errors import ConfigurationError
from schemas.records import BarKind

STATE_VERSION: Final = 1
"""Raised whenever the layout or the meaning of the state changes; older snapshots are then refused."""

KINDS: Final[tuple[BarKind, ...]] = get_args(BarKind)

_SPEC: Final = re.compile(r"\s*([a-z]+)\s*\(\s*([0-9.eE+]+)\s*\)\s*(?:@(.*))?", re.DOTALL)
_LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class BarSpec:
    """One kind of bar, and where it is built.

    Attributes:
        kind: What fills it: trades, base units or quote currency.
        threshold: It is full once it holds so much.
        keys: Shell patterns of market keys.
    """

    kind: BarKind
    threshold: float
    keys: tuple[str, ...] = ("*",)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `tick(100)`, `volume(10.5)`, `value(1000000)`, or with `@keys`, patterns separated by `|`.

        Raises:
            ConfigurationError: It is none of these, or a pattern can fit nothing.
        """
        found = _SPEC.fullmatch(text)
        try:
            kind, threshold = (found[1], float(found[2])) if found else ("", 0.0)
        except ValueError:
            kind, threshold = "", 0.0
        is_whole = kind != "tick" or threshold.is_integer()
        if found is None or kind not in KINDS or not 0.0 < threshold < _LARGEST or not is_whole:
            raise ConfigurationError(
                f"a bar is tick(100), volume(10.5) or value(1000000), with @keys where it is not for all "
                f"markets, as tick(100)@binance:BTC/*; got {text!r}"
            )
        return cls(KINDS[KINDS.index(kind)], threshold, parse_markets(found[3] or "", text))

    def covers(self, key: str) -> bool:
        """Whether it is built of a market."""
        return fits(key, self.keys)

    def __str__(self) -> str:
        return f"{self.kind}({self.threshold!r})@{'|'.join(self.keys)}"


@dataclass(frozen=True, slots=True)
class BarPlan:
    """The bars of a partition.

    Attributes:
        specs: In the order in which bars of one market leave.
        grace: Trades are taken once the watermark has passed them by this, microseconds.
    """

    specs: tuple[BarSpec, ...]
    grace: int

    @classmethod
    def of(cls, specs: Sequence[str], *, grace_ms: int = 2_000) -> Self:
        """A plan from settings, see `BarSpec.parse`.

        Raises:
            ConfigurationError: One is wrong, or two are of one kind and size.
        """
        parsed = tuple(map(BarSpec.parse, specs))
        if len({(spec.kind, spec.threshold) for spec in parsed}) != len(parsed):
            raise ConfigurationError(
                f"each bar is named once, with all its keys as @one|other; got {', '.join(specs)}"
            )
        return cls(parsed, grace_ms * 1_000)

    @classmethod
    def of_settings(cls, settings: ProcessorSettings) -> Self:
        """The bars that settings ask for.

        Raises:
            ConfigurationError: As `of`.
        """
        return cls.of(settings.bars, grace_ms=settings.grace_ms)

    @property
    def digest(self) -> str:
        """A hash of everything the state depends on: a snapshot of another digest is of no use."""
        text = f"bars/{STATE_VERSION}/{';'.join(map(str, self.specs))}/{self.grace}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
