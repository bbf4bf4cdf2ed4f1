"""ccxt's object for a venue, set up as ours is to be: pace, clock, keys, addresses."""

import logging
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import ccxt.async_support as ccxt
from pydantic import SecretStr

from infra.http import LOOPBACK, USER_AGENT
from infra.resilience.bulkhead import EXCHANGE_TIMEOUT_S
from infra.settings import VenueSettings
from producers.manager.answer import current
from producers.manager.names import VenueName
from schemas.errors import BadAnswerError, ConfigurationError

CALLS_PER_MINUTE: Final = {"binance": 50.0, "binanceus": 50.0, "gateio": 60.0}
"""Paces of venues, where the settings name none; ccxt has its own for the others."""

Client: TypeAlias = Any
"""An object of one of ccxt's classes, whose methods have no common type."""

# At this level it writes out the headers of requests, keys included.
logging.getLogger("ccxt").setLevel(logging.INFO)


def client(name: VenueName, settings: VenueSettings, of: Any = None) -> Client:
    """An object of ccxt for a venue's market; makes no call.

    Args:
        name: Which one.
        settings: How it is called.
        of: Class of ccxt instead of the one for REST alone.

    Raises:
        ConfigurationError: The venue has no test network, the address is none, or it is not one for keys.
    """
    made = (of or getattr(ccxt, name.ccxt_id))(_options(name, settings))
    # Asks for what is traded, not for every coin and its networks: that needs keys at some venues.
    made.has = {**made.has, "fetchCurrencies": False}
    if settings.testnet:
        if not made.urls.get("test"):
            raise ConfigurationError(f"{name.label} has no test network that ccxt knows")
        made.set_sandbox_mode(True)
    if settings.rest_url is not None:
        _check_address(name, settings)
        made.urls["api"] = _moved(made.urls["api"], settings.rest_url)
    host = urlsplit(settings.rest_url or "").hostname
    made.aiohttp_trust_env = host not in LOOPBACK
    if pace(name, settings) is not None:
        # Every call counts as one: the pace is of calls, and slow enough for the heaviest of them.
        made.calculate_rate_limiter_cost = _one
    made.on_rest_response = _take_note
    return made


def pace(name: VenueName, settings: VenueSettings) -> float | None:
    """Calls in a minute; None where ccxt's own pace is kept."""
    return settings.calls_per_minute or CALLS_PER_MINUTE.get(name.venue)


def secrets(settings: VenueSettings) -> list[str]:
    """The texts that no message may show."""
    found = (_text(secret) for secret in (settings.api_key, settings.secret, settings.passphrase))
    return [text for text in found if text]


def _options(name: VenueName, settings: VenueSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "recvWindow": settings.recv_window_ms,
        # Corrected by `RestVenue` instead, once and only where requests are signed.
        "adjustForTimeDifference": False,
        # A list of markets needs no key, whether or not there is one.
        "fetchMargins": False,
    }
    if name.market_types and name.venue != "mexc":
        options["fetchMarkets"] = {"types": list(name.market_types)}
    if "swap" in name.market_types:
        options["defaultType"] = "swap"
        options["swap"] = {"fetchMarkets": {"settlementCurrencies": ["usdt"]}}
    given = {
        "apiKey": _text(settings.api_key),
        "secret": _text(settings.secret),
        "password": _text(settings.passphrase),
    }
    found = {
        "enableRateLimit": True,
        "timeout": int(EXCHANGE_TIMEOUT_S * 1_000),
        "userAgent": USER_AGENT,
        "options": options,
        **{key: text for key, text in given.items() if text},
    }
    calls = pace(name, settings)
    return found if calls is None else {**found, "rateLimit": 60_000 / calls}


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _one(*_: object) -> float:
    return 1.0


def _take_note(
    status: int, _reason: str, url: str, _method: str, headers: dict[str, str], body: str, *_: object
) -> str:
    """Called by ccxt with every answer; it takes what this returns for the body."""
    answer = current.get(None)
    if answer is not None:
        answer.status = status
        answer.headers = {name.lower(): value for name, value in headers.items()}
    text = body.strip()
    if status < 400 and text.startswith("<"):
        host = urlsplit(url).hostname
        raise BadAnswerError(f"{host} answers with a page for people instead of data", retriable=True)
    return text


def _check_address(name: VenueName, settings: VenueSettings) -> None:
    parts = urlsplit(settings.rest_url or "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"rest_url of {name.label} is no http or https address: {settings.rest_url}")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and secrets(settings):
        raise ConfigurationError(
            f"rest_url of {name.label} would send a key to {parts.hostname} unencrypted; use https"
        )


def _moved(urls: Any, base: str) -> Any:
    """The same tree of addresses with another host."""
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    return base.rstrip("/") + urlsplit(urls).path
