"""`kandle venues`: which venues there are, and what each has."""

import click
import msgspec

from infra.settings import load
from kandle.patience import patience


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a venue's market.")
def venues(as_json: bool) -> None:
    """List the venues: those with a feed of Kandle's own and their channels, then the others of ccxt.

    Names are taken in any case. Streams are channels over WebSocket, REST is what can be asked for. No venue
    is called.

    \b
    Examples:
      kandle venues
      kandle venues --json | grep kraken
    """  # noqa: D301 - click asks for this control character
    with patience("reading what ccxt supports"):
        from producers.manager.supported import supported
        from producers.plugins import load_venues

        load_venues(load().producer.plugins)
        found = supported()
    if as_json:
        for venue in found:
            click.echo(msgspec.json.encode(venue))
        return
    click.echo("With a feed of Kandle's own:")
    for venue in found:
        if venue.feed == "kandle":
            click.echo(f"  {venue.venue:<10} {venue.market:<8} {', '.join(venue.streams)}")
    click.echo("\nOthers, through ccxt:")
    for venue in found:
        if venue.feed != "kandle":
            streams = ", ".join(venue.streams) or "none"
            click.echo(f"  {venue.venue:<20} streams: {streams}; REST: {', '.join(venue.rest) or 'none'}")
