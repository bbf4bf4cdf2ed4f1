"""Looks at Kafka itself, for the metrics: brokers, replicas, records and bytes of topics, lag of groups."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import Gauge

from infra import metrics
from infra.kafka.admin import Admin, ClusterLayout
from infra.kafka.log_dirs import topic_bytes
from infra.logging import get_logger
from infra.metrics.stages import count_error
from infra.settings import Settings
from schemas.errors import UnavailableError
from schemas.namespace import current
from schemas.topics import TOPICS
from sinks.intake import group_of
from sinks.registry import OUTSIDE

EVERY_S: Final = 15.0
STAGE: Final = "serve"
CHANGELOG: Final = "-changelog"
"""Ends the name of a topic that holds checkpoints."""
_Ranges = dict[tuple[str, int], tuple[int, int]]
_Committed = dict[str, dict[tuple[str, int], int]]
_Replicas = Mapping[str, Sequence[tuple[int, int]]]

log = get_logger(__name__)


class BrokerWatch:
    """Keeps the gauges of Kafka up to date; threads wait for it, the event loop does not.

    Args:
        settings: Where Kafka is, and the names of groups.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: Admin | None = None
        self._shown: dict[Gauge, set[tuple[str, ...]]] = {}
        self._is_away = False
        self._known: set[Gauge] = set()
        """What the look that is under way has shown."""
        self._workers = current().name_of(settings.processors.app_id)
        self._groups = {self._workers, *map(group_of, {*settings.sink.run, *OUTSIDE})}
        self._topics = {name for topic in TOPICS for name in (topic.name, topic.dead_letter_name)}

    async def run(self) -> None:
        """Look every 15 s until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Bring the gauges up to date; those that Kafka tells nothing of are shown no more."""
        self._known.clear()
        try:
            await self._look()
        except UnavailableError as error:
            count_error(STAGE, error)
            for gauge in self._shown.keys() - self._known:
                self._put(gauge, {})
            if not self._is_away:
                log.warning("Kafka cannot be looked at; it is tried again", error=str(error))
            self._is_away = True
        else:
            self._is_away = False

    async def _look(self) -> None:
        """Show one thing after the other: where a part of Kafka is away, what the rest tells is seen."""
        try:
            layout = await asyncio.to_thread(self._layout)
        except UnavailableError:
            metrics.brokers.BROKERS.set(0)
            raise
        ours = self._ours(layout)
        self._show_layout(layout.brokers, ours)
        self._show_offsets(*await asyncio.to_thread(self._offsets, ours))
        sizes = await topic_bytes(self._settings.kafka)
        self._put(metrics.brokers.TOPIC_BYTES, {(name,): sizes[name] for name in ours if name in sizes})

    def _layout(self) -> ClusterLayout:
        self._admin = self._admin or Admin(self._settings.kafka)
        return self._admin.cluster()

    def _offsets(self, ours: _Replicas) -> tuple[_Ranges, _Committed]:
        admin = self._admin = self._admin or Admin(self._settings.kafka)
        ranges = admin.log_ranges(
            (name, number) for name, found in ours.items() for number in range(len(found))
        )
        return ranges, {group: admin.committed(group) for group in self._groups}

    def _show_layout(self, brokers: int, ours: _Replicas) -> None:
        metrics.brokers.BROKERS.set(brokers)
        metrics.brokers.UNDER_REPLICATED.set(
            sum(in_sync < replicas for found in ours.values() for replicas, in_sync in found)
        )
        self._put(
            metrics.brokers.REPLICATION,
            {(name,): min(count for count, _ in found) for name, found in ours.items()},
        )

    def _show_offsets(self, ranges: _Ranges, committed: _Committed) -> None:
        records = _summed(((topic,), end - first) for (topic, _), (first, end) in ranges.items())
        self._put(metrics.brokers.TOPIC_RECORDS, records)
        lag = _summed(
            ((group, tp[0]), max(ranges[tp][1] - max(offset, ranges[tp][0]), 0))
            for group, offsets in committed.items()
            for tp, offset in offsets.items()
            if tp in ranges
        )
        self._put(metrics.brokers.GROUP_LAG, lag)

    def _ours(self, layout: ClusterLayout) -> _Replicas:
        """The topics of the contract that are there, and the checkpoints of the workers."""
        return {
            name: found
            for name, found in layout.replicas.items()
            # One that is being made has no partitions yet.
            if found
            and (name in self._topics or (name.startswith(f"{self._workers}-") and name.endswith(CHANGELOG)))
        }

    def _put(self, gauge: Gauge, values: Mapping[tuple[str, ...], int]) -> None:
        """Show these values alone: what is gone is shown no more."""
        for labels in self._shown.get(gauge, set()) - values.keys():
            gauge.remove(*labels)
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        self._shown[gauge] = set(values)
        self._known.add(gauge)


def _summed(parts: Iterable[tuple[tuple[str, ...], int]]) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for labels, value in parts:
        found[labels] = found.get(labels, 0) + value
    return found
