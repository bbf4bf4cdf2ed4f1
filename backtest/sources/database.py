"""The database as a source: COPY in its binary form, and a kernel that makes columns of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from psycopg import sql

from backtest.sources.asked import ALWAYS, Asked, Found
from backtest.sources.collection import Collection
from backtest.sources.rows import NONE, CandleRows, FundingRows, Ints, QuoteRows, TradeRows
from infra.settings import DatabaseSettings
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.key_table import KeyTable
from schemas.records import Instrument
from sinks.sessions import Db, connected, snapshot
from sinks.timescale.copy_binary import POSTGRES_EPOCH_US
from sinks.timescale.copy_reader import WIDTHS, CopiedColumns, read_rows
from sinks.timescale.table import Table
from sinks.timescale.tables import CANDLES, DERIVATIVES, QUOTES, TRADES

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EVERY: Final = sql.SQL("true")
"""A condition that all rows meet."""
_SIDES: Final = {ord("b"): 1, ord("s"): -1}
_KINDS: Final = {"s": "spot", "p": "perpetual", "f": "future"}
_STATES: Final = {"t": "trading", "h": "halted", "d": "delisted"}


def read_database(settings: DatabaseSettings, asked: Asked) -> Found:
    """What the tables hold, as of one moment. Blocks.

    Raises:
        ConfigurationError: None is configured, no sink has run on it, or books are asked for: it has none.
        UnavailableError: The database does not answer.
    """
    if "books" in asked.kinds:
        raise ConfigurationError(
            "the database holds samples of books, not their changes: read books from topics, the archive or "
            "a capture"
        )
    with connected(settings, "backtest") as db, snapshot(db):
        return _Reading(db, asked).run()


class _Reading:
    def __init__(self, db: Db, asked: Asked) -> None:
        self._db, self._asked = db, asked
        self._collection = Collection(asked)

    def run(self) -> Found:
        for market in self._asked.markets:
            venue, symbol = split_key(market)
            row = self._db.execute(
                "SELECT id FROM kandle.instruments WHERE venue = %s AND symbol = %s", (venue, symbol)
            ).fetchone()
            if row is not None:
                self._read(market, row[0])
        return self._collection.found()

    def _read(self, market: str, number: int) -> None:
        kinds = self._asked.kinds
        if "trades" in kinds:
            self._collection.add(market, _trades(self._copied(TRADES, number)))
        if "quotes" in kinds:
            copied = self._copied(QUOTES, number)
            prices = [_doubles(copied, name) for name in ("bid", "bid_size", "ask", "ask_size")]
            self._collection.add(
                market, QuoteRows(*[_times(copied, "time"), *prices, _whole(copied, "sequence")])
            )
        if "candles" in kinds:
            same = sql.SQL("interval = {}").format(sql.Literal(self._asked.interval.name))
            copied = self._copied(CANDLES, number, same)
            prices = [_doubles(copied, name) for name in ("open", "high", "low", "close", "volume")]
            self._collection.add(
                market, CandleRows(*[_times(copied, "time"), *prices, _whole(copied, "revision")])
            )
        if "funding" in kinds:
            copied = self._copied(DERIVATIVES, number)
            columns = [_times(copied, "time"), _doubles(copied, "funding_rate")]
            columns += [_times(copied, "next_funding_time"), _doubles(copied, "mark_price")]
            self._collection.add(market, FundingRows(*columns))
        self._add_listing(market, number)

    def _copied(self, table: Table, number: int, more: sql.Composable = EVERY) -> _Copied:
        """Columns of the rows of an instrument in the time that is asked for."""
        names = [cell.name for cell in table.cells]
        query = sql.SQL(
            "COPY (SELECT {} FROM {} WHERE instrument_id = {} AND {} AND {}) TO STDOUT (FORMAT binary)"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier("kandle", table.name),
            sql.Literal(number),
            self._span(),
            more,
        )
        blocks = bytearray()
        with self._db.cursor() as cursor, cursor.copy(query) as copy:
            for block in copy:
                blocks += block
        copied = read_rows(
            np.frombuffer(bytes(blocks), np.uint8), [WIDTHS.get(cell.type, 0) for cell in table.cells]
        )
        return _Copied(copied, names)

    def _span(self) -> sql.Composable:
        # Constants, not terms that the server would compute: it would lock every partition before it does.
        since = sql.SQL('"time" >= {}').format(_moment(self._asked.since))
        if self._asked.until == ALWAYS:
            return since
        return sql.SQL('{} AND "time" < {}').format(since, _moment(self._asked.until))

    def _add_listing(self, market: str, number: int) -> None:
        venue, symbol = split_key(market)
        row = self._db.execute(
            "SELECT venue_symbol, base, quote, kind::text, status::text, tick_size, lot_size, min_notional, "
            'multiplier, (extract(epoch FROM "time") * 1000000)::bigint FROM kandle.market_listings '
            'WHERE instrument_id = %s ORDER BY "time" DESC LIMIT 1',
            (number,),
        ).fetchone()
        if row is not None:
            names, kind, status, rest = row[:3], _KINDS[row[3]], _STATES[row[4]], row[5:]
            listed: Any = (venue, symbol, *names, kind, status, *rest)
            self._collection.add_instruments([Instrument(*listed)])


class _Copied:
    """Columns of a COPY by name."""

    def __init__(self, copied: CopiedColumns, names: Sequence[str]) -> None:
        self.copied = copied
        self._places = {name: place for place, name in enumerate(names)}

    def cells(self, name: str) -> tuple[Ints, Any]:
        """Values and lengths of a column; a length of -1 is null."""
        place = self._places[name]
        return self.copied.cells[place], self.copied.lengths[place]


def _trades(copied: _Copied) -> TradeRows:
    sequences = _whole(copied, "sequence")
    sides, lengths = copied.cells("side")
    signs = np.zeros(256, np.int8)
    signs[list(_SIDES)] = list(_SIDES.values())
    starts, sizes = copied.cells("trade_id")
    ids = np.full(len(sequences), NONE, np.int64)
    unnumbered = np.flatnonzero(sequences == NONE)
    if len(unnumbered):
        ids[unnumbered] = KeyTable().intern(copied.copied.data, starts[unnumbered], sizes[unnumbered])
    return TradeRows(
        _times(copied, "time"),
        _doubles(copied, "price"),
        _doubles(copied, "size"),
        np.where(lengths < 0, np.int8(0), signs[sides & 0xFF]).astype(np.int8),
        sequences,
        ids,
    )


def _times(copied: _Copied, name: str) -> Ints:
    """µs since 1970; 0 where it is null."""
    cells, lengths = copied.cells(name)
    return np.where(lengths < 0, 0, cells + POSTGRES_EPOCH_US)


def _whole(copied: _Copied, name: str) -> Ints:
    cells, lengths = copied.cells(name)
    return np.where(lengths < 0, NONE, cells)


def _doubles(copied: _Copied, name: str) -> Any:
    cells, lengths = copied.cells(name)
    return np.where(lengths < 0, np.nan, np.ascontiguousarray(cells).view(np.float64))


def _moment(time: int) -> sql.Literal:
    return sql.Literal(_EPOCH + dt.timedelta(microseconds=time))
