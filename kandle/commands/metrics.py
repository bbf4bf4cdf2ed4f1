"""`kandle metrics`: the catalogue of metrics."""

import dataclasses
import json

import click

from infra.metrics import GROUPS
from infra.metrics.page import page


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line, a metric each, instead of Markdown."
)
def metrics(as_json: bool) -> None:
    """Print every metric with its kind, unit, labels and meaning; docs/metrics.md is made by this.

    \b
    Examples:
      kandle metrics > docs/metrics.md
      kandle metrics --json | jq -r .name
    """  # noqa: D301 - click asks for this control character
    if not as_json:
        click.echo(page(), nl=False)
        return
    for group in GROUPS:
        for declared in group.declared:
            click.echo(json.dumps({**dataclasses.asdict(declared), "processes": group.processes}))
