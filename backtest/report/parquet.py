"""A run as Parquet files: trades, orders, fills, funding and the equity curve.

Amounts, sizes and prices stand twice: as doubles to compute with, and under `..._exact` as texts with every
digit. They are exact decimals of up to 60 digits here, and a decimal128 holds 38 of them.
"""

from __future__ import annotations

import enum
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from backtest.engine import Run
from backtest.statistics.benchmark import buy_and_hold
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Kind: TypeAlias = Literal["time", "text", "count", "flag", "number", "exact"]
_TRADES: Final[Mapping[str, Kind]] = {
    "market": "text",
    "size": "exact",
    "entry_time": "time",
    "entry_price": "exact",
    "exit_time": "time",
    "exit_price": "exact",
    "fee": "exact",
    "profit": "exact",
    "interest": "exact",
}
_PAYMENTS: Final[Mapping[str, Kind]] = {"market": "text", "time": "time", "amount": "exact"}
_ORDERS: Final[Mapping[str, Kind]] = {
    "number": "count",
    "market": "text",
    "side": "text",
    "kind": "text",
    "size": "exact",
    "part": "exact",
    "limit": "exact",
    "trigger": "exact",
    "trail": "exact",
    "trail_part": "exact",
    "time_in_force": "text",
    "post_only": "flag",
    "reduce_only": "flag",
    "fit": "flag",
    "placed": "time",
    "state": "text",
    "reason": "text",
    "filled": "exact",
    "group": "count",
}
_FILLS: Final[Mapping[str, Kind]] = {
    "time": "time",
    "market": "text",
    "side": "text",
    "size": "exact",
    "price": "exact",
    "fee": "exact",
    "maker": "flag",
}


def write_parquet(run: Run, folder: Path, about: Mapping[str, Any]) -> list[Path]:
    """Write trades, orders, fills, payments (of funding) and equity, each as `.parquet`.

    Files of that name are replaced.

    Args:
        run: What came of a run.
        folder: Made if it is not there.
        about: Strategy, parameters, hash: kept as JSON in the metadata of every file, under `kandle`.

    Returns:
        The files.

    Raises:
        ConfigurationError: pyarrow is not installed, or the folder cannot be written to.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigurationError("Parquet files need pyarrow: install kandle with the extra `archive`")
    from pyarrow import parquet

    tables = {
        "trades": _table(_TRADES, run.trades),
        "orders": _table(_ORDERS, run.orders),
        "fills": _fills(run),
        "payments": _table(_PAYMENTS, run.payments),
        "equity": _equity(run),
    }
    metadata = {"kandle": json.dumps(about)}
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            file, draft = folder / f"{name}.parquet", folder / f".{name}.partial"
            parquet.write_table(table.replace_schema_metadata(metadata), draft, compression="zstd")
            os.replace(draft, file)
            written.append(file)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error}") from error
    return written


def _fills(run: Run) -> pa.Table:
    """Fills, with the number of the order that each belongs to in front."""
    import pyarrow as pa

    numbers = pa.array([fill.order.number for fill in run.fills], pa.int64())
    return _table(_FILLS, run.fills).add_column(0, "order", numbers)


def _equity(run: Run) -> pa.Table:
    """The curve, a row a candle in the order of the run."""
    import pyarrow as pa

    capital = float(run.terms.capital)
    peaks = np.maximum.accumulate(np.maximum(run.equity, capital))
    return pa.table(
        {
            "time": pa.array(run.times, pa.timestamp("us", "UTC")),
            "equity": run.equity,
            "drawdown": (peaks - run.equity) / peaks,
            "exposed": run.exposed,
            "buy_and_hold": buy_and_hold(run.bars, run.times, capital),
        }
    )


def _table(columns: Mapping[str, Kind], rows: Sequence[object]) -> pa.Table:
    import pyarrow as pa

    types = {
        "time": pa.timestamp("us", "UTC"),
        "text": pa.string(),
        "count": pa.int64(),
        "flag": pa.bool_(),
        "number": pa.float64(),
    }
    found: dict[str, Any] = {}
    for name, kind in columns.items():
        values = [getattr(row, name) for row in rows]
        if kind == "exact":
            found[name] = pa.array(_doubles(values), types["number"])
            found[f"{name}_exact"] = pa.array(_texts(values), types["text"])
        else:
            plain = [value.value if isinstance(value, enum.Enum) else value for value in values]
            found[name] = pa.array(plain, types[kind])
    return pa.table(found)


def _doubles(values: Iterable[Decimal | None]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def _texts(values: Iterable[Decimal | None]) -> list[str | None]:
    """All digits, without an exponent or zeros at the end: `1E+2` is `100`, `1.50` is `1.5`."""
    return [None if value is None else _text(value) for value in values]


def _text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
