"""`kandle up` on a simulated market with faults, and a Prometheus that scrapes it: what dashboards show."""

from __future__ import annotations

import datetime
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from schemas.topics import TRADES
from tests.grafana_macros import Range
from tests.kandle_command import endpoints, processes_of, start, wait_until
from tests.notification_receivers import web
from tests.prometheus_server import Prometheus, prometheus

SETTINGS = """
[producer]
channels = ["trades", "quotes", "books", "tickers"]
[simulator]
# Gaps that REST fills, breaks of the connection, a refused request. The market begins before anybody listens.
faults = [{faults}]
[processors]
intervals = ["1s", "1m"]
live = ["1s"]
grace_ms = 200
indicators = ["sma(3)", "ema(3)", "rsi(3)", "macd(2,4,2)"]
signals = ["moving_average_crossover(2,4)"]
signal_on_incomplete = true
[notifications]
allow_private = true
channels.desk.url = "{good}"
channels.mail.url = "{bad}"
[[notifications.rules]]
name = "all"
channels = ["desk", "mail"]
"""
FAULTS = (
    "429@0:1",
    *(f"gap@{frame}:20/trades" for frame in range(500, 60_000, 900)),
    *(f"disconnect@{frame}:5" for frame in range(1_000, 60_000, 1_300)),
)
RAREST_ROWS = (
    "SELECT 1 FROM signals",
    "SELECT 1 FROM candles OFFSET 20",
    "SELECT 1 FROM notifications_sent",
    "SELECT 1 FROM system_events WHERE type = 'provider.disconnected'",
)
RAREST_FIGURES = (
    "kandle_kafka_group_lag_records",
    "kandle_health_overall",
    "kandle_dead_letters_total",
    "kandle_gaps_total",
    "kandle_reconnects_total",
    "kandle_book_resyncs_total",
    "kandle_serve_request_seconds_count",
    "kandle_event_age_seconds_count{hop='signal'}",
    "kandle_notification_breaker_state == 2",
)
"""What comes last, of a run that has something for every panel."""

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Observed:
    """A pipeline that runs, and what Grafana would ask.

    Attributes:
        dsn: Of the database, as the login that Grafana has: it may read the views, nothing else.
        began: When the run did.
    """

    prometheus: Prometheus
    dsn: str
    began: datetime.datetime

    @property
    def span(self) -> Range:
        """From the begin of the run until now."""
        return Range(self.began, datetime.datetime.now(datetime.UTC))

    def column(self, sql: str) -> list[Any]:
        """The first column of an answer."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return [row[0] for row in connection.execute(sql.encode()).fetchall()]


@contextmanager
def observed_pipeline(folder: Path, database: str | None = None) -> Iterator[Observed]:
    """Run everything until each dashboard has something to show, and end it afterwards.

    Args:
        folder: Empty; settings, data and logs.
        database: Its owner's URL; otherwise the PostgreSQL that is brought along.

    Raises:
        TimeoutError: It did not come to that.
    """
    began = datetime.datetime.now(datetime.UTC)
    data = folder / "data"
    with web() as receivers:
        good, bad = receivers.receiver("desk"), receivers.receiver("mail", status=503)
        (folder / "kandle.toml").write_text(
            SETTINGS.format(good=good.url, bad=bad.url, faults=", ".join(f'"{fault}"' for fault in FAULTS))
        )
        running = start(
            *("up", "--feed", "simulated", "--symbols", "BTC/USDT,ETH/USDT", "--data", str(data)),
            cwd=folder,
            **({"DATABASE_URL": database} if database else {}),
        )
        try:
            targets = data / "prometheus" / "targets.json"
            _wait(running, targets.exists)
            owner = database or str(endpoints(data)["postgres"]["dsn"])
            with prometheus(folder, targets) as server, _reader(running, owner) as reader:
                found = Observed(server, reader, began)
                _disturb(data)
                _wait(running, lambda: _is_shown(found, data))
                yield found
        finally:
            _end(running, data)


def _wait(running: subprocess.Popen[str], condition: Callable[[], object]) -> None:
    def met() -> bool:
        if running.poll() is not None:
            raise AssertionError(f"kandle up has ended: {running.communicate()}")
        return bool(condition())

    wait_until(met, timeout_s=PATIENCE_S, pause_s=0.2)


def _end(running: subprocess.Popen[str], data: Path) -> None:
    """At once: nobody wants what is on its way, and the kernel ends what the command has started."""
    running.kill()
    running.communicate()
    wait_until(lambda: not processes_of(data), timeout_s=PATIENCE_S)


@contextmanager
def _reader(running: subprocess.Popen[str], owner: str) -> Iterator[str]:
    """A login as docs/grafana.md makes one."""

    def is_migrated() -> bool:
        with psycopg.connect(owner, autocommit=True) as connection:
            return connection.execute("SELECT to_regclass('public.candles')").fetchone() != (None,)

    _wait(running, is_migrated)
    name = f"grafana_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'read-only' IN ROLE kandle_reader".encode())
    yield f"postgresql://{name}:read-only@{owner.rpartition('@')[2]}"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {name}".encode())


def _disturb(data: Path) -> None:
    """A record that nobody can read."""
    producer = Producer({"bootstrap.servers": endpoints(data)["kafka"]["bootstrap_servers"]})
    producer.produce(TRADES.name, key=b"binance|BTC/USDT", value=b"no record at all")
    producer.flush(10)


def _is_shown(found: Observed, data: Path) -> bool:
    """Whether the rarest figures are there; asks the page for something meanwhile."""
    url = endpoints(data)["stages"].get("serve", {}).get("url")
    if url is None:
        return False
    try:
        with urllib.request.urlopen(f"{url}/api/v1/instruments", timeout=5) as answer:
            answer.read()
    except OSError:
        return False
    rows = all(found.column(f"{sql} LIMIT 1") for sql in RAREST_ROWS)
    return rows and all(map(found.prometheus.now, RAREST_FIGURES))
