"""Looks whether Kafka answers, for the readiness of a process."""

import threading
import time
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka.admin import OFFSETS_TOPIC
from infra.kafka.connection import librdkafka_config
from infra.probes.readiness import Readiness
from infra.settings import KafkaSettings

CHECK: Final = "kafka"
EVERY_S: Final = 2.0
ANSWER_S: Final = 3.0


class KafkaWatch:
    """A thread that asks the cluster who belongs to it, every two seconds.

    A connection of its own says it sooner than those of the stages, which wait for a broker without end, and
    costs their event loop nothing.

    Args:
        settings: Where Kafka is.
        readiness: Told what is found, as `kafka`.

    Raises:
        ConfigurationError: No brokers are configured.
    """

    def __init__(self, settings: KafkaSettings, readiness: Readiness) -> None:
        # That a broker is away is what is asked for here: nobody needs to read it in the log, every time.
        self._client = AdminClient(librdkafka_config(settings) | {"log_level": 0})
        self._readiness = readiness
        self._thread = threading.Thread(target=self._run, name="kafka watch", daemon=True)
        readiness.expect(CHECK)

    def start(self) -> None:
        """Begin to look, until the process ends."""
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._readiness.set(CHECK, self._objection())
            time.sleep(EVERY_S)

    def _objection(self) -> str | None:
        # Not by describing the cluster: librdkafka (2.16) ends the process where the answer names no broker,
        # as that of one which was starved and counts as lost. One topic, since there may be thousands.
        try:
            self._client.list_topics(OFFSETS_TOPIC, timeout=ANSWER_S)
        except KafkaException as error:
            return f"Kafka does not answer ({error.args[0].name()})"
        return None
