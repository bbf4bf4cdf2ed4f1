"""What the page shows of each measurement: a table in Markdown, made from its figures alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tests.bench.suite.bench import Figures, figure_at
from tests.bench.suite.comparison import number

PEERS: Final = {
    "kafka_streams": "Kafka Streams",
    "quix_streams": "Quix Streams",
    "stock_faust": "stock Faust",
    "cryptofeed": "cryptofeed",
    "copy_binary": "COPY in binary, prepared",
    "copy_text_rows": "COPY in text, row by row",
    "executemany": "INSERT by executemany",
}
PERCENTILES: Final = ("p50", "p90", "p99")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Rows in Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(
        f"| {' | '.join(line)} |".replace("|  |", "| |").replace("|  |", "| |") for line in lines
    )


def whole(value: float | None) -> str:
    """Thousands apart."""
    return "-" if value is None else f"{value:,.0f}"


def times(value: float | None, by: float | None) -> str:
    """One by the other, as 2.5x."""
    return "-" if value is None or not by else f"{number(value / by)}x"


def named(values: Mapping[str, tuple[str, str]], figures: Figures) -> str:
    """A table of two columns: what it is, and its figure with the unit; what is missing is left out."""
    rows = []
    for path, (name, unit) in values.items():
        value = figure_at(figures, path)
        if value is not None:
            rows.append((name, f"{whole(value) if value >= 1_000 else number(value)} {unit}".strip()))
    return table(("", ""), rows)


def processors(figures: Figures) -> str:
    """Ours above the peers."""
    rate, by_cpu = figure_at(figures, "trades_per_s"), figure_at(figures, "trades_per_cpu_s")
    rows = [("Kandle", whole(rate), whole(by_cpu), "", "")]
    for name, peer in figures["peers"].items():
        if "unavailable" in peer:
            rows.append((PEERS[name], "not measured", "", "", ""))
            continue
        readers = {"direct": "decoding as generated classes do", "generic": "`GenericDatumReader`"}
        runs = peer.get("runs") or {"": peer}
        for reader, run in runs.items():
            label = f"{PEERS[name]}, {readers[reader]}" if reader else PEERS[name]
            wall, cpu = figure_at(run, "trades_per_s"), figure_at(run, "trades_per_cpu_s")
            rows.append((label, whole(wall), whole(cpu), times(rate, wall), times(by_cpu, cpu)))
    return table(("", "trades/s, wall", "trades by CPU second", "ours by wall", "by CPU"), rows)


def symbols(figures: Figures) -> str:
    """Cost by number of symbols."""
    costs = figures["cpu_us_per_trade"].items()
    rows = [(whole(int(count)), number(cost)) for count, cost in costs]
    return table(("symbols, 50 trades a second each", "CPU µs a trade"), rows)


def workers(figures: Figures) -> str:
    """Two by one."""
    return named({"scaling": ("two workers by one", "times the trades/s")}, figures)


def memory(figures: Figures) -> str:
    """By trades."""
    rows = [(whole(int(count)), number(size)) for count, size in figures["rss_mb"].items()]
    return table(("trades", "memory of the worker, MB"), rows)


def percentile_rows(figures: Figures, labels: Mapping[str, str]) -> str:
    """A row for each path, of its percentiles."""
    rows = [
        (label, *(number(figure_at(figures, f"{path}/{name}_ms")) for name in PERCENTILES))
        for path, label in labels.items()
    ]
    return table(("", *(f"{name} ms" for name in PERCENTILES)), rows)


LATENCIES: Final = {
    "alert": "a price alert, from its trade",
    "candle_rule": "a rule over candles, from the mark that closes them",
    "broker": "the broker's acknowledgement",
}
VISIBLE: Final = {
    "latency/visible": "a trade, until it is seen in its table",
    "latency/broker": "the broker's acknowledgement",
}


def latency(figures: Figures) -> str:
    """Of signals."""
    return percentile_rows(figures, LATENCIES)


def recovery(figures: Figures) -> str:
    """What a start takes."""
    return named(
        {
            "minutes": ("checkpoints of", "minutes"),
            "start_without_checkpoints_s": ("start without any", "s"),
            "start_s": ("start with them", "s"),
            "recovery_s": ("recovery: the difference", "s"),
            "changelog/mb": ("read meanwhile", "MB"),
            "changelog/records": ("in records", ""),
        },
        figures,
    )


def rated(figures: Figures, key: str, unit: str) -> str:
    """Ours and the peers, with medians or best, their runs, and ours by theirs."""
    ours = figure_at(figures, key)
    rows = [("Kandle", whole(ours), _runs(figures.get("runs", ()), key), "")]
    for name, peer in figures["peers"].items():
        rate = figure_at(peer, key)
        label = PEERS.get(name, name)
        rows.append((label, whole(rate), _runs(peer.get("runs", ()), key), times(ours, rate)))
    return table(("", unit, "of the rounds", "ours is"), rows)


def _runs(runs: Iterable[Any], key: str) -> str:
    values = [run[key] if isinstance(run, Mapping) else run for run in runs]
    return ", ".join(whole(value) for value in values)


def sinks(figures: Figures) -> str:
    """Rates, then latency."""
    return f"{rated(figures, 'rows_per_s', 'rows/s, median')}\n\n{percentile_rows(figures, VISIBLE)}"


def producers(figures: Figures) -> str:
    """Rates."""
    return rated(figures, "trades_per_s", "trades/s, best")


def sinks_memory(figures: Figures) -> str:
    """Before, meanwhile, after."""
    return named(
        {
            "rss_mb_at_first_rows": ("memory with the first rows stored", "MB"),
            "rss_mb_while_held_up": ("while it is held up", "MB"),
            "rss_mb_at_end": ("when all is stored", "MB"),
            "records_unread": ("records unread meanwhile", ""),
        },
        figures,
    )


def archive(figures: Figures) -> str:
    """Rates and size."""
    return named(
        {
            "rows_per_s": ("rows to synced files", "a second"),
            "rows_per_cpu_s": ("rows", "a CPU second"),
            "ratio_to_pyarrow_alone": ("by pyarrow alone, from memory", "times"),
            "bytes_per_trade": ("a trade with random values takes", "bytes"),
        },
        figures,
    )


def tracing(figures: Figures) -> str:
    """With and without, by part; `off` is beside the code before traces, where that was measured."""
    rows = []
    for path in ("producer", "worker", "sink"):
        for kind, label in (("on", "traced"), ("off", "tracing off, beside the code before")):
            found = [figure_at(figures, f"{path}/{kind}/{key}") for key in ("without_us", "with_us", "ratio")]
            if found[2] is not None:
                rows.append((path, label, number(found[0]), number(found[1]), f"{found[2]:.3f}"))
    return table(("", "", "µs without", "µs with", "ratio, median of pairs"), rows)


def serve(figures: Figures) -> str:
    """Latency and cost."""
    return named(
        {
            "clients": ("clients", ""),
            "deliveries_per_s": ("messages", "a second"),
            **{f"latency_ms/{name}": (f"latency, {name}", "ms") for name in (*PERCENTILES, "max")},
            "server_cores": ("cores of the server", ""),
            "server_us_per_delivery": ("CPU a message", "µs"),
            "rss_mb/before": ("memory before", "MB"),
            "rss_mb/after": ("memory after", "MB"),
        },
        figures,
    )


def backtest(figures: Figures) -> str:
    """Ours and the peers, then the rest."""
    ours = figure_at(figures, "candles_per_s")
    rows = [("candles, crossover of averages, Kandle", whole(ours), "")]
    for name, peer in figures["peers"].items():
        rate = figure_at(peer, "candles_per_s")
        rows.append((f"the same, {name.replace('==', ' ')}", whole(rate), times(ours, rate)))
    share = figure_at(figures, "trades_reading_part")
    read = "" if share is None else f"{share:.0%} of the time is reading Parquet"
    two, one = (figure_at(figures, f"grid_seconds_{name}") for name in ("two_processes", "one_process"))
    sets, ratio = whole(figure_at(figures, "grid_sets")), number(figure_at(figures, "grid_ratio"))
    rows += [
        ("trades of an archive, with indicators and a rule", whole(figure_at(figures, "trades_per_s")), read),
        ("records replayed at full speed", whole(figure_at(figures, "replay_records_per_s")), ""),
        (
            f"sets of a grid of {sets}, two processes",
            number(figure_at(figures, "grid_runs_per_s")),
            f"{ratio}x one process ({number(two)} s against {number(one)} s)",
        ),
    ]
    return table(("", "a second", "ours is"), rows)


def codec(figures: Figures) -> str:
    """Rates."""
    return named(
        {
            "framing_per_s": ("trades, framing alone", "a second"),
            "columns_per_s": ("to columns", "a second"),
            "rows_per_s": ("to rows, by fastavro", "a second"),
            "columns_to_rows": ("columns by rows", "times"),
        },
        figures,
    )


def candle_fold(figures: Figures) -> str:
    """Cost by number of symbols."""
    rows = [(whole(int(count)), number(cost)) for count, cost in figures["ns_per_trade"].items()]
    return table(("symbols", "ns a trade"), rows)


def indicators(figures: Figures) -> str:
    """All of them by cost."""
    costs = sorted(figures["us_per_candle"].items(), key=lambda each: float(each[1]))
    return table(("indicator", "µs a candle"), [(name, number(cost)) for name, cost in costs])


TABLES: Final[Mapping[str, Callable[[Figures], str]]] = {
    "processors": processors,
    "processors-symbols": symbols,
    "processors-workers": workers,
    "processors-memory": memory,
    "latency": latency,
    "recovery": recovery,
    "producers": producers,
    "sinks": sinks,
    "sinks-memory": sinks_memory,
    "archive": archive,
    "tracing": tracing,
    "serve": serve,
    "backtest": backtest,
    "codec": codec,
    "candle-fold": candle_fold,
    "indicators": indicators,
}
