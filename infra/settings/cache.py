"""Where the newest of everything is kept at hand."""

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from infra.settings.section import NameList, Section


class CacheSettings(Section):
    """Where Redis or Valkey is, and what is kept there. Only the sink named cache writes there."""

    url: SecretStr | None = Field(None, description="redis://user:password@host:6379/0, or rediss://")
    timeout_s: PositiveFloat = Field(5.0, description="connecting and answering may take so long")
    warm_s: PositiveFloat = Field(3_600.0, description="a cache without a position reads so far back")
    candles: PositiveInt = Field(500, description="candles of a list, at most")
    signals: PositiveInt = Field(100, description="signals of a list, at most")
    book_levels: PositiveInt = Field(20, description="levels of a side")
    ticker_ttl_s: PositiveInt = Field(60, description="a ticker that is not renewed is gone after so long")
    book_ttl_s: PositiveInt = Field(60, description="the same for order books")
    analysis_ttl_s: PositiveInt = Field(
        7 * 86_400, description="the same for candles, indicators and signals"
    )
    streams: NameList = Field(
        default_factory=list, description="event types that go to streams events:TYPE, as strategy.signal"
    )
    stream_length: PositiveInt = Field(10_000, description="events of a stream, roughly")
    publish: bool = Field(
        False, description="publish changes on market:SYMBOL and on user:NAME of subscribers"
    )
