"""Strategies by name, or from a file of the user."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from backtest.strategy import Strategy
from kandle.catalogue import spec_of
from schemas.errors import ConfigurationError, KandleError


class StrategyError(KandleError):
    """A strategy has raised something that it should not."""

    code = "STRATEGY"


def strategy_of(text: str, parameters: Sequence[str] = ()) -> Strategy:
    """A strategy from what the command line says: `sma_cross`, `sma_cross(10,30)` or `mine.py`. May block.

    Raises:
        ConfigurationError: There is none of this name, the file holds none or several, or the parameters
            are wrong.
    """
    if not text.endswith(".py"):
        return Strategy.create(spec_of(text, parameters))
    kind = kind_of(text)
    try:
        made = Strategy.create(spec_of(kind.name, parameters))
    except KandleError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{text}: no {kind.__name__} can be made: {_told(error)}") from error
    if not hasattr(made, "parameters"):
        raise ConfigurationError(
            f"{text}: {kind.__name__}.__init__ does not call super().__init__; set up in on_start instead"
        )
    return made


def kind_of(text: str) -> type[Strategy]:
    """The class of a strategy, from its name or its file. May block.

    Raises:
        ConfigurationError: There is none of this name, or the file holds none or several.
    """
    known = Strategy.known()
    if text.endswith(".py"):
        return _from_file(Path(text))
    name = spec_of(text)
    if name not in known:
        raise ConfigurationError(f"there is no strategy {name!r}; known: {', '.join(sorted(known))}")
    return known[name]


def failure_of(strategy: Strategy, error: Exception) -> StrategyError:
    """What to tell the user of an exception that came out of a strategy, with the line of its file."""
    file = inspect.getsourcefile(type(strategy))
    told = _told(error)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == file:
            told += f" ({Path(file).name}, line {frame.lineno}: {frame.line})"
            break
    return StrategyError(f"strategy {strategy.name} has raised {told}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _from_file(path: Path) -> type[Strategy]:
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}")
    name = f"kandle_strategy_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} cannot be imported")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last: what stands beside it hides no module that is installed
    try:
        spec.loader.exec_module(module)
    except KandleError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"{path} cannot be imported: {_told(error)}") from error
    found = [
        each
        for each in vars(module).values()
        if inspect.isclass(each)
        and issubclass(each, Strategy)
        and each.__module__ == name
        and not each.__name__.startswith("_")
    ]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found) or "none"
        raise ConfigurationError(
            f"{path} is to hold one class that derives from kandle.Strategy, got {names}"
        )
    return found[0]
