"""Looks at Kafka itself, for the metrics: brokers, replicas, records and bytes of topics, lag of groups."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    layout: ClusterLayout
    ranges: _Ranges
    committed: dict[str, dict[tuple[str, int], int]]
    sizes: dict[str, int]


class BrokerWatch:
    """Keeps the gauges of Kafka up to date; threads wait for it, the event loop does not.

    Args:
        settings: Where Kafka is, and the names of groups.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: Admin | None = None
        self._shown: dict[Gauge, set[tuple[str, ...]]] = {}
        self._workers = current().name_of(settings.processors.app_id)
        self._groups = {self._workers, *map(group_of, {*settings.sink.run, *OUTSIDE})}
        self._topics = {name for topic in TOPICS for name in (topic.name, topic.dead_letter_name)}

    async def run(self) -> None:
        """Look every 15 s until cancelled."""
        is_away = False
        while True:
            try:
                self._show(await self._look())
            except UnavailableError as error:
                metrics.brokers.BROKERS.set(0)
                count_error(STAGE, error)
                if not is_away:
                    log.warning("Kafka cannot be looked at; it is tried again", error=str(error))
                is_away = True
            else:
                is_away = False
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> _Look:
        layout, ranges, committed = await asyncio.to_thread(self._ask)
        return _Look(layout, ranges, committed, await topic_bytes(self._settings.kafka))

    def _ask(self) -> tuple[ClusterLayout, _Ranges, dict[str, dict[tuple[str, int], int]]]:
        admin = self._admin = self._admin or Admin(self._settings.kafka)
        layout = admin.cluster()
        ranges = admin.log_ranges(
            (name, number) for name in self._ours(layout) for number in range(len(layout.replicas[name]))
        )
        return layout, ranges, {group: admin.committed(group) for group in self._groups}

    def _show(self, look: _Look) -> None:
        ours = {name: look.layout.replicas[name] for name in self._ours(look.layout)}
        metrics.brokers.BROKERS.set(look.layout.brokers)
        metrics.brokers.UNDER_REPLICATED.set(
            sum(in_sync < replicas for found in ours.values() for replicas, in_sync in found)
        )
        replication: dict[tuple[str, ...], int] = {
            (name,): min(count for count, _ in found) for name, found in ours.items()
        }
        self._put(metrics.brokers.REPLICATION, replication)
        records = _summed(((topic,), end - first) for (topic, _), (first, end) in look.ranges.items())
        self._put(metrics.brokers.TOPIC_RECORDS, records)
        self._put(metrics.brokers.TOPIC_BYTES, {(name,): look.sizes.get(name, 0) for name in ours})
        lag = _summed(
            ((group, tp[0]), max(look.ranges[tp][1] - offset, 0))
            for group, offsets in look.committed.items()
            for tp, offset in offsets.items()
            if tp in look.ranges
        )
        self._put(metrics.brokers.GROUP_LAG, lag)

    def _ours(self, layout: ClusterLayout) -> list[str]:
        """The topics of the contract that are there, and the checkpoints of the workers."""
        return [
            name
            for name in layout.replicas
            if name in self._topics or (name.startswith(f"{self._workers}-") and name.endswith(CHANGELOG))
        ]

    def _put(self, gauge: Gauge, values: Mapping[tuple[str, ...], int]) -> None:
        """Show these values alone: what is gone is shown no more."""
        for labels in self._shown.get(gauge, set()) - values.keys():
            gauge.remove(*labels)
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        self._shown[gauge] = set(values)


def _summed(parts: Iterable[tuple[tuple[str, ...], int]]) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for labels, value in parts:
        found[labels] = found.get(labels, 0) + value
    return found
