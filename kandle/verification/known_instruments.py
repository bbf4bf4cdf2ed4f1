"""The numbers of instruments as the database has them, without ever adding one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from schemas.records import Record
from sinks.portion import Slice
from sinks.timescale.instruments import Instruments, Name


class KnownInstruments(Instruments):
    """Numbers and names; an instrument that the database does not know has a number below -1.

    Args:
        stored: Number, venue and symbol of all that the database has.
    """

    def __init__(self, stored: Iterable[tuple[int, str, str]]) -> None:
        super().__init__()
        self._names: dict[int, Name] = {}
        self._unknown = 0
        self.learn(stored)

    def learn(self, stored: Iterable[tuple[int, str, str]]) -> None:
        """Take in instruments that came since; those that have a number keep it."""
        for number, venue, symbol in stored:
            self._names[self._ids.setdefault((venue, symbol), number)] = (venue, symbol)

    def id_of(self, venue: str, symbol: str) -> int:
        """The number of an instrument."""
        number = self._ids.get((venue, symbol))
        if number is None:
            self._unknown += 1
            number = self._ids[venue, symbol] = -1 - self._unknown
            self._names[number] = (venue, symbol)
        return number

    def ids(self, slice_: Slice, record: type[Record]) -> npt.NDArray[np.int64]:
        """The numbers of all rows of a record."""
        venues, symbols = slice_.codes(record, "venue"), slice_.codes(record, "symbol")
        pairs, back = np.unique(venues << 32 | symbols, return_inverse=True)
        dictionaries = slice_.columns.reader.dictionaries
        venue_names, symbol_names = dictionaries["venue"].keys, dictionaries["symbol"].keys
        numbers = [
            self.id_of(venue_names[pair >> 32], symbol_names[pair & 0xFFFFFFFF]) for pair in pairs.tolist()
        ]
        found: npt.NDArray[np.int64] = np.array(numbers, np.int64)[back.reshape(-1)]
        return found

    def name_of(self, number: int) -> str:
        """Venue and symbol, for people."""
        return ":".join(self._names.get(number, ("number", str(number))))

    def wanted(self, numbers: Collection[int], symbols: Collection[str]) -> list[int]:
        """Of some instruments those of these symbols; all of them if none is named."""
        return sorted(set(numbers) & set(self.numbers_of(symbols)) if symbols else numbers)

    def numbers_of(self, symbols: Collection[str]) -> list[int]:
        """The numbers of all instruments of these symbols, whatever their venue."""
        return sorted(number for number, (_, symbol) in self._names.items() if symbol in symbols)
