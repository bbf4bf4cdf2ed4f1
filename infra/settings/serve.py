"""Where the page and the API listen, and whom they answer."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from infra.settings.section import NameList, Section

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names under which only this machine can reach a server."""


class ServeSettings(Section):
    """The page, REST, WebSocket and the read side of a schema registry."""

    host: str = Field("127.0.0.1", description="address to listen on; beyond this machine only with a token")
    port: int = Field(8765, ge=0, le=65535, description="0 takes any free one")
    token: SecretStr | None = Field(
        None, description="whoever asks has to name it; none: everybody on this machine may ask"
    )
    origins: NameList = Field(
        default_factory=list, description="pages of other hosts that may ask, as https://desk.example.com"
    )
    rows: PositiveInt = Field(5_000, le=50_000, description="rows of one answer, at most")
    query_timeout_s: PositiveFloat = Field(10.0, description="a question to the database is given up then")
    clients: PositiveInt = Field(2_000, description="connections with subscriptions, at most")
    subscriptions: PositiveInt = Field(200, description="subscriptions of one connection, at most")
    queue: PositiveInt = Field(500, description="messages that wait for a slow client, at most")
    slow_client_s: PositiveFloat = Field(
        30.0, description="a client that takes nothing for so long is disconnected"
    )
    ping_s: PositiveFloat = Field(30.0, description="WebSocket clients are pinged this often")
    pong_s: PositiveFloat = Field(10.0, description="and have to answer within so long")

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.host not in LOOPBACK and (self.token is None or not self.token.get_secret_value()):
            raise ValueError(
                f"to listen on {self.host} a token is needed: set KANDLE_SERVE__TOKEN, or listen on 127.0.0.1"
            )
        return self
