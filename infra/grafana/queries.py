"""What a panel asks, of which data source."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

DATABASE: Final = {"type": "grafana-postgresql-datasource", "uid": "kandle-database"}
METRICS: Final = {"type": "prometheus", "uid": "kandle-prometheus"}


@dataclass(frozen=True, slots=True)
class Sql:
    """A query of the database, with Grafana's macros and variables.

    Attributes:
        text: Its first column is `time` where the panel draws over time.
        form: `table` as it is; `time_series` makes a series of every value of the column `metric`.
    """

    text: str
    form: Literal["table", "time_series"] = "table"

    @property
    def source(self) -> dict[str, str]:
        """Whom to ask."""
        return DATABASE

    def to_json(self, letter: str) -> dict[str, Any]:
        """As a panel's target."""
        return {
            "refId": letter,
            "datasource": DATABASE,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.text,
        }


@dataclass(frozen=True, slots=True)
class Prom:
    """A query of Prometheus.

    Attributes:
        legend: Name of a series, as `{{venue}}`.
        now: Only the newest values, for panels that draw no time.
        table: A row a series, its labels in columns.
    """

    text: str
    legend: str = ""
    now: bool = False
    table: bool = False

    @property
    def source(self) -> dict[str, str]:
        """Whom to ask."""
        return METRICS

    def to_json(self, letter: str) -> dict[str, Any]:
        """As a panel's target."""
        return {
            "refId": letter,
            "datasource": METRICS,
            "editorMode": "code",
            "expr": self.text,
            "format": "table" if self.table else "time_series",
            "instant": self.now,
            "range": not self.now,
            "legendFormat": self.legend or "__auto",
        }


Query: TypeAlias = Sql | Prom


def rate(metric: str, *by: str) -> str:
    """Growth of a counter a second, summed over the labels that are not named."""
    return f"sum by ({', '.join(by)}) (rate({metric}[$__rate_interval]))"


def added(metric: str, *by: str) -> str:
    """Growth of a counter within a step of the graph; 0 where it has never counted."""
    return or_none(f"sum by ({', '.join(by)}) (increase({metric}[$__rate_interval]))", *by)


def or_none(text: str, *by: str, value: int = 0) -> str:
    """What `text` finds, or else `value`: a series whose first label is `none`, which the legend shows."""
    named = f'label_replace(vector({value}), "{by[0]}", "none", "", "")' if by else f"vector({value})"
    return f"{text} or on () {named}"


def quantile(share: float, metric: str, *by: str) -> str:
    """A quantile of a histogram, by labels; nothing, instead of no number, where nothing was counted."""
    labels = ", ".join([*by, "le"])
    rates = f"sum by ({labels}) (rate({metric}_bucket[$__rate_interval]))"
    return f"histogram_quantile({share:g}, {rates}) >= 0"
