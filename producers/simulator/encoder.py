"""From records back to the wire: what a venue would have sent, so that any of its clients can read the past.

One venue is one file in `producers/simulator/encoders/`, one subclass of `Encoder` for each of its markets; a
subclass registers itself by being defined. Pure. It is the inverse of the venue's class in
`producers/exchanges/`: that class makes equal records of the frames, apart from `receive_time`. What a record
does not hold is derived where that is honest (a trade's time is the time of its message), else left out.

A record that the venue could not have sent (a trade without a side at Binance) becomes nothing.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import ClassVar, Final, NamedTuple, TypeAlias

import producers.simulator.encoders
from producers.exchange import MarketRecord
from producers.markets import exchange_class
from producers.validation import base_size
from schemas.errors import ConfigurationError
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Liquidation,
    Quote,
    Ticker,
    Trade,
)

PADDED_BELOW: Final = 1e7
"""A double has 15 digits: above, eight decimal places would be none of the record's."""


class Pushed(NamedTuple):
    """A frame of a stream.

    Attributes:
        stream: Key of the stream (see `SimulatedVenue.split`).
        data: The frame, without what a connection wraps around it.
    """

    stream: str
    data: bytes


class Answered(NamedTuple):
    """What REST says from now on (see `SimulatedVenue.learn`).

    Attributes:
        url: Path and query that it answers.
        body: The answer.
    """

    url: str
    body: bytes


Said: TypeAlias = Pushed | Answered


class Encoder(ABC):
    """Words the records of one market.

    Args:
        instruments: Names and contract sizes, by which sizes become the venue's own. Symbols that are not
            among them have the names of the venue's rule.
    """

    venue: ClassVar[str]
    market: ClassVar[str]

    registry: ClassVar[dict[tuple[str, str], type["Encoder"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "venue" in vars(cls) or "market" in vars(cls):
            Encoder.registry[cls.venue, cls.market] = cls

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self._exchange = exchange_class(self.venue, self.market)
        self._names = {symbol: one.venue_symbol for symbol, one in self.instruments.items()}

    def is_of_market(self, venue: str, symbol: str) -> bool:
        """Whether records of a unified symbol are of this market: derivatives name what settles them."""
        return venue == self.venue and (":" in symbol) != (self.market == "spot")

    def name(self, symbol: str) -> str:
        """The venue's own symbol of a unified one."""
        found = self._names.get(symbol)
        if found is None:
            found = self._names[symbol] = self._exchange.venue_symbol(symbol)
        return found

    def multiplier(self, symbol: str) -> float:
        """Base units of a contract; 1 where nothing is known."""
        instrument = self.instruments.get(symbol)
        return 1.0 if instrument is None else instrument.multiplier

    def said(self, record: MarketRecord) -> Sequence[Said]:
        """What the venue says of a record, in order; nothing for one that it could not have sent."""
        match record:
            case Trade():
                return self._trade(record)
            case Quote():
                return self._quote(record)
            case BookUpdate():
                return self._book(record)
            case Ticker():
                return self._ticker(record)
            case ExchangeCandle():
                return self._candle(record)
            case DerivativeTicker():
                return self._derivatives(record)
            case Liquidation():
                return self._liquidation(record)

    @abstractmethod
    def listing(self) -> Answered:
        """The list of the instruments that are known, with their steps and states."""

    @abstractmethod
    def _trade(self, trade: Trade) -> Sequence[Said]: ...

    @abstractmethod
    def _quote(self, quote: Quote) -> Sequence[Said]: ...

    @abstractmethod
    def _book(self, update: BookUpdate) -> Sequence[Said]: ...

    @abstractmethod
    def _candle(self, candle: ExchangeCandle) -> Sequence[Said]: ...

    # What a market does not say, its class leaves as it is here.

    def _ticker(self, ticker: Ticker) -> Sequence[Said]:
        return ()

    def _derivatives(self, record: DerivativeTicker) -> Sequence[Said]:
        return ()

    def _liquidation(self, record: Liquidation) -> Sequence[Said]:
        return ()


def encoder_class(venue: str, market: str) -> type[Encoder]:
    """The class that words the records of a venue's market.

    Raises:
        ConfigurationError: There is none; the message lists those that exist.
    """
    for module in pkgutil.iter_modules(producers.simulator.encoders.__path__):
        importlib.import_module(f"producers.simulator.encoders.{module.name}")
    found = Encoder.registry.get((venue, market))
    if found is None:
        names = ", ".join(f"{name} {kind}" for name, kind in sorted(Encoder.registry))
        raise ConfigurationError(f"{venue} {market} cannot be served in its own format; what can: {names}")
    return found


def plain(value: float) -> str:
    """A number as the shortest plain decimal text that reads back as the same float."""
    text = repr(value)
    if "e" in text:
        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")


def padded(value: float) -> str:
    """As `plain`, with eight decimal places where they say the same."""
    if -PADDED_BELOW < value < PADDED_BELOW:
        text = f"{value:.8f}"
        if float(text) == value:
            return text
    return plain(value)


def contracts_of(size: float, multiplier: float) -> float:
    """Contracts of a size in base units: the shortest number of which the reader makes the same size."""
    if multiplier == 1.0:
        return size
    exact = size / multiplier
    for places in (0, 4, 8, 12):
        count = round(exact, places)
        if base_size(count, multiplier) == size:
            return count
    return exact
