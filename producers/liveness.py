"""Whether a connection has gone mute: each channel against its own usual pace.

A socket may stay open, and even answer pings, while its channels say nothing any more. A threshold for all
would either wake for every quiet symbol or sleep through a dead busy one: so each channel has its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

HALF_LIFE_S: Final = 600.0
"""How slowly a long silence is forgotten."""

BEYOND: Final = 10.0
"""Silence of so many times the usual longest one is no chance: the channel is mute."""

LEAST_S: Final = 10.0
"""No silence shorter than this counts, however busy the channel was."""

LEARNED_AFTER: Final = 20
"""Messages before a pace is known."""


@dataclass(slots=True)
class _Pace:
    """How a channel usually goes.

    Attributes:
        heard_s: When it was last heard, by the monotonic clock, s.
        usual_s: The longest usual silence, decayed, s.
        messages: Heard so far.
    """

    heard_s: float
    usual_s: float = 0.0
    messages: int = 0

    def silence_allowed_s(self) -> float | None:
        if self.messages < LEARNED_AFTER:
            return None
        return max(LEAST_S, BEYOND * self.usual_s)


class Liveness:
    """The channels of one link. Pure: it is told the time. What it learned outlives a connection."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}

    def begin(self, at_s: float) -> None:
        """A connection begins to deliver: silence counts from now."""
        for pace in self._paces.values():
            pace.heard_s = at_s

    def heard(self, channels: Iterable[str], at_s: float) -> None:
        """These channels have said something."""
        for channel in channels:
            pace = self._paces.get(channel)
            if pace is None:
                self._paces[channel] = _Pace(at_s, messages=1)
                continue
            silence_s = at_s - pace.heard_s
            decayed = pace.usual_s * 0.5 ** (silence_s / HALF_LIFE_S)
            pace.usual_s = max(decayed, silence_s)
            pace.heard_s = at_s
            pace.messages += 1

    def mute(self, at_s: float) -> str | None:
        """The channel that is silent far beyond its pace, or None; said once, then its silence is usual."""
        for channel, pace in self._paces.items():
            allowed_s = pace.silence_allowed_s()
            silence_s = at_s - pace.heard_s
            if allowed_s is not None and silence_s > allowed_s:
                # If it stays silent on a new connection too, that is no fault of the connection.
                pace.usual_s = max(pace.usual_s, silence_s)
                pace.heard_s = at_s
                return channel
        return None
