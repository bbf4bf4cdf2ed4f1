"""Where the database is, and what is stored there."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr

from infra.settings.section import NameList, Section


class DatabaseSettings(Section):
    """Where PostgreSQL or TimescaleDB is. Without a URL the embedded PostgreSQL is used."""

    url: SecretStr | None = Field(None, description="postgresql://user:password@host:port/name")
    connect_timeout_s: PositiveFloat = Field(5.0, description="an attempt to connect ends after so long")
    pool_min: PositiveInt = Field(2, description="connections of a process, at least ...")
    pool_max: PositiveInt = Field(10, description="... and at most")
    acquire_timeout_s: PositiveFloat = Field(10.0, description="waiting for a connection ends after so long")
    idle_s: PositiveFloat = Field(30.0, description="connections above the least close after so long unused")
    health_check_s: PositiveFloat = Field(60.0, description="idle connections are tried this often")


class SinkSettings(Section):
    """What is stored, and in which portions."""

    run: NameList = Field(
        default_factory=lambda: ["timescale", "notifications"],
        description="sinks of this process: timescale, notifications, archive, cache, or one of your own",
    )
    plugins: NameList = Field(default_factory=list, description="modules of your own with sinks")
    quotes: bool = Field(True, description="store best bid and ask")
    quotes_every_ms: NonNegativeInt = Field(
        0, description="of each market the last quote of every so many milliseconds is stored; 0: all"
    )
    venue_order: NameList = Field(
        default_factory=lambda: ["binance", "gateio", "mexc"],
        description="ohlcv_data shows one venue a symbol: the first of these that has candles",
    )
    instance_id: str | None = Field(None, description="stable name of this sink: quick return after a crash")
    flush_ms: PositiveInt = Field(100, description="rows wait no longer than this for company")
    max_rows: PositiveInt = Field(100_000, description="rows of one transaction, at most")
    upkeep_s: PositiveFloat = Field(
        30.0, description="this often partitions are made ahead, indexed, and dropped by retention_days"
    )
    retention_days: dict[str, Annotated[int, Field(ge=4)]] = Field(
        default_factory=dict,
        description="days after which rows are dropped, by table: trades = 30; others keep all",
    )
    columnstore_after_days: NonNegativeInt = Field(
        2, description="TimescaleDB: a chunk goes into the columnstore so long after its end; 0: never"
    )
    direct_compression: bool = Field(
        False, description="TimescaleDB: large portions of trades and quotes go straight into the columnstore"
    )
