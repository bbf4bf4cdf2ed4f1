"""The page of a backtest in a browser: it draws, answers to keys and clicks, and its console stays silent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backtest_pages import bankrupt_run, busy_run, empty_run, markets_run, page
from tests.chromium import Chromium, browser

pytestmark = pytest.mark.skipif(browser() is None, reason="no Chromium here: apt-get install chromium")
POINTS = "[...document.querySelectorAll('svg path')].map((each) => each.getAttribute('d')).join('')"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def opened(chromium: Chromium, tmp_path: Path) -> Iterator[Any]:
    """Opens the page of a run; in the end nothing may have been said or asked."""
    file = tmp_path / "report.html"
    chromium.said.clear()
    chromium.asked.clear()

    def opens(run: Any, **how: Any) -> Chromium:
        file.write_text(page(*run), "utf-8")
        chromium.open(file, **how)
        return chromium

    yield opens
    assert chromium.said == []
    assert set(chromium.asked) == {file.as_uri()}


@pytest.mark.parametrize("run", [busy_run, markets_run, empty_run, bankrupt_run])
def test_every_page_draws_and_fits_a_desk_and_a_phone(opened: Any, run: Any) -> None:
    for width, phone, dark in ((1280, False, False), (360, True, True)):
        seen = opened(run(), width=width, phone=phone, dark=dark)
        assert seen.value("document.querySelector('#price .body.rise').getAttribute('d').length") > 5
        assert "NaN" not in seen.value(POINTS)
        assert "Infinity" not in seen.value(POINTS)
        # Nothing sticks out to the right: wide tables scroll in themselves.
        assert seen.value("document.documentElement.scrollWidth") <= width


def test_keys_zoom_move_and_read(opened: Any) -> None:
    seen = opened(busy_run())
    reading = "document.getElementById('reading').textContent"
    drawn = "document.getElementById('drawn').textContent"
    assert seen.value(drawn) == "candles of 10 min"
    seen.value("document.getElementById('plots').focus()")
    for _ in range(6):
        seen.press("+")
    assert seen.value(drawn) == "candles of 1 min"
    seen.press("ArrowLeft")
    last = seen.value(reading)
    seen.press("ArrowLeft")
    assert seen.value(reading) != last
    assert seen.value("document.querySelectorAll('.cross').length") == 3
    seen.press("Home")
    seen.press("ArrowRight", shift=True)
    seen.press("0")
    assert seen.value(drawn) == "candles of 10 min"


def test_mouse_and_fingers_move_and_zoom(opened: Any) -> None:
    seen = opened(busy_run())
    seen.value("document.getElementById('closer').click()")
    seen.settle()
    shown = "['x', 'width'].map((name) => +document.querySelector('#overview .window').getAttribute(name))"
    left, width = seen.value(shown)
    place = "(({x, y}) => [x, y])(document.getElementById('price').getBoundingClientRect())"
    x, y = (value + 150 for value in seen.value(place))
    seen.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
    seen.mouse("mouseMoved", x + 100, y, button="left", buttons=1)
    seen.mouse("mouseReleased", x + 100, y, button="left", clickCount=1)
    moved, same = seen.value(shown)
    assert moved < left - 40
    assert same == pytest.approx(width)
    seen.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200, modifiers=2)  # Ctrl
    nearer = seen.value(shown)[1]
    assert nearer < 0.7 * width
    seen.touch("touchStart", (x, y), (x + 60, y))
    seen.touch("touchMove", (x - 60, y), (x + 120, y))
    seen.touch("touchEnd")
    assert seen.value(shown)[1] < 0.7 * nearer


def test_marks_appear_when_there_is_room_for_them(opened: Any) -> None:
    seen = opened(busy_run())
    assert seen.value("document.querySelectorAll('#price .mark').length") == 0
    assert "a stroke at the exit of each" in seen.value("document.getElementById('price').textContent")
    seen.value("document.querySelector('#trades tbody button').click()")
    seen.settle()
    assert seen.value("document.querySelectorAll('#price .mark.long').length") > 0
    assert "trade 1 long" in seen.value("document.getElementById('reading').textContent")


def test_a_heading_sorts_and_more_trades_can_be_had(opened: Any) -> None:
    seen = opened(busy_run())
    profits = "[...document.querySelectorAll('#trades td:nth-child(4)')].map((cell) => +cell.textContent)"
    assert len(seen.value(profits)) == 50
    heading = "document.querySelector('#trades th:nth-child(4) button')"
    seen.value(f"{heading}.click()")
    falling = seen.value(profits)
    assert falling == sorted(falling, reverse=True)
    assert seen.value(f"{heading}.parentElement.getAttribute('aria-sort')") == "descending"
    seen.value(f"{heading}.click()")
    assert seen.value(profits)[0] < falling[-1]
    seen.value("document.getElementById('more').click()")
    assert len(seen.value(profits)) == 200
    assert seen.value("document.getElementById('more').hidden")


def test_the_chart_of_another_market_can_be_chosen(opened: Any) -> None:
    seen = opened(markets_run())
    before = seen.value(POINTS)
    seen.value("document.getElementById('market').selectedIndex = 1")
    seen.value("document.getElementById('market').dispatchEvent(new Event('change'))")
    seen.settle()
    assert seen.value(POINTS) != before


def test_what_can_be_used_has_a_name(opened: Any) -> None:
    seen = opened(markets_run())
    nodes = seen.call("Accessibility.getFullAXTree")["nodes"]
    usable = {"button", "combobox", "checkbox", "application", "region", "image", "table", "columnheader"}
    roles = [node for node in nodes if node.get("role", {}).get("value") in usable and not node["ignored"]]
    found = {node["role"]["value"] for node in roles}
    assert {"button", "combobox", "checkbox", "application", "region", "image"} <= found
    unnamed = [node for node in roles if node["role"]["value"] != "table" and not node["name"]["value"]]
    assert unnamed == []


def test_it_prints(opened: Any, tmp_path: Path) -> None:
    assert opened(busy_run()).print(tmp_path / "report.pdf") > 20_000
