"""Prometheus' configuration, rules and alerts, by promtool."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "prometheus"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def alerts() -> list[dict[str, Any]]:
    """Every alerting rule."""
    return [
        rule
        for file in sorted((FOLDER / "rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def promtool(*arguments: str) -> str:
    """What promtool says; skips the test where it is not installed.

    Raises:
        AssertionError: It found something wrong.
    """
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_promtool_accepts_the_configuration_and_its_rules(name: str) -> None:
    said = promtool("check", "config", str(FOLDER / name))
    assert said.count("rules found") == len(list((FOLDER / "rules").glob("*.yml")))


def test_prometheus_asks_for_the_services_of_the_compose_file_that_show_metrics() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    scraped = {
        name
        for name, service in services.items()
        if "KANDLE_METRICS__PORT" in service.get("environment", {}) and name != "migrate"
    }
    job = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) == scraped
    assert found["port"] == 9100


def test_the_folder_of_further_targets_is_there_to_be_watched() -> None:
    job = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]
    for files in job["file_sd_configs"]:
        assert all((FOLDER / name).parent.is_dir() for name in files["files"])


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_not_when_they_should_not(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_each_severity_of_each_alert_is_shown_to_fire_and_each_alert_to_be_quiet() -> None:
    fired: dict[str, set[str]] = defaultdict(set)
    quiet = set()
    for file in TESTS:
        for scenario in yaml.safe_load(file.read_text())["tests"]:
            for case in scenario["alert_rule_test"]:
                fired[case["alertname"]] |= {each["exp_labels"]["severity"] for each in case["exp_alerts"]}
                if not case["exp_alerts"]:
                    quiet.add(case["alertname"])
    expected: dict[str, set[str]] = defaultdict(set)
    for rule in alerts():
        expected[rule["alert"]].add(rule["labels"]["severity"])
    assert fired == expected
    assert quiet == set(expected)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: f"{rule['alert']} {rule['labels']['severity']}")
def test_each_alert_says_what_happened_with_its_value_and_where_to_read_on(rule: dict[str, Any]) -> None:
    name, notes = rule["alert"], rule["annotations"]
    assert re.fullmatch(r"Kandle[A-Z]\w+", name)
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert notes["summary"]
    assert "{{ $" in notes["description"] or name == "KandleStageMissing"
    assert notes["runbook_url"] == f"docs/runbooks/{name}.md"
