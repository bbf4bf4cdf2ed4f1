"""The health monitor in a server, over a real broker and a real database."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr

from infra.settings import DatabaseSettings, HealthSettings, LoggingSettings, Settings
from kandle.commands.events import events
from kandle.commands.status import status
from kandle.standing import standing
from schemas.errors import ConfigurationError, UnavailableError
from schemas.records import TimeMark
from schemas.topics import SIGNALS, TRADES
from serve.brokers import Brokers
from serve.health.groups import group_state
from sinks.migrator import migrate
from tests.chromium import Chromium, browser
from tests.serve_harness import Server, serving, with_serve
from tests.sink_harness import Log, fresh_topics, settings_for, url_of

pytestmark = pytest.mark.timeout(120)
NOBODY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def settings(kafka: str, postgres: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = settings_for(kafka, postgres())
    fresh_topics(found.kafka)
    migrate(url_of(found))
    return found.model_copy(
        update={
            "data_dir": tmp_path_factory.mktemp("health"),
            "health": HealthSettings(every_s=1, events=True),
        }
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    """A pipeline without any stage: servers, and nobody who reads."""
    with serving(settings) as running:
        yield running


def report(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/api/v1/health/services").json
    return found


def services(server: Server) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in report(server)["services"]}


def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def run(command: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """What a command says, with the servers of the settings."""
    assert settings.database.url is not None
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers or "")
    monkeypatch.setenv("DATABASE_URL", settings.database.url.get_secret_value())
    return CliRunner().invoke(command, [*arguments, "--data", str(settings.data_dir)])


def test_what_answers_is_healthy_and_what_nobody_runs_is_not(server: Server) -> None:
    until(lambda: all(each["last"] for each in services(server).values()))
    until(lambda: services(server)["process"]["status"] == "unhealthy")
    found = services(server)
    assert list(found)[:4] == ["kafka", "database", "produce", "process"]
    assert {found[name]["status"] for name in ("kafka", "database", "disk")} == {"healthy"}
    assert found["process"]["last"]["message"] == "nobody reads: the group kandle has no members"
    assert found["sink-notifications"]["critical"] is False
    whole = report(server)
    assert whole["status"] == "degraded"
    assert {"process", "sink-timescale"} <= set(whole["critical_failures"])


def test_three_failures_of_a_critical_service_are_an_event_of_their_own(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: services(server)["process"]["failures"] > 3)
    until(lambda: services(server)["sink-notifications"]["failures"] > 3)

    def told() -> list[tuple[str, str, str]]:
        answer = run(events, settings, monkeypatch, "--type", "health_check.*", "--json")
        assert answer.exit_code == 0, answer.output
        found = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
        return [(each["type"], each["severity"], each["data"]["service"]) for each in found]

    until(lambda: ("health_check.alert", "error", "process") in told())
    assert ("health_check.failed", "warning", "sink-notifications") in told()
    assert ("health_check.alert", "error", "sink-notifications") not in told()
    assert told().count(("health_check.alert", "error", "process")) == 1
    newest = run(events, settings, monkeypatch, "--limit", "2", "--severity", "error", "--since", "1h")
    assert newest.stdout.count("error     health_check.alert") == 2


def test_the_last_results_of_a_service_are_kept(server: Server) -> None:
    until(lambda: len(server.get("/api/v1/health/services/kafka/results").json["data"]) > 2)
    rows = server.get("/api/v1/health/services/kafka/results?limit=2").json["data"]
    assert len(rows) == 2
    assert rows[0]["time"] < rows[1]["time"]
    assert rows[1]["details"]["topics"] > 10
    missing = server.get("/api/v1/health/services/nothing/results")
    assert (missing.status, missing.headers["content-type"]) == (404, "application/problem+json")
    assert server.get("/api/v1/health/services/kafka/results?limit=1001").status == 422


def test_a_feed_becomes_a_service_and_is_missed_when_it_falls_silent(server: Server, kafka: str) -> None:
    log = Log(kafka)

    def delivers() -> None:
        log.put(TRADES, 0, [TimeMark("gateio", "gateio-spot-0", time.time_ns() // 1_000, False, "health")])

    def heard() -> bool:
        delivers()
        return services(server).get("venue-gateio", {}).get("status") == "healthy"

    until(heard)
    assert services(server)["produce"]["status"] == "healthy"
    until(lambda: services(server)["venue-gateio"]["status"] == "unhealthy")
    said = services(server)["venue-gateio"]["last"]
    assert services(server)["produce"]["status"] == "unhealthy"
    assert said["message"].startswith("silent for ")
    assert said["details"]["silent_s"] > 5

    log.put(TRADES, 0, [TimeMark("gateio", "gateio-spot-0", time.time_ns() // 1_000, True, "health")])
    until(lambda: "venue-gateio" not in services(server))
    until(lambda: services(server)["produce"]["status"] == "healthy")
    until(heard)


def test_the_status_is_the_servers(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: services(server)["process"]["status"] == "unhealthy")
    answer = run(status, settings, monkeypatch, "--json", "--url", server.url)
    # The server logs to the same output, since it is in this process.
    found = json.loads("{" + answer.stdout.partition("{")[2])
    first = ["status", "healthy", "total", "percentage", "critical_failures", "stages"]
    assert list(found)[:6] == first
    assert (answer.exit_code, found["status"], found["asked"]) == (3, "degraded", server.url)
    stage = next(each for each in found["stages"] if each["name"] == "process")
    assert stage == {
        "name": "process", "state": "unhealthy", "pid": None, "restarts": None, "lag_records": 0
    }  # fmt: skip
    shown = run(status, settings, monkeypatch, "--url", server.url).stdout
    assert "degraded: " in shown
    assert "nobody reads: the group kandle has no members" in shown


def test_without_a_server_everything_is_checked_once(settings: Settings, kafka: str) -> None:
    nowhere = with_serve(settings, port=1)
    Log(kafka).put(TRADES, 0, [TimeMark("mexc", "mexc-spot-0", time.time_ns() // 1_000, True, "health")])
    found = standing(nowhere, None)
    assert found["asked"] is None
    states = {each["name"]: each["status"] for each in found["services"]}
    assert (states["kafka"], states["database"], states["process"]) == ("healthy", "healthy", "unhealthy")
    broken = nowhere.model_copy(update={"database": DatabaseSettings(url=SecretStr(NOBODY))})
    states = {each["name"]: each["status"] for each in standing(broken, None)["services"]}
    assert (states["kafka"], states["database"]) == ("healthy", "error")


def test_what_cannot_be_asked_is_an_error(settings: Settings, server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        standing(settings, "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="a server is written like"):
        standing(settings, "127.0.0.1:8765")
    with pytest.raises(ConfigurationError, match="it answers 404"):
        standing(settings, f"{server.url}/nothing")
    idle = Settings(data_dir=tmp_path, logging=LoggingSettings())
    with pytest.raises(UnavailableError, match="nothing runs on"):
        standing(idle, None)
    with serving(with_serve(settings, token="a-long-word")) as guarded:
        with pytest.raises(ConfigurationError, match="wants its token"):
            standing(settings, guarded.url)
        known = with_serve(settings, token="a-long-word")
        assert standing(known, guarded.url)["asked"] == guarded.url
        quoted = urllib.parse.quote("sink-timescale")
        path = f"/api/v1/health/services/{quoted}/results"
        assert guarded.get(path).status == 401


@pytest.mark.skipif(browser() is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_shows_every_service_with_its_last_checks(server: Server, tmp_path: Path) -> None:
    until(lambda: services(server)["process"]["failures"] > 1)
    with Chromium(tmp_path) as seen:
        seen.open(f"{server.url}/")
        until(lambda: bool(seen.value("document.querySelectorAll('#health tr').length > 5")))
        said = seen.value("document.getElementById('health-note').textContent")
        assert " degraded: " in said
        assert "process" in said
        rows = "[...document.querySelectorAll('#health tr')]"
        row = f"{rows}.find((each) => each.textContent.startsWith('process'))"
        assert "nobody reads" in seen.value(f"{row}.textContent")
        assert seen.value(f"{row}.querySelector('.light').className") == "light bad"
        assert seen.value(f"{row}.querySelectorAll('.strip .bad').length") > 1
        assert "unhealthy" in seen.value(f"{row}.querySelector('.strip').getAttribute('aria-label')")
        seen.open(f"{server.url}/", width=375, height=812, phone=True)
        until(lambda: "nobody reads" in seen.value("document.getElementById('health').innerText"))
        table = "document.querySelector('.health .scroll')"
        assert seen.value(f"{table}.scrollWidth <= {table}.clientWidth")
        assert seen.value("document.documentElement.scrollWidth") == 375
        assert seen.said == []


async def test_a_group_is_late_by_the_age_of_what_it_has_not_committed(
    settings: Settings, kafka: str
) -> None:
    Log(kafka).put(TRADES, 0, [TimeMark("lagging", "s", time.time_ns() // 1_000, True, "health")])
    tp = TopicPartition(TRADES.name, 0, 0)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "health-lag", "enable.auto.commit": False})
    try:
        # Of a topic that it does not read any more, a group keeps its offsets for days. Nobody writes to this
        # one, while the server tells of failures without end.
        other = TopicPartition(SIGNALS.name, 0, 0)
        Log(kafka).put(SIGNALS, 0, [TimeMark("lagging", "s", 1, True, "health")])
        consumer.commit(offsets=[tp, other], asynchronous=False)
        consumer.subscribe([TRADES.name])
        until(lambda: consumer.poll(0.1) is not None)
        processors = settings.processors.model_copy(update={"app_id": "health-lag"})
        brokers = Brokers(settings.model_copy(update={"processors": processors}), fresh_s=0)
        states = [await group_state(brokers, "health-lag", late_s) for late_s in (0.001, 3_600)]
        assert [(state.members, state.late) for state in states] == [(1, 1), (1, 0)]
        assert states[0].lag_records == states[1].lag_records > 0
        ends = [
            TopicPartition(each.topic, 0, consumer.get_watermark_offsets(each)[1]) for each in (tp, other)
        ]
        consumer.commit(offsets=ends, asynchronous=False)
    finally:
        consumer.close()
    gone = await group_state(brokers, "health-lag", 0.001)
    assert (gone.members, gone.lag_records, gone.late) == (0, 0, 0)
