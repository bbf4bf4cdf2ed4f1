"""events.md and errors.md: what events are called, and what errors mean."""

import inspect
from collections.abc import Iterator

from kandle.reference.markdown import code, made_by, page, table
from schemas import errors
from schemas.errors import KandleError
from schemas.event_types import EVENT_TYPES


def events_page() -> str:
    """The types in use, then those that are only reserved."""
    used = [(code(each.name), each.meaning) for each in EVENT_TYPES.values() if each.used]
    reserved = [(code(each.name), each.meaning) for each in EVENT_TYPES.values() if not each.used]
    return page(
        "Event types",
        "The header `ce_type` of records that carry CloudEvents headers, and `type` of a "
        "[SystemEvent](topics.md#systemevent). A type that is not listed is refused where events are made.",
        made_by("events"),
        "## In use",
        table(("type", "what has happened"), used),
        "## Reserved",
        "Nothing sends these yet.",
        table(("type", "what has happened"), reserved),
    )


def errors_page() -> str:
    """The tree of the contract, root first."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return page(
        "Errors",
        "Every error that is raised on purpose derives from `KandleError`. `code` stands in logs, events "
        "and the metric `kandle_errors_total`; `retriable` says whether the same call may succeed later; "
        "a command that an error ends returns its exit code.",
        made_by("errors"),
        f"```text\n{inspect.cleandoc(tree)}\n```",
        table(
            ("error", "code", "retriable", "exit code", "meaning"),
            [
                (
                    code(kind.__name__),
                    code(kind.code),
                    _retriable(kind),
                    str(kind.exit_code),
                    (kind.__doc__ or "").split("\n\n")[0],
                )
                for kind in _kinds(KandleError)
            ],
        ),
    )


def _kinds(root: type[KandleError]) -> Iterator[type[KandleError]]:
    """The classes of the contract; stages have narrower ones of their own, under a code of their own."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from _kinds(kind)


def _retriable(kind: type[KandleError]) -> str:
    # Whether some errors can be repeated is known of each alone.
    if "retriable" in inspect.signature(kind.__init__).parameters:
        return "it says"
    return "yes" if kind.retriable else "no"
