"""The contract of a signal rule: one class, one file, registered by being defined."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import msgspec

from processors.indicator import Bar, Indicator, State
from processors.parameters import Parametrised
from schemas.records import Direction


class Decision(msgspec.Struct, frozen=True):
    """A rule has fired.

    Attributes:
        direction: What it points to.
        strength: 0 to 1, by the rule's own formula; a ratio, so that it does not depend on the price's scale.
        values: What the rule saw, by full name.
    """

    direction: Direction
    strength: float
    values: dict[str, float]


class SignalRule(Parametrised, ABC, kind="signal rule", package="processors.signals"):
    """Looks at each closed candle and its indicators, and fires now and then."""

    @abstractmethod
    def needs(self) -> Sequence[Indicator]:
        """The indicators whose values it wants to see; called once for each series."""

    @abstractmethod
    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """Look at the next candle. Must not block.

        Called in order of open time, once all needed indicators are defined. Whether a decision becomes a
        signal is decided elsewhere: not on an incomplete candle, and not twice on a revised one.

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
