"""What is declared of metrics, and what is written of them."""

import json
from pathlib import Path

from click.testing import CliRunner
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from infra.metrics import GROUPS
from infra.metrics.declaration import LateGauge
from infra.metrics.page import page
from kandle.commands.metrics import metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
UNITS_IN_NAMES = ("seconds", "bytes")


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "docs/metrics.md is old; run: kandle metrics > docs/metrics.md"


def test_names_say_their_unit_where_it_is_time_or_size() -> None:
    for one in (one for group in GROUPS for one in group.declared):
        base = one.name.removesuffix("_total")
        for unit in UNITS_IN_NAMES:
            assert (unit in base.split("_")) == (one.unit == unit), one.name
        assert one.name.startswith("kandle_")
        assert one.meaning.endswith("."), one.name


def test_every_metric_that_the_package_registers_is_declared() -> None:
    registered = {family.name for family in REGISTRY.collect() if family.name.startswith("kandle_")}
    declared = {one.name.removesuffix("_total") for group in GROUPS for one in group.declared}
    assert registered <= declared


def test_a_gauge_without_labels_is_not_shown_before_its_first_value() -> None:
    registry = CollectorRegistry()
    gauge = LateGauge("brokers", "Brokers that are up.", registry=registry)
    assert "brokers" not in generate_latest(registry).decode()
    gauge.set(0)
    assert "\nbrokers 0.0\n" in generate_latest(registry).decode()


def test_the_command_lists_metrics_one_a_line() -> None:
    answer = CliRunner().invoke(metrics, ["--json"])
    lines = [json.loads(line) for line in answer.output.splitlines()]
    lag = next(line for line in lines if line["name"] == "kandle_lag_seconds")
    assert (lag["kind"], lag["unit"], lag["labels"]) == ("gauge", "seconds", ["stage", "topic"])
    assert len({line["name"] for line in lines}) == len(lines)
