"""Code of the user: modules that a setting names, and entry points of installed distributions."""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from schemas.errors import ConfigurationError, KandleError


def named_modules(setting: str, modules: Sequence[str]) -> Iterator[tuple[ModuleType, str]]:
    """Import the modules that a setting names, also from the working directory. May block.

    Args:
        setting: Its name, for errors.
        modules: Names, as in `import name`.

    Yields:
        Each module, and what names it, for errors.

    Raises:
        ConfigurationError: One cannot be imported.
    """
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.append(here)  # last: nothing there hides a module that is installed
    for name in modules:
        told = f"{setting} names {name}"
        yield imported(name, told), told


def points_of(group: str, kind: str) -> Iterator[tuple[EntryPoint, str]]:
    """The entry points of a group, in the order of their names; not loaded yet.

    Args:
        group: As in `[project.entry-points."group"]`.
        kind: What they offer, for errors.

    Yields:
        Each of them, and what names it, for errors.
    """
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        owner = point.dist.name if point.dist else "an unknown distribution"
        yield point, f"{owner} has the {kind} {point.name} = {point.value}"


def imported(module: str, told: str, load: Callable[[], Any] | None = None) -> Any:
    """A module, or what an entry point loads from it.

    Args:
        module: Name, as in `import name`.
        told: What names it, for errors.
        load: What loads it, if not an import of the module is wanted.

    Raises:
        ConfigurationError: It cannot be imported.
    """
    try:
        return importlib.import_module(module) if load is None else load()
    except KandleError as error:
        raise ConfigurationError(f"{told}: {error}") from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            reason = "there is no such module on the Python path or in the working directory"
        else:
            reason = f"importing it raises {type(error).__name__}: {error}"
        raise ConfigurationError(f"{told}: {reason}") from error
