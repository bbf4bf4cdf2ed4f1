"""Writes where a source stands, once marks have shown which offsets lie behind it; see `producers.resume`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from infra.kafka.publisher import Publisher
from producers.continuity import Position as Standing
from schemas.records import Position, TimeMark
from schemas.topics import POSITIONS

INTERVAL_S: Final = 1.0
"""Positions are written no more often; a restart reads so much traffic again, at most."""


@dataclass(slots=True)
class _Pending:
    """A position that waits for the offsets of the mark that closes it."""

    position: Position
    missing: int
    offsets: dict[str, int] = field(default_factory=dict)


class Positions:
    """Positions of one source in the topics that it feeds.

    Args:
        publisher: Writes them.
        venue: Venue of the source.
        source: Stable name of the shard.
        partitions: Partitions of the topics.
    """

    def __init__(self, publisher: Publisher, venue: str, source: str, partitions: int) -> None:
        self._publisher = publisher
        self._venue = venue
        self._source = source
        self._partitions = partitions
        self._next_s = 0.0
        self._complete: list[Position] = []

    def is_due(self, mark: TimeMark, at_s: float) -> bool:
        """Whether positions are to be written with this mark: now and then, and at the end."""
        if at_s < self._next_s and not mark.final:
            return False
        self._next_s = at_s + INTERVAL_S
        return True

    def begin(self, topic: str, mark: TimeMark, standing: dict[str, Standing]) -> Callable[[int, int], None]:
        """Open a position as of a mark; the result takes the partition and offset of each of its copies."""
        position = Position(
            venue=self._venue,
            source=self._source,
            topic=topic,
            time=mark.time,
            offsets={},
            sequences={
                symbol: where.sequence for symbol, where in standing.items() if where.sequence is not None
            },
            event_times={symbol: where.event_time for symbol, where in standing.items()},
        )
        pending = _Pending(position, self._partitions)

        def acknowledged(partition: int, offset: int) -> None:
            pending.offsets[str(partition)] = offset + 1
            pending.missing -= 1
            if not pending.missing:
                pending.position.offsets.update(pending.offsets)
                self._complete.append(pending.position)

        return acknowledged

    async def write(self) -> None:
        """Publish the positions whose offsets have become known."""
        complete, self._complete = self._complete, []
        for position in complete:
            await self._publisher.publish(POSITIONS.name, position, key=f"{position.source}/{position.topic}")
