"""`kandle check`: whether a venue can be used from here."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from kandle.venue_calls import call_venues

if TYPE_CHECKING:
    from producers.manager.records import Check
    from producers.manager.venue_manager import VenueManager


@click.command()
@click.argument("venue")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(venue: str, as_json: bool) -> None:
    """Check the connection to a VENUE: can it be reached, how do the clocks differ, is the key valid.

    Without a key the list of markets and the venue's time are asked for, with one
    (KANDLE_VENUES__BINANCE__API_KEY and ..._SECRET) the balance as well. Exits with 1 if it cannot be used.

    \b
    Examples:
      kandle check binance
      kandle check "gateio futures" --json
    """  # noqa: D301 - click asks for this control character
    found = call_venues(f"asking {venue}", lambda manager, _: _checked(manager, venue))
    if as_json:
        click.echo(json.dumps(_as_dict(found)))
    else:
        click.echo(_as_text(found))
    if found.error is not None:
        sys.exit(1)


async def _checked(manager: "VenueManager", venue: str) -> "Check":
    from producers.manager.venue_manager import CheckFailedError

    try:
        return await manager.add(venue)
    except CheckFailedError as error:
        return error.check


def _as_dict(found: "Check") -> dict[str, Any]:
    error = found.error
    return {
        "venue": found.venue,
        "market": found.market,
        "ok": error is None,
        "reachable": found.is_reachable,
        "latency_ms": found.latency_ms,
        "clock_difference_ms": found.clock_difference_ms,
        "markets": found.markets,
        "key": found.key,
        "assets": found.assets,
        "error": None if error is None else {"code": error.code, "message": str(error)},
    }


def _as_text(found: "Check") -> str:
    latency = f", {found.latency_ms:.0f} ms" if found.latency_ms is not None else ""
    lines = [
        f"{found.venue} {found.market}".rstrip(),
        f"  reachable  {'yes' if found.is_reachable else 'no'}{latency}",
    ]
    difference = found.clock_difference_ms
    if difference is not None:
        side = "ahead of" if difference > 0 else "behind"
        lines.append(f"  clock      {abs(difference):.0f} ms {side} ours")
    if found.markets is not None:
        lines.append(f"  markets    {found.markets}")
    held = f", {found.assets} currencies held" if found.assets is not None else ""
    lines.append(f"  key        {found.key}{held}")
    if found.error is not None:
        lines.append(f"  error      {found.error}")
    return "\n".join(lines)
