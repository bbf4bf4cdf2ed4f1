"""Every private part of Faust, mode and aiokafka that we touch is named by a contract test."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PACKAGES = ("infra", "producers", "processors", "sinks", "kandle")
LIBRARIES = frozenset({"faust", "mode", "aiokafka"})
USES_THEM = re.compile(r"^\s*(from|import) (faust|mode|aiokafka|processors\.app)\b", re.MULTILINE)
KEPT_BY_PYTHON = frozenset({"_abc_impl"})


def modules() -> Iterator[tuple[ModuleType, str]]:
    """Our modules that handle parts of these libraries, with their source."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            source = path.read_text()
            if USES_THEM.search(source):
                yield importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)), source


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in KEPT_BY_PYTHON


def attributes(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Private attributes that are used, and whether of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            if of != "os":
                yield node.attr, of == "self"


def taken_over(cls: type) -> set[str]:
    """Private names of a class of ours that its foreign bases know as well."""
    bases = [base for base in cls.__mro__ if base.__module__.partition(".")[0] in LIBRARIES]
    known = "\n".join(inspect.getsource(base) for base in bases)
    names = {name for name in vars(cls) if is_private(name)}
    names |= {name for name, of_self in attributes(ast.parse(inspect.getsource(cls))) if of_self}
    return {name for name in names if re.search(rf"\b{name}\b", known)}


def touched() -> dict[str, set[str]]:
    """Foreign private names by the module that uses them."""
    found: dict[str, set[str]] = {}
    for module, source in modules():
        classes = [
            each
            for each in vars(module).values()
            if inspect.isclass(each) and each.__module__ == module.__name__
        ]
        names = {name for cls in classes for name in taken_over(cls)}
        ours = {name for cls in classes for name in vars(cls)} - names
        names |= {name for name, of_self in attributes(ast.parse(source)) if not of_self} - ours
        if names:
            found[module.__name__] = names
    return found


def test_every_private_part_that_we_touch_is_named_by_a_contract_test() -> None:
    used = touched()
    assert {"_new_offset", "_acked", "_thread"} <= used["processors.engine.transport"], (
        "nothing is found any more"
    )
    assert "_proc_fetch_request" in used["infra.kafka.raw_fetcher"]
    own = Path(__file__).name
    said = "\n".join(path.read_text() for path in Path(__file__).parent.glob("*.py") if path.name != own)
    missing = {
        module: sorted(name for name in names if not re.search(rf"\b{name}\b", said))
        for module, names in used.items()
    }
    assert {module: names for module, names in missing.items() if names} == {}
