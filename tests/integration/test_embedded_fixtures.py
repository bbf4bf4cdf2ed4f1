from collections.abc import Callable

import psycopg
from confluent_kafka.admin import AdminClient


def test_the_shared_broker_answers(kafka: str) -> None:
    metadata = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=5)
    assert list(metadata.brokers) == [1]


def test_every_test_gets_an_empty_database(postgres: Callable[[], str]) -> None:
    first, second = postgres(), postgres()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE mine (x int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
