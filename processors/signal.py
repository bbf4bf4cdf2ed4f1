"""The contract of a signal rule: one class, one file, registered by being defined."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import get_args

import msgspec

from processors.indicator import Bar, Indicator, State
from processors.parameters import Parametrised
from schemas.errors import ValidationError
from schemas.records import Direction


class Decision(msgspec.Struct, frozen=True):
    """A rule has fired.

    Attributes:
        direction: What it points to.
        strength: 0 to 1, by the rule's own formula; a ratio, so that it does not depend on the price's scale.
        values: What the rule saw, by full name; finite numbers.
    """

    direction: Direction
    strength: float
    values: dict[str, float]

    def __post_init__(self) -> None:
        """Refuse what no reader of a signal could use.

        Raises:
            ValidationError: Direction, strength or a value is not what it should be.
        """
        if self.direction not in get_args(Direction):
            raise ValidationError(f"a direction is {', '.join(get_args(Direction))}; got {self.direction!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise ValidationError(f"a strength is a number from 0 to 1, got {self.strength!r}")
        if not all(isinstance(name, str) and name.isprintable() for name in self.values):
            raise ValidationError(f"the values of a decision have names, got {list(self.values)!r}")
        wrong = [name for name, value in self.values.items() if not isfinite(value)]
        if wrong:
            raise ValidationError(f"the values of a decision are finite, got others for {', '.join(wrong)}")


class SignalRule(Parametrised, ABC, kind="signal rule", package="processors.signals"):
    """Looks at each closed candle and its indicators, and fires now and then.

    A rule fires on an event, at the candle where something begins to be so, not at each candle while it is.
    Its memory is bounded by its parameters, and so is the time for a candle: O(1), amortised.
    """

    @abstractmethod
    def needs(self) -> Sequence[Indicator]:
        """The indicators whose values it wants to see; called once for each series."""

    @abstractmethod
    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """Look at the next candle. Must not block.

        Called in order of open time, once all needed indicators are defined. Whether a decision becomes a
        signal is decided elsewhere: not on incomplete or stale input (`series.machine.Machine`), not on the
        venue's history, and not twice on a revised candle. An exception is told, and counts as no decision.

        Args:
            candle: The candle.
            values: Values of the needed indicators, by full name: `sma_10`.
        """

    @abstractmethod
    def snapshot(self) -> State:
        """The state: an instance with the same parameters that restores it goes on bit for bit."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Take over a state in place of one's own."""
