"""The Markdown that the pages are made of."""

from collections.abc import Iterable, Sequence


def made_by(page: str) -> str:
    """The line that says how a page is renewed."""
    return f"Made by `kandle reference --out docs/reference` (`{page}`): edit the code, not this page."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown, but neither bars outside of code nor line ends."""
    lines = [_line(head), _line(["---"] * len(head)), *(_line([_cell(each) for each in row]) for row in rows)]
    return "\n".join(lines)


def code(text: object) -> str:
    """As code in a line; nothing for nothing."""
    shown = str(text)
    return f"`{shown}`" if shown else ""


def page(title: str, *parts: str) -> str:
    """A page of a title and parts, an empty line between them."""
    return "\n\n".join([f"# {title}", *(part.strip("\n") for part in parts if part)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    # In a cell a bar ends it, in code too.
    return " ".join(text.split()).replace("|", "\\|")
