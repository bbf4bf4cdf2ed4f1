"""The arrays behind the price alerts of one partition: made of definitions and of what was saved."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from processors.alerts import kernel
from processors.alerts.kernel import NONE, AlertState
from processors.alerts.versions import Version
from processors.candles.batches import WaitingTrade
from processors.candles.words import Ints
from processors.engine.tables import grown
from schemas.identity import market_key, split_key
from schemas.records import PriceAlert

KINDS = {"above": kernel.ABOVE, "below": kernel.BELOW, "crosses": kernel.CROSSES, "move": kernel.MOVE}
_FIRST_SPACE = 16
_FIRST_OUT = 64

Extreme = tuple[int, float]
"""Second since the epoch, and price."""


class SavedSymbol(msgspec.Struct, frozen=True, array_like=True):
    """The newest trade of a symbol that has counted."""

    key: str
    newest: int
    sequence: int
    last: float


class SavedAlert(msgspec.Struct, frozen=True, array_like=True):
    """What an alert has seen."""

    version: Version
    side: int
    fired_at: int
    lows: list[Extreme]
    highs: list[Extreme]


class SavedAlerts(msgspec.Struct, frozen=True, array_like=True):
    """All that has been learnt of the trades, in one order: equal knowledge gives equal bytes.

    Attributes:
        marked: Newest mark of each venue.
        symbols: By key.
        alerts: Those that are in effect, by key, id and time.
        waiting: Trades that wait for the next mark, with their keys.
    """

    marked: list[tuple[str, int]] = []
    symbols: list[SavedSymbol] = []
    alerts: list[SavedAlert] = []
    waiting: list[tuple[str, WaitingTrade]] = []


class AlertTables:
    """State of one partition as the kernel sees it.

    Attributes:
        state: The arrays; replaced as a whole when one of them grows.
        keys: Market keys by the index of the symbol.
        symbols: The other way round.
        versions: Definitions by the index of the alert.

    Args:
        versions: What is to be watched.
        saved: What is known of the trades; of other alerts it is dropped.
    """

    def __init__(self, versions: Sequence[Version], saved: SavedAlerts) -> None:
        def place(version: Version) -> tuple[str, str, int]:
            alert = version.alert
            return market_key(alert.venue, alert.symbol), alert.id, alert.event_time

        self.versions = sorted(versions, key=place)
        waited_for = {key for key, _ in saved.waiting}
        self.keys = sorted({place(version)[0] for version in versions} | waited_for)
        self.symbols = {key: index for index, key in enumerate(self.keys)}
        self._venues: dict[str, int] = {}
        self._rings_used = 0
        symbols = np.zeros((len(self.keys), kernel.SYMBOL_WORDS), np.int64)
        alerts = np.zeros((len(versions), kernel.ALERT_WORDS), np.int64)
        rings = np.zeros((_FIRST_SPACE, 2), np.int64)
        out = np.zeros((_FIRST_OUT, kernel.OUT_WORDS), np.int64)
        self.state = AlertState(
            symbols=symbols,
            symbol_values=symbols.view(np.float64),
            alerts=alerts,
            alert_values=alerts.view(np.float64),
            rings=rings,
            ring_values=rings.view(np.float64),
            venues=np.zeros((0, kernel.VENUE_WORDS), np.int64),
            out=out,
            out_values=out.view(np.float64),
            level=np.zeros(1, np.int64),
        )
        for name, marked in saved.marked:
            index = self.venue(name)
            self.state.venues[index, kernel.MARKED] = marked
        self._fill_symbols(saved)
        known = {entry.version.alert: entry for entry in saved.alerts}
        for index, version in enumerate(self.versions):
            self._fill_alert(index, version, known.get(version.alert))

    def _fill_symbols(self, saved: SavedAlerts) -> None:
        symbols, values = self.state.symbols, self.state.symbol_values
        known = {entry.key: entry for entry in saved.symbols}
        for index, key in enumerate(self.keys):
            symbols[index, kernel.SYMBOL_VENUE] = self.venue(split_key(key)[0])
            symbols[index, kernel.BEGIN] = -NONE
            symbols[index, [kernel.NEWEST, kernel.SAFE_UNTIL]] = NONE
            symbols[index, kernel.SEQUENCE] = -1
            if (entry := known.get(key)) is not None:
                symbols[index, [kernel.NEWEST, kernel.SEQUENCE]] = entry.newest, entry.sequence
                values[index, kernel.LAST] = entry.last

    def _fill_alert(self, index: int, version: Version, known: SavedAlert | None) -> None:
        alert = version.alert
        symbol = self.state.symbols[self.symbols[market_key(alert.venue, alert.symbol)]]
        if symbol[kernel.COUNT] == 0:
            symbol[kernel.FIRST] = index
        symbol[kernel.COUNT] += 1
        symbol[kernel.BEGIN] = min(int(symbol[kernel.BEGIN]), alert.event_time)
        row = self.state.alerts[index]
        row[[kernel.FROM, kernel.UNTIL, kernel.KIND]] = alert.event_time, version.until, KINDS[alert.kind]
        row[[kernel.REPEATS, kernel.WINDOW]] = alert.repeats, int(np.ceil(alert.window_s))
        self.state.alert_values[index, kernel.LEVEL] = alert.level
        row[kernel.SIDE], row[kernel.FIRED_AT] = 0 if alert.kind == "crosses" else 1, NONE
        if known is not None:
            row[kernel.SIDE], row[kernel.FIRED_AT] = known.side, known.fired_at
        if alert.kind == "move":
            queues = (known.lows, known.highs) if known is not None else ([], [])
            self._put_queues(index, queues, _FIRST_SPACE)

    def venue(self, name: str) -> int:
        """Index of a venue, new ones included."""
        index = self._venues.get(name)
        if index is None:
            index = self._venues[name] = len(self._venues)
            row = np.array([[NONE, 0]], np.int64)
            self.state = self.state._replace(venues=np.concatenate([self.state.venues, row]))
        return index

    def wait(self, symbol: int) -> None:
        """One more trade of a symbol waits for the next mark of its venue."""
        self.state.venues[self.state.symbols[symbol, kernel.SYMBOL_VENUE], kernel.WAITING] += 1

    def more_out(self, symbol: int) -> None:
        """Room for as many firings as one trade of a symbol can cause."""
        wanted = int(self.state.symbols[symbol, kernel.COUNT])
        if wanted > len(self.state.out):
            out = grown(self.state.out, wanted)
            self.state = self.state._replace(out=out, out_values=out.view(np.float64))

    def more_room(self, symbol: int) -> None:
        """Twice the room for those queues of a symbol that are full."""
        first, count = self.state.symbols[symbol, [kernel.FIRST, kernel.COUNT]].tolist()
        for index in range(first, first + count):
            row = self.state.alerts[index]
            if row[kernel.SPACE] and row[kernel.SPACE] in row[[kernel.LOWS_COUNT, kernel.HIGHS_COUNT]]:
                self._put_queues(index, self._queues(index), 2 * int(row[kernel.SPACE]))

    def _put_queues(self, index: int, queues: tuple[list[Extreme], list[Extreme]], space: int) -> None:
        while space < max(map(len, queues)):
            space *= 2
        start = self._rings_used
        self._rings_used += 2 * space
        if self._rings_used > len(self.state.rings):
            rings = grown(self.state.rings, self._rings_used)
            self.state = self.state._replace(rings=rings, ring_values=rings.view(np.float64))
        for queue, at in zip(queues, (start, start + space), strict=True):
            if queue:
                self.state.rings[at : at + len(queue), 0] = [second for second, _ in queue]
                self.state.ring_values[at : at + len(queue), 1] = [price for _, price in queue]
        row = self.state.alerts[index]
        row[[kernel.RING, kernel.SPACE, kernel.LOWS, kernel.HIGHS]] = start, space, 0, 0
        row[[kernel.LOWS_COUNT, kernel.HIGHS_COUNT]] = [len(queue) for queue in queues]

    def _queues(self, index: int) -> tuple[list[Extreme], list[Extreme]]:
        row = self.state.alerts[index]
        ring, space = int(row[kernel.RING]), int(row[kernel.SPACE])

        def queue(start: int, head: int, count: int) -> list[Extreme]:
            at = start + (head + np.arange(count)) % max(space, 1)
            seconds, prices = self.state.rings[at, 0], self.state.ring_values[at, 1]
            return list(zip(seconds.tolist(), prices.tolist(), strict=True))

        return (
            queue(ring, int(row[kernel.LOWS]), int(row[kernel.LOWS_COUNT])),
            queue(ring + space, int(row[kernel.HIGHS]), int(row[kernel.HIGHS_COUNT])),
        )

    def saved(self, waiting: Sequence[WaitingTrade]) -> SavedAlerts:
        """What is known of the trades; alerts that are over, or have seen none yet, are nothing to know."""
        symbols: dict[int, SavedSymbol] = {}
        alerts: list[SavedAlert] = []
        for index, version in enumerate(self.versions):
            symbol = self._symbol_of(version.alert)
            newest, sequence = self.state.symbols[symbol, [kernel.NEWEST, kernel.SEQUENCE]].tolist()
            if not version.alert.event_time <= newest < version.until:
                continue
            last = float(self.state.symbol_values[symbol, kernel.LAST])
            symbols.setdefault(symbol, SavedSymbol(self.keys[symbol], newest, sequence, last))
            side, fired_at = self.state.alerts[index, [kernel.SIDE, kernel.FIRED_AT]].tolist()
            alerts.append(SavedAlert(version, side, fired_at, *self._queues(index)))
        marked = {name: int(self.state.venues[at, kernel.MARKED]) for name, at in self._venues.items()}
        return SavedAlerts(
            sorted((name, time) for name, time in marked.items() if time != NONE),
            list(symbols.values()),
            alerts,
            [(self.keys[trade.symbol], msgspec.structs.replace(trade, symbol=0)) for trade in waiting],
        )

    def _symbol_of(self, alert: PriceAlert) -> int:
        return self.symbols[market_key(alert.venue, alert.symbol)]

    def known(self, keys: Sequence[str]) -> Ints:
        """The index of the symbol behind each key, -1 for those without alerts."""
        return np.array([self.symbols.get(key, -1) for key in keys], np.int64)
