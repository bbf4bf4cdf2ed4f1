"""The queries of the dashboard Market, as Grafana is given them: with its variables and macros."""

from typing import Final


def _of_series(text: str) -> str:
    """With the conditions that choose the candles of one market and interval, and the range of time."""
    return text.strip().replace(
        "[series]",
        "venue = '$venue' AND symbol = '$symbol' AND \"interval\" = '$interval' AND $__timeFilter(time)",
    )


def _of_market(text: str) -> str:
    """With the conditions that choose one market and the range of time."""
    return text.strip().replace("[market]", "venue = '$venue' AND symbol = '$symbol' AND $__timeFilter(time)")


# As the page has it: these are no prices, and so not drawn over them.
_APART: Final = r"^(rsi|macd|stochastic|adx|atr|obv)(_|\.|$)|\.(direction|spread|imbalance)$"
_OF_HUNDRED: Final = "^(rsi|stochastic|adx)_"

VENUES: Final = "SELECT DISTINCT venue FROM live_candles ORDER BY 1"
SYMBOLS: Final = "SELECT DISTINCT symbol FROM live_candles WHERE venue = '$venue' ORDER BY 1"
INTERVALS: Final = """\
SELECT i FROM unnest(ARRAY['1s', '1m', '3m', '5m', '15m', '30m', '1h', '4h', '1d', '1w'])
     WITH ORDINALITY AS known(i, place)
WHERE EXISTS (SELECT FROM candles WHERE venue = '$venue' AND symbol = '$symbol' AND "interval" = i)
ORDER BY place"""
OVERLAYS: Final = _of_series("""
SELECT DISTINCT name FROM indicators
WHERE [series] AND time > $__timeTo()::timestamptz - interval '1 day' AND name !~ '[apart]'
ORDER BY 1
""").replace("[apart]", _APART)

SIGNAL_MARKS: Final = _of_series("""
SELECT time, rule || ' ' || direction AS text, rule || ',' || direction AS tags FROM signals
WHERE [series] ORDER BY time LIMIT 1000
""")
FEED_MARKS: Final = """\
SELECT time, message AS text, type AS tags FROM system_events
WHERE source LIKE '$venue%' AND coalesce(data ->> 'symbol', '$symbol') = '$symbol'
  AND (severity <> 'info' OR type IN ('gap', 'resync')) AND $__timeFilter(time)
ORDER BY time LIMIT 1000"""

CANDLES: Final = _of_series("""
SELECT time, open, high, low, close, volume FROM candles
WHERE [series]
UNION ALL
SELECT time, open, high, low, close, volume FROM live_candles l
WHERE [series]
  AND NOT EXISTS (SELECT FROM candles c WHERE c.venue = l.venue AND c.symbol = l.symbol
                  AND c."interval" = l."interval" AND c.time = l.time)
ORDER BY time
""")
# An array may be empty, where there is no indicator yet.
OVER_CANDLES: Final = _of_series("""
SELECT time, name AS metric, value FROM indicators
WHERE [series] AND name = ANY (ARRAY[$overlay]::text[])
ORDER BY time
""")
OF_HUNDRED: Final = _of_series("""
SELECT time, name AS metric, value FROM indicators
WHERE [series] AND name ~ '[hundred]'
ORDER BY time
""").replace("[hundred]", _OF_HUNDRED)
APART: Final = (
    _of_series("""
SELECT time, name AS metric, value FROM indicators
WHERE [series] AND name ~ '[apart]' AND name !~ '[hundred]'
ORDER BY time
""")
    .replace("[apart]", _APART)
    .replace("[hundred]", _OF_HUNDRED)
)

LAST: Final = _of_series("""
SELECT close AS "Last" FROM candles
WHERE [series] ORDER BY time DESC LIMIT 1
""")
CHANGE: Final = _of_series("""
SELECT (array_agg(close ORDER BY time DESC))[1] / (array_agg(open ORDER BY time))[1] - 1 AS "Change"
FROM candles WHERE [series]
""")
TURNOVER: Final = _of_series("""
SELECT sum(quote_volume) AS "Turnover" FROM candles
WHERE [series]
""")
TRADE_COUNT: Final = _of_series("""
SELECT sum(trade_count)::bigint AS "Trades" FROM candles
WHERE [series]
""")
INCOMPLETE: Final = _of_series("""
SELECT avg((NOT complete)::int)::float8 AS "Incomplete" FROM candles
WHERE [series]
""")
REVISED: Final = _of_series("""
SELECT avg((revision > 0)::int)::float8 AS "Revised" FROM candles
WHERE [series]
""")

SPREAD: Final = _of_market("""
SELECT date_bin('$__interval', time, 'epoch') AS time,
       avg(2e4 * (ask - bid) / (ask + bid)) AS "mean", max(2e4 * (ask - bid) / (ask + bid)) AS "widest"
FROM quotes WHERE [market] AND ask + bid > 0
GROUP BY 1 ORDER BY 1
""")
BEST: Final = _of_market("""
SELECT date_bin('$__interval', time, 'epoch') AS time, max(bid) AS "bid", min(ask) AS "ask"
FROM quotes WHERE [market]
GROUP BY 1 ORDER BY 1
""")
SIDES: Final = _of_series("""
SELECT time, taker_buy_volume AS "bought", volume - taker_buy_volume AS "sold" FROM candles
WHERE [series] AND NOT backfilled ORDER BY time
""")
TRADES_A_CANDLE: Final = _of_series("""
SELECT time, trade_count AS "trades" FROM candles
WHERE [series] ORDER BY time
""")

SIGNALS: Final = _of_series("""
SELECT time, rule, direction, strength, complete, "values"::text AS seen FROM signals
WHERE [series] ORDER BY time DESC LIMIT 100
""")
TRADES: Final = _of_market("""
SELECT time, side, price, size, extract(epoch FROM receive_time - time)::float8 AS "arrived after"
FROM trades WHERE [market] ORDER BY time DESC LIMIT 100
""")
