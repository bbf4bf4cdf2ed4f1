"""The alert book against plain Python that keeps every trade, on streams where everything goes wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.alerts.book import AlertBook, signal_of
from processors.alerts.versions import AlertVersions
from schemas.records import PriceAlert, TimeMark, Trade
from schemas.rows import encode
from tests.alert_reference import Fired, ReferenceAlerts
from tests.candle_stream import Item, KeyIds, rows_from

SECOND = 1_000_000
STEP = SECOND // 4
BEGAN = 1_723_161_255 * SECOND
LEAD = 15 * SECOND
MARKETS = (("binance", "BTC/USDT"), ("binance", "A/B:C"), ("gateio", "ETH/USDT"))
KINDS = ("above", "below", "crosses", "move")


@st.composite
def alert_logs(draw: st.DrawFn) -> AlertVersions:
    """Alerts of all kinds, some changed or withdrawn later, some before they took effect."""
    log = AlertVersions()
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(KINDS))
        alert = PriceAlert(
            f"a{draw(st.integers(0, 7))}",
            *draw(st.sampled_from(MARKETS)),
            kind=kind,  # type: ignore[arg-type]
            level=float(draw(st.integers(1, 12)) if kind == "move" else draw(st.integers(95, 105))),
            window_s=float(draw(st.integers(1, 6))) if kind == "move" else 0.0,
            repeats=draw(st.booleans()),
            wanted=draw(st.sampled_from((True, True, True, False))),
            event_time=BEGAN + STEP * draw(st.integers(-8, 100)),
        )
        assert log.take(encode(alert)) is None
    return log


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Trades around 100 (late, far ahead, repeated, without ids, unusable) and marks."""
    now = BEGAN
    sequences = dict.fromkeys(MARKETS, 1)
    sent: list[Trade] = []
    items: list[Item] = [TimeMark(venue, "a", BEGAN, False, "run") for venue in ("binance", "gateio")]
    for kind in draw(st.lists(st.sampled_from("tttttttttmr"), min_size=1, max_size=80)):
        now += STEP * draw(st.sampled_from((0, 0, 1, 1, 2, 5, 20)))
        if kind == "m":
            items.append(TimeMark(draw(st.sampled_from(("binance", "gateio"))), "a", now, False, "run"))
        elif kind == "r" and sent:
            items.append(draw(st.sampled_from(sent)))
        else:
            market = draw(st.sampled_from(MARKETS))
            sequences[market] += 1
            time = now + STEP * draw(st.sampled_from((0, 0, 0, 0, 0, 0, -1, -3, 70)))
            number = draw(st.sampled_from((sequences[market],) * 5 + (None,)))
            price = float(draw(st.one_of(st.integers(94, 106), st.just(0))))
            trade = Trade(*market, f"{sequences[market]}", number, price, 1.0, "buy", time, 0)
            sent.append(trade)
            items.append(trade)
    return items


def fired_in_batches(
    book: AlertBook, items: Sequence[Item], cuts: Iterable[int], offset: int = 0
) -> list[Fired]:
    ids, start = KeyIds(), 0
    fired: list[Fired] = []
    for end in [*sorted(set(cuts)), len(items)]:
        part = items[start:end]
        rows = replace(rows_from(part, offset + start, ids), value=lambda row, part=part: encode(part[row]))  # type: ignore[misc]
        for firing in book.fold(rows):
            assert signal_of(firing).candle_id.startswith(
                f"trade/{firing.alert.venue}/{firing.alert.symbol}/"
            )
            fired.append((firing.alert.id, firing.time, firing.price, firing.direction, firing.reference))
        start = end
    return fired


@settings(max_examples=150)
@given(alert_logs(), streams(), st.lists(st.integers(0, 80), max_size=5))
def test_fires_as_the_model_does_however_the_log_is_cut(
    log: AlertVersions, items: list[Item], cuts: list[int]
) -> None:
    cuts = [cut for cut in cuts if cut < len(items)]
    whole, parts, again = AlertBook(LEAD), AlertBook(LEAD), AlertBook(LEAD)
    for book in (whole, parts):
        book.learn(log)
    expected = ReferenceAlerts(log.versions(), LEAD).fold(items)
    assert fired_in_batches(whole, items, []) == expected
    assert fired_in_batches(parts, items, cuts) == expected
    assert whole.snapshot() == parts.snapshot()

    # A restart after any number of records goes on as if there had been none.
    middle = cuts[0] if cuts else len(items) // 2
    before = AlertBook(LEAD)
    before.learn(log)
    first = fired_in_batches(before, items[:middle], [])
    again.restore(before.snapshot())
    assert again.snapshot() == before.snapshot()
    again.learn(log)
    assert again.snapshot() == before.snapshot()
    assert first + fired_in_batches(again, items[middle:], [], middle) == expected
    assert again.snapshot() == whole.snapshot()
