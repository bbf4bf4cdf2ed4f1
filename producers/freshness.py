"""Whether a record says anything that an earlier one did not: quotes, tickers, candles and the like.

Two connections may bring the same record, and a venue may say one thing twice. Trades are judged by
`producers.continuity`, books by their chain.
"""

from collections import OrderedDict
from typing import Final, TypeAlias

from schemas.identity import ce_id
from schemas.records import DerivativeTicker, ExchangeCandle, Liquidation, Quote, Ticker

LIQUIDATIONS_MAX: Final = 10_000
"""Liquidations remembered: they have no number, and one may come twice within seconds."""

Judged: TypeAlias = Quote | Ticker | ExchangeCandle | DerivativeTicker | Liquidation


class Freshness:
    """Follows the newest record of each kind and symbol. Pure.

    Args:
        quotes: Newest sequence of the quotes of each symbol in the log.
    """

    def __init__(self, quotes: dict[str, int]) -> None:
        self.quotes = dict(quotes)
        self._newest: dict[tuple[str, ...], tuple[int, int]] = {}
        self._liquidations: OrderedDict[str, None] = OrderedDict()

    def is_new(self, record: Judged) -> bool:
        """Judge a record and remember it; one without sequence and time is always new."""
        if isinstance(record, Quote):
            return self._is_new_quote(record)
        if isinstance(record, Liquidation):
            return self._is_new_liquidation(record)
        if record.event_time is None:
            return True
        order = (0, record.event_time)
        key: tuple[str, ...] = ("ticker", record.symbol)
        if isinstance(record, ExchangeCandle):
            order = (record.open_time, record.event_time)
            key = ("candle", record.symbol, record.interval)
        elif isinstance(record, DerivativeTicker):
            # Open interest and mark price come by different ways, each with a time of its own.
            key = ("derivative", record.symbol, str(record.mark_price is None))
        if order <= self._newest.get(key, (-1, -1)):
            return False
        self._newest[key] = order
        return True

    def _is_new_quote(self, quote: Quote) -> bool:
        if quote.sequence is not None:
            if quote.sequence <= self.quotes.get(quote.symbol, -1):
                return False
            self.quotes[quote.symbol] = quote.sequence
        return True

    def _is_new_liquidation(self, liquidation: Liquidation) -> bool:
        name = ce_id(liquidation)
        if name in self._liquidations:
            return False
        self._liquidations[name] = None
        if len(self._liquidations) > LIQUIDATIONS_MAX:
            self._liquidations.popitem(last=False)
        return True
