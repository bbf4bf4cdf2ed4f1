"""Scripts and styles of charts that the report of a backtest and the live page share.

The scripts are ES modules. The live page loads them as such; the report, one file that asks for nothing,
carries them in itself.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

MODULES: Final = ("axes.js", "plot.js", "gestures.js")
"""In the order in which they may stand in one script: each needs only those before it."""


def as_script() -> str:
    """All modules as one piece of script without imports and exports."""
    texts = map(_file, MODULES)
    return re.sub(r"^import [^;]*;\n|^export (?=\w)", "", "\n".join(texts), flags=re.MULTILINE)


def as_style() -> str:
    """Colours of the charts, as CSS variables, and how their parts are drawn."""
    return _file("charts.css")


def _file(name: str) -> str:
    return (resources.files("infra.charts") / name).read_text("utf-8")
