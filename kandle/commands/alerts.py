"""`kandle alerts`: price alerts, added and removed while the workers run."""

import asyncio
import difflib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings, Settings, load
from kandle.audit import Change, audit
from kandle.rendering import iso_time
from kandle.servers import reach_kafka
from kandle.topic_reader import TopicReader
from kandle.trade_file.values import times_of
from kandle.venue_calls import moment, table
from processors.alerts.versions import AlertVersions, fault_of
from producers.markets import exchange_class
from schemas.errors import ConfigurationError
from schemas.records import AlertKind, Micros, PriceAlert
from schemas.topics import ALERTS

LEAD_S: Final = 2.0
"""From the command to the event time that it takes effect at: by then every worker has read it."""
FLUSH_TIMEOUT_S: Final = 10.0
KINDS: Final[tuple[AlertKind, ...]] = ("above", "below", "crosses", "move")
UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

F = TypeVar("F", bound=Callable[..., Any])


class Time(click.ParamType):
    """A time, as microseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Micros:
        """Read ISO 8601, or an epoch number of any unit."""
        if isinstance(value, int):
            return value
        try:
            return int(times_of([value])[0])
        except ValueError as error:
            self.fail(f"{error}; as 2026-01-31T12:00:00Z", param, ctx)


class Window(click.ParamType):
    """A length of time, as seconds."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read 90, 90s, 5m or 1h."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is no length of time; as 90s, 5m or 1h", param, ctx)
        return float(found[1]) * UNITS_S[found[2]]


@click.group()
def alerts() -> None:
    """Add, remove or list price alerts, without a restart.

    An alert fires a signal (rule price_alert_ID, interval "trade") at the first trade that fulfils it. It
    holds until it is removed; one that does not repeat fires once.
    """


def _options(command: F) -> F:
    for option in (
        click.option(
            "--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var."
        ),
        click.option(
            "--at", type=Time(), help=f"Event time that it takes effect at. Default: {LEAD_S:g} s from now."
        ),
    ):
        command = option(command)
    return command


@alerts.command()
@click.argument("symbol")
@click.option("--venue", help="Venue; default from the settings: binance.")
@click.option("--above", type=float, help="Fire at a price of this or more.")
@click.option("--below", type=float, help="Fire at a price of this or less.")
@click.option("--crosses", type=float, help="Fire when the price passes this, from either side.")
@click.option(
    "--move", type=float, help="Fire when the price has moved by so many percent within the window."
)
@click.option("--window", type=Window(), help="Window of --move: 60s, 5m, 1h; a day at most.")
@click.option("--repeat", is_flag=True, help="Fire again, once it was false in between.")
@click.option(
    "--id", "name", help="Name of the alert; the newest one of a name holds. Default: made of the rest."
)
@_options
def add(
    symbol: str,
    venue: str | None,
    window: float | None,
    repeat: bool,
    name: str | None,
    data_dir: str | None,
    at: Micros | None,
    **levels: float | None,
) -> None:
    """Tell when a price is reached, passed, or moves fast.

    It acts on trades from its event time on, which is a little later than now: workers shall know it before
    the first such trade, so that a replay gives the same signals. In a playback of the past, say --at.

    \b
    Examples:
      kandle alerts add BTC/USDT --above 70000
      kandle alerts add eth/usdt --venue gateio --move 5 --window 60s --repeat --id eth-fast
    """  # noqa: D301 - click asks for this control character
    chosen = [kind for kind in KINDS if levels[kind] is not None]
    if len(chosen) != 1:
        raise click.UsageError("say one of --above, --below, --crosses and --move")
    if (chosen[0] == "move") != (window is not None):
        raise click.UsageError("--move needs a --window, as --move 5 --window 60s; no other alert has one")
    settings = _settings(data_dir, symbols=symbol, venue=venue)
    (unified,) = _one(settings.producer.symbols)
    alert = PriceAlert(
        id="",
        venue=exchange_class(settings.producer.venue, "swap" if ":" in unified else "spot").venue,
        symbol=unified,
        kind=chosen[0],
        level=float(levels[chosen[0]] or 0.0),
        window_s=window or 0.0,
        repeats=repeat,
        wanted=True,
        event_time=0,
    )
    alert = msgspec.structs.replace(alert, id=(name or _name(alert)).lower())
    if fault := fault_of(alert):
        raise ConfigurationError(fault)
    (alert,) = _write(settings, lambda known: [alert], at, may_make=True)
    often = "each time" if repeat else "once"
    click.echo(f"{alert.id}: {alert.symbol} of {alert.venue} {_condition(alert)}, {often}")
    _say_effect(alert.event_time, at)


@alerts.command()
@click.argument("ids", nargs=-1, required=True)
@_options
def remove(ids: Sequence[str], data_dir: str | None, at: Micros | None) -> None:
    """Withdraw alerts by their ids.

    Example: kandle alerts remove eth-fast
    """
    names = list(dict.fromkeys(map(str.lower, ids)))

    def withdrawn(known: Mapping[str, PriceAlert]) -> list[PriceAlert]:
        wanted = {name.lower(): alert for name, alert in known.items() if alert.wanted}
        for name in names:
            if name not in wanted:
                near = difflib.get_close_matches(name, wanted, n=3)
                hint = (
                    f"did you mean {', '.join(near)}?" if near else "`kandle alerts list` shows what there is"
                )
                raise ConfigurationError(f"there is no alert {name!r}; {hint}")
        return [msgspec.structs.replace(wanted[name], wanted=False) for name in names]

    gone = _write(_settings(data_dir), withdrawn, at)
    click.echo(f"removed: {', '.join(alert.id for alert in gone)}")
    _say_effect(gone[0].event_time, at)


@alerts.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an alert.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def list_(as_json: bool, data_dir: str | None) -> None:
    """Show the alerts that are wanted.

    What has fired is in the topic market.signals.v1 and in the view signals.

    Example: kandle alerts list --json
    """
    with reach_kafka(_settings(data_dir)) as reached:
        Admin(reached.kafka).ensure_topics([ALERTS])
        known = _read(reached.kafka)
    found = [alert for _, alert in sorted(known.items()) if alert.wanted]
    if as_json:
        for alert in found:
            fields = msgspec.structs.asdict(alert) | {"event_time": iso_time(alert.event_time)}
            click.echo(json.dumps({name: value for name, value in fields.items() if name != "wanted"}))
        return
    rows = [
        (a.id, a.venue, a.symbol, _condition(a), "each time" if a.repeats else "once", moment(a.event_time))
        for a in found
    ]
    click.echo(table(("id", "venue", "symbol", "fires", "how often", "from (UTC)"), rows))


def _settings(data_dir: str | None, **producer: str | None) -> Settings:
    """Settings in force, with what the command line says of the market."""
    given = {name: value for name, value in producer.items() if value is not None}
    return load(**({"data_dir": data_dir} if data_dir else {}), **({"producer": given} if given else {}))


def _one(symbols: Sequence[str]) -> Sequence[str]:
    if len(symbols) != 1 or "*" in symbols[0]:
        raise ConfigurationError(f"an alert is about one symbol, as BTC/USDT; got {', '.join(symbols)}")
    return symbols


def _name(alert: PriceAlert) -> str:
    market = re.sub(r"[^a-z0-9]+", "-", f"{alert.venue} {alert.symbol}".lower())
    within = f"-{alert.window_s:g}s" if alert.window_s else ""
    return f"{market}-{alert.kind}-{alert.level:.12g}{within}"


def _condition(alert: PriceAlert) -> str:
    if alert.kind == "move":
        return f"moves {alert.level:g} % within {alert.window_s:g} s"
    return f"{alert.kind} {alert.level:.12g}"


def _say_effect(effect: Micros, at: Micros | None) -> None:
    if at is None:
        click.echo(f"from event time {iso_time(effect)} on, {LEAD_S:g} s later: by then all workers know it")
    elif at < time.time_ns() // 1_000:
        click.echo(
            f"from event time {iso_time(effect)} on; warning: that is past, and what workers have read of it "
            "already is not looked at again",
        )
    else:
        click.echo(f"from event time {iso_time(effect)} on")


def _read(kafka: KafkaSettings) -> Mapping[str, PriceAlert]:
    known = AlertVersions()
    with TopicReader(kafka, ALERTS.name, marks=False) as reader:
        for message in reader.present(reader.low):
            known.take(message.value())
    return known.newest


def _write(
    settings: Settings,
    make: Callable[[Mapping[str, PriceAlert]], list[PriceAlert]],
    at: Micros | None,
    *,
    may_make: bool = False,
) -> list[PriceAlert]:
    """Put records into the alerts topic, made with a view to what it holds, and dated as they are written."""

    async def write(made: Sequence[PriceAlert]) -> list[PriceAlert]:
        publisher = Publisher(reached.kafka, client_id="kandle-alerts")
        try:
            effect = time.time_ns() // 1_000 + round(LEAD_S * 1e6) if at is None else at
            records = [msgspec.structs.replace(record, event_time=effect) for record in made]
            for record in records:
                await publisher.publish(ALERTS.name, record, key=record.id)
            await publisher.flush(FLUSH_TIMEOUT_S)
        finally:
            await publisher.close(timeout_s=FLUSH_TIMEOUT_S)
        return records

    with reach_kafka(settings, may_make=may_make) as reached:
        Admin(reached.kafka).ensure_topics([ALERTS])
        known = _read(reached.kafka)
        written = asyncio.run(write(make(known)))
        audit(reached.kafka, *(_change(known.get(alert.id), alert) for alert in written))
        return written


def _change(before: PriceAlert | None, after: PriceAlert) -> Change:
    action = "alerts add" if after.wanted else "alerts remove"
    return Change(action, after.id, before, after)
