"""The live page in a browser, over a server, a broker and a database: it shows what is stored and comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from infra.settings import Settings
from tests.chromium import Chromium, browser
from tests.page_accessibility import faint, violations
from tests.page_market import FIRST_US, MINUTE_US, STORED, TRADES_STORED, Desk, price, store
from tests.serve_harness import Server, serving, with_serve
from tests.sink_harness import fresh_topics, query, settings_for, url_of

pytestmark = pytest.mark.skipif(browser() is None, reason="no Chromium here: apt-get install chromium")
BTC, ETH = STORED
LAST = STORED[BTC] - 1
READING = "document.getElementById('reading').textContent"
BODIES = "[...document.querySelectorAll('#price .body')].map((each) => each.getAttribute('d')).join('')"
KEEP_SOCKETS = """
  const kept = [], Own = WebSocket;
  window.WebSocket = class extends Own { constructor(...all) { super(...all); kept.push(this); } };
"""
CONNECTION = "document.getElementById('connection').textContent"
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
        chromium.until(f"{BODIES}.length > 100 && document.querySelector('#venues tr')")
        return chromium

    yield opens
    assert chromium.said == []
    own = server.url, server.url.replace("http", "ws"), "data:"
    assert all(each.startswith(own) for each in chromium.asked)


def test_candles_appear_and_move(opened: Callable[..., Chromium], desk: Desk) -> None:
    seen = opened()
    seen.until(f"{READING}.includes('close {price(BTC, LAST):,.2f}')")
    seen.until("document.querySelectorAll('#price .curve').length === 1")
    seen.until("document.getElementById('panes').textContent.includes('RSI 14')")
    drawn = seen.value(BODIES)
    for close in (60_321.5, 60_123.25):
        desk.moves(BTC, LAST + 1, close)
        seen.until(f"{READING}.includes('close {close:,.2f}')", within_s=5)
    assert seen.value(BODIES) != drawn
    assert "open" in seen.value(READING)
    desk.closes(BTC, LAST + 1)
    seen.until(f"{READING}.includes('close {price(BTC, LAST + 1):,.2f}')", within_s=5)


def test_a_trade_moves_the_open_candle_within_a_second_of_being_published(
    opened: Callable[..., Chromium], desk: Desk
) -> None:
    seen = opened()
    half = FIRST_US + (LAST + 2) * MINUTE_US + MINUTE_US // 2
    desk.moves(BTC, LAST + 2, 60_000.25)
    seen.until(f"{READING}.includes('close 60,000.25')")
    took = []
    for number in range(1, 6):
        # The open candle holds the trades of its first half: these come after it.
        desk.trades(BTC, 2_000 + number, 60_200.0 + number, half + number * 1_000_000)
        took.append(seen.until(f"{READING}.includes('close {60_200 + number:,}.00')"))
    assert sorted(took)[2] < 1, took
    # Two units from the server, a quarter from each trade.
    assert "volume 3.25" in seen.value(READING)
    # The server's candle is right about what it holds, and no more.
    desk.moves(BTC, LAST + 2, 60_001.25)
    seen.until(f"{READING}.includes('open 60,') && {READING}.includes('close 60,205.00')")


def test_a_signal_is_marked_and_listed(opened: Callable[..., Chromium], desk: Desk) -> None:
    seen = opened()
    seen.until("document.querySelectorAll('#price .mark.long').length === 1")
    desk.signals(BTC, LAST, "short")
    seen.until("document.querySelectorAll('#price .mark.short').length === 1", within_s=5)
    seen.until("document.querySelectorAll('#signals li').length === 2")
    # What there is to know of it: beside the mark, and all of it for who presses.
    seen.value("document.getElementById('plots').focus()")
    while "short" not in seen.value("document.getElementById('spoken').textContent"):
        seen.press("ArrowLeft")
    assert "rsi_level" in seen.value("document.getElementById('note').innerText")
    seen.press("Enter")
    assert "Strength" in seen.value("document.getElementById('detail').innerText")
    seen.press("Escape")
    assert not seen.value("document.getElementById('detail').open")
    seen.value("document.querySelector('#signals button').click()")
    assert seen.value("document.getElementById('detail-title').textContent") == "short"
    seen.value("document.getElementById('detail-close').click()")


def test_trades_quotes_and_the_book_are_shown(opened: Callable[..., Chromium], desk: Desk) -> None:
    seen = opened()
    desk.trades(BTC, 1_001, 60_111.5)
    desk.quotes(BTC, 60_110.5)
    seen.until("document.getElementById('tape').textContent.includes('60,111.5')", within_s=5)
    seen.until("document.getElementById('quote').textContent.includes('60,110.5')", within_s=5)
    seen.until("document.querySelectorAll('#book tr').length === 22", within_s=5)


def test_notifications_dead_letters_and_the_pipeline_are_shown(
    opened: Callable[..., Chromium], desk: Desk
) -> None:
    seen = opened()
    assert "There are none" in seen.value("document.getElementById('letters-note').textContent")
    desk.notifies("BTC/USDT long")
    seen.until("document.getElementById('notifications').textContent.includes('BTC/USDT long')", within_s=5)
    desk.fails()
    seen.until("document.getElementById('letters').textContent === 'market.trades.v1.dlq 1'")
    seen.value("document.querySelector('#letters button').click()")
    seen.until("document.getElementById('detail').innerText.includes('no trade')")
    seen.press("Escape")
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
    seen.until(f"{READING}.includes('{close}')")
    assert f"{ETH} on binance" in seen.value("document.getElementById('market').textContent")
    assert seen.value("new URLSearchParams(location.search).get('symbol')") == ETH
    seen.value("history.back()")
    seen.until(f"{READING}.includes('60,') || {READING}.includes('59,')")


def test_a_stopped_feed_is_shown_by_a_red_light_within_ten_seconds(
    opened: Callable[..., Chromium], desk: Desk
) -> None:
    seen = opened()
    desk.delivers()
    seen.until(f"{LIGHT} === 'light good'")
    assert seen.until(f"{LIGHT} === 'light bad'") < 10
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
    seen.until("document.getElementById('price').textContent.includes('nothing older is stored')")
    seen.press("ArrowRight")
    assert seen.value("document.getElementById('spoken').textContent").startswith("2023-11-14 22:14, open")
    seen.press("End")
    assert seen.value(following) == "true"


def test_older_trades_come_when_somebody_scrolls_down(opened: Callable[..., Chromium]) -> None:
    seen = opened()
    rows = "document.querySelectorAll('#tape tr').length"
    seen.until(f"{rows} === 50")
    tape = "document.getElementById('tape').closest('.scroll')"
    seen.value(f"{tape}.scrollTop = {tape}.scrollHeight")
    seen.until(f"{rows} >= {TRADES_STORED}")
    seen.until("document.getElementById('tape-end').textContent.startsWith('These are all')")


def test_what_is_drawn_and_how_times_are_written_is_kept(opened: Callable[..., Chromium]) -> None:
    seen = opened()
    rsi = "[...document.querySelectorAll('#shown label')].find((each) => each.textContent.includes('RSI 14'))"
    seen.until(rsi)
    seen.call("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    seen.value(f"{rsi}.querySelector('input').click()")
    seen.value("document.querySelector('[name=zone][value=local]').click()")
    seen.value("document.querySelector('[name=scheme][value=dark]').click()")
    try:
        for _ in range(2):
            seen.until("!document.getElementById('panes').textContent.includes('RSI 14')")
            assert seen.value("getComputedStyle(document.documentElement).colorScheme") == "dark"
            assert "Asia/" in seen.value("document.getElementById('zone-name').textContent")
            # India is half an hour beside UTC.
            ticks = seen.value(
                "[...document.querySelectorAll('#price text')].map((each) => each.textContent)"
            )
            assert any(each.endswith(":30") for each in ticks)
            seen = opened()
    finally:
        seen.value("localStorage.clear()")
        seen.call("Emulation.setTimezoneOverride", timezoneId="")


def test_one_symbol_of_a_thousand_is_found_by_keys(
    opened: Callable[..., Chromium], settings: Settings
) -> None:
    url = url_of(settings)
    query(
        url,
        "INSERT INTO kandle.instruments (venue, symbol) SELECT 'binance', 'S' || n || '/USDT' "
        "FROM generate_series(1, 1000) n RETURNING id",
    )
    try:
        seen = opened()
        seen.press("/")
        seen.until("document.querySelectorAll('#symbols li').length === 200")
        assert "and 802 more" in seen.value("document.getElementById('symbol-more').textContent")
        drawn = (
            "(() => { const began = performance.now(); const field = document.getElementById('symbol'); "
            "field.value = 's'; field.dispatchEvent(new Event('input')); "
            "document.body.offsetHeight; return performance.now() - began; })()"
        )
        assert min(seen.value(drawn) for _ in range(3)) < 100
        seen.value("document.getElementById('symbol').select()")
        for key in "s777":
            seen.press(key)
        assert (
            seen.value("document.querySelector('#symbols [aria-selected=true]').textContent") == "S777/USDT"
        )
        seen.press("Escape")
        assert seen.value("document.getElementById('symbol').value") == BTC
        seen.press("ArrowDown")
        seen.press("ArrowDown")
        seen.press("Enter")
        seen.until(f"document.getElementById('market').textContent.startsWith('{ETH}')")
    finally:
        query(url, "DELETE FROM kandle.instruments WHERE symbol LIKE 'S%' RETURNING id")


def test_everything_is_reached_by_tab_and_the_focus_is_seen(opened: Callable[..., Chromium]) -> None:
    seen = opened()
    seen.until("document.querySelector('#letters-note .light')")
    passed = []
    for _ in range(60):
        seen.press("Tab")
        name, style, width = seen.value(
            "(({id, ariaLabel, innerText}, style) => [id || ariaLabel || innerText, style.outlineStyle, "
            "style.outlineWidth])(document.activeElement, getComputedStyle(document.activeElement))"
        )
        if name in passed or document_is_left(seen):
            break
        assert (style, width) == ("solid", "2px"), name
        passed.append(name)
    wanted = ["To the chart", "venue", "symbol", "interval", "View", "earlier", "later", "closer", "wider"]
    assert [name for name in passed if name in wanted] == wanted
    assert {"newest", "plots", "Trades, newest first", "Feeds of the venues", "Topics"} <= set(passed)


def document_is_left(seen: Chromium) -> bool:
    return bool(seen.value("document.activeElement === document.body"))


@pytest.mark.full
def test_the_token_is_asked_for(settings: Settings, desk: Desk, chromium: Chromium) -> None:
    with serving(with_serve(settings, token="a-long-word")) as guarded:
        chromium.asked.clear()
        chromium.open(f"{guarded.url}/")
        chromium.until("!document.getElementById('ask-token').hidden")
        chromium.value("document.getElementById('token').value = 'a-long-word'")
        chromium.value("document.querySelector('#ask-token button').click()")
        chromium.until(f"{BODIES}.length > 100")
        chromium.until("document.getElementById('ask-token').hidden")
        chromium.until(f"{CONNECTION}.includes('live')")
        assert not any("token" in each or "word" in each for each in chromium.asked)
        chromium.open("about:blank")


@pytest.mark.full
def test_a_lost_connection_comes_back_by_itself(settings: Settings, desk: Desk, chromium: Chromium) -> None:
    with serving(settings) as first:
        port = first.listening.getsockname()[1]
        chromium.open(f"{first.url}/")
        chromium.until(f"{CONNECTION}.includes('live') && {BODIES}.length > 100")
    chromium.until(f"{CONNECTION}.includes('connection lost')")
    chromium.until("!document.getElementById('notice').hidden")
    # More than a snapshot brings: between it and what the page has is a hole.
    asyncio.run(desk.closes_all(settings, BTC, range(LAST + 1, LAST + 331)))
    with serving(settings, port):
        chromium.until(f"{CONNECTION}.includes('live')", within_s=30)
        chromium.until("document.getElementById('notice').hidden")
        desk.moves(BTC, LAST + 331, 60_033.25)
        chromium.until(f"{READING}.includes('60,033.25')")
        chromium.value("document.getElementById('plots').focus()")
        assert walked_by_minutes(chromium, 340) == [60.0] * 340
    chromium.open("about:blank")


def walked_by_minutes(seen: Chromium, count: int) -> list[float]:
    """Seconds between the candles that one gets to by so many steps to the left."""
    steps = f"""
    (() => {{
      const times = [], spoken = document.getElementById("spoken");
      for (let step = 0; step <= {count}; step++) {{
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {{ key: "ArrowLeft" }}));
        times.push(Date.parse(spoken.textContent.split(",")[0].replace(" ", "T") + "Z") / 1000);
      }}
      return times.slice(1).map((time, step) => times[step] - time);
    }})()
    """
    found: list[float] = seen.value(steps)
    return found


def test_what_a_slow_page_has_lost_is_said(opened: Callable[..., Chromium], chromium: Chromium) -> None:
    kept = chromium.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS)
    seen = opened()
    chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=kept["identifier"])
    # Chromium takes what comes faster than the server drops: the words of a server that has to.
    lost = f"{{type: 'dropped', channel: 'trades', venue: 'binance', symbol: '{BTC}', count: 1200}}"
    seen.value(f"kept[0].dispatchEvent(new MessageEvent('message', {{data: JSON.stringify({lost})}})) && 0")
    seen.until("document.getElementById('tape-note').textContent.startsWith('1,200 left out')")


@pytest.mark.parametrize(("width", "phone"), [(1400, False), (390, True)])
def test_everybody_can_read_it(opened: Callable[..., Chromium], desk: Desk, width: int, phone: bool) -> None:
    seen = opened(width=width, phone=phone)
    desk.quotes(BTC, 60_110.5)
    seen.until("document.querySelectorAll('#book tr').length === 22")
    for scheme in ("light", "dark"):
        seen.value(f"document.querySelector('[name=scheme][value={scheme}]').click()")
        assert seen.value("document.documentElement.scrollWidth") <= width
        assert faint(seen) == [], scheme
        assert violations(seen) == [], scheme
        seen.value("document.getElementById('view').open = true")
    seen.value("localStorage.clear()")
