"""The catalogue of metrics as a page of the documentation: docs/metrics.md."""

from typing import Final

from infra.metrics import GROUPS
from infra.metrics.declaration import Declaration, Group

_HEAD: Final = """\
# Metrics

Every process shows its metrics as `http://<metrics.host>:<metrics.port>/metrics`, in Prometheus' text format;
`metrics.port` 0 (the default) shows none, `kandle up` gives each stage a port and writes it to
`var/endpoints.json` as `stages.<name>.metrics_port`. The same port answers the probes, see
[health](health.md).

Labels have few values: a thousand symbols make no more series than one. A series is there from its first
value on. A histogram is scraped as `_bucket`, `_sum` and `_count`.

This page is made by `kandle metrics > docs/metrics.md` from the declarations in `infra/metrics/`.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *(_section(group) for group in GROUPS)])


def _section(group: Group) -> str:
    rows = "\n".join(map(_row, group.declared))
    return (
        f"## {group.title}\n\nShown by: {group.processes}.\n\n"
        f"| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n{rows}\n"
    )


def _row(one: Declaration) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.kind} | {one.unit} | {labels} | {one.meaning} |"
