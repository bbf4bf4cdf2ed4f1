"""One panel of a dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from infra.grafana.queries import Query

Kind = Literal["timeseries", "candlestick", "stat", "table", "bargauge", "state-timeline"]

RUNBOOKS: Final = "${runbooks}"
"""Variable of every dashboard: where the pages of docs/runbooks are served."""

_LEGEND: Final = {"displayMode": "table", "placement": "bottom", "showLegend": True}
_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_EVERY: Final = {"calcs": ["lastNotNull"], "fields": "", "values": True}

_OPTIONS: Final[Mapping[Kind, dict[str, Any]]] = {
    "timeseries": {
        "legend": {**_LEGEND, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "candlestick": {
        "mode": "candles+volume",
        "candleStyle": "candles",
        "colorStrategy": "open-close",
        "fields": {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"},
        "colors": {"up": "green", "down": "red", "flat": "gray"},
        "includeAllFields": True,
        "legend": {**_LEGEND, "displayMode": "list", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    },
    "stat": {
        "reduceOptions": _LAST,
        "orientation": "auto",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "auto",
        "wideLayout": True,
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
    "bargauge": {
        "reduceOptions": _LAST,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
    },
    "state-timeline": {
        "showValue": "auto",
        "rowHeight": 0.8,
        "mergeValues": True,
        "alignValue": "left",
        "legend": {**_LEGEND, "displayMode": "list", "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    },
}

_LINES: Final = {
    "drawStyle": "line",
    "lineInterpolation": "linear",
    "lineWidth": 1,
    "fillOpacity": 8,
    "showPoints": "auto",
    # A gap of the scrapes is a gap of the line.
    "spanNulls": False,
    "axisPlacement": "auto",
}

_NO_LIMITS: Final = ("timeseries", "candlestick", "state-timeline")
"""Kinds whose colours are not those of limits: lines would have one, states be shown as spans between two."""

State = tuple[str, str]
"""Text and colour of a value."""

BREAKER: Final[Mapping[int, State]] = {
    0: ("closed", "green"),
    1: ("half-open", "orange"),
    2: ("open", "red"),
}
"""States of a circuit breaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What is shown, why, and from which value on it is bad.

    Attributes:
        title: A few words.
        text: What the figures mean, in which unit, and what a bad one says; shown by the panel's (i).
        unit: Grafana's id of the unit.
        queries: All of one data source.
        width: Of 24 columns.
        empty: What the panel says where it has no data: why that is so.
        limits: From which value on it has which colour, ascending; green below.
        runbooks: Alerts that watch the same figures: the panel links to their pages.
        states: Texts and colours of values that are states.
        custom: What the kind has in its field options, besides what is usual here.
        by_row: The rows of a table are the values, not one of them.
        named: A figure stands beside the name of its series, also where there is one alone.
        columns: Units of columns of a table, by their names.
    """

    title: str
    text: str
    unit: str
    queries: Sequence[Query]
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    empty: str = "Nothing in this range"
    limits: Sequence[tuple[float, str]] = ()
    runbooks: Sequence[str] = ()
    states: Mapping[int, State] = field(default_factory=dict)
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    custom: Mapping[str, Any] = field(default_factory=dict)
    by_row: bool = False
    named: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    interval: str | None = None

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel at its place.

        Args:
            number: Its id, unique in the dashboard.
            x: First of its columns.
            y: First of its rows.
        """
        targets = [query.to_json(chr(ord("A") + place)) for place, query in enumerate(self.queries)]
        options = dict(_OPTIONS[self.kind])
        if self.by_row:
            options["reduceOptions"] = _EVERY
        if self.named:
            options["textMode"] = "value_and_name"
        found: dict[str, Any] = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": self.queries[0].source,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": targets,
            "options": options,
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
        }
        if self.runbooks:
            found["links"] = [
                {"title": f"Runbook {name}", "url": f"{RUNBOOKS}/{name}.html", "targetBlank": True}
                for name in self.runbooks
            ]
        if self.interval:
            found["interval"] = self.interval
        return found

    def _defaults(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"value": None, "color": "green"}]
        steps += [{"value": value, "color": color} for value, color in self.limits]
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "noValue": self.empty,
            "color": {"mode": "palette-classic" if self.kind in _NO_LIMITS else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
        }
        given = {"min": self.minimum, "max": self.maximum, "decimals": self.decimals}
        defaults |= {name: value for name, value in given.items() if value is not None}
        if self.states:
            shown = {
                str(value): {"text": text, "color": color, "index": place}
                for place, (value, (text, color)) in enumerate(self.states.items())
            }
            defaults["mappings"] = [{"type": "value", "options": shown}]
        custom = dict(self.custom)
        if self.kind == "timeseries":
            custom = {**_LINES, **custom}
            if self.limits:
                custom["thresholdsStyle"] = {"mode": "dashed"}
        if custom:
            defaults["custom"] = custom
        return defaults

    def _overrides(self) -> list[dict[str, Any]]:
        return [
            {
                "matcher": {"id": "byName", "options": column},
                "properties": [{"id": "unit", "value": unit}],
            }
            for column, unit in self.columns.items()
        ]
