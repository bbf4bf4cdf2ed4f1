"""What Grafana makes of a query before it asks: variables, then macros, as its PostgreSQL plug-in has them.

Macros by the rules of pkg/tsdb/grafana-postgresql-datasource, variables by those of the plug-in's front end:
one with one value stands as it is, quotes doubled; one that may have several as quoted literals.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = str | Sequence[str]

_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)(?::\w+)?\}")
_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Range:
    """What the dashboard's clock chooses, and the width of a step that Grafana derives from it.

    Attributes:
        begin: Aware.
        end: Aware.
        interval: As `$__interval`: 1s, 20s, 5m.
    """

    begin: datetime.datetime
    end: datetime.datetime
    interval: str = "1s"


def seconds(interval: str) -> float:
    """An interval of Grafana in seconds."""
    found = re.fullmatch(r"(\d+)(ms|[smhdw])", interval)
    if found is None:
        raise ValueError(f"no interval: {interval!r}")
    return float(found[1]) * _UNITS_S[found[2]]


def with_variables(text: str, values: Mapping[str, Value], span: Range) -> str:
    """The text as the browser sends it.

    A value that is a text is of a variable of one value; a list of one that may have several.
    """
    built_in: dict[str, Value] = {
        "__interval": span.interval,
        "__interval_ms": str(round(seconds(span.interval) * 1_000)),
    }

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        value = {**values, **built_in}.get(name)
        if value is None:
            return match[0]
        if isinstance(value, str):
            return value.replace("'", "''")
        return ",".join("'" + each.replace("'", "''") + "'" for each in value)

    return _VARIABLE.sub(value_of, text)


def with_macros(text: str, span: Range, *, timescaledb: bool = False) -> str:
    """The query as the server sends it to the database.

    Raises:
        ValueError: There is no such macro, or it lacks an argument.
    """

    def expanded(match: re.Match[str]) -> str:
        name, arguments = match[1], [each.strip(" ") for each in match[2].split(",")]
        if name == "__timeGroup" and text[match.end() : match.end() + 1] == ",":
            name = "__timeGroupAlias"
        return _macro(name, arguments, span, timescaledb=timescaledb)

    return _MACRO.sub(expanded, text)


def _macro(name: str, arguments: list[str], span: Range, *, timescaledb: bool) -> str:
    column = arguments[0]
    begin, end = _moment(span.begin), _moment(span.end)
    first, last = int(span.begin.timestamp()), int(span.end.timestamp())
    match name:
        case "__time":
            return f'{column} AS "time"'
        case "__timeEpoch":
            return f'extract(epoch from {column}) as "time"'
        case "__timeFilter":
            return f"{column} BETWEEN '{begin}' AND '{end}'"
        case "__timeFrom":
            return f"'{begin}'"
        case "__timeTo":
            return f"'{end}'"
        case "__unixEpochFilter":
            return f"{column} >= {first} AND {column} <= {last}"
        case "__timeGroupAlias" | "__unixEpochGroupAlias":
            group = _macro(name.removesuffix("Alias"), arguments, span, timescaledb=timescaledb)
            return f'{group} AS "time"'
        case "__timeGroup" | "__unixEpochGroup" if len(arguments) > 1:
            width = seconds(arguments[1].strip("'"))
            if name == "__unixEpochGroup":
                return f"floor(({column})/{width:g})*{width:g}"
            if timescaledb:
                return f"time_bucket('{width:.3f}s',{column})"
            return f"floor(extract(epoch from {column})/{width:g})*{width:g}"
    raise ValueError(f"unknown macro, or too few arguments: ${name}({', '.join(arguments)})")


def _moment(time: datetime.datetime) -> str:
    """As Go's RFC3339Nano: no trailing zeros."""
    text = time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def as_promql(text: str, span: Range, scrape_s: float) -> str:
    """A query as Grafana sends it to Prometheus: a rate looks back over four scrapes, or a step and one."""
    step = seconds(span.interval)
    rate = max(step + scrape_s, 4 * scrape_s)
    whole = round((span.end - span.begin).total_seconds())
    for name, value in (
        ("__rate_interval", f"{rate:g}s"),
        ("__interval", span.interval),
        ("__range", f"{whole}s"),
    ):
        text = text.replace(f"${name}", value)
    return text
