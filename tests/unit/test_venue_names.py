"""Names of venues as users write them, and what the settings make of ccxt's objects."""

import subprocess
import sys

import pytest
from pydantic import SecretStr

from infra.settings import VenueSettings, environment_names, load
from producers.manager.client import client
from producers.manager.names import OWN, VenueName, ccxt_ids, for_symbol, venue_name
from producers.manager.supported import supported
from schemas.errors import ConfigurationError

KEYS = VenueSettings(api_key=SecretStr("key"), secret=SecretStr("hidden"), passphrase=SecretStr("words"))


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("Binance", "binance-spot"),
        ("BINANCE spot", "binance-spot"),
        ("binance-usdm", "binance-usdm"),
        ("BinanceUSDM", "binance-usdm"),
        ("binance futures", "binance-usdm"),
        ("binance.us", "binanceus-spot"),
        ("gate", "gateio-spot"),
        ("Gate.io", "gateio-spot"),
        ("gateio FUTURES", "gateio-futures"),
        ("mexc", "mexc-spot"),
        ("MEXC-futures", "mexc-futures"),
        ("Kraken", "kraken"),
    ],
)
def test_a_venue_is_found_by_any_of_its_names(written: str, label: str) -> None:
    assert venue_name(written).label == label


def test_an_unknown_name_is_named_with_those_near_it() -> None:
    with pytest.raises(ConfigurationError, match=r"'binanze'; near it: binance.*`kandle venues` lists"):
        venue_name("binanze")
    with pytest.raises(ConfigurationError, match="no venue ''"):
        venue_name("")


def test_perpetuals_are_asked_for_at_the_market_that_trades_them() -> None:
    assert for_symbol(venue_name("binance"), "BTC/USDT:USDT").label == "binance-usdm"
    assert for_symbol(venue_name("gate"), "BTC/USDT:USDT").label == "gateio-futures"
    assert for_symbol(venue_name("mexc"), "BTC/USDT").label == "mexc-spot"
    assert for_symbol(venue_name("binanceus"), "BTC/USDT:USDT").label == "binanceus-spot"
    assert for_symbol(venue_name("kraken"), "BTC/USD:USD").label == "kraken"


@pytest.mark.parametrize(
    ("name", "between_ms"), [("binance", 1_200), ("binanceus", 1_200), ("gateio", 1_000)]
)
def test_clients_keep_the_pace_and_the_window(name: str, between_ms: float) -> None:
    made = client(OWN[name], KEYS)
    assert made.enableRateLimit
    assert made.rateLimit == between_ms
    assert made.calculate_rate_limiter_cost([], "GET", "exchangeInfo", {}) == 1.0
    assert made.options["recvWindow"] == 10_000
    assert (made.apiKey, made.secret, made.password) == ("key", "hidden", "words")


def test_other_venues_keep_the_pace_of_ccxt() -> None:
    made = client(VenueName("kraken", "", "kraken"), VenueSettings())
    assert made.rateLimit == type(made)().rateLimit
    assert client(VenueName("kraken", "", "kraken"), VenueSettings(calls_per_minute=30)).rateLimit == 2_000


def test_a_client_of_every_exchange_of_ccxt_can_be_made() -> None:
    settings = KEYS.model_copy(update={"rest_url": "http://127.0.0.1:9", "calls_per_minute": 10.0})
    for ccxt_id in ccxt_ids():
        name = venue_name(ccxt_id)
        assert client(name, settings).rateLimit == 6_000, name


def test_the_test_network_is_used_where_there_is_one() -> None:
    made = client(OWN["binance"], VenueSettings(testnet=True))
    assert "testnet" in made.urls["api"]["public"]
    with pytest.raises(ConfigurationError, match="mexc-spot has no test network"):
        client(OWN["mexc"], VenueSettings(testnet=True))


@pytest.mark.parametrize("name", OWN)
def test_every_address_of_a_client_can_be_moved(name: str) -> None:
    made = client(OWN[name], VenueSettings(rest_url="http://127.0.0.1:9/"))

    def leaves(urls: object) -> list[str]:
        if isinstance(urls, dict):
            return [leaf for url in urls.values() for leaf in leaves(url)]
        return [str(urls)]

    assert all(url.startswith("http://127.0.0.1:9") for url in leaves(made.urls["api"]))
    assert not made.aiohttp_trust_env


def test_keys_are_not_sent_in_the_clear() -> None:
    moved = KEYS.model_copy(update={"rest_url": "http://proxy.example"})
    with pytest.raises(ConfigurationError, match="unencrypted"):
        client(OWN["binance"], moved)
    with pytest.raises(ConfigurationError, match="no http or https address"):
        client(OWN["binance"], VenueSettings(rest_url="localhost:80"))
    client(OWN["binance"], KEYS.model_copy(update={"rest_url": "http://localhost:8080"}))


def test_settings_of_a_venue_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "kandle.toml").write_text(
        '[venues.kraken]\ncalls_per_minute = 30\n[venues."gate.io"]\ntestnet = true\n'
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KANDLE_VENUES__BINANCE__API_KEY", "12e4567")
    monkeypatch.setenv("KANDLE_VENUES__BINANCE__SECRET", "123")
    monkeypatch.setenv("KANDLE_VENUE_PRIORITY", "mexc, binance")
    found = load()
    binance = found.venues["binance"]
    assert binance.api_key is not None
    assert binance.secret is not None
    assert (binance.api_key.get_secret_value(), binance.secret.get_secret_value()) == ("12e4567", "123")
    assert found.venues["kraken"].calls_per_minute == 30
    assert found.venues["gateio"].testnet
    assert found.venue_priority == ["mexc", "binance"]
    assert "12e4567" not in repr(found)
    assert "KANDLE_VENUES__BINANCE__API_KEY" in environment_names()


def test_a_typing_error_in_a_setting_of_a_venue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANDLE_VENUES__BINANCE__APIKEY", "x")
    with pytest.raises(ConfigurationError, match="KANDLE_VENUES__BINANCE__APIKEY is set"):
        load()


def test_ours_are_listed_before_those_of_ccxt_with_what_each_has() -> None:
    found = supported()
    own = [(venue.venue, venue.market) for venue in found if venue.feed == "kandle"]
    assert own == [
        ("binance", "spot"),
        ("binance", "usdm"),
        ("binanceus", "spot"),
        ("gateio", "futures"),
        ("gateio", "spot"),
        ("mexc", "futures"),
        ("mexc", "spot"),
    ]
    assert found[1].streams[-2:] == ["derivatives", "liquidations"]
    by_name = {venue.venue: venue for venue in found if venue.feed == "ccxt"}
    assert len(by_name) > 90
    assert not {"binance", "gate", "mexc"} & by_name.keys()
    assert "trades" in by_name["kraken"].streams
    assert "candles" in by_name["zebpay"].rest
    assert by_name["zaif"].streams == []


def test_the_help_page_does_not_import_ccxt() -> None:
    code = (
        "import sys, contextlib, kandle.__main__ as k\n"
        "with contextlib.suppress(SystemExit): k.cli.main(['--help'])\n"
        "for name in ('venues', 'check', 'ticker', 'ohlcv'):\n"
        "    with contextlib.suppress(SystemExit): k.cli.main([name, '--help'])\n"
        "assert 'ccxt' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "kandle ticker btc/usdt" in done.stdout
