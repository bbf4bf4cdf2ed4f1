"""Reaching Kafka and the database from a command: the configured ones, or those of the data directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import SecretStr

from infra.embedded.cluster import broker, database, servers
from infra.embedded.endpoints import EndpointsFile
from infra.settings import DatabaseSettings, KafkaSettings, Settings
from schemas.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ReachedKafka:
    """Where Kafka is, and whether it was started for this command alone."""

    kafka: KafkaSettings
    started: bool


@dataclass(frozen=True, slots=True)
class ReachedDatabase:
    """Where the database is, and whether it was started for this command alone."""

    database: DatabaseSettings
    started: bool


@contextmanager
def reach_kafka(settings: Settings, *, may_make: bool = False) -> Iterator[ReachedKafka]:
    """Kafka for the time of a command.

    Args:
        settings: Where it is.
        may_make: A data directory that holds none yet gets one: for commands that say what a run shall do.

    Raises:
        ConfigurationError: None is configured, and the data directory holds none.
        KandleError: The embedded one cannot be started.
    """
    if settings.kafka.bootstrap_servers:
        yield ReachedKafka(settings.kafka, started=False)
        return
    if not may_make:
        _check_present(settings.data_dir, "kafka", "KAFKA_BOOTSTRAP_SERVERS")
    idle = _is_idle(settings.data_dir, "Kafka")
    with broker(settings.data_dir) as servers:
        yield ReachedKafka(settings.kafka.model_copy(update={"bootstrap_servers": servers}), started=idle)


@contextmanager
def reach_database(settings: Settings, *, may_make: bool = False) -> Iterator[ReachedDatabase]:
    """The database for the time of a command.

    Args:
        settings: Where it is.
        may_make: A data directory that holds none yet gets one.

    Raises:
        ConfigurationError: None is configured, and the data directory holds none.
        KandleError: The embedded one cannot be started.
    """
    if settings.database.url:
        yield ReachedDatabase(settings.database, started=False)
        return
    if not may_make:
        _check_present(settings.data_dir, "postgres", "DATABASE_URL")
    idle = _is_idle(settings.data_dir, "PostgreSQL")
    with database(settings.data_dir) as url:
        yield ReachedDatabase(settings.database.model_copy(update={"url": SecretStr(url)}), started=idle)


@contextmanager
def reach_servers(settings: Settings, *, may_make: bool = False) -> Iterator[Settings]:
    """Kafka and the database for the time of a command: the settings, with both filled in.

    Args:
        settings: Where they are.
        may_make: A data directory that lacks one of them gets it.

    Raises:
        ConfigurationError: One of them is not configured, and the data directory does not hold it.
        KandleError: An embedded one cannot be started.
    """
    if settings.kafka.bootstrap_servers or settings.database.url:
        with (
            reach_kafka(settings, may_make=may_make) as kafka,
            reach_database(settings, may_make=may_make) as base,
        ):
            yield settings.model_copy(update={"kafka": kafka.kafka, "database": base.database})
        return
    if not may_make:
        _check_present(settings.data_dir, "kafka", "KAFKA_BOOTSTRAP_SERVERS")
        _check_present(settings.data_dir, "postgres", "DATABASE_URL")
    _is_idle(settings.data_dir, "Kafka and PostgreSQL")
    with servers(settings.data_dir) as (brokers, url):
        kafka_found = settings.kafka.model_copy(update={"bootstrap_servers": brokers})
        database_found = settings.database.model_copy(update={"url": SecretStr(url)})
        yield settings.model_copy(update={"kafka": kafka_found, "database": database_found})


def _is_idle(data_dir: Path, server: str) -> bool:
    """Whether nothing runs on the directory; says so, since a start takes some seconds."""
    idle = EndpointsFile(data_dir).read_live() is None
    if idle:
        click.echo(f"starting the {server} of {data_dir} for this command ...", err=True)
    return idle


def _check_present(data_dir: Path, part: str, variable: str) -> None:
    if not (data_dir / part).is_dir():
        raise ConfigurationError(
            f"{data_dir} holds no {part} data: run `kandle up` there first, name another directory "
            f"(--data DIR), or set {variable}"
        )
