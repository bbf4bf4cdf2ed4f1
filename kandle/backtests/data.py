"""Options of a backtest that say what it runs over."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast

import click
from click.core import ParameterSource

from backtest.history import History
from backtest.sources.asked import ALWAYS, KINDS, Asked, Found, Kind, Source, gather, kinds_of
from backtest.strategy import Strategy
from backtest.terms import Terms
from backtest.watches import interval_of
from infra.settings import ArchiveSettings, Settings, load
from kandle.backtests.files import bars_of_candles, read_files
from kandle.backtests.holes import tell_holes
from kandle.candle_file import read_candles
from kandle.moments import Moment, Names
from kandle.patience import patience
from kandle.servers import reach_database, reach_kafka
from processors.intervals import INTERVALS
from schemas.errors import ConfigurationError

SOURCES: Final = ("topics", "archive", "database", "history")
READABLE: Final = tuple(kind for kind in KINDS if kind != "funding")

OPTIONS: Final[Sequence[click.Option]] = (
    click.Option(
        ["--candles", "file"],
        type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
        help="CSV with a header or JSON lines, may be gzipped; - reads standard input.",
    ),
    click.Option(
        ["--source", "sources"],
        multiple=True,
        help="topics, archive, archive:PATH, database, history, or files: a capture, CSV, JSON lines or "
        "Parquet of candles or trades, one market each; may be repeated.",
    ),
    click.Option(
        ["--symbols"], type=Names(), default="", help="Markets, as binance:BTC/USDT,binance:ETH/USDT."
    ),
    click.Option(
        ["--interval"],
        type=click.Choice(list(INTERVALS)),
        default="1m",
        show_default=True,
        help="Of the candles.",
    ),
    click.Option(["--from", "since"], type=Moment(), help="Rows of this time and later."),
    click.Option(["--to", "until"], type=Moment(), help="Rows before this time."),
    click.Option(
        ["--read"],
        type=Names(),
        default="",
        help="Of the source: candles, trades, quotes, books; default: what the strategy and the fills need.",
    ),
    click.Option(
        ["--data", "data_dir"], type=click.Path(file_okay=False), help="Data directory; default ./var."
    ),
)


def history_of(given: Mapping[str, Any], strategy: Strategy, terms: Terms) -> History:
    """What a run reads; says on standard error what is missing of it.

    Args:
        given: Values of all options of the command, by name; those of `OPTIONS` are read.
        strategy: By what it hears of.
        terms: By what its orders are filled by.

    Raises:
        UsageError: The options do not say what, or contradict each other.
        KandleError: It cannot be read.
    """
    file: Path | None = given["file"]
    sources: Sequence[str] = given["sources"]
    if (file is None) == (not sources):
        raise click.UsageError("say which: STRATEGY --candles FILE, or STRATEGY --source SOURCE, or --list")
    asked = _asked(given, strategy, terms)
    if file is not None:
        if len(asked.markets) > 1 or given["read"]:
            raise click.UsageError("--candles reads the candles of one market; --source reads more")
        name = asked.markets[0] if asked.markets else f"file:{file.stem}"
        with patience(f"reading {file}"), click.open_file(str(file), "rb") as opened:
            candles = read_candles(opened, str(file))
        found = Found(History([bars_of_candles(candles, str(file), name, asked)]))
    else:
        with patience(f"reading {', '.join(sources)}"), ExitStack() as stack:
            found = _source(sources, load(**_overrides(given)), asked, stack)
    _check_interval(found.history, asked)
    tell_holes(found, asked)
    return found.history


def _check_interval(history: History, asked: Asked) -> None:
    """Refuse candles of another interval than the one that was typed: files have their own."""
    context = click.get_current_context(silent=True)
    if context is None or context.get_parameter_source("interval") is not ParameterSource.COMMANDLINE:
        return
    for bars in history.bars:
        if bars.length != asked.interval.length:
            raise click.UsageError(
                f"the candles of {bars.market} are of {interval_of(bars.length)}, and --interval asks for "
                f"{asked.interval.name}: files of candles have their own, leave --interval out"
            )


def data_dir_of(given: Mapping[str, Any]) -> Path:
    """The data directory that is meant."""
    return load(**_overrides(given)).data_dir


def provider_of(given: Mapping[str, Any]) -> str:
    """What is read, in a word or two, for the list of jobs.

    Raises:
        UsageError: It is standard input, which a job has not.
    """
    file: Path | None = given["file"]
    if file is not None and str(file) == "-":
        raise click.UsageError("a job has no standard input: name a file")
    names = [file.name] if file is not None else [Path(text).name for text in given["sources"]]
    return ", ".join(names) or "-"


def _asked(given: Mapping[str, Any], strategy: Strategy, terms: Terms) -> Asked:
    markets = tuple(given["symbols"])
    for market in markets:
        venue, colon, symbol = market.partition(":")
        if not (venue and colon and "/" in symbol):
            raise click.UsageError(f"--symbols takes venue:BASE/QUOTE, as binance:BTC/USDT; got {market!r}")
    unknown = sorted(set(given["read"]) - set(READABLE))
    if unknown:
        raise click.UsageError(f"--read takes {', '.join(READABLE)}; got {', '.join(unknown)}")
    kinds = kinds_of(strategy, markets, terms.fills)
    if given["read"]:
        kinds = frozenset(cast(Sequence[Kind], given["read"])) | (kinds & {"funding"})
    since, until = given["since"], given["until"]
    return Asked(
        markets,
        kinds,
        INTERVALS[given["interval"]],
        0 if since is None else since,
        ALWAYS if until is None else until,
    )


def _overrides(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"data_dir": given["data_dir"]} if given["data_dir"] else {}


def _source(sources: Sequence[str], settings: Settings, asked: Asked, stack: ExitStack) -> Found:
    name, _, place = sources[0].partition(":")
    if name not in SOURCES or Path(sources[0]).exists():
        missing = [text for text in sources if not Path(text).is_file()]
        if missing:
            raise ConfigurationError(
                f"a source is {', '.join(SOURCES)} or a file; there is no file {', '.join(missing)}"
            )
        return read_files([Path(text) for text in sources], asked)
    if len(sources) > 1:
        raise click.UsageError(f"{sources[0]} is read alone: several sources are files")
    if not asked.markets:
        raise click.UsageError(f"say which markets of {name}: --symbols binance:BTC/USDT")
    if place and name != "archive":
        raise click.UsageError(f"{name} takes no path; archive:PATH does")
    return gather(_server(name, place, settings, stack), asked)


def _server(name: str, place: str, settings: Settings, stack: ExitStack) -> Source:
    # Each loads what it needs, compiled kernels among them, for who asks for it.
    if name == "topics":
        from backtest.sources.topics import read_topics

        kafka = stack.enter_context(reach_kafka(settings)).kafka
        return lambda asked: read_topics(kafka, asked)
    if name == "database":
        from backtest.sources.database import read_database

        base = stack.enter_context(reach_database(settings)).database
        return lambda asked: read_database(base, asked)
    if name == "archive":
        from backtest.sources.archive import read_archive

        if place:
            url = place if "://" in place else Path(place).absolute().as_uri()
            archive = ArchiveSettings(**{**settings.archive.model_dump(), "url": url})
            settings = settings.model_copy(update={"archive": archive})
        return lambda asked: read_archive(settings, asked)
    from backtest.sources.downloads import read_downloads

    return lambda asked: read_downloads(settings.data_dir, asked)
