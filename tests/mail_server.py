"""A mail server that keeps what it takes, and refuses as it is told."""

from __future__ import annotations

import asyncio
import email
import email.policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from infra.embedded.ports import free_ports


class MailServer:
    """Keeps what it takes; refuses as it is told."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.receivers: list[str] = []
        self.refuse_data = ""
        self.refuse: dict[str, str] = {}
        self.delay_s = 0.0
        self.farewell = "221 Bye"
        (self.port,) = free_ports(1)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._login,
            auth_require_tls=False,
        )
        self._controller.start()

    def url(self, user: str = "", **options: str) -> str:
        given = {"from": "kandle@example.com", "to": "desk@example.com", "mode": "insecure", **options}
        query = "&".join(f"{name}={value}" for name, value in given.items())
        return f"mailto://{user}127.0.0.1:{self.port}?{query}"

    def _login(self, *arguments: Any) -> AuthResult:
        data = arguments[-1]
        right = isinstance(data, LoginPassword) and data.password == b"right"
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return self.farewell

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        await asyncio.sleep(self.delay_s)
        if self.refuse_data:
            return self.refuse_data
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.messages.append(parsed)
        self.receivers = list(envelope.rcpt_tos)
        return "250 OK"

    def stop(self) -> None:
        self._controller.stop()
