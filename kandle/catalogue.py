"""Indicators and rules as the command line names and lists them."""

from collections.abc import Sequence

from processors.parameters import Parametrised


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
