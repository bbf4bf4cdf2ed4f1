"""What was downloaded of a market: files of a month or a day, and the spans of time that they are whole for.

<data>/history/<venue>/<symbol>/<kind>/manifest.json      spans, and what the series is of
<data>/history/<venue>/<symbol>/<kind>/2024-08.parquet    candles of a month; of trades, a day

A file is replaced as a whole before the manifest says that its span is there: what a kill leaves is rows that
are downloaded once more, and joined with themselves.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.downloads.parquet import Columns, joined, read_columns, write_columns, write_whole
from infra.range_set import RangeSet
from schemas.errors import ConflictError
from schemas.identity import split_key
from schemas.records import Micros

Kind = Literal["candles", "trades"]
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
LOCK: Final = ".lock"
KEYS: Final[dict[Kind, tuple[str, str]]] = {"candles": ("open_time", "open_time"), "trades": ("time", "id")}
"""The column of the time and the one by which a row is known."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a series is of, and where it is whole.

    Attributes:
        market: `venue:symbol`.
        kind: What rows it has.
        interval: Of candles; empty for trades.
        spans: [from, to) in µs, ascending, apart: in them there is no row that is not here.
        rows: How many there are.
        version: Of this format.
    """

    market: str
    kind: Kind
    interval: str = ""
    spans: list[tuple[Micros, Micros]] = []
    rows: int = 0
    version: int = VERSION


class Series:
    """One series. All calls block; those that write want the lock.

    Args:
        root: Folder of all downloads.
        market: `venue:symbol`.
        kind: What rows.
        interval: Of candles.
    """

    def __init__(self, root: Path, market: str, kind: Kind, interval: str = "") -> None:
        venue, symbol = split_key(market)
        name = f"{kind}-{interval}" if interval else kind
        self.folder = root / venue / quote(symbol, safe="") / name
        self.market, self.kind, self.interval = market, kind, interval
        self._time, self._key = KEYS[kind]

    def manifest(self) -> Manifest:
        """What is there as of now.

        Raises:
            ConflictError: The file is damaged, or of a later version.
        """
        try:
            data = (self.folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            return Manifest(market=self.market, kind=self.kind, interval=self.interval)
        try:
            found = msgspec.json.decode(data, type=Manifest)
        except msgspec.DecodeError as error:
            raise ConflictError(f"{self.folder / MANIFEST} is damaged: {error}") from None
        if found.version > VERSION:
            raise ConflictError(f"{self.folder / MANIFEST} is of a later Kandle; update this one")
        return found

    def missing(self, since: Micros, until: Micros) -> list[tuple[Micros, Micros]]:
        """The spans of a span that are not there yet."""
        found, at = [], since
        for start, stop in self.manifest().spans:
            if stop <= at or start >= until:
                continue
            if start > at:
                found.append((at, start))
            at = max(at, stop)
        return [*found, (at, until)] if at < until else found

    def add(self, rows: Columns, since: Micros, until: Micros) -> None:
        """Keep rows, and that with them all of [since, until) is there."""
        manifest = self.manifest()
        total = manifest.rows
        names = self._files_of(rows[self._time])
        for name in np.unique(names).tolist():
            path = self.folder / f"{name}.parquet"
            chosen = names == name
            old = read_columns(path)
            new = joined(old, {column: values[chosen] for column, values in rows.items()}, self._key)
            write_columns(path, _by_time(new, self._time))
            total += len(new[self._time]) - (len(old[self._time]) if old else 0)
        spans = RangeSet(manifest.spans)
        spans.add_range(since, until)
        whole = msgspec.structs.replace(manifest, spans=[(start, stop) for start, stop in spans], rows=total)
        write_whole(self.folder / MANIFEST, msgspec.json.format(msgspec.json.encode(whole)))

    def read(self, since: Micros, until: Micros) -> dict[str, npt.NDArray[Any]]:
        """The rows of a span in order of their time; no column where there is none."""
        first, last = self._name(since), self._name(until - 1)
        parts = [
            read_columns(path)
            for path in sorted(self.folder.glob("*.parquet"))
            if first <= path.stem <= last and not path.name.startswith(".")
        ]
        if not parts:
            return {}
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        inside = (columns[self._time] >= since) & (columns[self._time] < until)
        return {name: column[inside] for name, column in columns.items()}

    def bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for path in self.folder.glob("*.parquet"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one that downloads it; the kernel gives the lock back, however the process ends.

        Raises:
            ConflictError: Another process downloads it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        number = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConflictError(f"another process downloads {self.market} already") from None
            for left in self.folder.glob(".*.tmp"):  # of a process that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(number)

    def _files_of(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
        moments: npt.NDArray[np.datetime64] = times.astype("datetime64[us]")
        return np.datetime_as_string(moments, unit="M" if self.kind == "candles" else "D")

    def _name(self, time: Micros) -> str:
        """Name of the file of a time; of times that no date has, of the last that one has."""
        seconds = min(max(time // 1_000_000, 0), 253_402_300_799)
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime(
            "%Y-%m" if self.kind == "candles" else "%Y-%m-%d"
        )


def all_series(root: Path) -> Iterator[Series]:
    """All that was downloaded."""
    for path in sorted(root.glob(f"*/*/*/{MANIFEST}")):
        venue, symbol, name = path.parts[-4:-1]
        kind, _, interval = name.partition("-")
        if kind in KEYS:
            yield Series(root, f"{venue}:{unquote(symbol)}", kind, interval)


def folder_of(data_dir: Path) -> Path:
    """Where downloads are kept."""
    return data_dir / "history"


def _by_time(columns: Columns, name: str) -> Columns:
    order = np.argsort(columns[name], kind="stable")
    return {key: column[order] for key, column in columns.items()}
