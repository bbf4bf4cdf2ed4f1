"""The dashboards as Grafana reads them, and what they ask."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.grafana.files import FOLDER


@dataclass(frozen=True)
class Asked:
    """One query of a dashboard.

    Attributes:
        place: Dashboard, panel and letter, for the test's name.
        kind: Of the panel, or `variable`, `annotation`.
        target: As it stands in the file.
    """

    place: str
    kind: str
    target: dict[str, Any]

    @property
    def sql(self) -> str | None:
        """The query of the database, if it is one."""
        return self.target.get("rawSql")

    @property
    def promql(self) -> str | None:
        """The query of Prometheus, if it is one."""
        return self.target.get("expr")

    def __str__(self) -> str:
        return self.place


def dashboards() -> dict[str, dict[str, Any]]:
    """By file name without its end."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What shows something: rows are left out."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries() -> list[Asked]:
    """Of all panels, variables and annotations."""
    found: list[Asked] = []
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                target = {"rawSql": variable["query"], "format": "table"}
                found.append(Asked(f"{name}: ${variable['name']}", "variable", target))
        for annotation in dashboard["annotations"]["list"]:
            found.append(Asked(f"{name}: {annotation['name']}", "annotation", annotation["target"]))
        for panel in panels(dashboard):
            for target in panel["targets"]:
                found.append(Asked(f"{name}: {panel['title']} {target['refId']}", panel["type"], target))
    return found


def metric_names(promql: str) -> set[str]:
    """Names of series in an expression: what is left when labels, functions and numbers are taken out."""
    text = re.sub(r'"[^"]*"', "", promql)
    text = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    text = re.sub(r"\boffset\s+\w+|\b[a-z_]+\s*\(", "(", text)
    words = re.findall(r"[a-zA-Z_][a-zA-Z0-9_:]*", text)
    return set(words) - {"or", "and", "unless", "by", "on", "bool", "sum", "max", "min", "count"}
