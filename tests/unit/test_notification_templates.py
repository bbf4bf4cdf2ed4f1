"""What messages say: every type, own templates, errors that name the template, HTML that is safe."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, ValidationError
from sinks.notifications import wording
from sinks.notifications.examples import example, example_message, example_types
from sinks.notifications.message import PARTS, Templates
from sinks.notifications.occasion import TYPES, occasion_of
from tests.notification_records import TIME_US, event, price_alert, signal

SHIPPED = Templates()
MINUTE_US = 60_000_000


class Page(HTMLParser):
    """The words and the tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


def test_a_signal_says_what_where_when_and_how_strong() -> None:
    message = SHIPPED.render(occasion_of(signal(complete=False)), "mailto")
    assert message.subject == "BTC/USDT long: cross(10,30) (binance, 1m)"
    for words in (
        "cross(10,30) says long with strength 0.8",
        "1m candles, 2023-11-14 22:13:20 UTC",
        "fast: 1.5",
        "slow: 1.25",
        "miss trades",
    ):
        assert words in message.text
    assert message.occasions == (occasion_of(signal(complete=False)),)


def test_a_price_alert_says_the_price_to_its_last_digit() -> None:
    message = SHIPPED.render(occasion_of(price_alert()), "mailto")
    assert message.subject == "BTC/USDT at 70,000.5: price_alert_high (binance)"
    assert "level: 70,000" in message.text


def test_a_trade_says_side_quantity_price_and_result() -> None:
    order = {
        "symbol": "BTC/USDT",
        "side": "sell",
        "price": "67250.5",
        "quantity": "0.00000001",
        "pnl": "-3.5",
    }
    message = SHIPPED.render(occasion_of(event("trade.executed", "info", **order)), "twilio")
    assert message.subject == "SELL 0.00000001 BTC/USDT at 67,250.5"
    assert "profit or loss: -3.5" in message.text


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("provider.disconnected", "binance: connection lost"),
        ("circuit_breaker.open", "binance: calls suspended"),
        ("rate_limit.hit", "binance: slowed down"),
        ("provider.error", "binance: trouble"),
    ],
)
def test_trouble_with_a_provider_is_named(cause: str, words: str) -> None:
    message = SHIPPED.render(occasion_of(event(cause, provider="binance")), "slack")
    assert message.subject == words
    assert "it happened" in message.text


def test_what_has_no_template_of_its_own_says_all_that_is_known() -> None:
    message = SHIPPED.render(
        occasion_of(event("candle.mismatch", severity="error", worst_field="close")), "slack"
    )
    assert message.subject == "error: it happened"
    assert "candle.mismatch" in message.text
    assert "worst field: close" in message.text


@pytest.mark.parametrize("type_", example_types())
def test_every_type_is_told_to_every_kind_of_channel(type_: str) -> None:
    for kind in ("mailto", "tgram", "slack", "kandle"):
        message = example_message(SHIPPED, type_, kind, TIME_US)
        assert message.subject
        assert "\n" not in message.subject
        assert message.text
        assert len(message.html.encode()) < 6_000
        page = Page(message.html)
        assert message.subject.split()[0] in page.text or kind == "tgram"
        assert not {"script", "img", "link", "style"} & set(page.tags)


def test_there_is_an_example_of_every_type_that_events_have() -> None:
    assert set(TYPES.values()) <= set(example_types())
    for type_ in set(TYPES.values()):
        assert example(type_, TIME_US).type == type_


def test_a_page_is_readable_in_the_dark() -> None:
    html = SHIPPED.render(occasion_of(signal()), "mailto").html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "background" not in html  # whatever the reader has
    assert ";color:" not in html.replace("color-scheme", "")


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_markup_of_an_event_reaches_the_page(name: str, value: str) -> None:
    data = {f"{name}<script>": f"<b onclick=x>{value}"}
    message = SHIPPED.render(occasion_of(event("gap", "info", **data)), "mailto")
    assert not {"script", "b onclick"} & set(Page(message.html).tags)
    assert "<script" not in message.html
    assert "onclick=x>" not in message.html


def test_a_storm_names_its_first_and_last_and_counts_all() -> None:
    storm = [occasion_of(event("gap", severity="error" if n == 7 else "info", n=str(n))) for n in range(30)]
    message = SHIPPED.render_many(storm, 4711, "mailto")
    assert message.subject.startswith("4711 messages")
    assert message.count == 4711
    assert len(message.occasions) == 10
    assert "4701 more" in message.text
    assert message.severity == "error"
    assert "#b91c1c" in message.html  # the worst of them gives the colour


def test_a_digest_names_the_newest() -> None:
    late = [occasion_of(signal(f"signal/{n}")) for n in range(60)]
    message = SHIPPED.render_digest(late, "mailto")
    assert "60 messages" in message.subject
    assert "The newest 50" in message.text
    assert message.occasions == tuple(late[-50:])


def test_a_subject_is_one_line_of_bounded_length() -> None:
    occasion = occasion_of(event("gap"))
    hostile = type(occasion)(
        **{name: getattr(occasion, name) for name in occasion.__slots__}
        | {"fields": {"message": "a\r\nBcc: x@example.com\n" + "b" * 500}}
    )
    subject = SHIPPED.render(hostile, "mailto").subject
    assert "\n" not in subject
    assert "\r" not in subject
    assert len(subject) <= 200


def test_own_templates_outweigh_those_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "signal.subject.j2").write_text("{{ symbol }} {{ strength | percent }}")
    (tmp_path / "signal.twilio.text.j2").write_text("{{ symbol }} {{ direction }} {{ fast | figure }}")
    (tmp_path / "lunar_phase.subject.j2").write_text("moon")
    (tmp_path / "notes.txt").write_text("{{ not a template")
    own = Templates(tmp_path)
    assert own.render(occasion_of(signal()), "mailto").subject == "BTC/USDT 80 %"
    assert "says long" in own.render(occasion_of(signal()), "mailto").text
    sms = own.render(occasion_of(signal()), "twilio")
    assert sms.text == "BTC/USDT long 1.5"
    assert "lunar_phase" in own.types()


def test_a_name_that_is_not_there_is_told_with_the_template(tmp_path: Path) -> None:
    (tmp_path / "signal.text.j2").write_text("{{ fields.slowest }}")
    with pytest.raises(ValidationError, match=r"template signal\.text\.j2 .*'slowest'.*may use.*fast"):
        Templates(tmp_path).render(occasion_of(signal()), "mailto")
    (tmp_path / "signal.text.j2").write_text("{{ slowest }}")
    with pytest.raises(ValidationError, match=r"'slowest' is undefined"):
        Templates(tmp_path).render(occasion_of(signal()), "mailto")


@pytest.mark.parametrize(
    "text", ["{{ 1 / 0 }}", "{{ symbol | clock }}", "{% include 'nothing' %}", "{{ [][3].x }}"]
)
def test_a_template_that_fails_is_an_error_of_the_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "signal.text.j2").write_text(text)
    with pytest.raises(ValidationError, match=r"signal\.text\.j2"):
        Templates(tmp_path).render(occasion_of(signal()), "mailto")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ fields.update({'a': 1}) }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ range(10 ** 9) | list }}",
    ],
)
def test_a_template_stays_in_its_sandbox(tmp_path: Path, text: str) -> None:
    (tmp_path / "signal.text.j2").write_text(text)
    with pytest.raises(ValidationError):
        Templates(tmp_path).render(occasion_of(signal()), "mailto")


def test_a_template_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "signal.text.j2").write_text("one\n{% if %}")
    with pytest.raises(ConfigurationError, match=r"signal\.text\.j2 cannot be read.*line 2"):
        Templates(tmp_path)
    with pytest.raises(ConfigurationError, match="not a folder"):
        Templates(tmp_path / "nowhere")


def test_a_template_that_is_spoilt_while_the_sink_runs_stops_nothing_else(tmp_path: Path) -> None:
    own = tmp_path / "signal.text.j2"
    own.write_text("fine")
    templates = Templates(tmp_path)
    assert templates.render(occasion_of(signal()), "mailto").text == "fine"
    own.write_text("{% if %}")
    os.utime(own, (1, 1))
    with pytest.raises(ValidationError, match=r"signal\.text\.j2 cannot be read"):
        templates.render(occasion_of(signal()), "mailto")
    assert templates.render(occasion_of(price_alert()), "mailto").text


def test_all_templates_are_of_a_known_part() -> None:
    for name in SHIPPED.names():
        assert name.split(".")[-2] in PARTS, name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (70000.12345678, "70,000.12345678"),
        (1e-08, "0.00000001"),
        (1234567.0, "1,234,567"),
        (0.1, "0.1"),
        (0.0, "0"),
        ("67250.50", "67,250.5"),
        ("-3.5", "-3.5"),
        ("007", "007"),
        ("0x10", "0x10"),
        ("", ""),
        ("n/a", "n/a"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_prices_are_written_to_their_last_digit(value: float | str, shown: str) -> None:
    assert wording.price(value) == shown


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_written_price_is_the_price(value: float) -> None:
    text = wording.price(value)
    assert float(text.replace(",", "")) == value
    assert "e" not in text


def test_other_figures_are_short() -> None:
    assert wording.figure(0.123456789) == "0.123457"
    assert wording.percent(0.8) == "80 %"
    assert wording.signed("12.5") == "+12.5"
    assert wording.time(TIME_US) == "2023-11-14 22:13:20 UTC"
    assert wording.clock(TIME_US + MINUTE_US) == "22:14:20"
