"""Classes that a setting can name, with parameters: indicators and signal rules.

A class declares each parameter once, as an annotated attribute with its default:

    class Sma(Indicator):
        period: Period = 20

It is then known as `sma`, and `sma`, `sma(50)` and `sma(period=50)` name instances of it. Subclasses enter
the registry of their kind by being defined; nothing else has to be touched.
"""

import importlib
import inspect
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self, get_origin, get_type_hints

import msgspec

from schemas.errors import ConfigurationError

Period = Annotated[int, msgspec.Meta(ge=1)]
"""A number of candles."""
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Number = int | float
Value = Number | str
"""Of a parameter: a number or a word, as the name of an interval."""

_WORD = re.compile(r"[A-Za-z0-9_]+")
_SPEC = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(?:\((.*)\))?\s*", re.DOTALL)


class Parametrised:
    """Root of the kinds; a kind is a direct subclass that passes `kind` and has a registry of its own.

    Attributes:
        name: In settings and labels; the class's own name in lower case, words joined by underscores.
        parameters: The values in force, by name; they cannot be changed.
        registry: All classes of the kind, by name.
        state_version: To be raised with every change of what the state means: workers then rebuild it from
            the log instead of misreading what an older version has saved.
    """

    name: ClassVar[str]
    state_version: ClassVar[int] = 1
    registry: ClassVar[dict[str, type[Any]]]
    _kind: ClassVar[str]
    _package: ClassVar[str]

    def __init_subclass__(cls, *, kind: str | None = None, package: str = "", **options: Any) -> None:
        """Start a kind, or enter the registry of one.

        Raises:
            ConfigurationError: Another class of the kind has the name already.
        """
        super().__init_subclass__(**options)
        if kind is not None:
            cls._kind, cls._package, cls.registry = kind, package, {}
            return
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if cls.__name__.startswith("_"):
            return  # private, a common root of others for one: no setting can name it
        known = cls.registry.setdefault(cls.name, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigurationError(
                f"{cls._kind} {cls.name!r} is both {known.__module__}.{known.__qualname__} and "
                f"{cls.__module__}.{cls.__qualname__}; rename one of the classes"
            )
        cls.registry[cls.name] = cls

    def __init__(self, *values: Value, **named: Value) -> None:
        """Take parameters in the order of their declaration, or by name.

        Raises:
            ConfigurationError: A parameter is unknown, given twice or out of range.
        """
        declared = _declared(type(self))
        given = dict(zip(declared, values, strict=False))
        unknown = [key for key in named if key not in declared]
        if len(values) > len(declared) or unknown or given.keys() & named.keys():
            options = ", ".join(f"{key} ({getattr(type(self), key)})" for key in declared)
            raise ConfigurationError(
                f"{self._kind} {self.name} takes {options or 'no parameters'}; "
                f"got {', '.join([*map(str, values), *(f'{k}={v}' for k, v in named.items())])}"
            )
        chosen: dict[str, Value] = {}
        for key, kind in declared.items():
            value = {**given, **named}.get(key, getattr(type(self), key))
            try:
                chosen[key] = msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                raise ConfigurationError(f"{self._kind} {self.name}, {key}={value}: {error}") from error
            setattr(self, key, chosen[key])
        self.parameters: Mapping[str, Value] = MappingProxyType(chosen)
        self.label = "_".join(
            [self.name, *(_text(v) if isinstance(v, float) else str(v) for v in chosen.values())]
        )
        """Name with all parameters: sma_20, vwap_1d, moving_average_crossover_10_30."""
        self.start()

    def start(self) -> None:
        """Set up the state before the first candle; called once, when the parameters are in force.

        Raises:
            ConfigurationError: The parameters contradict each other.
        """

    @classmethod
    def defaults(cls) -> dict[str, Value]:
        """The parameters as they are declared, in that order, with their defaults."""
        return {key: getattr(cls, key) for key in _declared(cls)}

    @classmethod
    def known(cls) -> Mapping[str, type[Self]]:
        """All classes of the kind that can be used, by name, with those that come with Kandle."""
        importlib.import_module(cls._package)
        return {name: known for name, known in cls.registry.items() if not inspect.isabstract(known)}

    @classmethod
    def create(cls, spec: str) -> Self:
        """An instance from a setting: `sma`, `sma(50)`, `sma(period=50)`, `vwap(session=1d)`.

        Raises:
            ConfigurationError: The text cannot be read, the name is unknown, or the parameters are wrong.
        """
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise ConfigurationError(f"an {cls._kind} is written 'name' or 'name(1, key=2)', got {spec!r}")
        known = cls.known()
        if match[1] not in known:
            raise ConfigurationError(
                f"there is no {cls._kind} {match[1]!r}; known: {', '.join(sorted(known))}"
            )
        values: list[Value] = []
        named: dict[str, Value] = {}
        for argument in filter(str.strip, (match[2] or "").split(",")):
            key, equals, text = argument.rpartition("=")
            value = _value(spec, text.strip())
            if key.strip() in named or (values and named and not equals):
                raise ConfigurationError(f"{spec!r}: {argument.strip()} is out of place")
            if equals:
                named[key.strip()] = value
            else:
                values.append(value)
        return known[match[1]](*values, **named)

    def fresh(self) -> Self:
        """Another instance with the same parameters and no history."""
        return type(self)(**self.parameters)


def _value(spec: str, text: str) -> Value:
    try:
        value: Value = msgspec.json.decode(text, type=Number)
    except msgspec.MsgspecError as error:
        if not _WORD.fullmatch(text):
            raise ConfigurationError(f"{spec!r}: expected a number or a word, got {text!r}") from error
        return text
    return value


def _text(number: float) -> str:
    """As short as it can be without becoming another number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


_DECLARED: dict[type[Any], dict[str, Any]] = {}


def _declared(cls: type[Any]) -> dict[str, Any]:
    """Types of the parameters of a class, in the order of their declaration; read once, when first needed."""
    if cls not in _DECLARED:
        _DECLARED[cls] = {
            key: hint
            for key, hint in get_type_hints(cls, include_extras=True).items()
            if hasattr(cls, key) and not key.startswith("_") and get_origin(hint) is not ClassVar
        }
    return _DECLARED[cls]
