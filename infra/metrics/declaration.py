"""How a metric is declared: once, with its unit, its labels and what it means.

What is declared is a metric of the Prometheus client, and a line of docs/metrics.md (`kandle metrics`). The
process that a group is of is the one whose port shows its values; others show no value of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

LATENCY_BUCKETS_S: Final = tuple(round(0.001 * 1.25**step, 6) for step in range(52))
"""1 ms to 87 s, each a quarter wider than the one before: percentiles to 12 % at worst."""
AGE_BUCKETS_S: Final = tuple(round(0.001 * 1.5**step, 6) for step in range(30))
"""1 ms to 128 s, each half as wide again: percentiles to 25 % at worst, with as few series as that needs."""
SIZE_BUCKETS: Final = tuple(float(4**step) for step in range(13))
"""1 to 16.8 million, each four times the one before."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is documented of a metric.

    Attributes:
        name: As it is scraped: a counter with its `_total`, a histogram without `_bucket`.
        unit: Of the value, or `state` where the meaning lists the numbers.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[str, ...]
    meaning: str


class LateGauge(Gauge):
    """A gauge without labels that is shown from its first value on.

    The client shows 0 for such a gauge in every process that has loaded it: no brokers, says a producer.
    """

    _was_set = False

    def set(self, value: float) -> None:
        """Show this value from now on."""
        self._was_set = True
        super().set(value)

    def collect(self) -> list[Metric]:
        """The family, or nothing before the first value."""
        return list(super().collect()) if self._was_set else []


@dataclass(slots=True)
class Group:
    """The metrics of one kind of process, or of one thing that several do.

    Args:
        title: Heading in the documentation.
        processes: Which processes show values, in a few words.
    """

    title: str
    processes: str
    declared: list[Declaration] = field(default_factory=list)

    def counter(self, name: str, unit: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        """A count that only grows; its name is scraped with `_total`."""
        self.declared.append(Declaration(f"{name}_total", "counter", unit, tuple(labels), meaning))
        return Counter(name, meaning, labels)

    def gauge(self, name: str, unit: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        """A value that goes up and down."""
        self.declared.append(Declaration(name, "gauge", unit, tuple(labels), meaning))
        return Gauge(name, meaning, labels) if labels else LateGauge(name, meaning)

    def histogram(
        self,
        name: str,
        unit: str,
        meaning: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
    ) -> Histogram:
        """Counts by size, for percentiles."""
        self.declared.append(Declaration(name, "histogram", unit, tuple(labels), meaning))
        return Histogram(name, meaning, labels, buckets=buckets)
