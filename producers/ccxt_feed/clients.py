"""Objects of ccxt as a feed wants them: one kind of market, addresses as set, nothing asked without need."""

from typing import Any
from urllib.parse import urlsplit

from infra.http import LOOPBACK
from infra.settings import VenueSettings
from producers.ccxt_feed.capabilities import OPTIONS, Capabilities, ccxt_class
from producers.manager.client import Client, client
from producers.manager.names import VenueName

TRADES_KEPT = 5_000
"""Trades of a symbol that ccxt keeps until we take them: more than come while we look elsewhere."""


def feed_client(
    known: Capabilities, settings: VenueSettings, websocket_url: str | None, rest_url: str | None
) -> Client:
    """An object of ccxt for a feed; makes no call.

    Args:
        known: The venue's market.
        settings: Keys, pace, test network.
        websocket_url: Scheme, host and port instead of the venue's own; its paths stay.
        rest_url: The same for REST.

    Raises:
        ConfigurationError: The settings do not fit the venue.
    """
    name = VenueName(known.ccxt_id, known.kind, known.ccxt_id)
    made = client(name, settings.model_copy(update={"rest_url": None}), ccxt_class(known.ccxt_id))
    made.options["tradesLimit"] = TRADES_KEPT
    if known.kind != "spot":
        made.options["defaultType"] = known.kind
    listed = made.options.get("fetchMarkets")
    types = listed.get("types") if isinstance(listed, dict) else None
    if isinstance(types, dict) and types.get(known.kind) is True:
        made.options["fetchMarkets"] = {**listed, "types": {kind: kind == known.kind for kind in types}}
    elif types and known.kind in types:
        made.options["fetchMarkets"] = {**listed, "types": [known.kind]}
    made.options.update(OPTIONS.get((known.ccxt_id, known.kind), {}))
    moved_to = {"ws": websocket_url, "http": rest_url or settings.rest_url}
    made.urls["api"] = _moved(made.urls["api"], moved_to)
    if any(base and urlsplit(base).hostname in LOOPBACK for base in moved_to.values()):
        made.aiohttp_trust_env = False
    return made


def _moved(urls: Any, bases: dict[str, str | None]) -> Any:
    """The same tree of addresses, with other hosts for those that have one."""
    if isinstance(urls, dict):
        return {name: _moved(url, bases) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls)
    base = bases.get(parts.scheme.removesuffix("s"))
    return urls if base is None else base.rstrip("/") + parts.path
