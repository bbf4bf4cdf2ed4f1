"""Rows as columns, for comparisons: a million of them without an object a row.

A column holds numbers, or texts as codes into a list of words. Two sets of rows may have word lists of their
own; whoever made both with one list saves the translation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.identity import ce_id
from schemas.records import Record

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_CODES_END: Final = 2**62
"""Codes of several columns are combined into one number below this."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of all rows.

    Attributes:
        values: Numbers of any NumPy type, or codes into `words`.
        valid: False where there is no value; None: all have one.
        words: What the codes mean.
        show: How one value is shown to people and programs; without it, as it is.
    """

    values: npt.NDArray[Any]
    valid: Mask | None = None
    words: Sequence[str] | None = None
    show: Callable[[Any], object] | None = None

    @property
    def present(self) -> Mask:
        """Which rows have a value."""
        return np.ones(len(self.values), np.bool_) if self.valid is None else self.valid

    def at(self, row: int) -> object:
        """The value of a row as JSON can say it; None where there is none."""
        if self.valid is not None and not self.valid[row]:
            return None
        value = self.values[row].item()
        if self.words is not None:
            value = self.words[value]
        return value if self.show is None else self.show(value)

    def take(self, rows: npt.NDArray[Any]) -> Column:
        """The column of some rows."""
        valid = None if self.valid is None else self.valid[rows]
        return Column(self.values[rows], valid, self.words, self.show)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of one length, by name."""

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return next((len(column.values) for column in self.columns.values()), 0)

    @classmethod
    def of(cls, fields: Mapping[str, Sequence[object]]) -> Rows:
        """From lists of values: whole numbers, doubles, booleans or texts; None where there is none.

        Anything else becomes text, as JSON.
        """
        return cls({name: _column(values) for name, values in fields.items()})

    @classmethod
    def of_records(cls, records: Sequence[Record]) -> Rows:
        """From records of one type: their fields, and `ce_id`."""
        if not records:
            return cls({})
        names = records[0].__struct_fields__
        fields = {name: [getattr(record, name) for record in records] for name in names}
        return cls.of({"ce_id": [ce_id(record) for record in records], **fields})

    def take(self, rows: npt.NDArray[Any]) -> Rows:
        """Some rows, in the order asked for; by indexes or a mask."""
        return Rows({name: column.take(rows) for name, column in self.columns.items()})

    @classmethod
    def concatenated(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of several in one; their columns are the same, texts of one list of words."""
        if len(parts) <= 1:
            return parts[0] if parts else cls({})
        found = {}
        for name, first in parts[0].columns.items():
            columns = [part.columns[name] for part in parts]
            whole = all(column.valid is None for column in columns)
            valid = None if whole else np.concatenate([column.present for column in columns])
            values = np.concatenate([column.values for column in columns])
            found[name] = Column(values, valid, first.words, first.show)
        return cls(found)

    def describe(self, row: int, names: Iterable[str]) -> dict[str, object]:
        """Some fields of a row, as JSON can say them."""
        return {name: self.columns[name].at(row) for name in names}


def joined(left: Column, right: Column) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Mask, Mask]:
    """Values and validity of two columns of one field, with codes that mean the same on both sides.

    Raises:
        ValueError: One holds texts and the other numbers.
    """
    if (left.words is None) != (right.words is None):
        # Where there is no value at all, it may be of any type.
        if not left.present.any():
            left = Column(np.zeros(len(left.values), right.values.dtype), left.present, right.words)
        elif not right.present.any():
            right = Column(np.zeros(len(right.values), left.values.dtype), right.present, left.words)
        else:
            raise ValueError("a field holds texts on one side and numbers on the other")
    values = right.values
    if left.words is not None and right.words is not None and left.words is not right.words:
        codes = {word: code for code, word in enumerate(left.words)}
        own = [codes.setdefault(word, len(codes)) for word in right.words]
        values = np.array([*own, -1], np.int64)[right.values]
    return left.values, values, left.present, right.present


def group(columns: Sequence[tuple[npt.NDArray[Any], Mask]], rows: int) -> tuple[Ints, int]:
    """A number from 0 on for each row, the same for rows that are equal in all columns; nulls are equal.

    Args:
        columns: Values and validity.
        rows: Length of all of them.

    Returns:
        The numbers, and an end that they stay below: some may not be used.
    """
    codes, end = np.zeros(rows, np.int64), 1
    for values, valid in columns:
        own, width = _dense(values, valid)
        if end * width >= _CODES_END:
            codes, end = _ranked(codes)
            own, width = _ranked(own)
        codes, end = codes * width + own, end * width
    return (codes, end) if end <= 4 * rows + 1024 else _ranked(codes)


def without(rows: Rows, others: Rows, names: Sequence[str]) -> Rows:
    """The rows that have no equal among others in these fields; texts are of one list of words."""
    if not len(rows) or not len(others):
        return rows
    both = Rows.concatenated([Rows({name: each.columns[name] for name in names}) for each in (rows, others)])
    codes, _ = group([(column.values, column.present) for column in both.columns.values()], len(both))
    return rows.take(~np.isin(codes[: len(rows)], codes[len(rows) :]))


def newest(rows: Rows, identity: Sequence[str], version: Sequence[str] = ()) -> Ints:
    """Indexes of the newest version of each identity, ascending; of equal versions the first.

    Args:
        rows: In the order in which they came.
        identity: Fields that all versions of a row share.
        version: Whole numbers that grow, the most significant first; without any the first row is kept.
    """
    columns = [(rows.columns[name].values, rows.columns[name].present) for name in identity]
    codes, _ = group(columns, len(rows))
    versions = [-rows.columns[name].values for name in reversed(version)]
    order = np.lexsort((np.arange(len(rows)), *versions, codes))
    first = np.ones(len(rows), np.bool_)
    first[1:] = codes[order[1:]] != codes[order[:-1]]
    return np.sort(order[first])


def _dense(values: npt.NDArray[Any], valid: Mask) -> tuple[Ints, int]:
    """Whole numbers from 0 on that are equal where the values are; 0 is null."""
    numbers = values.view(np.int64) if values.dtype == np.float64 else values.astype(np.int64, copy=False)
    if not valid.any():
        return np.zeros(len(values), np.int64), 1
    low, high = int(numbers[valid].min()), int(numbers[valid].max())
    if high - low >= _CODES_END:
        ranks, count = _ranked(numbers)
        return np.where(valid, ranks + 1, 0), count + 1
    return np.where(valid, numbers - low + 1, 0), high - low + 2


def _ranked(codes: Ints) -> tuple[Ints, int]:
    found, ranks = np.unique(codes, return_inverse=True)
    return ranks.reshape(-1).astype(np.int64, copy=False), max(len(found), 1)


def _column(values: Sequence[object]) -> Column:
    known = [value for value in values if value is not None]
    valid = None if len(known) == len(values) else np.array([value is not None for value in values], np.bool_)
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if known and all(type(value) is kind for value in known):
            return Column(np.array([0 if value is None else value for value in values], dtype), valid)
    if known and all(type(value) in (int, float) for value in known):
        return Column(np.array([0 if value is None else value for value in values], np.float64), valid)
    codes: dict[str, int] = {}
    texts = ["" if value is None else _text(value) for value in values]
    return Column(
        np.array([codes.setdefault(text, len(codes)) for text in texts], np.int64), valid, list(codes)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
