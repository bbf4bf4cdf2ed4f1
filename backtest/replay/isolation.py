"""What a namespace consists of, made and removed: topics, consumer groups, a database schema, local state."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from infra.embedded.directory_lock import DirectoryLock
from infra.kafka.admin import Admin
from infra.settings import DatabaseSettings, KafkaSettings, Settings
from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from schemas.namespace import LIVE, Namespace, current
from schemas.topics import BY_BASE_NAME, DEAD_LETTER_SUFFIX, TOPICS
from sinks.sessions import Db, connected

FOLDER: Final = "namespaces"
"""Below the data directory."""
LOCK_TIMEOUT_MS: Final = 10_000
LOOK_EVERY_S: Final = 0.5
SPARE_S: Final = 10.0
"""A broker takes a moment longer than the session's timeout to miss a member."""
_CHANGELOG: Final = re.compile(r".+-checkpoints-changelog")
_GROUPS: Final = ("kandle-",)
"""How the groups of sinks and producers begin."""

Told = Callable[[str], None]


@dataclass(slots=True)
class Removed:
    """What was there and is gone.

    Attributes:
        topics: Their names.
        groups: Consumer groups.
        schema: The database schema; None: there was none.
        folder: The folder of logs and endpoints; None: there was none.
        left: Topics whose names begin alike, but which are none of ours: they are still there.
    """

    topics: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    schema: str | None = None
    folder: Path | None = None
    left: list[str] = field(default_factory=list)


def local_state(data_dir: Path, namespace: Namespace) -> Path:
    """The folder where a namespace's processes keep their logs."""
    return data_dir / FOLDER / namespace.prefix


def named(prefix: str) -> Namespace:
    """The namespace of a replay.

    Raises:
        ConfigurationError: The prefix is none, or it is the one that this process works in.
    """
    found = Namespace(prefix)
    if found == LIVE:
        raise ConfigurationError("a replay's namespace is to be named: without one, all is the live run's")
    if found == current():
        raise ConfigurationError(f"{found} is the namespace of the run that is replayed: name another one")
    return found


def make(admin: Admin, namespace: Namespace) -> None:
    """Create the topics of a namespace that are missing; blocks.

    Args:
        admin: Made of settings with the partition count that is wanted.
        namespace: Of the topics.

    Raises:
        ConfigurationError: One is there with other partitions.
        UnavailableError: Kafka does not answer.
    """
    admin.ensure_topics(topic.in_namespace(namespace) for topic in TOPICS)


def remove(settings: Settings, namespace: Namespace, told: Told = lambda _: None) -> Removed:
    """Remove a namespace; blocks. What is gone already is passed over, so that it can be called again.

    Args:
        settings: Where Kafka and the database are; without a URL of a database there is no schema.
        namespace: Which; not the live run's.
        told: Is told what takes longer.

    Raises:
        ConfigurationError: The namespace is that of the live run, or of this process.
        DirectoryLockedError: A replay runs in it.
        ConflictError: Workers or sinks of it are at work elsewhere, or its schema is none of ours.
        UnavailableError: Kafka or the database does not answer.
    """
    named(namespace.prefix)
    found = Removed()
    home = local_state(settings.data_dir, namespace)
    there = home.is_dir()
    with DirectoryLock(home):
        admin = Admin(settings.kafka)
        found.groups = sorted(_groups(admin, namespace, settings.processors.app_id))
        _await_members(admin, found.groups, settings.kafka, told)
        _remove_topics(admin, namespace, found)
        admin.delete_groups(found.groups)
        if settings.database.url is not None:
            _remove_schema(settings.database, namespace, found)
        shutil.rmtree(home)
    found.folder = home if there else None
    return found


def _groups(admin: Admin, namespace: Namespace, app_id: str) -> Iterator[str]:
    usual = (app_id, f"{app_id}-comparison", "kandle-timescale", "kandle-notifications")
    for name in admin.groups(map(namespace.name_of, usual)):
        base_name = namespace.base_name_of(name)
        if base_name is not None and base_name.startswith((*_GROUPS, app_id)):
            yield name


def _await_members(admin: Admin, groups: Collection[str], kafka: KafkaSettings, told: Told) -> None:
    """Wait for members that were killed: the broker misses them when their sessions end."""
    deadline = time.monotonic() + kafka.session_timeout_ms / 1000 + SPARE_S
    has_said = False
    for group in groups:
        while members := admin.members(group):
            if time.monotonic() > deadline:
                raise ConflictError(
                    f"{members} members of group {group} are at work: stop them, then drop the namespace"
                )
            if not has_said:
                told(f"waiting for the members of {group} to end")
                has_said = True
            time.sleep(LOOK_EVERY_S)


def _remove_topics(admin: Admin, namespace: Namespace, found: Removed) -> None:
    for name in admin.partition_counts():
        base_name = namespace.base_name_of(name)
        if base_name is None:
            continue
        is_ours = base_name.removesuffix(DEAD_LETTER_SUFFIX) in BY_BASE_NAME
        (found.topics if is_ours or _CHANGELOG.fullmatch(base_name) else found.left).append(name)
    found.topics.sort()
    found.left.sort()
    admin.delete_topics(found.topics)


def _remove_schema(database: DatabaseSettings, namespace: Namespace, found: Removed) -> None:
    """Drop the schema: partition by partition first, since the server has locks for some thousands only."""
    with _connected(database, namespace) as db:
        if not _asked(db, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'kandle')"):
            return
        if not _asked(db, "SELECT to_regclass('kandle.migrations') IS NOT NULL"):
            raise ConflictError(
                f"the schema {namespace.schema} holds no migrations of ours: it was made by somebody else"
            )
        if _asked(db, "SELECT to_regprocedure('kandle.drop_partition(regclass)') IS NOT NULL"):
            partitions = db.execute("SELECT partition::text FROM kandle.partitions()").fetchall()
            for (partition,) in partitions:
                db.execute("SELECT kandle.drop_partition(%s::regclass)", (partition,))
        db.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(namespace.schema)))
    found.schema = namespace.schema


def _asked(db: Db, query: str) -> bool:
    row = db.execute(query.encode()).fetchone()
    return bool(row and row[0])


@contextmanager
def _connected(settings: DatabaseSettings, namespace: Namespace) -> Iterator[Db]:
    with connected(settings, "replay", namespace) as db:
        # What cascades is told object by object.
        db.execute("SET client_min_messages = warning")
        db.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS)))
        try:
            yield db
        except psycopg.errors.LockNotAvailable as error:
            raise UnavailableError(f"somebody reads the tables of {namespace}: try again later") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(f"this user may not drop {namespace.schema}: {error}") from error
