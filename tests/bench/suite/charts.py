"""Which pictures the page has: some measurements have one, some two."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.bench.suite.bench import Figures, figure_at
from tests.bench.suite.svg import Chart, Group
from tests.bench.suite.tables import LATENCIES, PEERS, PERCENTILES, VISIBLE, whole

OURS: Final = "Kandle"


def beside_peers(name: str, title: str, unit: str, key: str, figures: Figures) -> list[Chart]:
    """Ours and theirs, ours in colour."""
    found = {OURS: figure_at(figures, key)}
    found |= {PEERS.get(peer, peer): figure_at(each, key) for peer, each in figures["peers"].items()}
    groups = [
        Group(label.replace("==", " "), (value,)) for label, value in found.items() if value is not None
    ]
    return [Chart(name, title, unit, groups, marked=frozenset({OURS}))]


def percentiles(name: str, title: str, figures: Figures, labels: Mapping[str, str]) -> Chart:
    """A group a path, a bar a percentile."""
    groups = [
        Group(label.partition(",")[0], tuple(figure_at(figures, f"{path}/{each}_ms") for each in PERCENTILES))
        for path, label in labels.items()
    ]
    return Chart(name, title, "milliseconds", groups, PERCENTILES)


def processors(figures: Figures) -> list[Chart]:
    """Rates."""
    title = "Trades to candles and an average"
    return beside_peers("processors", title, "trades a second, one core", "trades_per_s", figures)


def symbols(figures: Figures) -> list[Chart]:
    """Cost by symbols."""
    costs = figures["cpu_us_per_trade"].items()
    groups = [Group(f"{whole(int(count))} symbols", (cost,)) for count, cost in costs]
    return [Chart("processors-symbols", "Cost of a trade by number of symbols", "CPU microseconds", groups)]


def memory(figures: Figures) -> list[Chart]:
    """By trades."""
    groups = [Group(f"{whole(int(count))} trades", (size,)) for count, size in figures["rss_mb"].items()]
    return [Chart("processors-memory", "Memory of a worker", "MB", groups)]


def latency(figures: Figures) -> list[Chart]:
    """Of signals."""
    return [percentiles("latency", "From what makes a signal due to the signal", figures, LATENCIES)]


def sinks(figures: Figures) -> list[Chart]:
    """Rates and latency."""
    rates = beside_peers("sinks", "Trades to committed rows", "rows a second", "rows_per_s", figures)
    return [*rates, percentiles("sinks-latency", "From sending to the table", figures, VISIBLE)]


def sinks_memory(figures: Figures) -> list[Chart]:
    """Before, meanwhile, after."""
    labels = {"at_first_rows": "first rows stored", "while_held_up": "held up", "at_end": "all stored"}
    groups = [Group(label, (figure_at(figures, f"rss_mb_{key}"),)) for key, label in labels.items()]
    return [Chart("sinks-memory", "Memory of a sink whose database does not answer", "MB", groups)]


def producers(figures: Figures) -> list[Chart]:
    """Rates."""
    title = "From a WebSocket to Kafka"
    return beside_peers("producers", title, "trades a second", "trades_per_s", figures)


def backtest(figures: Figures) -> list[Chart]:
    """Rates, and two processes beside one."""
    title = "A crossover of averages"
    rates = beside_peers("backtest", title, "candles a second", "candles_per_s", figures)
    labels = {"one_process": "one process", "two_processes": "two processes"}
    groups = [Group(label, (figure_at(figures, f"grid_seconds_{key}"),)) for key, label in labels.items()]
    return [*rates, Chart("backtest-grid", "A grid of parameters", "seconds", groups)]


def serve(figures: Figures) -> list[Chart]:
    """Percentiles."""
    groups = [Group(name, (figure_at(figures, f"latency_ms/{name}"),)) for name in PERCENTILES]
    return [Chart("serve", "A message to one of a thousand clients", "milliseconds", groups)]


def candle_fold(figures: Figures) -> list[Chart]:
    """Cost by number of symbols."""
    costs = figures["ns_per_trade"].items()
    groups = [Group(f"{whole(int(count))} symbols", (cost,)) for count, cost in costs]
    return [Chart("candle-fold", "Folding a trade into candles", "nanoseconds", groups)]


def indicators(figures: Figures) -> list[Chart]:
    """All but the volume profile, which is another kind of thing."""
    costs = sorted(figures["us_per_candle"].items(), key=lambda each: float(each[1]))
    groups = [Group(name, (cost,)) for name, cost in costs if name != "volume_profile"]
    return [Chart("indicators", "Cost of an indicator", "microseconds a candle", groups)]


CHARTS: Final[Mapping[str, Callable[[Figures], list[Chart]]]] = {
    "processors": processors,
    "processors-symbols": symbols,
    "processors-memory": memory,
    "latency": latency,
    "producers": producers,
    "sinks": sinks,
    "sinks-memory": sinks_memory,
    "backtest": backtest,
    "serve": serve,
    "candle-fold": candle_fold,
    "indicators": indicators,
}
