"""Indicators and signal rules of the user: imported, they register themselves.

A module is named in the setting `processors.plugins`, or by an installed distribution as an entry point of
the group `kandle.plugins`:

    [project.entry-points."kandle.plugins"]
    mine = "my_package.my_indicators"
"""

from collections.abc import Sequence
from typing import Final

from infra.plugins import imported, named_modules, points_of
from processors.indicator import Indicator
from processors.signal import SignalRule

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
    for _ in named_modules("processors.plugins", modules):
        pass
    for point, told in points_of(GROUP, "plug-in"):
        imported(point.module, told)
