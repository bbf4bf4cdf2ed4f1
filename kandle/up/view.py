"""What one sees while the pipeline starts and runs: values in, something to draw out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

CANDLE: Final = {"open": 0, "high": 1, "low": 2, "close": 3, "volume": 4}
"""Columns of a candle, and where each stands in `MarketRow.candle`."""
NUMBER_WIDTH: Final = 10
"""Of a column of numbers, its distance to the next one included."""


@dataclass(frozen=True, slots=True)
class MarketRow:
    """The newest of one symbol; None where there is nothing yet."""

    venue: str
    symbol: str
    price: float | None
    candle: tuple[float, float, float, float, float] | None
    indicators: Mapping[str, float]


@dataclass(slots=True)
class Step:
    """Something that is being started, on the monotonic clock."""

    name: str
    began: float
    ready_at: float | None = None


@dataclass(frozen=True, slots=True)
class StageRow:
    """One process; CPU and memory are None where they are not known."""

    name: str
    state: str
    restarts: int
    cpu_percent: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is shown, as values."""

    feed: str
    elapsed_s: float
    stages: Sequence[StageRow]
    rates: Mapping[str, float]
    totals: Mapping[str, int]
    lag_records: int | None
    latency_ms: tuple[float | None, float | None]
    markets: Sequence[MarketRow] = field(default_factory=list)
    signals: Sequence[str] = field(default_factory=list)
    interval: str = "1m"
    notice: str | None = None
    page: str | None = None
    disk_bytes: int | None = None


def render_start(steps: Sequence[Step]) -> RenderableType:
    """What is ready, and what is waited for."""
    table = Table.grid(padding=(0, 2))
    for step in steps:
        took = (step.ready_at or time.monotonic()) - step.began
        state = Text("starting", style="yellow") if step.ready_at is None else Text("ready", style="green")
        table.add_row(Text(step.name, style="bold"), state, Text(f"{took:.1f} s", style="dim"))
    return table


def render(picture: Picture) -> RenderableType:
    """The picture for a terminal."""
    head = Text.assemble(
        ("kandle ", "bold"),
        (f"{_duration(picture.elapsed_s)}", "dim"),
        f"   {picture.page}" if picture.page else "",
        "   Ctrl-C stops",
    )
    parts: list[RenderableType] = [head]
    if picture.notice:
        parts.append(Text(picture.notice, style="yellow"))
    parts += [_flow(picture), _markets(picture), _signals(picture), _stages(picture)]
    return Group(*parts)


def line(picture: Picture) -> str:
    """The picture in one line, for logs and pipes."""
    counts = "  ".join(f"{name} {count:,}" for name, count in picture.totals.items())
    notice = f"  {picture.notice}" if picture.notice else ""
    return f"{_duration(picture.elapsed_s)}  {counts}  latency {_latency(picture.latency_ms)}{notice}"


def _flow(picture: Picture) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for _ in picture.totals:
        table.add_column(justify="right")
    table.add_row(*(Text(name, style="dim") for name in picture.totals))
    table.add_row(*(f"{count:,}" for count in picture.totals.values()))
    table.add_row(*(_rate(picture.rates.get(name)) for name in picture.totals))
    lag = "-" if picture.lag_records is None else f"{picture.lag_records:,} records"
    foot = Text(f"lag {lag}   latency from frame to row {_latency(picture.latency_ms)}", style="dim")
    return Panel(Group(table, foot), title=f"flow: {picture.feed}", title_align="left")


class _Markets:
    """A row for each market, with as many columns as there is room for."""

    def __init__(self, picture: Picture) -> None:
        self._rows = picture.markets
        self._names = sorted({name for row in picture.markets for name in row.indicators})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        symbols = max((len(f"{row.venue} {row.symbol}") for row in self._rows), default=0)
        room = (options.max_width - symbols) // NUMBER_WIDTH
        # What is newest goes last: the price and the indicators stay where there is little room.
        candle = CANDLE if room > len(CANDLE) + len(self._names) else {}
        table = Table(box=None, header_style="dim", padding=(0, 2), collapse_padding=True, pad_edge=False)
        table.add_column("symbol", no_wrap=True)
        for heading in ("last", *candle, *self._names):
            table.add_column(heading, justify="right")
        for row in self._rows:
            values = [row.candle[place] if row.candle else None for place in candle.values()]
            values += [row.indicators.get(name) for name in self._names]
            table.add_row(
                f"{row.venue} {row.symbol}",
                Text(_number(row.price), style="bold"),
                *(_number(value) for value in values),
            )
        yield table


def _markets(picture: Picture) -> RenderableType:
    title = f"closed {picture.interval} candles and indicators"
    return Panel(_Markets(picture), title=title, title_align="left")


def _signals(picture: Picture) -> RenderableType:
    text = "\n".join(picture.signals) or "none yet"
    return Panel(Text(text), title="signals", title_align="left")


def _stages(picture: Picture) -> RenderableType:
    items = []
    for stage in picture.stages:
        style = {"running": "green", "finished": "green", "starting": "yellow"}.get(stage.state, "red")
        item = Text.assemble((stage.name, "bold"), " ", (stage.state, style))
        if stage.restarts:
            item.append(f" (restarted {stage.restarts}x)", style="yellow")
        if stage.cpu_percent is not None and stage.memory_bytes is not None:
            item.append(f" {stage.cpu_percent:.0f} % {size(stage.memory_bytes)}", style="dim")
        items.append(item)
    used = "" if picture.disk_bytes is None else f", disk {size(picture.disk_bytes)}"
    title = f"processes: state, CPU of a core, memory{used}"
    return Panel(Columns(items, padding=(0, 3)), title=title, title_align="left")


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _number(value: float | None) -> str:
    """Few enough digits to stand in a column, enough to see it move."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:,.1f}" if size >= 10_000 else f"{value:,.2f}" if size >= 100 else f"{value:.5g}"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}/s"


def _latency(latency_ms: tuple[float | None, float | None]) -> str:
    p50, p99 = latency_ms
    return "-" if p50 is None or p99 is None else f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
