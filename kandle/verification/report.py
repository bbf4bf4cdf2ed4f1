"""What was compared, told to people and programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from kandle.verification.run import Check


def show(what: str, read: int, whole: int) -> None:
    """Progress, for people."""
    if sys.stderr.isatty():
        share = 100 * read / whole if whole else 100
        click.echo(f"\r\033[Kreading {what}: {share:.0f} %", nl=False, err=True)


def tell(checks: Sequence[Check], *, as_json: bool) -> bool:
    """Say what was found; whether all is equal."""
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    clean = all(check.comparison.clean for check in checks)
    if as_json:
        click.echo(json.dumps({"clean": clean, "checks": [check.as_dict() for check in checks]}))
        return clean
    for check in checks:
        for line in check.as_lines():
            click.echo(line)
    compared = any(check.comparison.expected or check.comparison.found for check in checks)
    equal = "all is equal" if compared else "nothing was there to be compared"
    click.echo(equal if clean else "not all is equal")
    return clean
