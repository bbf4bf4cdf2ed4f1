"""docker-compose.yml as Compose reads it: anchors resolved, variables put in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parents[1]
FILE: Final = ROOT / "docker-compose.yml"
IMAGE: Final = "kandle"
"""Name of our own image, without its tag."""

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<sign>[-?])(?P<rest>[^}]*))?\})")


def variables() -> dict[str, str]:
    """Each variable that the file asks for: `-` if it has a default, `?` if it must be set."""
    return {
        found["name"]: found["sign"] or "" for found in _VARIABLE.finditer(FILE.read_text()) if found["name"]
    }


def names_of_example() -> dict[str, bool]:
    """The variables of .env.example: true for those that are to be filled in."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = [re.fullmatch(r"(#?)([A-Z]\w*)=(.*)", line) for line in lines]
    return {each[2]: not each[1] and not each[3] for each in found if each}


def compose(given: Mapping[str, str]) -> dict[str, Any]:
    """The whole file.

    Args:
        given: The variables, as .env would say them.

    Raises:
        KeyError: One that must be set is not.
    """

    def put(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return "$"
        return given[name] if found["sign"] == "?" else given.get(name, found["rest"] or "")

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return _VARIABLE.sub(put, node) if isinstance(node, str) else node

    resolved: dict[str, Any] = walk(yaml.safe_load(FILE.read_text()))
    return resolved


def filled() -> dict[str, Any]:
    """The file with every secret filled in: `secret-of-<name>`, in lower case."""
    must = [name for name, sign in variables().items() if sign == "?"]
    return compose({name: "secret-of-" + name.lower().replace("_", "-") for name in must})


def services(image: str | None = None) -> dict[str, dict[str, Any]]:
    """The services of `filled`, all or those of one image."""
    found: dict[str, dict[str, Any]] = filled()["services"]
    return {
        name: service
        for name, service in found.items()
        if image is None or service["image"].rpartition(":")[0] == image
    }
