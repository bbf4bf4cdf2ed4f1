"""A dashboard: rows of panels, variables, annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.grafana.panel import Panel
from infra.grafana.queries import DATABASE, Sql

COLUMNS: Final = 24
TAG: Final = "kandle"
SCHEMA_VERSION: Final = 39
"""Of Grafana 11.0; later ones read it as well."""

RUNBOOKS_URL: Final = "http://localhost:8000/runbooks"
"""Where docs/runbooks are served unless somebody says otherwise: the documentation's own server."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the head of a dashboard.

    Attributes:
        name: As `$name` in queries.
        label: For people.
        query: SQL of one column.
        several: Whether more than one may be chosen, and all. In SQL it is `ARRAY[$name]::text[]`, else as
            `= '$name'`.
        first: What is chosen at first, where the query gives it; else its first row, or all of several.
    """

    name: str
    label: str
    query: str
    several: bool = False
    first: str = ""

    def to_json(self) -> dict[str, Any]:
        """As an entry of the templating list; read again when the range of time changes."""
        found: dict[str, Any] = {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": DATABASE,
            "query": self.query,
            "definition": self.query,
            "refresh": 2,
            "sort": 0,
            "multi": self.several,
            "includeAll": self.several,
            "skipUrlSync": False,
            "hide": 0,
            "regex": "",
        }
        if self.several:
            found["current"] = {"text": ["All"], "value": ["$__all"], "selected": True}
        elif self.first:
            found["current"] = {"text": self.first, "value": self.first, "selected": True}
        return found


@dataclass(frozen=True, slots=True)
class Annotation:
    """Moments that are marked in panels.

    Attributes:
        query: SQL of `time`, `text` and `tags` (comma separated).
        over: Titles of the panels; none: over all.
    """

    name: str
    color: str
    query: str
    over: Sequence[str] = ()

    def to_json(self, panels: Mapping[str, int]) -> dict[str, Any]:
        """As an entry of the annotations list.

        Args:
            panels: Number of each panel of the dashboard, by its title.
        """
        found: dict[str, Any] = {
            "name": self.name,
            "datasource": DATABASE,
            "enable": True,
            "hide": False,
            "iconColor": self.color,
            "target": Sql(self.query).to_json("Anno"),
        }
        if self.over:
            found["filter"] = {"exclude": False, "ids": [panels[title] for title in self.over]}
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, and panels that flow below it from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Everything that Grafana reads of one dashboard.

    Attributes:
        uid: Never changes: addresses and links hold it.
        span: How far it looks back at first, as `1h`.
        refresh: How often it asks again, as `5s`.
    """

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    span: str = "1h"
    refresh: str = "10s"
    variables: Sequence[Variable] = ()
    annotations: Sequence[Annotation] = ()

    def to_json(self) -> dict[str, Any]:
        """As Grafana's provisioning reads it."""
        constant = {
            "type": "constant",
            "name": "runbooks",
            "label": "Where the runbooks are served",
            "hide": 2,
            "query": RUNBOOKS_URL,
            "current": {"text": RUNBOOKS_URL, "value": RUNBOOKS_URL, "selected": True},
            "skipUrlSync": True,
        }
        panels = self._panels()
        numbers = {panel["title"]: panel["id"] for panel in panels}
        return {
            "uid": self.uid,
            "title": f"Kandle / {self.title}",
            "description": self.text,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "utc",
            "weekStart": "",
            "fiscalYearStartMonth": 0,
            "refresh": self.refresh,
            "time": {"from": f"now-{self.span}", "to": "now"},
            "links": [_LINK],
            "templating": {"list": [*(each.to_json() for each in self.variables), constant]},
            "annotations": {"list": [each.to_json(numbers) for each in self.annotations]},
            "panels": panels,
        }

    def _panels(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            found.append(_heading(row.title, len(found) + 1, y))
            y += 1
            x = tallest = 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    y, x, tallest = y + tallest, 0, 0
                found.append(panel.to_json(len(found) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return found


_LINK: Final = {
    "type": "dashboards",
    "title": "Kandle",
    "tags": [TAG],
    "asDropdown": True,
    "includeVars": False,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}


def _heading(title: str, number: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        "panels": [],
    }
