"""One market: candles with what is computed from them, quotes, signals."""

from typing import Final

from infra.grafana.boards import market_sql as sql
from infra.grafana.dashboard import Annotation, Dashboard, Row, Variable
from infra.grafana.panel import Panel
from infra.grafana.queries import Sql

_BARS: Final = {"drawStyle": "bars", "fillOpacity": 60, "lineWidth": 0}
_STACK: Final = {"stacking": {"mode": "normal", "group": "A"}}
_NO_CANDLES: Final = "No candles of this market and interval in this range"
_NO_QUOTES: Final = "No quotes: producer.channels, sink.quotes"


def _figure(title: str, text: str, query: str, unit: str, **more: float) -> Panel:
    """A number; `more` are colours and the values from which on they hold."""
    return Panel(
        title=title,
        text=text,
        unit=unit,
        kind="stat",
        width=4,
        height=4,
        minimum=None,
        decimals=2 if unit == "percentunit" else None,
        limits=[(value, color) for color, value in more.items()],
        queries=[Sql(query)],
        empty=_NO_CANDLES,
    )


_CHART: Final = Row(
    "$symbol at $venue",
    [
        Panel(
            title="Candles $interval",
            text="Closed candles in their newest revision and the open one, prices in quote currency per "
            "base unit, volume in base units; the indicators chosen above lie over them. Blue marks are "
            "signals, orange ones gaps and breaks of the feed.",
            unit="none",
            kind="candlestick",
            width=24,
            height=15,
            minimum=None,
            queries=[Sql(sql.CANDLES), Sql(sql.OVER_CANDLES, "time_series")],
            runbooks=["KandleGapNotBackfilled"],
            empty=_NO_CANDLES,
        ),
        Panel(
            title="Oscillators",
            text="Indicators between 0 and 100: RSI, stochastic, ADX. Above 70 and below 30 markets are "
            "often called overbought and oversold.",
            unit="none",
            queries=[Sql(sql.OF_HUNDRED, "time_series")],
            maximum=100,
            limits=[(30, "transparent"), (70, "orange")],
            empty="No indicator of 0 to 100 is computed: processors.indicators",
        ),
        Panel(
            title="Other indicators",
            text="What lies neither over the prices nor between 0 and 100, as MACD, ATR and OBV, each in a "
            "unit of its own.",
            unit="none",
            minimum=None,
            queries=[Sql(sql.APART, "time_series")],
            empty="No such indicator is computed: processors.indicators",
        ),
    ],
)

_TRADING: Final = Row(
    "Trading",
    [
        _figure("Last price", "Close of the newest candle, quote currency per base unit.", sql.LAST, "none"),
        _figure(
            "Change",
            "In this range: last close against the first open.",
            sql.CHANGE,
            "percentunit",
            red=-1.0,
            green=0.0,
        ),
        _figure("Turnover", "Traded in this range, quote currency.", sql.TURNOVER, "short"),
        _figure("Trades", "Number of trades in the candles of this range.", sql.TRADE_COUNT, "short"),
        _figure(
            "Incomplete",
            "Candles that miss trades: after a gap that was not filled, or where the feed began or ended "
            "inside; no rule fires there.",
            sql.INCOMPLETE,
            "percentunit",
            orange=0.001,
            red=0.05,
        ),
        _figure(
            "Revised",
            "Candles that changed by trades that came after their candle had closed.",
            sql.REVISED,
            "percentunit",
            orange=0.05,
        ),
        Panel(
            title="Spread",
            text="Best ask less best bid in basis points of their middle: mean and widest of each step.",
            unit="suffix: bp",
            queries=[Sql(sql.SPREAD)],
            interval="1s",
            empty=_NO_QUOTES,
        ),
        Panel(
            title="Best bid and ask",
            text="Highest bid and lowest ask of each step, quote currency per base unit.",
            unit="none",
            minimum=None,
            queries=[Sql(sql.BEST)],
            interval="1s",
            empty=_NO_QUOTES,
        ),
        Panel(
            title="Volume by aggressor",
            text="Base units a candle, by the side that took liquidity. History that was read from the "
            "venue does not tell the side and is left out.",
            unit="short",
            custom={**_BARS, **_STACK},
            queries=[Sql(sql.SIDES)],
            empty=_NO_CANDLES,
        ),
        Panel(
            title="Trades a candle",
            text="How many trades each candle holds.",
            unit="short",
            custom=_BARS,
            queries=[Sql(sql.TRADES_A_CANDLE)],
            empty=_NO_CANDLES,
        ),
    ],
)

_NEWEST: Final = Row(
    "Newest",
    [
        Panel(
            title="Signals",
            text="The newest 100 signals of the market at this interval: rule, direction, strength (0 to "
            "1), and what the rule saw.",
            unit="none",
            kind="table",
            minimum=None,
            height=9,
            queries=[Sql(sql.SIGNALS)],
            empty="No rule has fired in this range",
        ),
        Panel(
            title="Trades",
            text="The newest 100 trades: price in quote currency per base unit, size in base units, side of "
            "the aggressor, and how long after its time a trade reached us.",
            unit="none",
            kind="table",
            minimum=None,
            height=9,
            columns={"arrived after": "s"},
            queries=[Sql(sql.TRADES)],
            empty="No trades in this range",
        ),
    ],
)

MARKET: Final = Dashboard(
    uid="kandle-market",
    title="Market",
    text="One market of one venue: candles, indicators, spread, trades and signals, from the database.",
    span="30m",
    refresh="5s",
    variables=[
        Variable("venue", "Venue", sql.VENUES),
        Variable("symbol", "Symbol", sql.SYMBOLS),
        Variable("interval", "Interval", sql.INTERVALS, first="1m"),
        Variable("overlay", "Over the candles", sql.OVERLAYS, several=True),
    ],
    annotations=[
        Annotation("Signals", "blue", sql.SIGNAL_MARKS, over=["Candles $interval", "Oscillators"]),
        Annotation("Gaps and breaks of the feed", "orange", sql.FEED_MARKS),
    ],
    rows=[_CHART, _TRADING, _NEWEST],
)
