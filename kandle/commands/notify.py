"""`kandle notify`: look at messages, and try the channels."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

import click

from infra import logging
from infra.settings import Settings, load
from kandle.venue_calls import table
from schemas.errors import ConfigurationError, KandleError
from sinks.notifications.channel import Channel
from sinks.notifications.examples import example_message
from sinks.notifications.message import Templates
from sinks.notifications.routing import Routing

DEFAULT_KIND: Final = "mailto"
DEFAULT_TYPE: Final = "signal"


@click.group()
def notify() -> None:
    """Look at what messages say, and try the channels of the settings."""


@notify.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a channel.")
def channels(as_json: bool) -> None:
    """List the channels of the settings and the rules that use them; no secrets.

    Example: kandle notify channels --json
    """
    settings = load()
    routing = Routing(settings.notifications)
    rules = {name: routing.rules_of(name) for name in routing.channels}
    if as_json:
        for name, channel in routing.channels.items():
            click.echo(json.dumps({"channel": name, "kind": channel.kind, "rules": rules[name]}))
        return
    if not routing.channels:
        click.echo("no channels; docs/notifications.md says how to name some")
        return
    shown = [(name, channel.kind, ", ".join(rules[name])) for name, channel in routing.channels.items()]
    click.echo(table(("channel", "kind", "rules"), shown))


@notify.command()
@click.argument("template", metavar="TEMPLATE")
@click.option(
    "--channel", "kind", default=DEFAULT_KIND, show_default=True, help="Kind: mailto, tgram, slack."
)
@click.option("--html", is_flag=True, help="The HTML instead of subject and text.")
def preview(template: str, kind: str, html: bool) -> None:
    """Show what a type of message says, with made-up data. No channel is needed.

    TEMPLATE is a type: signal, price_alert, trade_executed, many, digest, or one of your own.

    \b
    Examples:
      kandle notify preview price_alert --channel tgram
      kandle notify preview digest --html > digest.html
    """  # noqa: D301 - click asks for this control character
    message = example_message(_templates(load()), template, kind, _now())
    if html:
        click.echo(message.html)
        return
    if message.sender:
        click.echo(f"From: {message.sender}")
    click.echo(f"Subject: {message.subject}\n\n{message.text}")


@notify.command()
@click.argument("channel", metavar="CHANNEL")
@click.option(
    "--type", "type_", default=DEFAULT_TYPE, show_default=True, help="What is told, with made-up data."
)
@click.option("--json", "as_json", is_flag=True, help="The outcome as one JSON object.")
def test(channel: str, type_: str, as_json: bool) -> None:
    """Send one message to a channel, and say what it answers. It is not entered in the ledger.

    CHANNEL is a name that `kandle notify channels` lists, or a kind if only one channel is of it. Exit code 0
    if the channel took the message, 1 if it did not, 2 if there is no such channel.

    \b
    Examples:
      kandle notify test email
      kandle notify test tgram --type price_alert
    """  # noqa: D301 - click asks for this control character
    settings = load()
    logging.configure(settings.logging, "notify")
    name, chosen = _chosen(Routing(settings.notifications), channel)
    message = example_message(_templates(settings), type_, chosen.kind, _now())
    limits = settings.notifications.limits_of(name)
    begun = time.monotonic()
    outcome = {"channel": name, "kind": chosen.kind, "subject": message.subject}
    try:
        asyncio.run(chosen.send(message, f"test/{name}/{_now()}", limits.timeout_s))
    except KandleError as error:
        if as_json:
            failure = {"sent": False, "code": error.code, "retriable": error.retriable, "error": str(error)}
            click.echo(json.dumps(outcome | failure))
            sys.exit(error.exit_code)
        raise
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps(outcome | {"sent": True, "seconds": round(seconds, 3)}))
    else:
        click.echo(f"{name} ({chosen.kind}) took {message.subject!r} in {seconds:.2f} s")


def _chosen(routing: Routing, wanted: str) -> tuple[str, Channel]:
    """The channel of a name, or the only one of a kind."""
    if wanted in routing.channels:
        return wanted, routing.channels[wanted]
    found = [(name, channel) for name, channel in routing.channels.items() if channel.kind == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(name for name, _ in found)
        raise ConfigurationError(f"several channels are of kind {wanted!r}: {names}; say which")
    known = ", ".join(f"{name} ({channel.kind})" for name, channel in routing.channels.items()) or "none"
    raise ConfigurationError(f"there is no channel {wanted!r}; channels are: {known}")


def _templates(settings: Settings) -> Templates:
    return Templates(settings.notifications.templates, settings.notifications.sender)


def _now() -> int:
    return time.time_ns() // 1_000
