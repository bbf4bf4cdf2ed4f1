"""What stands in the blocks of a page."""

import re
from pathlib import Path


def fenced(page: Path, language: str) -> list[str]:
    """The texts of the fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
