"""Logs of trades, marks and gaps on which everything goes wrong, for the models of what is made of trades."""

from random import Random

import msgspec
from hypothesis import strategies as st

from processors.candles.rules import CandleRules
from processors.intervals import Interval
from schemas.records import Gap, TimeMark, Trade
from tests.candle_stream import SIDES, Item

SECOND = 1_000_000
STEP = SECOND // 4
BEGAN = 1_723_161_255 * SECOND
RULES = CandleRules(
    (Interval("1s", SECOND), Interval("5s", 5 * SECOND), Interval("20s", 20 * SECOND, 3 * SECOND)),
    grace=2 * SECOND,
    hold=12 * SECOND,
    lead=15 * SECOND,
)
MARKETS = (("binance", "BTC/USDT"), ("binance", "A/B:C"), ("gateio", "ETH/USDT"))


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Trades (late, early, repeated, without ids), marks of several sources, finals and gaps."""
    now = BEGAN
    next_sequence = dict.fromkeys(MARKETS, 1)
    sent: dict[tuple[tuple[str, str], int], Trade] = {}
    items: list[Item] = []
    for kind in draw(st.lists(st.sampled_from("ttttttmmmfg"), min_size=1, max_size=40)):
        now += STEP * draw(st.sampled_from((0, 0, 1, 1, 2, 5, 30)))
        time = now - STEP * draw(st.sampled_from((0, 0, 0, 0, 1, 3, 8, 20, 55, 70)))
        if kind == "t":
            market = draw(st.sampled_from(MARKETS))
            if draw(st.sampled_from((False,) * 9 + (True,))):
                time += 20 * SECOND
            jump = draw(st.sampled_from((0, 0, 0, 0, 0, 0, 1, 4, -1, -3, None)))
            sequence = None if jump is None else max(0, next_sequence[market] + jump)
            if sequence is not None:
                next_sequence[market] = max(next_sequence[market], sequence + 1)
            price = draw(st.integers(1, 2_000_000)) / 100
            size = draw(st.integers(0, 10**11)) / 1e8
            side = draw(st.sampled_from(SIDES))
            trade = Trade(*market, f"{sequence}", sequence, price, size, side, time, 0)  # type: ignore[arg-type]
            if sequence is not None:
                trade = sent.setdefault((market, sequence), trade)
                if draw(st.sampled_from((False,) * 9 + (True,))):
                    trade = msgspec.structs.replace(trade, price=price)
            items.append(trade)
        elif kind == "g":
            market = draw(st.sampled_from(MARKETS))
            status = draw(st.sampled_from(("given_up", "given_up", "opened")))
            ends = now - STEP * draw(st.integers(-4, 30))
            items.append(Gap(*market, "a", status, None, None, ends - STEP, ends, "missing ids"))  # type: ignore[arg-type]
        else:
            venue = draw(st.sampled_from(("binance", "binance", "gateio")))
            source = draw(st.sampled_from(("a", "a", "a", "b")))
            items.append(TimeMark(venue, source, time, kind == "f", "run"))
    return items


def long_stream(random: Random) -> list[Item]:
    """A feed that mostly behaves: long enough for candles to be revised, let go and forgotten."""
    now = BEGAN
    sequences = dict.fromkeys(MARKETS, 1)
    sent: dict[tuple[tuple[str, str], int], Trade] = {}
    items: list[Item] = []
    for _ in range(500):
        now += STEP * random.choice((0, 0, 0, 1, 1, 2))
        if random.random() < 0.006:
            now += 30 * SECOND
        market = random.choice(MARKETS)
        late = STEP * random.choice((0,) * 12 + (1, 3, 8, 20, 45, 60, 120))
        luck = random.random()
        if luck < 0.7:
            sequences[market] += random.choice((1, 1, 1, 1, 1, 1, 2, 3))
            sequence: int | None = sequences[market]
            if random.random() < 0.12:
                sequence = random.choice((None, max(0, sequences[market] - random.randint(0, 40))))
            early = 16 * SECOND if random.random() < 0.01 else 0
            price, size = random.randint(1, 2_000_000) / 100, random.randint(0, 10**11) / 1e8
            side = random.choice(SIDES)
            trade = Trade(*market, "", sequence, price, size, side, now - late + early, 0)  # type: ignore[arg-type]
            if sequence is not None:
                trade = sent.setdefault((market, sequence), trade)
                if random.random() < 0.02:
                    trade = msgspec.structs.replace(trade, price=price)
            items.append(trade)
        elif luck < 0.99:
            final = random.random() < 0.02
            source = "b" if random.random() < 0.1 and any(i for i in items[-80:] if is_last(i, "b")) else "a"
            items.append(TimeMark(market[0], source, now - late % (9 * STEP), final, "run"))
        elif luck < 0.993:
            items.append(TimeMark(market[0], "b", now, random.random() < 0.5, "run"))
        else:
            items.append(
                Gap(*market, "a", "given_up", None, None, now - late - STEP, now - late, "missing ids")
            )
    return items


def is_last(item: Item, source: str) -> bool:
    return isinstance(item, TimeMark) and item.source == source
