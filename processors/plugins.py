"""Indicators and signal rules of the user: imported, they register themselves.

A module is named in the setting `processors.plugins`, or by an installed distribution as an entry point of
the group `kandle.plugins`:

    [project.entry-points."kandle.plugins"]
    mine = "my_package.my_indicators"
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from processors.indicator import Indicator
from processors.signal import SignalRule
from schemas.errors import ConfigurationError, KandleError

GROUP: Final = "kandle.plugins"


def load_plugins(modules: Sequence[str] = ()) -> None:
    """Import the plug-ins, after what comes with Kandle; modules also from the working directory. May block.

    Args:
        modules: Names, as in `import name`.

    Raises:
        ConfigurationError: One cannot be imported, or takes a name that is taken.
    """
    Indicator.known()
    SignalRule.known()
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.append(here)  # last: nothing there hides a module that is installed
    for name in modules:
        _load(name, f"processors.plugins names {name}")
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        owner = point.dist.name if point.dist else "an unknown distribution"
        _load(point.module, f"{owner} has the plug-in {point.name} = {point.value}")


def _load(module: str, told: str) -> None:
    try:
        importlib.import_module(module)
    except KandleError as error:
        raise ConfigurationError(f"{told}: {error}") from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            reason = "there is no such module on the Python path or in the working directory"
        else:
            reason = f"importing it raises {type(error).__name__}: {error}"
        raise ConfigurationError(f"{told}: {reason}") from error
