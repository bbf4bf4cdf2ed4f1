"""Mail against a real server: what it says, whom it reaches, what is refused for good."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from infra.settings import NotificationSettings
from schemas.errors import CallTimeoutError, KandleError, UnavailableError
from sinks.notifications.channel import ChannelRefusedError, make_channel
from sinks.notifications.message import Message, Templates
from sinks.notifications.occasion import occasion_of
from tests.channel_sending import MESSAGE, OPEN, error_of_sending
from tests.mail_server import MailServer
from tests.notification_records import signal


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


async def test_mail_servers_of_this_machine_are_refused(mail: MailServer) -> None:
    channel = make_channel(mail.url(), "r", NotificationSettings())
    error = await error_of_sending(channel)
    assert isinstance(error, ChannelRefusedError)
    assert not mail.messages


async def test_a_mail_has_sender_subject_text_and_html(mail: MailServer) -> None:
    channel = make_channel(mail.url(cc="chief@example.com", bcc="log@example.com"), "r", OPEN)
    message = Templates(sender="Kandle Desk <alerts@example.com>").render(occasion_of(signal()), channel.kind)
    await channel.send(message, "key", 5)
    await channel.send(message, "key", 5)
    first, again = mail.messages
    assert first["From"] == "Kandle Desk <alerts@example.com>"
    assert first["To"] == "desk@example.com"
    assert first["Cc"] == "chief@example.com"
    assert first["Subject"] == message.subject
    assert sorted(mail.receivers) == ["chief@example.com", "desk@example.com", "log@example.com"]
    text, html = first.get_body(("plain",)), first.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "fast: 1.5" in text.get_content()
    assert "<b>1.5</b>" in html.get_content()
    # A repeat is known by its id.
    assert first["Message-ID"] == again["Message-ID"]
    await channel.send(message, "another", 5)
    assert mail.messages[2]["Message-ID"] != first["Message-ID"]


async def test_a_mail_is_of_any_script_and_length(mail: MailServer) -> None:
    message = Message("Börse <a@example.com>", "Kurs → 70 000 €", "öäü " * 500, f"<p>{'ж' * 2000}</p>")
    await make_channel(mail.url(), "r", OPEN).send(message, "key", 5)
    [got] = mail.messages
    assert (got["From"], got["Subject"]) == ("Börse <a@example.com>", "Kurs → 70 000 €")
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == message.text.strip()
    assert html.get_content().strip() == message.html


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("451 4.3.0 try later", UnavailableError),
        ("554 5.7.1 spam", ChannelRefusedError),
    ],
)
async def test_a_mail_server_says_later_or_never(
    mail: MailServer, answer: str, kind: type[KandleError]
) -> None:
    mail.refuse_data = answer
    error = await error_of_sending(make_channel(mail.url(), "r", OPEN))
    assert type(error) is kind
    assert answer in str(error)


async def test_an_unknown_mailbox_is_refused_and_others_get_theirs(mail: MailServer) -> None:
    mail.refuse = {"gone@example.com": "550 5.1.1 no such user", "full@example.com": "452 4.2.2 full"}
    assert isinstance(
        await error_of_sending(make_channel(mail.url(to="gone@example.com"), "r", OPEN)), ChannelRefusedError
    )
    assert isinstance(
        await error_of_sending(make_channel(mail.url(to="full@example.com"), "r", OPEN)), UnavailableError
    )
    await make_channel(mail.url(to="gone@example.com,desk@example.com"), "r", OPEN).send(MESSAGE, "key", 5)
    assert mail.receivers == ["desk@example.com"]


async def test_a_mail_that_was_taken_is_sent_however_the_server_takes_leave(mail: MailServer) -> None:
    mail.farewell = "451 do not go"
    await make_channel(mail.url(), "r", OPEN).send(MESSAGE, "key", 5)
    assert len(mail.messages) == 1


async def test_a_wrong_password_is_refused_for_good(mail: MailServer) -> None:
    await make_channel(mail.url(user="me:right@"), "r", OPEN).send(MESSAGE, "key", 5)
    error = await error_of_sending(make_channel(mail.url(user="me:wrong-password@"), "r", OPEN))
    assert isinstance(error, ChannelRefusedError)
    assert "535" in str(error)
    assert "wrong-password" not in str(error)


async def test_mail_is_not_sent_in_the_clear_where_encryption_is_asked_for(mail: MailServer) -> None:
    error = await error_of_sending(make_channel(mail.url(mode="starttls"), "r", OPEN))
    assert isinstance(error, ChannelRefusedError)
    assert not mail.messages


async def test_a_hanging_mail_server_is_cut_off(mail: MailServer) -> None:
    mail.delay_s = 10
    begun = time.monotonic()
    error = await error_of_sending(make_channel(mail.url(), "r", OPEN), timeout_s=0.5)
    assert isinstance(error, CallTimeoutError)
    assert time.monotonic() - begun < 8


async def test_a_mail_server_that_never_greets_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = (
            f"mailto://127.0.0.1:{silent.getsockname()[1]}?from=a@example.com&to=b@example.com&mode=insecure"
        )
        error = await error_of_sending(make_channel(url, "r", OPEN), timeout_s=0.5)
    assert isinstance(error, CallTimeoutError)
