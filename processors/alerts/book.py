"""Price alerts of one partition: which trade makes which alert fire.

Pure: values in, values out, no clock and no I/O. The trades themselves are looked at by `kernel`.

Which trades count: those at or after the event time of the alert, in log order, that are not behind what
was seen of the symbol. A trade with an event time before the newest one, or with the newest event time and no
higher sequence, does not count: neither late trades nor repeats fire an alert. Backfilled trades count like
all others, that is when nothing newer came before them. Left out are trades whose numbers cannot be used, and
those before the first mark of their venue; one too far ahead of the venue's newest mark waits for the next.

When an alert fires:

* above, below: at the first trade at the level or beyond it.
* crosses: at the first trade beyond the level when the price stood on its other side before. A trade at the
  level stands on neither, and the first trade that counts only says on which side the price is.
* move: at the first trade that is at least `level` percent above the lowest or below the highest price of the
  window: of whole seconds, the trade's own and the `window_s` before it, none before the alert's event time.

An alert that repeats fires again once its condition was false in between (crosses: at every crossing), at
most once at one event time; any other fires once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from processors.alerts import kernel
from processors.alerts.tables import AlertTables, SavedAlerts
from processors.alerts.versions import AlertVersions, Version
from processors.candles.batches import CandleRows, WaitingTrade, rows_of
from processors.candles.words import Ints
from processors.engine.snapshots import read_snapshot, write_snapshot
from schemas.errors import ValidationError
from schemas.identity import signal_id, trade_id
from schemas.records import Direction, Micros, PriceAlert, Signal, Trade
from schemas.rows import decode

INTERVAL: Final = "trade"
"""In place of a candle's interval in the signal of an alert."""
RULE: Final = "price_alert_"
MOST_WAITING: Final = 1_024
"""Trades far ahead of their feed that may wait for the next mark; more of them do not count."""
STATE_VERSION: Final = 1

_DIGEST: Final = "0" * 32  # it depends on no settings
_DIRECTIONS: Final[dict[int, Direction]] = {1: "long", -1: "short"}


@dataclass(frozen=True, slots=True)
class Firing:
    """A trade has made an alert fire.

    Attributes:
        alert: The alert.
        time: Event time of the trade.
        price: Price of the trade.
        direction: `long` when the price came up to the level, `short` when it came down.
        reference: crosses: the price before. move: the lowest or highest price of the window. Else 0.
        value: The trade's record.
    """

    alert: PriceAlert
    time: Micros
    price: float
    direction: Direction
    reference: float
    value: bytes


def signal_of(firing: Firing) -> Signal:
    """The signal of an alert; the same for every repeat of it.

    Raises:
        ValidationError: The record is no trade.
    """
    alert = firing.alert
    trade = decode(firing.value)
    if not isinstance(trade, Trade):
        raise ValidationError(f"an alert fires at a trade, got a {type(trade).__name__}")
    values = {"price": firing.price, "level": alert.level}
    if alert.kind == "crosses":
        values["previous"] = firing.reference
    elif alert.kind == "move":
        values["reference"] = firing.reference
        values["move_percent"] = (firing.price - firing.reference) * 100.0 / firing.reference
        values["window_s"] = alert.window_s
    rule = RULE + alert.id
    return Signal(
        id=signal_id(alert.venue, alert.symbol, INTERVAL, firing.time, rule),
        venue=alert.venue,
        symbol=alert.symbol,
        interval=INTERVAL,
        open_time=firing.time,
        event_time=firing.time,
        rule=rule,
        direction=firing.direction,
        strength=1.0,
        values=values,
        candle_id=trade_id(trade.venue, trade.symbol, trade.trade_id),
        complete=True,
    )


class AlertBook:
    """Watches the trades of one partition for all alerts.

    What fires does not depend on how the log was cut into batches, provided that the alerts are learnt before
    the trades of their event times. Without alerts a batch costs a look at its marks. Memory: some 200 bytes
    an alert, and for a move at most 64 bytes a second of its window, in a calm market far less.

    Args:
        lead: Microseconds that a trade may be ahead of the newest mark of its venue.
    """

    def __init__(self, lead: int) -> None:
        self._lead = lead
        self._tables = AlertTables((), SavedAlerts())
        self._waiting: list[WaitingTrade] = []
        self._learnt: tuple[AlertVersions, int] | None = None
        self._keys: Sequence[str] = ()
        self._known: Ints = np.empty(0, np.int64)

    def learn(self, log: AlertVersions) -> None:
        """Watch for what the alerts topic says now; what is known of alerts that stay is kept."""
        if self._learnt == (log, log.changes):
            return
        self._learnt = (log, log.changes)
        self._take(log.versions(), self._tables.saved(self._waiting))

    def _take(self, versions: Sequence[Version], saved: SavedAlerts) -> None:
        """Watch for some alerts, going on from what is known."""
        self._tables = tables = AlertTables(versions, saved)
        self._waiting = [
            msgspec.structs.replace(trade, symbol=tables.symbols[key]) for key, trade in saved.waiting
        ]
        for trade in self._waiting:
            tables.wait(trade.symbol)
        self._keys, self._known = (), np.empty(0, np.int64)

    def fold(self, rows: CandleRows) -> list[Firing]:
        """Fold one batch.

        Args:
            rows: What follows in the log on what was folded before.

        Returns:
            What has fired, in log order.
        """
        tables = self._tables
        mark_venues = np.full(len(rows) if rows.marks else 0, -1, np.int32)
        for row, mark in rows.marks.items():
            mark_venues[row] = tables.venue(mark.venue)
        if not tables.versions:
            venues = tables.state.venues[:, kernel.MARKED]
            for row, mark in rows.marks.items():
                venues[mark_venues[row]] = max(int(venues[mark_venues[row]]), mark.time)
            return []
        if self._keys is not rows.keys or len(self._known) < len(rows.keys):
            first = len(self._known) if self._keys is rows.keys else 0
            self._known = np.concatenate([self._known[:first], tables.known(rows.keys[first:])])
            self._keys = rows.keys
        return self._run(rows, self._known, mark_venues)

    def _run(self, rows: CandleRows, known: Ints, mark_venues: npt.NDArray[np.int32]) -> list[Firing]:
        """The kernel over all rows, with its stops."""
        tables = self._tables
        columns = (rows.kinds, rows.key_ids, rows.times, rows.prices, rows.sizes, rows.sequences, mark_venues)
        firings: list[Firing] = []
        row = 0
        while True:
            row, need = kernel.watch_rows(tables.state, known, self._lead, *columns, row)
            if level := int(tables.state.level[0]):
                firings += [self._firing(rows, at) for at in range(level)]
                tables.state.level[0] = 0
            if need == kernel.DONE:
                return firings
            if need == kernel.NEED_OUT:
                tables.more_out(int(known[rows.key_ids[row]]))
            elif need == kernel.NEED_ROOM:
                tables.more_room(int(known[rows.key_ids[row]]))
            else:
                if need == kernel.AT_MARK:
                    firings += self._judge(int(mark_venues[row]))
                else:
                    self._wait(rows, row, int(known[rows.key_ids[row]]))
                row += 1

    def _firing(self, rows: CandleRows, at: int) -> Firing:
        row, alert, direction, _ = self._tables.state.out[at].tolist()
        return Firing(
            alert=self._tables.versions[alert].alert,
            time=int(rows.times[row]),
            price=float(rows.prices[row]),
            direction=_DIRECTIONS[direction],
            reference=float(self._tables.state.out_values[at, kernel.OUT_REFERENCE]),
            value=rows.value(row),
        )

    def _wait(self, rows: CandleRows, row: int, symbol: int) -> None:
        """Keep a trade far ahead of its feed until the next mark of its venue."""
        if len(self._waiting) >= MOST_WAITING:
            return
        self._waiting.append(WaitingTrade.of(rows, row, symbol))
        self._tables.wait(symbol)

    def _judge(self, venue: int) -> list[Firing]:
        """Look at the waiting trades that their venue's newest mark has come near to; forget the others."""
        state = self._tables.state
        venues = state.symbols[[trade.symbol for trade in self._waiting], kernel.SYMBOL_VENUE] == venue
        mine = [trade for trade, own in zip(self._waiting, venues.tolist(), strict=True) if own]
        self._waiting = [trade for trade, own in zip(self._waiting, venues.tolist(), strict=True) if not own]
        state.venues[venue, kernel.WAITING] = 0
        limit = int(state.venues[venue, kernel.MARKED]) + self._lead
        near = [trade for trade in mine if trade.time <= limit]
        rows = rows_of(near, self._tables.keys)
        values = [trade.value for trade in near]
        rows = replace(rows, value=values.__getitem__)
        return self._run(rows, np.arange(len(rows.keys)), np.empty(0, np.int32))

    def snapshot(self) -> bytes:
        """The whole state; the same log up to here, and the same alerts, give the same bytes."""
        return write_snapshot(STATE_VERSION, _DIGEST, {}, self._tables.saved(self._waiting))

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot; to be followed by `learn`.

        Raises:
            ForeignSnapshotError: It is of another version, or damaged; the state is unchanged.
        """
        _, saved = read_snapshot(STATE_VERSION, _DIGEST, (), SavedAlerts, snapshot)
        self._take([entry.version for entry in saved.alerts], saved)
        self._learnt = None
