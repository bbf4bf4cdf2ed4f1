"""What the commands that call venues by REST share: names, the manager, tables."""

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import platformdirs

from infra import logging, metrics
from infra.resilience.local_store import LocalStore
from infra.settings import LoggingSettings, Settings, load
from kandle.patience import patience

if TYPE_CHECKING:
    from producers.manager.venue_manager import VenueManager

T = TypeVar("T")

_SYMBOL = re.compile(r"[^\s,;/:]+/[^\s,;/:]+(:[^\s,;/:]+)?")


class SymbolName(click.ParamType):
    """A unified symbol, in any case."""

    name = "symbol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The symbol in upper case."""
        text = str(value).strip()
        if not _SYMBOL.fullmatch(text):
            self.fail(
                f"a symbol is BASE/QUOTE, as BTC/USDT, or BTC/USDT:USDT for a perpetual; got {value!r}",
                param,
                ctx,
            )
        return text.upper()


def call_venues(what: str, work: "Callable[[VenueManager, Settings], Awaitable[T]]") -> T:
    """The result of work with a manager of venues, which is closed then.

    Args:
        what: Said on standard error if it takes long.
        work: Makes the calls.

    Raises:
        KandleError: What the work raises.
    """
    settings = load()
    logging.configure(LoggingSettings(level="warning", format="human"), "venues")

    async def run() -> T:
        # ccxt takes a second to be imported: only by who needs it, and with patience.
        from producers.manager.venue_manager import VenueManager

        async with VenueManager(
            settings.venues, LocalStore(platformdirs.user_cache_path("kandle") / "calls")
        ) as manager:
            return await work(manager, settings)

    try:
        with patience(what):
            return asyncio.run(run())
    finally:
        metrics.write_last(settings.metrics)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns, numbers to the right; `-` for what is not known."""
    texts = [list(header), *([_text(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    numeric = [any(isinstance(row[position], float) for row in rows) for position in range(len(header))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in texts
    )


def moment(time_us: int | None) -> str:
    """A time, µs since the epoch, for people: UTC."""
    if time_us is None:
        return "-"
    return dt.datetime.fromtimestamp(time_us / 1_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _text(value: object) -> str:
    return "-" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
