"""What the fields of a trade are called in files of all kinds."""

from collections.abc import Iterable, Mapping
from typing import Final

from kandle.trade_file.errors import TradeFileError

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "time": (
        *("time", "event_time", "trade_time", "transact_time", "exec_time", "timestamp", "ts", "datetime"),
        *("date_time", "date", "create_time_ms", "create_time", "created_at", "T", "t", "E"),
    ),
    "price": ("price", "trade_price", "px", "rate", "p"),
    "size": (
        *("size", "qty", "quantity", "amount", "volume", "trade_size", "base_qty", "base_amount"),
        *("base_volume", "vol", "sz", "q", "v"),
    ),
    "side": ("side", "taker_side", "aggressor_side", "aggressor", "direction", "trade_type", "S"),
    "maker": ("is_buyer_maker", "buyer_is_maker", "buyer_maker", "m"),
    "id": ("trade_id", "id", "agg_trade_id", "deal_id", "tid", "t", "a", "i"),
    "symbol": (
        *("symbol", "currency_pair", "pair", "market", "instrument", "inst_id", "product_id", "contract"),
        "s",
    ),
    "venue": ("venue", "exchange"),
    "type": ("type",),
}
"""Names by field, the best first. Case, blanks and punctuation do not matter, but for single letters."""

NEEDED: Final = ("time", "price", "size")


def find_fields(names: Iterable[str]) -> dict[str, str]:
    """Which of some names holds which field.

    Args:
        names: Columns of a CSV file, keys of a JSON object.

    Raises:
        TradeFileError: Time, price or size is not among them.
    """
    exact = list(names)
    plain = {_plain(name): name for name in reversed(exact)}
    found: dict[str, str] = {}
    for field, aliases in ALIASES.items():
        for alias in aliases:
            name = alias if alias in exact else plain.get(_plain(alias)) if len(alias) > 1 else None
            if name is not None and name not in found.values():
                found[field] = name
                break
    missing = [field for field in NEEDED if field not in found]
    if missing:
        raise TradeFileError(
            f"no field for {', '.join(missing)} among {', '.join(exact) or 'none'}; "
            f"name it, for example, {', '.join(ALIASES[missing[0]][:5])}"
        )
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
