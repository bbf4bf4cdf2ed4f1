"""Moments of a run, and rows of events that lie between them."""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias

from backtest.history import Times
from schemas.records import Micros

Moment: TypeAlias = tuple[Micros, int]
"""Time, µs, and rank: what comes first of those of one time; each row of events has a rank of its own."""
_KNOWN: Final = 16
ARRIVAL: Final = -1
"""Rank of what reaches a market: before all that happens there at that time."""


class Matching(Protocol):
    """Looks at the open orders of one market with what happens between two events that are told.

    All that is asked for is asked for in the order of time: after each event before the next one, so that an
    order is noticed where it was placed. Except for `value`, only while the market has open orders or a
    position that can be liquidated.
    """

    @property
    def market(self) -> str:
        """`venue:symbol`."""

    @property
    def seeks(self) -> bool:
        """Whether there are events that fill orders without being told: they have to be looked for."""

    @property
    def rows(self) -> Rows:
        """Of the events that fill its orders, and value its positions."""

    def value(self, until: Moment) -> None:
        """Let the last known price be that of the newest event before a moment, if one has come."""

    def bounds(self, since: Moment, until: Moment) -> tuple[float, float] | None:
        """Lowest and highest price, at which positions could be closed, between two moments; None without."""

    def find(self, since: Moment, until: Moment) -> Moment | None:
        """The first moment after one and before another at which something befalls an order."""

    def act(self) -> Moment:
        """Let happen what was found last; returns when that is."""

    def pass_to(self, since: Moment, until: Moment) -> None:
        """Let pass in what nothing befalls an order: trailing stops follow prices."""


class Rows:
    """How far the events of one kind in one market have come.

    Args:
        times: Never falling, µs.
        rank: Of these events.
        told: Whether the run tells the strategy of each; `done` is then counted by who tells.
    """

    def __init__(self, times: Times, rank: int, told: bool) -> None:
        self.times = times
        self.rank = rank
        self.told = told
        self.calm = False
        """Whether it is known that what comes next cannot liquidate the account."""
        self.valued = 0
        """Rows of which the newest is the last known price."""
        self._known: dict[Moment, int] = {}
        """Rows before the moments that were asked for last: each is asked for several times."""
        self.done = 0
        """Rows that have happened, as far as that is known: by those that were told or acted upon."""

    def before(self, moment: Moment) -> int:
        """Rows that happen before a moment, or at it: a number to cut columns at."""
        time, rank = moment
        if self.told or rank == self.rank:
            return self.done
        known = self._known.get(moment)
        if known is None:
            if len(self._known) > _KNOWN:
                self._known.clear()
            known = int(self.times.searchsorted(time, "left" if rank < self.rank else "right"))
            self._known[moment] = known
        return known

    def since(self, time: Micros) -> int:
        """The first row of a time or a later one."""
        return int(self.times.searchsorted(time, "left"))
