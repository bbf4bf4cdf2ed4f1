"""All trades of a file: each once, in the order in which they happened."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from kandle.trade_file.reading import TradePart
from kandle.trade_file.values import Floats, Ints

Bools = npt.NDArray[np.bool_]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TradeTable:
    """Trades sorted by time, then by id where ids are numbers, else as they stand in the file.

    Attributes:
        times: Microseconds since the epoch.
        prices: Above 0.
        sizes: 0 or more.
        sides: Aggressor, 1: buy, 2: sell, 0: not known.
        ids: Numbers, or indexes into `id_texts`; -1: none.
        id_texts: Ids that are texts; None where they are numbers.
        symbols: Index into `markets`.
        markets: Venue and symbol, empty where the file has none, in the order of their bytes.
        repeats: Trades that were dropped: they repeat an id and its values.
        conflicts: Lines that were dropped: they give a known id other values.
    """

    times: Ints
    prices: Floats
    sizes: Floats
    sides: Ints
    ids: Ints
    id_texts: list[str] | None
    symbols: Ints
    markets: list[tuple[str, str]]
    repeats: int
    conflicts: list[int]

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def of(cls, parts: Iterable[TradePart]) -> Self | None:
        """Sort and check what a file gave; None where it gave nothing."""
        found = list(parts)
        if not found:
            return None
        ids, id_texts = _ids(found)
        symbols, markets = _markets(found)
        columns = {
            "times": np.concatenate([part.times for part in found]),
            "prices": np.concatenate([part.prices for part in found]),
            "sizes": np.concatenate([part.sizes for part in found]),
            "sides": np.concatenate([part.sides for part in found]),
            "ids": ids,
            "symbols": symbols,
            "lines": np.concatenate([part.lines for part in found]),
        }
        if id_texts is not None or np.all(ids < 0):
            steps = np.diff(columns["times"])
            if np.all(steps <= 0) and np.any(steps < 0):  # newest first, as many answers of REST are
                columns = {name: column[::-1] for name, column in columns.items()}
        repeated, differs = _repeats(columns)
        conflicts = np.sort(columns["lines"][differs]).tolist()
        columns = {name: column[~(repeated | differs)] for name, column in columns.items()}
        by_id = np.zeros(len(columns["times"]), np.int64) if id_texts is not None else columns["ids"]
        order = np.lexsort((by_id, columns["times"]))
        del columns["lines"]
        return cls(
            **{name: np.ascontiguousarray(column[order]) for name, column in columns.items()},
            id_texts=id_texts,
            markets=markets,
            repeats=int(repeated.sum()),
            conflicts=conflicts,
        )


def _ids(parts: list[TradePart]) -> tuple[Ints, list[str] | None]:
    numbers = [part.ids for part in parts if not isinstance(part.ids, list)]
    if len(numbers) == len(parts):
        return np.concatenate(numbers), None
    texts = [
        text
        for part in parts
        for text in (
            part.ids
            if isinstance(part.ids, list)
            else ["" if number < 0 else str(number) for number in part.ids.tolist()]
        )
    ]
    indexes, names = _indexed(texts)
    none = names.index("") if "" in names else -1
    return np.where(indexes == none, -1, indexes), names


def _markets(parts: list[TradePart]) -> tuple[Ints, list[tuple[str, str]]]:
    if all(part.symbols is None and part.venues is None for part in parts):
        return np.zeros(sum(len(part.times) for part in parts), np.int64), [("", "")]
    names: list[tuple[str, str]] = []
    for part in parts:
        absent = [""] * len(part.times)
        names += zip(part.venues or absent, part.symbols or absent, strict=True)
    return _indexed(names, lambda name: tuple(text.encode("utf-8", "surrogateescape") for text in name))


def _indexed(
    names: list[Name], key: Callable[[Name], tuple[bytes, ...]] | None = None
) -> tuple[Ints, list[Name]]:
    """Index of each name, and the names: sorted by a key, else in order of appearance."""
    found = list(dict.fromkeys(names))
    if key is not None:
        found.sort(key=key)
    index = {name: at for at, name in enumerate(found)}
    return np.array([index[name] for name in names], np.int64), found


def _repeats(columns: dict[str, Ints | Floats]) -> tuple[Bools, Bools]:
    """Which rows have an id that stood before, with the same values and with others."""
    ids, symbols = columns["ids"], columns["symbols"]
    order = np.lexsort((columns["lines"], ids, symbols))
    known = np.zeros(len(order), bool)
    before, after = order[:-1], order[1:]
    known[1:] = (ids[after] == ids[before]) & (symbols[after] == symbols[before]) & (ids[after] >= 0)
    firsts = order[np.maximum.accumulate(np.where(known, 0, np.arange(len(order))))]
    same = np.ones(len(order), bool)
    for name in ("times", "prices", "sizes", "sides"):
        same &= columns[name][order] == columns[name][firsts]
    repeated, differs = np.zeros(len(order), bool), np.zeros(len(order), bool)
    repeated[order], differs[order] = known & same, known & ~same
    return repeated, differs
