"""The dashboards as files: current, whole, legible to Grafana, and asking for metrics that there are."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as Model

from infra.grafana.boards import DASHBOARDS
from infra.grafana.files import FOLDER, files_of
from infra.metrics import GROUPS
from tests.grafana_files import dashboards, metric_names, panels, queries

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "infra" / "grafana"
RULES = ROOT / "infra" / "prometheus" / "rules"
EVERY = sorted(dashboards())
OF_THE_CLIENT = {"process_resident_memory_bytes", "process_cpu_seconds_total", "up", "ALERTS"}
UNITS = {"none", "short", "percentunit", "s", "bytes", "Bps", "cps", "reqps", "suffix: bp"}
NOT_IN_THE_MODEL = re.compile(r"\.templating\.list\[\d\]\.definition|\.annotations\.list\[\d\]\.target\.")
"""What a data source's plug-in adds to variables and annotations; the model has it for panels alone."""


@pytest.fixture(params=EVERY)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each as Grafana reads it."""
    return dashboards()[request.param]


def test_the_files_are_those_that_the_boards_make() -> None:
    found = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
    assert found == files_of(DASHBOARDS), "python -m infra.grafana makes them anew"


def test_ids_are_unique_and_sources_are_provisioned(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    uids = [each["uid"] for each in dashboards().values()]
    assert len(uids) == len(set(uids))
    assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"])
    provisioned = {
        (source["type"], source["uid"])
        for source in yaml.safe_load((GRAFANA / "provisioning/datasources/kandle.yml").read_text())[
            "datasources"
        ]
    }
    for panel in panels(dashboard):
        sources = {(each["datasource"]["type"], each["datasource"]["uid"]) for each in panel["targets"]}
        assert sources == {(panel["datasource"]["type"], panel["datasource"]["uid"])}, "one source a panel"
        assert sources <= provisioned
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))


def test_panels_fill_the_grid_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_each_panel_says_what_it_shows_in_which_unit_and_why_it_may_be_empty(
    dashboard: dict[str, Any],
) -> None:
    titles = set()
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert len(panel["description"]) > 15, panel["title"]
        assert panel["description"][-1] in ".?", panel["title"]
        assert defaults["unit"] in UNITS, panel["title"]
        assert defaults["noValue"], panel["title"]
        assert (panel["title"], panel["gridPos"]["y"], panel["gridPos"]["x"]) not in titles
        titles.add((panel["title"], panel["gridPos"]["y"], panel["gridPos"]["x"]))
    assert dashboard["refresh"]
    assert dashboard["description"]


def test_grafanas_own_model_knows_every_option(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Model.from_json(json.loads(json.dumps(dashboard)))))
    lost = [path for path in _lost(dashboard, again, "") if not NOT_IN_THE_MODEL.match(path)]
    assert not lost, lost


def _lost(ours: Any, theirs: Any, path: str) -> list[str]:
    """Paths of what Grafana's model has dropped or changed."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [path]
        # A value without a colour of its own is written as no value.
        return [
            each
            for name, value in ours.items()
            if value is not None
            for each in (
                [f"{path}.{name}"] if name not in theirs else _lost(value, theirs[name], f"{path}.{name}")
            )
        ]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [path]
        return [
            each
            for place, pair in enumerate(zip(ours, theirs, strict=True))
            for each in _lost(*pair, f"{path}[{place}]")
        ]
    return [] if ours == theirs else [path]


def test_every_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    known = set(OF_THE_CLIENT)
    for group in GROUPS:
        for one in group.declared:
            names = (
                {f"{one.name}_{end}" for end in ("bucket", "sum", "count")}
                if one.kind == "histogram"
                else {one.name}
            )
            known |= names
    rules = [
        rule
        for file in RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    asked = [(each.place, each.promql) for each in queries() if each.promql]
    asked += [(rule.get("alert", rule.get("record")), rule["expr"]) for rule in rules]
    assert len(asked) > 90
    for place, text in asked:
        names = metric_names(text)
        assert names, place
        assert names <= known | recorded, place


def test_every_variable_of_the_sources_is_documented_and_set_in_the_compose_file() -> None:
    sources = (GRAFANA / "provisioning" / "datasources" / "kandle.yml").read_text()
    wanted = set(re.findall(r"\$\{?(GRAFANA_\w+)", sources))
    documented = set(re.findall(r"`(GRAFANA_\w+)`", (ROOT / "docs" / "grafana.md").read_text()))
    assert wanted == documented
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert wanted <= set(services["grafana"]["environment"])


def test_states_have_texts_and_no_colours_of_limits(dashboard: dict[str, Any]) -> None:
    """A timeline that is coloured by limits shows the span between two of them in the place of the text."""
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] == "state-timeline":
            assert defaults["mappings"], panel["title"]
            assert defaults["color"]["mode"] != "thresholds", panel["title"]


def test_lines_over_candles_have_colours_of_their_own(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        if panel["type"] in {"candlestick", "timeseries"}:
            assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "palette-classic", panel["title"]


def test_what_has_not_happened_has_a_name_in_the_legend(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for target in panel["targets"] if panel["type"] == "timeseries" else ():
            wanted = re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))
            if "vector(0)" in target.get("expr", "") and wanted:
                named = re.findall(r'label_replace\(vector\(0\), "(\w+)"', target["expr"])
                assert set(named) & set(wanted), panel["title"]


def test_a_password_reaches_the_source_as_it_is() -> None:
    """Grafana fills in `${NAME}` first, and `$NAME` in what has come of it."""
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "kandle.yml").read_text())
    (stated,) = [each["secureJsonData"]["password"] for each in sources["datasources"] if "user" in each]
    given = {"GRAFANA_DB_PASSWORD": 'p$a"#:x y'}
    braced = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], stated)
    assert re.sub(r"\$(\w+)", lambda found: given.get(found[1], ""), braced) == given["GRAFANA_DB_PASSWORD"]


def test_panels_link_to_runbooks_that_there_are() -> None:
    linked = {
        link["title"].removeprefix("Runbook ")
        for dashboard in dashboards().values()
        for panel in panels(dashboard)
        for link in panel.get("links", [])
    }
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert linked
    assert linked <= pages


def test_signals_are_marked_over_prices_and_oscillators_alone() -> None:
    market = dashboards()["kandle-market"]
    titles = {panel["id"]: panel["title"] for panel in market["panels"]}
    marked = {each["name"]: each.get("filter") for each in market["annotations"]["list"]}
    assert [titles[number] for number in marked["Signals"]["ids"]] == ["Candles $interval", "Oscillators"]
    assert marked["Gaps and breaks of the feed"] is None, "over all"


def test_a_price_that_falls_is_red() -> None:
    (change,) = [panel for panel in panels(dashboards()["kandle-market"]) if panel["title"] == "Change"]
    steps = change["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [
        [step["color"] for step in steps if step["value"] is None or step["value"] <= value][-1]
        for value in (-0.9, -0.001, 0.0, 0.2)
    ]
    assert reached == ["red", "red", "green", "green"]
