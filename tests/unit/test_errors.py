"""The tree of errors is the one that is drawn at its head."""

import pytest

from schemas import errors
from schemas.errors import KandleError


def drawn() -> dict[str, str]:
    """Name of each class in the drawing -> name of its parent."""
    parents: dict[str, str] = {}
    path: list[str] = []
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        text = line[4:].lstrip("│├└─ ")
        name = text.split(" ", 1)[0]
        if not name.endswith("Error"):
            continue
        depth = (len(line) - 4 - len(text)) // 4
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_drawing_is_true() -> None:
    classes = {
        name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and name != "ClassVar"
    }
    assert drawn() == {name: cls.__mro__[1].__name__ for name, cls in classes.items()}


def test_every_error_has_a_code_of_its_own() -> None:
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, KandleError)]
    assert len({cls.code for cls in classes}) == len(classes) > 15


def test_an_error_carries_its_context_beside_the_message() -> None:
    error = errors.ServerError("venue answers 503", True, 5.0, status=503)
    assert (str(error), error.context, error.wait_s) == ("venue answers 503", {"status": 503}, 5.0)
    with pytest.raises(KandleError, match="plain"):
        raise KandleError("plain")
