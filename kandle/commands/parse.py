"""`kandle parse`: a capture as normalized records."""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import click
import msgspec

from infra.settings import load
from kandle.channels import ChannelNames
from producers.capture import CaptureError, CaptureReader
from producers.capture.lines import as_line
from producers.capture.reading import CaptureReading
from producers.exchange import CHANNELS, Channel, Exchange
from producers.markets import exchange_class
from producers.plugins import load_venues
from schemas.errors import ConfigurationError

BLOCK: Final = 256 * 1024
"""Bytes that are written at once."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--venue", help="Instead of the venue in the header: binance, binance-usdm, 'gateio futures'.")
@click.option(
    "--channel",
    "channels",
    type=ChannelNames(),
    help="Only these, comma separated: trades, quotes, books, tickers, candles, derivatives, liquidations.",
)
@click.option(
    "--check", is_flag=True, help="One JSON object about the whole capture, instead of its records."
)
def parse(file: Path, venue: str | None, channels: Collection[Channel] | None, check: bool) -> None:
    """Print the normalized records of a capture FILE as JSON lines.

    \b
    type           trade, quote, book, ticker, candle, derivative or liquidation
    *_time         whole microseconds since the epoch, UTC
    prices, sizes  quote currency per base unit, base units; raw_size is in contracts
    books          snapshot: true replaces the book, else bids and asks [price, size] set
                   levels, size 0 removes one; first_id, last_id, previous_id: update ids

    Fields that do not apply are absent. Books are given as they can be built: a snapshot, then the deltas
    after it.

    \b
    --check prints instead:
    counts           records by type; repeated trades are not counted again
    gaps             runs of missing trade ids, and breaks in the update ids of books
    resyncs          books that were built anew after a break
    rejected         frames, answers and lines that break a rule; rejected_reasons says which
    book_checks      comparisons of a book's best bid and ask with a quote of the same update
                     id, or with an earlier quote that still stands
    book_mismatches  those that failed
    frames           frames by channel, before any rule

    Exits with 0 if the file could be read to its end, whatever was found in it.

    \b
    Examples:
      kandle parse binance.capture.gz --channel trades | head
      kandle parse binance.capture.gz --check
    """  # noqa: D301 - click asks for this control character
    load_venues(load().producer.plugins)
    reading = _open(file, venue, channels or CHANNELS)
    try:
        if check:
            for _ in reading:
                pass
        else:
            _print(as_line(record) for record in reading)
    finally:
        if check:
            click.echo(msgspec.json.encode(_checked(reading)))
        _warn(reading)


def _open(file: Path, venue: str | None, channels: Collection[Channel]) -> CaptureReading:
    if venue is None:
        reader = CaptureReader(file)
        return CaptureReading(reader, reader.exchange(), channels)
    words = venue.split()
    chosen = _chosen(words, file)
    return CaptureReading(CaptureReader(file, chosen.venue, chosen.market), chosen, channels)


def _chosen(words: list[str], file: Path) -> type[Exchange]:
    """The market that an option names; the header tells it where the option names the same venue alone."""
    if not words:
        raise ConfigurationError("--venue needs a name, for example binance")
    if len(words) > 1:
        return exchange_class(words[0], " ".join(words[1:]))
    chosen = exchange_class(words[0])
    try:
        header = CaptureReader(file).header
    except CaptureError:
        return chosen
    if header["venue"].lower() == words[0].lower() and "market" in header:
        return exchange_class(words[0], header["market"])
    return chosen


def _print(lines: Iterable[bytes]) -> None:
    out, block, size = sys.stdout.buffer, list[bytes](), 0
    try:
        for line in lines:
            block.append(line)
            size += len(line)
            if size >= BLOCK:
                out.write(b"".join(block))
                block.clear()
                size = 0
    finally:
        out.write(b"".join(block))
        out.flush()


def _checked(reading: CaptureReading) -> dict[str, object]:
    exchange = reading.exchange
    return {"venue": exchange.venue, "market": exchange.market, **reading.tally.as_dict()}


def _warn(reading: CaptureReading) -> None:
    tally = reading.tally
    for symbol, frames in tally.unknown.items():
        click.echo(
            f"kandle: {symbol} is left out ({frames} frames): no instrument list in the capture names it, "
            "and it ends with no asset that is known",
            err=True,
        )
    if tally.rejected:
        reasons = ", ".join(f"{count} for {reason}" for reason, count in tally.rejected.most_common())
        click.echo(f"kandle: rejected: {reasons}", err=True)
    if tally.unused and not tally.counts["book"]:
        click.echo(
            f"kandle: {tally.unused} book updates, but no snapshot that they follow: no book can be built",
            err=True,
        )
