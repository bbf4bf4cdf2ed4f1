"""Indicators and rules as the command line names and lists them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from processors.parameters import Parametrised

Command = TypeVar("Command", bound=Callable[..., Any])


def computed_from_file(kind: str, example: str) -> Callable[[Command], Command]:
    """The options of a command over a file of candles: file, specs, parameters, listing, as_json.

    Args:
        kind: What is computed, the name of the option that says which.
        example: How one is named.
    """
    options = (
        click.option(
            "--candles",
            "file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
            help="CSV with a header or JSON lines, may be gzipped; - reads standard input.",
        ),
        click.option(f"--{kind}", "specs", multiple=True, help=f"{example}; may be repeated."),
        click.option("--param", "parameters", multiple=True, help="As period=50; may be repeated."),
        click.option("--list", "listing", is_flag=True, help=f"Print the {kind}s that there are."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
    )

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def spec_of(text: str, parameters: Sequence[str] = ()) -> str:
    """A spec as settings have it, of a name in any case and of parameters on their own.

    `MACD` with `fast=10` is `macd(fast=10)`, `sma(50)` is itself.
    """
    name, bracket, rest = text.strip().lower().partition("(")
    if not parameters:
        return f"{name.replace('-', '_')}{bracket}{rest}"
    given = [rest.rstrip().removesuffix(")")] if rest.strip(" )") else []
    return f"{name.replace('-', '_')}({','.join([*given, *parameters])})"


def defaults_of(part: Parametrised) -> str | None:
    """The parameters in force, for people; None if it has none."""
    values = part.parameters.items()
    shown = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in values]
    return ", ".join(shown) or None


def meaning_of(part: Parametrised) -> str:
    """The first line of its description."""
    return (part.__doc__ or "").strip().partition("\n")[0]
