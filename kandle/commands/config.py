"""`kandle config`: the settings in force."""

import json
from typing import Any

import click

from infra.secrets import MASK
from infra.settings import environment_names, load
from kandle.preflight import check


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("--names", is_flag=True, help="List the environment name of every setting, and stop.")
def config(as_json: bool, names: bool) -> None:
    """Print the settings in force; secrets are masked.

    They come from arguments, the environment (KANDLE_...), .env and kandle.toml, in this order of weight.

    Example: KANDLE_KAFKA__PARTITIONS=8 kandle config
    """
    if names:
        click.echo("\n".join(environment_names()))
        return
    settings = load()
    check(settings)
    # The name of a run is made anew each time, unless it is set.
    hidden = set() if "run_id" in settings.model_fields_set else {"run_id"}
    values = settings.model_dump(mode="json", exclude=hidden)
    if as_json:
        click.echo(MASK.masked(json.dumps(values)))
        return
    click.echo(MASK.masked("\n".join(_lines(values, ""))))


def _lines(values: dict[str, Any], prefix: str) -> list[str]:
    """TOML-like text: plain values first, then the sections."""
    lines = [f"{name} = {json.dumps(v)}" for name, v in values.items() if not isinstance(v, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            path = f"{prefix}{name}"
            lines += ["", f"[{path}]", *_lines(section, f"{path}.")]
    return lines
