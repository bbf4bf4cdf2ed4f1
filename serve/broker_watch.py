"""Looks at Kafka itself, for the metrics: brokers, replicas, records and bytes of topics, lag of groups."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import Gauge

from infra import metrics
from infra.kafka.admin import ClusterLayout
from infra.kafka.log_dirs import topic_bytes
from infra.logging import get_logger
from infra.metrics.stages import count_error
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError
from serve.brokers import Brokers, Positions

EVERY_S: Final = 15.0
STAGE: Final = "serve"
_Replicas = Mapping[str, Sequence[tuple[int, int]]]

log = get_logger(__name__)


class BrokerWatch:
    """Keeps the gauges of Kafka up to date; threads wait for it, the event loop does not.

    Args:
        settings: Where Kafka is, for the sizes of topics.
        brokers: The same, asked for all else.
    """

    def __init__(self, settings: KafkaSettings, brokers: Brokers) -> None:
        self._settings = settings
        self._brokers = brokers
        self._shown: dict[Gauge, set[tuple[str, ...]]] = {}
        self._is_away = False
        self._known: set[Gauge] = set()
        """What the look that is under way has shown."""

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
            layout = await self._brokers.layout()
        except UnavailableError:
            metrics.brokers.BROKERS.set(0)
            raise
        ours = self._ours(layout)
        self._show_layout(layout.brokers, ours)
        self._show_offsets(await self._brokers.positions())
        sizes = await topic_bytes(self._settings)
        self._put(metrics.brokers.TOPIC_BYTES, {(name,): sizes[name] for name in ours if name in sizes})

    def _show_layout(self, brokers: int, ours: _Replicas) -> None:
        metrics.brokers.BROKERS.set(brokers)
        metrics.brokers.UNDER_REPLICATED.set(
            sum(in_sync < replicas for found in ours.values() for replicas, in_sync in found)
        )
        self._put(
            metrics.brokers.REPLICATION,
            {(name,): min(count for count, _ in found) for name, found in ours.items()},
        )

    def _show_offsets(self, found: Positions) -> None:
        records = _summed(((topic,), end - first) for (topic, _), (first, end) in found.ranges.items())
        self._put(metrics.brokers.TOPIC_RECORDS, records)
        lag = _summed(
            ((group, topic), waiting)
            for group in found.groups
            for (topic, _), waiting in found.lag(group).items()
        )
        self._put(metrics.brokers.GROUP_LAG, lag)

    def _ours(self, layout: ClusterLayout) -> _Replicas:
        """The topics of the contract that are there, and the checkpoints of the workers."""
        return {
            name: found
            for name, found in layout.replicas.items()
            # One that is being made has no partitions yet.
            if found and self._brokers.is_ours(name)
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
