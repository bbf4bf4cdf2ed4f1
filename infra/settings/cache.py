"""Where the newest of everything is kept at hand."""

from pydantic import Field, SecretStr

from infra.settings.section import Section


class CacheSettings(Section):
    """Where Redis or Valkey is."""

    url: SecretStr | None = Field(None, description="redis://host:6379/0; needed by the sink of this name")
