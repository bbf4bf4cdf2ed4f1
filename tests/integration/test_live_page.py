"""The live page in a browser, over a server, a broker and a database: it shows what is stored and comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from infra.settings import Settings
from tests.chromium import Chromium, browser
from tests.page_accessibility import faint, violations
from tests.page_market import STORED, Desk, price, store
from tests.serve_harness import Server, serving, with_serve
from tests.sink_harness import fresh_topics, settings_for

pytestmark = pytest.mark.skipif(browser() is None, reason="no Chromium here: apt-get install chromium")
BTC, ETH = STORED
LAST = STORED[BTC] - 1
READING = "document.getElementById('reading').textContent"
BODIES = "[...document.querySelectorAll('#price .body')].map((each) => each.getAttribute('d')).join('')"
KEEP_SOCKETS = """
  const kept = [], Own = WebSocket;
  window.WebSocket = class extends Own { constructor(...all) { super(...all); kept.push(this); } };
"""
LIGHT = "document.querySelector('#venues .light')?.className"


@pytest.fixture(scope="module")
def settings(kafka: str, postgres: Callable[[], str]) -> Settings:
    made = settings_for(kafka, postgres())
    fresh_topics(made.kafka)
    return made


@pytest.fixture(scope="module")
def desk(settings: Settings, kafka: str) -> Desk:
    return store(settings, kafka)


@pytest.fixture(scope="module")
def server(settings: Settings, desk: Desk) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def opened(chromium: Chromium, server: Server) -> Iterator[Callable[..., Chromium]]:
    """Opens the page; in the end nothing may have been said, and nobody else asked."""
    chromium.said.clear()
    chromium.asked.clear()

    def opens(query: str = "", **how: object) -> Chromium:
        chromium.open(f"{server.url}/{query}", **how)  # type: ignore[arg-type]
        until(chromium, f"{BODIES}.length > 100 && document.querySelector('#venues tr')")
        return chromium

    yield opens
    assert chromium.said == []
    assert all(each.startswith((server.url, "data:")) for each in chromium.asked)


def until(seen: Chromium, condition: str, within_s: float = 10.0) -> float:
    """Wait until an expression holds on the page; returns after how many seconds."""
    began = time.monotonic()
    while not seen.value(f"Boolean({condition})"):
        assert time.monotonic() - began < within_s, f"not in time: {condition}; {seen.value(READING)}"
        time.sleep(0.02)
    return time.monotonic() - began


def test_candles_appear_and_move(opened: Callable[..., Chromium], desk: Desk) -> None:
    seen = opened()
    until(seen, f"{READING}.includes('close {price(BTC, LAST):,.2f}')")
    until(seen, "document.querySelectorAll('#price .curve').length === 1")
    until(seen, "document.getElementById('panes').textContent.includes('RSI 14')")
    drawn = seen.value(BODIES)
    for close in (60_321.5, 60_123.25):
        desk.moves(BTC, LAST + 1, close)
        until(seen, f"{READING}.includes('close {close:,.2f}')", within_s=2)
    assert seen.value(BODIES) != drawn
    assert "open" in seen.value(READING)
    desk.closes(BTC, LAST + 1)
    until(seen, f"{READING}.includes('close {price(BTC, LAST + 1):,.2f}')", within_s=2)


def test_a_signal_is_marked_and_listed(opened: Callable[..., Chromium], desk: Desk) -> None:
    seen = opened()
    until(seen, "document.querySelectorAll('#price .mark.long').length === 1")
    desk.signals(BTC, LAST, "short")
    until(seen, "document.querySelectorAll('#price .mark.short').length === 1", within_s=2)
    until(seen, "document.querySelectorAll('#signals li').length === 2")


def test_trades_quotes_and_the_book_are_shown(opened: Callable[..., Chromium], desk: Desk) -> None:
    seen = opened()
    desk.trades(BTC, 1, 60_111.5)
    desk.quotes(BTC, 60_110.5)
    until(seen, "document.getElementById('tape').textContent.includes('60,111.5')", within_s=2)
    until(seen, "document.getElementById('quote').textContent.includes('60,110.5')", within_s=2)
    until(seen, "document.querySelectorAll('#book tr').length === 22", within_s=2)


def test_notifications_dead_letters_and_the_pipeline_are_shown(
    opened: Callable[..., Chromium], desk: Desk
) -> None:
    seen = opened()
    assert "There are none" in seen.value("document.getElementById('letters-note').textContent")
    desk.notifies("BTC/USDT long")
    until(seen, "document.getElementById('notifications').textContent.includes('BTC/USDT long')", within_s=2)
    desk.fails()
    until(seen, "document.getElementById('letters').textContent === 'market.trades.v1.dlq 1'")
    stages = seen.value("[...document.querySelectorAll('#flow .box b')].map((each) => each.textContent)")
    assert stages[:4] == ["venues", "produce", "topics", "process"]
    assert "sink timescale" in stages


def test_another_symbol_is_shown_and_the_address_keeps_it(opened: Callable[..., Chromium]) -> None:
    seen = opened(f"?venue=binance&symbol={BTC}&interval=1m")
    seen.press("/")
    for key in "thus":
        seen.press(key)
    seen.press("Enter")
    close = f"close {price(ETH, STORED[ETH] - 1):,.2f}"
    until(seen, f"{READING}.includes('{close}')")
    assert f"{ETH} on binance" in seen.value("document.getElementById('market').textContent")
    assert seen.value("new URLSearchParams(location.search).get('symbol')") == ETH
    seen.value("history.back()")
    until(seen, f"{READING}.includes('60,') || {READING}.includes('59,')")


def test_a_stopped_feed_is_shown_by_a_red_light_within_ten_seconds(
    opened: Callable[..., Chromium], desk: Desk
) -> None:
    seen = opened()
    desk.delivers()
    until(seen, f"{LIGHT} === 'light good'")
    assert until(seen, f"{LIGHT} === 'light bad'") < 10
    assert "silent" in seen.value("document.getElementById('venues').textContent")


def test_older_candles_come_when_somebody_goes_back(opened: Callable[..., Chromium]) -> None:
    seen = opened()
    following = "document.getElementById('newest').getAttribute('aria-pressed')"
    assert seen.value(following) == "true"
    seen.value("document.getElementById('plots').focus()")
    x, y = seen.value("(({x, y}) => [x, y])(document.getElementById('price').getBoundingClientRect())")
    deadline = time.monotonic() + 10
    while "2023-11-14 22:13" not in seen.value(READING):
        assert time.monotonic() < deadline, seen.value(READING)
        seen.press("Home")
        seen.mouse("mouseMoved", x + 3, y + 50)
        time.sleep(0.1)
    assert seen.value(following) == "false"
    seen.press("ArrowRight")
    assert seen.value("document.getElementById('spoken').textContent").startswith("2023-11-14 22:14, open")
    seen.press("End")
    assert seen.value(following) == "true"


@pytest.mark.full
def test_the_token_is_asked_for(settings: Settings, desk: Desk, chromium: Chromium) -> None:
    with serving(with_serve(settings, token="a-long-word")) as guarded:
        chromium.open(f"{guarded.url}/")
        until(chromium, "!document.getElementById('ask-token').hidden")
        chromium.value("document.getElementById('token').value = 'a-long-word'")
        chromium.value("document.querySelector('#ask-token button').click()")
        until(chromium, f"{BODIES}.length > 100")
        until(chromium, "document.getElementById('ask-token').hidden")
        chromium.open("about:blank")


@pytest.mark.full
def test_a_lost_connection_comes_back_by_itself(settings: Settings, desk: Desk, chromium: Chromium) -> None:
    said = "document.getElementById('connection').textContent"
    with serving(settings) as first:
        port = first.listening.getsockname()[1]
        chromium.open(f"{first.url}/")
        until(chromium, f"{said}.includes('live') && {BODIES}.length > 100")
    until(chromium, f"{said}.includes('connection lost')")
    until(chromium, "!document.getElementById('notice').hidden")
    with serving(settings, port):
        until(chromium, f"{said}.includes('live')", within_s=30)
        until(chromium, "document.getElementById('notice').hidden")
        desk.moves(BTC, LAST + 3, 60_033.25)
        until(chromium, f"{READING}.includes('60,033.25')")
    chromium.open("about:blank")


def test_what_a_slow_page_has_lost_is_said(opened: Callable[..., Chromium], chromium: Chromium) -> None:
    kept = chromium.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS)
    seen = opened()
    chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=kept["identifier"])
    # Chromium takes what comes faster than the server drops: the words of a server that has to.
    lost = f"{{type: 'dropped', channel: 'trades', venue: 'binance', symbol: '{BTC}', count: 1200}}"
    seen.value(f"kept[0].dispatchEvent(new MessageEvent('message', {{data: JSON.stringify({lost})}})) && 0")
    until(seen, "document.getElementById('tape-note').textContent.startsWith('1,200 left out')")


@pytest.mark.parametrize(("width", "phone", "dark"), [(1400, False, False), (390, True, True)])
def test_everybody_can_read_it(
    opened: Callable[..., Chromium], desk: Desk, width: int, phone: bool, dark: bool
) -> None:
    seen = opened(width=width, phone=phone, dark=dark)
    desk.quotes(BTC, 60_110.5)
    until(seen, "document.querySelectorAll('#book tr').length === 22")
    assert seen.value("document.documentElement.scrollWidth") <= width
    assert faint(seen) == []
    assert violations(seen) == []
