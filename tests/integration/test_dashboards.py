"""Every query of every dashboard, asked of a database and a Prometheus beside a pipeline that runs."""

import datetime
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml  # type: ignore[import-untyped]

from tests.grafana_files import Asked, dashboards, metric_names, queries
from tests.grafana_macros import Value, as_promql, with_macros, with_variables
from tests.markdown_blocks import fenced
from tests.observed_pipeline import Observed, observed_pipeline
from tests.prometheus_server import FOLDER, SCRAPE_S

pytestmark = pytest.mark.timeout(400)
RULES = [
    pytest.param(rule["expr"], id=rule.get("alert", rule.get("record")))
    for file in sorted((FOLDER / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
SQL = [each for each in queries() if each.sql]
PROMQL = [each for each in queries() if each.promql]
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
NEEDS_AN_INCIDENT = {
    *("kandle_feed_ended", "kandle_gaps_given_up_total", "kandle_frames_shed_total"),
    *("kandle_publish_errors_total", "kandle_commit_retries_total"),
}
"""What this run does not come to; tests of rules give these values, dashboards show 0 instead."""


DATABASES = ["native", "timescale"] if os.environ.get("KANDLE_TEST_TIMESCALE_URL") else ["native"]


@pytest.fixture(scope="module", params=DATABASES)
def observed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """One run for all queries, and one more on TimescaleDB where there is one."""
    database = request.getfixturevalue("timescale")() if request.param == "timescale" else None
    with observed_pipeline(tmp_path_factory.mktemp("observed"), database) as found:
        yield found


@pytest.fixture(scope="module")
def variables(observed: Observed) -> dict[str, Value]:
    """What a person would choose: of each variable the first option, all where several may be."""
    chosen: dict[str, Value] = {}
    for variable in dashboards()["kandle-market"]["templating"]["list"]:
        if variable["type"] == "query":
            _, rows = ask(observed, variable["query"], chosen)
            options = [str(row[0]) for row in rows]
            assert options, variable["name"]
            chosen[variable["name"]] = options if variable["multi"] else options[0]
    return chosen


def ask(
    observed: Observed, sql: str, chosen: dict[str, Value], interval: str = "1s"
) -> tuple[list[psycopg.Column], list[tuple[Any, ...]]]:
    """Ask as Grafana would."""
    span = replace(observed.span, interval=interval)
    text = with_macros(with_variables(sql, chosen, span), span)
    assert "$__" not in text
    with psycopg.connect(observed.dsn, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return list(cursor.description or []), cursor.fetchall()


@pytest.mark.parametrize("asked", SQL, ids=str)
def test_a_query_of_the_database_answers_what_its_panel_draws(
    asked: Asked, observed: Observed, variables: dict[str, Value]
) -> None:
    columns, rows = ask(observed, asked.sql or "", variables)
    assert rows
    names = [column.name for column in columns]
    assert len(names) == len(set(names))
    cells = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    match asked.kind:
        case "variable":
            assert len(names) == 1
            assert all(isinstance(cell, str) for cell in cells[names[0]])
        case "annotation":
            assert names == ["time", "text", "tags"]
            _is_time(cells["time"])
        case "table":
            assert any(cell is not None for row in rows for cell in row)
        case "stat":
            assert len(names) == len(rows) == 1
            _are_numbers(cells[names[0]])
        case _:
            assert names[0] == "time"
            _is_time(cells["time"])
            if asked.target["format"] == "time_series":
                assert names[1:] == ["metric", "value"]
                assert all(isinstance(cell, str) for cell in cells.pop("metric"))
            else:
                assert len(set(cells["time"])) == len(rows), "one row a moment"
            if asked.kind == "candlestick" and asked.target["format"] == "table":
                assert names[1:] == ["open", "high", "low", "close", "volume"]
            for name in cells.keys() - {"time"}:
                _are_numbers(cells[name])


@pytest.mark.parametrize("asked", [each for each in SQL if "$__interval" in (each.sql or "")], ids=str)
def test_every_width_of_a_step_that_grafana_chooses_is_understood(
    asked: Asked, observed: Observed, variables: dict[str, Value]
) -> None:
    counts = [
        len(ask(observed, asked.sql or "", variables, interval)[1])
        for interval in ("200ms", "1s", "15s", "1m", "6h", "7d")
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] >= 1


def test_no_indicator_to_choose_is_no_error(observed: Observed, variables: dict[str, Value]) -> None:
    (asked,) = [each for each in SQL if "$overlay" in (each.sql or "")]
    _, rows = ask(observed, asked.sql or "", {**variables, "overlay": []})
    assert not rows


def _is_time(cells: list[Any]) -> None:
    assert all(isinstance(cell, datetime.datetime) and cell.tzinfo is not None for cell in cells)
    assert cells == sorted(cells), "Grafana takes series as they come"


def _are_numbers(cells: list[Any]) -> None:
    assert all(isinstance(cell, int | float | Decimal) for cell in cells)
    assert all(math.isfinite(cell) for cell in cells)


@pytest.mark.parametrize("asked", PROMQL, ids=str)
def test_a_query_of_prometheus_is_not_empty(asked: Asked, observed: Observed) -> None:
    span = observed.span
    promql = as_promql(asked.promql or "", span, SCRAPE_S)
    if asked.target["instant"]:
        found = observed.prometheus.now(promql)
        values = [float(series["value"][1]) for series in found]
    else:
        found = observed.prometheus.series(promql, span.begin.timestamp(), span.end.timestamp())
        values = [float(value) for series in found for _, value in series["values"]]
    assert any(math.isfinite(value) for value in values), promql
    labels = {name for series in found for name in series["metric"]}
    wanted = asked.target["legendFormat"].replace("}}", "{{").split("{{")[1::2]
    assert labels >= set(wanted) or "vector(0)" in promql, "the legend names labels that the series have"


@pytest.mark.parametrize("expression", RULES)
def test_what_a_rule_looks_at_is_there(expression: str, observed: Observed) -> None:
    """An alert that is quiet is empty: each of its series is asked for, without the threshold."""
    span = observed.span
    for name in metric_names(expression) - NEEDS_AN_INCIDENT:
        assert observed.prometheus.series(name, span.begin.timestamp(), span.end.timestamp()), name
    observed.prometheus.now(expression)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_prometheus_understands_what_a_runbook_asks_it(page: Path, observed: Observed) -> None:
    asked = [line for block in fenced(page, "promql") for line in block.splitlines()]
    for promql in asked:
        observed.prometheus.now(promql)
        names = metric_names(promql) - NEEDS_AN_INCIDENT
        assert all(map(observed.prometheus.now, names)), promql


def test_prometheus_scrapes_every_stage_and_reads_every_rule(observed: Observed) -> None:
    jobs = {series["metric"]["job"] for series in observed.prometheus.now("up == 1")}
    assert jobs == {f"kandle-{stage}" for stage in ("simulate", "produce", "process", "sink", "serve")}
    groups = observed.prometheus.get("rules")["groups"]
    assert len(groups) == len(list((FOLDER / "rules").glob("*.yml")))
    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"])


def test_an_alert_tells_of_the_record_that_nobody_could_read(observed: Observed) -> None:
    fired = [each for each in observed.prometheus.get("alerts")["alerts"] if each["state"] == "firing"]
    names = {each["labels"]["alertname"] for each in fired}
    assert "KandleDeadLettersGrowing" in names
    assert not names & {"KandleStageDown", "KandleStageMissing", "KandleReplicationFactorOne"}
    told = [text for each in fired for text in each["annotations"].values()]
    assert not [text for text in told if "<no value>" in text or "error" in text]
