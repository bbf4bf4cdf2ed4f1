"""What the errors of Kafka mean to whoever settles dead letters: mend something, wait, or nothing."""

import pytest
from confluent_kafka import KafkaError

from kandle.dead_letters.settling import fault_of
from schemas.errors import ConfigurationError, ConflictError, KandleError, UnavailableError

LOST = KafkaError._MSG_TIMED_OUT
PURGED = KafkaError._PURGE_QUEUE


@pytest.mark.parametrize(
    ("codes", "kind", "said"),
    [
        ([LOST], UnavailableError, "did not acknowledge a record for a"),
        ([KafkaError._TRANSPORT, PURGED], UnavailableError, "did not acknowledge a record for a"),
        ([KafkaError.NOT_ENOUGH_REPLICAS], UnavailableError, "did not acknowledge"),
        ([KafkaError.MSG_SIZE_TOO_LARGE, PURGED], ConfigurationError, "a does not take a record"),
        ([PURGED, KafkaError.TOPIC_AUTHORIZATION_FAILED], ConfigurationError, "b does not take a record"),
        ([PURGED, KafkaError._FENCED, LOST], ConflictError, "another kandle dlq"),
    ],
)
def test_a_lost_broker_is_no_refusal(codes: list[int], kind: type[KandleError], said: str) -> None:
    fault = fault_of([("abc"[number], KafkaError(code)) for number, code in enumerate(codes)])
    assert type(fault) is kind
    assert said in str(fault)
