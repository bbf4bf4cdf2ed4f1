"""What to do where an optional package is missing: the one place that says how extras are installed."""

from schemas.errors import ConfigurationError


def remedy(extra: str) -> str:
    """How an extra of this project is installed."""
    return (
        f'it comes with the extra "{extra}": run `make setup` in the checkout, '
        f'or there pip install ".[{extra}]"'
    )


def missing(what: str, package: str, extra: str) -> ConfigurationError:
    """The error to raise where the package of an extra cannot be imported.

    Args:
        what: Who needs it: "the archive".
        package: Name of the package.
        extra: The extra that brings it.
    """
    return ConfigurationError(f"{what} needs {package}; {remedy(extra)}")
