"""Branches of the flow: what joins a topic beside its main path, and the sources of its time marks there.

The values of quotes stand in the topic of the indicators, which are made of candles. Each way into a topic
forwards the marks that it has passed. Were they of one source, a mark that came by the short way would
speak for the long one too. So a branch forwards them under a source of its own, `<source>/<branch>`: a
reader's watermark, the lowest of all sources, then covers all ways, and who waits for the end of a run can
ask each way.
"""

from typing import Final, Literal, TypeAlias, get_args

from schemas.records import TimeMark

Branch: TypeAlias = Literal["quotes", "books", "spreads"]
BRANCHES: Final[tuple[Branch, ...]] = get_args(Branch)


def branch_source(source: str, branch: Branch) -> str:
    """The source under which a branch forwards the marks of a source."""
    return f"{source}/{branch}"


def forwarded(mark: TimeMark, branch: Branch) -> TimeMark:
    """A mark as a branch forwards it."""
    return TimeMark(mark.venue, branch_source(mark.source, branch), mark.time, mark.final, mark.instance)
