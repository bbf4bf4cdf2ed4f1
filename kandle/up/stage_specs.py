"""How `kandle up` runs each stage: the commands that a user would type, settings in the environment."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.embedded.child import ChildSpec
from infra.embedded.ports import free_ports, is_listening
from infra.settings import Settings
from kandle.up.feed import Feed
from kandle.up.page_feed import page_feed
from kandle.up.scrape import says_ready

EMBEDDED_SESSION_TIMEOUT_MS = 10_000
"""One machine, one network: a member that is silent so long is gone."""

WRONG_SETTINGS = frozenset({2})
"""Exit code after which a restart would be in vain."""

SERVERS = ("kafka", "postgres")
"""What the stages need, where it runs here too."""


class StageSpecs:
    """Makes the specifications of the stages.

    Args:
        settings: In force for this run; names the Kafka and the database to use.
        feed: Where the trades come from.
        embedded_kafka: Whether the broker is ours, alone on this machine.
    """

    def __init__(self, settings: Settings, feed: Feed, *, embedded_kafka: bool) -> None:
        self._feed = feed
        self._fed, self._made = page_feed(settings, feed)
        self._data_dir = settings.data_dir.resolve()
        ports = free_ports(7)
        self._simulator_port = ports[0]
        self._metrics = dict(
            zip(("simulate", "produce", "process", "sink", "serve"), ports[1:6], strict=True)
        )
        wished = settings.serve.port
        self._page_host = settings.serve.host
        # Another run on this machine may have taken the usual port.
        self._page_port = ports[6] if not wished or is_listening(wished, self._page_host) else wished
        url = settings.database.url
        common: dict[str, Any] = {
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "DATABASE_URL": url.get_secret_value() if url else None,
            "KANDLE_RUN_ID": settings.run_id,
            "KANDLE_DATA_DIR": self._data_dir,
            "KANDLE_PROCESSORS__INSTANCE_ID": settings.processors.instance_id or "worker-0",
            "KANDLE_SINK__INSTANCE_ID": settings.sink.instance_id or "sink-0",
        }
        if embedded_kafka:
            common["KANDLE_KAFKA__SESSION_TIMEOUT_MS"] = EMBEDDED_SESSION_TIMEOUT_MS
        self._environment = {**os.environ, **{k: str(v) for k, v in common.items() if v is not None}}

    def simulate(self) -> ChildSpec:
        """The simulator of a venue."""
        port = self._simulator_port
        extra: dict[str, Any] = {
            "KANDLE_SIMULATOR__PORT": port,
            "KANDLE_SIMULATOR__SPEED": self._feed.speed,
            "KANDLE_SIMULATOR__SYMBOLS": ",".join(self._feed.symbols),
        }
        if self._feed.capture is not None:
            extra["KANDLE_SIMULATOR__CAPTURE"] = self._feed.capture.path.resolve()
        return self._spec("simulate", extra, lambda: is_listening(port))

    def produce(self) -> ChildSpec:
        """The producer."""
        extra: dict[str, Any] = {
            "KANDLE_PRODUCER__VENUE": self._feed.venue,
            "KANDLE_PRODUCER__SYMBOLS": ",".join(self._feed.symbols),
            # It stays after the feed has ended, so that its totals can be read.
            "KANDLE_PRODUCER__EXIT_AT_END": "false",
            # It is the only one, and has its shard back at once when it is started again.
            "KANDLE_PRODUCER__INSTANCE_ID": "up",
            "KANDLE_METRICS__LAST_FILE": produced_file(self._data_dir),
        }
        if self._feed.simulated:
            extra["KANDLE_PRODUCER__WEBSOCKET_URL"] = f"ws://127.0.0.1:{self._simulator_port}"
            extra["KANDLE_PRODUCER__REST_URL"] = f"http://127.0.0.1:{self._simulator_port}"
        extra |= _named("PRODUCER", self._feed.producer | self._fed)
        return self._spec("produce", extra, None)

    def process(self) -> ChildSpec:
        """The Faust worker; ready once it has its partitions and their state."""
        return self._spec("process", _named("PROCESSORS", self._made), self._reports_ready("process"))

    def sink(self) -> ChildSpec:
        """Database and notifications; ready once it has its partitions."""
        return self._spec("sink", {}, self._reports_ready("sink"))

    def serve(self) -> ChildSpec:
        """The page and the API."""
        port, host = self._page_port, self._page_host
        spec = self._spec("serve", {"KANDLE_SERVE__PORT": port}, lambda: is_listening(port, host))
        return replace(spec, url=self.page)

    @property
    def page(self) -> str:
        """Where the page is."""
        host = f"[{self._page_host}]" if ":" in self._page_host else self._page_host
        return f"http://{host}:{self._page_port}"

    def _reports_ready(self, stage: str) -> Callable[[], bool]:
        port = self._metrics[stage]
        return lambda: says_ready(port)

    def _spec(self, stage: str, extra: dict[str, Any], ready: Callable[[], bool] | None) -> ChildSpec:
        port = self._metrics[stage]
        given = {name: str(value) for name, value in extra.items()}
        return ChildSpec(
            name=stage,
            argv=(sys.executable, "-m", "kandle", stage),
            environment={**self._environment, "KANDLE_METRICS__PORT": str(port), **given},
            fatal_codes=WRONG_SETTINGS,
            needs=SERVERS,
            ready=ready,
            metrics_port=port,
        )


def _named(section: str, values: dict[str, Any]) -> dict[str, str]:
    """Settings of a section as the environment names them."""
    texts = {
        name: ",".join(value) if isinstance(value, list) else str(value).lower()
        for name, value in values.items()
    }
    return {f"KANDLE_{section}__{name.upper()}": text for name, text in texts.items()}


def produced_file(data_dir: Path) -> Path:
    """Where the producer leaves its last metrics: what it counted while it was being stopped."""
    return data_dir.resolve() / "log" / "produce.metrics"
