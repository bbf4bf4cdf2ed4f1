"""Whether a connection has gone mute: each channel against its own usual pace.

A socket may stay open, and even answer pings, while its channels say nothing any more. A threshold for all
would either wake for every quiet symbol or sleep through a dead busy one: so each channel has its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HALF_LIFE_S: Final = 3_600.0
"""How slowly a long silence is forgotten: symbols that sleep at night are not busy ones in the morning."""

BEYOND: Final = 10.0
"""Silence of so many times the usual longest one is no chance: the channel is mute."""

LEAST_S: Final = 10.0
"""No silence shorter than this counts, however busy the channel was."""

LEARNED_AFTER: Final = 20
"""Messages before a pace is known."""

AT_ONCE: Final = 5
"""Messages that are read together count as this many at most: a busy machine reads a stream in portions, but
so does a burst arrive."""

DOUBT: Final = 50.0
"""A pace that so few messages have shown is half believed: they may be one burst of a quiet symbol."""


@dataclass(slots=True)
class _Pace:
    """How a channel usually goes.

    Attributes:
        heard_s: When it was last heard, or a connection began, by the monotonic clock, s.
        usual_s: The longest usual silence, decayed, s.
        messages: Heard so far.
        pardoned_s: A silence for which a connection was given up. It counts as usual until the next one
            has shown whether it was the connection's fault, s.
    """

    heard_s: float
    usual_s: float = 0.0
    messages: int = 1
    pardoned_s: float = 0.0

    @property
    def is_known(self) -> bool:
        return self.messages >= LEARNED_AFTER

    @property
    def allowed_s(self) -> float:
        least_s = LEAST_S * (1.0 + DOUBT / self.messages)
        return max(least_s, BEYOND * max(self.usual_s, self.pardoned_s))


class Liveness:
    """The channels of one link. Pure: it is told the time. What it learned outlives a connection."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}

    def begin(self, at_s: float) -> None:
        """A connection begins to deliver: silence counts from now."""
        for pace in self._paces.values():
            pace.heard_s = at_s

    def heard(self, messages: Mapping[str, int], at_s: float) -> None:
        """Channels have said something.

        Args:
            messages: How many of each channel were read together.
            at_s: When, by the monotonic clock, s.
        """
        for channel, count in messages.items():
            pace = self._paces.get(channel)
            if pace is None:
                self._paces[channel] = _Pace(at_s, messages=min(count, AT_ONCE))
                continue
            # A frame that came before the connection began to count may be looked at later.
            silence_s = max(0.0, at_s - pace.heard_s)
            pace.usual_s = max(pace.usual_s * 0.5 ** (silence_s / HALF_LIFE_S), silence_s)
            pace.pardoned_s = 0.0
            pace.heard_s = max(at_s, pace.heard_s)
            pace.messages += min(count, AT_ONCE)

    def mute(self, at_s: float) -> str | None:
        """The channel that is silent far beyond its pace, or None; its silence is pardoned once told.

        A channel that is silent on the next connection too is told again only after many times that silence,
        so a market that stands still does not bring one reconnect after another.
        """
        for channel, pace in self._paces.items():
            if pace.is_known and at_s - pace.heard_s > pace.allowed_s:
                self._pardon(at_s)
                return channel
        return None

    def _pardon(self, at_s: float) -> None:
        """The next connection is a test of all channels, not of the one alone that was found first."""
        for pace in self._paces.values():
            pace.pardoned_s = max(pace.pardoned_s, at_s - pace.heard_s)
            pace.heard_s = at_s
