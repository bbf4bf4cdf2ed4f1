"""The dead letter topics read from a terminal: which letters wait, and which were settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from infra.kafka.admin import Admin
from infra.kafka.dead_letters import SUFFIX
from infra.range_set import RangeSet
from infra.settings import KafkaSettings
from kandle.dead_letters.letter import DeadLetter, Outcome, read_note
from kandle.topic_reader import TopicReader
from schemas.errors import ConfigurationError
from schemas.namespace import current
from schemas.topics import name_here, prefix_of


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; all of them, unless it says more.

    Attributes:
        topics: Names, with or without `.dlq`.
        cause: Glob over the cause, any case.
        offsets: Offsets in the dead letter topic.
        since_us: Put aside at this time or later, µs since 1970.
        settled: Those that were retried or dropped, too.
    """

    topics: Sequence[str] = ()
    cause: str | None = None
    offsets: frozenset[int] = field(default_factory=frozenset)
    since_us: int | None = None
    settled: bool = False

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        return (
            (self.settled or letter.outcome is None)
            and (not self.offsets or letter.offset in self.offsets)
            and (self.since_us is None or letter.time_ms * 1000 >= self.since_us)
            and (self.cause is None or fnmatchcase(letter.cause.lower(), self.cause.lower()))
        )


class DeadLetterLog:
    """All dead letter topics of a broker, or the chosen ones. Blocks.

    Args:
        kafka: Where they are.
        selection: Which letters are meant.

    Raises:
        ConfigurationError: A topic has no dead letters.
        UnavailableError: The broker does not answer.
    """

    def __init__(self, kafka: KafkaSettings, selection: Selection) -> None:
        self._kafka = kafka
        self._selection = selection
        self.partition_counts = Admin(kafka).partition_counts()
        """Partitions of every topic on the broker."""
        here = current().prefix
        known = sorted(
            name for name in self.partition_counts if name.endswith(SUFFIX) and prefix_of(name) == here
        )
        asked = [name_here(name) for name in selection.topics]
        wanted = {name if name.endswith(SUFFIX) else name + SUFFIX for name in asked}
        if unknown := sorted(wanted - set(known)):
            raise ConfigurationError(
                f"there is no {', '.join(unknown)}; dead letter topics are {', '.join(known) or 'none yet'}"
            )
        self._topics = [name for name in known if not wanted or name in wanted]

    def letters(self) -> Iterator[DeadLetter]:
        """The letters that are meant, by topic in their order, up to the ends as of now.

        Each log is read twice: a note on a letter comes after it, and letters may be too many to be kept.
        """
        partitions = [(name, n) for name in self._topics for n in range(self.partition_counts[name])]
        ranges = Admin(self._kafka).log_ranges(partitions) if partitions else {}
        for topic in self._topics:
            if all(first == end for (name, _), (first, end) in ranges.items() if name == topic):
                continue
            settled = self._settled(topic)
            with TopicReader(self._kafka, topic, marks=True) as reader:
                for message in reader.present(reader.low):
                    if read_note(message) is None:
                        known = settled.get(message.partition() or 0, {})
                        outcome = _outcome(known, message.offset() or 0)
                        letter = DeadLetter.of(message, outcome)
                        if self._selection.takes(letter):
                            yield letter

    def _settled(self, topic: str) -> dict[int, dict[Outcome, RangeSet]]:
        found: dict[int, dict[Outcome, RangeSet]] = {}
        with TopicReader(self._kafka, topic, marks=True) as reader:
            for message in reader.present(reader.low):
                note = read_note(message)
                if note is not None:
                    outcome, offsets = note
                    of_partition = found.setdefault(message.partition() or 0, {})
                    of_partition.setdefault(outcome, RangeSet()).update(offsets)
        return found


def _outcome(known: dict[Outcome, RangeSet], offset: int) -> Outcome | None:
    return next((outcome for outcome, offsets in known.items() if offset in offsets), None)
