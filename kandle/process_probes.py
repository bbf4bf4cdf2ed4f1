"""The port of a stage's process: metrics, and probes by the checks that the stage makes."""

from infra import metrics
from infra.probes import READINESS, KafkaWatch, serve
from infra.settings import Settings

CHECKS = {
    "produce": ("feed",),
    "process": ("partitions",),
    "serve": ("database",),
    "simulate": ("listening",),
}
"""What each stage looks at besides Kafka; the sinks by the settings. docs/health.md says what each means."""
SHOWS_READY = frozenset({"produce", "serve", "simulate"})
"""The other stages show of each of their parts whether it is ready."""


def checks_of(stage: str, settings: Settings) -> tuple[str, ...]:
    """What must pass for the process of a stage to be ready, besides Kafka."""
    if stage == "sink":
        return tuple(f"sink-{name}" for name in settings.sink.run)
    return CHECKS[stage]


def start_probes(stage: str, settings: Settings) -> None:
    """Answer on the metrics port from now on.

    Raises:
        OSError: The port is taken.
    """
    READINESS.expect(*checks_of(stage, settings))
    metrics.show_process(settings.data_dir)
    if stage in SHOWS_READY:
        metrics.stages.READY.labels(stage).set_function(lambda: float(READINESS.is_ready))
    serve(settings.metrics, READINESS)


def watch_kafka(settings: Settings) -> None:
    """Look after Kafka until the process ends; nothing where no Kafka is configured.

    Raises:
        ConfigurationError: Kafka's settings contradict each other.
    """
    if settings.kafka.bootstrap_servers:
        KafkaWatch(settings.kafka, READINESS).start()
