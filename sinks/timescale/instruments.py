"""The dimension of instruments: (venue, symbol) to the short number that the tables hold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from schemas.records import Record
from sinks.database import Connection
from sinks.portion import Slice

Name = tuple[str, str]
UNKNOWN = -1


class Instruments:
    """A cache of `kandle.instruments`; grows with the number of instruments, rows are never changed.

    New rows are committed by themselves, before the transaction that uses them: a number once cached stands
    in the database, whatever becomes of that transaction.
    """

    def __init__(self) -> None:
        self._ids: dict[Name, int] = {}
        self._by_code = np.full((8, 64), UNKNOWN, np.int64)

    def id_of(self, venue: str, symbol: str) -> int:
        """The number of an instrument that `ensure` has seen.

        Raises:
            KeyError: It has not.
        """
        return self._ids[venue, symbol]

    def ids(self, slice_: Slice, record: type[Record]) -> npt.NDArray[np.int64]:
        """The numbers of all rows of a record, -1 where `ensure` was not asked: refused rows."""
        venues, symbols = slice_.codes(record, "venue"), slice_.codes(record, "symbol")
        if venues.size:
            self._fit(int(venues.max()) + 1, int(symbols.max()) + 1)
        return self._by_code[venues, symbols]

    async def ensure(self, db: Connection, slice_: Slice, record: type[Record]) -> None:
        """Make sure that the instruments of the kept rows of a columnar record have numbers."""
        kept = slice_.kept(record)
        missing = kept & (self.ids(slice_, record) == UNKNOWN)
        if not missing.any():
            return
        venues = slice_.codes(record, "venue")[missing]
        symbols = slice_.codes(record, "symbol")[missing]
        dictionaries = slice_.columns.reader.dictionaries
        pairs = {
            (dictionaries["venue"].keys[venue], dictionaries["symbol"].keys[symbol]): (venue, symbol)
            for venue, symbol in set(zip(venues.tolist(), symbols.tolist(), strict=True))
        }
        await self.ensure_names(db, pairs)
        for name, (venue, symbol) in pairs.items():
            self._by_code[venue, symbol] = self._ids[name]

    async def ensure_names(self, db: Connection, names: Iterable[Name]) -> None:
        """Make sure that instruments have numbers, by name."""
        missing = sorted({name for name in names if name not in self._ids})
        if not missing:
            return
        venues, symbols = [venue for venue, _ in missing], [symbol for _, symbol in missing]
        await db.execute(
            "INSERT INTO kandle.instruments (venue, symbol) SELECT * FROM unnest(%s::text[], %s::text[]) "
            "ON CONFLICT DO NOTHING",
            (venues, symbols),
        )
        cursor = await db.execute(
            "SELECT id, venue, symbol FROM kandle.instruments "
            "JOIN unnest(%s::text[], %s::text[]) AS wanted(venue, symbol) USING (venue, symbol)",
            (venues, symbols),
        )
        async for id_, venue, symbol in cursor:
            self._ids[venue, symbol] = id_

    def _fit(self, venues: int, symbols: int) -> None:
        rows, columns = self._by_code.shape
        if venues > rows or symbols > columns:
            larger = np.full((max(venues, 2 * rows), max(symbols, 2 * columns)), UNKNOWN, np.int64)
            larger[:rows, :columns] = self._by_code
            self._by_code = larger
