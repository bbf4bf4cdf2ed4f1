"""Which flows run on which markets."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from processors.flows.flow import BookSample, Flow
from processors.market_patterns import fits, parse_markets
from schemas.topics import Topic

STATE_VERSION = 1
"""Raised whenever the layout or the meaning of the states changes; older snapshots are then refused."""


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """The flows that are computed from one topic.

    Attributes:
        choices: Each with the shell patterns of the market keys that it runs on.
    """

    choices: tuple[tuple[Flow, tuple[str, ...]], ...]

    @classmethod
    def of(cls, texts: Sequence[str], topic: Topic) -> Self:
        """The part of the settings that concerns a topic: `book(10)`, `quote@binance:*/USDT|gateio:*`.

        Raises:
            ConfigurationError: One of the texts is wrong, of whatever topic, or a pattern can fit nothing.
        """
        return cls(tuple(choice for choice in map(_choice, texts) if choice[0].topic is topic))

    def flows_of(self, key: str) -> tuple[Flow, ...]:
        """What runs on a market, each once."""
        found = {flow.label: flow for flow, patterns in self.choices if fits(key, patterns)}
        return tuple(found.values())

    @property
    def depth(self) -> int:
        """Most levels of a side that a flow looks at."""
        return max((flow.depth for flow, _ in self.choices), default=0)

    @property
    def samples_books(self) -> bool:
        """Whether books themselves are wanted."""
        return any(isinstance(flow, BookSample) for flow, _ in self.choices)

    @property
    def digest(self) -> str:
        """A hash of everything the state depends on: a snapshot of another digest is of no use."""
        choices = ";".join(f"{flow.label}@{'|'.join(patterns)}" for flow, patterns in self.choices)
        return hashlib.sha256(f"flows/{STATE_VERSION}/{choices}".encode()).hexdigest()[:32]


def _choice(text: str) -> tuple[Flow, tuple[str, ...]]:
    spec, _, place = text.partition("@")
    return Flow.create(spec), parse_markets(place, text)
