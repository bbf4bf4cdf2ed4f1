"""Settings: from arguments, the environment, `.env` and one TOML file, in this order of weight.

Environment names are `KANDLE_` plus the path, parts joined by two underscores:
`KANDLE_PROCESSORS__GRACE_MS=2000`. Two names that the trade knows are read as well:
`KAFKA_BOOTSTRAP_SERVERS` and `DATABASE_URL`. The TOML file is `kandle.toml` in the working directory or the
file that `KANDLE_CONFIG` names. Unknown keys are refused, so that a typing error never goes unnoticed.
"""

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, PositiveInt, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from infra.secrets import MASK
from infra.settings.archive import ArchiveSettings
from infra.settings.cache import CacheSettings
from infra.settings.health import HealthSettings
from infra.settings.kafka import KafkaSettings
from infra.settings.notifications import ChannelSettings, NotificationSettings, QuietHours
from infra.settings.observation import LoggingSettings, MetricsSettings
from infra.settings.processors import ProcessorSettings
from infra.settings.producers import ProducerSettings, SimulatorSettings, VenueKey, VenueSettings
from infra.settings.section import NameList
from infra.settings.serve import ServeSettings
from infra.settings.sinks import DatabaseSettings, SinkSettings
from infra.settings.tracing import TracingSettings
from schemas.errors import ConfigurationError
from schemas.namespace import Namespace, enter

PREFIX = "KANDLE_"
CONFIG_VARIABLE = "KANDLE_CONFIG"
DEFAULT_FILE = Path("kandle.toml")
ALIASES = {"KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"), "DATABASE_URL": ("database", "url")}
"""Well-known environment names and the setting that each stands for."""


def _namespace(prefix: str) -> str:
    try:
        return Namespace(prefix).prefix
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


class Settings(BaseSettings):
    """All settings; see the module's docstring for where they come from."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(Path("var"), description="where the embedded parts keep their data")
    disk_budget_mb: PositiveInt = Field(10_240, description="the embedded parts use no more")
    run_id: str = Field(
        default_factory=lambda: uuid.uuid4().hex[:12], description="name of this run in marks"
    )
    namespace: Annotated[str, AfterValidator(_namespace)] = Field(
        "",
        description="own names for topics, groups and tables, as r1.market.trades.v1; empty: the usual ones",
    )
    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    producer: ProducerSettings = ProducerSettings()
    venues: dict[VenueKey, VenueSettings] = Field(
        default_factory=dict, description="REST of each venue by its name, as venues.binance"
    )
    venue_priority: NameList = Field(
        default_factory=lambda: ["binance", "gateio", "mexc"], description="who is asked first for a ticker"
    )
    simulator: SimulatorSettings = SimulatorSettings()
    processors: ProcessorSettings = ProcessorSettings()
    sink: SinkSettings = SinkSettings()
    notifications: NotificationSettings = NotificationSettings()
    archive: ArchiveSettings = ArchiveSettings()
    cache: CacheSettings = CacheSettings()
    serve: ServeSettings = ServeSettings()
    health: HealthSettings = HealthSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; see the module's docstring."""
        named = os.environ.get(CONFIG_VARIABLE)
        if named and not Path(named).is_file():
            raise ConfigurationError(f"{CONFIG_VARIABLE} names {named}, which is not a file")
        return (
            init_settings,
            _KnownNames(settings_cls),
            _KnownDotEnvNames(settings_cls, env_file=".env"),
            TomlConfigSettingsSource(settings_cls, Path(named) if named else DEFAULT_FILE),
        )


_OF_A_VENUE = re.compile(
    rf"{PREFIX}VENUES__[A-Z0-9_]+?__({'|'.join(VenueSettings.model_fields)})", re.IGNORECASE
)
_OF_A_CHANNEL = re.compile(
    rf"{PREFIX}NOTIFICATIONS__CHANNELS__[A-Z0-9_-]+?__({'|'.join(ChannelSettings.model_fields)}"
    rf"|QUIET__({'|'.join(QuietHours.model_fields)}))",
    re.IGNORECASE,
)


class _AliasedNames:
    """Adds the well-known names of `ALIASES` and refuses `KANDLE_` names that stand for no setting."""

    env_vars: Any

    def translate(self, found: dict[str, Any]) -> dict[str, Any]:
        known = set(environment_names()) | {CONFIG_VARIABLE}
        for name in self.env_vars:
            upper = name.upper()
            if upper.startswith(PREFIX) and not (
                upper in known
                or upper.startswith("KANDLE_TEST_")
                or _OF_A_VENUE.fullmatch(upper)
                or _OF_A_CHANNEL.fullmatch(upper)
            ):
                raise ConfigurationError(
                    f"{upper} is set, but no setting has that name; `kandle config --names` lists them"
                )
        for name, (section, key) in ALIASES.items():
            value = self.env_vars.get(name) or self.env_vars.get(name.lower())
            if value:
                found.setdefault(section, {}).setdefault(key, value)
        return found


class _KnownNames(_AliasedNames, EnvSettingsSource):
    def __call__(self) -> dict[str, Any]:
        return self.translate(super().__call__())


class _KnownDotEnvNames(_AliasedNames, DotEnvSettingsSource):
    def __call__(self) -> dict[str, Any]:
        # The library refuses every name in `.env` that is not a setting, those of other programs too.
        return self.translate(EnvSettingsSource.__call__(self))


def environment_names() -> Iterator[str]:
    """The environment name of every setting, in the order of their definition; venues by an example."""

    def walk(model: type[BaseModel], prefix: str) -> Iterator[str]:
        for name, info in model.model_fields.items():
            path = f"{prefix}{name.upper()}"
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                yield from walk(info.annotation, f"{path}__")
            elif path == f"{PREFIX}VENUES":
                yield from walk(VenueSettings, f"{path}__BINANCE__")
            else:
                yield path

    return walk(Settings, PREFIX)


def load(**overrides: Any) -> Settings:
    """Settings in force; `overrides` are top-level sections or values that outweigh all sources.

    From then on this process uses the names of the settings' namespace (see `schemas.namespace`).

    Raises:
        ConfigurationError: A value does not fit, a key is unknown, a file is unreadable; or this process has
            used the names of another namespace.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: "
            + ("no such setting" if problem["type"] == "extra_forbidden" else problem["msg"])
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("wrong settings:\n  " + "\n  ".join(lines)) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the settings cannot be read: {error}") from None
    MASK.learn(settings)
    enter(settings.namespace)
    return settings
