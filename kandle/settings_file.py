"""`--set FILE`: options and parameters of a command, kept in a TOML or JSON file."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click

from schemas.errors import ConfigurationError

SECTIONS: Final = ("parameters", "terms")
HELP: Final = (
    "TOML or JSON with the tables [parameters] and [terms]; what the command line says outweighs it."
)


def set_option(terms: Sequence[click.Option]) -> click.Option:
    """The option `--set FILE`; its `[terms]` are these options by their names, as `maker_fee = 0.0002`.

    What the file says of terms becomes their default, and is checked as what is typed is. Its parameters
    stand in the context, where `parameters_set` looks.
    """

    def read(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            found = _read(path)
            known = {str(option.name) for option in terms}
            unknown = sorted(set(found["terms"]) - known)
            if unknown:
                raise ConfigurationError(
                    f"{path}: [terms] takes {', '.join(sorted(known))}; got {', '.join(unknown)}"
                )
            context.default_map = {**(context.default_map or {}), **found["terms"]}
            context.meta[__name__] = found["parameters"]
        return path

    return click.Option(
        ["--set", "settings_file"],
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        is_eager=True,
        callback=read,
        help=HELP,
    )


def parameters_set(context: click.Context, given: Sequence[str]) -> tuple[str, ...]:
    """Parameters of the file and of the command line, as `fast=10`; the latter outweigh the former."""
    of_file: Mapping[str, object] = context.meta.get(__name__, {})
    named = {text.partition("=")[0].strip() for text in given}
    return (*(f"{key}={value}" for key, value in of_file.items() if key not in named), *given)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
        if text.lstrip().startswith("{"):
            found: Any = json.loads(text, parse_float=Decimal)
        else:
            found = tomllib.loads(text, parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is neither TOML nor JSON: {error}") from None
    unknown = sorted(set(found) - set(SECTIONS))
    if unknown or not all(isinstance(section, dict) for section in found.values()):
        raise ConfigurationError(
            f"{path}: expected the tables {' and '.join(f'[{name}]' for name in SECTIONS)}, "
            f"got {', '.join(unknown) or 'a value in place of one'}"
        )
    return {name: found.get(name, {}) for name in SECTIONS}
