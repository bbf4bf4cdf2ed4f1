"""The archive held against itself and against Kafka, a partition at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby

from infra.settings import KafkaSettings, Settings
from kandle.archive_log import LogComparison, logs_of, position_problems
from sinks.archive.catalogue import holding, partitions
from sinks.archive.manifest import BrokenArchiveError, PartitionId
from sinks.archive.store import Store, open_store
from sinks.archive.verification import Compare, Finding, verify_topic
from sinks.destination import Log


@dataclass(slots=True)
class Verified:
    """What was found of a partition.

    Attributes:
        finding: Of the archive.
        compared: Rows that were compared with the log's.
        log: In words, what of the log was looked at.
        problems: Of the archive beside the log.
    """

    finding: Finding
    compared: int = 0
    log: str = "the log was not looked at"
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether all is well."""
        return not self.finding.problems and not self.problems

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        found = self.finding
        return {
            "topic": found.id.topic,
            "partition": found.id.partition,
            "kafka_id": found.id.kafka_id,
            "clean": self.clean,
            "manifests": found.manifests,
            "files": found.files,
            "rows": found.rows,
            "compared": self.compared,
            "log": self.log,
            "problems": [*found.problems, *self.problems],
            "more_problems": found.more,
            "notes": found.notes,
        }

    def as_lines(self) -> Iterator[str]:
        """For people."""
        found = self.finding
        yield f"{found.id}: {found.manifests} manifests, {found.files} files, {found.rows:,} rows; {self.log}"
        yield from (f"  wrong: {problem}" for problem in (*found.problems, *self.problems))
        if found.more:
            yield f"  wrong: and {found.more} more"
        yield from (f"  note: {note}" for note in found.notes)


def verify_archive(
    settings: Settings, kafka: KafkaSettings | None, topics: Sequence[str], *, deep: bool
) -> Iterator[Verified]:
    """Look at what is archived, topic by topic; blocks.

    Args:
        settings: Where the archive is.
        kafka: Where the log is; None: it is not asked.
        topics: Names; none: all that are archived.
        deep: Whether files are read, and compared with the log.

    Raises:
        ConfigurationError: A topic is not archived.
        UnavailableError: The archive or Kafka is away.
    """
    store = open_store(settings)
    ids = partitions(store, topics)
    for _, group in groupby(ids, key=lambda id_: id_.topic):
        own = list(group)
        beside = _Beside(kafka, {} if kafka is None else logs_of(kafka, own))
        with closing(beside):
            for finding in verify_topic(store, own, deep=deep, compare_of=beside.compare_of):
                verified = Verified(finding)
                if kafka is not None:
                    _look_at_log(store, kafka, verified)
                comparison = beside.comparisons.get(finding.id)
                if comparison is not None:
                    verified.compared = comparison.result.expected
                    verified.log += f", {verified.compared:,} rows of it were compared"
                yield verified


class _Beside:
    """The comparisons of a topic's partitions with their logs."""

    def __init__(self, kafka: KafkaSettings | None, logs: Mapping[PartitionId, Log]) -> None:
        self.comparisons: dict[PartitionId, LogComparison] = {}
        self._kafka = kafka
        self._logs = logs

    def compare_of(self, id_: PartitionId) -> Compare | None:
        if self._kafka is None or id_ not in self._logs:
            return None
        return self.comparisons.setdefault(id_, LogComparison(self._kafka, id_, self._logs[id_]))

    def close(self) -> None:
        for comparison in self.comparisons.values():
            comparison.close()


def _look_at_log(store: Store, kafka: KafkaSettings, verified: Verified) -> None:
    id_ = verified.finding.id
    try:
        # In this order: the log may grow meanwhile, and the archive after it.
        held = holding(store, id_)
    except BrokenArchiveError as error:
        verified.problems.append(str(error))
        return
    log = logs_of(kafka, [id_]).get(id_)
    if log is None:
        verified.log = "Kafka does not know this topic any more"
        return
    verified.problems += position_problems(held, log)
    verified.log = f"the log holds offsets {log.first} to {log.end}"
