"""Settings: from arguments, the environment, `.env` and one TOML file, in this order of weight.

Environment names are `KANDLE_` plus the path, parts joined by two underscores:
`KANDLE_PROCESSORS__GRACE_MS=2000`. Two names that the trade knows are read as well:
`KAFKA_BOOTSTRAP_SERVERS` and `DATABASE_URL`. The TOML file is `kandle.toml` in the working directory or the
file that `KANDLE_CONFIG` names. Unknown keys are refused, so that a typing error never goes unnoticed.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from schemas.errors import ConfigurationError

PREFIX = "KANDLE_"
CONFIG_VARIABLE = "KANDLE_CONFIG"
DEFAULT_FILE = Path("kandle.toml")
ALIASES = {"KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"), "DATABASE_URL": ("database", "url")}
"""Well-known environment names and the setting that each stands for."""


def _split(value: object) -> object:
    """A text as a list: JSON, or parts between commas that stand outside of parentheses."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in re.split(r",(?![^()]*\))", value) if part.strip()]


NameList = Annotated[list[str], NoDecode, BeforeValidator(_split)]


def _symbol(text: str) -> str:
    base, slash, quote = text.upper().partition("/")
    if not slash or not base or not quote or re.search(r"[\s,;/]", base + quote):
        raise ValueError(f"a symbol is BASE/QUOTE, as BTC/USDT or BTC/USDT:USDT; got {text!r}")
    return f"{base}/{quote}"


Symbol = Annotated[str, AfterValidator(_symbol)]
SymbolList = Annotated[list[Symbol], NoDecode, BeforeValidator(_split), Field(min_length=1)]


FinitePositive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KafkaSettings(Section):
    """Where Kafka is and how topics are laid out. Without bootstrap servers the embedded broker is used."""

    bootstrap_servers: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_certificate_file: Path | None = None
    ssl_key_file: Path | None = None
    ssl_key_password: SecretStr | None = None
    partitions: PositiveInt = Field(4, description="partitions of every keyed topic; fixed once created")
    replication_factor: PositiveInt = 1
    min_insync_replicas: PositiveInt = 1
    session_timeout_ms: PositiveInt = Field(60_000, description="a member that is silent so long is replaced")
    heartbeat_interval_ms: PositiveInt = 3_000


class DatabaseSettings(Section):
    """Where PostgreSQL or TimescaleDB is. Without a URL the embedded PostgreSQL is used."""

    url: SecretStr | None = None
    connect_timeout_s: PositiveFloat = 5.0


Channel = Literal[
    "trades", "aggregated_trades", "quotes", "books", "tickers", "candles", "derivatives", "liquidations"
]
ChannelList = Annotated[list[Channel], NoDecode, BeforeValidator(_split), Field(min_length=1)]


class ProducerSettings(Section):
    """What is read from which venue."""

    venue: str = "binance"
    market: str = Field("spot", description="kind of market: spot, usdm, futures")
    symbols: SymbolList = Field(
        default_factory=lambda: ["BTC/USDT", "ETH/USDT"], description="as BTC/USDT; */USDT: all of that quote"
    )
    channels: ChannelList = ["trades", "quotes"]
    aggregated_symbols: NameList = Field(
        default_factory=list, description="symbols whose trades come from the venue's aggregated stream"
    )
    candle_interval: str = Field("1m", description="interval of the venue's own candles")
    testnet: bool = Field(False, description="the venue's test network instead of its market")
    websocket_url: str | None = Field(None, description="instead of the venue's own: a simulator, a proxy")
    rest_url: str | None = None
    source: str | None = Field(
        None, description="name of the source in time marks; the number of the shard follows"
    )
    shards: PositiveInt = Field(
        1, description="parts of a venue that processes share; at most kafka.partitions"
    )
    instance_id: str | None = Field(
        None, description="stable name of this process: it has its shards back at once after a crash"
    )
    takeover_s: PositiveFloat = Field(10.0, ge=6.0, description="a producer silent so long is replaced")
    hot_feeds: int = Field(1, ge=1, le=2, description="connections that deliver everything; first copy wins")
    lossless: bool = Field(False, description="wait for a slow Kafka; else shed, announce and backfill")
    idle_marks: bool = Field(True, description="let time marks advance while a live feed is idle")
    backfill_s: PositiveFloat = Field(30.0, description="marks wait so long for missing trades")
    restart_backfill_s: PositiveFloat = Field(300.0, description="the same for what was missed between runs")
    history: NameList = Field(
        default_factory=list, description="past candles for symbols that are new here, as 1m:500,1h:200"
    )
    history_timeout_s: PositiveFloat = Field(60.0, description="the feed begins after so long without them")
    instruments_every_s: PositiveFloat = Field(3_600.0, description="how often the instrument list is read")
    exit_at_end: bool = Field(True, description="stop when every feed has ended")


class VenueSettings(Section):
    """How a venue is called by REST."""

    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    passphrase: SecretStr | None = Field(None, description="where the venue wants one besides the key")
    testnet: bool = Field(False, description="the venue's test network instead of its market")
    recv_window_ms: PositiveInt = Field(10_000, description="signed requests older than this are refused")
    correct_clock: bool = Field(True, description="sign with the venue's time where ours differs")
    calls_per_minute: PositiveFloat | None = Field(
        None, description="pace; unset: Binance 50, Gate.io 60, other venues as ccxt knows them"
    )
    rest_url: str | None = Field(None, description="instead of the venue's own: a simulator, a proxy")


def _venue_key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


VenueKey = Annotated[str, AfterValidator(_venue_key)]


class SimulatorSettings(Section):
    """The exchange that runs on this machine: a capture played back, or a market of its own."""

    port: int = Field(0, ge=0, le=65535, description="0 takes a free one")
    capture: Path | None = None
    speed: FinitePositive | Literal["max"] = Field(1.0, description="times real time, or as fast as it goes")
    symbols: SymbolList = Field(default_factory=lambda: ["BTC/USDT", "ETH/USDT", "SOL/USDT"])
    seed: int = 1
    trades_per_second: PositiveFloat = Field(20.0, description="of the seeded market, per symbol, on average")
    rewind: bool = Field(True, description="a feed that comes back gets the playback again; else it goes on")
    faults: NameList = Field(default_factory=list, description="what goes wrong, as gap@5000:20 or 429@0:3")


class ProcessorSettings(Section):
    """What is computed from the trades."""

    app_id: str = "kandle"
    instance_id: str | None = Field(
        None, description="stable name of this worker: quick return after a crash"
    )
    intervals: NameList = Field(default_factory=lambda: ["1s", "1m"])
    grace_ms: int = Field(2_000, ge=0, description="a candle closes this long after its end, by time marks")
    hold_s: int = Field(300, ge=0, description="late trades revise a candle so long after it closed")
    live: NameList = Field(
        default_factory=lambda: ["1m"], description="of the intervals: written while open, at every mark"
    )
    empty_candles: Literal["skip", "carry"] = Field(
        "skip", description="an interval without trades: no candle, or one with the last close and volume 0"
    )
    bars: NameList = Field(
        default_factory=list, description="tick(100), volume(10.5), value(1000000); @keys chooses the markets"
    )
    flows: NameList = Field(
        default_factory=list, description="quote, book(10), book_top: values of a market once a second"
    )
    venue_spreads: NameList = Field(
        default_factory=list,
        description="venue_spread(10)@1s@BTC/*@binance|gateio: a signal when prices of venues are apart",
    )
    plugins: NameList = Field(
        default_factory=list, description="modules of your own with indicators and signal rules"
    )
    indicators: NameList = Field(default_factory=lambda: ["sma(20)", "ema(20)", "rsi(14)"])
    signals: NameList = Field(default_factory=lambda: ["moving_average_crossover(10,30)"])
    signal_on_incomplete: bool = Field(False, description="let rules fire on candles that miss trades")
    checkpoint_interval_s: PositiveFloat = 2.0
    stall_timeout_s: PositiveFloat = Field(30.0, description="exit when lag grows and nothing moves so long")


class SinkSettings(Section):
    """What is stored, and in which portions."""

    quotes: bool = Field(True, description="store best bid and ask")
    instance_id: str | None = Field(None, description="stable name of this sink: quick return after a crash")
    flush_ms: PositiveInt = Field(100, description="rows wait no longer than this for company")
    max_rows: PositiveInt = Field(50_000, description="rows of one transaction, at most")


class NotificationRule(Section):
    """Which signals go to which channels. Patterns are shell globs."""

    name: str
    urls: list[SecretStr] = Field(min_length=1, description="Apprise URLs, one a channel")
    venue: str = "*"
    symbol: str = "*"
    interval: str = "*"
    rule: str = "*"
    direction: str = "*"
    min_strength: float = Field(0.0, ge=0.0, le=1.0)


class NotificationSettings(Section):
    """Channels for signals."""

    rules: list[NotificationRule] = Field(default_factory=list)
    timeout_s: PositiveFloat = 15.0
    attempts: PositiveInt = 3


class MetricsSettings(Section):
    """Prometheus metrics over HTTP."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0 serves none")
    last_file: Path | None = Field(None, description="takes the last values when the process ends")


class LoggingSettings(Section):
    """Logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = Field("auto", description="auto: human in a terminal")


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
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()

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


class _AliasedNames:
    """Adds the well-known names of `ALIASES` and refuses `KANDLE_` names that stand for no setting."""

    env_vars: Any

    def translate(self, found: dict[str, Any]) -> dict[str, Any]:
        known = set(environment_names()) | {CONFIG_VARIABLE}
        for name in self.env_vars:
            upper = name.upper()
            if upper.startswith(PREFIX) and not (
                upper in known or upper.startswith("KANDLE_TEST_") or _OF_A_VENUE.fullmatch(upper)
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

    Raises:
        ConfigurationError: A value does not fit, a key is unknown, a file is unreadable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: "
            + ("no such setting" if problem["type"] == "extra_forbidden" else problem["msg"])
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("wrong settings:\n  " + "\n  ".join(lines)) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the settings cannot be read: {error}") from None
