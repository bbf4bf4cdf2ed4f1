"""Asking a broker that has just come up."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError


def answers(*codes: int) -> Any:
    """A request that fails with these codes, one a call, and is answered after them."""
    left = list(codes)

    def request(_: AdminClient) -> Mapping[str, Future[str]]:
        future: Future[str] = Future()
        if left:
            future.set_exception(KafkaException(KafkaError(left.pop(0), "ConsumerGroupDescribe: ")))
        else:
            future.set_result("found")
        return {"group": future}

    return request


def test_a_group_is_asked_for_again_while_its_coordinator_loads() -> None:
    admin = Admin(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    settling = (
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    )
    assert admin._ask(answers(*settling)) == {"group": "found"}


def test_what_does_not_pass_is_named_where_the_broker_gives_no_reason() -> None:
    admin = Admin(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(UnavailableError, match=r"ConsumerGroupDescribe \(GROUP_AUTHORIZATION_FAILED\)"):
        admin._ask(answers(KafkaError.GROUP_AUTHORIZATION_FAILED))


def test_an_answer_comes_though_another_thread_has_put_a_new_client_in_its_place() -> None:
    admin = Admin(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    is_asked, failures = threading.Event(), list[UnavailableError]()

    def ask() -> None:
        def request(client: AdminClient) -> Mapping[str, Future[Any]]:
            found: Mapping[str, Future[Any]] = client.describe_consumer_groups(["group"], request_timeout=1.0)
            is_asked.set()
            return found

        try:
            admin._ask(request, patience_s=0.0)
        except UnavailableError as error:
            failures.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    assert is_asked.wait(20)
    admin._client = admin._new_client()
    asking.join(20)
    assert len(failures) == 1
