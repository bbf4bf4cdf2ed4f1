"""What a publisher shows to wait while Kafka is away."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError


async def test_a_publisher_that_has_let_go_holds_nothing() -> None:
    def depth() -> float | None:
        return REGISTRY.get_sample_value("kandle_queue_depth", {"queue": "publish-deep"})

    publisher = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:1"), client_id="deep")
    await publisher.publish("t", b"x")
    publisher.poll()
    assert depth() == 1
    with pytest.raises(UnavailableError):
        await publisher.close(0.1)
    assert depth() == 0
