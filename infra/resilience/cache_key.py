"""Keys of cached values: the same question has one key, however its parameters are written."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_CONTEXT: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def cache_key(context: str, parameters: Mapping[str, Any]) -> str:
    """`context:hash`, where the hash is of JSON with the names in order.

    Numbers are normalised (1, 1.0 and `Decimal("1.00")` are one), addresses of chains are in lower case,
    parameters that are None do not count. Sequences keep their order.

    Args:
        context: What is asked for, as `ticker`: lower case, digits and single hyphens.
        parameters: What the answer depends on.

    Raises:
        ValueError: The context is not so written, a number is not finite, a value is of another type.
    """
    if not _CONTEXT.fullmatch(context):
        raise ValueError(f"a context is written like exchange-rate; got {context!r}")
    text = json.dumps(_canonical(parameters), separators=(",", ":"))
    return f"{context}:{hashlib.sha256(text.encode()).hexdigest()}"


def context_of(key: str) -> str:
    """The context of a key."""
    return key.partition(":")[0]


def _canonical(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return value.lower() if _ADDRESS.fullmatch(value) else value
        case int() | float() | Decimal():
            if not math.isfinite(value):
                raise ValueError(f"a parameter is not finite: {value}")
            number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
            return ["number", format(number.normalize(), "f") if number else "0"]
        case Mapping():
            named = ((str(name), item) for name, item in value.items() if item is not None)
            return [
                "names",
                *([name, _canonical(item)] for name, item in sorted(named, key=lambda pair: pair[0])),
            ]
        case Sequence():
            return ["sequence", *(_canonical(item) for item in value)]
        case _:
            raise ValueError(f"a parameter of a cached call cannot be a {type(value).__name__}")
