"""A broker that was starved counts as lost and names no broker, not even itself: whoever asks goes on."""

import time

import pytest

from infra.kafka import admin as administration
from infra.kafka.admin import Admin
from infra.probes import KafkaWatch, Readiness
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError
from tests.lost_broker import lost_broker


@pytest.mark.parametrize("names_itself", [0, 1, 2])
def test_the_watch_of_kafka_tells_it_and_lives(names_itself: int) -> None:
    readiness = Readiness()
    with lost_broker(names_itself) as servers:
        KafkaWatch(KafkaSettings(bootstrap_servers=servers), readiness).start()
        deadline = time.monotonic() + 30
        while "does not answer" not in readiness.checks["kafka"]:
            assert time.monotonic() < deadline, readiness.checks
            time.sleep(0.02)


def test_ids_of_topics_are_not_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration, "PASSING_S", 0.3)
    with lost_broker(names_itself=1) as servers, pytest.raises(UnavailableError, match="does not answer"):
        Admin(KafkaSettings(bootstrap_servers=servers)).topic_ids(["market.trades.v1"])
