"""`kandle status`: how everything is, in a word and in detail."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from infra import logging
from infra.settings import LoggingSettings, load
from kandle.patience import patience
from kandle.standing import standing
from kandle.venue_calls import table

EXIT_CODES: Final = {"healthy": 0, "degraded": 3, "unhealthy": 4}
COLOURS: Final = {
    "healthy": "green",
    "running": "green",
    "finished": "green",
    "degraded": "yellow",
    "unknown": "yellow",
    "starting": "yellow",
    "restarting": "yellow",
    "unhealthy": "red",
    "error": "red",
    "stopped": "red",
    "failed": "red",
}
MESSAGE_MOST: Final = 160


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, indented.")
@click.option("--url", help="The server to ask; default: that of the data directory or of the settings.")
@click.option("--data", "data_dir", type=click.Path(file_okay=False), help="Data directory; default ./var.")
def status(as_json: bool, url: str | None, data_dir: str | None) -> None:
    """Show whether everything is healthy, and what is not.

    The server (`kandle serve`, also part of `kandle up`) is asked for what its health monitor saw last. Where
    none answers, everything is checked once, here, which takes some seconds.

    Exit codes: 0 healthy, 3 degraded, 4 unhealthy; 1 if nothing runs or the server does not answer, 2 for
    wrong settings. A critical service that is not healthy makes the whole degraded.

    \b
    Examples:
      kandle status
      kandle status --json --url http://desk:8765
    """  # noqa: D301 - click asks for this control character
    settings = load(**({"data_dir": data_dir} if data_dir else {}))
    logging.configure(LoggingSettings(level="error", format="human"), "status")
    with patience("checking everything"):
        found = standing(settings, url)
    if as_json:
        click.echo(json.dumps(_ordered(found), indent=2))
    else:
        click.echo(_text(found))
    sys.exit(EXIT_CODES[found["status"]])


def _ordered(found: dict[str, Any]) -> dict[str, Any]:
    first = ("status", "healthy", "total", "percentage", "critical_failures", "stages")
    return {name: found[name] for name in first} | found


def _text(found: dict[str, Any]) -> str:
    word = click.style(found["status"], fg=COLOURS[found["status"]], bold=True)
    share = f"{found['healthy']} of {found['total']} services are healthy ({found['percentage']:g} %)"
    parts = [f"{word}: {share}"]
    if found["critical_failures"]:
        parts.append(f"critical and not healthy: {', '.join(found['critical_failures'])}")
    if found["asked"] is None:
        parts.append("no server watches: everything was checked once, just now")
    else:
        looked = min(
            (each["last"]["time"] for each in found["services"] if each["last"]), default=found["time"]
        )
        age = _ago(looked, found["time"])
        parts.append(f"as {found['asked']} saw it in the last {age}; it checks every {found['every_s']:g} s")
    services = [
        (
            each["name"],
            each["status"],
            "yes" if each["critical"] else "no",
            _ago(each["since"], found["time"]),
            "-" if each["last"] is None else f"{each['last']['response_ms']:.0f} ms",
            _why(each),
        )
        for each in found["services"]
    ]
    stages = [
        (each["name"], each["state"], each["pid"], each["restarts"], each["lag_records"])
        for each in found["stages"]
    ]
    parts += ["", _coloured(("service", "status", "critical", "since", "response", ""), services)]
    if stages:
        parts += ["", _coloured(("stage", "state", "pid", "restarts", "records behind"), stages)]
    return "\n".join(parts)


def _coloured(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table whose second column has the colour of its word; padded before it is coloured."""
    head, *lines = table(header, rows).splitlines()
    start = head.index(header[1])
    coloured = []
    for line, row in zip(lines, rows, strict=True):
        end = start + len(str(row[1]))
        coloured.append(line[:start] + click.style(line[start:end], fg=COLOURS[str(row[1])]) + line[end:])
    return "\n".join([click.style(head, dim=True), *coloured])


def _why(service: dict[str, Any]) -> str:
    message = "" if service["last"] is None else str(service["last"]["message"])
    first = message.partition("\n")[0]
    short = first if len(first) <= MESSAGE_MOST else f"{first[:MESSAGE_MOST]}..."
    return f"{short} ({service['failures']} in a row)" if service["failures"] > 1 else short


def _ago(since: int | None, now_us: int) -> str:
    if since is None:
        return "-"
    seconds = max(now_us - since, 0) // 1_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
